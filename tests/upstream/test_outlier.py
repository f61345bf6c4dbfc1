"""Tests of edgegw.upstream.outlier."""

from __future__ import annotations

import random
from typing import Any

from hypothesis import settings as configured
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from pydantic import ValidationError
from twisted.trial.unittest import SynchronousTestCase

from edgegw.errors import GatewayError, Phase, Retry, Side
from edgegw.testing.origin import Origin, cluster
from edgegw.upstream.address import EndpointSettings, Named
from edgegw.upstream.cluster import Cluster
from edgegw.upstream.endpoint import Endpoint
from edgegw.upstream.names import CONFIG
from edgegw.upstream.outlier import Outliers, OutlierSettings
from edgegw.upstream.standing import Hold

RESET = GatewayError(502, "upstream_reset", side=Side.UPSTREAM, phase=Phase.RESPONSE_HEAD, retry=Retry.IF_IDEMPOTENT)
REFUSED = GatewayError(503, "connect_refused", side=Side.UPSTREAM, phase=Phase.CONNECT, retry=Retry.ALWAYS)
TORN = GatewayError(502, "upstream_aborted", side=Side.UPSTREAM, phase=Phase.RESPONSE_BODY)
POLITE = GatewayError(503, "upstream_refused_stream", side=Side.UPSTREAM, phase=Phase.RESPONSE_HEAD, retry=Retry.ALWAYS)
OURS = GatewayError(503, "pool_full", phase=Phase.CONNECT)


class Scene:
    """An upstream of so many endpoints on one clock, with a tick every half second."""

    def __init__(self, count: int = 4, **said: Any) -> None:
        self.first = Origin()
        others = [Origin(clock=self.first.clock, wheel=self.first.wheel) for _ in range(count - 1)]
        self.settings = OutlierSettings.model_validate(said)
        self.cluster: Cluster = cluster(self.first, *others, outlier=self.settings)
        self.endpoints = self.cluster.endpoints
        found = self.cluster.outliers
        assert found is not None
        self.outliers: Outliers = found

    @property
    def now_s(self) -> float:
        return self.first.clock.seconds()

    def name(self, *numbers: int) -> None:
        each = (Named(EndpointSettings(url=f"http://origin-{number}:80")) for number in numbers)
        self.cluster.update(CONFIG, each)

    def advance(self, seconds: float) -> None:
        for turn in range(round(seconds * 10)):
            self.first.clock.advance(0.1)
            if turn % 5 == 4:
                self.cluster.tick()

    def ejected(self) -> list[int]:
        return [at for at, endpoint in enumerate(self.endpoints) if Hold.EJECTED in endpoint.standing.reasons]

    def fail(self, endpoint: Endpoint, times: int = 5) -> None:
        for _ in range(times):
            endpoint.failed(RESET)


class CauseTests(SynchronousTestCase):
    def test_failures_in_a_row(self) -> None:
        for fail in (
            lambda endpoint: endpoint.failed(RESET),
            lambda endpoint: endpoint.failed(REFUSED),
            lambda endpoint: endpoint.answered(500, 0.1),
            lambda endpoint: endpoint.answered(599, 0.1),
        ):
            scene = Scene()
            first = scene.endpoints[0]
            for _ in range(4):
                fail(first)
            self.assertEqual(scene.ejected(), [])
            fail(first)
            self.assertEqual(scene.ejected(), [0])
        self.assertEqual(first.standing.reasons[Hold.EJECTED], "5 failures in a row, the last status 599; for 30 s")

    def test_a_success_ends_the_row(self) -> None:
        scene = Scene(min_requests=1000)
        for _ in range(20):
            scene.fail(scene.endpoints[0], 4)
            scene.endpoints[0].answered(404, 0.1)
        self.assertEqual(scene.ejected(), [])
        scene.fail(scene.endpoints[0], 5)
        self.assertEqual(scene.ejected(), [0])

    def test_what_is_not_its_fault(self) -> None:
        scene = Scene()
        for _ in range(50):
            scene.endpoints[0].failed(OURS)
            scene.endpoints[0].failed(POLITE)
            scene.endpoints[0].answered(404, 0.1)
        self.assertEqual(scene.ejected(), [])

    def test_statuses(self) -> None:
        scene = Scene(statuses="429, 503")
        for _ in range(10):
            scene.endpoints[0].answered(500, 0.1)
            scene.endpoints[1].answered(429, 0.1)
        self.assertEqual(scene.ejected(), [1])

    def test_failure_rate(self) -> None:
        scene = Scene(failure_rate="30%")
        for number in range(19):
            scene.endpoints[0].answered(500 if number % 3 == 0 else 200, 0.1)
        self.assertEqual(scene.ejected(), [])
        scene.endpoints[0].answered(200, 0.1)
        scene.endpoints[0].answered(500, 0.1)
        self.assertEqual(scene.ejected(), [0])
        self.assertEqual(scene.endpoints[0].standing.reasons[Hold.EJECTED], "8 of 21 attempts failed; for 30 s")

    def test_the_window_moves(self) -> None:
        scene = Scene(consecutive=0, window="10s", min_requests=10)
        for _ in range(9):
            scene.endpoints[0].answered(500, 0.1)
        scene.advance(11)
        for _ in range(9):
            scene.endpoints[0].answered(500, 0.1)
        self.assertEqual(scene.ejected(), [])
        scene.advance(5)
        scene.endpoints[0].answered(500, 0.1)
        self.assertEqual(scene.ejected(), [0])

    def test_latency(self) -> None:
        scene = Scene(latency={"over": "1s", "share": "50%"})
        for number in range(20):
            scene.endpoints[0].answered(200, 1.5 if number % 2 else 0.1)
            scene.endpoints[1].answered(200, 0.9)
            scene.endpoints[2].answered(200, 1.5 if number % 3 == 0 else 0.1)
        self.assertEqual(scene.ejected(), [0])
        self.assertIn("10 of 20 answers took over 1 s", scene.endpoints[0].standing.reasons[Hold.EJECTED])
        off = Scene()
        for _ in range(100):
            off.endpoints[0].answered(200, 60.0)
        self.assertEqual(off.ejected(), [])

    def test_off(self) -> None:
        scene = Scene(consecutive=0, failure_rate="0%")
        scene.fail(scene.endpoints[0], 1000)
        self.assertEqual(scene.ejected(), [])

    def test_refused_settings(self) -> None:
        for wrong in ({"eject": "0s"}, {"max_ejected": "101%"}, {"min_requests": 0}, {"latency": {}}, {"window": "0s"}):
            self.assertRaises(ValidationError, OutlierSettings.model_validate, wrong)


class EjectionTests(SynchronousTestCase):
    def test_longer_each_time_and_forgiven_in_time(self) -> None:
        scene = Scene(max_eject="100s")
        first = scene.endpoints[0]
        took_s = []
        for _ in range(5):
            scene.fail(first)
            began_s = scene.now_s
            while scene.ejected():
                scene.advance(0.5)
            took_s.append(round(scene.now_s - began_s))
        self.assertEqual(took_s, [30, 60, 90, 100, 100])
        self.assertEqual(first.ejections, 5)
        scene.advance(31)
        self.assertEqual(first.ejections, 4)
        scene.advance(4 * 30)
        self.assertEqual(first.ejections, 0)
        scene.fail(first)
        self.assertIn("for 30 s", first.standing.reasons[Hold.EJECTED])

    def test_what_was_before_does_not_count_after(self) -> None:
        scene = Scene(window="1h")
        scene.fail(scene.endpoints[0])
        # What was in flight still comes in.
        scene.fail(scene.endpoints[0], 100)
        for _ in range(100):
            scene.endpoints[0].answered(500, 0.1)
        scene.advance(31)
        self.assertEqual(scene.ejected(), [])
        scene.fail(scene.endpoints[0], 4)
        self.assertEqual(scene.ejected(), [])

    def test_never_the_only_one(self) -> None:
        scene = Scene(1, max_ejected="100%")
        scene.fail(scene.endpoints[0], 100)
        self.assertEqual(scene.ejected(), [])

    def test_never_the_last_that_may_be_used(self) -> None:
        scene = Scene(3, max_ejected="100%")
        scene.endpoints[1].hold(Hold.DRAINED, "by hand")
        scene.endpoints[2].hold(Hold.NOT_READY, "terminating")
        scene.advance(1)
        scene.fail(scene.endpoints[0])
        self.assertEqual(scene.ejected(), [])

    def test_the_share(self) -> None:
        for count, share, most in (
            (2, "50%", 1),
            (3, "50%", 1),
            (5, "50%", 2),
            (4, "100%", 3),
            (100, "29%", 29),
            (9, "10%", 0),
        ):
            scene = Scene(count, max_ejected=share)
            for endpoint in scene.endpoints:
                scene.fail(endpoint, 20)
            self.assertEqual(len(scene.ejected()), most, (count, share))
            self.assertIn(f"{most} of {count} ejected, at most {most}", repr(scene.outliers))

    def test_fewer_endpoints_fewer_ejections(self) -> None:
        scene = Scene(4)
        scene.fail(scene.endpoints[0])
        scene.advance(1)
        scene.fail(scene.endpoints[1])
        self.assertEqual(scene.ejected(), [0, 1])
        scene.name(0, 1, 2)
        self.assertEqual(scene.ejected(), [1])

    def test_those_that_left_are_forgotten(self) -> None:
        scene = Scene(4)
        first = scene.endpoints[0]
        scene.fail(first)
        scene.name(1, 2, 3)
        # What was in flight on it.
        scene.fail(first, 10)
        self.assertNotIn(first, scene.outliers._records)
        self.assertEqual((scene.outliers._ejected, scene.outliers._lately), ({}, {}))

    def test_events(self) -> None:
        scene = Scene()
        scene.fail(scene.endpoints[0])
        scene.advance(31)
        found = [
            (event.kind, event.source, event.reason)
            for event in scene.cluster.environment.events.since()
            if event.kind in ("endpoint_held", "endpoint_released")
        ]
        self.assertEqual(
            found,
            [
                ("endpoint_held", "outlier", "ejected: 5 failures in a row, the last upstream_reset; for 30 s"),
                ("endpoint_released", "outlier", "no longer ejected"),
            ],
        )

    def test_a_reload_keeps_ejections(self) -> None:
        scene = Scene()
        scene.fail(scene.endpoints[0])
        scene.advance(10)
        changed = scene.cluster.settings.model_copy(update={"outlier": OutlierSettings(consecutive=3)})
        old = scene.cluster
        new = Cluster(old.name, changed, old.connector, lambda members, *_: old._balancer(members, *_), old.environment)
        new.begin(old)
        scene.cluster = new
        self.assertEqual(scene.ejected(), [0])
        scene.advance(19)
        self.assertEqual(scene.ejected(), [0])
        scene.advance(2)
        self.assertEqual(scene.ejected(), [])
        scene.fail(scene.endpoints[0], 3)
        self.assertIn("for 60 s", scene.endpoints[0].standing.reasons[Hold.EJECTED])


class ReadmissionTests(SynchronousTestCase):
    def test_a_probe_that_passes_brings_it_back(self) -> None:
        scene = Scene()
        first = scene.endpoints[0]
        began_s = scene.now_s
        scene.advance(1)
        scene.fail(first)
        scene.outliers.readmit(first, began_s)
        self.assertEqual(scene.ejected(), [0], "that one began before")
        scene.advance(1)
        scene.outliers.readmit(first, scene.now_s)
        self.assertEqual(scene.ejected(), [])

    def test_only_once(self) -> None:
        """Drill R6: probes pass, exchanges fail; ejections become seldom, not as frequent as probes."""
        scene = Scene()
        first = scene.endpoints[0]
        for _ in range(2):
            scene.fail(first)
            scene.advance(1)
            scene.outliers.readmit(first, scene.now_s)
        self.assertEqual(scene.ejected(), [0])
        scene.outliers.readmit(scene.endpoints[1], scene.now_s)


class FlappingTests(SynchronousTestCase):
    def test_half_of_the_answers_are_errors(self) -> None:
        """Drill R6, 20 minutes of it: what the bad one is given falls below a tenth of its share, the others never go."""
        scene = Scene(4)
        chance = random.Random(7)
        given, events = [0] * 4, scene.cluster.environment.events
        before = len(events.since())
        turn = 0
        for _ in range(20 * 60):
            for _ in range(40):
                free = [at for at, endpoint in enumerate(scene.endpoints) if endpoint.standing.free]
                at = chance.choice(free)
                given[at] += 1
                turn += at == 0
                scene.endpoints[at].answered(500 if at == 0 and turn % 2 else 200, 0.01)
            scene.advance(1)
            self.assertIn(scene.ejected(), ([], [0]))
        self.assertLess(given[0], sum(given) / 4 / 10)
        # In and out: 30, 60, ..., 300 s, each after about two seconds of traffic.
        self.assertLess(len(events.since()) - before, 20)


class Membership(RuleBasedStateMachine):
    """Anything that can happen, in any order: never too many are ejected, and all come back."""

    def __init__(self) -> None:
        super().__init__()
        self.scene = Scene(8, min_requests=4, window="2s")
        self.all = self.scene.endpoints
        self.named = set(range(8))
        self.since_s: dict[Endpoint, float] = {}

    @rule(at=st.integers(0, 7), status=st.sampled_from([200, 500]), times=st.integers(1, 8))
    def answer(self, at: int, status: int, times: int) -> None:
        for _ in range(times):
            self.all[at].answered(status, 0.1)

    @rule(at=st.integers(0, 7), error=st.sampled_from([RESET, REFUSED, TORN, POLITE, OURS]), times=st.integers(1, 8))
    def fail(self, at: int, error: GatewayError, times: int) -> None:
        for _ in range(times):
            self.all[at].failed(error)

    @precondition(lambda self: len(self.named) > 1)
    @rule(at=st.integers(0, 7))
    def remove(self, at: int) -> None:
        if at in self.named and len(self.named) > 1:
            self.named.discard(at)
            self.scene.name(*sorted(self.named))

    @rule(at=st.integers(0, 7))
    def readmit(self, at: int) -> None:
        self.scene.outliers.readmit(self.all[at], self.scene.now_s)

    @rule(seconds=st.sampled_from([0.5, 3.0, 31.0]))
    def wait(self, seconds: float) -> None:
        self.scene.advance(seconds)

    @invariant()
    def never_too_many(self) -> None:
        members = self.scene.cluster.endpoints
        held = [endpoint for endpoint in members if Hold.EJECTED in endpoint.standing.reasons]
        assert len(held) <= len(members) // 2, held
        assert set(held) == set(self.scene.outliers._ejected)
        assert set(self.scene.outliers._records) <= set(members)

    @invariant()
    def all_come_back(self) -> None:
        now_s = self.scene.now_s
        held = {each for each in self.scene.cluster.endpoints if Hold.EJECTED in each.standing.reasons}
        self.since_s = {each: self.since_s.get(each, now_s) for each in held}
        assert all(now_s - since_s <= 302 for since_s in self.since_s.values())

    @invariant()
    def counts_are_those_of_the_window(self) -> None:
        for record in self.scene.outliers._records.values():
            sums = [sum(part[which] for part in record._parts) for which in range(3)]
            assert sums == [record.attempts, record.failures, record.slow]
            assert min(sums) >= 0


class MembershipTests(SynchronousTestCase):
    def test_anything_in_any_order(self) -> None:
        run_state_machine_as_test(  # type: ignore[no-untyped-call]
            Membership, settings=configured(max_examples=60, stateful_step_count=40, deadline=None)
        )
