"""Logs, metrics and probes over reloads."""

import gc
import json
import os
import socket
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.task import deferLater
from twisted.logger import Logger, LogLevel

from edgegw.gateway import observation
from edgegw.gateway.service import GatewayService
from edgegw.gateway.starting import compose
from edgegw.observe.metrics import Registry
from edgegw.upstream.standing import Hold
from tests.gateway.case import GatewayCase
from tests.live.process import free_port


class ObservationCase(GatewayCase):
    def observing(self, observe: str, more: str = "", routes: str = "") -> str:
        return self.config(
            more, routes=routes, quiet=f"observe: {{{observe}}}\nshutdown: {{lame_duck: 0s, grace: 1s}}\n"
        )

    async def reload(self, service: GatewayService, observe: str, **more: Any) -> None:
        self.write(self.observing(observe, **more))
        verdict = await service.reload("test")
        self.assertTrue(verdict.ok, verdict.problems)

    async def fetch(self, port: int, path: str) -> tuple[int, str]:
        client = await self.connect(port)
        client.asked = None
        client.transport.write(f"GET {path} HTTP/1.0\r\n\r\n".encode())
        await client.gone
        head, _, body = client.received.partition(b"\r\n\r\n")
        return int(head.split()[1]), body.decode()

    async def until(self, condition: Any) -> Any:
        for _ in range(200):
            if found := condition():
                return found
            await deferLater(reactor, 0.01)
        self.fail("it never came to that")


class SiteTests(ObservationCase):
    def setUp(self) -> None:
        super().setUp()
        self.site = free_port()
        self.off = "access_log: 'off'"

    def at(self, port: int) -> str:
        return f"listen: '127.0.0.1:{port}', {self.off}"

    async def test_probes_and_metrics(self) -> None:
        service = self.start(self.observing(self.at(self.site)))
        self.assertEqual((await self.fetch(self.site, "/readyz"))[0], 200)
        self.assertEqual((await self.fetch(self.site, "/livez"))[0], 200)
        self.assertIn("edgegw_config_last_reload_successful 1", (await self.fetch(self.site, "/metrics"))[1])
        self.assertEqual((await self.fetch(self.site, "/other"))[0], 404)
        service.stopping = True
        status, body = await self.fetch(self.site, "/readyz")
        self.assertEqual((status, json.loads(body)["reasons"]), (503, ["draining"]))

    async def test_not_ready_before_it_serves(self) -> None:
        service = self.compose(self.observing(self.at(self.site)))
        self.assertEqual(service.observation._not_ready(), ("starting",))
        self.assertEqual(service.not_ready, ("starting",))

    async def test_swapped(self) -> None:
        service = self.start(self.observing(self.at(self.site)))
        other = free_port()
        await self.reload(service, self.at(other))
        self.assertEqual((await self.fetch(other, "/livez"))[0], 200)
        await self.assertFailure(ensureDeferred(self.connect(self.site)), Exception)
        await self.reload(service, self.off)
        await self.assertFailure(ensureDeferred(self.connect(other)), Exception)
        await self.reload(service, self.at(self.site))
        self.assertEqual((await self.fetch(self.site, "/livez"))[0], 200)

    async def test_the_same_place_in_other_words_keeps_its_socket(self) -> None:
        service = self.start(self.observing(self.at(self.site)))
        port = service.observation._port
        await self.reload(service, f"listen: 'localhost:{self.site}', {self.off}")
        self.assertIs(service.observation._port, port)

    async def test_another_address_of_the_same_port(self) -> None:
        service = self.start(self.observing(self.at(self.site)))
        self.write(self.observing(f"listen: ':{self.site}', {self.off}"))
        verdict = await service.reload("test")
        self.assertIn("this gateway listens on that port itself", verdict.problems[0].hint or "")
        self.assertEqual((await self.fetch(self.site, "/livez"))[0], 200)

    async def test_what_was_prepared_and_not_taken_is_closed(self) -> None:
        """A second preparation closes the first; a site that waits for the swap answers nobody."""
        service = self.start()
        free = free_port()
        observation, settings = service.observation, service.snapshot.settings.observe
        from edgegw.config.problems import Problems

        wanted = settings.model_copy(update={"listen": f"127.0.0.1:{free}"})
        problems = Problems()
        for _ in range(2):
            observation.prepare(wanted, self.folder, problems)
        self.assertFalse(problems)
        client = socket.create_connection(("127.0.0.1", free))
        self.addCleanup(client.close)
        observation.discard()
        self.assertIsNone(observation._next)
        await self.assertFailure(ensureDeferred(self.connect(free)), Exception)

    async def test_labels_of_what_is_gone_are_forgotten(self) -> None:
        service = self.start(
            self.observing(self.at(self.site), routes=self.proxy(9).replace("a:", "old:").replace("to: a", "to: old"))
        )
        queue = self.registry(service).upstream_queue
        self.assertEqual([key for key, _ in queue], [("old",)])
        await self.reload(service, self.at(self.site))
        self.assertEqual([key for key, _ in queue], [])


class AccessLogTests(ObservationCase):
    def lines(self, name: str = "a.log") -> list[str]:
        path = self.folder / name
        return path.read_text().splitlines() if path.exists() else []

    async def test_relative_to_the_configuration(self) -> None:
        self.start(self.observing("access_log: a.log"))
        await self.get("/x")
        await self.until(self.lines)
        self.assertEqual(json.loads(self.lines()[0])["path"], "/x")

    async def test_swapped(self) -> None:
        """Another file, another form, off: nothing is lost on the way, nothing is written twice."""
        service = self.start(self.observing("access_log: a.log"))
        await self.get("/1")
        await self.reload(service, "access_log: b.log")
        await self.get("/2")
        await self.reload(service, "access_log: {path: b.log, format: console}")
        await self.get("/3")
        await self.reload(service, "access_log: 'off'")
        await self.get("/4")
        await self.until(lambda: len(self.lines("b.log")) == 2)
        self.assertEqual(len(self.lines()), 1)
        self.assertTrue(self.lines("b.log")[0].startswith("{"))
        self.assertNotIn("{", self.lines("b.log")[1])

    async def test_unchanged_is_not_opened_again(self) -> None:
        service = self.start(self.observing("access_log: a.log"))
        log = service.observation._access_log
        await self.reload(service, "access_log: DIR/a.log, log: {level: error}")
        self.assertIs(service.observation._access_log, log)

    async def test_a_refused_one_is_closed(self) -> None:
        service = self.start(self.observing("access_log: a.log"))
        taken = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(taken.close)
        self.write(self.observing(f"access_log: b.log, listen: '127.0.0.1:{taken.getsockname()[1]}'"))
        self.assertFalse((await service.reload("test")).ok)

        def open_files() -> list[str]:
            links = [Path("/proc/self/fd", name) for name in os.listdir("/proc/self/fd")]
            return [name for link in links if link.is_symlink() and "b.log" in (name := os.readlink(link))]

        await self.until(lambda: not open_files())

    async def test_rotation(self) -> None:
        service = self.start(self.observing("access_log: a.log"))
        await self.get("/1")
        await self.until(self.lines)
        (self.folder / "a.log").rename(self.folder / "old.log")
        service.observation.reopen()
        await self.get("/2")
        await self.until(self.lines)
        self.assertEqual((len(self.lines("old.log")), len(self.lines())), (1, 1))

    async def test_the_end_flushes(self) -> None:
        service = self.start(self.observing("access_log: a.log"))
        await self.get("/1")
        await service.stopService()
        self.assertEqual(len(self.lines()), 1)


class LogTests(ObservationCase):
    def test_level_and_form_change_while_it_runs(self) -> None:
        from edgegw.config.problems import Problems
        from edgegw.gateway.loading import read
        from edgegw.gateway.logplace import LogPlace

        self.write(self.observing("access_log: 'off', log: {level: warn}"))
        place = LogPlace(str(self.folder / "gw.log"))
        self.addCleanup(os.close, place.fd)
        loaded = read(self.path)
        service = compose(self.path, loaded, reactor, 100, place)
        self.addCleanup(service._with.stop)
        log = Logger("test", observer=service.observation.log_observer)
        log.info("one")
        settings = loaded.settings.observe
        louder = settings.model_copy(
            update={"log": settings.log.model_copy(update={"level": "info", "format": "json"})}
        )
        service.observation.prepare(louder, self.folder, Problems())
        log.info("two")
        service.observation.swap()
        log.info("three")
        (self.folder / "gw.log").rename(self.folder / "old.log")
        service.observation.reopen()
        log.emit(LogLevel.info, "four")
        self.assertEqual(
            [json.loads(line)["message"] for line in (self.folder / "old.log").read_text().splitlines()], ["three"]
        )
        self.assertEqual(json.loads((self.folder / "gw.log").read_text())["message"], "four")


class FiguresTests(ObservationCase):
    """What a gateway measures of itself: somebody has to start the clocks and ask the pools."""

    async def test_loop_lag_and_collections(self) -> None:
        self.patch(observation, "LAG_EVERY_S", 0.01)
        service = self.start()
        registry = self.registry(service)
        await self.until(lambda: registry.loop_lag.only.count)
        before = registry.gc_pause.child(generation="2").count
        gc.collect()
        self.assertEqual(registry.gc_pause.child(generation="2").count, before + 1)
        await service.stopService()
        gc.collect()
        self.assertEqual(registry.gc_pause.child(generation="2").count, before + 1, "it listens no more")

    async def test_process(self) -> None:
        registry = self.registry(self.start())
        registry.process_memory.only.set(0)
        self.look(registry)
        self.assertGreater(registry.process_memory.only.value, 5_000_000)

    async def test_pools(self) -> None:
        """Leased, waiting and idle, as they are when somebody looks."""
        gate: Deferred[None] = Deferred()
        routes = self.proxy(self.origin(gate)).replace("{endpoints", "{pool: {max: 1}, endpoints")
        service = self.start(self.config(routes=routes))
        clients = [await self.connect() for _ in range(2)]
        asked = [client.ask() for client in clients]
        registry = self.registry(service)
        upstream = registry.upstream("a")

        def counts() -> tuple[float, float, float]:
            self.look(registry)
            return upstream.leased.value, upstream.queue.value, upstream.idle.value

        await self.until(lambda: counts() == (1, 1, 0))
        gate.callback(None)
        for each in asked:
            self.assertEqual(await each, (200, b"origin"))
        self.assertEqual(counts(), (0, 0, 1))

    async def test_upstreams(self) -> None:
        """How endpoints stand, panic, the breaker, and how old discovery is, as they are when somebody looks."""
        (self.folder / "found.json").write_text("[]")
        routes = self.proxy(9).replace("{endpoints", "{discovery: {from: file, path: found.json}, endpoints")
        service = self.start(self.config(routes=routes))
        registry, cluster = self.registry(service), service.snapshot.clusters["a"]
        (endpoint,) = cluster.endpoints

        def seen() -> list[float]:
            self.look(registry)
            states = [registry.upstream_endpoints.child(upstream="a", state=each) for each in ("ready", "failing")]
            others = registry.upstream_panic.child(upstream="a"), registry.breaker_state.child(upstream="a")
            return [each.value for each in (*states, *others)]

        await self.until(lambda: seen() == [1, 0, 0, 0])
        endpoint.hold(Hold.FAILING, "refused")
        assert cluster.breaker is not None
        for _ in range(cluster.breaker.settings.failures):
            cluster.breaker.settle(cluster.breaker.admit(), False)
        self.assertEqual(seen()[:3], [0, 1, 1])
        self.assertNotEqual(seen()[3], 0)
        cluster.breaker.reset()
        service.upkeep.feeds["a"]._confirmed_s -= 100
        self.look(registry)
        self.assertGreater(registry.discovery_age.child(upstream="a").value, 99)

    def look(self, registry: Registry) -> None:
        for refresh in registry.refresh:
            refresh()
