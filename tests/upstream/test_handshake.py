"""Tests of edgegw.upstream.handshake: real handshakes in memory, and what takes the place of the protocol that waited for them."""

from __future__ import annotations

from typing import Any

from OpenSSL import SSL
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionLost
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.test import iosim
from twisted.trial.unittest import SynchronousTestCase

from edgegw.net.tls import ServerTls, TlsError, UpstreamTls, wrap_client, wrap_server
from edgegw.upstream.handshake import Handshake
from tests.net.tlspair import AUTHORITY, SHOP, Peer, store

H1, H2 = b"http/1.1", b"h2"


class Spoken(Protocol):
    """What takes over."""

    def __init__(self, name: bytes) -> None:
        self.name = name
        self.received = b""
        self.lost = False

    def connectionMade(self) -> None:
        assert self.transport is not None
        self.transport.write(b"hello " + self.name)

    def dataReceived(self, data: bytes) -> None:
        self.received += data

    def connectionLost(self, reason: Any = None) -> None:
        self.lost = True


class HandshakeTests(SynchronousTestCase):
    def shake(
        self, offered: tuple[bytes, ...], spoken: tuple[bytes, ...], host: str = "shop.example.com", alpn: bool = True
    ) -> Deferred[Any]:
        """Connect two ends; nothing moves before `pump`."""
        clock = Clock()
        shown = store(SHOP, alpn=spoken)
        if not alpn:
            shown.default.context.set_alpn_select_callback(lambda _, offer: SSL.NO_OVERLAPPING_PROTOCOLS)
        self.server = Peer()
        server = wrap_server(
            Factory.forProtocol(lambda: self.server), ServerTls(shown), clock
        ).buildProtocol(None)  # fmt: skip
        self.handshake = Handshake(offered, Spoken)
        tls = UpstreamTls(authorities=[AUTHORITY.cert])
        factory = Factory.forProtocol(lambda: self.handshake)
        client = wrap_client(factory, tls, host, clock, offered).buildProtocol(None)
        self.outer = client
        ends = iosim.FakeTransport(server, isServer=True), iosim.FakeTransport(client, isServer=False)
        self.pump = iosim.connect(server, ends[0], client, ends[1], greet=False)
        return self.handshake.done()

    def test_what_was_agreed_on(self) -> None:
        for offered, spoken, chosen in (
            ((H2, H1), (H2, H1), H2),
            ((H2, H1), (H1,), H1),
            ((H1,), (H2, H1), H1),
            ((H2,), (H2,), H2),
        ):
            done = self.shake(offered, spoken)
            self.assertNoResult(done)
            self.pump.flush()
            built = self.successResultOf(done)
            self.assertEqual((built.name, self.server.received), (chosen, b"hello " + chosen))
            self.server.transport.write(b"and more")
            self.pump.flush()
            self.assertEqual(built.received, b"and more")
            self.server.transport.loseConnection()
            self.pump.flush()
            self.assertTrue(built.lost)

    def test_none_that_both_speak(self) -> None:
        done = self.shake((H2,), (H1,))
        self.pump.flush()
        error = self.failureResultOf(done, TlsError).value
        self.assertEqual(error.reason, "no_shared_protocol")
        self.assertEqual(self.server.received, b"")

    def test_a_peer_that_knows_no_alpn(self) -> None:
        """It speaks HTTP/1.1, if that was offered; if not it is told nothing."""
        for offered, chosen in (((H2, H1), H1), ((H2,), None)):
            done = self.shake(offered, (H2,), alpn=False)
            self.pump.flush()
            if chosen:
                self.assertEqual(self.successResultOf(done).name, chosen)
                continue
            error = self.failureResultOf(done, TlsError).value
            self.assertEqual(error.reason, "no_shared_protocol")
            self.assertIn("we offered h2, the endpoint chose no application protocol", error.detail)
            self.assertEqual(self.server.received, b"")
            self.assertIsNotNone(self.server.lost)

    def test_the_wrong_upstream(self) -> None:
        done = self.shake((H2,), (H2,), "www.shop.example.com")
        self.pump.flush()
        self.successResultOf(done)
        self.names = UpstreamTls(authorities=[AUTHORITY.cert], server_name="other.example.com")
        done = self.shake((H2,), (H2,), "other.example.com")
        self.pump.flush()
        self.assertIsInstance(self.failureResultOf(done).value, TlsError)

    def test_broken_off(self) -> None:
        done = self.shake((H2, H1), (H2,))
        self.outer.connectionLost(Failure(ConnectionLost()))
        error = self.failureResultOf(done, TlsError).value
        self.assertEqual(error.reason, "handshake_broken")

    def test_cancelled(self) -> None:
        done = self.shake((H2, H1), (H2,))
        done.cancel()
        self.failureResultOf(done, CancelledError)
        self.pump.flush()
        self.assertFalse(self.server.shook_hands and self.server.lost is None)
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_asked_after_it_is_over(self) -> None:
        done = self.shake((H2, H1), (H2,))
        self.pump.flush()
        built = self.successResultOf(done)
        self.assertIs(self.successResultOf(self.handshake.done()), built)
