"""Every row of trust.md A4 and of RFC 9113, fed whole, byte by byte and with bytes behind."""

from __future__ import annotations

from struct import unpack

from twisted.trial.unittest import SynchronousTestCase

from edgegw.testing.feeding import describe
from edgegw.wire.events import RequestHead, Reset, Violation
from edgegw.wire.http1_limits import Http1Limits
from edgegw.wire.http2 import ServerCodec
from edgegw.wire.http2_limits import Http2Limits
from edgegw.wire.http2_sending import Events
from edgegw.wire.reasons import REASONS
from tests.wire import tables_http2 as t

TRAILING = b"\x00\x00\x08\x06\x00"
"""Half a frame header."""


def server(limits: Http2Limits = Http2Limits()) -> ServerCodec:
    return ServerCodec(limits, Http1Limits())


def joined(events: Events) -> list[tuple[int, tuple[object, ...]]]:
    """Events that can be compared, neighbouring data of one stream joined."""
    out: list[tuple[int, tuple[object, ...]]] = []
    for sid, event in events:
        if isinstance(event, bytes) and out and out[-1][0] == sid and out[-1][1][0] == "data":
            out[-1] = (sid, ("data", out[-1][1][1] + event))  # type: ignore[operator]
        else:
            out.append((sid, ("reset", event.code) if isinstance(event, Reset) else describe(event)))  # type: ignore[arg-type]
    return out


def feed(codec: ServerCodec, pieces: list[bytes]) -> tuple[Events, bytes]:
    """(events, bytes to write) of all pieces."""
    events: Events = []
    wire = [codec.take()]
    for piece in pieces:
        events += codec.receive(piece, 0.0)
        wire.append(codec.take())
    return events, b"".join(wire)


def feed_three_ways(data: bytes) -> tuple[Events, list[tuple[int, int, int, bytes]]]:
    """(events, frames) after checking that both are the same whole, byte by byte, and as the start of more."""
    whole, wire = feed(server(), [data])
    single, single_wire = feed(server(), [data[at : at + 1] for at in range(len(data))])
    more, more_wire = feed(server(), [data + TRAILING])
    assert joined(single) == joined(whole), f"byte by byte: {single}\nwhole: {whole}"
    assert joined(more) == joined(whole), f"with trailing bytes: {more}\nwhole: {whole}"
    assert single_wire == wire and more_wire == wire
    return whole, t.frames_of(wire)


class RowTests(SynchronousTestCase):
    """What a row says is what the codec does."""

    maxDiff = None

    def check(self, row: t.Row) -> None:
        opening = t.OPENING if row.name != "3.4 first frame" else t.PREFACE + t.get(1)
        events, frames = feed_three_ways(opening + row.data)
        violations = [(sid, event) for sid, event in events if isinstance(event, Violation)]
        goaways = [payload for kind, _, _, payload in frames if kind == t.GOAWAY]
        resets = [payload for kind, _, _, payload in frames if kind == t.RST]
        if row.goaway >= 0:
            (sid, last) = violations[-1]
            self.assertEqual((sid, last.status, last.reason), (0, 400, row.reason))
            self.assertIs(events[-1][1], last)
            self.assertEqual(
                [(unpack(">L", each[4:8])[0], each[8:]) for each in goaways], [(row.goaway, row.reason.encode())]
            )
            self.assertIn(row.reason, REASONS)
            return
        self.assertEqual(goaways, [])
        if row.status:
            self.assertEqual(
                [(sid, each.status, each.reason, each.malformed) for sid, each in violations],
                [(1, row.status, row.reason, row.malformed)],
            )
            self.assertIn(row.reason, REASONS)
            self.assertEqual(resets, [], "the answer goes first")
            return
        self.assertEqual(violations, [])
        self.assertEqual([unpack(">L", each)[0] for each in resets], [row.reset] if row.reset >= 0 else [])

    def test_heads(self) -> None:
        for row in t.HEADS:
            with self.subTest(row.name):
                self.check(row)

    def test_streams(self) -> None:
        for row in t.STREAMS:
            with self.subTest(row.name):
                self.check(row)

    def test_connections(self) -> None:
        for row in t.CONNECTION:
            with self.subTest(row.name):
                self.check(row)

    def test_accepted(self) -> None:
        for row in t.ACCEPTED:
            with self.subTest(row.name):
                self.check(row)
                events, _ = feed(server(), [t.OPENING + row.data])
                self.assertTrue([event for _, event in events if isinstance(event, RequestHead)], row.name)

    def test_others_live(self) -> None:
        """A fault of one stream leaves the others, and new ones, alone (H8, H9)."""
        for row in t.HEADS + t.STREAMS:
            with self.subTest(row.name):
                codec = server(Http2Limits(streams=200 if row.name != "H8" else 100))
                feed(codec, [t.OPENING + row.data])
                if row.name == "H8":
                    self.assertEqual(codec.streams, 100)
                    self.assertFalse(codec.is_open(201))
                    codec.reset(1, 0)
                events, _ = feed(codec, [t.get(301)])
                self.assertEqual([type(event).__name__ for _, event in events], ["RequestHead", "End"])

    def test_dead_after_a_connection_error(self) -> None:
        for row in t.CONNECTION[1:]:
            with self.subTest(row.name):
                codec = server()
                feed(codec, [t.OPENING + row.data, t.get(999)])
                if row.name == "3.4 first frame":
                    continue
                self.assertEqual(codec.receive(t.get(1001), 0.0), [])
                codec.send_head(1, 200, [])
                codec.send_data(1, b"x")
                codec.ping()
                codec.go_away()
                codec.reset(1, 0)
                self.assertEqual(codec.take(), b"")
                self.assertEqual(codec.streams, 0)
                self.assertTrue(codec.closing)

    def test_malformed_streams_are_reset_behind_the_answer(self) -> None:
        for row in t.HEADS + t.STREAMS:
            if not row.status:
                continue
            with self.subTest(row.name):
                codec = server()
                feed(codec, [t.OPENING + row.data])
                self.assertTrue(codec.is_open(1))
                codec.send_head(1, row.status, [], True)
                frames = t.frames_of(codec.take())
                ended = any(flags & t.END for kind, flags, _, _ in t.frames_of(row.data) if kind in (t.DATA, t.HEADERS))
                code = 1 if row.malformed else None if ended else 0
                expected = [] if code is None else [(t.RST, code)]
                self.assertEqual([(kind, payload[3]) for kind, _, _, payload in frames[1:]], expected)
                self.assertFalse(codec.is_open(1))
