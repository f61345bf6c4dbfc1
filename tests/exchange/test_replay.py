"""Tests of edgegw.exchange.replay."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from edgegw.errors import GatewayError
from edgegw.exchange.body import Body
from edgegw.exchange.replay import Replay
from edgegw.testing.bodies import Source
from edgegw.testing.exchanges import Gathered

FAULT = GatewayError(400, "bad_chunk_size")


class ReplayTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.source = Source()
        self.body = Body(None, self.source)
        self.replay = Replay(self.body, 10)
        self.first, self.second = Gathered(), Gathered()

    def test_second_sink_gets_all_from_the_first_byte(self) -> None:
        self.replay.attach(self.first)
        self.body.write(b"abc")
        self.replay.detach()
        self.replay.attach(self.second)
        self.body.write(b"def")
        self.body.end(((b"x", b"X", b"1"),))
        self.assertEqual(self.first.data, b"abc")
        self.assertEqual((self.second.data, self.second.ended, len(self.second.trailers)), (b"abcdef", True, 1))
        self.assertFalse(self.first.ended)

    def test_body_rests_between_two_sinks(self) -> None:
        self.replay.attach(self.first)
        self.replay.detach()
        self.assertEqual(self.source.told, ["start", "pause"])
        self.replay.attach(self.second)
        self.assertEqual(self.source.told, ["start", "pause", "resume"])

    def test_pause_of_a_sink_that_failed_does_not_outlive_it(self) -> None:
        self.replay.attach(self.first)
        self.replay.pause()
        self.replay.detach()
        self.replay.attach(self.second)
        self.assertEqual(self.source.told, ["start", "pause", "resume"])

    def test_what_was_on_its_way_between_two_sinks_is_kept_beyond_the_limit(self) -> None:
        self.replay.attach(self.first)
        self.body.write(b"0123456789")
        self.replay.detach()
        self.body.write(b"abc")
        self.assertTrue(self.replay.possible)
        self.replay.attach(self.second)
        self.body.end()
        self.assertEqual((self.second.data, self.second.ended), (b"0123456789abc", True))

    def test_past_the_limit_there_is_no_other_attempt(self) -> None:
        self.replay.attach(self.first)
        self.body.write(b"0123456789")
        self.assertTrue(self.replay.possible)
        self.body.write(b"a")
        self.assertFalse(self.replay.possible)
        self.assertRaises(RuntimeError, self.replay.attach, self.second)
        self.assertEqual(self.second.data, b"")

    def test_past_the_limit_it_is_out_of_the_way(self) -> None:
        self.replay.attach(self.first)
        self.body.write(bytes(11))
        self.assertIs(self.body._sink, self.first)
        self.body.write(b"abc")
        self.body.end()
        self.assertEqual((self.first.data, self.first.ended), (bytes(11) + b"abc", True))

    def test_sink_that_is_left_past_the_limit_hears_nothing_more(self) -> None:
        self.replay.attach(self.first)
        self.body.write(bytes(11))
        self.replay.detach()
        self.body.write(b"abc")
        self.body.end()
        self.assertEqual((len(self.first.data), self.first.ended), (11, False))

    def test_body_that_ended_meanwhile(self) -> None:
        self.replay.attach(self.first)
        self.body.write(b"abc")
        self.replay.detach()
        self.body.end()
        self.replay.attach(self.second)
        self.assertEqual((self.second.data, self.second.ended), (b"abc", True))

    def test_body_that_failed(self) -> None:
        self.replay.attach(self.first)
        self.body.abort(FAULT)
        self.assertIs(self.first.error, FAULT)
        self.assertFalse(self.replay.possible)
        self.replay.attach(self.second)
        self.assertIs(self.second.error, FAULT)

    def test_a_copy_of_the_whole(self) -> None:
        self.replay.attach(self.first)
        self.body.write(b"abc")
        self.assertFalse(self.replay.whole)
        with self.assertRaises(RuntimeError):
            self.replay.copy()
        self.body.write(b"def")
        self.body.end(((b"x-sum", b"X-Sum", b"1"),))
        self.assertTrue(self.replay.whole)
        for _ in range(2):
            copy = Gathered()
            self.replay.copy().attach(copy)
            self.assertEqual((copy.data, copy.ended, len(copy.trailers)), (b"abcdef", True, 1))

    def test_no_copy_of_what_is_gone(self) -> None:
        self.replay.attach(self.first)
        self.body.write(bytes(11))
        self.body.end()
        self.assertFalse(self.replay.whole)

    def test_cancel(self) -> None:
        self.replay.attach(self.first)
        self.replay.cancel()
        self.body.write(b"abc")
        self.body.end()
        self.assertEqual((self.first.data, self.first.ended, self.first.error), (b"", False, None))
        self.assertEqual(self.source.told, ["start", "cancel"])
        self.assertIn("gone", repr(self.replay))

    def test_a_sink_that_has_enough_with_what_was_kept(self) -> None:
        self.replay.attach(self.first)
        self.body.write(b"abc")
        self.replay.detach()
        full = Gathered()
        replay, write = self.replay, full.write

        def congested(data: bytes) -> None:
            write(data)
            replay.pause()

        full.write = congested  # type: ignore[method-assign]
        self.replay.attach(full)
        self.assertEqual(self.source.told, ["start", "pause"], "its peer takes no more at the moment")
        self.replay.resume()
        self.assertEqual(self.source.told, ["start", "pause", "resume"])
        self.body.write(b"d")
        self.assertEqual(full.data, b"abcd")

    @given(st.lists(st.sampled_from(["write", "detach", "attach", "pause", "resume"]), max_size=40), st.integers(0, 60))
    def test_every_sink_gets_the_body_from_the_first_byte_without_a_hole(self, script: list[str], limit: int) -> None:
        body = Body()
        replay = Replay(body, limit)
        sinks = [Gathered()]
        replay.attach(sinks[-1])
        sent, left = b"", False
        for number, action in enumerate(script):
            if action == "write":
                data = bytes([number]) * (1 + number % 7)
                sent += data
                body.write(data)
            elif action == "detach" and not left:
                replay.detach()
                left = True
            elif action == "attach" and left and replay.possible:
                sinks.append(Gathered())
                replay.attach(sinks[-1])
                left = False
            elif action in ("pause", "resume"):
                getattr(replay, action)()
        body.end()
        for sink in sinks:
            self.assertTrue(sent.startswith(sink.data))
        if not left:
            self.assertEqual((sinks[-1].data, sinks[-1].ended), (sent, True))
