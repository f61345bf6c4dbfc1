"""Tests of edgegw.middleware.shedding."""

from __future__ import annotations

import random
import timeit
from typing import Any, cast

from pydantic import ValidationError
from twisted.internet.task import Clock

from edgegw.config.problems import Problems
from edgegw.errors import Phase, Retry, Side
from edgegw.exchange.interfaces import Responder
from edgegw.middleware.interfaces import Surroundings
from edgegw.middleware.shedding import SHEDDING, SheddingSettings
from edgegw.observe.metrics import Registry
from edgegw.runtime.overload import IMPORTANCES, Overload, OverloadSettings
from edgegw.testing.exchanges import make_exchange
from tests.middleware.running import Case, Target


class Meter:
    """Memory, as the test says."""

    used = 0.0

    def share(self) -> float:
        return self.used

    def own_share(self) -> float:
        return self.used

    def refresh(self) -> None:
        pass


class SheddingTests(Case):
    def setUp(self) -> None:
        self.meter = Meter()
        self.registry = Registry()
        self.overload = Overload(
            Clock().seconds, self.registry, OverloadSettings(), lambda _: self.meter, lambda: None, random.Random(3)
        )

    def uses(self, share: float) -> None:
        self.meter.used = share
        self.overload.tick()

    def layer(self, importance: str | None, target: Responder) -> Responder:
        settings = SheddingSettings.model_validate({} if importance is None else {"importance": importance})
        around = Surroundings(cast(Any, None), cast(Any, None), cast(Any, None), Problems(), self.overload)
        return SHEDDING.build(settings, around)(target)

    def served(self, importance: str | None, of: int = 300) -> int:
        target = Target()
        layer = self.layer(importance, target)
        for _ in range(of):
            waiting = self.start(layer, make_exchange())
            waiting.addErrback(lambda _: None)
        return len(target.seen)

    def test_all_is_well(self) -> None:
        self.uses(0.94)
        for importance in IMPORTANCES:
            self.assertEqual(self.served(importance), 300)

    def test_least_important_first(self) -> None:
        self.uses(0.955)
        self.assertEqual(self.served("low"), 0)
        self.assertTrue(150 < self.served("normal") < 270)
        self.assertEqual((self.served("high"), self.served("critical")), (300, 300))

    def test_the_top(self) -> None:
        self.uses(0.99)
        self.assertEqual([self.served(importance) for importance in IMPORTANCES], [0, 0, 0, 300])

    def test_normal_is_what_nobody_says(self) -> None:
        self.uses(0.966)
        self.assertEqual((self.served(None), self.served("high") > 200), (0, True))

    def test_the_refusal(self) -> None:
        self.uses(0.96)
        layer = self.layer("low", Target())
        waits = set()
        for _ in range(50):
            error = self.refuse(layer, make_exchange())
            self.assertEqual((error.status, error.reason, error.phase), (503, "overloaded", Phase.POLICY))
            self.assertEqual((error.side, error.retry, error.close), (Side.GATEWAY, Retry.NEVER, False))
            waits.add(dict(error.headers)[b"Retry-After"])
        self.assertEqual(waits, {b"1", b"2", b"3"})
        self.assertEqual(self.registry.shed.child(importance="low").value, 50)

    def test_over_again(self) -> None:
        self.uses(0.99)
        self.uses(0.5)
        self.assertEqual(self.served("low"), 300)

    def test_where_nothing_is_served(self) -> None:
        """`edgegw check` has no overload; nothing stands in the way then."""
        target = Target()
        around = Surroundings(cast(Any, None), cast(Any, None), cast(Any, None), Problems())
        self.assertIs(SHEDDING.build(SheddingSettings(), around)(target), target)

    def test_it_costs_next_to_nothing(self) -> None:
        """All is well: one call and two attributes, so a bare call is at most a few times cheaper."""
        exchange, done = make_exchange(), cast(Any, None)

        def target(_: Any) -> Any:
            return done

        layer = self.layer("normal", target)

        def bare() -> Any:
            return target(exchange)

        shed = min(timeit.repeat(lambda: layer(exchange), number=20000, repeat=5))
        plain = min(timeit.repeat(bare, number=20000, repeat=5))
        self.assertLess(shed, plain * 8)

    def test_settings(self) -> None:
        self.assertRaises(ValidationError, SheddingSettings.model_validate, {"importance": "urgent"})
        self.assertEqual(repr(self.layer("high", Target())), "<Shedding high>")
