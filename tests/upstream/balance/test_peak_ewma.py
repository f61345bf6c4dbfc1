"""Tests of edgegw.upstream.balance.peak_ewma."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from random import Random

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from edgegw.errors import GatewayError
from edgegw.testing.origin import Origin, answer, cluster
from edgegw.upstream.balance.interfaces import observers_of
from edgegw.upstream.balance.peak_ewma import PeakEwma
from edgegw.upstream.balance.settings import BalanceSettings
from edgegw.upstream.endpoint import Endpoint
from tests.upstream.balance.balancing import EXCHANGE, chi_square, counted, endpoints
from tests.upstream.balance.contract import Contract


class PeakEwmaTests(Contract, SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1.0)

    def build(self, members: Sequence[Endpoint], seed: int = 1) -> PeakEwma:
        return PeakEwma(members, Random(seed), self.clock.seconds)

    def serve(self, balancer: PeakEwma, took_s: dict[Endpoint, float], count: int, gap_s: float) -> Counter[Endpoint]:
        """So many exchanges one after the other, each answered by its endpoint in its time. Returns who was chosen."""
        chosen: Counter[Endpoint] = Counter()
        ending: list[tuple[float, Endpoint]] = []
        for _ in range(count):
            self.clock.advance(gap_s)
            now = self.clock.seconds()
            for end in [end for end in ending if end[0] <= now]:
                ending.remove(end)
                end[1].in_flight -= 1
                balancer.observer.answered(end[1], 200, took_s[end[1]])
            found = balancer.choose(EXCHANGE, ())
            assert found is not None
            chosen[found] += 1
            found.in_flight += 1
            ending.append((now + took_s[found], found))
        return chosen

    def test_equals_in_proportion_to_weights(self) -> None:
        members = endpoints(1, 2, 3, 4, 10)
        balancer = self.build(members)
        for each in members:
            balancer.observer.answered(each, 200, 0.1)
        counts = counted(balancer, 20_000)
        self.assertLess(chi_square([counts[each] for each in members], [1, 2, 3, 4, 10]), 1)

    def test_the_fast_get_more(self) -> None:
        members = endpoints(1, 1, 1, 1)
        slow = members[3]
        took_s = dict.fromkeys(members, 0.01) | {slow: 0.2}
        chosen = self.serve(self.build(members), took_s, 5000, 0.002)
        self.assertLess(chosen[slow], 0.02 * 5000)
        self.assertGreater(chosen[slow], 0)
        self.assertGreater(min(chosen[each] for each in members[:3]), 0.2 * 5000)

    def test_the_busy_get_less(self) -> None:
        """Twice as fast, but with more than twice as much to do."""
        fast, slow = pair = endpoints(1, 1)
        balancer = self.build(pair)
        balancer.observer.answered(fast, 200, 0.1)
        balancer.observer.answered(slow, 200, 0.2)
        self.assertEqual(set(counted(balancer, 20)), {fast})
        fast.in_flight = 2
        self.assertEqual(set(counted(balancer, 20)), {slow})

    def test_in_flight_counts_for_the_share(self) -> None:
        heavy, light = pair = endpoints(9, 1)
        balancer = self.build(pair)
        for each in pair:
            balancer.observer.answered(each, 200, 0.1)
        heavy.in_flight, light.in_flight = 8, 1
        self.assertEqual(set(counted(balancer, 20)), {heavy})

    def test_who_was_slow_once_is_asked_again(self) -> None:
        members = endpoints(1, 1)
        a, b = members
        balancer = self.build(members)
        balancer.observer.answered(a, 200, 0.01)
        balancer.observer.answered(b, 200, 10.0)
        chosen = self.serve(balancer, dict.fromkeys(members, 0.01), 2000, 0.1)
        self.assertGreater(chosen[b], 400)

    def test_a_new_one_is_neither_flooded_nor_starved(self) -> None:
        """It gets one exchange at once, and no other one before that is answered."""
        members = endpoints(*[1] * 10)
        new = members[0]
        balancer = self.build(members)
        for each in members[1:]:
            balancer.observer.answered(each, 200, 0.01)
        self.assertGreater(counted(balancer, 100)[new], 5)
        new.in_flight = 1
        self.assertEqual(counted(balancer, 1000)[new], 0)
        balancer.observer.answered(new, 200, 0.01)
        new.in_flight = 0
        self.assertGreater(counted(balancer, 1000)[new], 50)

    def test_all_new(self) -> None:
        members = endpoints(1, 1, 1)
        balancer = self.build(members)
        for _ in range(30):
            found = balancer.choose(EXCHANGE, ())
            assert found is not None
            found.in_flight += 1
        self.assertEqual({each.in_flight for each in members}, {10})

    def test_who_fails_is_no_bargain(self) -> None:
        members = endpoints(1, 1, 1)
        balancer = self.build(members)
        for each in members:
            balancer.observer.answered(each, 200, 0.1)
        balancer.observer.failed(members[0], GatewayError(502, "upstream_reset"))
        self.assertEqual(counted(balancer, 100)[members[0]], 0)

    def test_a_cluster_tells_it_of_answers(self) -> None:
        """Through `Observing`: without it all latencies stay unknown."""
        origin = Origin(answer(b"x"))
        made = cluster(origin, balance=BalanceSettings(by="peak_ewma"))
        (endpoint,) = made.endpoints
        endpoint.answered(200, 0.25)
        self.assertEqual(endpoint.ewma_s, 0.25)
        plain = cluster(Origin(), balance=BalanceSettings(by="round_robin"))
        plain.endpoints[0].answered(200, 0.25)
        self.assertEqual(plain.endpoints[0].ewma_s, 0.0)

    def test_observer(self) -> None:
        balancer = self.build([])
        self.assertEqual(observers_of(balancer), (balancer.observer,))
