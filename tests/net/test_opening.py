"""Tests of edgegw.net.opening: which protocol a connection turns out to speak."""

from __future__ import annotations

from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.protocol import Factory
from twisted.test import iosim
from twisted.trial.unittest import SynchronousTestCase

from edgegw.exchange.model import Response
from edgegw.net.downstream import Http1Downstream
from edgegw.net.http2_downstream import Http2Downstream
from edgegw.net.opening import Opening
from edgegw.net.settings import Caps
from edgegw.net.tls import ServerTls
from edgegw.net.tls_transport import TlsFactory
from edgegw.testing.downstream import Desk, request
from edgegw.testing.memory import MemoryTransport
from tests.net.tlspair import AnyClient, Peer, store

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
BOTH = ("http1", "http2")


class OpeningDesk(Desk):
    """Its connection is what the listener builds."""

    def connect(self, peer: str = "192.0.2.1") -> tuple[Any, MemoryTransport]:
        connection = self.listener.buildProtocol(IPv4Address("TCP", peer, 50000))
        transport = MemoryTransport(connection, peer)
        transport.connect()
        return connection, transport

    @property
    def speaks(self) -> type:
        return type(self.transport.protocol)


class ChoiceTests(SynchronousTestCase):
    def desk(self, *steps: Any, **more: Any) -> OpeningDesk:
        return OpeningDesk(*steps, protocols=more.pop("protocols", BOTH), **more)

    def test_http1_by_its_first_byte(self) -> None:
        desk = self.desk(Response.of(200, b""))
        self.assertIs(desk.speaks, Opening)
        desk.says(b"G")
        self.assertIs(desk.speaks, Http1Downstream)
        desk.says(request()[1:])
        self.assertTrue(desk.heard().startswith(b"HTTP/1.1 200"))

    def test_no_more_bytes_than_needed(self) -> None:
        for text, at, kind in (
            (b"POST", 2, Http1Downstream),
            (b"PROPFIND", 3, Http1Downstream),
            (b"PRINT", 4, Http1Downstream),
            (PREFACE, 4, Http2Downstream),
        ):
            desk = self.desk()
            for count in range(at):
                self.assertIs(desk.speaks, Opening, (text, count))
                desk.says(text[count : count + 1])
            self.assertIs(desk.speaks, kind, text)

    def test_http2_by_its_preface_in_one_read_and_byte_by_byte(self) -> None:
        for pieces in ([PREFACE + SETTINGS], [bytes([byte]) for byte in PREFACE + SETTINGS]):
            desk = self.desk()
            desk.says(*pieces)
            self.assertIs(desk.speaks, Http2Downstream)
            # Our SETTINGS, and the answer to theirs.
            self.assertIn(b"\x00\x00\x00\x04\x01\x00\x00\x00\x00", desk.heard())

    def test_counted_once(self) -> None:
        desk = self.desk()
        desk.says(PREFACE)
        self.assertEqual((desk.counts.seen["opened"], desk.total.count, len(desk.listener.connections)), (1, 1, 1))
        desk.leaves()
        self.assertEqual((desk.counts.seen["closed"], desk.total.count, len(desk.listener.connections)), (1, 0, 0))

    def test_one_protocol_needs_no_choice(self) -> None:
        self.assertIs(self.desk(protocols=("http1",)).speaks, Http1Downstream)
        self.assertIs(self.desk(protocols=("http2",)).speaks, Http2Downstream)

    def test_a_preface_where_only_http1_is_spoken(self) -> None:
        desk = self.desk(protocols=("http1",))
        desk.says(PREFACE)
        self.assertTrue(desk.heard().startswith(b"HTTP/1.1 400"))
        self.assertEqual(desk.exchanges[0].failure.reason, "http2_preface")  # type: ignore[union-attr]


class AlpnTests(SynchronousTestCase):
    def spoken(self, *offered: bytes, protocols: tuple[str, ...] = BOTH) -> type:
        """What stands on TLS behind a handshake in which the client offered this."""
        names = {"http1": b"http/1.1", "http2": b"h2"}
        tls = ServerTls(store(alpn=[names[each] for each in protocols]))
        desk = Desk(tls=tls, protocols=protocols)
        server: Any = desk.listener.buildProtocol(IPv4Address("TCP", "192.0.2.1", 50000))
        shaking = TlsFactory(AnyClient(alpn=list(offered)), True, Factory.forProtocol(Peer), desk.clock)
        client = shaking.buildProtocol(None)
        server_io = iosim.FakeTransport(server, isServer=True)
        iosim.connect(server, server_io, client, iosim.FakeTransport(client, isServer=False), greet=False).flush()
        return type(server.wrappedProtocol)

    def test_decides(self) -> None:
        self.assertIs(self.spoken(b"h2"), Http2Downstream)
        self.assertIs(self.spoken(b"http/1.1"), Http1Downstream)
        self.assertIs(self.spoken(b"h2", b"http/1.1", protocols=("http1",)), Http1Downstream)
        self.assertIs(self.spoken(b"h2", b"http/1.1", protocols=("http2",)), Http2Downstream)

    def test_without_it_http1_is_spoken_if_it_is_at_all(self) -> None:
        self.assertIs(self.spoken(), Http1Downstream)
        self.assertIs(self.spoken(protocols=("http2",)), Http2Downstream)


class PatienceTests(SynchronousTestCase):
    def test_silence(self) -> None:
        desk = OpeningDesk(protocols=BOTH)
        desk.waits(Caps().idle + 1)
        self.assertEqual(desk.ended, ["lose"])

    def test_half_a_word(self) -> None:
        desk = OpeningDesk(protocols=BOTH)
        desk.says(b"PR").waits(Caps().head_deadline + 1)
        self.assertTrue(desk.heard().startswith(b"HTTP/1.1 408"))

    def test_drain_serves_what_is_on_its_way(self) -> None:
        desk = OpeningDesk(Response.of(200, b""), protocols=BOTH)
        desk.connection.drain()
        desk.says(request())
        heard = desk.heard()
        self.assertTrue(heard.startswith(b"HTTP/1.1 200"))
        self.assertIn(b"Connection: close", heard)

    def test_drain_of_a_silent_one(self) -> None:
        desk = OpeningDesk(protocols=BOTH)
        desk.connection.drain()
        desk.waits(2)
        self.assertEqual(desk.ended, ["lose"])

    def test_stop(self) -> None:
        desk = OpeningDesk(protocols=BOTH)
        desk.listener.abort()
        self.assertEqual(desk.ended, ["abort"])

    def test_repr(self) -> None:
        self.assertEqual(repr(OpeningDesk(protocols=BOTH).connection), "<Opening 192.0.2.1:50000 silent>")
