"""Tests of edgegw.exchange.body."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from edgegw.errors import GatewayError
from edgegw.exchange.body import EMPTY, HIGH_WATER, Body
from edgegw.net import consumer
from edgegw.testing.bodies import Source
from edgegw.testing.exchanges import Gathered, drain

FAULT = GatewayError(502, "upstream_aborted")
TRAILERS = ((b"x", b"X", b"1"),)


class FlowTests(SynchronousTestCase):
    def test_before_and_after_the_sink(self) -> None:
        body, sink = Body(), Gathered()
        body.write(b"abc")
        body.attach(sink)
        body.write(b"def")
        self.assertEqual(sink.chunks, [b"abc", b"def"])
        body.end(TRAILERS)
        self.assertEqual((sink.ended, sink.trailers, body.size), (True, TRAILERS, 6))

    def test_ended_before_the_sink(self) -> None:
        body = Body()
        body.write(b"abc")
        body.end(TRAILERS)
        self.assertTrue(body.complete)
        sink = drain(body)
        self.assertEqual((sink.data, sink.ended, sink.trailers), (b"abc", True, TRAILERS))

    def test_failed_before_the_sink_gives_what_there_was_then_the_error(self) -> None:
        body = Body()
        body.write(b"abc")
        body.abort(FAULT)
        sink = drain(body)
        self.assertEqual((sink.data, sink.ended, sink.error), (b"abc", False, FAULT))

    def test_one_end_only(self) -> None:
        for first in ("end", "abort"):
            body = Body()
            sink = drain(body)
            body.end() if first == "end" else body.abort(FAULT)
            body.end()
            body.abort(FAULT)
            body.write(b"late")
            self.assertEqual((sink.data, sink.ended, sink.error is not None), (b"", first == "end", first == "abort"))

    def test_one_reader_only(self) -> None:
        body = Body()
        drain(body)
        self.assertRaises(RuntimeError, drain, body)
        body.write(b"abc")
        body.end()
        self.assertRaises(RuntimeError, drain, body)

    def test_read_to_the_end_is_not_an_empty_one(self) -> None:
        body = Body.of(b"abc")
        drain(body)
        self.assertFalse(body.empty)
        self.assertRaises(RuntimeError, drain, body)

    def test_shared_empty_one_has_many_readers_and_no_state(self) -> None:
        self.assertIs(Body.of(b""), EMPTY)
        for _ in range(2):
            self.assertTrue(drain(EMPTY).ended)
            for call in (EMPTY.pause, EMPTY.cancel, EMPTY.resume):
                call()
            EMPTY.cap(0)
        self.assertTrue(EMPTY.empty)
        self.assertEqual(repr(EMPTY), "<Body ended length=0 waiting=0>")

    def test_take_ready(self) -> None:
        body = Body()
        self.assertEqual(body.take_ready(), b"")
        body.write(b"abc")
        body.write(b"def")
        self.assertEqual((body.take_ready(), body.take_ready()), (b"abcdef", b""))
        body.write(b"ghi")
        self.assertEqual(drain(body).data, b"ghi")

    def test_cancelled_before_the_sink(self) -> None:
        for body in (Body(), Body.of(b"abc")):
            body.cancel()
            self.assertEqual(drain(body).error.reason, "body_cancelled")

    def test_hand_on(self) -> None:
        body, second = Body(), Gathered()
        body.hand_on(second)
        first = drain(body)
        body.write(b"a")
        body.hand_on(second)
        body.write(b"b")
        body.end()
        self.assertEqual((first.data, first.ended, second.data, second.ended), (b"a", False, b"b", True))

    def test_repr(self) -> None:
        body = Body(5)
        self.assertEqual(repr(body), "<Body waiting length=5 waiting=0>")
        drain(body)
        body.pause()
        self.assertEqual(repr(body), "<Body flowing length=5 waiting=0 paused>")


class SourceTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.source = Source()
        self.body = Body(None, self.source)

    def test_started_once_when_somebody_reads(self) -> None:
        self.body.write(b"abc")
        self.assertFalse(self.body.started)
        drain(self.body)
        self.assertTrue(self.body.started)
        self.assertEqual(self.source.told, ["start"])

    def test_not_started_when_all_is_here(self) -> None:
        self.body.write(b"abc")
        self.body.end()
        drain(self.body)
        self.assertEqual(self.source.told, [])

    def test_paused_at_the_mark_until_somebody_reads(self) -> None:
        self.body.write(bytes(HIGH_WATER - 1))
        self.assertEqual(self.source.told, [])
        self.body.write(b"x")
        self.body.write(b"one more read")
        self.assertEqual(self.source.told, ["pause"])
        sink = drain(self.body)
        self.assertEqual(self.source.told, ["pause", "start", "resume"])
        self.assertEqual(len(sink.data), HIGH_WATER + 13)

    def test_the_mark_is_64_kib(self) -> None:
        """What a slow reader costs each way (design/data-path.md); the transports have the same."""
        self.assertEqual((HIGH_WATER, consumer.HIGH_WATER), (65536, 65536))

    def test_two_reasons_to_pause(self) -> None:
        self.body.write(bytes(HIGH_WATER))
        self.body.pause()
        drain(self.body)
        self.assertEqual(self.source.told, ["pause", "start"])
        self.body.resume()
        self.assertEqual(self.source.told, ["pause", "start", "resume"])

    def test_reader_cannot_undo_the_mark(self) -> None:
        self.body.write(bytes(HIGH_WATER))
        self.body.pause()
        self.body.resume()
        self.assertEqual(self.source.told, ["pause"])

    def test_idempotent(self) -> None:
        drain(self.body)
        for call in (self.body.pause, self.body.pause, self.body.resume, self.body.resume):
            call()
        self.assertEqual(self.source.told, ["start", "pause", "resume"])

    def test_left_alone_after_any_end(self) -> None:
        for end in (Body.end, lambda body: body.abort(FAULT), Body.cancel):
            self.setUp()
            sink = drain(self.body)
            end(self.body)
            heard = list(self.source.told)
            for call in (self.body.pause, self.body.resume, self.body.cancel, lambda: self.body.write(b"late")):
                call()
            self.assertEqual(self.source.told, heard)
            self.assertEqual(sink.data, b"")

    def test_cancel(self) -> None:
        sink = drain(self.body)
        self.body.cancel()
        self.body.end()
        self.assertEqual(self.source.told, ["start", "cancel"])
        self.assertEqual((sink.ended, sink.error, self.body.error.reason), (False, None, "body_cancelled"))

    def test_what_nobody_wants_is_counted(self) -> None:
        self.body.cancel()
        self.body.write(b"abc")
        self.assertEqual(self.body.size, 3)
        self.assertEqual(self.body.take_ready(), b"")


class ReentrancyTests(SynchronousTestCase):
    def test_source_that_answers_start_with_data(self) -> None:
        source = Source(on_start=lambda: body.write(b"def"))
        body = Body(None, source)
        body.write(b"abc")
        self.assertEqual(drain(body).data, b"abcdef")

    def test_source_that_answers_start_with_everything(self) -> None:
        def all_of_it() -> None:
            body.write(b"def")
            body.end(TRAILERS)

        body = Body(None, Source(on_start=all_of_it))
        body.write(b"abc")
        sink = drain(body)
        self.assertEqual((sink.data, sink.ended, sink.trailers), (b"abcdef", True, TRAILERS))

    def test_source_that_answers_resume_with_data(self) -> None:
        body = Body(None, Source(on_resume=lambda: body.write(b"y")))
        body.write(b"x" * HIGH_WATER)
        self.assertEqual(drain(body).data, b"x" * HIGH_WATER + b"y")

    def test_sink_that_brings_more_while_it_is_fed(self) -> None:
        class Feeding(Gathered):
            def write(self, data: bytes) -> None:
                super().write(data)
                if len(self.chunks) < 4:
                    body.write(b"%d" % len(self.chunks))

        body, sink = Body(), Feeding()
        body.write(b"0")
        body.attach(sink)
        self.assertEqual(sink.data, b"0123")

    def test_sink_that_cancels_while_it_is_fed_hears_nothing_more(self) -> None:
        class Fed(Gathered):
            def write(self, data: bytes) -> None:
                super().write(data)
                body.write(b"more")
                body.cancel()

        for ended in (False, True):
            body, sink = Body(), Fed()
            body.write(b"abc")
            if ended:
                body.end()
            body.attach(sink)
            self.assertEqual((sink.data, sink.ended, sink.error), (b"abc", False, None))

    def test_sink_that_pauses_while_it_is_fed(self) -> None:
        class Slow(Gathered):
            def write(self, data: bytes) -> None:
                super().write(data)
                body.pause()

        source = Source()
        body = Body(None, source)
        body.write(bytes(HIGH_WATER))
        body.attach(Slow())
        self.assertEqual(source.told, ["pause", "start"])
        body.resume()
        self.assertEqual(source.told, ["pause", "start", "resume"])


class CapTests(SynchronousTestCase):
    def test_declared_or_here_already(self) -> None:
        body = Body(11)
        self.assertEqual(self.assertRaises(GatewayError, body.cap, 10).status, 413)
        body = Body()
        body.write(bytes(11))
        self.assertEqual(self.assertRaises(GatewayError, body.cap, 10).reason, "body_too_large")

    def test_exactly_so_much(self) -> None:
        body = Body()
        body.cap(10)
        sink = drain(body)
        body.write(bytes(10))
        body.end()
        self.assertTrue(sink.ended)

    def test_too_much_ends_it_once(self) -> None:
        source = Source()
        body = Body(None, source)
        body.cap(10)
        sink = drain(body)
        for _ in range(5):
            body.write(bytes(6))
        self.assertEqual((len(sink.data), sink.error.reason), (6, "body_too_large"))
        self.assertEqual(source.told, ["start", "cancel"])
        self.assertEqual(body.size, 30)

    def test_too_much_before_anybody_reads(self) -> None:
        body = Body()
        body.cap(10)
        body.write(bytes(6))
        body.write(bytes(6))
        sink = drain(body)
        self.assertEqual((sink.data, sink.error.status), (b"", 413))


class ReadTests(SynchronousTestCase):
    def read(self, body: Body, limit: int = 10) -> Deferred[bytes]:
        return Deferred.fromCoroutine(body.read(limit))

    def test_whole(self) -> None:
        body = Body()
        reading = self.read(body)
        body.write(b"abc")
        body.write(b"def")
        self.assertNoResult(reading)
        body.end()
        self.assertEqual(self.successResultOf(reading), b"abcdef")
        self.assertEqual(self.successResultOf(self.read(EMPTY)), b"")

    def test_too_large(self) -> None:
        source = Source()
        body = Body(None, source)
        reading = self.read(body)
        body.write(bytes(11))
        body.write(bytes(11))
        self.assertEqual(self.failureResultOf(reading, GatewayError).value.status, 413)
        self.assertEqual(source.told, ["start", "cancel"])
        self.assertEqual(self.failureResultOf(self.read(Body(11)), GatewayError).value.status, 413)

    def test_failed(self) -> None:
        body = Body()
        reading = self.read(body)
        body.abort(FAULT)
        self.assertIs(self.failureResultOf(reading).value, FAULT)

    def test_given_up(self) -> None:
        source = Source()
        reading = self.read(Body(None, source))
        reading.cancel()
        self.failureResultOf(reading, CancelledError)
        self.assertEqual(source.told, ["start", "cancel"])


ACTIONS = st.lists(
    st.one_of(
        st.integers(1, HIGH_WATER).map(lambda size: ("write", size)),
        st.sampled_from([("attach", 0), ("pause", 0), ("resume", 0), ("take", 0)]),
    ),
    max_size=40,
)


class InterleavingTests(SynchronousTestCase):
    @given(ACTIONS, st.sampled_from(["end", "abort"]), st.integers(0, 3))
    def test_nothing_is_lost_doubled_or_reordered(
        self, actions: list[tuple[str, int]], ending: str, eager: int
    ) -> None:
        """eager: how many writes the source makes inside each `start` and `resume`."""
        sent = bytearray()
        taken = bytearray()

        def make(size: int) -> None:
            data = bytes((len(sent) + index) % 251 for index in range(min(size, 16))) * (size // 16 + 1)
            sent.extend(data)
            body.write(data)

        def more() -> None:
            for _ in range(eager):
                make(5)

        source = Source(more, more)
        body = Body(None, source)
        sink = Gathered()
        for action, size in actions:
            if action == "write":
                make(size)
            elif action == "attach" and not body.started:
                body.attach(sink)
            elif action == "take" and not body.started:
                taken += body.take_ready()
            elif action in ("pause", "resume"):
                getattr(body, action)()
        if ending == "end":
            body.end()
        else:
            body.abort(FAULT)
        if not body.started:
            body.attach(sink)
        self.assertEqual(bytes(taken) + sink.data, bytes(sent))
        self.assertEqual((sink.ended, sink.error), (True, None) if ending == "end" else (False, FAULT))
        self.assertEqual(body.size, len(sent))

    @given(ACTIONS)
    def test_source_is_paused_and_resumed_in_turn(self, actions: list[tuple[str, int]]) -> None:
        source = Source()
        body = Body(None, source)
        for action, size in actions:
            if action == "write":
                body.write(bytes(size))
            elif action == "attach" and not body.started:
                body.attach(Gathered())
            elif action in ("pause", "resume"):
                getattr(body, action)()
        told = [call for call in source.told if call != "start"]
        self.assertEqual(told, ["pause", "resume"] * (len(told) // 2) + ["pause"] * (len(told) % 2))
        if not body.started:
            self.assertLessEqual(source.told.count("resume"), source.told.count("pause"))
