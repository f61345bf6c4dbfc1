"""Tests of edgegw.upstream.sticky."""

from __future__ import annotations

import re
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from twisted.trial.unittest import SynchronousTestCase

from edgegw.exchange.model import Response
from edgegw.testing.exchanges import make_exchange
from edgegw.upstream.endpoint import Endpoint
from edgegw.upstream.sticky import Sticky, StickySettings
from tests.upstream.choosing import Choosing

SECRET = b"s" * 32


class SettingsTests(SynchronousTestCase):
    def test_short_form_and_defaults(self) -> None:
        said = StickySettings.model_validate("node")
        self.assertEqual(
            (said.cookie, said.ttl, said.path, said.same_site, said.secure, said.http_only),
            ("node", None, "/", "lax", "auto", True),
        )
        self.assertEqual(StickySettings.model_validate({"ttl": "1h", "secure": False}).ttl, 3600.0)

    def test_refused(self) -> None:
        for wrong in (
            {"cookie": "a b"},
            {"cookie": "a=b"},
            {"cookie": ""},
            {"cookie": "a\n"},
            {"path": "shop"},
            {"path": "/a;b"},
            {"path": "/a\r\nX: y"},
            {"same_site": "none", "secure": False},
            {"same_site": "Lax"},
        ):
            self.assertRaises(ValidationError, StickySettings.model_validate, wrong)


class StickyTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.choosing = Choosing()
        self.members = [self.choosing.make(name) for name in ("a", "b", "c")]
        self.sticky = self._sticky()

    def _sticky(self, upstream: str = "shop", secret: bytes = SECRET, **said: Any) -> Sticky:
        made = Sticky(StickySettings.model_validate({"cookie": "node", **said}), upstream, secret)
        made.roster(self.members)
        return made

    def _set(
        self, endpoint: Endpoint, sticky: Sticky | None = None, url: str = "/", *headers: tuple[bytes, bytes]
    ) -> str:
        response = Response(200)
        (sticky or self.sticky).remember(make_exchange(url=url, headers=headers), endpoint, response)
        return (response.headers.get(b"set-cookie") or b"").decode()

    def _value(self, endpoint: Endpoint, sticky: Sticky | None = None) -> bytes:
        return self._set(endpoint, sticky).partition(";")[0].encode()

    def _named(self, *cookies: bytes, sticky: Sticky | None = None) -> Endpoint | None:
        exchange = make_exchange(headers=[(b"Cookie", cookie) for cookie in cookies])
        return (sticky or self.sticky).named(exchange)

    def test_what_is_set_is_read_again(self) -> None:
        for endpoint in self.members:
            value = self._value(endpoint)
            self.assertIs(self._named(value), endpoint)
            self.assertIs(self._named(b"x=1; " + value + b";y=2"), endpoint)
            self.assertIs(self._named(b"x=1", b"y; " + value), endpoint)

    def test_attributes(self) -> None:
        self.assertTrue(
            re.fullmatch(r"node=[\w-]{12}\.[\w-]{20}; Path=/; HttpOnly; SameSite=Lax", self._set(self.members[0]))
        )
        self.assertIn("; Secure;", self._set(self.members[0], url="https://example.com/"))
        rows: list[tuple[dict[str, Any], str]] = [
            ({"ttl": "1h"}, "; Path=/; Max-Age=3600; HttpOnly; SameSite=Lax"),
            ({"path": "/shop", "same_site": "strict"}, "; Path=/shop; HttpOnly; SameSite=Strict"),
            ({"secure": True, "http_only": False}, "; Path=/; Secure; SameSite=Lax"),
        ]
        for said, attributes in rows:
            self.assertTrue(self._set(self.members[0], self._sticky(**said)).endswith(attributes), said)
        plain = self._sticky(secure=False)
        self.assertNotIn("Secure", self._set(self.members[0], plain, "https://example.com/"))

    def test_set_once(self) -> None:
        value = self._value(self.members[0])
        self.assertEqual(self._set(self.members[0], None, "/", (b"Cookie", value)), "")
        # Somebody else answered: it comes back to that one.
        self.assertTrue(self._set(self.members[1], None, "/", (b"Cookie", value)))

    def test_it_does_not_replace_cookies_of_the_upstream(self) -> None:
        response = Response(200)
        response.headers.add(b"Set-Cookie", b"session=1")
        self.sticky.remember(make_exchange(), self.members[0], response)
        self.assertEqual(len(response.headers.get_all(b"set-cookie")), 2)

    def test_an_address_is_not_told_and_not_guessed(self) -> None:
        value = self._value(self.members[0])
        self.assertNotIn(b"a", {value.removeprefix(b"node="), b""})
        self.assertNotEqual(value, self._value(self.members[0], self._sticky(secret=b"t" * 32)))
        self.assertIsNone(self._named(self._value(self.members[0], self._sticky(secret=b"t" * 32))))

    def test_another_upstreams_cookie_is_none_of_ours(self) -> None:
        self.assertIsNone(self._named(self._value(self.members[0], self._sticky("cart"))))

    def test_another_process_with_the_secret_reads_it(self) -> None:
        value = self._value(self.members[0])
        self.members = [self.choosing.make("b"), self.choosing.make("a")]
        self.assertIs(self._named(value, sticky=self._sticky()), self.members[1])

    def test_one_that_is_gone_or_new(self) -> None:
        value = self._value(self.members[0])
        self.sticky.roster(self.members[1:])
        self.assertIsNone(self._named(value))
        self.assertEqual(self._set(self.members[0]), "")
        self.sticky.roster(self.members)
        self.assertIs(self._named(value), self.members[0])

    def test_a_mixture_of_two_is_forged(self) -> None:
        mine, other = self._value(self.members[0]), self._value(self.members[1])
        self.assertIsNone(self._named(mine.partition(b".")[0] + b"." + other.partition(b".")[2]))

    def test_of_several_the_right_one_is_found(self) -> None:
        self.assertIs(self._named(b"node=forged; " + self._value(self.members[2])), self.members[2])
        self.assertIsNone(self._named(b"xnode" + self._value(self.members[2])[4:]))

    @settings(max_examples=200, deadline=None)
    @given(st.integers(0, 32), st.binary(min_size=1, max_size=4))
    def test_no_change_of_a_value_is_accepted(self, at: int, other: bytes) -> None:
        name, _, value = self._value(self.members[0]).partition(b"=")
        forged = value[:at] + other + value[at + len(other) :]
        found = self._named(name + b"=" + forged)
        if found is not None:
            # Bytes that say the same in a header: white space around it, what follows a semicolon.
            self.assertEqual(forged.partition(b";")[0].strip(), value)

    @settings(max_examples=100, deadline=None)
    @given(st.binary(max_size=200))
    def test_garbage_is_no_cookie(self, garbage: bytes) -> None:
        self.assertIsNone(self._named(garbage, b"node=" + garbage, b"node=;node", b"node=."))
