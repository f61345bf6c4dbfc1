"""Tests of edgegw.runtime.wheel."""

from __future__ import annotations

import sys
import weakref

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from edgegw.runtime.wheel import STALL_S, TICK_S, Deadline, Wheel

STEP_S = 1 / 64  # Exact in binary, and finer than a tick.
SLACK_S = 0.002


class WheelCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.wheel = Wheel(self.clock)
        self.wheel.start()
        self.fired: list[float] = []

    def deadline(self) -> Deadline:
        return self.wheel.deadline(lambda: self.fired.append(self.clock.seconds()))

    def run_for(self, seconds: float) -> None:
        end = self.clock.seconds() + seconds
        while self.clock.seconds() < end:
            self.clock.advance(STEP_S)


class DeadlineTests(WheelCase):
    def test_fires_once(self) -> None:
        deadline = self.deadline()
        deadline.set(1)
        self.assertTrue(deadline.active)
        self.run_for(5)
        self.assertEqual(len(self.fired), 1)
        self.assertFalse(deadline.active)

    def test_counts_from_now_not_from_the_last_tick(self) -> None:
        self.clock.advance(0.09)
        self.deadline().set(1)
        self.run_for(2)
        self.assertGreaterEqual(self.fired[0], 1.09)

    def test_counts_from_now_though_the_loop_was_blocked(self) -> None:
        self.clock.rightNow += 5
        self.deadline().set(1)
        self.run_for(0.9)
        self.assertEqual(self.fired, [])
        self.run_for(0.3)
        self.assertEqual(len(self.fired), 1)

    def test_moved_away(self) -> None:
        deadline = self.deadline()
        deadline.set(1)
        self.run_for(0.5)
        deadline.set(5)
        self.run_for(4.9)
        self.assertEqual(self.fired, [])
        self.run_for(0.3)
        self.assertEqual(len(self.fired), 1)

    def test_moved_closer(self) -> None:
        deadline = self.deadline()
        deadline.set(50)
        deadline.set(1)
        self.run_for(1.2)
        self.assertEqual(len(self.fired), 1)
        self.run_for(60)
        self.assertEqual(len(self.fired), 1)

    def test_beyond_one_turn_of_the_wheel(self) -> None:
        self.deadline().set(250)
        self.run_for(249.9)
        self.assertEqual(self.fired, [])
        self.run_for(0.3)
        self.assertEqual(len(self.fired), 1)

    def test_cleared(self) -> None:
        deadline = self.deadline()
        deadline.set(1)
        deadline.clear()
        self.run_for(2)
        self.assertEqual((self.fired, len(self.wheel)), ([], 0))
        deadline.set(1)
        self.run_for(1.2)
        self.assertEqual(len(self.fired), 1)

    def test_dropped_is_forgotten_at_once(self) -> None:
        deadline = self.deadline()
        deadline.set(1)
        deadline.drop()
        self.assertEqual(len(self.wheel), 0)
        deadline.drop()

    def test_past_or_never(self) -> None:
        past, never = self.deadline(), self.deadline()
        past.set_at(-5)
        never.set(float("inf"))
        self.run_for(0.2)
        self.assertEqual(len(self.fired), 1)

    def test_repr(self) -> None:
        deadline = self.deadline()
        self.assertEqual(repr(deadline), "<Deadline clear>")
        deadline.set(2)
        self.assertEqual(repr(deadline), "<Deadline in 2.0 s>")
        self.assertEqual(repr(self.wheel), "<Wheel 1 deadlines filed>")


class CallbackTests(WheelCase):
    def test_callback_that_sets_its_own_deadline(self) -> None:
        def again() -> None:
            self.fired.append(self.clock.seconds())
            deadline.set(0)

        deadline = self.wheel.deadline(again)
        deadline.set(0.1)
        self.run_for(2.05)
        self.assertGreaterEqual(len(self.fired), 10)
        self.assertLessEqual(len(self.fired), 20)

    def test_a_slot_that_was_emptied_is_small_again(self) -> None:
        deadlines = [self.deadline() for _ in range(5000)]
        for deadline in deadlines:
            deadline.set(10)
        for deadline in deadlines:
            deadline.drop()
        self.assertLess(max(sys.getsizeof(slot) for slot in self.wheel._slots), 1000)

    def test_dropped_lets_go_of_its_callback(self) -> None:
        """Its owner, which it would keep alive until the garbage collector comes, and for good."""

        class Owner:
            def __init__(self, wheel: Wheel) -> None:
                self.deadline = wheel.deadline(self.passed)

            def passed(self) -> None:
                """Never."""

        owner = Owner(self.wheel)
        owner.deadline.set(1.0)
        owner.deadline.drop()
        gone = weakref.ref(owner)
        del owner
        self.assertIsNone(gone())

    def test_callback_that_drops_clears_and_moves_others_of_its_slot(self) -> None:
        others = [self.deadline() for _ in range(3)]

        def act() -> None:
            others[0].drop()
            others[1].clear()
            others[2].set(1)

        first = self.wheel.deadline(act)
        for deadline in (first, *others):
            deadline.set(1)
        self.run_for(1.2)
        self.assertEqual(self.fired, [])
        self.run_for(1)
        self.assertEqual(len(self.fired), 1)

    def test_failing_callbacks_keep_nobody_from_firing(self) -> None:
        def leave() -> None:
            raise SystemExit(1)

        broken = [self.wheel.deadline(lambda: 1 / 0), self.wheel.deadline(leave)]  # type: ignore[arg-type, return-value]
        for deadline in (*broken, self.deadline()):
            deadline.set(1)
        self.run_for(1.2)
        self.assertEqual(len(self.fired), 1)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError, SystemExit)), 2)
        self.deadline().set(1)
        self.run_for(1.2)
        self.assertEqual(len(self.fired), 2)


class StallTests(WheelCase):
    def test_everything_due_fires_once_after_a_stall(self) -> None:
        for seconds in (1, 30, 90, 110, 250):
            self.deadline().set(seconds)
        later = self.deadline()
        later.set(400)
        self.clock.rightNow += 300
        self.run_for(0.5)
        self.assertEqual(len(self.fired), 5)
        self.assertTrue(later.active)
        self.run_for(100)
        self.assertEqual(len(self.fired), 6)

    def test_what_came_during_a_stall_is_heard_first(self) -> None:
        deadline = self.deadline()
        deadline.set(3)
        self.run_for(1)
        # As a loop does it: its timers first, then the sockets, where the peer is heard after all.
        self.clock.rightNow += 10
        due = [call for call in self.clock.calls if call.getTime() <= self.clock.seconds()]
        for call in due:
            self.clock.calls.remove(call)
            call.called = 1
            call.func(*call.args, **call.kw)
        self.assertEqual(self.fired, [])
        deadline.set(3)
        self.run_for(2.9)
        self.assertEqual(self.fired, [])
        self.run_for(0.3)
        self.assertEqual(len(self.fired), 1)

    def test_being_a_little_late_is_no_stall(self) -> None:
        self.deadline().set(0.5)
        self.clock.advance(0.1 + STALL_S * 0.9)
        self.assertEqual(len(self.fired), 1)

    def test_one_big_step_is_enough_for_tests(self) -> None:
        self.deadline().set(10)
        self.clock.advance(11)
        self.assertEqual(len(self.fired), 1)

    def test_clock_that_jumps_back_fires_nothing_early(self) -> None:
        deadline = self.deadline()
        deadline.set(2)
        self.run_for(1)
        self.clock.rightNow -= 5
        self.run_for(5.9)
        self.assertEqual(self.fired, [])
        self.run_for(0.3)
        self.assertEqual(len(self.fired), 1)


class StartTests(SynchronousTestCase):
    def test_set_before_the_start(self) -> None:
        clock = Clock()
        wheel = Wheel(clock)
        fired: list[int] = []
        wheel.deadline(lambda: fired.append(1)).set(1)
        clock.advance(3)
        wheel.start()
        wheel.start()
        clock.advance(0.1)
        clock.advance(0.1)
        self.assertEqual(fired, [1])

    def test_stopped(self) -> None:
        clock = Clock()
        wheel = Wheel(clock)
        wheel.start()
        fired: list[int] = []
        wheel.deadline(lambda: fired.append(1)).set(1)
        wheel.stop()
        wheel.stop()
        clock.advance(10)
        self.assertEqual((fired, clock.getDelayedCalls()), ([], []))
        self.assertEqual(repr(wheel), "<Wheel 1 deadlines filed, stopped>")
        wheel.start()
        clock.advance(0.2)
        self.assertEqual(fired, [1])

    def test_stopped_in_a_callback(self) -> None:
        clock = Clock()
        wheel = Wheel(clock)
        wheel.start()
        wheel.deadline(wheel.stop).set(1)
        clock.advance(2)
        self.assertEqual(clock.getDelayedCalls(), [])

    def test_now_is_that_of_the_last_tick(self) -> None:
        clock = Clock()
        wheel = Wheel(clock)
        wheel.start()
        clock.advance(0.25)
        self.assertEqual(wheel.now_s, 0.25)
        clock.advance(0.04)
        self.assertEqual(wheel.now_s, 0.25)


class PunctualityTests(SynchronousTestCase):
    def test_a_tick_is_100_ms(self) -> None:
        """Coarse enough to be cheap, fine enough for a connect timeout of seconds (design/data-path.md)."""
        self.assertEqual(TICK_S, 0.1)

    @settings(max_examples=150, deadline=None)
    @given(
        st.integers(0, 200),
        st.lists(
            st.tuples(st.integers(0, 6000), st.sampled_from(["set", "clear", "drop"]), st.integers(0, 400)), max_size=25
        ),
    )
    def test_never_early_and_at_most_one_tick_late(self, phase: int, script: list[tuple[int, str, int]]) -> None:
        """script: (milliseconds to set to, what is done, milliseconds until the next) on three deadlines in turn."""
        clock = Clock()
        clock.advance(phase / 1024)
        wheel = Wheel(clock)
        wheel.start()
        due: list[float | None] = [None, None, None]
        late: list[float] = []

        def fire(index: int) -> None:
            moment, due[index] = due[index], None
            late.append(-1.0 if moment is None else clock.seconds() - moment)

        def made(index: int) -> Deadline:
            return wheel.deadline(lambda: fire(index))

        deadlines = [made(index) for index in range(3)]
        for number, (delay, action, pause) in enumerate(script):
            index = number % 3
            if action == "set":
                due[index] = clock.seconds() + delay / 1000
                deadlines[index].set(delay / 1000)
            else:
                due[index] = None
                getattr(deadlines[index], action)()
                if action == "drop":
                    deadlines[index] = made(index)
            for _ in range(pause):
                clock.advance(0.001)
        for _ in range(6200):
            clock.advance(0.001)
        self.assertEqual(due, [None] * 3, "one never fired")
        for each in late:
            self.assertGreaterEqual(each, -1e-9)
            self.assertLessEqual(each, TICK_S + SLACK_S)
