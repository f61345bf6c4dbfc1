"""PROXY headers over real sockets: on Twisted's stock transports and on the loop's, in clear text and under TLS."""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet import reactor
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.protocol import Factory
from twisted.internet.task import Clock
from twisted.trial.unittest import TestCase

from edgegw.exchange.model import Response
from edgegw.net import accepting
from edgegw.net.accepting import listen
from edgegw.net.addresses import CidrSet
from edgegw.net.listener import Listener
from edgegw.net.loop import is_native
from edgegw.net.proxied import Proxied
from edgegw.net.sockets import UnixPlace
from edgegw.net.tls_transport import TlsFactory
from edgegw.net.transport import LoopTransport
from edgegw.testing.downstream import request
from edgegw.wire.proxy_header import ProxyAddress
from edgegw.wire.proxy_protocol import encode_v1, encode_v2, proxy_tlvs
from tests.net.recorder import Once, Recorder
from tests.net.test_downstream_sockets import OK, Suite
from tests.net.tlspair import AnyClient

ENDS = ProxyAddress("198.51.100.7", 4711), ProxyAddress("203.0.113.1", 443)
V1, V2 = encode_v1(*ENDS), encode_v2(*ENDS, proxy_tlvs(authority="shop.example.com"), checksum=True)


class Introducing(Recorder):
    """A proxy: sends its header in clear text, piece by piece, then lets `inner` speak."""

    def __init__(self, header: list[bytes], inner: Any) -> None:
        super().__init__()
        self.header = header
        self.inner = inner

    def connectionMade(self) -> None:
        self.transport.setTcpNoDelay(True)
        self.note("made")
        self.send()

    def send(self) -> None:
        if self.header:
            self.transport.write(self.header.pop(0))
            reactor.callLater(0.002, self.send)
        else:
            self.transport.protocol = self.inner
            self.inner.makeConnection(self.transport)


class ProxiedSuite(Suite):
    """The suite of downstream connections, and what is about headers. Subclasses say which transports and whether TLS."""

    def setUp(self) -> None:
        apply, trusted = Listener.apply, CidrSet(("127.0.0.0/8", "unix"))
        self.patch(Listener, "apply", lambda self, terms: apply(self, terms._replace(proxied=trusted)))

    async def client(self) -> Recorder:
        """For everything that downstream connections can do anyway: it must be the same behind a header."""
        return await self.introduced(V2)

    async def introduced(self, *header: bytes) -> Recorder:
        """A peer behind a proxy that sends this header, a piece a turn; torn down after the test."""
        peer = Recorder()
        inner: Any = peer
        if self.secure:
            creator = AnyClient(sni=b"shop.example.com")
            inner = TlsFactory(creator, True, Factory.forProtocol(lambda: peer), Clock()).buildProtocol(None)
        proxy = Introducing(list(header), inner)
        await TCP4ClientEndpoint(reactor, "127.0.0.1", self.port_number).connect(Once(proxy))
        self.addCleanup(self.tear_down, peer)
        await peer.until_event("made")
        return peer

    def who(self) -> tuple[str, int, str, int]:
        connection = self.script.exchanges[-1].connection
        return connection.peer, connection.peer_port, connection.local_host, connection.local_port

    async def test_whole(self) -> None:
        for header in (V1, V2):
            await self.open(Response(200), Response(200))
            peer = await self.introduced(header)
            for count in (1, 2):
                peer.transport.write(request())
                await peer.until_bytes(count * len(OK))
            self.assertEqual(bytes(peer.received), OK * 2)
            self.assertEqual(self.who(), ("198.51.100.7", 4711, "203.0.113.1", 443))

    async def test_byte_by_byte(self) -> None:
        for header in (V1, V2):
            await self.open(Response(200))
            peer = await self.introduced(*(header[at : at + 1] for at in range(len(header))))
            peer.transport.write(request())
            await peer.until_bytes(len(OK))
            self.assertEqual(self.who()[:2], ("198.51.100.7", 4711))

    async def test_out_of_the_way(self) -> None:
        """The transport's own protocol, and what it calls with data, is not ours any more."""
        await self.open(Response(200))
        peer = await self.introduced(V2)
        peer.transport.write(request())
        await peer.until_bytes(len(OK))
        transport = self.script.exchanges[0].connection.transport
        transport = transport.transport if self.secure else transport
        self.assertNotIsInstance(transport.protocol, Proxied)
        if self.native:
            self.assertIsInstance(transport, LoopTransport)
            self.assertNotIsInstance(transport.data_received.__self__, Proxied)

    async def test_a_proxy_on_a_unix_socket(self) -> None:
        await self.open(Response(200))
        self.patch(accepting, "is_native", lambda _: self.native)
        path = self.mktemp()
        port = listen(reactor, UnixPlace(path), self.listener, admit=self.listener.admit)
        self.addCleanup(port.stop)
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(path)
            client.sendall(V1 if self.secure else V1 + request())
            await self.until(lambda: [each for each in self.listener.connections if each.peer == "198.51.100.7"])
        await self.until(lambda: not self.listener.connections)

    async def test_no_header_no_service(self) -> None:
        await self.open()
        client = socket.create_connection(("127.0.0.1", self.port_number))
        self.addCleanup(client.close)
        client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        await self.until(lambda: self.counts.seen["refused proxy_header_missing"] == 1)
        await self.until(lambda: not self.listener.connections)
        client.settimeout(5)
        self.assertRaises(ConnectionResetError, client.recv, 1)
        self.assertEqual(self.script.exchanges, [])

    async def test_deadline(self) -> None:
        await self.open()
        client = socket.create_connection(("127.0.0.1", self.port_number))
        self.addCleanup(client.close)
        client.sendall(V2[:30])
        await self.until(lambda: self.listener.connections)
        for _ in range(105):
            self.clock.advance(0.1)
        await self.until(lambda: not self.listener.connections)
        self.assertEqual(self.counts.seen["refused proxy_header_timeout"], 1)

    async def test_a_proxy_that_leaves(self) -> None:
        await self.open()
        client = socket.create_connection(("127.0.0.1", self.port_number))
        client.sendall(V1[:30])
        await self.until(lambda: self.listener.connections)
        client.close()
        await self.until(lambda: self.counts.seen["refused proxy_header_aborted"] == 1)
        await self.until(lambda: not self.listener.connections)


class StockTests(ProxiedSuite, TestCase):
    """Twisted's own transports."""


class StockTlsTests(ProxiedSuite, TestCase):
    """The same under TLS."""

    secure = True


if is_native(reactor):

    class NativeTests(ProxiedSuite, TestCase):
        """The loop's transports."""

        native = True

    class NativeTlsTests(ProxiedSuite, TestCase):
        """The same under TLS."""

        native = True
        secure = True
