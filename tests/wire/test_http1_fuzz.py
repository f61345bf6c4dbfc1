"""What holds for every message and for every rubbish: round trips, re-chunking, bounded memory, no exception, and llhttp agrees."""

from __future__ import annotations

import httptools
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from edgegw.testing.feeding import cut, describe, feed, merged
from edgegw.wire import http1_chunked, http1_codec, http1_fields
from edgegw.wire.events import END, UNTIL_CLOSE, End, Event, RequestHead, ResponseHead, Violation
from edgegw.wire.headers import Field, Headers
from edgegw.wire.http1 import Http1Limits, RequestCodec, ResponseCodec
from edgegw.wire.http1_encode import encode_chunk, encode_last_chunk, encode_request_head, encode_response_head
from edgegw.wire.http1_limits import TRAILERS_FORBIDDEN
from edgegw.wire.reasons import REASONS
from tests.wire import tables

LIMITS = Http1Limits(trailers_allowed=None, held=30000)
FRAMING = {b"connection", b"content-length", b"expect", b"host", b"transfer-encoding", b"upgrade"}

TOKENS = st.text("abcXYZ019-.!#$%&'*+^`|~", min_size=1, max_size=8).map(str.encode)
VALUES = st.text("".join(map(chr, [9, *range(32, 127), *range(128, 256)])), max_size=12).map(
    lambda text: text.encode("latin-1").strip(b" \t")
)
NAMES = st.one_of(
    st.sampled_from([b"Accept", b"accept", b"X-A", b"Cookie"]), TOKENS.filter(lambda name: name.lower() not in FRAMING)
)
FIELDS = st.lists(st.tuples(NAMES, VALUES), max_size=6)
CHUNKS = st.lists(st.binary(min_size=1, max_size=40), max_size=6)
TRAILERS = st.lists(st.tuples(TOKENS.filter(lambda name: name.lower() not in TRAILERS_FORBIDDEN), VALUES), max_size=3)
CUTS = st.lists(st.integers(0, 4000), max_size=25)
METHODS = st.sampled_from(["GET", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
RUBBISH = st.sampled_from(
    [b"\r\n", b"\n", b"\r", b"\x00", b" ", b"\t", b":", b";", b",", b"0", b"1", b"ff", b"chunked", b"Content-Length: 3\r\n",
     b"\x0b", b"_", b"Transfer-Encoding: chunked\r\n", b"\xff", b"HTTP/1.0", b"HTTP/1.1",
     b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"Host: b\r\n"]
)  # fmt: skip
SEEDS = st.sampled_from([row.data for row in tables.REQUESTS + tables.UPSTREAM if len(row.data) < 3000])


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    data = draw(st.one_of(SEEDS, st.tuples(SEEDS, SEEDS).map(b"".join), st.binary(max_size=60)))
    for _ in range(draw(st.integers(0, 3))):
        start = draw(st.integers(0, len(data)))
        stop = start + draw(st.integers(0, 4))
        data = data[:start] + draw(st.one_of(RUBBISH, st.binary(max_size=3))) + data[stop:]
    return data


def triples(pairs: list[tuple[bytes, bytes]]) -> list[Field]:
    return Headers.of(pairs).fields


def chunked(chunks: list[bytes], trailers: list[tuple[bytes, bytes]]) -> bytes:
    return b"".join(map(encode_chunk, chunks)) + encode_last_chunk(triples(trailers))


class RoundTripTests(SynchronousTestCase):
    """Encode, cut anywhere, decode."""

    def check(self, events: list[Event], chunks: list[bytes], trailers: list[tuple[bytes, bytes]]) -> None:
        body = b"".join(chunks)
        self.assertEqual(events[1:-1], [body] if body else [])
        end = events[-1]
        assert isinstance(end, End), events
        self.assertEqual([(name, value) for _, name, value in end.trailers], trailers)

    @given(METHODS, FIELDS, CHUNKS, TRAILERS, st.booleans(), CUTS)
    @settings(max_examples=250, deadline=None)
    def test_requests(
        self,
        method: str,
        pairs: list[tuple[bytes, bytes]],
        chunks: list[bytes],
        trailers: list[tuple[bytes, bytes]],
        by_length: bool,
        cuts: list[int],
    ) -> None:
        body = b"".join(chunks)
        framing = (b"Content-Length", b"%d" % len(body)) if by_length else (b"Transfer-Encoding", b"chunked")
        sent = [(b"Host", b"a"), *pairs, framing]
        data = encode_request_head(method, "/a/b?c", triples(sent)) + (body if by_length else chunked(chunks, trailers))
        codec = RequestCodec(LIMITS)
        events = feed(codec, cut(data, cuts))
        head = events[0]
        assert isinstance(head, RequestHead), events
        self.assertEqual((head.method, head.path, head.query, head.host), (method, "/a/b", "c", "a"))
        self.assertEqual(list(head.headers), sent)
        self.assertEqual(head.length, len(body) if by_length else None)
        self.check(events, chunks, [] if by_length else trailers)
        self.assertTrue(codec.idle)

    @given(
        st.integers(200, 599).filter(lambda status: status not in (204, 304)),
        FIELDS,
        CHUNKS,
        TRAILERS,
        st.sampled_from(["length", "chunked", "close"]),
        CUTS,
    )
    @settings(max_examples=250, deadline=None)
    def test_responses(
        self,
        status: int,
        pairs: list[tuple[bytes, bytes]],
        chunks: list[bytes],
        trailers: list[tuple[bytes, bytes]],
        framing: str,
        cuts: list[int],
    ) -> None:
        body = b"".join(chunks)
        extra = {
            "length": [(b"Content-Length", b"%d" % len(body))],
            "chunked": [(b"Transfer-Encoding", b"chunked")],
            "close": [],
        }[framing]
        data = encode_response_head(status, b"", triples([*pairs, *extra])) + (
            chunked(chunks, trailers) if framing == "chunked" else body
        )
        codec = ResponseCodec()
        codec.expect("GET")
        events = feed(codec, cut(data, cuts))
        if framing == "close":
            events += codec.receive_eof()
        head = events[0]
        assert isinstance(head, ResponseHead), events
        self.assertEqual((head.status, list(head.headers)), (status, [*pairs, *extra]))
        self.assertEqual(head.length, {"length": len(body), "chunked": None, "close": UNTIL_CLOSE}[framing])
        self.check(events, chunks, trailers if framing == "chunked" else [])
        self.assertEqual(codec.reusable, framing != "close")


class RubbishTests(SynchronousTestCase):
    """Bytes of nobody's making."""

    @given(mutated(), CUTS)
    @settings(max_examples=1200, deadline=None)
    def test_requests(self, data: bytes, cuts: list[int]) -> None:
        whole = [describe(event) for event in feed(RequestCodec(LIMITS), [data])]
        codec = RequestCodec(LIMITS)
        events: list[Event] = []
        for piece in cut(data, cuts):
            events += codec.receive(piece)
            self.assertLessEqual(len(codec._buffer), LIMITS.held)
        self.assertEqual([describe(event) for event in merged(events)], whole)
        self.ended_well(events + codec.receive_eof(), codec)

    @given(mutated(), CUTS, st.sampled_from(["GET", "HEAD", "CONNECT"]), st.booleans())
    @settings(max_examples=1200, deadline=None)
    def test_responses(self, data: bytes, cuts: list[int], method: str, upgrade: bool) -> None:
        first, codec = ResponseCodec(), ResponseCodec()
        first.expect(method, upgrade)
        codec.expect(method, upgrade)
        whole = [describe(event) for event in feed(first, [data])]
        events = [event for piece in cut(data, cuts) for event in codec.receive(piece)]
        split = [describe(event) for event in merged(events)]
        if first.extra_data:
            # Bytes behind the end are dropped when they came with it, and a violation when they came later.
            self.assertFalse(codec.reusable)
            split = [event for event in split if event != ("violation", 502, "unsolicited_data")]
        self.assertEqual(split, whole)
        self.ended_well(events + codec.receive_eof(), codec)

    def ended_well(self, events: list[Event], codec: RequestCodec | ResponseCodec) -> None:
        violations = [event for event in events if isinstance(event, Violation)]
        self.assertLessEqual(len(violations), 1)
        if violations:
            self.assertIs(events[-1], violations[0])
            self.assertIn(violations[0].reason, REASONS)
            self.assertEqual((codec.receive(b"GET / HTTP/1.1\r\n\r\n"), codec._buffer), ([], b""))
        self.assertNotIn(b"", [event for event in events if isinstance(event, bytes)])


class BoundsTests(SynchronousTestCase):
    """What a peer can make the codec keep, or look at, by sending slowly."""

    def drip(self, codec: RequestCodec, head: bytes, drip: bytes, most: int) -> None:
        codec.receive(head)
        for _ in range(40000 // len(drip)):
            events = codec.receive(drip)
            self.assertLessEqual(len(codec._buffer), most)
            if events:
                self.assertIsInstance(events[-1], Violation)
                return
        self.fail("the codec would keep for ever")

    def test_nothing_grows_for_ever(self) -> None:
        chunks = tables.CHUNKED
        for head, most in (
            (b"", LIMITS.target + 100),
            (b"GET /", LIMITS.target + 100),
            (tables.G, LIMITS.head),
            (tables.G + b"X: ", LIMITS.head),
            (chunks, LIMITS.chunk_overhead + 30),
            (chunks + b"1;x=", LIMITS.chunk_overhead + 30),
            (chunks + b"0\r\n", LIMITS.trailer + 4),
            (tables.G + b"Connection: upgrade\r\nUpgrade: x\r\n\r\n", LIMITS.held),
        ):
            for drip in (b"a", b"a" * 7, b"0"):
                self.drip(RequestCodec(LIMITS), head, drip, most)

    def test_each_byte_is_looked_at_a_few_times_at_most(self) -> None:
        looked = 0
        real = http1_fields.refuse_bad_bytes

        def count(data: bytes, start: int, end: int) -> None:
            nonlocal looked
            looked += max(0, end - start)
            real(data, start, end)

        self.patch(http1_codec, "refuse_bad_bytes", count)
        self.patch(http1_chunked, "refuse_bad_bytes", count)
        for head, tail in (
            (b"", tables.G + b"X: " + b"a" * 8000),
            (tables.CHUNKED, b"1;x=" + b"y" * 4000),
            (tables.CHUNKED + b"0\r\n", b"X: " + b"a" * 8000),
        ):
            looked = 0
            codec = RequestCodec(LIMITS)
            codec.receive(head)
            self.assertEqual(feed(codec, [tail[i : i + 1] for i in range(len(tail))]), [])
            self.assertGreater(looked, len(tail))
            self.assertLess(looked, 5 * len(tail))


class _Llhttp:
    """llhttp's reading of the first request, as an oracle: a second parser that was written by others."""

    parser: httptools.HttpRequestParser

    def __init__(self) -> None:
        self.method = b""
        self.url = b""
        self.fields: list[tuple[bytes, bytes]] = []
        self.body = b""
        self.started = False
        self.done = False

    def on_url(self, url: bytes) -> None:
        if not self.done:
            self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.done and not self.started:
            self.fields.append((name, value.rstrip(b" \t")))

    def on_headers_complete(self) -> None:
        if not self.started:
            self.method = self.parser.get_method()
        self.started = True

    def on_body(self, data: bytes) -> None:
        if not self.done:
            self.body += data

    def on_message_complete(self) -> None:
        self.done = True


class OracleTests(SynchronousTestCase):
    """Whatever we let through, llhttp reads the same way; what it refuses, we refuse."""

    def compare(self, data: bytes) -> None:
        events = feed(RequestCodec(LIMITS), [data])
        if len(events) < 2 or not isinstance(events[0], RequestHead) or Violation in map(type, events[1:3]):
            return
        head = events[0]
        if head.upgrade or head.method == "QUERY" or END not in events[1:3]:
            return
        reader = _Llhttp()
        parser = reader.parser = httptools.HttpRequestParser(reader)
        try:
            parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            return
        except httptools.HttpParserError as error:
            # A later message may be bad, but llhttp must have finished this one; only a Content-Length among trailers,
            # which we drop, stops it.
            if "Content-Length can't be present" in str(error) and head.length is None:
                return
        self.assertTrue(reader.done, data)
        self.assertEqual(reader.method, head.method.encode())
        self.assertEqual(reader.url.decode("latin-1"), head.target)
        self.assertEqual(reader.fields, list(head.headers), data)
        self.assertEqual(reader.body, events[1] if isinstance(events[1], bytes) else b"")

    def test_rows(self) -> None:
        for row in tables.REQUESTS:
            self.compare(row.data)

    @given(mutated())
    @settings(max_examples=1500, deadline=None)
    def test_mutations(self, data: bytes) -> None:
        self.compare(data)
