"""The whole gateway: start, reload, drain, stop."""

import gc
import os
import signal
from pathlib import Path
from typing import Any
from unittest import mock

from twisted.internet import reactor
from twisted.internet.defer import Deferred, DeferredList, ensureDeferred
from twisted.internet.task import deferLater

from edgegw.config.problems import ConfigError
from edgegw.gateway.service import GatewayService, Verdict
from edgegw.upstream.endpoint import Endpoint
from tests.certs import Authority
from tests.gateway.case import QUIET, GatewayCase, hello
from tests.live.process import free_port

UP = 'upstreams: {a: {endpoints: ["http://127.0.0.1:9"]}, b: {endpoints: ["http://127.0.0.1:19"]}}\n'


class StartTests(GatewayCase):
    async def test_serves(self) -> None:
        service = self.start()
        self.assertEqual(await self.get(), (200, b"hello"))
        self.assertEqual(service.snapshot.number, 1)
        self.assertEqual(service.history.entries()[0].source, "start")
        self.assertEqual(service.not_ready, ())
        status = service.status()
        self.assertEqual((status["number"], status["routes"], status["ready"]), (1, 1, True))
        self.assertEqual(status["listeners"][0]["name"], f"127.0.0.1:{self.port}")

    def test_another_gateway_on_the_same_state(self) -> None:
        self.start()
        other = self.compose()
        with self.assertRaises(ConfigError) as caught:
            other.prepare()
        self.assertIn("another gateway runs with this state folder", caught.exception.problems[0].message)
        self.assertEqual(caught.exception.problems[0].loc, ("state",))

    def test_state_and_everything_else_are_told_in_one_run(self) -> None:
        (self.folder / "file").write_text("")
        text = "state: file\n" + self.config(listen="{port: PORT, tls: {cert: no.pem, key: no.key}}")
        with self.assertRaises(ConfigError) as caught:
            self.compose(text).prepare()
        told = [(problem.loc, problem.line) for problem in caught.exception.problems]
        self.assertIn((("state",), 2), told)
        self.assertIn((("listen", 0, "tls", "cert"), 3), told)

    async def test_a_port_in_use_leaves_nothing_open(self) -> None:
        self.start()
        free = free_port()
        busy = self.port
        self.port = free
        text = "state: other\n" + self.config(
            listen=f"{{port: PORT, interface: 127.0.0.1}}, {{port: {busy}, interface: 127.0.0.1}}"
        )
        self.path = self.folder / "other.yaml"
        with self.assertRaises(ConfigError) as caught:
            self.compose(text).prepare()
        self.assertEqual(caught.exception.problems[0].loc, ("listen", 1))
        self.assertFalse((self.folder / "other/control.sock").exists())
        await self.assertFailure(ensureDeferred(self.get(port=free)), Exception)

    def test_without_prepare(self) -> None:
        """A service that is started by itself prepares itself, and says what is wrong by raising."""
        service = self.compose(self.config(listen="{unix: no/such/folder/x.sock}"))
        self.assertRaises(ConfigError, service.privilegedStartService)

    def test_logs_where_it_is_told_to(self) -> None:
        class Parent:
            set: list[Any] = []

            def setComponent(self, kind: Any, component: Any) -> None:
                self.set.append(component)

        for logs_all in (True, False):
            service = self.compose()
            service._logs_all = logs_all
            parent = Parent()
            parent.set = []
            with (
                mock.patch("edgegw.gateway.service.IServiceCollection", lambda *_: object()),
                mock.patch("twisted.application.service.Service.setServiceParent"),
            ):
                service.setServiceParent(parent)
            self.assertEqual(bool(parent.set), logs_all)


class ReloadCase(GatewayCase):
    async def reload(self, service: GatewayService, text: str, **more: Any) -> Verdict:
        self.write(text)
        return await service.reload("test", **more)

    async def accepted(self, service: GatewayService, text: str) -> Verdict:
        verdict = await self.reload(service, text)
        self.assertTrue(verdict.ok, verdict.problems)
        return verdict

    async def refused(self, service: GatewayService, text: str, said: str) -> Verdict:
        """Nothing is half-applied: snapshot, sockets, logs and metrics are those of before."""
        await deferLater(reactor, 0)  # A reactor that runs has sockets of its own.
        before = self.state(service)
        verdict = await self.reload(service, text)
        self.assertFalse(verdict.ok)
        self.assertIn(said, "\n".join(self.messages(verdict)))
        for _ in range(200):
            # A log that was opened is closed by the thread that would have written it.
            if self.fds() == before[-1]:
                break
            await deferLater(reactor, 0.01)
        self.assertEqual(self.state(service), before)
        return verdict

    def state(self, service: GatewayService) -> Any:
        registry, observation = self.registry(service), service.observation
        named = {
            family.spec.name: sorted(key for key, _ in family)
            for name, family in registry.families.items()
            if name not in ("edgegw_config_reloads_total",)
        }
        own = (observation._settings, observation._access_log, observation._port, observation._next)
        return service.snapshot, list(service.entrances.listeners), own, named, sorted(registry._upstreams), self.fds()

    def fds(self) -> list[str]:
        """Sockets and files; pipes are the reactor's own, which the test runner starts again and again."""
        links = [Path("/proc/self/fd", each) for each in os.listdir("/proc/self/fd")]
        names = [os.readlink(link) for link in links if link.is_symlink()]
        return sorted(name for name in names if not name.startswith(("pipe:", "anon_inode:")))


class ReloadTests(ReloadCase):
    async def test_accepted(self) -> None:
        service = self.start()
        verdict = await self.accepted(service, self.config(routes=hello("other")))
        self.assertEqual((verdict.number, service.snapshot.number), (2, 2))
        self.assertEqual(next(str(change) for change in verdict.changes)[:2], "~ ")
        self.assertEqual(await self.get(), (200, b"other"))
        self.assertEqual([entry.source for entry in service.history.entries()], ["start", "test"])
        self.assertEqual(self.registry(service).config_reloads.child(outcome="ok").value, 2)

    async def test_unchanged(self) -> None:
        service = self.start()
        verdict = await service.reload("signal")
        self.assertTrue(verdict.ok)
        self.assertEqual((verdict.number, verdict.changes), (1, ()))
        self.assertEqual(self.registry(service).config_reloads.child(outcome="unchanged").value, 1)

    async def test_refused_matrix(self) -> None:
        """Whatever is wrong, at whichever stage: nothing that serves changes, and nothing stays open."""
        service = self.start(self.config(UP))
        taken = self.start_other()
        spare = free_port()
        log = "access_log: DIR/new.log"
        both = f"{{port: PORT, interface: 127.0.0.1}}, {{port: {spare}, interface: 127.0.0.1}}"
        cases = [
            ("listen: [", "this is not YAML"),
            ("nothing: here\n", "unknown key"),
            (self.config().replace("/**", "/{a}/{a}"), "{a}"),
            (self.config('routes: [{match: "/new", to: nowhere}]', routes="\n"), "is not defined"),
            (self.config(listen="{port: PORT, tls: {cert: no.pem, key: no.key}}"), "no.pem"),
            (self.config(UP.replace("{a:", "{c: {endpoints: ['https://x'], tls: {ca: no.pem}}, a:")), "no.pem"),
            (self.config('routes: [{match: "/x", resource: no.such.thing}]', routes="\n"), 'no module "no"'),
            (self.config(listen=f"{both}, {{port: {taken}, interface: 127.0.0.1}}"), "address already in use"),
            (self.config(listen=both + ", {unix: no/such/x.sock}"), "cannot listen"),
            (self.config(listen=both + ", {systemd: web}"), "systemd passed no socket"),
            (self.config(listen=both, quiet=f"observe: {{listen: '127.0.0.1:{taken}', {log}}}\n"), "in use"),
            (
                self.config(listen=both, quiet=f"observe: {{listen: '127.0.0.1:{free_port()}', access_log: DIR/no/x}}\n"),
                "access log",
            ),
            (self.config('routes: [{match: /n, to: n}]\nupstreams: {n: {endpoints: ["http://h"], x: 1}}\n', routes="\n"), "x"),
        ]  # fmt: skip
        for text, said in cases:
            with self.subTest(said=said, text=text):
                await self.refused(service, text, said)
        self.assertEqual(await self.get(), (200, b"hello"))
        registry = self.registry(service)
        self.assertEqual(registry.config_reloads.child(outcome="rejected").value, len(cases))
        self.assertEqual(registry.config_successful.only.value, 0)
        await self.accepted(service, self.config(UP, routes=hello("well")))
        self.assertEqual(await self.get(), (200, b"well"))
        self.assertEqual(registry.config_successful.only.value, 1)

    def start_other(self) -> int:
        import socket

        taken = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(taken.close)
        port: int = taken.getsockname()[1]
        return port

    async def test_a_refused_one_forgets_its_metrics(self) -> None:
        """Upstreams, routes and listeners that never served leave no labels behind."""
        service = self.start()
        text = self.config(
            'routes: [{name: fresh, match: "/**", to: fresh}]\nupstreams: {fresh: {endpoints: ["http://h"]}}\n',
            listen=f"{{port: PORT, interface: 127.0.0.1}}, {{port: {free_port()}, interface: 127.0.0.1}}, {{unix: no/x}}",
            routes="\n",
        )
        await self.refused(service, text, "cannot listen")
        self.assertNotIn("fresh", self.registry(service)._upstreams)
        self.assertNotIn("fresh", self.registry(service)._routes)

    async def test_everything_that_is_wrong_in_one_run(self) -> None:
        """Text, schema, references, what cannot be built, and where it could not listen."""
        service = self.start()
        both = "{port: PORT, interface: 127.0.0.1}, {unix: no/such/x.sock}"
        routes = 'routes: [{match: "/{a}/{a}", to: nowhere}, {match: /b, respond: {status: "${NOPE}"}}]\n'
        text = self.config(listen=both, routes=routes) + "sate: x\n"
        for dry_run in (True, False):
            verdict = await self.reload(service, text, dry_run=dry_run)
            said = "\n".join(self.messages(verdict))
            for each in ("cannot listen", "stands twice", '"nowhere" is not defined', "NOPE is not set", '"sate"'):
                self.assertIn(each, said)
            self.assertEqual(len(verdict.problems), 5, said)
        self.assertEqual(await self.get(), (200, b"hello"))

    async def test_defects_are_told_and_change_nothing(self) -> None:
        service = self.start()
        with mock.patch("edgegw.gateway.assembly.compile_match", side_effect=RuntimeError("defect")):
            verdict = await self.reload(service, self.config(routes=hello("x")))
        self.assertFalse(verdict.ok)
        self.assertIn("RuntimeError: defect", verdict.problems[0].message)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        self.assertEqual(await self.get(), (200, b"hello"))

    async def test_dry_run(self) -> None:
        service = self.start()
        taken = self.start_other()
        await deferLater(reactor, 0)
        before = self.state(service)
        both = f"{{port: PORT, interface: 127.0.0.1}}, {{port: {free_port()}, interface: 127.0.0.1}}"
        site = f"observe: {{listen: '127.0.0.1:{free_port()}', access_log: DIR/dry.log}}\n"
        good = await self.reload(service, self.config(listen=both, quiet=site), dry_run=True)
        self.assertTrue(good.ok, good.problems)
        self.assertTrue(good.changes)
        self.assertEqual(self.state(service), before)
        self.assertFalse((self.folder / "dry.log").exists())
        bad = await self.reload(
            service, self.config(listen=f"{both}, {{port: {taken}, interface: 127.0.0.1}}"), dry_run=True
        )
        self.assertFalse(bad.ok)
        self.assertIn("address already in use", self.messages(bad)[0])
        self.assertEqual(self.registry(service).config_successful.only.value, 1, "a dry run is no reload")
        self.assertEqual(self.registry(service).config_reloads.child(outcome="rejected").value, 0)

    async def test_unchanged_upstreams_are_the_same_objects(self) -> None:
        service = self.start(self.config(UP))
        before = dict(service.snapshot.clusters)
        await self.accepted(service, self.config(UP, routes=hello("other")))
        self.assertEqual(dict(service.snapshot.clusters), before)
        await self.accepted(service, self.config(UP.replace(":19", ":29")))
        self.assertIs(service.snapshot.clusters["a"], before["a"])
        self.assertIsNot(service.snapshot.clusters["b"], before["b"])

    async def test_an_exchange_in_flight_keeps_its_snapshot(self) -> None:
        gate: Deferred[None] = Deferred()
        service = self.start(self.config(routes=self.proxy(self.origin(gate))))
        client = await self.connect()
        asked = client.ask()
        await self.asked_origin
        await self.accepted(service, self.config())
        gate.callback(None)
        self.assertEqual(await asked, (200, b"origin"))
        self.assertEqual(await client.ask(), (200, b"hello"), "the same connection, the new routes")

    async def test_state_takes_a_restart(self) -> None:
        """It is said as long as it is so, and the folder that holds is named."""
        service = self.start()
        text = "state: elsewhere\n" + self.config()
        for _ in range(2):
            verdict = await self.accepted(service, text)
            self.assertIn('"state" takes a restart; until then it is ./edgegw-state', self.messages(verdict))
            self.assertEqual(verdict.problems[0].line, 2)
        self.assertFalse((self.folder / "elsewhere").exists())
        self.assertEqual((await self.accepted(service, self.config())).problems, ())
        same = "state: DIR/edgegw-state\n" + self.config()
        self.assertEqual((await self.accepted(service, same)).problems, (), "the same folder in other words")

    async def test_one_at_a_time(self) -> None:
        """Many at once are two: the one that runs, and one more for all that were asked for meanwhile."""
        service = self.start()
        runs: list[str] = []
        original = service._read
        self.patch(service, "_read", lambda document, depends: (runs.append(""), original(document, depends))[1])
        verdicts = await DeferredList([ensureDeferred(service.reload("file")) for _ in range(200)])
        self.assertEqual(len(runs), 2)
        self.assertTrue(all(ok and verdict.ok for ok, verdict in verdicts))

    async def test_background_reloads_are_not_queued(self) -> None:
        service = self.start()
        taken = []
        self.patch(service._turns, "take", lambda *args: taken.append(args) or Deferred())
        self.patch(service._turns, "_waiting", {False: []})
        service._files_changed(["x"])
        self.assertEqual(taken, [])

    async def test_a_reload_that_meets_the_end_is_refused(self) -> None:
        """What was read before the drain began opens nothing after it."""
        service = self.start()
        self.write(self.config(listen=f"{{port: {free_port()}, interface: 127.0.0.1}}"))
        reading = ensureDeferred(service.reload("test"))
        draining = ensureDeferred(service.drain_and_stop())
        verdict = await reading
        self.assertFalse(verdict.ok)
        self.assertIn("is stopping", verdict.problems[0].message)
        await draining
        self.assertEqual(self.ended, [True])
        self.assertEqual(self.registry(service).config_successful.only.value, 1, "nothing is wrong with it")

    async def test_two_hundred_reloads_leave_nothing_behind(self) -> None:
        """Objects and descriptors, with certificates and upstreams that change every time."""
        service = self.start()
        paths = Authority().issue("localhost").write(self.folder, "a")
        self.assertTrue(paths.cert.exists())

        async def turn(count: int) -> None:
            for number in range(count):
                listen = "{port: PORT, interface: 127.0.0.1, tls: {cert: a.pem, key: a.key, min_version: '1.%d'}}"
                up = f'upstreams: {{u{number}: {{endpoints: ["http://127.0.0.1:{1000 + number}"]}}}}\n'
                routes = f'routes: [{{match: "/{number}/**", to: u{number}}}]\n'
                await self.accepted(service, self.config(up, listen=listen % (2 + number % 2), routes=routes))

        def census() -> tuple[int, int, int]:
            gc.collect()
            objects = gc.get_objects()
            return len(objects), sum(isinstance(each, Endpoint) for each in objects), len(self.fds())

        await turn(40)
        objects, endpoints, descriptors = census()
        await turn(160)
        after = census()
        self.assertLess(after[0] - objects, 4000, "about 20 an entry of the history are due")
        self.assertEqual(after[1:], (endpoints, descriptors))
        registry = self.registry(service)
        self.assertEqual(sorted(registry._upstreams), ["u159"])
        self.assertEqual([key for key, _ in registry.upstream_queue], [("u159",)])


class WatchTests(ReloadCase):
    def watched(self, service: GatewayService) -> set[str]:
        return {os.path.relpath(path, self.folder) for path in service._watch._paths}

    async def test_paths_are_those_of_what_serves(self) -> None:
        Authority().issue("localhost").write(self.folder, "a")
        service = self.start()
        self.assertEqual(self.watched(service), {"gw.yaml"})
        tls = self.config(listen="{port: PORT, interface: 127.0.0.1, tls: {cert: a.pem, key: a.key}}")
        await self.accepted(service, tls)
        self.assertEqual(self.watched(service), {"gw.yaml", "a.pem", "a.key"})
        await self.accepted(service, self.config())
        self.assertEqual(self.watched(service), {"gw.yaml"})

    async def test_what_is_missing_may_still_come(self) -> None:
        """The files of a refused configuration are watched, so that mending them is enough."""
        service = self.start()
        await self.refused(
            service, self.config(listen="{port: PORT, interface: 127.0.0.1, tls: {cert: a.pem, key: a.key}}"), "a.pem"
        )
        self.assertEqual(self.watched(service), {"gw.yaml", "a.pem", "a.key"})
        (self.folder / "body").write_text("x")
        bad = self.config(routes='routes: [{match: "/", respond: {status: 1, body: file:body}}]\n')
        await self.refused(service, bad, "status")
        self.assertEqual(self.watched(service), {"gw.yaml", "body"})

    async def test_certificates_are_read_again_when_only_they_change(self) -> None:
        authority = Authority()
        authority.issue("localhost").write(self.folder, "a")
        service = self.start(self.config(listen="{port: PORT, interface: 127.0.0.1, tls: {cert: a.pem, key: a.key}}"))
        name = f"127.0.0.1:{self.port}"
        before = service.entrances.listeners[name].tls
        self.assertTrue((await service.reload("file")).ok)
        self.assertIs(service.entrances.listeners[name].tls, before, "unchanged: the same contexts")
        client = await self.connect(tls=True)
        first = await client.ask()
        authority.issue("localhost").write(self.folder, "a")
        verdict = await service.reload("file")
        self.assertTrue(verdict.ok)
        self.assertIsNot(service.entrances.listeners[name].tls, before)
        self.assertEqual(self.registry(service).config_reloads.child(outcome="ok").value, 2)
        self.assertEqual(await client.ask(), first, "the connection from before lives on")

    async def test_a_broken_certificate_is_refused(self) -> None:
        Authority().issue("localhost").write(self.folder, "a")
        text = self.config(listen="{port: PORT, interface: 127.0.0.1, tls: {cert: a.pem, key: a.key}}")
        service = self.start(text)
        (self.folder / "a.pem").write_text("-----BEGIN CERT")
        await self.refused(service, text, "a.pem")
        self.assertEqual((await self.get(tls=True))[0], 200)

    async def test_a_change_is_followed(self) -> None:
        """The file watch end to end."""
        service = self.start()
        service._watch = type(service._watch)(reactor, [self.path], service._files_changed, 0.01, 0.05)
        service._watch.start()
        self.write(self.config(routes=hello("new")))
        for _ in range(300):
            if service.snapshot.number == 2:
                break
            await deferLater(reactor, 0.01)
        self.assertEqual(await self.get(), (200, b"new"))
        self.assertEqual(service.history.entries()[-1].source, "file")

    async def test_a_rollback_outlives_a_renewed_certificate(self) -> None:
        """Only a change of the configuration's own files brings it back."""
        Authority().issue("localhost").write(self.folder, "a")
        tls = "{port: PORT, interface: 127.0.0.1, tls: {cert: a.pem, key: a.key}}"
        service = self.start(self.config(listen=tls))
        await self.accepted(service, self.config(listen=tls, routes=hello("two")))
        verdict = await service.reload("rollback 1", document=service.history.document(1, base_dir=self.folder))
        self.assertTrue(verdict.ok, verdict.problems)
        Authority().issue("localhost").write(self.folder, "a")
        taken: list[Any] = []
        original = service.reload

        def spy(source: str, **more: Any) -> Any:
            taken.append(ensureDeferred(original(source, **more)))
            return _awaited(taken[-1])

        self.patch(service, "reload", spy)
        service._files_changed([str(self.folder / "a.pem")])
        await DeferredList(taken)
        self.assertEqual(await self.get(tls=True), (200, b"hello"))
        service._files_changed([str(self.path)])
        await DeferredList(taken)
        self.assertEqual(await self.get(tls=True), (200, b"two"))
        service._files_changed([str(self.folder / "a.pem")])
        await DeferredList(taken)
        self.assertEqual(await self.get(tls=True), (200, b"two"))


async def _awaited(deferred: "Deferred[Any]") -> Any:
    done: Deferred[Any] = Deferred()
    deferred.addBoth(lambda result: (done.callback(None), result)[1])
    await done


class StopTests(GatewayCase):
    async def test_drain(self) -> None:
        """Not ready, then no new connections, idle ones go, then the end."""
        service = self.start()
        client = await self.connect()
        await client.ask()
        done = ensureDeferred(service.drain_and_stop())
        self.assertEqual(service.not_ready, ("draining",))
        await done
        await client.gone
        self.assertEqual(self.ended, [True])
        await self.assertFailure(ensureDeferred(self.connect()), Exception)

    async def test_lame_duck_still_serves(self) -> None:
        service = self.start(self.config(quiet="observe: {access_log: off}\nshutdown: {lame_duck: 100ms, grace: 1s}\n"))
        done = ensureDeferred(service.drain_and_stop())
        self.assertEqual(await self.get(), (200, b"hello"))
        await done

    async def test_the_grace_is_an_end(self) -> None:
        """What does not finish is cut."""
        quiet = "observe: {access_log: off}\nshutdown: {lame_duck: 0s, grace: 50ms}\n"
        service = self.start(self.config(quiet=quiet, routes=self.proxy(self.origin(Deferred()))))
        client = await self.connect()
        asked = client.ask()
        await self.asked_origin
        await service.drain_and_stop()
        await self.assertFailure(asked, Exception)
        self.assertEqual(self.ended, [True])

    async def test_connections_that_will_not_go_do_not_keep_the_process(self) -> None:
        service = self.start(self.config(quiet="observe: {access_log: off}\nshutdown: {lame_duck: 0s, grace: 10ms}\n"))
        self.patch(service.entrances, "drain", Deferred)
        from edgegw.gateway import service as module

        self.patch(module, "_LAST_S", 0.01)
        ensureDeferred(service.drain_and_stop())
        for _ in range(100):
            if self.ended:
                break
            await deferLater(reactor, 0.01)
        self.assertEqual(self.ended, [True])

    async def test_a_second_signal_ends_at_once(self) -> None:
        service = self.start(self.config(quiet="observe: {access_log: off}\nshutdown: {lame_duck: 50ms, grace: 1s}\n"))
        await deferLater(reactor, 0)
        service._told_to_stop()
        self.assertEqual(self.ended, [])
        service._told_to_stop()
        self.assertEqual(self.ended, [True])
        service._told_to_stop()
        await deferLater(reactor, 0.1)
        self.assertEqual(self.ended, [True], "the drain that ends after it, and a third one, find it done")

    async def test_a_failing_drain_ends_too(self) -> None:
        service = self.start()
        self.patch(service.entrances, "stop_accepting", mock.Mock(side_effect=RuntimeError("x")))
        service._told_to_stop()
        await deferLater(reactor, 0.05)
        self.assertEqual(self.ended, [True])
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        self.patch(service.entrances, "stop_accepting", lambda: None)

    async def test_signals(self) -> None:
        service = self.start()
        told: list[str] = []
        self.patch(service, "_told_to_stop", lambda: told.append("stop"))
        self.patch(service, "_reload_in_background", lambda source: told.append(source))
        self.patch(service.observation, "reopen", lambda: told.append("reopen"))
        service._on_signal(signal.SIGUSR1, service.observation.reopen)
        service._running()
        for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGTERM, signal.SIGINT):
            os.kill(os.getpid(), number)
            await deferLater(reactor, 0.02)
        self.assertEqual(told, ["signal", "reopen", "stop", "stop"])

    async def test_stop_closes_the_control_socket(self) -> None:
        service = self.start()
        socket = Path(self.folder / "edgegw-state/control.sock")
        self.assertTrue(socket.is_socket())
        await service.stopService()
        self.assertFalse(socket.exists())


class QuietTests(GatewayCase):
    def test_the_case_itself(self) -> None:
        self.assertIn("access_log: off", QUIET)
