"""One round after the other."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from edgegw.discovery.api.errors import ApiError, Garbage
from edgegw.discovery.api.rounds import Rounds


class RoundsTests(SynchronousTestCase):
    """Rounds that end when the test says."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.begun: list[Deferred[float]] = []
        self.errors: list[ApiError] = []
        self.rounds = Rounds(self.clock, self.turn, self.setback, "counting")
        self.rounds.start()

    def tearDown(self) -> None:
        self.rounds.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [], "a timer was left")
        self.assertIn("stopped", repr(self.rounds))

    async def turn(self) -> float:
        self.begun.append(Deferred())
        return await self.begun[-1]

    def setback(self, error: ApiError) -> float:
        self.errors.append(error)
        return 5.0

    def next_after(self, pause_s: float) -> None:
        """The next round begins after this time, not before."""
        count = len(self.begun)
        self.clock.advance(pause_s - 0.1)
        self.assertEqual(len(self.begun), count)
        self.clock.advance(0.2)
        self.assertEqual(len(self.begun), count + 1)

    def test_pauses(self) -> None:
        """As long as the round says; none for nothing and less."""
        self.begun[-1].callback(2.0)
        self.next_after(2.0)
        for pause_s in (0.0, -1.0):
            count = len(self.begun)
            self.begun[-1].callback(pause_s)
            self.assertEqual(len(self.begun), count + 1)

    def test_error(self) -> None:
        """How long to pause then says who is told."""
        error = ApiError("no")
        self.begun[-1].errback(error)
        self.assertEqual(self.errors, [error])
        self.next_after(5.0)

    def test_bug_of_ours(self) -> None:
        """It is logged, told as Garbage in words of bounded length, and the rounds go on."""
        self.begun[-1].errback(ValueError("x" * 999))
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
        self.assertIsInstance(self.errors[-1], Garbage)
        self.assertTrue(self.errors[-1].words.startswith("counting failed: ValueError('xx"))
        self.assertEqual(len(self.errors[-1].words), 300)
        self.next_after(5.0)

    def test_stop_in_a_round(self) -> None:
        """It is cancelled, and nobody told."""
        self.rounds.stop()
        self.assertTrue(self.begun[-1].called)
        self.clock.advance(100)
        self.assertEqual((len(self.begun), self.errors), (1, []))

    def test_stop_in_a_pause(self) -> None:
        self.begun[-1].callback(2.0)
        self.rounds.stop()
        self.clock.advance(100)
        self.assertEqual(len(self.begun), 1)

    def test_stop_by_who_is_told(self) -> None:
        """Neither a pause nor a round follows."""

        def setback(error: ApiError) -> float:
            self.rounds.stop()
            return 5.0

        self.rounds._setback = setback
        self.begun[-1].errback(ApiError("no"))
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.clock.advance(100)
        self.assertEqual(len(self.begun), 1)
