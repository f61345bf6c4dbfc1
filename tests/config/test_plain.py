"""Settings as plain data."""

import unittest

from pydantic import SecretStr

from edgegw.config.plain import fields, plain
from tests.config.sample import Admin, Config, Upstream


class PlainTests(unittest.TestCase):
    def test_secrets_stay_what_they_are(self) -> None:
        made = plain(Config.model_validate({"admin": {"token": "x"}}))
        self.assertEqual(made["admin"]["token"], SecretStr("x"))
        self.assertEqual(made["edgegw"], 1)

    def test_fields_by_the_key_of_the_configuration(self) -> None:
        upstream = Upstream.model_validate({"endpoints": ["http://a"], "from": "k8s"})
        found = fields(upstream, {})
        self.assertEqual((found["from"], found["verify"]), (("k8s", True), (True, False)))
        self.assertNotIn("from_", found)

    def test_fields_of_other_things(self) -> None:
        self.assertEqual(fields({"a": 1}, {}), {"a": (1, True)})
        self.assertEqual(fields(None, {"a": 1}), {"a": (None, True)})
        self.assertFalse(fields(Admin(), {})["listen"][1])
