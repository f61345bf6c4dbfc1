"""A request head from its lines, without a codec: status and reason of each refusal, and which one comes first."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from edgegw.wire.events import RequestHead
from edgegw.wire.http1_fields import Refused
from edgegw.wire.http1_limits import METHODS, Http1Limits
from edgegw.wire.http1_request import build_request, parse_request_line

LIMITS = Http1Limits()


def line(text: bytes, limits: Http1Limits = LIMITS) -> object:
    """The three words, or (status, reason)."""
    try:
        return parse_request_line(text, limits)
    except Refused as error:
        return error.status, error.reason


def build(*lines: bytes, first: bytes = b"GET / HTTP/1.1", limits: Http1Limits = LIMITS) -> RequestHead:
    return build_request(first, list(lines), sum(map(len, lines)), limits)


class RequestLineTests(SynchronousTestCase):
    """Three words with one space between them."""

    def test_accepted(self) -> None:
        self.assertEqual(line(b"GET /a?b HTTP/1.1"), ("GET", "/a?b", "1.1"))
        self.assertEqual(line(b"QUERY * HTTP/1.0"), ("QUERY", "*", "1.0"))
        self.assertEqual(line(b"GET /\xe9 HTTP/1.1"), ("GET", "/\xe9", "1.1"))

    def test_refused(self) -> None:
        for text, status, reason in (
            (b"", 400, "malformed_request_line"),
            (b"GET", 400, "malformed_request_line"),
            (b"get  HTTP/1.1", 400, "malformed_request_line"),
            (b"GET /a b HTTP/1.1", 400, "malformed_request_line"),
            (b"GET x", 400, "malformed_request_line"),
            (b"G\xe9T /", 400, "malformed_request_line"),
            (b"GET /", 400, "http09_request"),
            (b"PRI * HTTP/2.0", 400, "http2_preface"),
            (b"PRI / HTTP/2.0", 505, "version_not_supported"),
            (b" / HTTP/1.1", 400, "bad_method"),
            (b"G(T / HTTP/9.9", 400, "bad_method"),
            (b"G\xe9T / HTTP/1.1", 400, "bad_method"),
            (b"GET / HTTP/0.9", 505, "version_not_supported"),
            (b"GET / HTTP/1.1x", 400, "bad_version"),
            (b"GET / HTTP/1,1", 400, "bad_version"),
            (b"GET / ", 400, "bad_version"),
            (b"TRACE / HTTP/1.1", 405, "trace_refused"),
            (b"CONNECT a:1 HTTP/1.1", 405, "connect_method_refused"),
            (b"Get / HTTP/1.1", 501, "unknown_method"),
        ):
            self.assertEqual(line(text), (status, reason), text)

    def test_length_of_the_target(self) -> None:
        limits = Http1Limits(target=5)
        self.assertEqual(line(b"GET /1234 HTTP/1.1", limits), ("GET", "/1234", "1.1"))
        self.assertEqual(line(b"GET /12345 HTTP/1.1", limits), (414, "target_too_long"))

    def test_methods_are_those_of_the_limits(self) -> None:
        only = Http1Limits(methods=frozenset({"TRACE"}))
        self.assertEqual(line(b"TRACE / HTTP/1.1", only), ("TRACE", "/", "1.1"))
        self.assertEqual(line(b"GET / HTTP/1.1", only), (501, "unknown_method"))


class BuildTests(SynchronousTestCase):
    """A head from a request line and its fields."""

    def refusal(self, *lines: bytes, first: bytes = b"GET / HTTP/1.1", limits: Http1Limits = LIMITS) -> str:
        with self.assertRaises(Refused) as caught:
            build(*lines, first=first, limits=limits)
        reason: str = caught.exception.reason
        return reason

    def test_the_quick_path_and_the_careful_one_agree(self) -> None:
        """A target that is normal already is not taken apart again; the answer must not show it."""
        for target, path, query in (
            ("/a", "/a", None),
            ("/a?", "/a", ""),
            ("/%61?b", "/a", "b"),
            ("/./a?b", "/a", "b"),
        ):
            head = build(b"Host: h", first=f"GET {target} HTTP/1.1".encode())
            self.assertEqual((head.target, head.path, head.query, head.redirect), (target, path, query, None))

    def test_host(self) -> None:
        self.assertEqual(self.refusal(), "missing_host")
        self.assertEqual(self.refusal(b"Host: a", b"X: 1", b"hOST: a"), "duplicate_host")
        self.assertEqual(self.refusal(b"Host: a", b"Host: a", first=b"GET / HTTP/1.0"), "duplicate_host")
        self.assertEqual(self.refusal(b"Host: a b"), "bad_host")
        head = build(b"Host: B.:81")
        self.assertEqual((head.authority, head.host, head.port), (b"B.:81", "b", 81))
        head = build(first=b"GET / HTTP/1.0")
        self.assertEqual((head.authority, head.host, head.port), (b"", "", None))

    def test_a_target_names_the_host_where_http10_does_not(self) -> None:
        head = build(first=b"GET http://a:81/x HTTP/1.0")
        self.assertEqual((head.authority, head.host, head.port, head.path), (b"a:81", "a", 81, "/x"))
        self.assertEqual(self.refusal(first=b"GET http://a/x HTTP/1.1"), "missing_host")

    def test_what_is_wrong_first_is_told(self) -> None:
        """Line, fields, Host, target, framing, connection, expectation: the order in which a head is read."""
        steps = (b"X Y: 1", b"Host: a b", b"Content-Length: x", b"Connection: cookie", b"Expect: x")
        reasons = (
            "bad_field_name",
            "bad_host",
            "bad_content_length",
            "connection_names_protected",
            "unknown_expectation",
        )
        for index, reason in enumerate(reasons):
            rest = steps[index:]
            host = () if index <= 1 else (b"Host: a",)
            self.assertEqual(self.refusal(*host, *rest), reason)
        self.assertEqual(self.refusal(b"X Y: 1", first=b"GET /.. HTTP/2.0"), "version_not_supported")
        self.assertEqual(self.refusal(b"Host: a", b"Content-Length: x", first=b"GET /.. HTTP/1.1"), "path_escapes_root")

    def test_caps(self) -> None:
        limits = Http1Limits(fields=2, field=10)
        build(b"Host: a", b"X: 4567890", limits=limits)
        self.assertEqual(self.refusal(b"Host: a", b"X: 45678901", limits=limits), "field_too_large")
        self.assertEqual(self.refusal(b"Host: a", b"X: 1", b"Y: 1", limits=limits), "too_many_fields")

    def test_an_empty_target_is_none_of_the_four_forms(self) -> None:
        self.assertEqual(self.refusal(b"Host: a", first=b"GET  HTTP/1.1"), "bad_target")

    def test_length(self) -> None:
        for lines, length in (((), 0), ((b"Content-Length: 5",), 5), ((b"Transfer-Encoding: chunked",), None)):
            self.assertEqual(build(b"Host: a", *lines).length, length)

    def test_keep_alive(self) -> None:
        for first, lines, keep_alive in (
            (b"GET / HTTP/1.1", (), True),
            (b"GET / HTTP/1.1", (b"Connection: close",), False),
            (b"GET / HTTP/1.1", (b"Connection: a", b"Connection: Close"), False),
            (b"GET / HTTP/1.0", (), False),
            (b"GET / HTTP/1.0", (b"Connection: keep-alive",), True),
            (b"GET / HTTP/1.0", (b"Connection: keep-alive", b"Connection: close"), False),
        ):
            self.assertEqual(build(b"Host: a", *lines, first=first).keep_alive, keep_alive, (first, lines))

    def test_protected_fields(self) -> None:
        own = Http1Limits(protected=frozenset({b"x-user", b"x-role"}))
        build(b"Host: a", b"Connection: x-user")
        self.assertEqual(self.refusal(b"Host: a", b"Connection: a, X-User", limits=own), "connection_names_protected")
        self.assertEqual(self.refusal(b"Host: a", b"Connection: (", limits=own), "bad_connection")
        with self.assertRaises(Refused) as caught:
            build(b"Host: a", b"Connection: x-user, x-role", limits=own)
        self.assertEqual(caught.exception.detail, "Connection names x-role")

    def test_upgrade(self) -> None:
        for lines, tokens in (
            ((b"Connection: upgrade", b"Upgrade: A , b,,H2C"), (b"a", b"b")),
            ((b"Connection: upgrade", b"Upgrade: a", b"Upgrade: b"), (b"a", b"b")),
            ((b"Connection: upgrade",), ()),
            ((b"Connection: close", b"Upgrade: a"), ()),
        ):
            self.assertEqual(build(b"Host: a", *lines).upgrade, tokens, lines)

    def test_expect(self) -> None:
        expect, length = b"Expect: 100-CONTINUE", b"Content-Length: 1"
        self.assertTrue(build(b"Host: a", expect, length).expect_continue)
        self.assertFalse(build(b"Host: a", expect, b"Content-Length: 0").expect_continue)
        self.assertFalse(build(expect, length, first=b"GET / HTTP/1.0").expect_continue)
        self.assertFalse(build(b"Host: a", length).expect_continue)
        self.assertEqual(self.refusal(b"Host: a", expect, expect), "unknown_expectation")

    def test_the_default_methods_are_all_built(self) -> None:
        for method in METHODS:
            self.assertEqual(build(b"Host: a", first=f"{method} / HTTP/1.1".encode()).method, method)
