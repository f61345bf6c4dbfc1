"""Deadlines."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from edgegw.discovery.api.deadline import within
from edgegw.discovery.api.errors import ApiError


class WithinTests(SynchronousTestCase):
    """Work that may take too long."""

    def test_too_long(self) -> None:
        clock, work = Clock(), Deferred[None]()
        made = Deferred.fromCoroutine(within(clock, 5.0, work, "too long"))
        clock.advance(4.9)
        self.assertNoResult(made)
        clock.advance(0.2)
        self.assertEqual(self.failureResultOf(made, ApiError).value.words, "too long")

    def test_in_time(self) -> None:
        """No timer is left."""
        clock, work = Clock(), Deferred[int]()
        made = Deferred.fromCoroutine(within(clock, 5.0, work, "too long"))
        work.callback(3)
        self.assertEqual(self.successResultOf(made), 3)
        self.assertEqual(clock.getDelayedCalls(), [])

    def test_cancelled(self) -> None:
        """That is no deadline."""
        clock = Clock()
        made = Deferred.fromCoroutine(within(clock, 5.0, Deferred[None](), "too long"))
        made.cancel()
        self.failureResultOf(made, CancelledError)
        self.assertEqual(clock.getDelayedCalls(), [])
