"""Pieces of a file streamed into a body: in turns, in threads, under back-pressure, and the descriptor closed once.

Whole answers with files are in test_files.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase, TestCase

from edgegw.targets import filebody
from edgegw.targets.filebody import CHUNK, CHUNKS_PER_TURN, FileBody, read_cached
from edgegw.targets.ranges import Span
from edgegw.targets.threads import threads_of
from edgegw.testing.exchanges import Gathered


class Case(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.waiting: list[tuple[tuple[Any, ...], Deferred[Any]]] = []
        self.data = os.urandom(10 * CHUNK)

    def open(self) -> int:
        path = Path(self.mktemp())
        path.write_bytes(self.data)
        descriptor = os.open(path, os.O_RDONLY)
        self.addCleanup(self.close, descriptor)
        return descriptor

    def close(self, descriptor: int) -> None:
        if self.is_open(descriptor):
            os.close(descriptor)

    def is_open(self, descriptor: int) -> bool:
        try:
            os.fstat(descriptor)
            return True
        except OSError:
            return False

    def threads(self, function: Callable[..., Any], *args: Any) -> Deferred[Any]:
        """Threads that answer when `answer` says so."""
        assert function is os.pread
        waiting: Deferred[Any] = Deferred()
        self.waiting.append((args, waiting))
        return waiting

    def answer(self) -> None:
        args, waiting = self.waiting.pop(0)
        waiting.callback(os.pread(*args))

    def make(self, pieces: list[bytes | Span], cached: bool = True) -> tuple[FileBody, Gathered, int]:
        """A body that somebody reads, where the kernel has everything in its cache, or nothing."""
        read = (lambda descriptor, size, offset: os.pread(descriptor, size, offset)) if cached else lambda *_: None
        self.patch(filebody, "read_cached", read)
        descriptor = self.open()
        return FileBody(descriptor, pieces, self.clock, self.threads), Gathered(), descriptor


class ReadCachedTests(Case):
    """A read that never waits, or None."""

    def test_all_or_none(self) -> None:
        descriptor = self.open()
        os.pread(descriptor, len(self.data), 0)
        # Some file systems cannot say what is cached; then the answer is None, and is tested nowhere else.
        self.assertIn(read_cached(descriptor, 10, 5), (self.data[5:15], None))
        self.assertIsNone(read_cached(descriptor, 10, len(self.data) - 9), "cut off by the end of the file")
        self.assertIsNone(read_cached(descriptor, 1, len(self.data)))

    def test_what_fails_is_left_to_the_read_that_waits(self) -> None:
        descriptor = self.open()
        os.close(descriptor)
        self.assertIsNone(read_cached(descriptor, 1, 0))

    def test_a_system_that_cannot_tell(self) -> None:
        self.patch(filebody, "_NOWAIT", None)
        self.assertIsNone(read_cached(self.open(), 1, 0))


class CachedTests(Case):
    """What the kernel has at hand is read in the loop's own turns."""

    def test_pieces_in_order(self) -> None:
        pieces: list[bytes | Span] = [b"head", Span(3, 5), b"middle", Span(CHUNK - 1, 2 * CHUNK + 1), b"tail"]
        source, sink, descriptor = self.make(pieces)
        self.assertEqual(source.body.length, 4 + 2 + 6 + CHUNK + 2 + 4)
        source.body.attach(sink)
        self.clock.advance(0)
        self.clock.advance(0)
        data = self.data
        self.assertEqual(sink.data, b"head" + data[3:5] + b"middle" + data[CHUNK - 1 : 2 * CHUNK + 1] + b"tail")
        self.assertEqual((sink.ended, self.is_open(descriptor)), (True, False))
        self.assertEqual((self.clock.getDelayedCalls(), self.waiting), ([], []))

    def test_a_turn_is_bounded(self) -> None:
        source, sink, _ = self.make([Span(0, 10 * CHUNK)])
        source.body.attach(sink)
        self.assertEqual(sink.chunks, [])
        turns = []
        while not sink.ended:
            self.clock.getDelayedCalls()[0].cancel()
            source._turn()
            turns.append(len(sink.chunks))
        self.assertEqual(turns, [CHUNKS_PER_TURN, 2 * CHUNKS_PER_TURN, 10])
        self.assertEqual({len(chunk) for chunk in sink.chunks}, {CHUNK})

    def test_nothing_to_send(self) -> None:
        source, sink, descriptor = self.make([Span(0, 1)])
        source.prefetch()
        self.assertTrue(source.body.complete)
        self.assertFalse(self.is_open(descriptor))
        source.prefetch()
        source.body.attach(sink)
        self.clock.advance(0)
        self.assertEqual((sink.data, sink.ended), (self.data[:1], True))

    def test_prefetch_reads_one_chunk(self) -> None:
        source, _, descriptor = self.make([Span(0, CHUNK + 1)])
        source.prefetch()
        self.assertEqual((source.body.size, source.body.complete, self.is_open(descriptor)), (CHUNK, False, True))
        self.assertEqual(self.clock.getDelayedCalls(), [])
        source.body.cancel()

    def test_pause_stops_after_the_chunk_at_hand(self) -> None:
        source, sink, _ = self.make([Span(0, 10 * CHUNK)])

        class Slow(Gathered):
            def write(self, data: bytes) -> None:
                super().write(data)
                source.body.pause()

        sink = Slow()
        source.body.attach(sink)
        for count in (1, 2, 3):
            self.clock.advance(0)
            self.clock.advance(0)
            self.assertEqual(len(sink.chunks), count)
            self.assertEqual(self.clock.getDelayedCalls(), [])
            source.body.resume()

    def test_cancelling_closes_once_and_stops_the_clock(self) -> None:
        source, sink, descriptor = self.make([Span(0, 10 * CHUNK)])
        source.body.attach(sink)
        source.body.cancel()
        self.assertEqual((self.is_open(descriptor), self.clock.getDelayedCalls()), (False, []))
        other = self.open()
        self.assertEqual(other, descriptor, "the number is free for others, so it must not be closed again")
        source.cancel()
        source.resume()
        source.prefetch()
        self.clock.advance(0)
        self.assertEqual((self.is_open(other), sink.chunks), (True, []))


class WaitingTests(Case):
    """What the kernel would have to wait for is read by a thread."""

    def test_one_read_at_a_time(self) -> None:
        source, sink, descriptor = self.make([b"head", Span(1, 2 * CHUNK)], cached=False)
        source.body.attach(sink)
        self.clock.advance(0)
        self.assertEqual((sink.data, [args for args, _ in self.waiting]), (b"head", [(descriptor, CHUNK, 1)]))
        source.body.pause()
        source.body.resume()
        self.assertEqual((len(self.waiting), self.clock.getDelayedCalls()), (1, []))
        self.answer()
        self.clock.advance(0)
        self.assertEqual([args for args, _ in self.waiting], [(descriptor, CHUNK - 1, CHUNK + 1)])
        self.answer()
        self.assertEqual((sink.data, sink.ended), (b"head" + self.data[1 : 2 * CHUNK], True))
        self.assertFalse(self.is_open(descriptor))

    def test_prefetch_does_not_wait(self) -> None:
        source, _, _ = self.make([Span(0, 5)], cached=False)
        source.prefetch()
        self.assertEqual((source.body.size, self.waiting), (0, []))

    def test_a_short_read_goes_on_where_it_ended(self) -> None:
        source, sink, descriptor = self.make([Span(0, 10)], cached=False)
        source.body.attach(sink)
        self.clock.advance(0)
        self.waiting.pop()[1].callback(self.data[:4])
        self.clock.advance(0)
        self.assertEqual([args for args, _ in self.waiting], [(descriptor, 6, 4)])
        self.answer()
        self.assertEqual((sink.data, sink.ended), (self.data[:10], True))

    def test_paused_while_a_thread_reads(self) -> None:
        source, sink, _ = self.make([Span(0, 2 * CHUNK)], cached=False)
        source.body.attach(sink)
        self.clock.advance(0)
        source.body.pause()
        self.answer()
        self.assertEqual((len(sink.chunks), self.waiting, self.clock.getDelayedCalls()), (1, [], []))
        source.body.resume()
        self.clock.advance(0)
        self.assertEqual(len(self.waiting), 1)

    def test_a_file_that_became_shorter(self) -> None:
        source, sink, descriptor = self.make([Span(0, 10)], cached=False)
        source.body.attach(sink)
        self.clock.advance(0)
        self.waiting.pop()[1].callback(b"")
        assert sink.error is not None
        self.assertEqual((sink.error.status, sink.error.reason, sink.ended), (500, "file_failed", False))
        self.assertIn("shorter", sink.error.detail)
        self.assertFalse(self.is_open(descriptor))

    def test_a_disk_that_fails(self) -> None:
        source, sink, descriptor = self.make([Span(0, 10)], cached=False)
        source.body.attach(sink)
        self.clock.advance(0)
        self.waiting.pop()[1].errback(OSError(5, "Input/output error"))
        assert sink.error is not None
        self.assertEqual(sink.error.reason, "file_failed")
        self.assertIn("Input/output error", sink.error.detail)
        self.assertFalse(self.is_open(descriptor))

    def test_cancelled_while_a_thread_reads(self) -> None:
        for outcome in (b"x", b"", OSError(5, "no")):
            source, sink, descriptor = self.make([Span(0, 10)], cached=False)
            source.body.attach(sink)
            self.clock.advance(0)
            source.body.cancel()
            self.assertTrue(self.is_open(descriptor), "a thread reads from it")
            self.waiting.pop()[1].callback(outcome) if isinstance(outcome, bytes) else self.waiting.pop()[1].errback(
                outcome
            )
            self.assertFalse(self.is_open(descriptor))
            self.assertEqual((sink.data, sink.error), (b"", None))


class InThreads(TestCase):
    """The same with threads that are some."""

    async def test_whole_file(self) -> None:
        self.patch(filebody, "read_cached", lambda *_: None)
        path, data = Path(self.mktemp()), os.urandom(300_000)
        path.write_bytes(data)
        loop: Any = reactor
        source = FileBody(os.open(path, os.O_RDONLY), [Span(0, len(data))], loop, threads_of(loop))
        self.assertEqual(await source.body.read(len(data)), data)
