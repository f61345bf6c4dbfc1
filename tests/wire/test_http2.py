"""The two roles. Their faults stand in `tables_http2`, their parts are tested beside them."""

from __future__ import annotations

from hpack import Decoder
from twisted.trial.unittest import SynchronousTestCase

from edgegw.errors import GatewayError
from edgegw.wire.events import End, Reset, ResponseHead, StreamEvent, Violation
from edgegw.wire.http1_limits import Http1Limits
from edgegw.wire.http2 import ClientCodec, ServerCodec
from edgegw.wire.http2_limits import Http2Limits
from tests.wire import tables_http2 as t

X = (b"x", b"X", b"y")
BAD = (b"a", b"a", b"x\r\ny: z")


def server(*behind: bytes, http1: Http1Limits = Http1Limits()) -> ServerCodec:
    codec = ServerCodec(Http2Limits(), http1)
    codec.receive(t.OPENING + b"".join(behind), 0.0)
    codec.take()
    return codec


def client(*settings: tuple[int, int]) -> ClientCodec:
    codec = ClientCodec()
    codec.receive(t.settings(*settings), 0.0)
    codec.take()
    return codec


def pairs(payload: bytes) -> list[tuple[bytes, bytes]]:
    return [(bytes(name), bytes(value)) for name, value in Decoder().decode(payload, raw=True)]


class ServerTests(SynchronousTestCase):
    """Requests in, responses out."""

    def test_a_head_that_ends_its_stream(self) -> None:
        codec = ServerCodec(Http2Limits(), Http1Limits())
        (_, head, end) = codec.receive(t.OPENING + t.get(1), 0.0)
        self.assertEqual((head[0], type(head[1]).__name__, end[0], type(end[1])), (1, "RequestHead", 1, End))

    def test_trailers_are_filtered(self) -> None:
        http1 = Http1Limits(trailers_allowed=frozenset({b"a"}))
        trailers = t.headers(1, [(b"a", b"b"), (b"c", b"d"), (b"content-length", b"1")])
        for limits, expected in ((http1, ((b"a", b"a", b"b"),)), (Http1Limits(), ())):
            ((_, end),) = server(t.post(1), http1=limits).receive(trailers, 0.0)
            assert isinstance(end, End)
            self.assertEqual(end.trailers, expected)

    def test_heads(self) -> None:
        codec = server(t.get(1))
        codec.send_informational(1, 103, [(b"link", b"Link", b"</a>")])
        codec.send_head(
            1, 404, [X, (b"connection", b"Connection", b"close"), (b"transfer-encoding", b"T", b"chunked")], True
        )
        one, two = t.frames_of(codec.take())
        self.assertEqual((one[:3], pairs(one[3])), ((t.HEADERS, t.LAST, 1), [(b":status", b"103"), (b"link", b"</a>")]))
        self.assertEqual(
            (two[:3], pairs(two[3])), ((t.HEADERS, t.END | t.LAST, 1), [(b":status", b"404"), (b"x", b"y")])
        )
        self.assertFalse(codec.is_open(1))

    def test_unsafe_heads(self) -> None:
        codec = server(t.get(1))
        for status, fields in (
            (200, [X, BAD]),
            (200, [(b"A", b"A", b"b")]),
            (99, []),
            (101, []),
            (600, []),
            (200, [(b":path", b":path", b"/")]),
        ):
            self.assertRaises(GatewayError, codec.send_head, 1, status, fields)
        for status in (99, 101, 200):
            self.assertRaises(GatewayError, codec.send_informational, 1, status, [])
        self.assertRaises(GatewayError, codec.send_informational, 1, 103, [BAD])
        self.assertEqual((codec.take(), codec.is_open(1)), (b"", True))

    def test_a_large_head_is_continued(self) -> None:
        codec = server(t.get(1))
        codec.send_head(1, 200, [(b"a", b"a", b"x" * 20000)])
        frames = t.frames_of(codec.take())
        self.assertEqual([frame[:3] for frame in frames], [(t.HEADERS, 0, 1), (t.CONTINUATION, t.LAST, 1)])
        self.assertEqual(pairs(frames[0][3] + frames[1][3])[1], (b"a", b"x" * 20000))

    def test_an_answer_before_the_upload_is_done(self) -> None:
        """RFC 9113 8.1: complete, then RST_STREAM NO_ERROR when the rest is not wanted."""
        codec = server(t.post(1))
        codec.send_head(1, 413, [], True)
        self.assertTrue(codec.is_open(1))
        self.assertEqual(len(codec.receive(t.data(1, b"x"), 0.0)), 1)
        codec.reset(1, 0)
        self.assertEqual([frame[0] for frame in t.frames_of(codec.take())], [t.HEADERS, t.RST])
        self.assertEqual(codec.streams, 0)

    def test_a_violation_says_what_was_asked(self) -> None:
        codec = server()
        ((_, event),) = codec.receive(t.headers(1, [*t.GET[:3], (b":path", b"/a b")]), 0.0)
        assert isinstance(event, Violation)
        self.assertEqual((event.method, event.target, event.malformed), ("GET", "/a b", False))

    def test_a_reset_while_the_answer_to_a_spoilt_request_is_sent(self) -> None:
        codec = server(t.headers(1, [*t.GET, (b"A", b"b")]))
        ((sid, event),) = codec.receive(t.rst(1), 0.0)
        self.assertEqual((sid, type(event)), (1, Reset))

    def test_preface(self) -> None:
        for data, reason in (
            (b"GET / HTTP/1.1\r\n", "h2_bad_preface"),
            (b"\x16\x03\x01", "tls_on_plain_port"),
            (t.PREFACE[:23] + b"x", "h2_bad_preface"),
        ):
            codec = ServerCodec(Http2Limits(), Http1Limits())
            ((sid, event),) = codec.receive(data, 0.0)
            assert isinstance(event, Violation)
            self.assertEqual((sid, event.status, event.reason), (0, 400, reason))
        codec = ServerCodec(Http2Limits(), Http1Limits(), True)
        ((_, event),) = codec.receive(b"\x16", 0.0)
        self.assertEqual(event.reason, "h2_bad_preface")  # type: ignore[union-attr]


class RequestTests(SynchronousTestCase):
    """The client's requests."""

    def test_head(self) -> None:
        codec = client()
        fields = [
            X, (b"host", b"Host", b"b"), (b"te", b"TE", b"trailers"), (b"connection", b"C", b"x"), (b"upgrade", b"U", b"h2c"),
            (b"http2-settings", b"H", b"x"), (b"keep-alive", b"K", b"1"), (b"transfer-encoding", b"T", b"chunked"),
        ]  # fmt: skip
        sid = codec.open("POST", b"https", b"a:1", "/p?q", fields)
        ((kind, flags, stream, payload),) = t.frames_of(codec.take())
        self.assertEqual((kind, flags, stream, sid), (t.HEADERS, t.LAST, 1, 1))
        expected = [
            (b":method", b"POST"),
            (b":scheme", b"https"),
            (b":authority", b"a:1"),
            (b":path", b"/p?q"),
            (b"x", b"y"),
            (b"te", b"trailers"),
        ]
        self.assertEqual(pairs(payload), expected)
        self.assertEqual(codec.open("GET", "http", "a", "/", [(b"te", b"te", b"gzip")], True), 3)
        self.assertEqual(t.frames_of(codec.take())[0][1:3], (t.LAST | t.END, 3))

    def test_extended_connect(self) -> None:
        codec = client((8, 1))
        sid = codec.open("GET", "https", b"a", "/chat", [], protocol=b"websocket")
        got = dict(pairs(t.frames_of(codec.take())[0][3]))
        self.assertEqual((got[b":method"], got[b":protocol"], got[b":path"]), (b"CONNECT", b"websocket", b"/chat"))
        ((_, head),) = codec.receive(t.headers(sid, t.OK, t.LAST), 0.0)
        assert isinstance(head, ResponseHead)
        self.assertIsNone(head.length)

    def test_unsafe(self) -> None:
        codec = client()
        for method, scheme, authority, path, fields in (
            ("GET /x", "http", b"a", "/", []), ("", "http", b"a", "/", []), ("GET", "ftp", b"a", "/", []),
            ("GET", "http", b"", "/", []),
            ("GET", "http", b"a b", "/", []), ("GET", "http", b"a", "x", []), ("GET", "http", b"a", "/x y", []),
            ("GET", "http", b"a", "/\r\n", []), ("GET", "http", b"a", "", []), ("GET", "http", b"a", "/\xe4", []),
            ("GET", "http", b"a", "/", [BAD]),
        ):  # fmt: skip
            self.assertRaises(GatewayError, codec.open, method, scheme, authority, path, fields)
        self.assertEqual((codec.take(), codec.streams, codec.open("GET", "http", b"a", "/", [])), (b"", 0, 1))

    def test_ids_run_out(self) -> None:
        codec = client()
        codec._next = 2**31 - 3
        self.assertEqual((codec.capacity, codec.open("GET", "http", b"a", "/", [])), (2, 2**31 - 3))
        self.assertEqual((codec.capacity, codec.open("GET", "http", b"a", "/", [])), (1, 2**31 - 1))
        self.assertEqual(codec.capacity, 0)
        self.assertRaises(RuntimeError, codec.open, "GET", "http", b"a", "/", [])


class ResponseTests(SynchronousTestCase):
    """The client's responses."""

    def say(self, *frames: bytes, method: str = "GET", protocol: bytes | None = None) -> list[StreamEvent]:
        self.codec = client((8, 1))
        self.codec.open(method, "http", b"a", "/", [], protocol is None, protocol)
        self.codec.take()
        return [event for _, event in self.codec.receive(b"".join(frames), 0.0)]

    def refused(self, reason: str, *frames: bytes, method: str = "GET") -> None:
        last = self.say(*frames, method=method)[-1]
        assert isinstance(last, Violation), f"{reason}: {last}"
        self.assertEqual((last.status, last.reason), (502, reason))
        self.assertEqual([frame[0] for frame in t.frames_of(self.codec.take())], [t.RST], reason)
        self.assertEqual(self.codec.streams, 0)

    def test_whole(self) -> None:
        hint = [(b":status", b"103"), (b"link", b"x")]
        early, head, data, end = self.say(
            t.headers(1, hint, t.LAST),
            t.headers(1, [*t.OK, (b"content-length", b"3")], t.LAST),
            t.data(1, b"abc"),
            t.headers(1, [(b"a", b"b")]),
        )
        assert isinstance(early, ResponseHead) and isinstance(head, ResponseHead) and isinstance(end, End)
        self.assertEqual(
            (early.status, head.status, head.length, data, end.trailers), (103, 200, 3, b"abc", ((b"a", b"a", b"b"),))
        )
        self.assertTrue(self.codec.idle)

    def test_lengths(self) -> None:
        five = [*t.OK, (b"content-length", b"5")]
        for frames, method, length in (
            ([t.headers(1, t.OK)], "GET", 0), ([t.headers(1, t.OK, t.LAST)], "GET", None), ([t.headers(1, five)], "HEAD", 0),
            ([t.headers(1, [(b":status", b"304"), five[1]])], "GET", 0), ([t.headers(1, [(b":status", b"204")], t.LAST)], "GET", 0),
            ([t.headers(1, five, t.LAST)], "GET", 5),
        ):  # fmt: skip
            head = self.say(*frames, method=method)[0]
            assert isinstance(head, ResponseHead)
            self.assertEqual(head.length, length, (frames, method))

    def test_refused(self) -> None:
        ok, final = t.headers(1, t.OK, t.LAST), t.headers(1, [*t.OK, (b"content-length", b"5")], t.LAST)
        hint = t.headers(1, [(b":status", b"103")], t.LAST)
        self.refused("h2_length_mismatch", t.headers(1, [*t.OK, (b"content-length", b"5")]))
        self.refused("h2_length_mismatch", final, t.data(1, b"abc", t.END))
        self.refused("h2_length_mismatch", final, t.data(1, b"abcdef"))
        self.refused("h2_length_mismatch", ok, t.data(1, b"a"), method="HEAD")
        self.refused("h2_length_mismatch", t.headers(1, [(b":status", b"204")], t.LAST), t.data(1, b"a"))
        self.refused("h2_data_before_head", t.data(1, b"a"))
        self.refused("h2_data_before_head", hint, t.data(1, b"a"))
        self.refused("h2_bad_informational", t.headers(1, [(b":status", b"103")]))
        self.refused("too_many_informational", hint * 9)
        self.refused("unasked_101", t.headers(1, [(b":status", b"101")], t.LAST))
        self.refused("h2_bad_trailers", ok, ok)
        self.refused("h2_bad_pseudo", ok, t.headers(1, t.OK))
        self.refused("h2_uppercase_name", t.headers(1, [*t.OK, (b"A", b"b")]))
        self.refused("h2_window_exceeded", ok, t.data(1, b"x" * 16384) * 4)

    def test_eight_hints_are_let_through(self) -> None:
        hint = t.headers(1, [(b":status", b"103")], t.LAST)
        self.assertEqual(len(self.say(hint * 8, t.headers(1, t.OK))), 10)

    def test_the_connection(self) -> None:
        for data, code, reason in (
            (t.frame(t.PUSH, t.LAST, 1, b"\0\0\0\x02"), 1, "h2_push_promise"), (t.headers(2, t.OK), 1, "h2_bad_stream_id"),
            (t.headers(3, t.OK), 1, "h2_idle_stream"), (t.data(3, b"x"), 1, "h2_idle_stream"),
            (t.headers(1, t.OK) + t.headers(1, t.OK), 5, "h2_closed_stream"),
        ):  # fmt: skip
            last = self.say(data)[-1]
            assert isinstance(last, Violation)
            self.assertEqual((last.status, last.reason), (502, reason))
            ((kind, _, _, payload),) = t.frames_of(self.codec.take())
            self.assertEqual((kind, payload[:8]), (t.GOAWAY, b"\0\0\0\0\0\0\0" + bytes([code])))

    def test_an_answer_before_the_request_is_done(self) -> None:
        codec = client()
        sid = codec.open("POST", "http", b"a", "/", [])
        self.assertEqual(len(codec.receive(t.headers(sid, t.OK), 0.0)), 2)
        self.assertTrue(codec.is_open(sid))
        ((_, event),) = codec.receive(t.rst(sid, 0), 0.0)
        assert isinstance(event, Reset)
        self.assertEqual((event.code, codec.is_open(sid)), (0, False))
