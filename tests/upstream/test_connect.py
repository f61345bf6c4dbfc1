"""Tests of edgegw.upstream.connect: dialling on a reactor in memory, then TLS and sockets over loopback."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from typing import Any

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import RequestReceived
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.error import ConnectError, ConnectionDone, ConnectionRefusedError, TimeoutError
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase, TestCase

from edgegw.errors import GatewayError, Phase, Retry, Side
from edgegw.net.call import Call
from edgegw.net.http2_upstream import Http2Upstream
from edgegw.net.resolver import Resolver
from edgegw.net.tls import ServerTls, UpstreamTls, wrap_server
from edgegw.net.upstream import Http1Upstream
from edgegw.runtime.wheel import Wheel
from edgegw.testing.origin import answer
from edgegw.upstream.address import EndpointUrl
from edgegw.upstream.connect import Connector
from tests.certs import Authority
from tests.net.tlspair import AUTHORITY, SHOP, store

GO = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


class Case(SynchronousTestCase):
    """A connector on a reactor in memory."""

    def setUp(self) -> None:
        self.reactor = MemoryReactorClock()
        self.wheel = Wheel(self.reactor)
        self.wheel.start()
        self.names: dict[str, Any] = {"h": ["10.0.0.1"], "many": ["10.0.0.1", "10.0.0.2", "2001:db8::3"]}
        self.resolver = Resolver(self.reactor, self.look_up)
        self.addCleanup(self.resolver.stop)
        self.connector = Connector(self.reactor, self.wheel, self.resolver, None, 3.0)

    def look_up(self, name: str) -> Deferred[Sequence[str]]:
        found = self.names.get(name)
        if found is None:
            return fail(OSError(-2, "Name or service not known"))
        return found if isinstance(found, Deferred) else succeed(found)

    def dial(self, url: str) -> Deferred[Http1Upstream]:
        return self.connector.connect(EndpointUrl.parse(url))

    def tried(self) -> list[tuple[str, int]]:
        return [(client[0], client[1]) for client in self.reactor.tcpClients]

    def refuse(self, error: Exception | None = None) -> None:
        """The last attempt fails."""
        factory = self.reactor.tcpClients[-1][2]
        factory.clientConnectionFailed(self.reactor.connectors[-1], Failure(error or ConnectionRefusedError()))

    def accept(self) -> Any:
        """The last attempt succeeds. Returns its transport."""
        self.protocol = self.reactor.tcpClients[-1][2].buildProtocol(None)
        transport = StringTransport()
        self.protocol.makeConnection(transport)
        return transport

    def turn(self, seconds: float) -> None:
        for _ in range(round(seconds * 10)):
            self.reactor.advance(0.1)

    def error(self, dialling: Deferred[Any]) -> GatewayError:
        error: GatewayError = self.failureResultOf(dialling, GatewayError).value
        self.assertEqual((error.side, error.phase, error.retry), (Side.UPSTREAM, Phase.CONNECT, Retry.ALWAYS))
        self.assertEqual((b"Retry-After", b"1") in error.headers, error.status == 503)
        return error


class AddressTests(Case):
    def test_a_name(self) -> None:
        dialling = self.dial("http://h:9000")
        self.assertEqual(self.tried(), [("10.0.0.1", 9000)])
        self.accept()
        connection = self.successResultOf(dialling)
        self.assertIsInstance(connection, Http1Upstream)
        self.assertFalse(connection.busy)
        # No deadline of the attempt is left behind.
        self.assertEqual(len(self.wheel), 0)
        self.turn(5)
        self.assertFalse(connection.transport.disconnecting)

    def test_literals_are_not_looked_up(self) -> None:
        self.names.clear()
        self.dial("http://192.0.2.7")
        self.dial("http://[2001:db8::7]:81")
        self.assertEqual(self.tried(), [("192.0.2.7", 80), ("2001:db8::7", 81)])

    def test_refused_leads_to_the_next_address_at_once(self) -> None:
        dialling = self.dial("http://many:1")
        self.refuse()
        self.refuse(ConnectError(string="no route"))
        self.assertEqual(len(set(self.tried())), 3)
        self.assertEqual(self.reactor.seconds(), 0)
        self.accept()
        self.successResultOf(dialling)

    def test_connections_start_at_addresses_in_turn(self) -> None:
        for _ in range(6):
            dialling = self.dial("http://many:1")
            self.accept()
            self.successResultOf(dialling)
        hosts = [host for host, _ in self.tried()]
        self.assertEqual(sorted(hosts), sorted(self.names["many"] * 2))

    def test_all_refuse(self) -> None:
        dialling = self.dial("http://many:1")
        for _ in range(3):
            self.refuse()
        error = self.error(dialling)
        self.assertEqual((error.status, error.reason), (503, "connect_refused"))

    def test_unreachable(self) -> None:
        dialling = self.dial("http://h")
        self.refuse(ConnectError(string="no route to host"))
        error = self.error(dialling)
        self.assertEqual((error.status, error.reason), (503, "connect_failed"))
        self.assertIn("no route to host", error.detail)

    def test_a_name_that_is_not_known(self) -> None:
        error = self.error(self.dial("http://gone"))
        self.assertEqual((error.status, error.reason), (503, "resolve_failed"))
        self.assertIn("gone", error.detail)

    def test_unix_socket(self) -> None:
        dialling = self.dial("unix:///run/app.sock")
        path, factory = self.reactor.unixClients[-1][:2]
        self.assertEqual(path, "/run/app.sock")
        factory.buildProtocol(None).makeConnection(StringTransport())
        self.successResultOf(dialling)


class DeadlineTests(Case):
    def test_one_address_leaves_time_for_the_others(self) -> None:
        dialling = self.dial("http://many:1")
        timeouts = [self.reactor.tcpClients[-1][3]]
        self.turn(1)
        self.refuse(TimeoutError())
        timeouts.append(self.reactor.tcpClients[-1][3])
        self.turn(1)
        self.refuse(TimeoutError())
        timeouts.append(self.reactor.tcpClients[-1][3])
        for timeout in timeouts:
            self.assertAlmostEqual(timeout, 1.0)
        self.accept()
        self.successResultOf(dialling)

    def test_an_address_that_does_not_answer(self) -> None:
        dialling = self.dial("http://h")
        self.refuse(TimeoutError())
        error = self.error(dialling)
        self.assertEqual((error.status, error.reason), (503, "connect_timeout"))

    def test_the_name_counts_too(self) -> None:
        self.names["slow"] = Deferred()
        dialling = self.dial("http://slow")
        self.turn(2.8)
        self.assertNoResult(dialling)
        self.turn(0.4)
        error = self.error(dialling)
        self.assertEqual((error.status, error.reason), (503, "connect_timeout"))

    def test_name_and_connecting_have_one_deadline(self) -> None:
        slow: Deferred[Sequence[str]] = Deferred()
        self.names["slow"] = slow
        dialling = self.dial("http://slow")
        self.turn(2)
        slow.callback(["10.0.0.9"])
        self.assertEqual(self.tried(), [("10.0.0.9", 80)])
        self.assertAlmostEqual(self.reactor.tcpClients[-1][3], 1.0)
        self.turn(1.2)
        self.assertEqual(self.error(dialling).reason, "connect_timeout")
        self.assertTrue(self.reactor.connectors[-1].stoppedConnecting)

    def test_cancelling_ends_the_attempt(self) -> None:
        dialling = self.dial("http://h")
        dialling.cancel()
        self.failureResultOf(dialling, CancelledError)
        self.assertTrue(self.reactor.connectors[-1].stoppedConnecting)
        self.turn(5)
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_cancelling_while_the_name_is_looked_up(self) -> None:
        self.names["slow"] = Deferred()
        dialling = self.dial("http://slow")
        dialling.cancel()
        self.failureResultOf(dialling, CancelledError)
        self.assertEqual(self.tried(), [])


class TlsDialTests(Case):
    """The handshake over the reactor in memory: what never comes, and what is cut."""

    def setUp(self) -> None:
        super().setUp()
        tls = UpstreamTls(authorities=[AUTHORITY.cert])
        self.connector = Connector(self.reactor, self.wheel, self.resolver, tls, 3.0)

    def test_a_handshake_that_hangs(self) -> None:
        dialling = self.dial("https://h")
        transport = self.accept()
        self.assertTrue(transport.value().startswith(b"\x16\x03"))
        self.turn(2.8)
        self.assertNoResult(dialling)
        self.turn(0.4)
        self.assertEqual(self.error(dialling).reason, "connect_timeout")
        self.assertTrue(transport.disconnecting or transport.disconnected or transport.aborted)

    def test_a_handshake_that_breaks_off(self) -> None:
        dialling = self.dial("https://h")
        self.accept()
        self.protocol.connectionLost(Failure(ConnectionDone()))
        error = self.error(dialling)
        self.assertEqual((error.status, error.reason), (502, "upstream_tls"))
        self.assertIn("handshake_broken", error.detail)

    def test_cancelled_in_the_handshake(self) -> None:
        dialling = self.dial("https://h")
        transport = self.accept()
        dialling.cancel()
        self.failureResultOf(dialling, CancelledError)
        self.assertTrue(transport.disconnecting or transport.disconnected or transport.aborted)
        # The news of the loss comes later and finds nobody waiting.
        self.protocol.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(self.flushLoggedErrors(), [])


class Http2DialTests(Case):
    """Prior knowledge: a connection counts as made when the endpoint has said its settings."""

    SETTINGS = b"\0\0\0\x04\0\0\0\0\0"

    def setUp(self) -> None:
        super().setUp()
        self.dialling = self.dial("h2c://h:9000")
        self.peer = self.accept()

    def test_ready_with_the_settings(self) -> None:
        self.assertEqual(self.tried(), [("10.0.0.1", 9000)])
        self.assertTrue(self.peer.value().startswith(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"))
        self.assertNoResult(self.dialling)
        self.protocol.dataReceived(self.SETTINGS)
        connection = self.successResultOf(self.dialling)
        self.assertIsInstance(connection, Http2Upstream)
        self.assertEqual((connection.room, len(self.wheel)), (100, 0))

    def test_an_endpoint_that_speaks_http1(self) -> None:
        self.protocol.dataReceived(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
        error = self.error(self.dialling)
        self.assertEqual(error.status, 502)
        self.assertIn("does not speak HTTP/2", error.detail)

    def test_an_endpoint_that_says_nothing(self) -> None:
        self.turn(3.2)
        self.assertEqual(self.error(self.dialling).reason, "connect_timeout")
        self.assertTrue(self.peer.disconnecting or self.peer.disconnected or self.peer.aborted)

    def test_an_endpoint_that_leaves(self) -> None:
        self.protocol.connectionLost(Failure(ConnectionDone()))
        error = self.error(self.dialling)
        self.assertEqual((error.status, error.reason), (502, "upstream_closed"))

    def test_the_next_address_is_tried(self) -> None:
        dialling = self.dial("h2c://many:1")
        self.accept()
        self.protocol.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(len(self.tried()), 3)
        self.accept()
        self.protocol.dataReceived(self.SETTINGS)
        self.successResultOf(dialling)

    def test_cancelled(self) -> None:
        self.dialling.cancel()
        self.failureResultOf(self.dialling, CancelledError)
        self.assertTrue(self.peer.disconnecting or self.peer.disconnected or self.peer.aborted)

    def test_what_is_expected_of_a_connection(self) -> None:
        for protocol, url, room in (
            ("auto", "http://h", 1), ("auto", "https://h", 1), ("auto", "h2c://h", 100), ("auto", "grpcs://h", 100),
            ("http2", "http://h", 100), ("http2", "unix:///s", 100), ("http1", "https://h", 1),
        ):  # fmt: skip
            connector = Connector(self.reactor, self.wheel, self.resolver, None, 3.0, protocol)  # type: ignore[arg-type]
            self.assertEqual(connector.expected_room(EndpointUrl.parse(url)), room, (protocol, url))

    def test_as_configured_or_as_the_exchange_needs_it(self) -> None:
        connector = Connector(self.reactor, self.wheel, self.resolver, None, 3.0, "http2")
        for protocol, kind in ((None, Http2Upstream), ("http1", Http1Upstream)):
            connector.connect(EndpointUrl.parse("http://h"), protocol).addErrback(lambda _: None)  # type: ignore[arg-type]
            self.accept()
            self.assertIsInstance(self.protocol._wrappedProtocol, kind)
        error = self.error(connector.connect(EndpointUrl.parse("h2c://h"), "http1"))
        self.assertEqual((error.status, error.reason), (502, "upstream_http2_only"))


class Talk(Protocol):
    """Answers every request the same way."""

    def dataReceived(self, data: bytes) -> None:
        self.transport.write(answer(b"hello"))  # type: ignore[union-attr]


class Talk2(Protocol):
    """The same in HTTP/2, by the `h2` library."""

    def connectionMade(self) -> None:
        self.h2 = H2Connection(H2Configuration(client_side=False))
        self.h2.initiate_connection()
        self.transport.write(self.h2.data_to_send())  # type: ignore[union-attr]

    def dataReceived(self, data: bytes) -> None:
        for event in self.h2.receive_data(data):
            if isinstance(event, RequestReceived):
                self.h2.send_headers(event.stream_id, [(":status", "200")])
                self.h2.send_data(event.stream_id, b"hello in HTTP/2", end_stream=True)
        self.transport.write(self.h2.data_to_send())  # type: ignore[union-attr]


class LoopbackTests(TestCase):
    """Sockets of the kernel, certificates of tests/certs.py."""

    def setUp(self) -> None:
        self.wheel = Wheel(reactor)  # type: ignore[arg-type]
        self.wheel.start()
        self.addCleanup(self.wheel.stop)
        self.resolver = Resolver(reactor, lambda name: succeed(["127.0.0.1"]))  # type: ignore[arg-type]
        self.addCleanup(self.resolver.stop)

    def connector(self, protocol: Any = "auto", **tls: Any) -> Connector:
        tls.setdefault("authorities", [AUTHORITY.cert])
        return Connector(reactor, self.wheel, self.resolver, UpstreamTls(**tls), 3.0, protocol)

    def listen(self, secure: bool, *alpn: bytes) -> int:
        factory: Any = Factory.forProtocol(Talk2 if b"h2" in alpn else Talk)
        if secure:
            shown = store(SHOP, alpn=alpn or (b"http/1.1",))
            factory = wrap_server(factory, ServerTls(shown), reactor)  # type: ignore[arg-type]
        port = reactor.listenTCP(0, factory, interface="127.0.0.1")  # type: ignore[attr-defined]
        self.addCleanup(port.stopListening)
        return int(port.getHost().port)

    async def talk(self, connector: Connector, url: str) -> bytes:
        connection = await connector.connect(EndpointUrl.parse(url))
        fields = [(b"host", b"Host", b"a")]
        response = await connection.send(Call("GET", "/", fields, None, 0, (3, 3), lambda head: None))
        connection.close()
        while not connection.lost:
            await _turn()
        return response.body.take_ready()

    async def test_plain(self) -> None:
        self.assertEqual(await self.talk(self.connector(), f"http://any:{self.listen(False)}"), b"hello")

    async def test_refused(self) -> None:
        closed = reactor.listenTCP(0, Factory(), interface="127.0.0.1")  # type: ignore[attr-defined]
        number = closed.getHost().port
        await closed.stopListening()
        error = await self.assertFailure(
            self.connector().connect(EndpointUrl.parse(f"http://127.0.0.1:{number}")), GatewayError
        )
        self.assertEqual(error.reason, "connect_refused")

    async def test_tls_verified(self) -> None:
        url = f"https://shop.example.com:{self.listen(True)}"
        self.assertEqual(await self.talk(self.connector(), url), b"hello")

    async def test_tls_and_what_was_agreed_on(self) -> None:
        for protocol, scheme, alpn, spoken in (
            ("auto", "https", (b"h2",), b"hello in HTTP/2"),
            ("auto", "https", (b"http/1.1",), b"hello"),
            ("http2", "https", (b"h2",), b"hello in HTTP/2"),
            ("auto", "grpcs", (b"h2",), b"hello in HTTP/2"),
            ("http1", "https", (b"http/1.1",), b"hello"),
        ):
            url = f"{scheme}://shop.example.com:{self.listen(True, *alpn)}"
            self.assertEqual(await self.talk(self.connector(protocol), url), spoken)

    async def test_tls_without_the_protocol_that_is_wanted(self) -> None:
        url = f"https://shop.example.com:{self.listen(True, b'http/1.1')}"
        error = await self.assertFailure(self.connector("http2").connect(EndpointUrl.parse(url)), GatewayError)
        self.assertEqual((error.status, error.reason), (502, "upstream_tls"))
        self.assertIn("no_shared_protocol", error.detail)
        self.assertEqual(self.flushLoggedErrors(), [])

    async def test_prior_knowledge(self) -> None:
        port = reactor.listenTCP(0, Factory.forProtocol(Talk2), interface="127.0.0.1")  # type: ignore[attr-defined]
        self.addCleanup(port.stopListening)
        for protocol, scheme in (("auto", "h2c"), ("auto", "grpc"), ("http2", "http")):
            url = f"{scheme}://any:{port.getHost().port}"
            self.assertEqual(await self.talk(self.connector(protocol), url), b"hello in HTTP/2")

    async def test_tls_wrong_name(self) -> None:
        url = f"https://other.example.com:{self.listen(True)}"
        dialling = self.connector(server_name="other.example.com").connect(EndpointUrl.parse(url))
        error = await self.assertFailure(dialling, GatewayError)
        self.assertEqual((error.status, error.reason), (502, "upstream_tls"))
        self.assertEqual(self.flushLoggedErrors(), [])

    async def test_tls_unknown_authority(self) -> None:
        url = f"https://shop.example.com:{self.listen(True)}"
        dialling = self.connector(authorities=[Authority().cert]).connect(EndpointUrl.parse(url))
        error = await self.assertFailure(dialling, GatewayError)
        self.assertEqual((error.status, error.reason), (502, "upstream_tls"))
        self.assertIn("upstream_certificate_untrusted", error.detail)

    async def test_tls_to_a_plain_port(self) -> None:
        url = f"https://shop.example.com:{self.listen(False)}"
        error = await self.assertFailure(self.connector().connect(EndpointUrl.parse(url)), GatewayError)
        self.assertEqual((error.status, error.reason), (502, "upstream_tls"))

    async def test_unix_socket(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "app.sock")
            port = reactor.listenUNIX(path, Factory.forProtocol(Talk))  # type: ignore[attr-defined]
            self.assertEqual(await self.talk(self.connector(), f"unix://{path}"), b"hello")
            await port.stopListening()

    async def test_unix_socket_that_is_not_there(self) -> None:
        dialling = self.connector().connect(EndpointUrl.parse("unix:///nonexistent/app.sock"))
        error = await self.assertFailure(dialling, GatewayError)
        self.assertEqual(error.status, 503)
        self.assertIn("/nonexistent/app.sock", error.detail)


def _turn() -> Deferred[None]:
    done: Deferred[None] = Deferred()
    reactor.callLater(0, done.callback, None)  # type: ignore[attr-defined]
    return done
