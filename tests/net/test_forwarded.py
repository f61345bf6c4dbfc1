"""Tests of edgegw.net.forwarded."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from edgegw.net.addresses import MAX_HOPS, CidrSet, walk
from edgegw.net.forwarded import ForwardedHop, format_forwarded, parse_forwarded


class ParseTests(SynchronousTestCase):
    def test_elements(self) -> None:
        for values, expected in (
            ([b"for=192.0.2.43"], [("192.0.2.43", None, None)]),
            ([b'For="[2001:db8:cafe::17]:4711"'], [("2001:db8:cafe::17", None, None)]),
            (
                [b"for=192.0.2.60;proto=http;by=203.0.113.43, FOR=198.51.100.17;host=a.example"],
                [("192.0.2.60", None, b"http"), ("198.51.100.17", b"a.example", None)],
            ),
            ([b"for=192.0.2.1", b"for=192.0.2.2"], [("192.0.2.1", None, None), ("192.0.2.2", None, None)]),
            ([b'for="_gazonk"'], [(None, None, None)]),
            ([b"for=unknown;proto=https"], [(None, None, b"https")]),
            ([b'for="[::1]:x"'], [(None, None, None)]),
            ([b'for="::1"'], [(None, None, None)]),
            ([b'host="a\\"b;for=6.6.6.6"'], [(None, b'a"b;for=6.6.6.6', None)]),
            ([b" , ;, "], []),
            ([b""], []),
        ):
            self.assertEqual(parse_forwarded(values), tuple(ForwardedHop(*hop) for hop in expected), values)

    def test_a_broken_value_says_nothing_and_hides_what_is_left_of_it(self) -> None:
        for broken in (
            b'for="1.1.1.1',
            b"for",
            b"for=a b",
            b"for=1.1.1.1;for=2.2.2.2",
            b"for =1.1.1.1",
            b"for=[::1]",
            b"f\x00=1",
        ):
            self.assertEqual(
                parse_forwarded([b"for=6.6.6.6", broken, b"for=192.0.2.2"]), (ForwardedHop("192.0.2.2"),), broken
            )

    def test_bounded(self) -> None:
        self.assertEqual(len(parse_forwarded([b",".join([b"for=192.0.2.1"] * 500)])), MAX_HOPS)

    def test_the_client_behind_trusted_hops(self) -> None:
        hops = parse_forwarded([b"for=6.6.6.6, for=1.1.1.1, for=10.0.0.2"])
        self.assertEqual(walk("10.0.0.9", [hop.address for hop in hops], CidrSet(["10.0.0.0/8"])).client, "1.1.1.1")


class FormatTests(SynchronousTestCase):
    def test_elements(self) -> None:
        for arguments, expected in (
            (("192.0.2.1", b"https", b"shop.example"), b"for=192.0.2.1;proto=https;host=shop.example"),
            (("192.0.2.1", b"https", b"shop.example:8443"), b'for=192.0.2.1;proto=https;host="shop.example:8443"'),
            (("2001:DB8::1", b"http", b"[::1]:80"), b'for="[2001:db8::1]";proto=http;host="[::1]:80"'),
            (("unix", b"", b""), b"for=unknown"),
            (("192.0.2.1", b"", b'a"\\b'), b'for=192.0.2.1;host="a\\"\\\\b"'),
            (("192.0.2.1", b"http", b"", "::1"), b'for=192.0.2.1;by="[::1]";proto=http'),
        ):
            self.assertEqual(format_forwarded(*arguments), expected)

    def test_no_injection(self) -> None:
        self.assertRaises(ValueError, format_forwarded, "192.0.2.1", b"http", b"a\r\nX: y")
        self.assertEqual(format_forwarded("1.1.1.1\r\nX: y"), b"for=unknown")

    @given(st.ip_addresses(), st.binary(max_size=30), st.sampled_from([b"http", b"https"]))
    def test_round_trip(self, client: object, host: bytes, proto: bytes) -> None:
        host = bytes(byte for byte in host if byte >= 0x20 and byte != 0x7F)
        written = format_forwarded(str(client), proto, host)
        (hop,) = parse_forwarded([written])
        self.assertEqual((hop.host or b"", hop.proto), (host, proto))
        self.assertIsNotNone(hop.address)
