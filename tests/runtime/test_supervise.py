"""A periodic service survives what its ticks do."""

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from edgegw.runtime.supervise import Pace, Supervised


class SupervisedTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.times: list[float] = []

    def tick(self) -> None:
        self.times.append(self.clock.seconds())

    def test_ticks_at_once_and_then_at_every_interval(self) -> None:
        service = Supervised("probe", self.tick, 2.0, self.clock)
        service.startService()
        self.clock.pump([1.0] * 5)
        self.assertEqual(self.times, [0.0, 2.0, 4.0])
        self.assertIsNone(service.stopService())
        self.clock.advance(10)
        self.assertEqual(len(self.times), 3)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_first_tick_may_wait_for_the_interval(self) -> None:
        Supervised("probe", self.tick, Pace(2.0, at_once=False), self.clock).startService()
        self.assertEqual(self.times, [])
        self.clock.advance(2)
        self.assertEqual(self.times, [2.0])

    def test_first_tick_may_be_delayed(self) -> None:
        Supervised("probe", self.tick, Pace(2.0, delay_s=0.5), self.clock).startService()
        Supervised("probe", self.tick, Pace(2.0, at_once=False, delay_s=0.75), self.clock).startService()
        self.assertEqual(self.times, [])
        self.clock.pump([0.25] * 12)
        self.assertEqual(self.times, [0.5, 2.5, 2.75])

    def test_the_pace_may_change(self) -> None:
        service = Supervised("probe", self.tick, 2.0, self.clock)
        service.startService()
        service.set_pace(Pace(0.5))
        self.clock.pump([0.25] * 12)
        self.assertEqual(self.times, [0.0, 2.0, 2.5, 3.0])

    def test_a_failing_tick_is_logged_counted_and_followed_by_the_next(self) -> None:
        seen: list[object] = []

        def tick() -> None:
            self.tick()
            if len(self.times) < 3:
                raise ZeroDivisionError

        service = Supervised("probe", tick, 1.0, self.clock, failed=seen.append)
        service.startService()
        self.clock.pump([1.0] * 3)
        self.assertEqual(self.times, [0.0, 1.0, 2.0, 3.0])
        self.assertEqual((service.ticks, service.failures, len(seen)), (4, 2, 2))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 2)

    def test_a_failing_deferred_or_coroutine_is_survived(self) -> None:
        async def tick() -> None:
            self.tick()
            raise ZeroDivisionError

        service = Supervised("probe", tick, 1.0, self.clock)
        service.startService()
        self.clock.advance(1)
        self.assertEqual(service.failures, 2)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 2)

    def test_ticks_never_overlap_and_missed_ones_are_not_made_up_for(self) -> None:
        waiting: list[Deferred[None]] = []

        def tick() -> Deferred[None]:
            self.tick()
            waiting.append(Deferred())
            return waiting[-1]

        Supervised("probe", tick, 1.0, self.clock).startService()
        self.clock.advance(3.5)
        self.assertEqual(self.times, [0.0])
        waiting[0].callback(None)
        self.assertEqual(self.times, [0.0])
        self.clock.advance(0.5)
        self.assertEqual(self.times, [0.0, 4.0])

    def test_jitter_adds_its_share_of_chance(self) -> None:
        chances = iter([0.0, 1.0, 0.5])
        service = Supervised("probe", self.tick, Pace(10.0, jitter=0.2), self.clock, lambda: next(chances))
        service.startService()
        self.clock.pump([0.5] * 44)
        self.assertEqual(self.times, [0.0, 10.0, 22.0])

    def test_stop_waits_for_the_tick_under_way(self) -> None:
        waiting: Deferred[None] = Deferred()
        service = Supervised("probe", lambda: waiting, 1.0, self.clock)
        service.startService()
        stopped = service.stopService()
        assert stopped is not None
        self.assertNoResult(stopped)
        waiting.callback(None)
        self.successResultOf(stopped)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_stop_cancels_the_tick_at_its_deadline(self) -> None:
        cancelled: list[object] = []
        service = Supervised("probe", lambda: Deferred(cancelled.append), Pace(1.0, stop_s=3.0), self.clock)
        service.startService()
        stopped = service.stopService()
        assert stopped is not None
        self.clock.advance(2.9)
        self.assertNoResult(stopped)
        self.clock.advance(0.1)
        self.successResultOf(stopped)
        self.assertEqual((len(cancelled), service.failures), (1, 0))

    def test_a_tick_that_will_not_be_cancelled_does_not_hold_up_the_stop(self) -> None:
        async def tick() -> None:
            while True:
                try:
                    await Deferred()
                except Exception:
                    continue

        service = Supervised("probe", tick, Pace(1.0, stop_s=3.0), self.clock)
        service.startService()
        stopped = service.stopService()
        assert stopped is not None
        self.clock.advance(3)
        self.successResultOf(stopped)

    def test_starts_again_after_a_stop(self) -> None:
        service = Supervised("probe", self.tick, 1.0, self.clock)
        service.startService()
        service.stopService()
        self.clock.advance(5)
        service.startService()
        self.clock.advance(1)
        self.assertEqual(self.times, [0.0, 5.0, 6.0])

    def test_trigger_ticks_now_but_never_twice_at_a_time(self) -> None:
        service = Supervised("probe", self.tick, 10.0, self.clock)
        service.trigger()
        self.assertEqual(self.times, [])
        service.startService()
        self.clock.advance(4)
        service.trigger()
        self.clock.advance(10)
        self.assertEqual(self.times, [0.0, 4.0, 14.0])

    def test_repr_says_what_it_is_and_how_it_goes(self) -> None:
        service = Supervised("probe", self.tick, 1.0, self.clock)
        self.assertIn("probe every 1 s, stopped, 0 ticks", repr(service))
        service.startService()
        self.assertIn("waiting, 1 ticks, 0 failed", repr(service))
        self.assertEqual(service.name, "probe")
