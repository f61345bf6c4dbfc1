"""Pings, verdicts, and the rate of messages."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from edgegw.config.units import Rate
from edgegw.net.websocket.pulse import Pace, Pulse


class FakeSide:
    def __init__(self) -> None:
        self.sent = 0
        self.waiting = 0
        self.pings = 0

    def outstanding(self) -> int:
        return self.waiting

    def ping(self) -> None:
        self.pings += 1
        self.sent += 2


class PulseTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.pulse = Pulse(20.0, 10.0, 100.0)
        self.side = FakeSide()

    def check(self, now_s: float) -> float:
        return self.pulse.check(now_s, self.side)

    def test_silence_is_pinged_and_more_silence_is_death(self) -> None:
        self.assertEqual((self.check(119.9), self.side.pings), (120.0, 0))
        self.assertEqual((self.check(120.0), self.side.pings), (130.0, 1))
        self.assertEqual((self.check(125.0), self.side.pings), (130.0, 1))
        self.assertEqual((self.check(130.0), self.side.pings), (-1, 1))

    def test_anything_heard_is_life(self) -> None:
        self.pulse.heard_s = 115.0
        self.assertEqual((self.check(120.0), self.side.pings), (135.0, 0))
        self.assertEqual(self.check(135.0), 145.0)
        self.pulse.heard_s = 135.0  # In the very tick of the ping.
        self.assertEqual((self.check(145.0), self.side.pings), (155.0, 1))
        self.assertEqual((self.check(155.0), self.side.pings), (165.0, 2))

    def test_a_slow_reader_that_takes_something_is_not_dead(self) -> None:
        self.side.sent, self.side.waiting = 1000, 900
        self.check(120.0)
        self.side.waiting = 500
        self.assertEqual(self.check(130.0), 140.0)
        self.assertEqual(self.check(140.0), -1)  # It took nothing since.

    def test_a_peer_that_took_the_ping_and_says_nothing_is_dead(self) -> None:
        self.side.sent, self.side.waiting = 1000, 900
        self.check(120.0)
        self.side.waiting = 0
        self.assertEqual(self.check(130.0), -1)

    def test_an_unsent_ping_is_no_progress(self) -> None:
        self.check(120.0)
        self.side.waiting = 2
        self.assertEqual(self.check(130.0), -1)

    def test_off(self) -> None:
        self.assertEqual(Pulse(0.0, 10.0, 100.0).check(1e9, self.side), float("inf"))
        self.assertEqual(self.side.pings, 0)

    def test_repr(self) -> None:
        self.check(120.0)
        self.assertEqual(repr(self.pulse), "<Pulse heard=100.0 pinged=120.0>")


class PaceTests(SynchronousTestCase):
    def test_a_second_at_once_then_as_many_per_second(self) -> None:
        pace = Pace(Rate(4, 1.0))
        self.assertEqual([pace.allows(50.0) for _ in range(6)], [True] * 4 + [False] * 2)
        self.assertEqual([pace.allows(50.2), pace.allows(50.2)], [True, False])
        self.assertEqual([pace.allows(60.0) for _ in range(6)], [True] * 4 + [False] * 2)

    def test_a_steady_talker_is_never_refused(self) -> None:
        pace = Pace(Rate(10, 1.0))
        self.assertTrue(all(pace.allows(at / 10) for at in range(1000)))

    def test_a_slow_rate_allows_at_least_one(self) -> None:
        pace = Pace(Rate(5, 60.0))
        self.assertEqual([pace.allows(0.0), pace.allows(1.0), pace.allows(12.0)], [True, False, True])

    def test_repr(self) -> None:
        self.assertEqual(repr(Pace(Rate(600, 60.0))), "<Pace 10/s>")
