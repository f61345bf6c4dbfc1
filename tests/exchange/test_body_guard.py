"""A guard on a body: where it looks, and what becomes of a body that it refuses."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from edgegw.errors import GatewayError
from edgegw.exchange.body import Body
from edgegw.testing.bodies import Source
from edgegw.testing.exchanges import Gathered, drain
from edgegw.wire.headers import Field

FAULT = GatewayError(413, "grpc_message_too_large")
LOST = GatewayError(502, "upstream_aborted")
LAST: tuple[Field, ...] = ((b"grpc-status", b"grpc-status", b"8"),)


class Guard:
    """Wants to see a byte, then not the `gap` behind it; refuses an `X`, of whose data it accepts what is before."""

    def __init__(self, gap: int = 0, last: tuple[Field, ...] | None = None) -> None:
        self.gap = gap
        self.last = last
        self.good = 0
        self.shown: list[tuple[bytes, int]] = []
        self.broken: list[GatewayError] = []

    def look(self, data: bytes, at: int) -> int:
        self.shown.append((data, at))
        if b"X" in data[at:]:
            self.good = data.index(b"X", at)
            raise FAULT
        while at < len(data):
            at += 1 + self.gap
        return at - len(data)

    def last_words(self, error: GatewayError) -> tuple[Field, ...] | None:
        self.broken.append(error)
        return self.last


class WatchTests(SynchronousTestCase):
    def watched(self, guard: Guard) -> tuple[Body, Gathered, Source]:
        source = Source()
        body = Body(None, source)
        body.watch(guard)
        return body, drain(body), source

    def test_shown_from_where_it_wants_to_look(self) -> None:
        guard = Guard(gap=4)
        body, sink, _ = self.watched(guard)
        for chunk in (b"a1234", b"b12", b"34", b"c", b"12", b"34d1"):
            body.write(chunk)
        self.assertEqual(guard.shown, [(b"a1234", 0), (b"b12", 0), (b"c", 0), (b"34d1", 2)])
        self.assertEqual(sink.data, b"a1234b1234c1234d1")

    def test_what_is_here_already(self) -> None:
        guard, body = Guard(gap=4), Body()
        for chunk in (b"a12", b"34", b"b1"):
            body.write(chunk)
        body.watch(guard)
        body.write(b"234c")
        self.assertEqual(guard.shown, [(b"a12", 0), (b"b1", 0), (b"234c", 3)])

    def test_what_is_here_already_is_refused_at_once(self) -> None:
        body = Body.of(b"abX")
        with self.assertRaises(GatewayError):
            body.watch(Guard())

    def test_refused(self) -> None:
        guard = Guard()
        body, sink, source = self.watched(guard)
        body.write(b"a")
        body.write(b"bcXd")
        body.write(b"e")
        self.assertEqual((sink.data, sink.error, sink.ended), (b"abc", FAULT, False))
        self.assertEqual((source.told, body.size), (["start", "cancel"], 6))

    def test_refused_with_last_words(self) -> None:
        guard = Guard(last=LAST)
        body, sink, source = self.watched(guard)
        body.write(b"aX")
        self.assertEqual((sink.data, sink.error, sink.ended, sink.trailers), (b"a", None, True, LAST))
        self.assertEqual((source.told, guard.broken), (["start", "cancel"], [FAULT]))

    def test_refused_before_there_is_a_sink(self) -> None:
        source, guard = Source(), Guard(last=LAST)
        body = Body(None, source)
        body.watch(guard)
        body.write(b"aX")
        sink = drain(body)
        self.assertEqual((sink.data, sink.ended, sink.trailers), (b"a", True, LAST))
        self.assertEqual(source.told, ["cancel"])

    def test_the_source_fails(self) -> None:
        for last in (None, LAST):
            with self.subTest(last=last):
                body, sink, source = self.watched(Guard(last=last))
                body.write(b"a")
                body.abort(LOST)
                self.assertEqual((sink.ended, sink.error), (last is not None, None if last else LOST))
                self.assertNotIn("cancel", source.told)

    def test_failed_from_between(self) -> None:
        body, sink, source = self.watched(Guard(last=LAST))
        body.fail(LOST)
        body.fail(FAULT)
        self.assertEqual((sink.trailers, source.told), (LAST, ["start", "cancel"]))

    def test_no_words_behind_the_end(self) -> None:
        guard = Guard(last=LAST)
        body, sink, _ = self.watched(guard)
        body.end()
        body.abort(LOST)
        self.assertEqual((sink.trailers, guard.broken), ((), []))

    def test_not_capped(self) -> None:
        """A guard decides alone: a cap would move the place where it looks."""
        guard = Guard(gap=4)
        body, sink, _ = self.watched(guard)
        body.write(b"a")
        body.cap(2)
        body.write(b"1234b")
        self.assertEqual((sink.data, sink.error), (b"a1234b", None))
        self.assertEqual(guard.shown, [(b"a", 0), (b"1234b", 4)])
