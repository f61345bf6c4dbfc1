"""Tests of edgegw.runtime.overload: measurements and chance are injected, time is a number."""

from __future__ import annotations

import random
from typing import Any

from hypothesis import given
from hypothesis import settings as profile
from hypothesis import strategies as st
from pydantic import ValidationError
from twisted.trial.unittest import SynchronousTestCase

from edgegw.observe.metrics import Registry
from edgegw.runtime.overload import (
    CALM,
    IMPORTANCES,
    LADDER,
    LIMITS_EVERY,
    RELIEF_EVERY_S,
    TICK_S,
    Overload,
    OverloadSettings,
)
from edgegw.runtime.supervise import Supervised


class Meter:
    """Memory, as the test says."""

    def __init__(self) -> None:
        self.used = 0.0
        self.limits: list[Any] = []
        self.refreshed = 0

    def against(self, limit: Any) -> Meter:
        self.limits.append(limit)
        return self

    def share(self) -> float:
        return self.used

    def own_share(self) -> float:
        return self.used

    def refresh(self) -> None:
        self.refreshed += 1


class Scales:
    """An overload on time and memory of the test's own."""

    def __init__(self, **settings: Any) -> None:
        self.now_s = 1000.0
        self.meter = Meter()
        self.relieved: list[float] = []
        self.told: list[tuple[int, int, str]] = []
        self.registry = Registry()
        self.overload = Overload(
            lambda: self.now_s,
            self.registry,
            OverloadSettings.model_validate(settings),
            self.meter.against,
            lambda: self.relieved.append(self.now_s),
            random.Random(7),
        )
        self.overload.follow(lambda *said: self.told.append(said))

    def ticks(self, count: int = 1, late_s: float = 0.0, used: float | None = None) -> Scales:
        """So many ticks, each so much too late."""
        if used is not None:
            self.meter.used = used
        for _ in range(count):
            self.now_s += TICK_S + late_s
            self.overload.tick()
        return self

    def gone(self, importance: str, of: int = 1000) -> int:
        """Of so many exchanges, how many are shed."""
        rank = IMPORTANCES.index(importance)  # type: ignore[arg-type]
        return sum(bool(self.overload.pressure) and self.overload.sheds(rank) for _ in range(of))

    @property
    def shed(self) -> dict[str, int]:
        return {importance: self.gone(importance) for importance in IMPORTANCES}


class MemoryTests(SynchronousTestCase):
    def test_the_ladder(self) -> None:
        """Each rung by its own number, and what each gives up beside what the ones below gave up."""
        for used, level, patience, keep_alive, accepting in (
            (0.00, 0, 1.0, True, True), (0.849, 0, 1.0, True, True),
            (0.85, 1, 0.5, True, True), (0.919, 1, 0.5, True, True),
            (0.92, 2, 0.2, False, True), (0.949, 2, 0.2, False, True),
            (0.95, 3, 0.1, False, True), (0.979, 3, 0.1, False, True),
            (0.98, 4, 0.1, False, False), (1.50, 4, 0.1, False, False),
        ):  # fmt: skip
            overload = Scales().ticks(used=used).overload
            found = (overload.level, overload.patience, overload.keep_alive, overload.accepting)
            self.assertEqual(found, (level, patience, keep_alive, accepting), used)
            self.assertEqual(overload.pressure > 0, level >= 3, used)

    def test_up_at_once_down_with_slack(self) -> None:
        scales = Scales()
        levels = []
        for used in (0.5, 0.99, 0.96, 0.951, 0.949, 0.93, 0.921, 0.919, 0.9, 0.889, 0.86, 0.821, 0.819):
            levels.append(scales.ticks(used=used).overload.level)
        self.assertEqual(levels, [0, 4, 4, 4, 3, 3, 3, 2, 2, 1, 1, 1, 0])

    def test_no_flutter_at_the_edge(self) -> None:
        scales = Scales()
        for at in range(400):
            scales.ticks(used=0.95 + (0.001 if at % 2 else -0.001))
        self.assertEqual([now for _, now, _ in scales.told], [2, 3])

    def test_who_is_told(self) -> None:
        scales = Scales().ticks(used=0.96).ticks(used=0.1)
        self.assertEqual([said[:2] for said in scales.told], [(0, 3), (3, 0)])
        self.assertIn("96.0% of the memory", scales.told[0][2])

    def test_told_when_everything_has_changed(self) -> None:
        scales = Scales()
        seen: list[Any] = []
        scales.overload.follow(lambda *_: seen.append((scales.overload.accepting, scales.overload.pressure)))
        scales.ticks(used=0.98)
        self.assertEqual(seen, [(False, 1.0)])

    def test_a_follower_that_fails(self) -> None:
        scales = Scales()
        scales.overload.follow(lambda *_: 1 / 0)
        scales.overload.follow(lambda *said: scales.told.append(said))
        scales.ticks(used=0.98)
        self.assertEqual(len(scales.told), 2)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_relief(self) -> None:
        """What is freed does not go back to the kernel by itself, so the process would never be seen to recover."""
        scales = Scales().ticks(20, used=0.91)
        self.assertEqual(scales.relieved, [])
        scales.ticks(used=0.93)
        self.assertEqual(len(scales.relieved), 1)
        scales.ticks(int(RELIEF_EVERY_S / TICK_S) - 1)
        self.assertEqual(len(scales.relieved), 1)
        scales.ticks()
        self.assertEqual(len(scales.relieved), 2)

    def test_limits_are_looked_for_again(self) -> None:
        self.assertEqual(Scales().ticks(LIMITS_EVERY * 3).meter.refreshed, 3)

    def test_settings_change(self) -> None:
        scales = Scales()
        scales.overload.apply(OverloadSettings(memory="off", lag="off"))
        scales.overload.apply(OverloadSettings(memory=1 << 20))
        self.assertEqual(scales.meter.limits, ["auto", "off", 1 << 20])

    @profile(max_examples=200, deadline=None)
    @given(st.lists(st.floats(0, 1.2), max_size=40))
    def test_whatever_is_used(self, shares: list[float]) -> None:
        """Never below the rung of the moment, and above it only within the slack."""
        scales = Scales()
        for used in shares:
            level = scales.ticks(used=used).overload.level
            self.assertGreaterEqual(level, sum(used >= rung.at for rung in LADDER) - 1)
            self.assertTrue(level == 0 or used >= LADDER[level].at - 0.03 - 1e-9)
            self.assertTrue(0 <= scales.overload.pressure <= 1)
            self.assertEqual(scales.overload.accepting, level < 4)


class LagTests(SynchronousTestCase):
    def test_on_time(self) -> None:
        scales = Scales().ticks(100, late_s=0.1)
        self.assertEqual((scales.overload.level, scales.overload.pressure, scales.told), (0, 0.0, []))
        self.assertAlmostEqual(scales.overload.lag_s, 0.1)

    def test_a_single_pause_sheds_nobody(self) -> None:
        """However long: garbage, a suspended machine."""
        for pause_s in (0.6, 5.0, 3600.0):
            scales = Scales().ticks(10).ticks(1, late_s=pause_s).ticks(10)
            self.assertEqual(scales.told, [], pause_s)
        for _ in range(20):
            scales.ticks(1, late_s=2.0).ticks(1)
        self.assertEqual(scales.told, [])

    def test_late_again_and_again(self) -> None:
        scales = Scales().ticks(4, late_s=0.6)
        self.assertEqual(scales.overload.level, 0)
        scales.ticks(1, late_s=0.6)
        self.assertEqual((scales.overload.level, scales.overload.keep_alive, scales.overload.patience), (3, True, 1.0))
        self.assertGreater(scales.gone("low"), 0)
        self.assertEqual(scales.gone("normal"), 0)

    def test_the_longer_the_more(self) -> None:
        scales = Scales().ticks(5, late_s=0.6)
        pressures = [scales.ticks(1, late_s=0.6).overload.pressure for _ in range(20)]
        self.assertEqual(pressures, sorted(pressures))
        self.assertEqual(pressures[-1], 1.0)
        self.assertGreater(Scales().ticks(6, late_s=2.0).overload.pressure, pressures[0] * 2)

    def test_between_it_stays(self) -> None:
        """Half the limit to the limit: what is shed now is just right."""
        scales = Scales().ticks(10, late_s=0.6)
        before = scales.overload.pressure
        self.assertEqual(scales.ticks(50, late_s=0.4).overload.pressure, before)

    def test_it_recovers(self) -> None:
        scales = Scales().ticks(40, late_s=0.6)
        self.assertEqual(scales.overload.pressure, 1.0)
        scales.ticks(52)
        self.assertEqual(scales.overload.level, 3)
        scales.ticks(1)
        self.assertEqual((scales.overload.pressure, scales.overload.level), (0.0, 0))
        self.assertEqual([said[:2] for said in scales.told], [(0, 3), (3, 0)])

    def test_off(self) -> None:
        scales = Scales(lag="off").ticks(100, late_s=5.0)
        self.assertEqual((scales.overload.level, scales.overload.pressure), (0, 0.0))

    def test_switched_off_while_late(self) -> None:
        scales = Scales().ticks(40, late_s=0.6)
        scales.overload.apply(OverloadSettings(lag="off"))
        self.assertEqual(scales.ticks(1, late_s=0.6).overload.level, 0)

    def test_another_limit(self) -> None:
        self.assertEqual(Scales(lag="2s").ticks(40, late_s=1.5).overload.level, 0)
        self.assertEqual(Scales(lag="100ms").ticks(40, late_s=0.15).overload.level, 3)

    def test_together_with_memory(self) -> None:
        scales = Scales().ticks(10, late_s=0.6, used=0.93)
        self.assertEqual((scales.overload.level, scales.overload.keep_alive), (3, False))
        self.assertEqual(scales.ticks(10, used=0.99).overload.level, 4)
        self.assertEqual(scales.ticks(60, used=0.91).overload.level, 2)

    def test_it_finds_what_can_be_served(self) -> None:
        """A process that can do 70 of 100 low exchanges in time sheds about 30 of them, and keeps doing so."""
        scales = Scales()
        shares = []
        for _ in range(600):
            kept = 1 - min(1.0, 3 * scales.overload.pressure)
            shares.append(kept)
            scales.ticks(1, late_s=max(0.0, (kept - 0.7) * 10))
        settled = shares[200:]
        self.assertTrue(0.6 < sum(settled) / len(settled) < 0.8, sum(settled) / len(settled))


class SheddingTests(SynchronousTestCase):
    def test_in_order(self) -> None:
        """One after the other, each more and more, and the critical ones never."""
        for used, low, normal, high in (
            (0.949, 0, 0, 0),
            (0.950, 1000, 0, 0),
            (0.9575, 1000, 500, 0),
            (0.965, 1000, 1000, 0),
            (0.9725, 1000, 1000, 500),
            (0.98, 1000, 1000, 1000),
            (1.5, 1000, 1000, 1000),
        ):
            found = Scales().ticks(used=used).shed
            self.assertEqual(found["critical"], 0)
            for name, expected in (("low", low), ("normal", normal), ("high", high)):
                # Five standard deviations of a coin thrown a thousand times.
                self.assertTrue(abs(found[name] - expected) <= (80 if expected == 500 else 0), (used, found))

    def test_on_the_way_down(self) -> None:
        scales = Scales().ticks(used=0.96)
        self.assertEqual(scales.ticks(used=0.94).overload.level, 3)
        self.assertTrue(200 < scales.gone("low") < 450)
        self.assertEqual(scales.ticks(used=0.93).overload.pressure, 0.0)

    def test_counted(self) -> None:
        scales = Scales().ticks(used=0.9575)
        found = scales.shed
        counted = {name: scales.registry.shed.child(importance=name).value for name in IMPORTANCES}
        self.assertEqual(counted, found)
        self.assertEqual(scales.registry.overload_level.only.value, 3)
        self.assertEqual(scales.ticks(used=0.1).registry.overload_level.only.value, 0)


class EtceteraTests(SynchronousTestCase):
    def test_settings(self) -> None:
        settings = OverloadSettings.model_validate({"memory": "512MiB", "lag": "250ms"})
        self.assertEqual((settings.memory, settings.lag), (512 << 20, 0.25))
        for wrong in ({"memory": "some"}, {"memory": "none"}, {"lag": 0}, {"lag": "none"}):
            self.assertRaises(ValidationError, OverloadSettings.model_validate, wrong)

    def test_what_ships_can_be_measured(self) -> None:
        """The real measures, the real ticks."""
        from twisted.internet.task import Clock

        clock = Clock()
        overload = Overload(clock.seconds, Registry(), OverloadSettings(memory=1 << 50))
        ticking = Supervised("overload", overload.tick, TICK_S, clock)
        ticking.startService()
        for _ in range(20):
            clock.advance(TICK_S)
        self.assertEqual((ticking.failures, overload.level, overload.lag_s), (0, 0, 0.0))
        ticking.stopService()

    def test_repr(self) -> None:
        scales = Scales().ticks(10, used=0.9)
        self.assertEqual(repr(scales.overload), "<Overload level 1, memory 90.0%, 0 ms late, pressure 0.00>")
        self.assertEqual((CALM.patience, CALM.keep_alive, CALM.accepting), (1.0, True, True))


class StartTests(SynchronousTestCase):
    def test_a_limit_that_leaves_no_room_is_told_and_not_enforced(self) -> None:
        """It would accept nothing, for ever."""
        limits: list[Any] = []

        class Full:
            def __init__(self, limit: Any) -> None:
                limits.append(limit)
                self.limit = limit

            def share(self) -> float:
                return 0.0 if self.limit == "off" else 1.1

            def own_share(self) -> float:
                return self.share()

            def refresh(self) -> None:
                """The same."""

        made = Overload(lambda: 0.0, Registry(), OverloadSettings(memory=1), Full)
        made.tick()
        self.assertEqual((limits, made.level, made.accepting), ([1, "off"], 0, True))

    def test_what_others_use_already_counts(self) -> None:
        """The one that is to take over, beside the one that drains: that may pass."""

        class Shared(Meter):
            def own_share(self) -> float:
                return 0.4

        meter = Shared()
        meter.used = 0.99
        made = Overload(lambda: 0.0, Registry(), OverloadSettings(), meter.against)
        made.tick()
        self.assertEqual((meter.limits, made.level), (["auto"], 4))
        meter.used = 0.5
        made.tick()
        self.assertEqual(made.level, 0)
