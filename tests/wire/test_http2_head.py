"""What heads say: the parts of a request, lengths, cookies, upgrades, trailers. What is refused stands in `tables_http2`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from edgegw.wire.events import RequestHead
from edgegw.wire.http1_fields import Refused
from edgegw.wire.http1_limits import RESPONSE_LIMITS, Http1Limits
from edgegw.wire.http2_fields import REQUEST_FIELDS, RESPONSE_FIELDS, Malformed
from edgegw.wire.http2_head import copy_request, copy_response, read_request, read_response, read_trailers
from edgegw.wire.http2_limits import CLIENT_LIMITS, Http2Limits
from tests.wire.tables_http2 import CONNECT, GET, OK, POST, Pairs


def request(pairs: Pairs, ended: bool = True, http1: Http1Limits = Http1Limits()) -> RequestHead:
    return copy_request(read_request(pairs, Http2Limits(), http1), ended)


class RequestTests(SynchronousTestCase):
    """Pseudo fields and fields to a head."""

    def test_parts(self) -> None:
        pairs = [*GET[:2], (b":authority", b"A.Example.:8443"), (b":path", b"/a%2Db//c/?x=%20&y"), (b"accept", b"*/*")]
        head = request(pairs)
        self.assertEqual(
            (head.method, head.target, head.path, head.query), ("GET", "/a%2Db//c/?x=%20&y", "/a-b/c/", "x=%20&y")
        )
        self.assertEqual((head.authority, head.host, head.port), (b"A.Example.:8443", "a.example", 8443))
        self.assertEqual((head.version, head.length, head.keep_alive, head.redirect), ("2", 0, True, None))
        self.assertEqual((head.expect_continue, head.upgrade), (False, ()))
        self.assertEqual(head.headers.fields, [(b"host", b"host", b"A.Example.:8443"), (b"accept", b"accept", b"*/*")])

    def test_host_is_first_and_once(self) -> None:
        for pairs in (
            [*GET, (b"a", b"b"), (b"host", b"a.example")],
            [*GET[:2], GET[3], (b"a", b"b"), (b"host", b"a.example")],
            [*GET, (b"a", b"b")],
        ):
            self.assertEqual([field[0] for field in request(pairs).headers.fields], [b"host", b"a"])
            self.assertEqual(request(pairs).headers.get(b"host"), b"a.example")

    def test_cookie_crumbs(self) -> None:
        """RFC 9113 8.2.3: one field, where the first was."""
        crumbs = [
            (b"a", b"1"),
            (b"cookie", b"x=1"),
            (b"b", b"2"),
            (b"cookie", b"y=2"),
            (b"cookie", b"z=3"),
            (b"a", b"3"),
        ]
        got = [(name, value) for name, value in request([*GET, *crumbs]).headers]
        self.assertEqual(got[1:], [(b"a", b"1"), (b"cookie", b"x=1; y=2; z=3"), (b"b", b"2"), (b"a", b"3")])

    def test_one_content_length(self) -> None:
        head = request([*POST, (b"content-length", b"5"), (b"a", b"b"), (b"content-length", b"5")], False)
        self.assertEqual((head.length, head.headers.get_all(b"content-length")), (5, [b"5"]))

    def test_lengths(self) -> None:
        self.assertIsNone(request(POST, False).length)
        self.assertEqual(request(POST, True).length, 0)
        self.assertEqual(request([*POST, (b"content-length", b"0")], False).length, 0)
        self.assertRaises(Malformed, request, [*POST, (b"content-length", b"1")], True)

    def test_expect(self) -> None:
        pairs = [*POST, (b"expect", b"100-Continue")]
        self.assertTrue(request(pairs, False).expect_continue)
        self.assertFalse(request(pairs, True).expect_continue)

    def test_extended_connect(self) -> None:
        head = request(CONNECT, False)
        self.assertEqual((head.method, head.path, head.upgrade, head.length), ("GET", "/", (b"websocket",), None))
        with self.assertRaises(Malformed):
            read_request(CONNECT, Http2Limits(extended_connect=False), Http1Limits())

    def test_connect_where_it_is_named(self) -> None:
        http1 = Http1Limits(methods=frozenset({"CONNECT"}))
        head = request([(b":method", b"CONNECT"), (b":authority", b"a:443")], False, http1)
        self.assertEqual((head.method, head.target, head.path, head.port), ("CONNECT", "a:443", "/", 443))
        self.assertRaises(Refused, request, [(b":method", b"CONNECT"), (b":authority", b"a")], False, http1)

    def test_options_of_everything(self) -> None:
        self.assertEqual(request([(b":method", b"OPTIONS"), *GET[1:3], (b":path", b"*")]).path, "*")

    def test_path_policy(self) -> None:
        pairs = [*GET[:3], (b":path", b"/a%2Fb")]
        self.assertEqual(request(pairs, http1=Http1Limits(escaped_slashes="redirect")).redirect, "/a/b")
        self.assertEqual(request(pairs, http1=Http1Limits(escaped_slashes="keep")).path, "/a%2Fb")

    def test_caps_are_exact(self) -> None:
        """At the cap is in, one more is out."""
        fields: Pairs = [(b"a", b"")] * 100
        request([*GET, *fields])
        self.assertRaises(Refused, request, [*GET, *fields, (b"a", b"")])
        request([*GET, (b"a", b"x" * (8192 - 3))])
        self.assertRaises(Refused, request, [*GET, (b"a", b"x" * (8192 - 2))])
        used = sum(len(name) + len(value) for name, value in GET)
        room = 16384 - used
        fill = [(b"a", b"x" * 7999), (b"a", b"x" * 4999), (b"a", b"x" * (room - 13001))]
        request([*GET, *fill])
        self.assertRaises(Refused, request, [*GET, *fill[:2], (b"a", fill[2][1] + b"x")])

    def test_copies_do_not_share_their_lists(self) -> None:
        template = read_request([*GET, (b"a", b"b")], Http2Limits(), Http1Limits())
        one, other = copy_request(template, True), copy_request(template, False)
        one.headers.set(b"X", b"y")
        self.assertNotIn(b"x", other.headers)
        self.assertNotIn(b"x", template.headers)
        self.assertEqual((one.length, other.length, template.length), (0, None, None))


class ResponseTests(SynchronousTestCase):
    """:status and fields to a head."""

    def test_parts(self) -> None:
        head = read_response(
            [*OK, (b"server", b"x"), (b"set-cookie", b"a"), (b"set-cookie", b"b"), (b"x_y", b"z")],
            CLIENT_LIMITS,
            RESPONSE_LIMITS,
        )
        self.assertEqual(
            (head.status, head.reason, head.version, head.length, head.keep_alive), (200, b"", "2", None, True)
        )
        self.assertEqual(head.headers.get_all(b"set-cookie"), [b"a", b"b"])
        self.assertNotIn(b":status", head.headers)
        copy = copy_response(head, 3)
        copy.headers.remove(b"server")
        self.assertEqual((copy.length, head.length), (3, None))
        self.assertIn(b"server", head.headers)

    def test_lengths(self) -> None:
        for status, value, length in (
            (b"200", b"5", 5),
            (b"204", b"5", 0),
            (b"103", b"5", 0),
            (b"404", b"0", 0),
            (b"304", b"7", 7),
        ):
            pairs = [(b":status", status), (b"content-length", value), (b"content-length", value)]
            head = read_response(pairs, CLIENT_LIMITS, RESPONSE_LIMITS)
            self.assertEqual(head.length, length, status)
            kept = [] if status in (b"204", b"103") else [value]
            self.assertEqual(head.headers.get_all(b"content-length"), kept, status)

    def test_refused(self) -> None:
        for pairs, reason in (
            ([], "bad_status"), ([(b"a", b"b")], "bad_status"), ([(b":status", b"20")], "bad_status"),
            ([(b":status", b"2000")], "bad_status"), ([(b":status", b"999")], "bad_status"), ([(b":status", b"099")], "bad_status"),
            ([(b":status", b"2\xb20")], "bad_status"),
            ([(b":status", b"+20")], "bad_status"), ([(b":status", b"101")], "unasked_101"),
            ([*OK, *OK], "h2_bad_pseudo"), ([*OK, (b":path", b"/")], "h2_bad_pseudo"), ([(b"a", b"b"), *OK], "h2_bad_pseudo"),
            ([*OK, (b"connection", b"close")], "h2_connection_field"), ([*OK, (b"A", b"b")], "h2_uppercase_name"),
            ([*OK, (b"a", b"b\r\nc")], "bare_cr"), ([*OK, (b"content-length", b"x")], "bad_content_length"),
            ([*OK, (b"content-length", b"1"), (b"content-length", b"2")], "duplicate_content_length"),
            ([*OK, *[(b"a", b"b")] * 201], "too_many_fields"), ([*OK, *[(b"a", b"b" * 9000)] * 4], "head_too_large"),
        ):  # fmt: skip
            with self.assertRaises(Refused) as caught:
                read_response(pairs, CLIENT_LIMITS, RESPONSE_LIMITS)
            self.assertEqual(caught.exception.reason, reason, pairs[:4])


class TrailerTests(SynchronousTestCase):
    """The same filter as behind a chunked body."""

    def test_filter(self) -> None:
        pairs = [(b"grpc-status", b"0"), (b"content-length", b"5"), (b"x", b"y"), (b"set-cookie", b"a")]
        self.assertEqual(
            [field[0] for field in read_trailers(pairs, RESPONSE_LIMITS, RESPONSE_FIELDS)], [b"grpc-status", b"x"]
        )
        self.assertEqual(read_trailers(pairs, Http1Limits(), REQUEST_FIELDS), ())
        some = Http1Limits(trailers_allowed=frozenset({b"x", b"content-length"}))
        self.assertEqual(read_trailers(pairs, some, REQUEST_FIELDS), ((b"x", b"x", b"y"),))

    def test_caps(self) -> None:
        read_trailers([(b"a", b"")] * 100, Http1Limits(), REQUEST_FIELDS)
        self.assertRaises(Refused, read_trailers, [(b"a", b"")] * 101, Http1Limits(), REQUEST_FIELDS)
        self.assertRaises(Refused, read_trailers, [(b"a", b"x" * 8192)], Http1Limits(), REQUEST_FIELDS)
