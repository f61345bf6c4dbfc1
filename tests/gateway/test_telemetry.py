"""Where exchanges and connections are counted."""

from types import SimpleNamespace
from typing import Any

from twisted.internet.defer import ensureDeferred
from twisted.trial.unittest import SynchronousTestCase

from edgegw.gateway.telemetry import Telemetry
from edgegw.observe.cells import UNROUTED
from edgegw.testing.exchanges import make_exchange


class ListenerTests(SynchronousTestCase):
    def test_counts(self) -> None:
        telemetry = Telemetry()
        counts = telemetry.listener("*:80")
        counts.opened()
        counts.opened()
        counts.closed()
        counts.refused("per_client")
        counts.handshake("ok")
        registry = telemetry.registry
        self.assertEqual(registry.connections.child(listener="*:80").value, 1)
        self.assertEqual(registry.connections_accepted.child(listener="*:80").value, 2)
        self.assertEqual(registry.connections_rejected.child(listener="*:80", reason="per_client").value, 1)
        self.assertEqual(registry.tls_handshakes.child(listener="*:80", outcome="ok").value, 1)


class ExchangeTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.recorded: list[Any] = []
        self.telemetry = Telemetry(record=lambda *args: self.recorded.append(args))

    def exchange(self, route: str | None) -> Any:
        made: Any = make_exchange()
        made.route = SimpleNamespace(name=route) if route is not None else None
        made.connection = SimpleNamespace(listener=SimpleNamespace(clock=lambda: made.started_s + 2.0))
        return made

    def requests(self, route: str) -> float:
        return self.telemetry.registry.requests.child(route=route, method="GET", code="200").value

    def test_an_exchange_is_in_flight_and_then_counted_and_recorded(self) -> None:
        exchange = self.exchange("users")

        async def target(_: Any) -> Any:
            self.assertEqual(self.flying("users"), 1)
            return "answer"

        layer = self.telemetry.in_flight("users")(target)
        self.assertEqual(self.successResultOf(ensureDeferred(layer(exchange))), "answer")  # type: ignore[arg-type]
        self.telemetry.ended(exchange, self.outcome())
        self.assertEqual((self.flying("users"), self.requests("users")), (0, 1))
        self.assertEqual(self.recorded[0][2], 2.0)

    def flying(self, route: str) -> float:
        return self.telemetry.registry.requests_in_flight.child(route=route).value

    def outcome(self) -> Any:
        return SimpleNamespace(status=200, bytes_in=1, bytes_out=2, error=None, reason=None)

    def test_without_a_route(self) -> None:
        self.telemetry.ended(self.exchange(None), self.outcome())
        self.assertEqual(self.requests(UNROUTED), 1)

    def test_rejections(self) -> None:
        self.telemetry.rejected("no_route")
        self.assertEqual(self.telemetry.registry.rejections.child(reason="no_route").value, 1)

    def test_the_same_name_is_the_same_account(self) -> None:
        self.assertIs(self.telemetry.upstream("u"), self.telemetry.upstream("u"))
