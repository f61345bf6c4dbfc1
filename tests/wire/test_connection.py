"""Connection options and hop-by-hop fields."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from edgegw.wire import connection
from edgegw.wire.connection import HOP_BY_HOP, connection_options, hop_by_hop, is_protected
from edgegw.wire.headers import Headers


class OptionsTests(SynchronousTestCase):
    """What a Connection value says."""

    def test_close_in_a_list(self) -> None:
        for value in (b"close", b"Close", b"close,foo", b"foo,close", b"foo , CLOSE ", b",close,"):
            self.assertTrue(connection_options(value).close, value)
        for value in (b"keep-alive", b"closed", b"close-x", b""):
            self.assertFalse(connection_options(value).close, value)

    def test_upgrade(self) -> None:
        self.assertTrue(connection_options(b"keep-alive, Upgrade").upgrade)
        self.assertFalse(connection_options(b"upgraded").upgrade)

    def test_validity(self) -> None:
        for value in (b"", b"a", b"a,b", b" a ,, b ", b"a ,"):
            self.assertTrue(connection_options(value).valid, value)
        for value in (b"a b", b'"a"', b"a;b", b"a\xe9", b"(a)"):
            self.assertFalse(connection_options(value).valid, value)

    def test_protected(self) -> None:
        self.assertEqual(connection_options(b"close, X-Forwarded-For").protected, b"x-forwarded-for")
        self.assertIsNone(connection_options(b"close, x-own").protected)
        for name in (b"host", b"cookie", b"x-forwarded-anything", b"x-client-cert-san", b"forwarded", b"x-request-id"):
            self.assertTrue(is_protected(name), name)

    def test_the_memo_is_bounded(self) -> None:
        for number in range(1000):
            connection_options(b"x%d" % number)
        connection_options(b"y" * 100)
        self.assertLessEqual(len(connection._memo), 256)
        self.assertNotIn(b"y" * 100, connection._memo)


class HopByHopTests(SynchronousTestCase):
    """What is left out when a message is forwarded."""

    def test_without_connection(self) -> None:
        self.assertEqual(hop_by_hop(Headers.of([(b"Host", b"a")])), HOP_BY_HOP)

    def test_the_fixed_list(self) -> None:
        for name in (
            b"connection", b"keep-alive", b"proxy-connection", b"proxy-authenticate", b"proxy-authorization", b"te", b"trailer",
            b"transfer-encoding", b"upgrade",
        ):  # fmt: skip
            self.assertIn(name, HOP_BY_HOP)

    def test_named_fields_of_all_lines(self) -> None:
        headers = Headers.of([(b"Connection", b"close, X-One"), (b"X", b"y"), (b"connection", b"x-two")])
        self.assertEqual(hop_by_hop(headers), HOP_BY_HOP | {b"close", b"x-one", b"x-two"})

    def test_protected_fields_are_never_left_out(self) -> None:
        drop = hop_by_hop(Headers.of([(b"Connection", b"host, content-length, set-cookie, x-forwarded-for, x")]))
        self.assertEqual(drop, HOP_BY_HOP | {b"x"})

    def test_te(self) -> None:
        for value, dropped in ((b"trailers", False), (b"Trailers", False), (b"gzip", True), (b"trailers, gzip", True)):
            self.assertEqual(b"te" in hop_by_hop(Headers.of([(b"TE", value)])), dropped, value)
        self.assertIn(b"te", hop_by_hop(Headers.of([(b"TE", b"trailers"), (b"TE", b"gzip")])))
        drop = hop_by_hop(Headers.of([(b"TE", b"trailers"), (b"Connection", b"te, x")]))
        self.assertNotIn(b"te", drop)
        self.assertIn(b"x", drop)
