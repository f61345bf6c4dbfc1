"""What the codecs do between and around messages; single messages are in test_http1_tables."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from edgegw.testing.feeding import describe, feed, feed_three_ways
from edgegw.wire.events import END, UNTIL_CLOSE, End, Event, RequestHead, ResponseHead, Violation
from edgegw.wire.http1 import METHODS, Http1Limits, RequestCodec, ResponseCodec
from tests.wire.tables import CHUNKED, OK, G, P

LIMITS = Http1Limits()
UPGRADE = G + b"Connection: Upgrade\r\nUpgrade: websocket\r\n"


def request_codec() -> RequestCodec:
    return RequestCodec(LIMITS)


def head_of(data: bytes, limits: Http1Limits = LIMITS) -> RequestHead:
    event = feed_three_ways(lambda: RequestCodec(limits), data)[0]
    assert isinstance(event, RequestHead), event
    return event


def kinds(events: list[Event]) -> list[str]:
    return [type(event).__name__ for event in events]


def only_violation(events: list[Event]) -> tuple[int, str]:
    (event,) = events
    assert isinstance(event, Violation), event
    return event.status, event.reason


class RequestHeadTests(SynchronousTestCase):
    """What a head says."""

    def test_everything(self) -> None:
        head = head_of(
            b"PUT /a/./b?x=%zz HTTP/1.1\r\nhOsT: A.Example.:8080\r\nX-Two:  b c \t\r\nx-two:\r\nContent-Length: 03\r\n\r\nabc"
        )
        self.assertEqual((head.method, head.target, head.path, head.query), ("PUT", "/a/./b?x=%zz", "/a/b", "x=%zz"))
        self.assertEqual((head.authority, head.host, head.port), (b"A.Example.:8080", "a.example", 8080))
        self.assertEqual((head.version, head.length, head.keep_alive), ("1.1", 3, True))
        self.assertEqual(
            head.headers.fields,
            [
                (b"host", b"hOsT", b"A.Example.:8080"),
                (b"x-two", b"X-Two", b"b c"),
                (b"x-two", b"x-two", b""),
                (b"content-length", b"Content-Length", b"03"),
            ],
        )

    def test_query_forms(self) -> None:
        for target, path, query in (
            (b"/?", "/", ""),
            (b"/", "/", None),
            (b"/a?b?c", "/a", "b?c"),
            (b"/%61?%61", "/a", "%61"),
        ):
            head = head_of(b"GET " + target + b" HTTP/1.1\r\nHost: a\r\n\r\n")
            self.assertEqual((head.path, head.query), (path, query), target)

    def test_absolute_form(self) -> None:
        for target, path, query in (
            (b"http://a", "/", None),
            (b"http://a?q", "/", "q"),
            (b"HTTPS://A:443/%2e/x?y", "/x", "y"),
        ):
            head = head_of(b"GET " + target + b" HTTP/1.1\r\nHost: a\r\n\r\n")
            self.assertEqual((head.path, head.query, head.host, head.authority), (path, query, "a", b"a"), target)
        head = head_of(b"GET http://a:81/x HTTP/1.0\r\n\r\n")
        self.assertEqual((head.authority, head.host, head.port), (b"a:81", "a", 81))
        self.assertEqual(head_of(b"OPTIONS http://a HTTP/1.1\r\nHost: a\r\n\r\n").path, "*")

    def test_asterisk(self) -> None:
        self.assertEqual(head_of(b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n").path, "*")

    def test_http10(self) -> None:
        head = head_of(b"GET / HTTP/1.0\r\n\r\n")
        self.assertEqual(
            (head.version, head.authority, head.host, head.port, head.keep_alive), ("1.0", b"", "", None, False)
        )
        self.assertTrue(head_of(b"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n").keep_alive)
        self.assertFalse(head_of(b"GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n").keep_alive)

    def test_keep_alive(self) -> None:
        for value, keep_alive in (
            (b"close", False),
            (b"close,foo", False),
            (b"foo, Close", False),
            (b"keep-alive", True),
            (b"x", True),
        ):
            self.assertEqual(head_of(G + b"Connection: " + value + b"\r\n\r\n").keep_alive, keep_alive, value)
        self.assertFalse(head_of(G + b"Connection: x\r\nX: y\r\nConnection: close\r\n\r\n").keep_alive)

    def test_expect(self) -> None:
        expect = b"Expect: 100-continue\r\n"
        self.assertTrue(head_of(P + expect + b"Content-Length: 1\r\n\r\na").expect_continue)
        self.assertTrue(head_of(P + expect + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n").expect_continue)
        self.assertFalse(head_of(P + expect + b"\r\n").expect_continue)
        self.assertFalse(
            head_of(b"POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\na").expect_continue
        )

    def test_upgrade(self) -> None:
        self.assertEqual(head_of(UPGRADE + b"\r\n").upgrade, (b"websocket",))
        self.assertEqual(head_of(G + b"Upgrade: websocket\r\n\r\n").upgrade, ())
        self.assertEqual(head_of(G + b"Connection: upgrade\r\n\r\n").upgrade, ())
        self.assertEqual(head_of(G + b"Connection: upgrade\r\nUpgrade: h2c\r\n\r\n").upgrade, ())
        self.assertEqual(
            head_of(G + b"Connection: upgrade\r\nUpgrade: H2C, WebSocket\r\n\r\n").upgrade, (b"websocket",)
        )
        self.assertEqual(head_of(b"GET / HTTP/1.0\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n").upgrade, ())

    def test_escaped_slashes(self) -> None:
        data = b"GET /a%2fb HTTP/1.1\r\nHost: a\r\n\r\n"
        head = head_of(data, Http1Limits(escaped_slashes="redirect"))
        self.assertEqual((head.path, head.redirect), ("/a/b", "/a/b"))
        head = head_of(data, Http1Limits(escaped_slashes="keep"))
        self.assertEqual((head.path, head.redirect), ("/a%2Fb", None))

    def test_more_methods_and_protected_fields(self) -> None:
        limits = Http1Limits(methods=METHODS | {"PROPFIND", "TRACE"}, protected=frozenset({b"x-user"}))
        self.assertEqual(head_of(b"PROPFIND / HTTP/1.1\r\nHost: a\r\n\r\n", limits).method, "PROPFIND")
        self.assertEqual(head_of(b"TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", limits).method, "TRACE")
        events = RequestCodec(limits).receive(G + b"Connection: X-User\r\n\r\n")
        self.assertEqual(only_violation(events), (400, "connection_names_protected"))

    def test_a_refusal_carries_the_request_line(self) -> None:
        for data in (b"GET /a?b HTTP/1.1\r\nHost: a b\r\n\r\n", b"GET /a?b HTTP/1.1\r\nHost\x00"):
            event = request_codec().receive(data)[0]
            assert isinstance(event, Violation)
            self.assertEqual((event.method, event.target), ("GET", "/a?b"))

    def test_tls_inside_tls_is_rubbish(self) -> None:
        hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"
        self.assertEqual(only_violation(request_codec().receive(hello)), (400, "tls_on_plain_port"))
        self.assertEqual(only_violation(RequestCodec(LIMITS, secure=True).receive(hello)), (400, "control_byte"))


class RequestSequenceTests(SynchronousTestCase):
    """More than one request on a connection."""

    def test_pipelined(self) -> None:
        data = G + b"\r\n" + P + b"Content-Length: 2\r\n\r\nab" + CHUNKED + b"1\r\nc\r\n0\r\n\r\n" + G + b"X: 1\r\n\r\n"
        events = feed_three_ways(request_codec, data)
        self.assertEqual(
            kinds(events),
            ["RequestHead", "End", "RequestHead", "bytes", "End", "RequestHead", "bytes", "End", "RequestHead", "End"],
        )
        self.assertEqual([event for event in events if isinstance(event, bytes)], [b"ab", b"c"])

    def test_nothing_is_read_after_close(self) -> None:
        codec = request_codec()
        events = codec.receive(G + b"Connection: close,foo\r\n\r\n" + G + b"\r\n")
        self.assertEqual(kinds(events), ["RequestHead", "End"])
        self.assertEqual(codec.receive(G + b"\r\n"), [])
        self.assertEqual(codec.receive_eof(), [])

    def test_a_refused_request_comes_behind_good_ones(self) -> None:
        events = feed_three_ways(request_codec, G + b"\r\n" + G + b"Host: b\r\n\r\n")
        self.assertEqual(kinds(events), ["RequestHead", "End", "Violation"])

    def test_body_data_comes_before_its_refusal(self) -> None:
        events = feed_three_ways(request_codec, CHUNKED + b"1\r\na\r\nzz\r\n")
        self.assertEqual(kinds(events), ["RequestHead", "bytes", "Violation"])

    def test_a_blank_line_between_requests(self) -> None:
        events = feed_three_ways(request_codec, b"\r\n" + G + b"\r\n\r\n" + G + b"\r\n")
        self.assertEqual(kinds(events), ["RequestHead", "End"] * 2)

    def test_a_line_feed_behind_a_body_that_ends_with_cr(self) -> None:
        events = feed_three_ways(request_codec, P + b"Content-Length: 1\r\n\r\n\r" + b"\n" + G + b"\r\n")
        self.assertEqual(kinds(events), ["RequestHead", "bytes", "End", "Violation"])
        assert isinstance(events[-1], Violation)
        self.assertEqual(events[-1].reason, "bare_lf")

    def test_deadline_hooks(self) -> None:
        codec = request_codec()
        self.assertEqual((codec.idle, codec.head_bytes_pending), (True, 0))
        codec.receive(b"POST")
        self.assertEqual((codec.idle, codec.head_bytes_pending), (False, 4))
        codec.receive(P[4:] + b"Content-Length: 2\r\n\r\na")
        self.assertEqual((codec.idle, codec.head_bytes_pending), (False, 0))
        codec.receive(b"a")
        self.assertEqual((codec.idle, codec.head_bytes_pending), (True, 0))
        codec.receive(b"\r\n")
        self.assertEqual((codec.idle, codec.head_bytes_pending), (True, 0))
        codec.receive(b"G")
        self.assertEqual((codec.idle, codec.head_bytes_pending), (False, 1))

    def test_eof(self) -> None:
        for data, expected in (
            (b"", None),
            (G + b"\r\n", None),
            (b"GET", "truncated_head"),
            (P + b"Content-Length: 2\r\n\r\na", "truncated_body"),
            (CHUNKED + b"1\r\na\r\n", "truncated_body"),
            (CHUNKED + b"1\r\na\r\n0\r\n", "truncated_body"),
        ):
            codec = request_codec()
            codec.receive(data)
            events = codec.receive_eof()
            self.assertEqual(only_violation(events) if events else None, (400, expected) if expected else None, data)
            self.assertEqual(codec.receive(G + b"\r\n"), [])

    def test_length_bodies_pass_untouched(self) -> None:
        codec = request_codec()
        codec.receive(P + b"Content-Length: 1000000\r\n\r\n")
        data = b"x" * 65536
        (event,) = codec.receive(data)
        self.assertIs(event, data)
        self.assertEqual(codec.receive(b""), [])

    def test_small_chunks_of_one_read_are_one_event(self) -> None:
        events = request_codec().receive(CHUNKED + b"1\r\na\r\n" * 1000)
        self.assertEqual(events[1:], [b"a" * 1000])

    def test_repr_tells_the_state(self) -> None:
        codec = request_codec()
        codec.receive(P + b"Content-Length: 10\r\n\r\nabc")
        self.assertEqual(repr(codec), "<RequestCodec length body left=7 buffered=0>")


class UpgradeTests(SynchronousTestCase):
    """llhttp's trap (twisted.md 1.4): bytes behind an upgrade request, above all a body, must never become a request."""

    SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"

    def test_bytes_behind_are_held(self) -> None:
        codec = request_codec()
        events = codec.receive(UPGRADE + b"\r\n" + self.SMUGGLED)
        self.assertEqual(kinds(events), ["RequestHead", "End"])
        self.assertTrue(codec.held)
        self.assertEqual(codec.receive(b"more"), [])
        self.assertEqual(codec.release(), self.SMUGGLED + b"more")
        self.assertEqual(codec.receive(self.SMUGGLED), [])

    def test_declined(self) -> None:
        codec = request_codec()
        codec.receive(UPGRADE + b"\r\n" + self.SMUGGLED)
        events = codec.decline_upgrade()
        self.assertEqual(kinds(events), ["RequestHead", "End"])
        assert isinstance(events[0], RequestHead)
        self.assertEqual(events[0].path, "/smuggled")
        self.assertTrue(codec.idle)
        self.assertEqual(codec.decline_upgrade(), [])

    def test_declined_and_closing(self) -> None:
        codec = request_codec()
        codec.receive(G + b"Connection: upgrade, close\r\nUpgrade: x\r\n\r\n" + self.SMUGGLED)
        self.assertEqual(codec.decline_upgrade(), [])

    def test_a_body_is_a_body(self) -> None:
        for framing in (
            b"Content-Length: %d\r\n\r\n" % len(self.SMUGGLED) + self.SMUGGLED,
            b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % len(self.SMUGGLED) + self.SMUGGLED + b"\r\n0\r\n\r\n",
        ):
            data = UPGRADE + framing
            events = feed_three_ways(request_codec, data, trailing=self.SMUGGLED)
            self.assertEqual(events[1:], [self.SMUGGLED, END])
            codec = request_codec()
            self.assertEqual(kinds(feed(codec, [data, b"tail"])), ["RequestHead", "bytes", "End"])
            self.assertEqual(codec.release(), b"tail")

    def test_h2c_is_an_ordinary_request(self) -> None:
        data = G + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n"
        self.assertEqual(kinds(request_codec().receive(data + G + b"\r\n")), ["RequestHead", "End"] * 2)

    def test_connect(self) -> None:
        limits = Http1Limits(methods=METHODS | {"CONNECT"})
        codec = RequestCodec(limits)
        head, _ = codec.receive(b"CONNECT b:443 HTTP/1.1\r\nHost: b:443\r\n\r\n\x16\x03\x01")
        assert isinstance(head, RequestHead)
        self.assertEqual((head.method, head.authority, head.host, head.port), ("CONNECT", b"b:443", "b", 443))
        self.assertEqual(codec.release(), b"\x16\x03\x01")
        for target, host, reason in (
            (b"b", b"b", "bad_target"),
            (b"/", b"b", "bad_target"),
            (b"b:443", b"c", "host_mismatch"),
        ):
            events = RequestCodec(limits).receive(b"CONNECT " + target + b" HTTP/1.1\r\nHost: " + host + b"\r\n\r\n")
            self.assertEqual(only_violation(events), (400, reason))

    def test_held_bytes_are_bounded(self) -> None:
        codec = request_codec()
        codec.receive(UPGRADE + b"\r\n")
        self.assertEqual(codec.receive(b"x" * 65536), [])
        self.assertEqual(only_violation(codec.receive(b"x")), (400, "held_overflow"))

    def test_release_without_a_switch_is_a_bug(self) -> None:
        codec = request_codec()
        codec.receive(G + b"\r\n")
        self.assertRaises(RuntimeError, codec.release)
        self.assertEqual(codec.decline_upgrade(), [])

    def test_eof_while_held(self) -> None:
        codec = request_codec()
        codec.receive(UPGRADE + b"\r\nabc")
        self.assertEqual(codec.receive_eof(), [])
        self.assertEqual(codec.release(), b"abc")


class TrailerTests(SynchronousTestCase):
    """Which trailers are passed on."""

    DATA = CHUNKED + b"1\r\na\r\n0\r\nX-Sum: 1\r\nHost: evil\r\nContent-Length: 9\r\nX-Other: 2\r\n\r\n"

    def trailers(self, allowed: frozenset[bytes] | None) -> tuple[tuple[bytes, bytes, bytes], ...]:
        end = feed_three_ways(lambda: RequestCodec(Http1Limits(trailers_allowed=allowed)), self.DATA)[-1]
        assert isinstance(end, End)
        return end.trailers

    def test_none_by_default(self) -> None:
        self.assertEqual(self.trailers(frozenset()), ())

    def test_allow_list(self) -> None:
        self.assertEqual(self.trailers(frozenset({b"x-sum"})), ((b"x-sum", b"X-Sum", b"1"),))

    def test_what_frames_or_routes_never_passes(self) -> None:
        self.assertEqual(self.trailers(frozenset({b"host", b"content-length"})), ())
        self.assertEqual([field[0] for field in self.trailers(None)], [b"x-sum", b"x-other"])


def answered(data: bytes, method: str = "GET", upgrade: bool = False) -> tuple[ResponseCodec, list[Event]]:
    def make() -> ResponseCodec:
        codec = ResponseCodec()
        codec.expect(method, upgrade)
        return codec

    whole = feed_three_ways(make, data, trailing=b"")
    codec = make()
    assert [describe(event) for event in feed(codec, [data])] == [describe(event) for event in whole]
    return codec, whole


class ResponseTests(SynchronousTestCase):
    """Framing, reuse and the end of responses."""

    def test_lengths(self) -> None:
        for method, data, length, rest in (
            ("GET", OK + b"Content-Length: 2\r\n\r\nab", 2, [b"ab", END]),
            ("GET", OK + b"Content-Length: 0\r\n\r\n", 0, [END]),
            ("HEAD", OK + b"Content-Length: 2\r\n\r\n", 0, [END]),
            ("HEAD", OK + b"Transfer-Encoding: chunked\r\n\r\n", 0, [END]),
            ("HEAD", OK + b"\r\n", 0, [END]),
            ("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\n\r\n", 0, [END]),
            ("GET", b"HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\n", 0, [END]),
            ("GET", b"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n", 0, [END]),
            ("GET", OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n", None, [b"ab", END]),
            ("GET", b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nab", 2, [b"ab", END]),
        ):
            codec, events = answered(data, method)
            head = events[0]
            assert isinstance(head, ResponseHead)
            self.assertEqual((head.length, events[1:]), (length, rest), data)
            self.assertTrue(codec.reusable, data)

    def test_a_length_is_kept_for_head_and_304_but_not_for_204(self) -> None:
        for method, status, kept in (("HEAD", b"200 OK", True), ("GET", b"304 N", True), ("GET", b"204 N", False)):
            _, events = answered(b"HTTP/1.1 " + status + b"\r\nContent-Length: 2\r\n\r\n", method)
            assert isinstance(events[0], ResponseHead)
            self.assertEqual(b"content-length" in events[0].headers, kept)

    def test_until_close(self) -> None:
        codec, events = answered(OK + b"\r\nabc")
        assert isinstance(events[0], ResponseHead)
        self.assertEqual((events[0].length, events[0].keep_alive, events[1:]), (UNTIL_CLOSE, False, [b"abc"]))
        self.assertEqual(codec.receive(b"def"), [b"def"])
        self.assertEqual(codec.receive_eof(), [END])
        self.assertFalse(codec.reusable)
        self.assertEqual(codec.receive_eof(), [])

    def test_connection_close(self) -> None:
        for field in (
            b"Connection: close\r\n",
            b"Connection: foo, close\r\n",
            b"Connection: keep-alive\r\nConnection: close\r\n",
        ):
            codec, events = answered(OK + field + b"Content-Length: 0\r\n\r\n")
            assert isinstance(events[0], ResponseHead)
            self.assertFalse(events[0].keep_alive)
            self.assertFalse(codec.reusable)
        codec, _ = answered(b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n")
        self.assertFalse(codec.reusable)

    def test_many_on_one_connection(self) -> None:
        codec = ResponseCodec()
        for method in ("GET", "HEAD", "POST"):
            codec.expect(method)
            self.assertFalse(codec.reusable)
            events = codec.receive(OK + b"Content-Length: 1\r\n\r\n" + (b"" if method == "HEAD" else b"a"))
            self.assertEqual(events[-1], END)
            self.assertTrue(codec.reusable)

    def test_extra_bytes_in_the_same_read(self) -> None:
        for method, data in (
            ("GET", OK + b"Content-Length: 1\r\n\r\nab"),
            ("HEAD", OK + b"Content-Length: 1\r\n\r\na"),
        ):
            codec = ResponseCodec()
            codec.expect(method)
            self.assertEqual(codec.receive(data)[-1], END)
            self.assertTrue(codec.extra_data)
            self.assertFalse(codec.reusable)
            self.assertRaises(RuntimeError, codec.expect, "GET")

    def test_extra_bytes_in_a_later_read(self) -> None:
        codec, _ = answered(OK + b"Content-Length: 0\r\n\r\n")
        self.assertEqual(only_violation(codec.receive(OK)), (502, "unsolicited_data"))
        self.assertFalse(codec.reusable)

    def test_bytes_before_any_request(self) -> None:
        self.assertEqual(only_violation(ResponseCodec().receive(b"H")), (502, "unsolicited_data"))

    def test_informational(self) -> None:
        codec, events = answered(
            b"HTTP/1.1 100 Continue\r\nContent-Length: 5\r\n\r\nHTTP/1.1 103 Early\r\nLink: <a>\r\n\r\n"
            + OK
            + b"Content-Length: 0\r\n\r\n"
        )
        self.assertEqual([event.status for event in events if isinstance(event, ResponseHead)], [100, 103, 200])
        self.assertEqual(kinds(events), ["ResponseHead"] * 3 + ["End"])
        assert isinstance(events[0], ResponseHead)
        self.assertNotIn(b"content-length", events[0].headers)
        self.assertTrue(codec.reusable)

    def test_asked_101(self) -> None:
        codec, events = answered(b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\n\r\n\x81\x00HTTP/1.1", upgrade=True)
        self.assertEqual(kinds(events), ["ResponseHead"])
        self.assertEqual(codec.release(), b"\x81\x00HTTP/1.1")
        self.assertEqual(codec.receive(b"x"), [])
        self.assertFalse(codec.reusable)

    def test_declined_upgrade_is_an_ordinary_answer(self) -> None:
        codec, events = answered(b"HTTP/1.1 403 No\r\nContent-Length: 1\r\n\r\na", upgrade=True)
        self.assertEqual(events[1:], [b"a", END])
        self.assertRaises(RuntimeError, codec.release)

    def test_connect(self) -> None:
        codec, _ = answered(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n\x16\x03", method="CONNECT")
        self.assertEqual(codec.release(), b"\x16\x03")
        codec, events = answered(b"HTTP/1.1 403 No\r\nContent-Length: 1\r\n\r\na", method="CONNECT")
        self.assertEqual(events[1:], [b"a", END])

    def test_trailers(self) -> None:
        data = (
            OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\ngrpc-status: 0\r\nSet-Cookie: a=b\r\nContent-Type: x\r\n\r\n"
        )
        _, events = answered(data)
        end = events[-1]
        assert isinstance(end, End)
        self.assertEqual(end.trailers, ((b"grpc-status", b"grpc-status", b"0"),))

    def test_eof(self) -> None:
        for data, reason in (
            (b"", "closed_before_response"),
            (b"HTTP/1.1 2", "truncated_head"),
            (b"HTTP/1.1 100 Continue\r\n\r\n", "truncated_head"),
            (OK + b"Content-Length: 2\r\n\r\na", "truncated_body"),
            (OK + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n", "truncated_body"),
        ):
            codec, _ = answered(data)
            self.assertEqual(only_violation(codec.receive_eof()), (502, reason), data)
            self.assertFalse(codec.reusable)

    def test_eof_while_idle(self) -> None:
        codec = ResponseCodec()
        self.assertEqual(codec.receive_eof(), [])
        self.assertFalse(codec.reusable)

    def test_expecting_twice_is_a_bug(self) -> None:
        codec = ResponseCodec()
        codec.expect("GET")
        self.assertRaises(RuntimeError, codec.expect, "GET")
