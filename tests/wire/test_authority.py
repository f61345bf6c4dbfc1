"""Host values."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from edgegw.wire import authority
from edgegw.wire.authority import AuthorityError, parse_authority


class AuthorityTests(SynchronousTestCase):
    """Grammar, normal form, bounds."""

    def test_accepted(self) -> None:
        for value, expected in (
            (b"a", ("a", None)),
            (b"API.Example.COM:8080", ("api.example.com", 8080)),
            (b"a.example.", ("a.example", None)),
            (b"my_service-1:1", ("my_service-1", 1)),
            (b"127.0.0.1:65535", ("127.0.0.1", 65535)),
            (b"[::1]", ("::1", None)),
            (b"[2001:DB8::0:1]:443", ("2001:db8::1", 443)),
            (b"xn--bcher-kva.example", ("xn--bcher-kva.example", None)),
        ):
            self.assertEqual(parse_authority(value), expected, value)

    def test_refused(self) -> None:
        for value in (
            b"", b".", b"a..b", b".a", b"-a", b"a-", b"a b", b"a/b", b"a@b", b"a,b", b"a:", b"a:0", b"a:65536", b"a:99999",
            b"a:1:2", b"a:+1", b"::1", b"[::1", b"[::g]", b"[]", b"[1.2.3.4]", b"[fe80::1%eth0]", b"%61", b"a\x00", b"\xe9",
            b"a" * 300, b"*", b"a?b", b"a#b", b"a\\b", b"a\n", b"[::1]x",
        ):  # fmt: skip
            self.assertRaises(AuthorityError, parse_authority, value)

    def test_the_memo_is_bounded_and_holds_no_refusals(self) -> None:
        authority._memo.clear()
        for number in range(3000):
            parse_authority(b"host%d" % number)
        self.assertLessEqual(len(authority._memo), 1024)
        authority._memo.clear()
        self.assertRaises(AuthorityError, parse_authority, b"a b")
        self.assertEqual(authority._memo, {})

    @given(st.binary(max_size=20))
    def test_nothing_else_is_raised(self, value: bytes) -> None:
        try:
            host, port = parse_authority(value)
        except AuthorityError:
            return
        self.assertRegex(host, r"\A[a-z0-9._:-]+\Z")
        self.assertTrue(port is None or 0 < port < 65536)
