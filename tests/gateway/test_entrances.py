"""Listening sockets over reloads, on real sockets."""

import os
import socket
from typing import Any
from unittest import mock

from twisted.internet import reactor
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.task import deferLater

from edgegw.config.problems import Problems
from edgegw.gateway.loading import read
from edgegw.gateway.service import GatewayService
from tests.certs import Authority
from tests.gateway.case import GatewayCase
from tests.live.process import free_port


class EntrancesCase(GatewayCase):
    async def reload(self, service: GatewayService, listen: str, more: str = "") -> None:
        self.write(self.config(more, listen=listen))
        verdict = await service.reload("test")
        self.assertTrue(verdict.ok, verdict.problems)

    def here(self, more: str = "", port: int = 0) -> str:
        return f"{{port: {port or self.port}, interface: 127.0.0.1{more}}}"

    async def refuses(self, port: int) -> None:
        await self.assertFailure(ensureDeferred(self.connect(port)), Exception)


class ReloadTests(EntrancesCase):
    async def test_an_unchanged_listener_keeps_its_socket_and_connections(self) -> None:
        service = self.start()
        listener = service.entrances.listeners[f"127.0.0.1:{self.port}"]
        inode = os.fstat(listener._port.fileno()).st_ino  # type: ignore[union-attr]
        client = await self.connect()
        await client.ask()
        await self.reload(service, self.here(", caps: {requests: 5}"))
        self.assertIs(service.entrances.listeners[listener.name], listener)
        self.assertEqual(os.fstat(listener._port.fileno()).st_ino, inode)  # type: ignore[union-attr]
        self.assertEqual(listener.caps.requests, 5)
        self.assertEqual(await client.ask(), (200, b"hello"))

    async def test_a_new_one_serves_and_a_removed_one_drains(self) -> None:
        service = self.start()
        other, old = free_port(), self.port
        client = await self.connect()
        await client.ask()
        await self.reload(service, self.here(port=other))
        self.assertEqual(await self.get(port=other), (200, b"hello"))
        await client.gone
        await self.refuses(old)
        self.assertEqual(service.entrances.leaving, {})
        await self.reload(service, self.here(port=old))
        self.assertEqual(await self.get(port=old), (200, b"hello"))

    async def test_what_a_removed_one_carries_is_finished(self) -> None:
        """And its metrics stay until then."""
        gate: Deferred[None] = Deferred()
        service = self.start(self.config(routes=self.proxy(self.origin(gate))))
        name = f"127.0.0.1:{self.port}"
        client = await self.connect()
        asked = client.ask()
        await self.asked_origin
        await self.reload(service, self.here(port=free_port()))
        self.assertIn(name, [listener.name for listener in service.entrances.leaving])
        accepted = self.registry(service).connections_accepted
        self.assertIn((name,), [key for key, _ in accepted])
        gate.callback(None)
        self.assertEqual(await asked, (200, b"origin"))
        await client.gone
        await deferLater(reactor, 0.05)
        self.assertEqual(service.entrances.leaving, {})
        self.assertNotIn((name,), [key for key, _ in accepted])

    async def test_one_that_cannot_be_bound_leaves_the_old_serving(self) -> None:
        service = self.start()
        taken = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(taken.close)
        free = free_port()
        self.write(self.config(listen=f"{self.here(port=free)}, {self.here(port=taken.getsockname()[1])}"))
        verdict = await service.reload("test")
        self.assertFalse(verdict.ok)
        self.assertEqual(verdict.problems[0].loc, ("listen", 1))
        self.assertEqual(await self.get(), (200, b"hello"))
        await self.refuses(free)

    async def test_all_places_are_tried(self) -> None:
        """One run tells of every one, that of the observe site too."""
        service = self.start()
        with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as two:
            ports = [each.getsockname()[1] for each in (one, two)]
            self.write(
                self.config(
                    listen=", ".join(self.here(port=port) for port in ports[:1]) + ", {unix: no/such/x.sock}",
                    quiet=f"observe: {{listen: '127.0.0.1:{ports[1]}', access_log: DIR/no/such/log}}\n",
                )
            )
            verdict = await service.reload("test")
        self.assertEqual(
            {problem.loc for problem in verdict.problems},
            {("listen", 0), ("listen", 1), ("observe", "listen"), ("observe", "access_log")},
        )

    async def test_another_address_of_the_same_port(self) -> None:
        """It cannot be bound while the old one is; that it is our own is said."""
        service = self.start()
        self.write(self.config(listen=f"{{port: {self.port}}}"))
        verdict = await service.reload("test")
        self.assertFalse(verdict.ok)
        self.assertIn(f"this gateway listens on 127.0.0.1:{self.port} itself", verdict.problems[0].hint or "")

    async def test_nothing_is_accepted_before_the_swap(self) -> None:
        """A listener that is opened and discarded never talked to anybody."""
        service = self.start()
        free = free_port()
        seen: list[str] = []
        original = service.observation.prepare

        def connect(*args: Any) -> None:
            self.client = socket.create_connection(("127.0.0.1", free))
            self.addCleanup(self.client.close)
            self.client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            seen.append("bound")
            original(*args)
            raise RuntimeError("defect")

        self.write(self.config(listen=f"{self.here()}, {self.here(port=free)}"))
        with mock.patch.object(service.observation, "prepare", connect):
            verdict = await service.reload("test")
        self.flushLoggedErrors(RuntimeError)
        self.assertFalse(verdict.ok)
        self.assertEqual(seen, ["bound"])
        await deferLater(reactor, 0.02)
        self.client.settimeout(2)
        self.assertIn(self._end_of(self.client), (b"", None))
        await self.refuses(free)

    async def test_what_waits_for_the_swap_accepts_nobody(self) -> None:
        service = self.start()
        free = free_port()
        self.write(self.config(listen=f"{self.here()}, {self.here(port=free)}"))
        ready = service._stage.prepare(read(self.path), Problems(), service.snapshot)
        asked = ensureDeferred(self.get(port=free))
        await deferLater(reactor, 0.05)
        self.assertEqual((service.entrances.connections, asked.called), (0, False))
        service.snapshot, old = ready.snapshot, service.snapshot
        service._stage.take(ready, old)
        self.assertEqual(await asked, (200, b"hello"))

    def _end_of(self, client: socket.socket) -> bytes | None:
        try:
            return client.recv(100)
        except ConnectionResetError:
            return None

    async def test_a_raised_cap_accepts_again(self) -> None:
        service = self.start(self.config(listen=self.here(", caps: {connections: 1}")))
        first = await self.connect()
        await first.ask()
        waiting = ensureDeferred(self._ask_on_new())
        await deferLater(reactor, 0.05)
        self.assertFalse(waiting.called)
        await self.reload(service, self.here(", caps: {connections: 5}"))
        self.assertEqual(await waiting, (200, b"hello"))

    async def _ask_on_new(self) -> Any:
        client = await self.connect()
        return await client.ask()


class TlsTests(EntrancesCase):
    """TLS comes and goes under the same socket."""

    def setUp(self) -> None:
        super().setUp()
        authority = Authority()
        authority.issue("localhost").write(self.folder, "a")
        authority.write(self.folder)
        self.tls = ", tls: {cert: a.pem, key: a.key}"

    async def test_on_and_off(self) -> None:
        service = self.start()
        clear = await self.connect()
        await clear.ask()
        await self.reload(service, self.here(self.tls))
        await clear.gone  # Whoever spoke without TLS does not go on doing so.
        secure = await self.connect(tls=True)
        self.assertEqual(await secure.ask(), (200, b"hello"))
        await self.reload(service, self.here())
        await secure.gone
        self.assertEqual(await self.get(), (200, b"hello"))

    async def test_a_stricter_policy_holds_for_those_who_are_there(self) -> None:
        service = self.start(self.config(listen=self.here(self.tls)))
        client = await self.connect(tls=True)
        await client.ask()
        await self.reload(service, self.here(self.tls.replace("a.key}", "a.key, client: {mode: require, ca: ca.pem}}")))
        await client.gone

    async def test_other_certificates_drop_nobody(self) -> None:
        service = self.start(self.config(listen=self.here(self.tls)))
        client = await self.connect(tls=True)
        await client.ask()
        Authority().issue("localhost").write(self.folder, "b")
        await self.reload(service, self.here(self.tls.replace("a.key}", "a.key, certs: [{cert: b.pem, key: b.key}]}")))
        self.assertEqual(await client.ask(), (200, b"hello"))


class KindTests(EntrancesCase):
    async def test_unix(self) -> None:
        """Relative to the configuration's folder; the file goes with the listener."""
        service = self.start(self.config(listen="{unix: x.sock}"))
        path = self.folder / "x.sock"
        self.assertEqual(await self.get(unix=str(path)), (200, b"hello"))
        await self.reload(service, self.here())
        self.assertFalse(path.exists())

    async def test_a_discarded_unix_socket_leaves_no_file(self) -> None:
        service = self.start()
        self.write(self.config(listen=f"{self.here()}, {{unix: x.sock}}, {{unix: no/x.sock}}"))
        self.assertFalse((await service.reload("test")).ok)
        self.assertFalse((self.folder / "x.sock").exists())

    async def test_systemd(self) -> None:
        """The passed socket stays ours when its listener goes, for one that may come again."""
        passed = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(passed.close)
        port = passed.getsockname()[1]
        with mock.patch("edgegw.gateway.entrances.passed_sockets", lambda: {"web": passed.fileno()}):
            service = self.start(self.config(listen="{systemd: web}"))
        self.assertEqual(await self.get(port=port), (200, b"hello"))
        await self.reload(service, self.here())
        await self.reload(service, "{systemd: web}")
        self.assertEqual(await self.get(port=port), (200, b"hello"))

    async def test_what_systemd_passed_is_no_socket(self) -> None:
        file = open(self.path.with_suffix(".other"), "w")  # noqa: SIM115 - closed at the end of the test.
        self.addCleanup(file.close)
        datagram = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(datagram.close)
        passed = {"file": file.fileno(), "datagram": datagram.fileno()}
        with mock.patch("edgegw.gateway.entrances.passed_sockets", lambda: passed):
            service = self.start()
        before = len(os.listdir("/proc/self/fd"))
        self.write(self.config(listen="{systemd: file}, {systemd: datagram}, {systemd: missing}"))
        verdict = await service.reload("test")
        self.assertEqual([problem.loc for problem in verdict.problems], [("listen", 0), ("listen", 1), ("listen", 2)])
        self.assertIn("is not a stream socket", verdict.problems[1].message)
        self.assertIn("passed: file, datagram", verdict.problems[2].message)
        await deferLater(reactor, 0)
        self.assertLessEqual(len(os.listdir("/proc/self/fd")), before + 4, "copies are closed")
        self.assertEqual(await self.get(), (200, b"hello"))


class EndTests(EntrancesCase):
    async def test_listeners_that_leave_are_drained_with_the_rest(self) -> None:
        gate: Deferred[None] = Deferred()
        service = self.start(self.config(routes=self.proxy(self.origin(gate))))
        client = await self.connect()
        asked = client.ask()
        await self.asked_origin
        await self.reload(service, self.here(port=free_port()))
        drained: Deferred[Any] = service.entrances.drain()
        self.assertFalse(drained.called)
        self.assertEqual(service.entrances.connections, 1)
        gate.callback(None)
        await asked
        await drained
        self.assertIn("Entrances", repr(service.entrances))
