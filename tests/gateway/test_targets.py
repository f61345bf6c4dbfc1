"""Settings of a route to its target: the order of what goes around it, and whose timeouts and retries hold."""

from __future__ import annotations

from typing import Any
from unittest import mock

from twisted.internet import reactor
from twisted.internet.defer import succeed
from twisted.internet.task import deferLater

from edgegw.gateway.snapshot import Snapshot
from edgegw.targets.fallback import Fallback
from edgegw.targets.mirror import Mirrors
from edgegw.targets.split import Split
from edgegw.targets.websocket import Upgrading
from edgegw.upstream.retry import RetrySettings
from tests.gateway.case import GatewayCase
from tests.gateway.test_assembly import AssemblyCase
from tests.live.process import free_port

UPSTREAMS = """\
upstreams:
  a: {endpoints: ["http://a1", {url: "http://a2", meta: {version: "2"}}]}
  b: {endpoints: ["http://b"]}
  c: {endpoints: ["http://c"]}
"""


class TargetCase(AssemblyCase):
    def snapshot(self, route: str, more: str = "") -> Snapshot:
        return self.build(f"{UPSTREAMS}{more}routes:\n  - {{name: r, match: /**, {route}}}\n")

    def target(self, route: str, more: str = "") -> Any:
        """What is behind the last middleware."""
        responder: Any = self.snapshot(route, more).routes[0].responder
        while not isinstance(responder, Upgrading | Split | Mirrors | Fallback):
            responder = responder._next
        return responder


class UpstreamTests(TargetCase):
    def test_one_upstream_is_not_split(self) -> None:
        for to in ("a", "{upstream: a}", "[a]", "[{upstream: a, weight: 7}]"):
            self.assertIsInstance(self.target(f"to: {to}"), Upgrading, to)

    def test_several(self) -> None:
        when = 'when: {header: {X-Canary: "1"}}'
        target = self.target(f"to: [{{upstream: a, weight: 95}}, {{upstream: b, weight: 5}}, {{upstream: c, {when}}}]")
        self.assertIsInstance(target, Split)
        text = repr(target)
        self.assertRegex(
            text, "<Split 95 <Upgrading <Proxy to a.*; 5 <Upgrading <Proxy to b.*; <Predicate header x-canary"
        )
        self.assertEqual(text.count("WebSocketTarget"), 3, "WebSockets go the same ways")

    def test_the_order_around_it(self) -> None:
        """Copies are of what the destinations get; a fallback gets none, as it stands outside."""
        target = self.target("to: [a, b], mirror: [c, {to: b, share: 10%}], fallback: {respond: {status: 503}}")
        self.assertIsInstance(target, Fallback)
        self.assertIsInstance(target._target, Mirrors)
        self.assertIsInstance(target._target._next, Split)
        self.assertEqual([mirror.settings.to for mirror in target._target._mirrors], ["c", "b"])

    def test_what_is_not_asked_for_is_not_there(self) -> None:
        self.assertNotRegex(repr(self.target("to: a")), "Split|Mirror|Fallback")

    def test_parts_of_an_upstream(self) -> None:
        """The same selection for the same part, for exchanges and WebSockets alike."""
        snapshot = self.snapshot('to: {upstream: a, meta: {version: "2"}}')
        selection = snapshot.clusters["a"].selection({"version": "2"})
        responder: Any = snapshot.routes[0].responder
        while not isinstance(responder, Upgrading):
            responder = responder._next
        proxy, websocket = responder._proxy, responder._websocket
        self.assertIs(proxy._attempts.means.selection, selection)
        self.assertIs(websocket._means.selection, selection)
        self.assertEqual([endpoint.name for endpoint in selection._census._known], ["http://a2"])

    def test_metrics_have_the_name_of_the_route(self) -> None:
        target = self.target("to: a, mirror: b, fallback: c")
        target._target._mirrors[0].count("dropped")
        target._count("breaker_refuses")
        registry = self.resources.telemetry.registry
        self.assertEqual(registry.mirrored.at(("r", "dropped")).value, 1)
        self.assertEqual(registry.fallbacks.at(("r", "breaker_refuses")).value, 1)

    def test_a_copy_waits_no_longer_than_its_mirror(self) -> None:
        with mock.patch("edgegw.gateway.targets.Proxy") as proxy:
            self.snapshot("to: a, mirror: {to: b, timeout: 2s}")
        self.assertEqual([call.args[1] for call in proxy.call_args_list], [15.0, 2.0])

    def test_a_copy_is_sent_once(self) -> None:
        with mock.patch("edgegw.gateway.targets.Proxy") as proxy:
            self.snapshot("to: a, mirror: b, retry: {attempts: 3}")
        self.assertEqual([call.args[5].attempts for call in proxy.call_args_list], [3, 0])


class TimeoutTests(AssemblyCase):
    """What is said closest to the exchange holds."""

    def limits(self, route: str = "", upstream: str = "", defaults: str = "") -> tuple[float, float]:
        text = f'upstreams: {{u: {{endpoints: ["http://h"]{upstream}}}}}\ndefaults: {{{defaults}}}\n'
        with mock.patch("edgegw.gateway.targets.Proxy") as proxy:
            self.build(f"{text}routes: [{{match: /, to: u{route}}}]\n")
        head_s, idle_s = proxy.call_args.args[1:3]
        return head_s, idle_s

    def test_built_in(self) -> None:
        self.assertEqual(self.limits(), (15.0, 60.0))

    def test_defaults_of_routes(self) -> None:
        self.assertEqual(self.limits(defaults="timeout: 2s"), (2.0, 60.0))

    def test_an_upstream_knows_better_than_defaults_of_routes(self) -> None:
        self.assertEqual(self.limits("", ", timeouts: {head: 40s}", "timeout: {head: 2s, idle: 3s}"), (40.0, 3.0))
        self.assertEqual(self.limits("", "", "timeout: 2s, upstream: {timeouts: {head: 30s}}"), (30.0, 60.0))

    def test_a_route_knows_best(self) -> None:
        self.assertEqual(self.limits(", timeout: 1s", ", timeouts: {head: 40s}", "timeout: {head: 2s}"), (1.0, 60.0))


class RetryTests(AssemblyCase):
    """As of timeouts, key by key."""

    def retry(self, route: str = "", upstream: str = "", defaults: str = "") -> RetrySettings:
        text = f'upstreams: {{u: {{endpoints: ["http://h"]{upstream}}}}}\ndefaults: {{{defaults}}}\n'
        with mock.patch("edgegw.gateway.targets.Targets._proxy") as proxy:
            self.build(f"{text}routes: [{{match: /, to: u{route}}}]\n")
        found = proxy.call_args.args[3]
        assert isinstance(found, RetrySettings)
        return found

    def test_who_knows_best(self) -> None:
        self.assertEqual(self.retry().attempts, RetrySettings().attempts)
        self.assertEqual(self.retry(defaults="retry: {attempts: 2}").attempts, 2)
        self.assertEqual(self.retry("", ", retry: {attempts: 3}", "retry: {attempts: 2}").attempts, 3)
        self.assertEqual(self.retry(", retry: {attempts: 0}", ", retry: {attempts: 3}").attempts, 0)


class WholeTests(GatewayCase):
    """On sockets, as an operator has it."""

    async def test_canary_copy_and_fallback(self) -> None:
        gate = succeed(None)
        stable, shadow, dead = self.origin(gate, b"stable"), self.origin(gate, b"shadow"), free_port()
        copied = self.asked_origin
        upstreams = "".join(
            f'  {name}: {{endpoints: ["http://127.0.0.1:{port}"]}}\n'
            for name, port in (("stable", stable), ("shadow", shadow), ("dead", dead))
        )
        canary = '{upstream: dead, when: {header: {X-Canary: "1"}}}'
        service = self.start(
            self.config(
                routes=f"upstreams:\n{upstreams}routes:\n"
                f"  - {{name: r, match: /**, to: [stable, {canary}], mirror: {{to: shadow}}, fallback: {{respond: sorry}}}}\n"
            )
        )
        self.assertEqual(await self.get(), (200, b"stable"))
        await copied
        client = await self.connect()
        self.assertEqual(await client.ask(fields={"X-Canary": "1"}), (200, b"sorry"))
        registry = self.registry(service)
        self.assertEqual(registry.fallbacks.at(("r", "connect_refused")).value, 1)
        counted = registry.mirrored.at(("r", "sent"))
        for _ in range(500):
            if counted.value == 2:
                return
            await deferLater(reactor, 0.01)
        self.fail(f"{counted.value} copies were answered")
