"""Asking while a watch is silent."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from edgegw.discovery.api.errors import ApiError
from edgegw.discovery.kubernetes.pulse import PERIOD_S, Pulse


class PulseTests(SynchronousTestCase):
    """On a clock that stands."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.asked: list[Deferred[None]] = []
        self.failed: list[ApiError] = []
        self.pulse = Pulse(self.clock, self.ask, self.failed.append)

    def ask(self) -> Any:
        self.asked.append(Deferred())
        return self.asked[-1]

    def test_listeners_are_told_every_20_s(self) -> None:
        """`Listener.confirmed` must come at least so often."""
        self.assertLess(PERIOD_S, 20.0)

    def test_silence(self) -> None:
        self.pulse.start()
        self.clock.advance(PERIOD_S - 0.1)
        self.assertEqual(self.asked, [])
        self.clock.advance(0.2)
        self.assertEqual(len(self.asked), 1)
        self.clock.advance(10 * PERIOD_S)
        self.assertEqual(len(self.asked), 1, "one question at a time")
        self.asked[0].callback(None)
        self.clock.advance(PERIOD_S)
        self.assertEqual(len(self.asked), 2)

    def test_whatever_is_heard_counts(self) -> None:
        self.pulse.start()
        for _ in range(10):
            self.clock.advance(PERIOD_S - 1)
            self.pulse.heard()
        self.assertEqual(self.asked, [])

    def test_failed(self) -> None:
        """Told once; it asks no more."""
        self.pulse.start()
        self.clock.advance(PERIOD_S)
        self.asked[0].errback(ApiError("no"))
        self.assertEqual([each.words for each in self.failed], ["no"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_bug_of_ours(self) -> None:
        """It is logged and told: the pulse does not just end."""
        self.pulse.start()
        self.clock.advance(PERIOD_S)
        self.asked[0].errback(ZeroDivisionError())
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(len(self.failed), 1)

    def test_stop(self) -> None:
        """Nothing is left of it: no timer, no question, nothing told."""
        self.pulse.start()
        self.pulse.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.pulse.start()
        self.clock.advance(PERIOD_S)
        self.pulse.stop()
        self.assertEqual((self.clock.getDelayedCalls(), self.failed), ([], []))
        self.assertTrue(self.asked[0].called, "the question was cancelled")

    def test_answered_at_once(self) -> None:
        pulse = Pulse(self.clock, lambda: succeed(None), self.failed.append)
        pulse.start()
        for _ in range(5):
            self.clock.advance(PERIOD_S)
        pulse.stop()
        self.assertEqual((self.clock.getDelayedCalls(), self.failed), ([], []))

    def test_stopped_by_what_it_tells(self) -> None:
        """The watch that is told of a failure stops its pulse."""
        told: list[ApiError] = []

        def failed(error: ApiError) -> None:
            told.append(error)
            pulse.stop()

        pulse = Pulse(self.clock, self.ask, failed)
        pulse.start()
        self.clock.advance(PERIOD_S)
        self.asked[0].errback(ApiError("no"))
        self.assertEqual((len(told), self.clock.getDelayedCalls()), (1, []))
