"""Tests of edgegw.middleware.timeouts."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from edgegw.config.problems import Problems
from edgegw.exchange.model import Outcome, Response
from edgegw.middleware.interfaces import Surroundings
from edgegw.middleware.timeouts import TOTAL_TIMEOUT, TotalTimeoutSettings
from edgegw.runtime.wheel import Wheel
from edgegw.testing.exchanges import FakeConnection, make_exchange
from tests.middleware.running import Case, Target


class TotalTimeoutTests(Case):
    def setUp(self) -> None:
        self.clock = Clock()
        self.wheel = Wheel(self.clock)
        self.wheel.start()
        around = Surroundings(self.clock, self.wheel, Path(), Problems())
        self.middleware = TOTAL_TIMEOUT.build(TotalTimeoutSettings.model_validate({"total": "5s"}), around)
        self.connection = FakeConnection()
        self.exchange = make_exchange(connection=self.connection)

    def turn(self, seconds: float) -> None:
        for _ in range(round(seconds * 10)):
            self.clock.advance(0.1)

    def test_before_the_head(self) -> None:
        waiting: Deferred[Response] = Deferred()
        self.start(self.middleware(Target(does=lambda _: waiting)), self.exchange)
        self.turn(4.9)
        self.assertEqual(self.connection.failures, [])
        self.turn(0.3)
        (error,) = self.connection.failures
        self.assertEqual((error.status, error.reason), (504, "total_timeout"))

    def test_after_the_head(self) -> None:
        self.respond(self.middleware(Target()), self.exchange)
        self.turn(5.2)
        self.assertEqual([error.reason for error in self.connection.failures], ["total_timeout"])

    def test_over_in_time(self) -> None:
        self.respond(self.middleware(Target()), self.exchange)
        self.exchange.end(Outcome(200, True, 0, 0, None))
        self.turn(10)
        self.assertEqual((self.connection.failures, len(self.wheel)), ([], 0))

    def test_counts_from_the_first_byte(self) -> None:
        self.turn(3)
        self.exchange.started_s = 1.0
        self.respond(self.middleware(Target()), self.exchange)
        self.assertEqual(self.exchange.deadline_s, 6.0)
        self.turn(2.8)
        self.assertEqual(self.connection.failures, [])
        self.turn(0.4)
        self.assertEqual(len(self.connection.failures), 1)

    def test_a_takeover_has_its_own_deadlines(self) -> None:
        """`total` of a WebSocket is for the handshake."""
        exchange = make_exchange(headers=[(b"Upgrade", b"websocket")], connection=self.connection)
        switched = Response(101, takeover=cast(Any, object()))
        self.respond(self.middleware(Target(does=lambda _: switched)), exchange)
        self.turn(20)
        self.assertEqual((self.connection.failures, exchange.deadline_s, len(self.wheel)), ([], None, 0))

    def test_a_handshake_has_this_one(self) -> None:
        exchange = make_exchange(headers=[(b"Upgrade", b"websocket")], connection=self.connection)
        waiting: Deferred[Response] = Deferred()
        self.start(self.middleware(Target(does=lambda _: waiting)), exchange)
        self.turn(5.2)
        self.assertEqual([error.reason for error in self.connection.failures], ["total_timeout"])

    def test_a_refused_handshake_too(self) -> None:
        """Its answer may be without an end."""
        exchange = make_exchange(headers=[(b"Upgrade", b"websocket")], connection=self.connection)
        self.respond(self.middleware(Target()), exchange)
        self.turn(5.2)
        self.assertEqual([error.reason for error in self.connection.failures], ["total_timeout"])
