"""Tests of edgegw.upstream.selection."""

from __future__ import annotations

from collections import Counter
from time import process_time

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from edgegw.exchange.model import Response
from edgegw.gateway.builtins import BALANCERS
from edgegw.testing.exchanges import make_exchange
from edgegw.upstream.geography import Geography
from edgegw.upstream.standing import Hold
from edgegw.upstream.tiers import GeoSettings
from tests.upstream.choosing import Choosing, client, short

GEO = GeoSettings.model_validate({"networks": {"10.1.0.0/16": ["eu"], "10.2.0.0/16": ["us", "eu"]}, "default": ["us"]})


class SpillTests(SynchronousTestCase):
    def test_one_group_is_one_algorithm(self) -> None:
        choosing = Choosing()
        choosing.add("a", "b", "c")
        self.assertEqual(choosing.choices(9), {"a": 3, "b": 3, "c": 3})

    def test_nobody_is_there(self) -> None:
        choosing = Choosing()
        self.assertIsNone(choosing.selection.choose(make_exchange()))
        choosing.roster([])
        self.assertIsNone(choosing.selection.choose(make_exchange()))
        (only,) = choosing.add("a")
        only.hold(Hold.DRAINED, "x")
        self.assertIsNone(choosing.selection.choose(make_exchange()))

    def test_the_next_tier_waits_until_the_first_cannot_take_everything(self) -> None:
        choosing = Choosing()
        first = choosing.add("a", "b", "c", "d")
        choosing.add("x", "y", tier=1)
        self.assertEqual(sum(count for name, count in choosing.choices(100).items() if name in "xy"), 0)
        first[0].hold(Hold.FAILING, "down")
        # 75 % of them x 1.4 is more than all.
        self.assertEqual(sum(count for name, count in choosing.choices(100).items() if name in "xy"), 0)
        first[1].hold(Hold.FAILING, "down")
        found = choosing.choices(10_000)
        # 50 % x 1.4.
        self.assertLess(abs((found["c"] + found["d"]) / 10_000 - 0.7), 0.02)
        self.assertLessEqual(abs(found["c"] - found["d"]), 1)
        self.assertLessEqual(abs(found["x"] - found["y"]), 1)
        first[2].hold(Hold.EJECTED, "bad")
        first[3].hold(Hold.EJECTED, "bad")
        self.assertEqual(choosing.choices(10), {"x": 5, "y": 5})
        for endpoint in first:
            endpoint.release(Hold.FAILING)
            endpoint.release(Hold.EJECTED)
        self.assertEqual(choosing.choices(100), {"a": 25, "b": 25, "c": 25, "d": 25})

    def test_spill_is_a_setting(self) -> None:
        for spill, share in (("100%", 0.5), ("200%", 1.0)):
            choosing = Choosing(tiers={"spill": spill})
            first, _ = choosing.add("a", "b")
            choosing.add("x", tier=1)
            first.hold(Hold.FAILING, "down")
            self.assertLess(abs(choosing.choices(4000)["b"] / 4000 - share), 0.03)

    def test_local_zone_first(self) -> None:
        choosing = Choosing(tiers={"zone": "b"})
        choosing.add("a1", "a2", zone="a")
        local = choosing.add("b1", "b2", zone="b")
        choosing.add("c1")
        self.assertEqual(choosing.choices(10), {"b1": 5, "b2": 5})
        for endpoint in local:
            endpoint.hold(Hold.FAILING, "down")
        self.assertEqual(choosing.choices(9), {"a1": 3, "a2": 3, "c1": 3})
        self.assertEqual(Choosing().selection._plan(()).groups, ())

    def test_zones_in_an_order(self) -> None:
        choosing = Choosing(tiers={"zones": ["b", "*", "a"]})
        choosing.add("a1", zone="a")
        (local,) = choosing.add("b1", zone="b")
        (other,) = choosing.add("c1", zone="c")
        self.assertEqual(choosing.choices(3), {"b1": 3})
        local.hold(Hold.DRAINED, "x")
        self.assertEqual(choosing.choices(3), {"c1": 3})
        other.hold(Hold.DRAINED, "x")
        self.assertEqual(choosing.choices(3), {"a1": 3})

    def test_a_tier_stands_before_any_zone(self) -> None:
        choosing = Choosing(tiers={"zone": "b"})
        choosing.add("near", zone="b", tier=1)
        choosing.add("far", zone="a", tier=0)
        self.assertEqual(choosing.choices(3), {"far": 3})

    def test_the_next_attempt_goes_to_another_group_when_this_one_is_used_up(self) -> None:
        choosing = Choosing(tiers={"zones": ["a", "b"]})
        (first,) = choosing.add("a1", zone="a")
        (second,) = choosing.add("b1", zone="b")
        choose = choosing.selection.choose
        self.assertIs(choose(make_exchange()), first)
        self.assertIs(choose(make_exchange(), (first,)), second)
        # Better one that was tried than none.
        self.assertIn(choose(make_exchange(), (first, second)), (first, second))

    def test_an_endpoint_may_change_its_tier_and_zone(self) -> None:
        choosing = Choosing(tiers={"zone": "b"})
        (first,) = choosing.add("a", zone="b")
        (second,) = choosing.add("b", zone="b", tier=1)
        self.assertEqual(choosing.choices(2), {"a": 2})
        first.tier, second.tier = 1, 0
        choosing.roster(list(choosing.endpoints))
        self.assertEqual(choosing.choices(2), {"b": 2})

    def test_a_key_stays_in_its_group(self) -> None:
        choosing = Choosing(by="consistent_hash")
        first, second = choosing.add("a", "b")
        choosing.add("x", "y", tier=1)
        second.hold(Hold.FAILING, "down")
        keys = [f"10.0.{number // 250}.{number % 250}" for number in range(1000)]
        where = {}
        for key in keys:
            found = choosing.choices(4, lambda: client(key))  # noqa: B023
            self.assertEqual(len(found), 1, key)
            where[key] = next(iter(found))
        # 50 % x 1.4.
        self.assertLess(abs(sum(name == "a" for name in where.values()) / 1000 - 0.7), 0.05)
        second.release(Hold.FAILING)
        # Those that the first tier kept stay where they are, but for the share of the one that is back.
        kept = [key for key, name in where.items() if name == "a"]
        again = sum(choosing.choices(1, lambda: client(key))["a"] for key in kept)  # noqa: B023
        self.assertGreater(again / len(kept), 0.4)
        self.assertEqual(first.standing.state, "ready")

    def test_clients_of_places_reach_their_zones(self) -> None:
        choosing = Choosing(Geography(GEO, None))
        (eu,) = choosing.add("eu", zone="eu")
        choosing.add("us", zone="us")
        choosing.add("asia", zone="asia")
        rows = (("10.1.0.1", "eu"), ("10.2.0.1", "us"), ("203.0.113.1", "us"), ("unix", "us"))
        for address, expected in rows:
            self.assertEqual(choosing.choices(4, lambda: client(address)), {expected: 4}, address)  # noqa: B023
        eu.hold(Hold.FAILING, "down")
        self.assertEqual(choosing.choices(4, lambda: client("10.1.0.1")), {"us": 2, "asia": 2})

    @settings(max_examples=40, deadline=None)
    @given(
        st.lists(
            st.tuples(st.integers(0, 2), st.sampled_from(["", "a", "b"]), st.sampled_from([None, *Hold])),
            min_size=1,
            max_size=10,
        ),
        st.sampled_from(["0%", "50%"]),
        st.sampled_from([{}, {"zone": "a"}, {"zones": ["b", "*", "a"]}]),
    )
    def test_whoever_is_chosen_may_be(
        self, shape: list[tuple[int, str, Hold | None]], panic: str, tiers: dict[str, object]
    ) -> None:
        choosing = Choosing(panic=panic, tiers=tiers)
        for at, (tier, zone, hold) in enumerate(shape):
            (made,) = choosing.add(f"e{at}", tier=tier, zone=zone)
            if hold is not None:
                made.hold(hold, "x")
        free = any(endpoint.standing.free for endpoint in choosing.endpoints)
        usable = any(endpoint.standing.usable for endpoint in choosing.endpoints)
        for _ in range(8):
            found = choosing.selection.choose(make_exchange())
            if found is None:
                self.assertFalse(usable if panic != "0%" else free)
            elif choosing.selection.panics:
                self.assertTrue(found.standing.usable)
            else:
                self.assertTrue(found.standing.free)

    def test_a_choice_costs_the_same_among_ten_and_ten_thousand(self) -> None:
        took = []
        for count in (10, 10_000):
            choosing = Choosing(by="weighted_round_robin", tiers={"zones": ["a", "b"]}, sticky="node")
            members = [choosing.make(f"e{n}", zone="ab"[n % 2]) for n in range(count)]
            choosing.roster(members)
            for endpoint in members[::3]:
                endpoint.hold(Hold.EJECTED, "x")
            exchange = make_exchange()
            choose = choosing.selection.choose
            choose(exchange)
            best = 1e9
            for _ in range(5):
                began = process_time()
                for _ in range(400):
                    choose(exchange)
                best = min(best, process_time() - began)
            took.append(best)
        # A scan would cost a thousand times as much; a heap of a thousand times the size costs three times.
        self.assertLess(took[1], took[0] * 12)


class PanicTests(SynchronousTestCase):
    def test_all_are_used_when_few_are_free(self) -> None:
        choosing = Choosing()
        members = choosing.add("a", "b", "c", "d", "e")
        for endpoint in members[:2]:
            endpoint.hold(Hold.EJECTED, "bad")
        self.assertEqual(set(choosing.choices(20)), {"c", "d", "e"})
        self.assertFalse(choosing.selection.panics)
        members[2].hold(Hold.FAILING, "down")
        self.assertTrue(choosing.selection.panics)
        self.assertEqual(choosing.choices(20), dict.fromkeys("abcde", 4))
        self.assertEqual(choosing.events(), [("panic", "2 of 5 endpoints are free")])
        members[0].release(Hold.EJECTED)
        self.assertFalse(choosing.selection.panics)
        self.assertEqual(set(choosing.choices(20)), {"a", "d", "e"})
        self.assertEqual(choosing.events()[1:], [("calm", "3 of 5 endpoints are free")])

    def test_off(self) -> None:
        choosing = Choosing(panic="0%")
        members = choosing.add("a", "b", "c")
        for endpoint in members[:2]:
            endpoint.hold(Hold.EJECTED, "bad")
        self.assertEqual(choosing.choices(6), {"c": 6})
        members[2].hold(Hold.FAILING, "down")
        self.assertEqual(choosing.choices(6), {"-": 6})
        self.assertEqual(choosing.events(), [])

    def test_nobody_is_used_against_somebodys_will(self) -> None:
        choosing = Choosing()
        members = choosing.add("a", "b", "c", "d")
        members[0].hold(Hold.DRAINED, "x")
        members[1].hold(Hold.NOT_READY, "terminating")
        members[2].hold(Hold.EJECTED, "bad")
        self.assertFalse(choosing.selection.panics)
        members[3].hold(Hold.EJECTED, "bad")
        self.assertEqual(choosing.choices(6), {"c": 3, "d": 3})
        members[2].hold(Hold.DRAINED, "x")
        self.assertEqual(choosing.choices(6), {"d": 6})

    def test_zones_do_not_count_in_panic(self) -> None:
        choosing = Choosing(tiers={"zone": "a"})
        near = choosing.add("a1", "a2", "a3", zone="a")
        choosing.add("b1", zone="b")
        for endpoint in near:
            endpoint.hold(Hold.FAILING, "down")
        self.assertTrue(choosing.selection.panics)
        self.assertEqual(choosing.choices(8), {"a1": 2, "a2": 2, "a3": 2, "b1": 2})
        near[0].release(Hold.FAILING)
        self.assertEqual(choosing.events()[-1][0], "calm")
        found = choosing.choices(1000)
        self.assertEqual(set(found), {"a1", "b1"})

    def test_the_first_tier_is_used_when_nobody_is_free_and_then_the_next(self) -> None:
        choosing = Choosing()
        near = choosing.add("a", "b")
        far = choosing.add("x", "y", tier=1)
        for endpoint in far:
            endpoint.hold(Hold.EJECTED, "bad")
        self.assertEqual(choosing.choices(4), {"a": 2, "b": 2})
        for endpoint in near:
            endpoint.hold(Hold.EJECTED, "bad")
        self.assertEqual(choosing.choices(4), {"a": 2, "b": 2})
        self.assertIn(choosing.selection.choose(make_exchange(), near), far)

    def test_a_tier_that_can_take_everything_prevents_it(self) -> None:
        choosing = Choosing()
        first = choosing.add("a", "b", "c", "d", "e")
        choosing.add("x", "y", tier=1)
        for endpoint in first:
            endpoint.hold(Hold.FAILING, "down")
        self.assertFalse(choosing.selection.panics)
        self.assertEqual(choosing.choices(6), {"x": 3, "y": 3})


class StickTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.choosing = Choosing(sticky="node")
        self.members = self.choosing.add("a", "b", "c")

    def _cookie(self, at: int) -> tuple[bytes, bytes]:
        response = Response(200)
        self.choosing.selection.remember(make_exchange(), self.members[at], response)
        value = response.headers.get(b"set-cookie")
        assert value is not None
        return b"Cookie", value.partition(b";")[0]

    def _with(self, *headers: tuple[bytes, bytes], count: int = 6) -> Counter[str]:
        return self.choosing.choices(count, lambda: make_exchange(headers=headers))

    def test_comes_back(self) -> None:
        self.assertEqual(self._with(self._cookie(1)), {"b": 6})
        # Without the cookie everybody has a turn.
        self.assertEqual(self._with(), {"a": 2, "b": 2, "c": 2})

    def test_off(self) -> None:
        cookie = self._cookie(1)
        self.choosing = Choosing()
        self.choosing.add("a", "b", "c")
        self.assertIsNone(self.choosing.selection.sticky)
        self.assertEqual(self._with(cookie), {"a": 2, "b": 2, "c": 2})
        response = Response(200)
        self.choosing.selection.remember(make_exchange(), self.choosing.endpoints[0], response)
        self.assertNotIn(b"set-cookie", response.headers)

    def test_another_one_is_chosen_when_it_is_not_free(self) -> None:
        cookie = self._cookie(1)
        self.members[1].hold(Hold.EJECTED, "bad")
        self.assertNotIn("b", self._with(cookie))
        self.members[1].release(Hold.EJECTED)
        self.assertEqual(self._with(cookie), {"b": 6})
        self.choosing.roster([self.members[0], self.members[2]])
        self.assertNotIn("b", self._with(cookie))

    def test_a_drained_one_keeps_whom_it_has(self) -> None:
        cookie = self._cookie(1)
        self.members[1].hold(Hold.DRAINED, "by an operator")
        self.assertEqual(self._with(cookie), {"b": 6})
        self.assertNotIn("b", self._with())
        self.assertIn("stick", self.choosing.selection.explain(self.members[1]))
        self.members[1].hold(Hold.FAILING, "down")
        self.assertNotIn("b", self._with(cookie))

    def test_an_attempt_that_failed_goes_elsewhere(self) -> None:
        exchange = make_exchange(headers=[self._cookie(1)])
        choose = self.choosing.selection.choose
        self.assertIs(choose(exchange), self.members[1])
        self.assertIsNot(choose(exchange, (self.members[1],)), self.members[1])

    def test_in_panic_doubts_do_not_unstick(self) -> None:
        cookie = self._cookie(1)
        for endpoint in self.members:
            endpoint.hold(Hold.FAILING, "down")
        self.assertEqual(self._with(cookie), {"b": 6})


class ExplainTests(SynchronousTestCase):
    def test_says_why(self) -> None:
        choosing = Choosing(tiers={"zone": "a"}, slow_start=10.0)
        first, second, third = choosing.add("a1", "a2", "a3", zone="a", weight=3)
        (far,) = choosing.add("b1", zone="b")
        explain = choosing.selection.explain
        self.assertEqual(explain(first), "chosen: ready, tier 0, zone a takes 100% (3 of 3 eligible), weight 3")
        self.assertEqual(
            explain(far), "not chosen now: ready, tier 0, other zones takes 0% (1 of 1 eligible), weight 1, warmth 10%"
        )
        second.hold(Hold.EJECTED, "5 failures in a row")
        third.hold(Hold.EJECTED, "5 failures in a row")
        third.hold(Hold.DRAINED, "by an operator")
        self.assertEqual(explain(third), "not chosen: ejected: 5 failures in a row, drained: by an operator")
        self.assertIn("takes 53%", explain(far))
        first.hold(Hold.EJECTED, "slow")
        self.assertEqual(
            explain(second),
            "chosen: ejected: 5 failures in a row, panic: 1 of 3 free, so doubts are ignored, weight 3",
        )
        self.assertEqual(explain(choosing.make("z")), "not chosen: not a member")

    def test_by_place(self) -> None:
        choosing = Choosing(Geography(GEO, None))
        choosing.add("us", zone="us")
        (eu,) = choosing.add("eu", zone="eu")
        self.assertIn("chosen by place: ready", choosing.selection.explain(eu))
        self.assertIn("takes 0% of clients from elsewhere", choosing.selection.explain(eu))

    def test_repr(self) -> None:
        choosing = Choosing()
        choosing.add("a")
        self.assertIn("<Plans 0,", repr(choosing.selection))
        choosing.choices(1)
        self.assertIn("tier 0 100%", repr(choosing.selection))
        choosing.endpoints[0].hold(Hold.FAILING, "x")
        self.assertIn("in panic", repr(choosing.selection))


class AlgorithmTests(SynchronousTestCase):
    """Everything around the algorithms goes with each of them."""

    def test_slow_start_tiers_and_panic(self) -> None:
        for name in BALANCERS:
            choosing = Choosing(by=name, slow_start=30.0)
            members = choosing.add("a", "b", "c", "d")
            far = choosing.add("x", tier=1)
            near = {short(endpoint) for endpoint in members}
            one = iter(range(1_000_000))

            def exchange() -> object:
                return client(f"10.0.{next(one) // 250 % 250}.{next(one) % 250}")  # noqa: B023

            self.assertEqual(set(choosing.choices(400, exchange)), near, name)  # type: ignore[arg-type]
            members[0].hold(Hold.EJECTED, "bad")
            self.assertEqual(set(choosing.choices(400, exchange)), near - {"a"}, name)  # type: ignore[arg-type]
            members[0].release(Hold.EJECTED)
            cold = choosing.choices(2000, exchange)["a"]  # type: ignore[arg-type]
            self.assertLess(cold, 2000 * 0.12, name)
            for _ in range(30):
                choosing.clock.advance(1)
                choosing.warming.tick()
            self.assertGreater(choosing.choices(2000, exchange)["a"], 2000 * 0.15, name)  # type: ignore[arg-type]
            for endpoint in (*members, *far):
                endpoint.hold(Hold.EJECTED, "bad")
            self.assertEqual(set(choosing.choices(400, exchange)), near, name)  # type: ignore[arg-type]
