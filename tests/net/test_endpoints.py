"""Connecting, and the Twisted endpoints over listening and connecting: one suite, on both kinds of transport."""

import os
import socket
from typing import Any

from twisted.internet import error, reactor
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.endpoints import clientFromString, serverFromString
from twisted.internet.interfaces import IStreamClientEndpoint, IStreamServerEndpoint
from twisted.internet.task import Clock, deferLater
from zope.interface.verify import verifyObject

from edgegw.net import accepting, endpoints
from edgegw.net.endpoints import NativeClientEndpoint, NativeServerEndpoint, TcpPlace, UnixPlace, connect, listen
from edgegw.net.loop import is_native, loop_of
from edgegw.net.sockets import bind
from edgegw.net.transport import LoopTransport
from tests.net.recorder import NativePairs, Once, Recorder, StockPairs

LOCAL = TcpPlace("127.0.0.1", 0)


class Behaviour:
    """The suite. `setUp` of the two halves decides what `connect` takes."""

    def serve(self, where: Any = LOCAL) -> tuple[Any, Recorder]:
        server = Recorder()
        port = listen(reactor, where, Once(server))
        self.addCleanup(port.stop)
        return port, server

    def full_place(self) -> TcpPlace:
        """A place whose backlog is full, so that a connection to it stays half open."""
        sock = bind(LOCAL, 0)
        self.addCleanup(sock.close)
        for _ in range(4):
            filler = socket.socket()
            self.addCleanup(filler.close)
            filler.setblocking(False)
            filler.connect_ex(sock.getsockname())
        return TcpPlace(*sock.getsockname())

    async def join(self, server: Recorder, client: Recorder) -> None:
        await server.until_event("made")
        self.addCleanup(self.tear_down, server, client)

    async def test_connects_after_connection_made(self) -> None:
        port, server = self.serve()
        client, factory = Recorder(), Once()
        factory.protocols.append(client)
        protocol = await connect(reactor, TcpPlace("127.0.0.1", port.getHost().port), factory)
        self.assertIs(protocol, client)
        self.assertEqual(client.events, ["made"])
        self.assertEqual(factory.peers, [port.getHost()])
        await self.join(server, client)
        self.assertEqual(factory.numPorts, 1)
        client.transport.loseConnection()
        await client.until_lost()
        await self.settle()
        self.assertEqual(factory.numPorts, 0)

    async def test_data_comes_after_the_deferred(self) -> None:
        """Who awaits the connection sees its first bytes, however early they came."""
        port, server = self.serve()
        server.at["made"] = lambda: server.transport.write(b"banner")
        client = await connect(reactor, TcpPlace("127.0.0.1", port.getHost().port), Once(Recorder()))
        self.assertEqual(client.events, ["made"])
        await client.until_bytes(6)
        await self.join(server, client)

    async def test_ipv6_and_a_name(self) -> None:
        for host, address in (("::1", IPv6Address), ("localhost", (IPv4Address, IPv6Address))):
            port, server = self.serve(TcpPlace("", 0))
            client = await connect(reactor, TcpPlace(host, port.getHost().port), Once(Recorder()))
            self.assertIsInstance(client.transport.getPeer(), address)
            await self.join(server, client)

    async def test_unix(self) -> None:
        path = self.mktemp()
        _, server = self.serve(UnixPlace(path))
        client = await connect(reactor, UnixPlace(path), Once(Recorder()))
        client.transport.write(b"hello")
        await server.until_bytes(5)
        self.assertEqual(client.transport.getPeer(), UNIXAddress(path))
        await self.join(server, client)

    async def test_local_host(self) -> None:
        port, server = self.serve()
        place = TcpPlace("127.0.0.1", port.getHost().port)
        client = await connect(reactor, place, Once(Recorder()), local_host="127.0.0.2")
        await self.join(server, client)
        self.assertEqual(client.transport.getHost().host, "127.0.0.2")
        self.assertEqual(server.transport.getPeer().host, "127.0.0.2")

    async def test_refused(self) -> None:
        sock = bind(LOCAL)
        place = TcpPlace(*sock.getsockname())
        sock.close()
        factory = Once(Recorder())
        await self.assertFailure(connect(reactor, place, factory), error.ConnectionRefusedError)
        await self.settle()
        self.assertEqual((factory.numPorts, factory.peers), (0, []))

    async def test_no_such_unix_socket(self) -> None:
        await self.assertFailure(connect(reactor, UnixPlace(self.mktemp()), Once()), error.ConnectError)

    async def test_no_such_local_host(self) -> None:
        port, _ = self.serve()
        place = TcpPlace("127.0.0.1", port.getHost().port)
        await self.assertFailure(connect(reactor, place, Once(), local_host="203.0.113.1"), error.ConnectError)

    async def test_no_protocol(self) -> None:
        port, server = self.serve()
        factory = Once()
        await self.assertFailure(
            connect(reactor, TcpPlace("127.0.0.1", port.getHost().port), factory), error.NoProtocol
        )
        await server.until_lost()
        self.assertEqual(factory.numPorts, 0)

    async def test_build_protocol_that_raises(self) -> None:
        port, server = self.serve()
        factory = Once()
        factory.buildProtocol = lambda addr: 1 / 0  # type: ignore[method-assign]
        await self.assertFailure(
            connect(reactor, TcpPlace("127.0.0.1", port.getHost().port), factory), ZeroDivisionError
        )
        await server.until_lost()

    async def test_cancelling_ends_the_attempt(self) -> None:
        place = self.full_place()
        await deferLater(reactor, 0)
        before = len(os.listdir("/proc/self/fd"))
        factory = Once(Recorder())
        attempt = connect(reactor, place, factory)
        await deferLater(reactor, 0)
        self.assertNoResult(attempt)
        attempt.cancel()
        await self.assertFailure(attempt, error.ConnectingCancelledError)
        for _ in range(10):
            await deferLater(reactor, 0)
        self.assertEqual(len(os.listdir("/proc/self/fd")), before)
        self.assertEqual((factory.numPorts, factory.peers), (0, []))

    async def test_cancelling_before_anything_happened(self) -> None:
        port, _ = self.serve()
        factory = Once(Recorder())
        attempt = connect(reactor, TcpPlace("127.0.0.1", port.getHost().port), factory)
        attempt.cancel()
        await self.assertFailure(attempt, error.ConnectingCancelledError)
        await self.settle()
        self.assertEqual((factory.numPorts, factory.peers), (0, []))

    async def test_time_runs_out(self) -> None:
        factory = Once(Recorder())
        attempt = connect(reactor, self.full_place(), factory, timeout_s=0.02)
        await self.assertFailure(attempt, error.TimeoutError)
        await self.settle()
        self.assertEqual(factory.numPorts, 0)

    async def test_endpoints(self) -> None:
        server, client = Recorder(), Recorder()
        serving = NativeServerEndpoint(reactor, LOCAL, admit=lambda peer: True)
        verifyObject(IStreamServerEndpoint, serving)
        port = await serving.listen(Once(server))
        self.addCleanup(port.stopListening)
        calling = NativeClientEndpoint(reactor, TcpPlace("127.0.0.1", port.getHost().port))
        verifyObject(IStreamClientEndpoint, calling)
        await calling.connect(Once(client))
        await self.join(server, client)
        self.assertIn("127.0.0.1:", repr(calling))
        again = NativeServerEndpoint(reactor, TcpPlace("127.0.0.1", port.getHost().port))
        await self.assertFailure(again.listen(Once()), error.CannotListenError)

    async def test_strings(self) -> None:
        path = self.mktemp()
        table = [
            ("uv:tcp:0:interface=127.0.0.1:backlog=5", "uv:tcp:127.0.0.1:{port}:timeout=5"),
            ("uv:tcp:0", "uv:tcp:127.0.0.1:{port}:bindAddress=127.0.0.3"),
            (f"uv:unix:{path}:mode=600", f"uv:unix:{path}"),
        ]
        for listening, connecting in table:
            server, client = Recorder(), Recorder()
            port = await serverFromString(reactor, listening).listen(Once(server))
            self.addCleanup(port.stopListening)
            number = getattr(port.getHost(), "port", None)
            await clientFromString(reactor, connecting.format(port=number)).connect(Once(client))
            await self.join(server, client)
            self.assertEqual(isinstance(client.transport, LoopTransport), self.native)

    def test_strings_that_are_wrong(self) -> None:
        for text in ("uv", "uv:", "uv:tcp", "uv:tcp:x", "uv:udp:1", "uv:unix", "uv:tcp:1:2", "uv:tcp:1:colour=red"):
            self.assertRaises((ValueError, TypeError), serverFromString, reactor, text)
        for text in ("uv:tcp:h", "uv:tcp:h:x", "uv:unix:", "uv:unix:/a:1", "uv:tcp:h:1:colour=red"):
            self.assertRaises((ValueError, TypeError), clientFromString, reactor, text)


class StockEndpointTests(Behaviour, StockPairs):
    """On stock transports."""

    def setUp(self) -> None:
        self.patch(accepting, "is_native", lambda reactor: False)
        self.patch(endpoints, "is_native", lambda reactor: False)


if is_native(reactor):

    class NativeEndpointTests(Behaviour, NativePairs):
        """On the loop's transports."""

        async def test_time_runs_on_the_given_clock(self) -> None:
            clock = Clock()
            attempt = connect(reactor, self.full_place(), Once(Recorder()), timeout_s=7, clock=clock)
            clock.advance(6.9)
            await deferLater(reactor, 0)
            self.assertNoResult(attempt)
            clock.advance(0.1)
            await self.assertFailure(attempt, error.TimeoutError)

        async def test_a_connection_leaves_no_timer(self) -> None:
            clock = Clock()
            port, server = self.serve()
            place = TcpPlace("127.0.0.1", port.getHost().port)
            client = await connect(reactor, place, Once(Recorder()), clock=clock)
            self.assertEqual(clock.getDelayedCalls(), [])
            await self.join(server, client)

        async def test_a_connection_that_comes_too_late_gets_no_protocol(self) -> None:
            """The loop may report success in the turn in which the attempt was given up."""
            port, _ = self.serve()
            factory = Once(Recorder())
            attempt = endpoints._Attempt(loop_of(reactor), TcpPlace("127.0.0.1", port.getHost().port), factory)
            result = attempt.start(5, None, Clock())
            result.cancel()
            self.failureResultOf(result, error.ConnectingCancelledError)
            self.assertIsNone(attempt._build(port.getHost()))
            self.assertEqual(factory.peers, [])
            await self.settle()
