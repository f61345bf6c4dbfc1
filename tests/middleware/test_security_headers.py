"""Tests of edgegw.middleware.security_headers."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from pydantic import ValidationError

from edgegw.errors import GatewayError
from edgegw.middleware.security_headers import SECURITY_HEADERS, SecurityHeadersSettings
from edgegw.testing.exchanges import make_exchange
from tests.middleware.running import Case, Target, behind

HSTS = b"strict-transport-security"


class SecurityHeadersTests(Case):
    def fields(self, target: Target, tls: bool = False, **settings: Any) -> dict[bytes, bytes]:
        layer = SECURITY_HEADERS.build(SecurityHeadersSettings(**settings), cast(Any, None))(target)
        exchange = make_exchange(connection=behind("192.0.2.1", SimpleNamespace() if tls else None))
        response = self.respond(layer, exchange)
        found = {lower: value for lower, _, value in response.headers.fields}
        self.assertEqual(len(found), len(response.headers))
        return found

    def test_added(self) -> None:
        self.assertEqual(
            self.fields(Target()),
            {
                b"x-content-type-options": b"nosniff",
                b"x-frame-options": b"SAMEORIGIN",
                b"referrer-policy": b"strict-origin-when-cross-origin",
            },
        )

    def test_never_overwritten(self) -> None:
        own = (
            (b"X-Frame-Options", b"DENY"),
            (b"strict-transport-security", b"max-age=1"),
            (b"REFERRER-POLICY", b"no-referrer"),
        )
        found = self.fields(Target(*own), tls=True)
        self.assertEqual(
            (found[b"x-frame-options"], found[HSTS], found[b"referrer-policy"]), (b"DENY", b"max-age=1", b"no-referrer")
        )

    def test_hsts_over_tls_only(self) -> None:
        self.assertNotIn(HSTS, self.fields(Target()))
        self.assertEqual(self.fields(Target(), tls=True)[HSTS], b"max-age=31536000")
        found = self.fields(Target(), tls=True, hsts="60s", hsts_subdomains=True)
        self.assertEqual(found[HSTS], b"max-age=60; includeSubDomains")
        self.assertNotIn(HSTS, self.fields(Target(), tls=True, hsts="0s"))

    def test_chosen(self) -> None:
        found = self.fields(
            Target(), content_security_policy="default-src 'self'", frame_options="", referrer_policy=""
        )
        self.assertEqual(
            found, {b"x-content-type-options": b"nosniff", b"content-security-policy": b"default-src 'self'"}
        )

    def test_on_errors_too(self) -> None:
        layer = SECURITY_HEADERS.build(SecurityHeadersSettings(), cast(Any, None))(
            Target(does=GatewayError(502, "upstream_reset", headers=[(b"X-Frame-Options", b"DENY")]))
        )
        error = self.refuse(layer, make_exchange(connection=behind("192.0.2.1", SimpleNamespace())))
        found = dict(error.headers)
        self.assertEqual(len(found), len(error.headers))
        self.assertEqual((found[b"X-Frame-Options"], found[b"X-Content-Type-Options"]), (b"DENY", b"nosniff"))
        self.assertIn(b"Strict-Transport-Security", found)

    def test_refused_at_load(self) -> None:
        for name in ("content_security_policy", "frame_options", "referrer_policy", "content_type_options"):
            for bad in ("a\r\nSet-Cookie: b", "a\x00", "\u2028", "a\x7f"):
                self.assertRaises(ValidationError, SecurityHeadersSettings, **{name: bad})
