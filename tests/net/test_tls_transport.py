"""Tests of edgegw.net.tls_transport."""

from __future__ import annotations

from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.protocol import Factory
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport, StringTransportWithDisconnection
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from edgegw.net.tls import ServerTls, TlsError, TlsTransport, wrap_server
from edgegw.net.tls_transport import handle, printable
from tests.net.tlspair import AnyClient, Pair, Peer, store


class _Producer:
    def pauseProducing(self) -> None: ...

    def resumeProducing(self) -> None: ...

    def stopProducing(self) -> None: ...


class LifeTests(SynchronousTestCase):
    def test_writes_are_not_held_back(self) -> None:
        pair = Pair(ServerTls(store()), AnyClient())
        self.assertIs(type(pair.server.transport), TlsTransport)
        self.assertEqual(pair.server_io.stream, [])
        pair.server.transport.write(b"x")
        self.assertNotEqual(pair.server_io.stream, [])

    def test_data_both_ways(self) -> None:
        pair = Pair(ServerTls(store()), AnyClient())
        pair.server.transport.write(b"s" * 100_000)
        pair.client.transport.write(b"c" * 100_000)
        pair.pump()
        self.assertEqual((pair.client.received, pair.server.received), (b"s" * 100_000, b"c" * 100_000))

    def test_our_close_does_not_wait_for_theirs(self) -> None:
        pair = Pair(ServerTls(store()), AnyClient())
        pair.server.transport.loseConnection()
        self.assertTrue(pair.server_io.disconnecting)
        pair.pump()
        self.assertIsInstance(pair.client.lost, ConnectionDone)

    def test_close_waits_for_a_producer(self) -> None:
        pair = Pair(ServerTls(store()), AnyClient())
        pair.server.transport.registerProducer(_Producer(), True)  # type: ignore[attr-defined]
        pair.server.transport.loseConnection()
        pair.server.transport.write(b"the rest")
        self.assertFalse(pair.server_io.disconnecting)
        pair.server.transport.unregisterProducer()  # type: ignore[attr-defined]
        self.assertTrue(pair.server_io.disconnecting)
        pair.pump()
        self.assertEqual(pair.client.received, b"the rest")

    def test_abort_before_the_handshake(self) -> None:
        peer = Peer()
        protocol = wrap_server(Factory.forProtocol(lambda: peer), ServerTls(store()), Clock()).buildProtocol(None)
        wire = StringTransportWithDisconnection()
        wire.protocol = protocol
        protocol.makeConnection(wire)
        peer.transport.abortConnection()  # type: ignore[attr-defined]
        self.assertFalse(peer.shook_hands)
        self.assertIsInstance(peer.lost, (ConnectionDone, ConnectionLost, TlsError))

    def test_not_tls_at_all(self) -> None:
        for junk in (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"\x00" * 64, b"SSH-2.0-x\r\n"):
            peer = Peer()
            protocol = wrap_server(Factory.forProtocol(lambda p=peer: p), ServerTls(store()), Clock()).buildProtocol(
                None
            )
            wire = StringTransport()
            protocol.makeConnection(wire)
            protocol.dataReceived(junk)
            self.assertTrue(wire.disconnecting)
            protocol.connectionLost(Failure(ConnectionDone()))
            assert isinstance(peer.lost, TlsError)
            self.assertEqual(peer.lost.reason, "not_tls", peer.lost)


class TextTests(SynchronousTestCase):
    def test_printable(self) -> None:
        for text, expected in (("CN=a", "CN=a"), ("a\r\nb", "a\\0D\\0Ab"), ("\u00e9\x7f", "\\C3\\A9\\7F"), ("", "")):
            self.assertEqual(printable(text), expected)

    def test_handle(self) -> None:
        self.assertIsNone(handle(object()))
        self.assertIsNone(handle(None))
