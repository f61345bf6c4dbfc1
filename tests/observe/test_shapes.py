"""What an access record reads of an exchange is there: the real classes of the floor above have these attributes."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from edgegw.errors import GatewayError
from edgegw.exchange.model import Connection, Outcome
from edgegw.observe import shapes
from edgegw.testing.exchanges import make_exchange


def attributes(shape: Any) -> set[str]:
    return {name for name in vars(shape) if not name.startswith("_")}


def lacking(shape: Any, thing: object) -> set[str]:
    return {name for name in attributes(shape) if not hasattr(thing, name)}


class ShapeTests(SynchronousTestCase):
    """`mypy` compares the types where a record is made; here the values are there as soon as an exchange is."""

    def test_a_new_exchange_has_everything(self) -> None:
        exchange = make_exchange()
        for shape, thing in (
            (shapes.ExchangeShape, exchange),
            (shapes.RequestShape, exchange.request),
            (shapes.HeadShape, exchange.head),
            (shapes.FieldsShape, exchange.head.headers),
            (shapes.ConnectionShape, exchange.connection),
            (shapes.OutcomeShape, Outcome(200, True, 1, 2, GatewayError(500, "a"))),
        ):
            self.assertTrue(attributes(shape), shape)
            self.assertEqual(lacking(shape, thing), set(), shape)

    def test_a_connection_promises_what_is_read(self) -> None:
        promised = attributes(Connection)
        self.assertEqual(attributes(shapes.ConnectionShape) - promised, set())

    def test_no_shape_is_forgotten_here(self) -> None:
        names = {name for name in vars(shapes) if name.endswith("Shape")}
        wanted = "Exchange Request Head Fields Connection Outcome"
        self.assertEqual(names, {f"{name}Shape" for name in wanted.split()})
