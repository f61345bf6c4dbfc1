"""Tests of edgegw.wire.origins."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from edgegw.wire.origins import Origins, canonical_origin


class CanonicalTests(SynchronousTestCase):
    """What an entry may be."""

    def test_forms(self) -> None:
        table = {
            "https://app.example.com": "https://app.example.com",
            "HTTPS://App.Example.com.": "https://app.example.com",
            "https://app.example.com:443": "https://app.example.com",
            "http://app.example.com:443": "http://app.example.com:443",
            "http://localhost:8080": "http://localhost:8080",
            "https://[::1]:8443": "https://[::1]:8443",
            "https://*.example.com": "https://*.example.com",
            "https://**.example.com:444": "https://**.example.com:444",
            "chrome-extension://abcdef": "chrome-extension://abcdef",
            "NULL": "null",
        }
        for text, expected in table.items():
            self.assertEqual(canonical_origin(text), expected)

    def test_refused(self) -> None:
        for text in (
            "", "*", "app.example.com", "https://", "https://a/", "https://a/b", "https://u@a", "https://a.*.com",
            "https://*", "https://*example.com", "https://a b", "https://a:x", "https://a?b", "https://a\n", "//a",
        ):  # fmt: skip
            error = self.assertRaises(ValueError, canonical_origin, text)
            self.assertIn("is not an origin", str(error))


class OriginsTests(SynchronousTestCase):
    """Who is admitted."""

    def test_no_list_admits_all(self) -> None:
        origins = Origins()
        self.assertFalse(origins)
        for origin in (None, b"https://evil.example", b"null", b"\xff"):
            self.assertTrue(origins.admits(origin))

    def test_list(self) -> None:
        origins = Origins(["https://app.example.com", "https://*.shop.example", "https://**.deep.example:444"])
        self.assertTrue(origins)
        admitted = (
            b"https://app.example.com", b"https://APP.example.com:443", b"https://a.shop.example",
            b"https://a.deep.example:444", b"https://a.b.deep.example:444",
        )  # fmt: skip
        refused = (
            None, b"", b"null", b"http://app.example.com", b"https://app.example.com:8443", b"https://example.com",
            b"https://app.example.com.evil.net", b"https://evilapp.example.com", b"https://app.example.com@evil.net",
            b"https://shop.example", b"https://a.b.shop.example", b"https://.shop.example", b"https://*.shop.example",
            b"https://evil/.shop.example", b"https://deep.example:444", b"https://a.deep.example", b"\xffhttps://a",
            b"https://app.example.com, https://evil.net", b"https://app.example.com https://evil.net",
        )  # fmt: skip
        for origin in admitted:
            self.assertTrue(origins.admits(origin), origin)
        for origin in refused:
            self.assertFalse(origins.admits(origin), origin)

    def test_null(self) -> None:
        """Sandboxed frames and local files say null; it takes its own entry."""
        self.assertTrue(Origins(["null"]).admits(b"null"))
        self.assertFalse(Origins(["null"]).admits(None))

    def test_repr(self) -> None:
        self.assertEqual(repr(Origins(["null", "https://*.a"])), "<Origins 2 entries>")
