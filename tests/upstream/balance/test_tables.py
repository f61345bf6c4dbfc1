"""Tests of edgegw.upstream.balance.tables."""

from __future__ import annotations

from typing import Any, cast

from twisted.trial.unittest import SynchronousTestCase

from edgegw.upstream.balance.tables import Building, step, weights_of
from tests.upstream.balance.balancing import endpoints


class TablesTests(SynchronousTestCase):
    def test_weights_are_in_the_order_of_names(self) -> None:
        a, b, c = endpoints(3, 1, 2)
        self.assertEqual([*weights_of([c, a, b]).items()], [(a, 3), (b, 1), (c, 2)])

    def test_a_step(self) -> None:
        table = cast(Any, object())

        def building() -> Building:
            yield
            yield
            return table

        made = building()
        self.assertEqual([step(made), step(made), step(made)], [None, None, table])
