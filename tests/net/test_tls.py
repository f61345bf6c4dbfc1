"""Tests of edgegw.net.tls: what the connection's owner asks, reload, and both sides over real sockets."""

from __future__ import annotations

from collections.abc import Callable

from OpenSSL import SSL
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP4ServerEndpoint
from twisted.internet.protocol import Factory
from twisted.trial.unittest import SynchronousTestCase, TestCase

from edgegw.net.tls import (
    CertificateStore,
    ServerTls,
    UpstreamTls,
    misdirected,
    peer_identity,
    same_certificate,
    selected_server_name,
    wrap_client,
    wrap_server,
)
from tests.net.tlspair import AUTHORITY, ONE, SHOP, AnyClient, Pair, Peer, store


class ReloadTests(SynchronousTestCase):
    def test_reload_touches_new_connections_only(self) -> None:
        tls = ServerTls(store(SHOP))
        live = Pair(tls, AnyClient(sni=b"shop.example.com"))
        renewed = AUTHORITY.issue("shop.example.com")
        tls.store = store(renewed)
        fresh = Pair(tls, AnyClient(sni=b"shop.example.com"))
        for pair, leaf in ((live, SHOP), (fresh, renewed)):
            pair.client.transport.write(b"ping")
            pair.pump()
            self.assertEqual(pair.server.received, b"ping")
            shown = pair.client_tls.getHandle().get_peer_certificate(as_cryptography=True)
            self.assertEqual(shown, leaf.cert)
        self.assertFalse(misdirected(live.server.transport, "shop.example.com"))

    def test_reload_in_the_middle_of_a_handshake(self) -> None:
        tls = ServerTls(store())
        before = tls.store.connection()
        tls.store = store(SHOP)
        client = AnyClient(sni=b"one.apps.example.com").clientConnectionForTLS(None)  # type: ignore[arg-type]
        for _ in range(3):
            for mine, theirs in ((client, before), (before, client)):
                try:
                    mine.do_handshake()
                except SSL.WantReadError:
                    pass
                try:
                    theirs.bio_write(mine.bio_read(65536))
                except SSL.WantReadError:
                    pass
        self.assertEqual(client.get_peer_certificate(as_cryptography=True), ONE.cert)


class MisdirectedTests(SynchronousTestCase):
    def test_same_certificate(self) -> None:
        several = store()
        for sni, host, same in (
            ("shop.example.com", "shop.example.com", True),
            ("shop.example.com", "WWW.shop.example.com.", True),
            ("shop.example.com", "one.apps.example.com", False),
            ("one.apps.example.com", "two.apps.example.com", False),
            ("two.apps.example.com", "three.apps.example.com", True),
            ("one.apps.example.com", "nobody.example.com", True),
            (None, "shop.example.com", True),
            (None, "two.apps.example.com", False),
            ("one.apps.example.com", "192.0.2.1", False),
            (None, "[::1]", True),
        ):
            self.assertEqual(same_certificate(several, sni, host), same, (sni, host))

    def test_of_a_connection(self) -> None:
        pair = Pair(ServerTls(store()), AnyClient(sni=b"one.apps.example.com"))
        self.assertFalse(misdirected(pair.server.transport, "one.apps.example.com"))
        self.assertTrue(misdirected(pair.server.transport, "shop.example.com"))
        single = Pair(ServerTls(store(SHOP)), AnyClient())
        self.assertFalse(misdirected(single.server.transport, "anything.example.com"))

    def test_without_tls(self) -> None:
        for transport in (None, object(), closed_transport()):
            self.assertFalse(misdirected(transport, "a"))
            self.assertIsNone(selected_server_name(transport))
            self.assertIsNone(peer_identity(transport))


def closed_transport() -> object:
    """A TLS transport that is closed."""
    pair = Pair(ServerTls(store()), AnyClient())
    transport = pair.server.transport
    transport.loseConnection()
    pair.pump()
    return transport


class SocketTests(TestCase):
    """Over a real loopback socket, with an OpenSSL of another version on the other side."""

    async def listen(self, made: CertificateStore, echo: Callable[[], Peer] | None = None) -> int:
        self.server = Peer()
        factory = wrap_server(Factory.forProtocol(echo or (lambda: self.server)), ServerTls(made), reactor)
        port = await TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1").listen(factory)
        self.addCleanup(port.stopListening)
        return int(port.getHost().port)

    async def test_both_our_sides(self) -> None:
        got: Deferred[bytes] = Deferred()

        class Echo(Peer):
            def dataReceived(self, data: bytes) -> None:
                self.transport.write(data)

        class Client(Peer):
            def handshakeCompleted(self) -> None:
                self.transport.write(b"hello")

            def dataReceived(self, data: bytes) -> None:
                got.callback(data)
                self.transport.loseConnection()

        port = await self.listen(store(), Echo)
        tls = UpstreamTls(authorities=[AUTHORITY.cert])
        endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", port)
        await endpoint.connect(wrap_client(Factory.forProtocol(Client), tls, "two.apps.example.com", reactor))
        self.assertEqual(await got.addTimeout(5, reactor), b"hello")
