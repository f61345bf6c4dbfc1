"""Tests of edgegw.upstream.balance.consistent_hash."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Container, Sequence
from random import Random
from typing import Any, cast
from weakref import ref

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from edgegw.exchange.model import Exchange
from edgegw.testing.origin import Origin, environment
from edgegw.upstream.balance.consistent_hash import AT_ONCE, PROBES, BuildTable, ConsistentHash
from edgegw.upstream.balance.interfaces import hand_over
from edgegw.upstream.balance.maglev import build_maglev
from edgegw.upstream.balance.rendezvous import draw
from edgegw.upstream.balance.ring import build_ring
from edgegw.upstream.endpoint import Endpoint
from tests.upstream.balance.balancing import EXCHANGE, chi_square, counted, crowd, endpoint, endpoints
from tests.upstream.balance.contract import Contract

WORDS = [b"user-%d" % number for number in range(5000)]


def word(exchange: Exchange) -> bytes | None:
    """In these tests the exchange is its key, and the real one has none."""
    return exchange if isinstance(exchange, bytes) else None


class Hashing:
    """Builds them."""

    build_table: BuildTable
    clock: Clock

    def make(self, members: Sequence[Endpoint], factor: float = 0.0, seed: int = 1) -> ConsistentHash:
        """One whose clock is `clock`."""
        origin = Origin()
        origin.wheel.stop()
        self.clock = origin.clock
        return ConsistentHash(members, word, type(self).build_table, environment(origin, seed), factor)

    def finished(self, members: Sequence[Endpoint], factor: float = 0.0) -> ConsistentHash:
        """One whose table is built."""
        made = self.make(members, factor)
        pick(made, b"x")
        while made._building is not None:
            made.go_on()
        return made


def pick(balancer: ConsistentHash, key: bytes, tried: Container[Endpoint] = ()) -> Endpoint:
    found = balancer.choose(cast(Any, key), tried)
    assert found is not None
    return found


def picks(balancer: ConsistentHash) -> list[Endpoint]:
    return [pick(balancer, key) for key in WORDS]


def moved(before: list[Endpoint], after: list[Endpoint]) -> float:
    return sum(one is not other for one, other in zip(before, after, strict=True)) / len(before)


class MaglevHashTests(Hashing, Contract, SynchronousTestCase):
    build_table = staticmethod(build_maglev)

    def build(self, members: Sequence[Endpoint], seed: int = 1) -> ConsistentHash:
        return self.make(members, 1.25 if seed % 2 else 0.0, seed)

    def test_the_same_key_to_the_same_endpoint(self) -> None:
        members = endpoints(1, 2, 3)
        self.assertEqual(picks(self.make(members)), picks(self.make(members, seed=2)))

    def test_by_weight(self) -> None:
        members = endpoints(1, 2, 3, 4)
        counts = Counter(picks(self.make(members)))
        self.assertLess(chi_square([counts[each] for each in members], [1, 2, 3, 4]), 1)

    def test_without_a_key_anywhere(self) -> None:
        members = endpoints(1, 2, 3, 4)
        counts = counted(self.make(members), 10_000)
        self.assertLess(chi_square([counts[each] for each in members], [1, 2, 3, 4]), 1)

    def test_only_the_keys_of_who_may_not_be_chosen_move_and_they_come_back(self) -> None:
        members = crowd(1000)
        balancer = self.finished(members)
        before, table = picks(balancer), balancer._table
        for out in (members[:1], members[::2], members[1:]):
            balancer.allow([each for each in members if each not in out])
            for was, now in zip(before, picks(balancer), strict=True):
                self.assertNotIn(now, out)
                self.assertTrue(was is now or was in out)
            balancer.allow(members)
            self.assertEqual(picks(balancer), before)
        self.assertIs(balancer._table, table)

    def test_one_of_a_thousand_goes_or_comes(self) -> None:
        members = crowd(1000)
        before = picks(self.finished(members))
        self.assertLess(moved(before, picks(self.finished(members[:700] + members[701:]))), 1 / 1000 + 0.02)
        self.assertLess(moved(before, picks(self.finished([*members, endpoint("new:1")]))), 1 / 1001 + 0.02)

    def test_few_of_many_are_found(self) -> None:
        """When the table is of no help any more; their keys are as even as before."""
        members = crowd(1000)
        few = [members[3], members[500], members[900], members[901]]
        balancer = self.finished(members)
        balancer.allow(few)
        counts = Counter(picks(balancer))
        self.assertEqual(set(counts), set(few))
        self.assertLess(max(counts.values()), 1.3 * min(counts.values()))

    def test_the_tried_are_passed_over_the_same_way_each_time(self) -> None:
        members = endpoints(1, 1, 1, 1)
        balancer = self.make(members)
        for key in WORDS[:200]:
            first = pick(balancer, key)
            second = pick(balancer, key, (first,))
            self.assertIsNot(first, second)
            self.assertIs(pick(balancer, key, (first,)), second)
            self.assertIs(pick(balancer, key, members), pick(balancer, key, members))

    def test_a_cold_one_takes_a_part_of_its_keys_and_always_the_same(self) -> None:
        members = endpoints(1, 1, 1, 1)
        cold = members[3]
        balancer = self.make(members)
        before = picks(balancer)
        own = {key for key, was in zip(WORDS, before, strict=True) if was is cold}
        taken: set[bytes] = set()
        for warmth in (0.1, 0.4, 0.7, 1.0):
            cold.weigh(warmth=warmth)
            balancer.reweigh(cold)
            now = {key for key in WORDS if pick(balancer, key) is cold}
            self.assertLess(taken, now)
            self.assertLess(abs(len(now) / len(own) - warmth), 0.05)
            taken = now
        self.assertEqual(taken, own)
        self.assertEqual(picks(balancer), before)

    def test_keys_that_a_cold_one_leaves_go_to_all_others(self) -> None:
        members = endpoints(1, 1, 1, 1)
        balancer = self.make(members)
        before = picks(balancer)
        members[3].weigh(warmth=0.1)
        balancer.reweigh(members[3])
        gone = Counter(now for was, now in zip(before, picks(balancer), strict=True) if was is not now)
        self.assertLess(chi_square([gone[each] for each in members[:3]] + [1000], [1, 1, 1, 3000 / gone.total()]), 1)

    def test_another_weight_is_another_table(self) -> None:
        members = endpoints(1, 1, 1, 1)
        balancer = self.make(members)
        picks(balancer)
        members[3].weigh(9)
        balancer.reweigh(members[3])
        counts = Counter(picks(balancer))
        self.assertLess(chi_square([counts[each] for each in members], [1, 1, 1, 9]), 1)

    def test_a_lower_weight_is_another_table_too(self) -> None:
        members = endpoints(9, 9, 9, 9)
        balancer = self.make(members)
        picks(balancer)
        members[3].weigh(1)
        balancer.reweigh(members[3])
        counts = Counter(picks(balancer))
        self.assertLess(chi_square([counts[each] for each in members], [9, 9, 9, 1]), 1)

    def test_the_tried_are_passed_over_before_there_is_a_table(self) -> None:
        balancer = self.make(crowd(AT_ONCE + 1))
        first = pick(balancer, b"x")
        self.assertIsNot(pick(balancer, b"x", (first,)), first)
        self.assertIsNone(balancer._table)

    def test_a_large_table_is_built_while_the_loop_goes_on(self) -> None:
        """One step in each turn; before it is there, comparison says whose a key is."""
        members = crowd(AT_ONCE + 1)
        balancer = self.make(members)
        first = pick(balancer, b"x")
        self.assertIs(first, max(members, key=lambda each: draw(each, _point(b"x"))))
        self.assertIsNone(balancer._table)
        turns = 0
        while balancer._table is None:
            (call,) = self.clock.getDelayedCalls()
            self.assertEqual(call.getTime(), 0)
            balancer.go_on()
            call.cancel()
            turns += 1
        self.assertGreater(turns, 20)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertIn("65537 slots>>", repr(balancer))

    def test_the_table_before_serves_meanwhile(self) -> None:
        members = crowd(AT_ONCE + 10)
        before = self.finished(members)
        had = picks(before)
        after = self.make(members[1:])
        hand_over(before, after)
        after.allow(members[1:])
        now = picks(after)
        self.assertIsNotNone(after._building)
        for one, other in zip(had, now, strict=True):
            self.assertTrue(one is other or one is members[0])
        self.clock.advance(0)
        self.assertIsNone(after._building)
        self.assertLess(moved(now, picks(after)), 0.08)

    def test_a_weight_changes_while_a_table_is_built(self) -> None:
        members = crowd(AT_ONCE + 10)
        balancer = self.make(members)
        pick(balancer, b"x")
        members[0].weigh(200)
        balancer.reweigh(members[0])
        pick(balancer, b"x")
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        self.clock.advance(0)
        self.assertGreater(Counter(picks(balancer))[members[0]], 3500)

    def test_one_that_is_no_longer_used_builds_no_further(self) -> None:
        balancer: ConsistentHash | None = self.make(crowd(AT_ONCE + 1))
        assert balancer is not None
        pick(balancer, b"x")
        known = ref(balancer)
        del balancer
        gc.collect()
        self.assertIsNone(known())
        self.clock.advance(0)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_the_order_of_the_roster_is_nothing(self) -> None:
        members = endpoints(1, 2, 3)
        self.assertEqual(picks(self.make(members)), picks(self.make(members[::-1])))

    def test_a_bound_for_maglev_too(self) -> None:
        members = endpoints(1, 1, 1, 1)
        balancer = self.make(members, factor=1.5)
        for _ in range(400):
            pick(balancer, b"the same").in_flight += 1
        self.assertLessEqual(max(each.in_flight for each in members), 151)

    def test_a_table_of_another_kind_is_not_taken_over(self) -> None:
        members = crowd(AT_ONCE + 1)
        before = self.finished(members)
        origin = Origin()
        after = ConsistentHash(members, word, build_ring, environment(origin), 1.25)
        hand_over(before, after)
        self.assertIsNone(after._table)


class RingHashTests(Hashing, Contract, SynchronousTestCase):
    build_table = staticmethod(build_ring)

    def build(self, members: Sequence[Endpoint], seed: int = 1) -> ConsistentHash:
        return self.make(members, 1.25, seed)

    def test_one_hot_key_stays_within_the_bound(self) -> None:
        """At every moment, and those that go elsewhere always go to the same ones."""
        members = endpoints(*[1] * 10)
        balancer = self.make(members, factor=1.25)
        for begun in range(1, 1001):
            pick(balancer, b"hot").in_flight += 1
            self.assertLessEqual(max(each.in_flight for each in members), 1.25 * begun / 10 + 1)
        self.assertEqual(sum(each.in_flight for each in members), 1000)
        self.assertGreaterEqual(max(each.in_flight for each in members), 125)

    def test_without_a_bound_it_has_them_all(self) -> None:
        members = endpoints(1, 1, 1)
        balancer = self.make(members, factor=0.0)
        for _ in range(100):
            pick(balancer, b"hot").in_flight += 1
        self.assertEqual(max(each.in_flight for each in members), 100)
        self.assertEqual(members[0]._followers, ())

    def test_the_bound_goes_by_shares(self) -> None:
        light, heavy = pair = endpoints(1, 9)
        balancer = self.make(pair, factor=1.25)
        for number in range(1000):
            pick(balancer, b"%d" % number).in_flight += 1
        self.assertLessEqual(light.in_flight, 126)
        self.assertGreaterEqual(heavy.in_flight, 874)

    def test_random_ends_keep_the_bound(self) -> None:
        """Whoever ends exchanges, also those that others began."""
        chance = Random(4)
        members = endpoints(*[1] * 8)
        balancer = self.make(members, factor=1.25)
        running: list[Endpoint] = []
        for number in range(3000):
            found = pick(balancer, b"%d" % (number % 3))
            total = sum(each.in_flight for each in members) + 1
            self.assertLessEqual(found.in_flight + 1, 1.25 * total / 8 + 1)
            found.in_flight += 1
            running.append(found)
            if len(running) > 60:
                running.pop(chance.randrange(len(running))).in_flight -= 1
            if number == 1500:
                members[0].in_flight += 40
                balancer.allow(members[:6])
                balancer.allow(members)

    def test_the_bound_goes_by_what_the_eligible_have(self) -> None:
        members = endpoints(1, 1, 1, 1)
        members[0].in_flight = 400
        balancer = self.make(members, factor=1.25)
        balancer.allow(members[1:])
        for _ in range(100):
            pick(balancer, b"hot").in_flight += 1
        self.assertLessEqual(max(each.in_flight for each in members[1:]), 1.25 * 100 / 3 + 1)

    def test_the_bound_goes_by_what_is_there_from_the_start(self) -> None:
        """Members change, exchanges go on: nobody has more than the others, so keys go where they belong."""
        members = endpoints(1, 1, 1, 1)
        wanted = picks(self.make(members))
        for each in members:
            each.in_flight = 40
        self.assertEqual(picks(self.make(members, factor=1.25)), wanted)

    def test_a_calm_one_is_never_passed_over(self) -> None:
        members = endpoints(1, 1, 1, 1)
        balancer = self.make(members, factor=1.25)
        wanted = pick(balancer, b"x")
        for each in members:
            if each is not wanted:
                each.in_flight = 10
        self.assertEqual({pick(balancer, b"x") for _ in range(20)}, {wanted})
        wanted.in_flight = 30
        self.assertIsNot(pick(balancer, b"x"), wanted)

    def test_the_ring_of_a_thousand(self) -> None:
        members = crowd(1000)
        balancer = self.finished(members, factor=1.25)
        before = picks(balancer)
        balancer.allow(members[1:])
        for was, now in zip(before, picks(balancer), strict=True):
            self.assertTrue(was is now or was is members[0])
        self.assertGreater(PROBES, 64)
        self.assertIsNotNone(balancer.choose(EXCHANGE, ()))


def _point(key: bytes) -> int:
    found: list[int] = []
    balancer = ConsistentHash(endpoints(1), lambda exchange: key, build_maglev, environment(Origin()))
    balancer._compared = lambda point, tried, bound: found.append(point)  # type: ignore[assignment, method-assign, func-returns-value]
    balancer._stale = False
    balancer.choose(EXCHANGE, ())
    return found[0]
