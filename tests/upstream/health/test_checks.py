"""Tests of edgegw.upstream.health.checks."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from edgegw.errors import GatewayError
from edgegw.upstream.health.checks import AT_ONCE, Turns
from edgegw.upstream.health.interfaces import ProbeFailed
from edgegw.upstream.standing import Hold
from tests.upstream.health.scene import Scene, Told, alternating

DOWN = ProbeFailed("status 500")


class FallAndRiseTests(SynchronousTestCase):
    def test_three_in_a_row_take_it_out_and_two_bring_it_back(self) -> None:
        probe = Told(lambda endpoint: DOWN)
        scene = Scene(1, probe)
        (endpoint,) = scene.endpoints
        states = []
        for number in range(1, 4):
            scene.until(number)
            states.append(endpoint.standing.state)
        self.assertEqual(states, ["ready", "ready", "failing"])
        self.assertEqual(endpoint.standing.reasons[Hold.FAILING], "status 500 (3 in a row)")
        scene.until(4)
        self.assertEqual(endpoint.standing.reasons[Hold.FAILING], "status 500 (4 in a row)")
        probe.verdict = lambda endpoint: "200"
        scene.until(5)
        self.assertEqual(endpoint.standing.state, "failing")
        scene.until(6)
        self.assertEqual(endpoint.standing.state, "ready")
        self.assertEqual(
            scene.events(),
            [
                ("endpoint_held", "failing: status 500 (3 in a row)"),
                ("endpoint_released", "no longer failing"),
            ],
        )
        self.assertEqual(scene.counted, [False] * 4 + [True] * 2)

    def test_flapping(self) -> None:
        """Drill R6: answers of 200 and 500 in turn change nothing, and are not asked for any oftener."""
        scene = Scene(3, Told(alternating()))
        scene.advance(1000)
        self.assertEqual(scene.events(), [])
        self.assertTrue(all(endpoint.standing.free for endpoint in scene.endpoints))
        per_endpoint = Counter(scene.probe.asked)
        # 1000 s at 5 s and up to a tenth more.
        self.assertTrue(all(180 <= count <= 201 for count in per_endpoint.values()), per_endpoint)
        self.assertApproximates(sum(scene.counted) / len(scene.counted), 0.5, 0.01)

    def test_flapping_does_not_bring_it_back_either(self) -> None:
        scene = Scene(2, Told(alternating()))
        endpoint, _ = scene.endpoints
        endpoint.hold(Hold.FAILING, "before", "health")
        scene.advance(500)
        self.assertIn(Hold.FAILING, endpoint.standing.reasons)
        self.assertEqual(len(scene.events()), 1)

    def test_a_new_endpoint_waits_for_its_first_good_probe(self) -> None:
        answers: dict[str, Any] = {}
        scene = Scene(2, Told(lambda endpoint: answers.get(endpoint.name, "200")), spare=1)
        answers["http://origin-1:80"] = DOWN
        scene.name(2)
        _, new = scene.endpoints
        self.assertEqual(new.standing.state, "pending")
        scene.advance(6)
        self.assertEqual(new.standing.state, "pending")
        answers.clear()
        scene.advance(6)
        self.assertEqual(new.standing.state, "ready")

    def test_a_new_endpoint_that_fails_is_failing(self) -> None:
        scene = Scene(2, Told(lambda endpoint: DOWN if "origin-1" in endpoint.name else "200"), spare=1)
        scene.name(2)
        _, new = scene.endpoints
        free = []
        scene.environment.events.follow(lambda event: free.append(new.standing.free))
        scene.advance(17)
        self.assertEqual(set(new.standing.reasons), {Hold.FAILING})
        self.assertNotIn(True, free)

    @settings(max_examples=100, deadline=None)
    @given(st.lists(st.booleans(), max_size=60), st.integers(1, 5), st.integers(1, 5))
    def test_any_history(self, history: list[bool], fall: int, rise: int) -> None:
        """The standing is what a count by hand says, after every probe."""
        left = list(history)
        probe = Told(lambda endpoint: ("200" if left.pop(0) else DOWN) if left else Deferred())
        scene = Scene(1, probe, {"fall": fall, "rise": rise})
        (endpoint,) = scene.endpoints
        failing, row = False, 0
        for number, ok in enumerate(history, 1):
            scene.until(number)
            row = max(row, 0) + 1 if ok else min(row, 0) - 1
            failing = (row < rise) if failing else (-row >= fall)
            self.assertEqual(Hold.FAILING in endpoint.standing.reasons, failing, (history[:number], row))
        scene.checks.stopService()


class RosterTests(SynchronousTestCase):
    def test_a_thousand_are_spread_over_the_first_interval(self) -> None:
        scene = Scene(1000, Told())
        per_turn = [len(scene.probe.asked)]
        for _ in range(50):
            before = len(scene.probe.asked)
            scene.clock.advance(0.1)
            per_turn.append(len(scene.probe.asked) - before)
        self.assertEqual(len(set(scene.probe.asked)), 1000)
        self.assertLessEqual(max(per_turn), 25)
        scene.advance(55)
        self.assertTrue(all(10 <= count <= 13 for count in Counter(scene.probe.asked).values()))

    def test_few_are_probed_at_once(self) -> None:
        scene = Scene(3, Told())
        scene.advance(0.1)
        self.assertEqual(len(set(scene.probe.asked)), 3)

    def test_no_more_than_so_many_at_a_time(self) -> None:
        """The time of those that wait begins when it is their turn."""
        scene = Scene(300, Told(lambda endpoint: Deferred()), {"every": "1s", "timeout": "3s"})
        scene.advance(2)
        self.assertEqual((scene.probe.under_way, len(scene.probe.asked)), (AT_ONCE, AT_ONCE))
        self.assertIn("0 free, 236 wait", repr(scene.checks))
        scene.advance(20)
        self.assertEqual(scene.probe.most, AT_ONCE)
        self.assertEqual(len(set(scene.probe.asked)), 300)
        took_s = {round(each.took_s) for endpoint in scene.endpoints for each in endpoint.history}
        self.assertEqual(took_s, {3})

    def test_removed_ones_are_left_alone(self) -> None:
        waiting: list[Deferred[str]] = []
        cancelled: list[object] = []

        def verdict(endpoint: object) -> Deferred[str]:
            waiting.append(Deferred(cancelled.append))
            return waiting[-1]

        scene = Scene(2, Told(verdict))
        scene.advance(0.1)
        kept, gone = scene.endpoints
        scene.name(1)
        scene.clock.advance(0)
        self.assertEqual(cancelled, [waiting[1]])
        scene.advance(30)
        self.assertEqual(len(gone.history), 0)
        self.assertEqual([each for each in scene.probe.asked if each is gone], [gone])
        self.assertGreater(len(kept.history), 3)

    def test_stopping_leaves_nothing_behind(self) -> None:
        scene = Scene(200, Told(lambda endpoint: Deferred()))
        scene.advance(3)
        scene.environment.wheel.stop()
        stopping = scene.checks.stopService()
        self.assertNoResult(stopping)
        scene.clock.advance(0)
        self.successResultOf(stopping)
        self.assertEqual(scene.probe.under_way, 0)
        self.assertEqual(scene.clock.getDelayedCalls(), [])
        self.assertEqual(len(scene.environment.wheel), 0)
        self.assertIn(f"{AT_ONCE} free, 0 wait", repr(scene.checks))

    def test_a_reload_forgets_nothing_and_hurries_nobody(self) -> None:
        scene = Scene(1, Told(lambda endpoint: DOWN))
        (endpoint,) = scene.endpoints
        scene.advance(6)
        self.assertEqual(endpoint.streak, -2)
        asked = len(scene.probe.asked)
        for _ in range(20):
            scene.checks.stopService()
            scene.checks = scene.make()
            scene.checks.roster(scene.endpoints)
            scene.checks.startService()
            scene.advance(0.1)
        self.assertEqual(len(scene.probe.asked), asked)
        scene.advance(4)
        self.assertEqual(endpoint.standing.state, "failing")


class PaceTests(SynchronousTestCase):
    def test_jitter(self) -> None:
        scene = Scene(1, Told())
        scene.advance(1000)
        at_s = [each.at_s for each in scene.endpoints[0].history]
        gaps = [after - before for before, after in pairwise(at_s)]
        self.assertTrue(all(5.0 <= gap <= 5.61 for gap in gaps), gaps)
        self.assertGreater(max(gaps) - min(gaps), 0.1)

    def test_another_pace_while_it_fails(self) -> None:
        scene = Scene(1, Told(lambda endpoint: DOWN), {"every": "10s", "unhealthy_every": "1s"})
        scene.advance(25)
        self.assertEqual(scene.endpoints[0].standing.state, "failing")
        asked = len(scene.probe.asked)
        scene.probe.verdict = lambda endpoint: "200"
        scene.advance(2.5)
        self.assertEqual(scene.endpoints[0].standing.state, "ready")
        self.assertLessEqual(len(scene.probe.asked) - asked, 3)
        asked = len(scene.probe.asked)
        scene.advance(60)
        self.assertLessEqual(len(scene.probe.asked) - asked, 7)


class VerdictTests(SynchronousTestCase):
    def details(self, verdict: Any, seconds: float = 3.0) -> tuple[bool, str]:
        scene = Scene(1, Told(verdict), {"timeout": "2s"})
        scene.advance(seconds)
        last = scene.endpoints[0].history[-1]
        return last.ok, last.detail

    def test_history(self) -> None:
        scene = Scene(1, Told())
        scene.clock.advance(100)
        before = len(scene.endpoints[0].history)
        scene.probe.verdict = lambda endpoint: DOWN
        scene.advance(6)
        last = scene.endpoints[0].history[-1]
        self.assertGreater(len(scene.endpoints[0].history), before)
        self.assertEqual((last.ok, last.detail), (False, "status 500"))
        self.assertApproximates(last.at_s, scene.clock.seconds(), 6)

    def test_of_the_data_path(self) -> None:
        self.assertEqual(self.details(lambda _: GatewayError(503, "connect_refused")), (False, "connect_refused"))

    def test_too_late(self) -> None:
        self.assertEqual(self.details(lambda _: Deferred()), (False, "timeout after 2 s"))

    def test_a_probe_that_will_not_be_cancelled(self) -> None:
        class Stubborn(Told):
            async def probe(self, endpoint: Any, timeout_s: float) -> str:
                for _ in range(3):
                    try:
                        await super().probe(endpoint, timeout_s)
                    except CancelledError:
                        pass
                return "fine"

        scene = Scene(1, Stubborn(lambda _: Deferred()), {"timeout": "2s"})
        scene.advance(6)
        (probed,) = scene.endpoints[0].history
        self.assertEqual((probed.ok, probed.detail), (False, "timeout after 2 s"))
        scene.advance(6)
        self.assertEqual(len(scene.endpoints[0].history), 2)

    def test_a_broken_probe_is_told_once(self) -> None:
        def broken(_: object) -> None:
            raise ZeroDivisionError("by zero\n" + "x" * 500)

        scene = Scene(1, Told(broken))
        scene.advance(20)
        last = scene.endpoints[0].history[-1]
        self.assertEqual((last.ok, len(last.detail)), (False, 120))
        self.assertTrue(last.detail.startswith("ZeroDivisionError: by zero x"), last.detail)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(scene.endpoints[0].standing.state, "failing")

    def test_who_hears_of_passed_probes(self) -> None:
        scene = Scene(1, Told())
        scene.advance(0.1)
        self.assertEqual(scene.passed, [(scene.endpoints[0], 0.0)])
        scene.probe.verdict = lambda _: DOWN
        scene.advance(16)
        self.assertEqual(len(scene.passed), 1)
        scene.probe.verdict = lambda _: "200"
        scene.advance(5.5)
        self.assertEqual(len(scene.passed), 1)
        scene.advance(5.5)
        self.assertEqual(len(scene.passed), 2)


class EjectionTests(SynchronousTestCase):
    def test_a_probe_that_passes_ends_an_ejection(self) -> None:
        """One that fails, or was under way before, does not."""
        scene = Scene(2, Told(lambda endpoint: DOWN), {"fall": 100})
        outliers = scene.cluster.outliers
        assert outliers is not None
        scene.heard = outliers.readmit
        scene.until(2)
        bad, _ = scene.endpoints
        for _ in range(5):
            bad.answered(500, 0.1)
        self.assertEqual(bad.standing.state, "ejected")
        scene.until(6)
        self.assertEqual(bad.standing.state, "ejected")
        scene.probe.verdict = lambda endpoint: "200"
        scene.until(8)
        self.assertEqual(bad.standing.state, "ready")
        self.assertLess(scene.clock.seconds(), 29)


class TurnsTests(SynchronousTestCase):
    def test_thousands_that_are_done_at_once_need_no_stack(self) -> None:
        turns = Turns(1)
        self.successResultOf(turns.take())
        let_in: list[int] = []
        for number in range(5000):
            turns.take().addCallback(lambda _, number: (let_in.append(number), turns.give()), number)
        turns.give()
        self.assertEqual(let_in, list(range(5000)))
        self.assertEqual(repr(turns), "<Turns 1 free, 0 wait>")

    def test_leaving_the_queue(self) -> None:
        turns = Turns(1)
        turns.take()
        first, second = turns.take(), turns.take()
        first.cancel()
        self.failureResultOf(first)
        turns.give()
        self.successResultOf(second)
