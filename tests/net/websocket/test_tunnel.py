"""The tunnel: bytes, half-closes, and its few rules."""

from __future__ import annotations

from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import IHalfCloseableProtocol, IProtocol, IPushProducer
from zope.interface.verify import verifyObject

from edgegw.net.websocket.settings import WebSocketSettings
from edgegw.net.websocket.tunnel import Tunnel
from tests.net.websocket.pair import PairCase


class SpliceTests(PairCase):
    def test_both_ways_untouched(self) -> None:
        tunnel = self.tunnel(b"early from the client ", b"early from the server ")
        self.client.transport.deliver(b"\x81\xff not a frame")
        self.server.transport.deliver(b"\x00")
        self.assertEqual(self.server.transport.written, b"early from the client \x81\xff not a frame")
        self.assertEqual(self.client.transport.written, b"early from the server \x00")
        self.assertEqual(repr(tunnel), "<Tunnel open <End downstream open bytes=36> <End upstream open bytes=23>>")

    def test_interfaces(self) -> None:
        self.tunnel()
        for interface in (IProtocol, IHalfCloseableProtocol, IPushProducer):
            verifyObject(interface, self.client.transport.protocol)

    def test_the_upstream_waits_for_the_downstream(self) -> None:
        tunnel = Tunnel(WebSocketSettings(), self.wheel)
        self.server.transport.protocol = tunnel.connect_upstream(self.server.transport, b"a")
        self.assertFalse(self.server.transport.reading)
        self.server.transport.protocol.dataReceived(b"b")
        self.client.transport.protocol = tunnel.connect(self.client.transport, b"")
        self.assertEqual(self.client.transport.written, b"ab")
        self.assertTrue(self.server.transport.reading)

    def test_a_slow_side_stops_the_reading_of_the_other(self) -> None:
        self.tunnel()
        for slow, fast in ((self.server, self.client), (self.client, self.server)):
            slow.transport.congest()
            self.assertFalse(fast.transport.reading)
            fast.transport.protocol.dataReceived(b"one read more")
            self.assertEqual(slow.transport.writes, [])
            slow.transport.relieve()
            self.assertEqual(slow.transport.writes, [b"one read more"])
            self.assertTrue(fast.transport.reading)

    def test_counts(self) -> None:
        tunnel = self.tunnel()
        self.client.transport.deliver(b"abc")
        self.server.transport.deliver(b"defgh")
        self.assertEqual(tunnel.carried, (3, 5))
        self.client.lose()
        self.assertEqual(self.server.ended, ["lose"])
        found = self.outcome()
        self.assertEqual((found.bytes_in, found.bytes_out, found.messages_in), (3, 5, 0))
        self.assertEqual(self.summary(), ("closed", "downstream", None))


class EndTests(PairCase):
    def test_either_side_ends_the_other(self) -> None:
        for first, second, by in ((self.client, self.server, "downstream"), (self.server, self.client, "upstream")):
            self.setUp()
            first, second = (self.client, self.server) if by == "downstream" else (self.server, self.client)
            self.tunnel()
            first.transport.lose(ConnectionLost())
            self.assertEqual(second.ended, ["lose"])
            self.assertEqual(self.summary(), ("lost", by, None))
            self.assertEqual(len(self.wheel), 0)

    def test_what_was_written_leaves_first_and_a_dead_reader_is_cut(self) -> None:
        self.tunnel()
        self.client.transport.congest(100)
        self.server.lose()
        self.assertEqual((self.client.ended, self.client.transport.connected), (["lose"], True))
        for left in (90, 80, 70):
            self.client.transport.stuck = left
            self.wait(2.1)
        self.wait(1)
        self.assertEqual(self.client.ended, ["lose"])
        self.wait(7)
        self.assertEqual(self.client.ended, ["lose", "abort"])
        self.assertEqual(len(self.outcomes), 1)

    def test_what_was_read_before_the_loss_arrives(self) -> None:
        self.tunnel()
        self.client.transport.congest()
        self.server.transport.protocol.dataReceived(b"last words")
        self.server.lose()
        self.assertEqual(self.client.transport.written, b"last words")

    def test_half_close(self) -> None:
        """Its end is passed on; the other may still talk, and its own end ends both."""
        self.tunnel()
        self.client.transport.protocol.readConnectionLost()
        self.assertEqual((self.server.ended, self.client.ended), (["half_close"], []))
        self.server.transport.deliver(b"an answer")
        self.assertEqual(self.client.transport.written, b"an answer")
        self.server.transport.protocol.readConnectionLost()
        self.assertEqual(self.client.ended, ["lose"])
        self.assertEqual(self.server.ended, ["half_close", "lose"])
        self.assertEqual(len(self.outcomes), 1)

    def test_half_close_where_there_is_none(self) -> None:
        """TLS, a stream of HTTP/2."""
        self.server.transport.loseWriteConnection = None  # type: ignore[method-assign, assignment]
        self.tunnel()
        self.client.transport.protocol.readConnectionLost()
        self.assertEqual(self.server.ended, ["lose"])

    def test_idle(self) -> None:
        self.tunnel(idle="10s")
        self.wait(9)
        self.server.transport.deliver(b"x")
        self.wait(9)
        self.assertEqual((self.client.ended, self.server.ended), ([], []))
        self.wait(1.3)
        self.assertEqual((self.client.ended, self.server.ended), (["lose"], ["lose"]))
        self.assertEqual(self.summary(), ("idle", "gateway", None))

    def test_never_idle(self) -> None:
        self.tunnel(idle=0)
        self.wait(400)
        self.assertEqual((self.outcomes, len(self.wheel)), ([], 0))

    def test_drain(self) -> None:
        """A grace in which the two may part by themselves, then both are closed, then cut."""
        tunnel = self.tunnel()
        tunnel.drain()
        self.client.transport.deliver(b"still passed on")
        self.assertEqual(self.server.transport.written, b"still passed on")
        self.wait(4.8)
        self.assertEqual(self.client.ended, [])
        self.client.transport.congest(5)
        self.wait(0.4)
        self.assertEqual((self.client.ended, self.server.ended), (["lose"], ["lose"]))
        self.wait(2.2)
        self.assertEqual(self.client.ended, ["lose", "abort"])
        self.assertEqual(self.summary(), ("drained", "gateway", None))

    def test_abandoned(self) -> None:
        tunnel = Tunnel(WebSocketSettings(), self.wheel, ended=self.outcomes.append)
        self.server.transport.protocol = tunnel.connect_upstream(self.server.transport, b"")
        tunnel.abandon()
        tunnel.abandon()
        self.assertEqual(self.server.ended, ["lose"])
        self.assertEqual(self.summary(), ("abandoned", "downstream", None))

    def test_abandoned_before_anything(self) -> None:
        Tunnel(WebSocketSettings(), self.wheel, ended=self.outcomes.append).abandon()
        self.assertEqual(self.summary(), ("abandoned", "downstream", None))

    def test_abandon_means_nothing_later(self) -> None:
        self.tunnel().abandon()
        self.assertEqual((self.outcomes, self.server.ended), ([], []))

    def test_the_upstream_is_lost_before_the_downstream_comes(self) -> None:
        """The downstream connection is closed, though not inside `connect`, whose caller could not be told yet."""
        tunnel = Tunnel(WebSocketSettings(), self.wheel, ended=self.outcomes.append)
        self.server.transport.protocol = tunnel.connect_upstream(self.server.transport, b"last words")
        self.server.lose()
        self.client.transport.protocol = tunnel.connect(self.client.transport, b"")
        self.assertEqual((self.client.transport.written, self.client.ended), (b"last words", []))
        self.wait(0.2)
        self.assertEqual(self.client.ended, ["lose"])
        self.assertEqual(self.summary(), ("closed", "upstream", None))
