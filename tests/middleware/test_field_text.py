"""Tests of edgegw.middleware.field_text."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from edgegw.middleware.field_text import check_name, check_once, check_value, field


class FieldTextTests(SynchronousTestCase):
    def test_names(self) -> None:
        for good in ("X-A", "x_b", "a!#$%&'*+.^`|~9"):
            check_name(good)
        for bad in ("", "a b", "a:", "a\n", "\u00e9", "a\r\nb", "(a)", "a\x00"):
            self.assertIn("not a header name", str(self.assertRaises(ValueError, check_name, bad)), bad)

    def test_names_that_frame(self) -> None:
        for bad in (
            "Content-Length",
            "transfer-encoding",
            "HOST",
            "Connection",
            "TE",
            "Upgrade",
            "Keep-Alive",
            "Trailer",
        ):
            self.assertIn("frames the message", str(self.assertRaises(ValueError, check_name, bad)), bad)

    def test_values(self) -> None:
        for good in ("", "a b\tc", "\u00e9", "~"):
            check_value("x", good)
        for bad in ("a\r", "a\n", "\x00", "\x7f", "\u2028", "\x1b", "\x85"):
            self.assertRaises(ValueError, check_value, "x", bad)

    def test_once(self) -> None:
        check_once(["a", "b"])
        self.assertRaises(ValueError, check_once, ["X-A", "x-a"])

    def test_field(self) -> None:
        self.assertEqual(field("X-A", "\u00e9"), (b"x-a", b"X-A", b"\xe9"))
