"""Tests of edgegw.upstream.groups."""

from __future__ import annotations

from collections import Counter
from functools import partial
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from edgegw.testing.exchanges import make_exchange
from edgegw.upstream import groups
from edgegw.upstream.balance.round_robin import RoundRobin
from edgegw.upstream.endpoint import Endpoint
from edgegw.upstream.groups import PLANS, Plans, shares
from edgegw.upstream.standing import Hold
from tests.upstream.choosing import Choosing, short

HEALTH = st.lists(st.integers(0, 20).map(lambda n: n / 20), max_size=8)


class SharesTests(SynchronousTestCase):
    def test_as_envoy_documents_it(self) -> None:
        # https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/upstream/load_balancing/priority
        rows: list[tuple[tuple[float, ...], tuple[float, ...]]] = [
            ((1.0, 1.0), (1.0, 0.0)),
            ((0.72, 1.0), (1.0, 0.0)),
            ((0.71, 1.0), (0.994, 0.006)),
            ((0.5, 1.0), (0.7, 0.3)),
            ((0.25, 1.0), (0.35, 0.65)),
            ((0.0, 1.0), (0.0, 1.0)),
            ((0.25, 0.25), (0.5, 0.5)),
            ((1.0, 1.0, 1.0), (1.0, 0.0, 0.0)),
            ((0.2, 0.2, 1.0), (0.28, 0.28, 0.44)),
            ((0.0, 0.0), (0.0, 0.0)),
        ]
        for health, expected in rows:
            for got, wanted in zip(shares(health, 1.4), expected, strict=True):
                self.assertAlmostEqual(got, wanted, 6, str(health))

    def test_without_spill_nothing_is_taken_beyond_what_is_free(self) -> None:
        self.assertEqual(shares([0.5, 1.0], 1.0), (0.5, 0.5))

    @given(HEALTH, st.sampled_from([1.0, 1.4, 2.0]))
    def test_add_up(self, health: list[float], spill: float) -> None:
        loads = shares(health, spill)
        self.assertEqual(len(loads), len(health))
        self.assertAlmostEqual(sum(loads), 1.0 if any(health) else 0.0)
        for load, each in zip(loads, health, strict=True):
            self.assertGreaterEqual(load, 0.0)
            if not each:
                self.assertEqual(load, 0.0)

    @given(HEALTH.filter(lambda health: len(health) > 1), st.integers(0, 7))
    def test_better_health_never_takes_less(self, health: list[float], at: int) -> None:
        at %= len(health)
        better = [*health[:at], min(1.0, health[at] + 0.1), *health[at + 1 :]]
        self.assertGreaterEqual(shares(better, 1.4)[at], shares(health, 1.4)[at] - 1e-9)


class PlansTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.choosing = Choosing()
        self.built: list[list[str]] = []
        self.plans = Plans(self._build, 1.4)

    def _build(self, members: object) -> RoundRobin:
        found: list[Endpoint] = list(members)  # type: ignore[call-overload]
        self.built.append([short(each) for each in found])
        return RoundRobin(found)

    def _fill(self) -> list[Endpoint]:
        make = self.choosing.make
        members = [
            make("d", tier=1, zone="eu"),
            make("a", zone="eu"),
            make("b", zone="us"),
            make("c", zone="asia"),
            make("e", tier=1, zone="us"),
        ]
        self.plans.roster(members)
        return members

    def _names(self, order: tuple[str, ...]) -> list[str]:
        return [group.name for group in self.plans.plan(order, False).groups]

    def test_tiers_then_zones(self) -> None:
        self._fill()
        self.assertEqual(self._names(()), ["tier 0", "tier 1"])
        self.assertEqual(
            self._names(("us", "eu")),
            [
                "tier 0, zone us",
                "tier 0, zone eu",
                "tier 0, other zones",
                "tier 1, zone us",
                "tier 1, zone eu",
            ],
        )
        self.assertEqual(self._names(("nowhere",)), ["tier 0, other zones", "tier 1, other zones"])

    def test_rest_may_stand_before_the_last(self) -> None:
        self._fill()
        self.assertEqual(self._names(("*", "us"))[:2], ["tier 0, other zones", "tier 0, zone us"])

    def test_nothing_is_built_before_it_is_needed_and_groups_are_shared(self) -> None:
        self._fill()
        self.assertEqual(self.built, [])
        self.plans.plan(("eu", "us"), False)
        before = len(self.built)
        self.plans.plan(("us", "eu"), False)
        self.assertEqual(len(self.built), before)
        self.plans.plan(("eu",), False)
        self.assertEqual(self.built[before:], [["b", "c"], ["e"]])

    def test_plans_are_bounded(self) -> None:
        self._fill()
        kept = self.plans.plan(("eu",), False)
        for number in range(PLANS + 10):
            self.plans.plan((f"z{number}",), False)
            self.assertIs(self.plans.plan(("eu",), False), kept)
        self.assertEqual(len(self.plans._plans), PLANS)
        # Groups of plans that are gone are gone too.
        self.assertLessEqual(len(self.plans._groups), 2 * PLANS + 8)

    def test_a_change_reaches_every_plan_that_holds_the_endpoint(self) -> None:
        members = self._fill()
        eu, us = self.plans.plan(("eu",), False), self.plans.plan(("us",), False)
        members[1].standing.hold(Hold.FAILING, "x")
        self.plans.touch(members[1])
        self.assertIs(self.plans.plan(("eu",), False), eu)
        self.plans.plan(("us",), False)
        self.assertEqual(eu.loads[0], 0.0)
        self.assertEqual(eu.groups[0].eligible, 0)
        self.assertEqual(us.groups[1].eligible, 1)

    def test_the_same_roster_keeps_what_is_built(self) -> None:
        members = self._fill()
        plan = self.plans.plan((), False)
        self.plans.roster(list(members))
        self.assertIs(self.plans.plan((), False), plan)
        members[0].zone = "us"
        self.plans.roster(list(members))
        self.assertIsNot(self.plans.plan((), False), plan)

    def test_an_algorithm_goes_on_where_the_one_before_it_ended(self) -> None:
        members = self._fill()
        before = self.plans.plan(("eu",), False).groups
        handed: list[tuple[object, object]] = []
        self.patch(groups, "hand_over", lambda old, new: handed.append((old, new)))
        self.plans.roster(members[:-1])
        # Another change before anybody chose.
        self.plans.roster(members[:-2])
        after = self.plans.plan(("eu",), False).groups
        self.assertEqual(handed, [(before[at].balancer, after[at].balancer) for at in range(3)])
        self.plans.plan(("us",), False)
        self.assertEqual(len(handed), 3)

    def test_a_thousand_changes_settle_once(self) -> None:
        members = [self.choosing.make(f"e{number}") for number in range(1000)]
        self.plans.roster(members)
        plan = self.plans.plan((), False)
        told: list[int] = []
        balancer = plan.groups[0].balancer
        allow = balancer.allow
        balancer.allow = lambda eligible: (told.append(len(eligible)), allow(eligible))[1]  # type: ignore[method-assign]
        for member in members[:400]:
            member.standing.hold(Hold.FAILING, "x")
            self.plans.touch(member)
        self.assertEqual(told, [])
        self.plans.plan((), False)
        self.plans.plan((), False)
        self.assertEqual(told, [600])

    def test_a_change_that_changes_nothing_settles_nothing(self) -> None:
        members = self._fill()
        (first, _) = self.plans.plan((), False).groups
        told: list[int] = []
        first.balancer.allow = lambda eligible: told.append(len(eligible))  # type: ignore[method-assign]
        self.plans.touch(members[1])
        self.plans.plan((), False)
        self.assertEqual(told, [])

    def test_a_share_reaches_every_algorithm_that_holds_the_endpoint(self) -> None:
        members = self._fill()
        told: list[str] = []
        for order in ((), ("eu",), ("us",)):
            for group in self.plans.plan(order, False).groups:
                group.balancer.reweigh = partial(lambda name, _: told.append(name), group.name)  # type: ignore[method-assign]
        self.plans.reweigh(members[1])
        self.assertEqual(sorted(told), ["tier 0", "tier 0, other zones", "tier 0, zone eu"])
        self.plans.reweigh(self.choosing.make("stranger"))
        self.assertEqual(len(told), 3)

    def test_what_was_never_in_use_or_leaves_is_not_missed(self) -> None:
        members = [self.choosing.make(f"e{number}") for number in range(10)]
        self.plans.roster([*members, self.choosing.make("far", tier=1)])
        for at, hold, load in (
            (0, Hold.PENDING, 1.0),
            (1, Hold.NOT_READY, 1.0),
            (2, Hold.REMOVED, 1.0),
            # 5 of 7 that count.
            (3, Hold.DRAINED, 1.0),
            (4, Hold.EJECTED, 1.0),
            (5, Hold.FAILING, 1.4 * 4 / 7),
        ):
            members[at].standing.hold(hold, "x")
            self.plans.touch(members[at])
            self.assertAlmostEqual(self.plans.plan((), False).loads[0], load, 6, hold.value)

    @settings(max_examples=60, deadline=None)
    @given(
        st.lists(st.tuples(st.integers(0, 2), st.sampled_from(["", "a", "b"])), min_size=1, max_size=12),
        st.sets(st.integers(0, 11)),
        st.sets(st.integers(0, 11)),
        st.permutations(["a", "b", "*"]),
    )
    def test_every_free_one_is_found_sooner_or_later(
        self, shape: list[tuple[int, str]], held: set[int], tried: set[int], order: list[str]
    ) -> None:
        """By attempts that avoid those tried: whatever the groups are, none is forgotten and none comes twice."""
        members = [self.choosing.make(f"e{at}", tier, zone) for at, (tier, zone) in enumerate(shape)]
        plans = Plans(RoundRobin, 1.4)
        plans.roster(members)
        for at in held & set(range(len(members))):
            members[at].standing.hold(Hold.EJECTED, "x")
        plan = plans.plan(tuple(order), False)
        self.assertEqual(
            sorted(len(group.members) for group in plan.groups), sorted(Counter(shape_key(members, order)).values())
        )
        avoided = {member for at, member in enumerate(members) if at in tried}
        wanted = {member for member in members if member.standing.free} - avoided
        chance = Random(1)
        while wanted:
            found = plan.choose(make_exchange(), avoided, chance.random())
            assert found is not None
            self.assertIn(found, wanted)
            wanted.discard(found)
            avoided.add(found)
        last = plan.choose(make_exchange(), avoided, chance.random())
        self.assertEqual(last is None, not any(member.standing.free for member in members))


def shape_key(members: list[Endpoint], order: list[str]) -> list[tuple[int, str]]:
    return [(member.tier, member.zone if member.zone in order else "*") for member in members]
