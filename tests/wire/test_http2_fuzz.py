"""What holds for every conversation and for every rubbish, with the `h2` library on the other side or beside us.

Whole conversations: h2's client and our server, our client and h2's server, understand the same. Rubbish: no exception, bounded
memory. Where h2 and we judge differently stands in `test_http2_oracle`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from h2 import events as h2e
from h2.config import H2Configuration
from h2.connection import H2Connection
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from edgegw.testing.feeding import cut
from edgegw.wire.events import End, RequestHead, ResponseHead, Violation
from edgegw.wire.headers import Field
from edgegw.wire.http1_limits import TRAILERS_FORBIDDEN, Http1Limits
from edgegw.wire.http2 import ClientCodec, ServerCodec
from edgegw.wire.http2_limits import Http2Limits
from edgegw.wire.http2_sending import Events
from edgegw.wire.reasons import REASONS
from tests.wire import tables_http2 as t

HTTP1 = Http1Limits(trailers_allowed=None)
SPECIAL = {b"host", b"cookie", b"content-length", b"te", b"expect", b"connection"}

NAMES = st.text("abz09-!", min_size=1, max_size=12).map(str.encode).filter(lambda name: name not in SPECIAL)
VALUES = st.text("".join(map(chr, [*range(33, 127)])) + " ", max_size=30).map(
    lambda text: text.encode("latin-1").strip()
)
FIELDS = st.lists(st.tuples(NAMES, VALUES), max_size=5)
TRAILERS = st.lists(st.tuples(NAMES.filter(lambda name: name not in TRAILERS_FORBIDDEN), VALUES), max_size=3)
CHUNKS = st.lists(st.tuples(st.binary(min_size=1, max_size=300), st.sampled_from([None, 0, 7, 255])), max_size=5)
MESSAGES = st.lists(st.tuples(FIELDS, CHUNKS, TRAILERS), min_size=1, max_size=4)
CUTS = st.lists(st.integers(0, 5000), max_size=12)
PATHS = st.sampled_from(["/", "/a?b=c", "/" + "x" * 200, "/%41/b//c"])

Pairs = list[tuple[bytes, bytes]]
Message = tuple[Pairs, list[tuple[bytes, int | None]], Pairs]


def h2_connection(client: bool) -> H2Connection:
    made = H2Connection(H2Configuration(client_side=client, header_encoding=False))
    made.initiate_connection()
    return made


def triples(pairs: Pairs) -> list[Field]:
    return [(name, name, value) for name, value in pairs]


def gathered(events: Events) -> dict[int, dict[str, Any]]:
    """What our events say, per stream."""
    out: dict[int, dict[str, Any]] = {}
    for sid, event in events:
        if isinstance(event, RequestHead | ResponseHead):
            out[sid] = {"head": event, "body": b"", "trailers": None}
        elif isinstance(event, bytes):
            out[sid]["body"] += event
        elif isinstance(event, End):
            out[sid]["trailers"] = [(lower, value) for lower, _, value in event.trailers]
        elif sid:
            raise AssertionError(f"{sid}: {event}")
    return out


def h2_gathered(events: list[Any]) -> dict[int, dict[str, Any]]:
    """What h2's events say, per stream."""
    out: dict[int, dict[str, Any]] = {}
    for event in events:
        if isinstance(event, h2e.RequestReceived | h2e.ResponseReceived):
            out[event.stream_id] = {"head": list(event.headers), "body": b"", "trailers": None}
        elif isinstance(event, h2e.DataReceived):
            out[event.stream_id]["body"] += event.data
        elif isinstance(event, h2e.TrailersReceived):
            out[event.stream_id]["trailers"] = list(event.headers)
        elif isinstance(event, h2e.StreamEnded):
            out[event.stream_id]["trailers"] = out[event.stream_id]["trailers"] or []
    return out


def h2_says(connection: H2Connection, sid: int, head: Any, message: Message) -> None:
    fields, chunks, trailers = message
    connection.send_headers(sid, [*head, *fields], end_stream=not chunks and not trailers)
    for data, padding in chunks:
        connection.send_data(sid, data, pad_length=padding)
    if trailers:
        connection.send_headers(sid, trailers, end_stream=True)
    elif chunks:
        connection.end_stream(sid)


def we_say(codec: ServerCodec | ClientCodec, sid: int, message: Message) -> None:
    for data, _ in message[1]:
        codec.send_data(sid, data)
    codec.send_end(sid, triples(message[2]))


class ConversationTests(SynchronousTestCase):
    """Both sides understand the same."""

    maxDiff = None

    @given(MESSAGES, PATHS, CUTS, st.booleans())
    @settings(max_examples=120, deadline=None)
    def test_h2_asks_us(self, messages: list[Message], path: str, cuts: list[int], tiny: bool) -> None:
        theirs, ours = h2_connection(True), ServerCodec(Http2Limits(), HTTP1)
        events: Events = []
        for number, message in enumerate(messages):
            head = [(b":method", b"POST"), (b":scheme", b"https"), (b":authority", b"a"), (b":path", path.encode())]
            h2_says(theirs, 1 + 2 * number, head, message)
        if tiny:
            theirs.update_settings({4: 10})
        for piece in cut(theirs.data_to_send(), cuts):
            events += ours.receive(piece, 0.0)
        asked = gathered(events)
        for number, (fields, chunks, trailers) in enumerate(messages):
            got = asked[1 + 2 * number]
            self.assertEqual(got["head"].target, path)
            self.assertEqual(list(got["head"].headers), [(b"host", b"a"), *fields])
            self.assertEqual((got["body"], got["trailers"]), (b"".join(data for data, _ in chunks), trailers))
            ours.send_head(1 + 2 * number, 200, triples(fields))
            we_say(ours, 1 + 2 * number, messages[number])
        said = h2_gathered(self.pump_to_h2(ours, theirs, cuts))
        for number, (fields, chunks, trailers) in enumerate(messages):
            got = said[1 + 2 * number]
            self.assertEqual(got["head"], [(b":status", b"200"), *fields])
            self.assertEqual((got["body"], got["trailers"]), (b"".join(data for data, _ in chunks), trailers))
        self.assertTrue(ours.idle)

    def pump_to_h2(self, ours: ServerCodec | ClientCodec, theirs: H2Connection, cuts: list[int]) -> list[Any]:
        """Let both talk until nobody has anything to say; h2 gives credit for all it gets."""
        out: list[Any] = []
        for _ in range(400):
            data = ours.take()
            if not data:
                break
            for piece in cut(data, cuts):
                events = theirs.receive_data(piece)
                out += events
                for event in events:
                    if isinstance(event, h2e.DataReceived) and event.flow_controlled_length:
                        theirs.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            ours.receive(theirs.data_to_send(), 0.0)
        return out

    @given(MESSAGES, PATHS, CUTS, st.booleans())
    @settings(max_examples=120, deadline=None)
    def test_we_ask_h2(self, messages: list[Message], path: str, cuts: list[int], hints: bool) -> None:
        ours, theirs = ClientCodec(), h2_connection(False)
        for fields, chunks, trailers in messages:
            sid = ours.open("PUT", "https", b"a", path, triples(fields))
            we_say(ours, sid, (fields, chunks, trailers))
        asked = h2_gathered(self.pump_to_h2(ours, theirs, cuts))
        events: Events = []
        for number, message in enumerate(messages):
            sid, (fields, chunks, trailers) = 1 + 2 * number, message
            got = asked[sid]
            pseudo = [(b":method", b"PUT"), (b":scheme", b"https"), (b":authority", b"a"), (b":path", path.encode())]
            self.assertEqual(got["head"], pseudo + fields)
            self.assertEqual((got["body"], got["trailers"]), (b"".join(data for data, _ in chunks), trailers))
            if hints:
                theirs.send_headers(sid, [(b":status", b"103"), (b"link", b"</x>")])
            h2_says(theirs, sid, [(b":status", b"200")], message)
        for piece in cut(theirs.data_to_send(), cuts):
            events += ours.receive(piece, 0.0)
        self.assertEqual(
            sum(isinstance(event, ResponseHead) and event.status == 103 for _, event in events), hints * len(messages)
        )
        said = gathered(events)
        for number, (fields, chunks, trailers) in enumerate(messages):
            got = said[1 + 2 * number]
            self.assertEqual((got["head"].status, list(got["head"].headers)), (200, fields))
            self.assertEqual((got["body"], got["trailers"]), (b"".join(data for data, _ in chunks), trailers))
        self.assertTrue(ours.idle)


# Rubbish.

PAYLOADS = st.one_of(
    st.binary(max_size=20),
    st.sampled_from([t.block(t.GET), t.block(t.POST), t.block([(b"a", b"b")])]),
    st.sampled_from([b"\0\0\0\x01", b"\x7f\xff\xff\xff", b"12345678", bytes(5), b""]),
    st.sampled_from([row.data for row in t.HEADS if len(row.data) < 500]).map(lambda data: data[9:]),
)  # fmt: skip
FRAMES = st.builds(
    t.frame,
    st.one_of(st.integers(0, 10), st.sampled_from([t.HEADERS, t.DATA])),
    st.one_of(st.sampled_from([0, 1, 4, 5]), st.integers(0, 255)),
    st.sampled_from([0, 1, 1, 2, 3, 3, 5, 7]),
    PAYLOADS,
)
SEEDS = st.sampled_from(
    [row.data for row in t.HEADS + t.STREAMS + t.CONNECTION + t.ACCEPTED if len(row.data) < 2000]
    + [
        t.headers(1, t.OK, t.LAST) + t.data(1, b"abc", t.END),
        t.settings((4, 0), (3, 1)),
        t.get(3),
        t.post(5) + t.data(5, b"x"),
    ]
)


@st.composite
def rubbish(draw: st.DrawFn) -> list[bytes]:
    """Frames, some of them mutilated."""
    out = []
    for _ in range(draw(st.integers(1, 6))):
        data = draw(st.one_of(FRAMES, SEEDS))
        if draw(st.integers(0, 3)) == 0 and data:
            at = draw(st.integers(0, len(data) - 1))
            data = data[:at] + draw(st.binary(max_size=3)) + data[at + draw(st.integers(0, 3)) :]
        out.append(data)
    return out


def weight(codec: ServerCodec | ClientCodec) -> int:
    """Bytes and entries that a codec keeps."""
    kept = len(codec._rest) + sum(map(len, codec._block)) + sum(stream.queued for stream in codec._streams.values())
    entries = (codec._streams, codec._blocked, codec._resets, codec._heads)
    table = codec._decoder.table._current_size if codec._decoder is not None else 0
    return kept + table + sum(sys.getsizeof(each) for each in entries)


class RubbishTests(SynchronousTestCase):
    """Whatever comes."""

    def survive(self, codec: ServerCodec | ClientCodec, pieces: list[bytes], act: Callable[[int], None]) -> None:
        over: set[int] = set()
        for piece in pieces:
            for sid, event in codec.receive(piece, 0.0):
                self.assertNotIn(0, over, "nothing behind a connection error")
                if isinstance(event, Violation):
                    self.assertIn(event.reason, REASONS)
                    over.add(sid)
                elif isinstance(event, bytes | End | RequestHead | ResponseHead):
                    self.assertNotIn(sid, over, f"{event} behind a violation")
                    if isinstance(event, RequestHead):
                        act(sid)
                if isinstance(event, bytes):
                    self.assertTrue(event)
            t.frames_of(codec.take())
            self.assertLess(weight(codec), 150_000)
            self.assertLessEqual(codec.streams, 100)
            self.assertGreaterEqual(codec._owed, 0)
            self.assertTrue(all(0 <= stream.held <= 1048576 for stream in codec._streams.values()))

    @given(st.one_of(rubbish(), st.lists(st.binary(max_size=60), max_size=6)), CUTS, st.integers(0, 5))
    @settings(max_examples=500, deadline=None)
    def test_a_server_survives(self, frames: list[bytes], cuts: list[int], what: int) -> None:
        codec = ServerCodec(Http2Limits(), HTTP1)

        def act(sid: int) -> None:
            if what:
                codec.send_head(sid, 200, [(b"a", b"a", b"b")], what == 1)
                codec.send_data(sid, b"x" * (100 * what))
                codec.consumed(sid, 10**9)
            if what > 2:
                codec.send_end(sid, [(b"t", b"t", b"v")] if what == 4 else ())
            if what == 5:
                codec.reset(sid, 8)

        self.survive(codec, cut(t.OPENING + b"".join(frames), cuts), act)

    @given(rubbish(), CUTS)
    @settings(max_examples=300, deadline=None)
    def test_a_client_survives(self, frames: list[bytes], cuts: list[int]) -> None:
        codec = ClientCodec()
        for ended in (True, False, False):
            codec.send_data(codec.open("POST", "http", b"a", "/", [], ended), b"x" * 30000)
        self.survive(codec, cut(t.settings() + b"".join(frames), cuts), lambda sid: None)
