"""Tests of edgegw.middleware.access_record."""

from __future__ import annotations

from typing import Any

from edgegw.errors import GatewayError
from edgegw.exchange.model import Exchange, Outcome
from edgegw.middleware.access_record import AccessRecord
from edgegw.testing.exchanges import make_exchange
from tests.middleware.running import Case, Target

DONE = Outcome(200, True, 0, 0, None)


class AccessRecordTests(Case):
    def setUp(self) -> None:
        self.told: list[tuple[Any, ...]] = []

    def layer(self, target: Target) -> AccessRecord:
        return AccessRecord(target, lambda *what: self.told.append(what))

    def test_recorded_once_at_the_end(self) -> None:
        exchange = make_exchange()
        self.respond(self.layer(Target(does=lambda _: self.assertEqual(self.told, []))), exchange)
        self.assertEqual(self.told, [])
        exchange.end(DONE)
        exchange.end(DONE)
        self.assertEqual(self.told, [(exchange, DONE)])

    def test_whatever_becomes_of_it(self) -> None:
        for trouble in (GatewayError(404, "no_route"), ValueError("a bug")):
            self.told.clear()
            exchange = make_exchange()
            self.failureResultOf(self.start(self.layer(Target(does=trouble)), exchange), type(trouble))
            exchange.end(DONE)
            self.assertEqual(self.told, [(exchange, DONE)])

    def test_an_exchange_torn_before_it_began(self) -> None:
        exchange = make_exchange()
        exchange.end(DONE)
        self.respond(self.layer(Target()), exchange)
        self.assertEqual(self.told, [(exchange, DONE)])

    def test_last_of_all_that_wait_for_the_end(self) -> None:
        exchange = make_exchange()

        def inner(exchange: Exchange) -> None:
            exchange.on_end(lambda *_: self.told.append(("inner",)))

        self.respond(self.layer(Target(does=inner)), exchange)
        exchange.end(DONE)
        self.assertEqual(self.told, [("inner",), (exchange, DONE)])

    def test_faults_are_logged_and_harm_nothing(self) -> None:
        def broken(*_: object) -> None:
            raise RuntimeError("no counting today")

        exchange = make_exchange()
        ended: list[str] = []
        exchange.on_end(lambda *_: ended.append("others"))
        self.assertEqual(self.respond(AccessRecord(Target(), broken), exchange).status, 200)
        exchange.end(DONE)
        self.assertEqual(ended, ["others"])
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
