"""Walks the table of docs/how-to/retries-and-timeouts.md: every deadline is met at its time, by its own status and reason."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.testing import MemoryReactorClock

from edgegw.cli.reasons import GATEWAY_REASONS
from edgegw.config.units import format_duration
from edgegw.errors import GatewayError
from edgegw.exchange.body import Body
from edgegw.exchange.model import Exchange
from edgegw.middleware.grpc import Grpc
from edgegw.middleware.timeouts import TotalTimeout
from edgegw.net.resolver import Resolver
from edgegw.net.settings import Caps
from edgegw.observe.metrics import Registry
from edgegw.runtime.wheel import Wheel
from edgegw.targets.proxy import Proxy
from edgegw.testing.downstream import Desk, request
from edgegw.testing.exchanges import make_exchange
from edgegw.testing.origin import Origin, answer, cluster, environment
from edgegw.upstream.address import EndpointSettings
from edgegw.upstream.bulkhead import BulkheadSettings
from edgegw.upstream.cluster import Cluster
from edgegw.upstream.connect import Connector
from edgegw.upstream.pool import PoolSettings
from edgegw.upstream.retry import RetrySettings
from edgegw.upstream.settings import UpstreamSettings, UpstreamTimeouts
from tests.targets.test_proxy import Case, nothing
from tests.wire.tables import OK

PAGE = Path(__file__).parent.parent.parent / "docs/how-to/retries-and-timeouts.md"
ROW = re.compile(r"^\| ([^|]+) \| ([^|]+) \| ([^|]+) \| ([^|]+) \| (`\w+`)? ?\|$", re.MULTILINE)
MODELS: dict[str, Any] = {
    "listen.caps": Caps, "bulkhead": BulkheadSettings, "pool": PoolSettings, "timeouts": UpstreamTimeouts,
    "retry": RetrySettings,
}  # fmt: skip

LIMIT_S = 1.5
NO_RETRY = RetrySettings(attempts=0)


def rows() -> list[tuple[str, str, str, str]]:
    """Settings, default, status and reason."""
    text = PAGE.read_text()
    table = text[text.index("| stage |") :]
    return [(found[2], found[3], found[4], (found[5] or "").strip("`")) for found in ROW.finditer(table)]


class PageTests(Case):
    """What the page says is what the code says."""

    def test_reasons_and_statuses(self) -> None:
        said = {reason: status for _, __, status, reason in rows() if reason}
        self.assertEqual(len(said), 13)
        for reason, status in said.items():
            found = GATEWAY_REASONS[reason].status
            self.assertIn(status.split(",")[0], (str(found), "torn"), reason)

    def test_settings_and_defaults(self) -> None:
        checked = 0
        for settings, default, _, __ in rows():
            for setting in re.findall(r"`([a-z_.]+)`", settings):
                model = MODELS.get(setting.rpartition(".")[0])
                if model is None:
                    continue
                checked += 1
                value = model.model_fields[setting.rpartition(".")[2]].default
                self.assertEqual(default.replace(" ", ""), format_duration(value), setting)
        self.assertGreater(checked, 10)

    def test_each_has_a_case(self) -> None:
        """Those of the downstream side are told in tests.net."""
        downstream = {"head_timeout", "body_timeout", "body_too_slow", "write_timeout"}
        reasons = {reason for _, __, ___, reason in rows() if reason} - downstream
        cases = {name.removeprefix("test_") for name in dir(WalkTests) if name.startswith("test_")}
        self.assertEqual(reasons, cases)


class WalkTests(Case):
    """Each is set to 1.5 s, and nothing else ends it."""

    def build(self, *script: Any, head_s: float = 60.0, idle_s: float = 60.0, **settings: Any) -> None:
        first = Origin(*script)
        self.origins = [first]
        self.cluster = cluster(first, **{"retry": NO_RETRY, **settings})
        metrics = Registry().upstream("shop")
        self.made = Proxy(self.cluster, head_s, idle_s, first.clock.seconds, metrics)

    def late(self, answered: Deferred[Any]) -> GatewayError:
        """The error it ends in, which comes in time."""
        self.turn(LIMIT_S - 0.1)
        self.assertNoResult(answered)
        self.turn(0.3)
        return self.failureResultOf(answered, GatewayError).value

    def assert_error(self, error: GatewayError) -> None:
        reason = self._testMethodName.removeprefix("test_")
        self.assertEqual((error.status, error.reason), (GATEWAY_REASONS[reason].status, reason))

    def test_bulkhead_timeout(self) -> None:
        self.build(answer(), bulkhead=BulkheadSettings(requests=1, queue_timeout=f"{LIMIT_S}s"))  # type: ignore[arg-type]
        self.ask()
        self.assert_error(self.late(self.start(make_exchange())))

    def test_pool_queue_timeout(self) -> None:
        self.build(nothing, pool=PoolSettings(max=1, queue_timeout=f"{LIMIT_S}s"))  # type: ignore[arg-type]
        self.start(make_exchange())
        self.assert_error(self.late(self.start(make_exchange())))

    def test_connect_timeout(self) -> None:
        """A black hole, on a reactor in memory."""
        reactor = MemoryReactorClock()
        wheel = Wheel(reactor)
        wheel.start()
        origin = Origin(clock=reactor, wheel=wheel)
        resolver = Resolver(reactor, lambda _: Deferred())
        self.addCleanup(resolver.stop)
        connector = Connector(reactor, wheel, resolver, None, LIMIT_S)
        settings = UpstreamSettings(endpoints=(EndpointSettings(url="http://10.0.0.1"),), retry=NO_RETRY)
        build = self.builder()
        made = Cluster("shop", settings, connector, build, environment(origin))
        self.origins = [origin]
        self.made = Proxy(made, 60.0, 60.0, reactor.seconds, Registry().upstream("shop"))
        error = self.late(self.start(make_exchange()))
        self.assert_error(error)
        self.assertEqual(dict(error.headers), {b"Retry-After": b"1"})

    def builder(self) -> Any:
        self.build()
        return self.cluster._balancer

    def test_upstream_send_timeout(self) -> None:
        self.build(timeouts=UpstreamTimeouts(send=f"{LIMIT_S}s"))  # type: ignore[arg-type]
        body = Body(None)
        answered = self.start(make_exchange("POST", body=body))
        self.origins[0].connections[0].congest()
        body.write(b"abc")
        self.assert_error(self.late(answered))
        self.assertTrue(self.origins[0].connections[0].aborted)

    def test_upstream_head_timeout(self) -> None:
        self.build(nothing, head_s=LIMIT_S)
        self.assert_error(self.late(self.start(make_exchange())))

    def test_try_timeout(self) -> None:
        self.build(nothing, retry=RetrySettings.model_validate({"attempts": 0, "per_try": f"{LIMIT_S}s"}))
        self.assert_error(self.late(self.start(make_exchange())))

    def test_upstream_idle_timeout(self) -> None:
        self.build(OK + b"Content-Length: 9\r\n\r\nab", idle_s=LIMIT_S)
        body = self.ask().body
        self.turn(LIMIT_S - 0.1)
        self.assertIsNone(body.error)
        self.turn(0.3)
        assert body.error is not None
        self.assert_error(body.error)

    def through(self, made: Any, *fields: str) -> GatewayError:
        """The error that a downstream connection ends the exchange by, after its time."""
        desk = self.desk
        desk.script.steps = [made]
        desk.says(request("GET / HTTP/1.1", *fields))
        self.turn(LIMIT_S - 0.1)
        self.assertEqual(desk.heard(), b"")
        self.turn(0.3)
        self.assertTrue(desk.heard().startswith(b"HTTP/1.1 "))
        error = desk.exchanges[0].failure
        assert error is not None
        return error

    def behind(self) -> Proxy:
        self.desk = desk = Desk()
        self.origins = [Origin(nothing, clock=desk.clock, wheel=desk.wheel)]
        self.cluster = cluster(self.origins[0])
        return Proxy(self.cluster, 60.0, 60.0, desk.clock.seconds, Registry().upstream("shop"))

    def test_total_timeout(self) -> None:
        proxy = self.behind()
        self.assert_error(self.through(TotalTimeout(proxy, LIMIT_S, self.desk.wheel)))
        self.turn()
        self.assertEqual((self.in_flight(), self.cluster.endpoints[0].pool.leased), ([0], 0))

    def test_grpc_deadline(self) -> None:
        proxy = self.behind()

        def grpc(exchange: Exchange) -> Any:
            return Grpc(proxy, 1 << 20, self.desk.wheel)(exchange)

        self.assert_error(self.through(grpc, "Content-Type: application/grpc", "grpc-timeout: 1500m"))
        self.turn()
        self.assertEqual(self.in_flight(), [0])
