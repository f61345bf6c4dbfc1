"""What is hidden."""

import unittest

from pydantic import SecretStr

from edgegw.config.mask import STARS, Mask
from edgegw.config.source import loads


class MaskTests(unittest.TestCase):
    def setUp(self) -> None:
        self.mask = Mask(
            loads("a: {b: '${LONG}'}\nc: ${SHORT}\nd: x\n", environ={"LONG": "a-long-secret", "SHORT": "80"})
        )

    def test_by_place(self) -> None:
        self.assertTrue(self.mask.hides(("a", "b")))
        self.assertTrue(self.mask.hides(("a", "b", "expanded")))
        self.assertFalse(self.mask.hides(("a",)))
        self.assertFalse(self.mask.hides(("d",)))

    def test_by_value(self) -> None:
        self.assertTrue(self.mask.hides(("d",), "http://a-long-secret/"))
        self.assertTrue(self.mask.hides(("d",), "80"))
        self.assertFalse(self.mask.hides(("d",), "8080"))

    def test_by_type(self) -> None:
        self.assertTrue(Mask().hides(("d",), SecretStr("x")))

    def test_messages(self) -> None:
        self.assertEqual(self.mask.text(("d",), "not a-long-secret"), f"not {STARS}")
        self.assertEqual(self.mask.text(("c",), 'must be 5, not "80"'), f"must be 5, not {STARS}")
        self.assertEqual(self.mask.text(("d",), "port 80 and 8080"), "port 80 and 8080")
