"""Tests of edgegw.net.listener: caps, accepting that rests, drain, reload, TLS facts."""

from __future__ import annotations

from typing import Any

from twisted.internet.address import IPv4Address, UNIXAddress
from twisted.trial.unittest import SynchronousTestCase

from edgegw.exchange.model import Response
from edgegw.net.addresses import CidrSet
from edgegw.net.listener import ConnectionCap, Listener
from edgegw.net.opening import Opening
from edgegw.net.settings import Caps
from edgegw.net.tls import ServerTls, TlsTransport
from edgegw.testing.downstream import Desk, QuietPort, Tally, answer, request
from edgegw.testing.memory import MemoryTransport
from tests.net.tlspair import store

OK = answer("200 OK", "Content-Length: 0")


def address(host: str = "192.0.2.1") -> IPv4Address:
    return IPv4Address("TCP", host, 50000)


class Street:
    """A listener as accepting sees it: peers come by `admit`, then `buildProtocol`."""

    def __init__(
        self, caps: Caps | None = None, most: int = 1000, total: ConnectionCap | None = None, **terms: Any
    ) -> None:
        desk = Desk(caps=caps)
        desk.leaves()
        self.desk = desk
        self.counts = Tally()
        self.port = QuietPort()
        self.total = total or ConnectionCap(most)
        self.listener = Listener(
            "test",
            desk.terms._replace(**terms),
            desk.current,
            desk.clock,
            desk.wheel,
            self.total,
            self.counts,  # type: ignore[arg-type]
        )
        self.listener.serve(self.port)

    def comes(self, host: str = "192.0.2.1") -> MemoryTransport | None:
        return self.built(host) if self.listener.admit(address(host)) else None

    def built(self, host: str = "192.0.2.1") -> MemoryTransport | None:
        protocol = self.listener.buildProtocol(address(host))
        if protocol is None:
            return None
        transport = MemoryTransport(protocol, host)
        transport.connect()
        return transport


class CapTests(SynchronousTestCase):
    def test_own_cap_rests_accepting_until_one_leaves(self) -> None:
        street = Street(Caps(connections=2))
        first, second = street.comes(), street.comes()
        self.assertFalse(street.port.accepting)
        self.assertEqual(street.counts.seen["refused connections"], 1)
        first.lose()
        self.assertTrue(street.port.accepting)
        self.assertIsNotNone(second)

    def test_cap_counts_what_was_accepted_and_not_built_yet(self) -> None:
        street = Street(Caps(connections=2))
        self.assertTrue(street.listener.admit(address()))
        self.assertTrue(street.port.accepting)
        self.assertTrue(street.listener.admit(address()))
        self.assertFalse(street.port.accepting, "64 may be accepted in one turn, before the first is built")

    def test_accepted_ones_that_never_came_are_not_waited_for(self) -> None:
        street = Street(Caps(connections=1))
        street.listener.admit(address())
        self.assertFalse(street.port.accepting)
        street.desk.waits(1.2)
        self.assertTrue(street.port.accepting)
        self.assertEqual(street.total.expected, 0)

    def test_total_cap_is_shared(self) -> None:
        one = Street(most=2)
        other = Street(total=one.total)
        transport = one.comes()
        other.comes()
        self.assertFalse(other.port.accepting)
        one.comes()
        self.assertFalse(one.port.accepting)
        transport.lose()
        self.assertFalse(other.port.accepting, "still one more than the cap")
        next(iter(one.listener.connections)).transport.lose()
        self.assertTrue(other.port.accepting)
        self.assertEqual(one.total.count, 1)

    def test_per_client(self) -> None:
        street = Street(Caps(per_client=2))
        first = street.comes()
        street.comes()
        self.assertIsNone(street.comes())
        self.assertEqual(street.counts.seen["refused per_client"], 1)
        self.assertIsNotNone(street.comes("192.0.2.2"))
        first.lose()
        self.assertIsNotNone(street.comes())

    def test_per_client_holds_for_a_burst(self) -> None:
        street = Street(Caps(per_client=2))
        admitted = [street.listener.admit(address()) for _ in range(5)]
        self.assertEqual(admitted, [True] * 5, "none is there yet")
        built = [street.built() for _ in range(5)]
        self.assertEqual(sum(each is not None for each in built), 2)
        self.assertEqual((street.total.expected, street.total.count), (0, 2))

    def test_per_client_leaves_trusted_proxies_out(self) -> None:
        street = Street(Caps(per_client=1), trusted=CidrSet(("10.0.0.0/8",)))
        self.assertIsNotNone(street.comes("10.1.2.3"))
        self.assertIsNotNone(street.comes("10.1.2.3"))

    def test_per_client_set_by_a_reload_knows_those_that_are_there(self) -> None:
        street = Street()
        street.comes()
        street.listener.apply(street.desk.terms._replace(caps=Caps(per_client=1)))
        self.assertIsNone(street.comes())

    def test_nothing_is_remembered_of_clients_that_left(self) -> None:
        street = Street(Caps(per_client=5))
        for number in range(5):
            street.comes(f"192.0.2.{number}").lose()
        self.assertEqual(street.listener._per_client, {})

    def test_higher_cap_by_a_reload_accepts_again(self) -> None:
        street = Street(Caps(connections=1))
        street.comes()
        self.assertFalse(street.port.accepting)
        street.listener.apply(street.desk.terms._replace(caps=Caps(connections=2)))
        self.assertTrue(street.port.accepting)

    def test_no_descriptors(self) -> None:
        street = Street()
        street.listener.exhausted(24)
        self.assertEqual(street.counts.seen["refused descriptors"], 1)


class LifeTests(SynchronousTestCase):
    def test_connection_knows_where_it_came_from(self) -> None:
        street = Street()
        protocol = street.listener.buildProtocol(address("192.0.2.9"))
        self.assertEqual((protocol.peer, protocol.peer_port, protocol.local_port), ("192.0.2.9", 50000, 80))
        unix = street.listener.buildProtocol(UNIXAddress("/run/x"))
        self.assertEqual((unix.peer, unix.peer_port), ("", 0))

    def test_reload_changes_the_next_request(self) -> None:
        desk = Desk(Response(200), caps=Caps()).says(request()).hears(OK)
        desk.listener.apply(desk.terms._replace(caps=Caps(requests=2)))
        desk.script.steps.append(Response(200))
        self.assertIn(b"Connection: close", desk.says(request()).heard())

    def test_reload_to_tls_does_not_change_the_scheme_of_those_that_are_there(self) -> None:
        desk = Desk().says(b"GET / HT")
        desk.listener.apply(desk.terms._replace(tls=ServerTls(store())))
        desk.says(request()[8:])
        self.assertEqual(desk.exchanges[0].request.scheme, "http")
        self.assertEqual(desk.listener.scheme, "https")

    def test_drain_closes_the_idle_and_waits_for_the_busy(self) -> None:
        desk = Desk(Response(200)).says(request())
        busy, transport = desk.connect()
        transport.deliver(request())
        done: list[object] = []
        desk.listener.drain().addCallback(done.append)
        desk.listener.drain().addCallback(done.append)
        self.assertEqual(desk.ended, ["lose"])
        self.assertEqual(done, [])
        self.assertEqual(list(desk.listener.connections), [busy])
        desk.replies(Response(200))
        self.assertEqual(len(done), 2)

    def test_drain_of_none_is_over_at_once(self) -> None:
        desk = Desk()
        desk.leaves()
        self.assertIsNone(self.successResultOf(desk.listener.drain()))

    def test_connection_that_comes_during_the_drain_may_ask_once(self) -> None:
        desk = Desk(Response(200))
        desk.listener.drain()
        _, transport = desk.connect()
        self.assertEqual(transport.ended, [])
        transport.deliver(request())
        self.assertIn(b"Connection: close", transport.written)
        self.assertEqual(transport.ended, ["lose"])

    def test_no_accepting_while_draining(self) -> None:
        street = Street(Caps(connections=1))
        transport = street.comes()
        street.listener.drain()
        transport.lose()
        self.assertFalse(street.port.accepting)

    def test_abort(self) -> None:
        desk = Desk().says(request())
        desk.connect()
        desk.listener.abort()
        self.assertEqual(desk.ended, ["abort"])
        self.assertEqual(desk.listener.connections, {})

    def test_stop_accepting_keeps_connections(self) -> None:
        desk = Desk(Response(200))
        self.successResultOf(desk.listener.stop_accepting())
        self.successResultOf(desk.listener.stop_accepting())
        self.assertTrue(desk.port.stopped)
        desk.says(request()).hears(OK)

    def test_bound_first_then_accepting(self) -> None:
        street = Street()
        street.port.accepting = False
        street.listener.resume_accepting()
        self.assertTrue(street.port.accepting)

    def test_counts(self) -> None:
        desk = Desk()
        desk.leaves()
        self.assertEqual(desk.counts.seen, {"opened": 1, "closed": 1})

    def test_repr(self) -> None:
        desk = Desk()
        self.assertEqual(repr(desk.listener), "<Listener test http accepting, 1 connections>")


class TlsTests(SynchronousTestCase):
    def secure(self) -> tuple[Desk, TlsTransport, MemoryTransport]:
        desk = Desk(tls=ServerTls(store()))
        desk.leaves()
        desk.counts.seen.clear()
        tls = desk.listener.buildProtocol(address())
        transport = MemoryTransport(tls)
        transport.connect()
        return desk, tls, transport

    def test_is_put_below(self) -> None:
        desk, tls, _ = self.secure()
        self.assertIsInstance(tls, TlsTransport)
        (connection,) = desk.listener.connections
        self.assertIsInstance(connection, Opening)
        self.assertIsNone(connection.tls)

    def test_handshake_deadline(self) -> None:
        desk, _, transport = self.secure()
        desk.waits(9.8)
        self.assertEqual(transport.ended, [])
        desk.waits(0.4)
        self.assertEqual(transport.ended, ["abort"])
        self.assertEqual(desk.counts.seen["handshake handshake_timeout"], 1)

    def test_handshake_that_the_peer_gave_up(self) -> None:
        desk, _, transport = self.secure()
        transport.lose()
        self.assertEqual(desk.counts.seen["handshake handshake_aborted"], 1)

    def test_handshake_that_is_none(self) -> None:
        desk, _, transport = self.secure()
        transport.deliver(b"GET / HTTP/1.1\r\n\r\n")
        transport.lose()
        self.assertEqual(desk.counts.seen["handshake not_tls"], 1)

    def test_drain_waits_for_the_handshake(self) -> None:
        desk, _, transport = self.secure()
        desk.listener.drain()
        self.assertEqual(transport.ended, [])
        desk.waits(10.2)
        self.assertEqual(transport.ended, ["abort"])
