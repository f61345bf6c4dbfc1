"""Tests of edgegw.net.proxied: who must introduce himself, who may not, and what a listener makes of it."""

from __future__ import annotations

from typing import Any

from twisted.internet.address import IPv4Address, UNIXAddress
from twisted.internet.error import ConnectionLost
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from edgegw.exchange.model import Response
from edgegw.net.addresses import CidrSet
from edgegw.net.downstream import Http1Downstream
from edgegw.net.http2_downstream import Http2Downstream
from edgegw.net.opening import Opening
from edgegw.net.proxied import ClaimedAddress, IAddress, Proxied
from edgegw.net.settings import Caps
from edgegw.net.tls import ServerTls, TlsTransport
from edgegw.testing.downstream import Desk, QuietPort, answer, request
from edgegw.testing.memory import MemoryTransport
from edgegw.wire.proxy_header import PROXY_REASONS, ProxyAddress, ProxyHeader
from edgegw.wire.proxy_protocol import encode_v1, encode_v2, proxy_tlvs
from tests.net.tlspair import store
from tests.wire.test_proxy_protocol import FAULTS, HEADERS

OK = answer("200 OK", "Content-Length: 0")
PROXY, STRANGER = "10.0.0.1", "192.0.2.77"
BOTH = ("http1", "http2")


def ends(host: str = "198.51.100.7", port: int = 4711) -> tuple[ProxyAddress, ProxyAddress]:
    there = ProxyAddress("2001:db8::443" if ":" in host else "203.0.113.1", 443)
    return ProxyAddress(host, port), there


INTRODUCTION = encode_v1(*ends())


class ProxyDesk(Desk):
    """A listener that trusts 10.0.0.0/8 to introduce others; its connection comes from there unless said otherwise."""

    def __init__(self, *steps: Any, peer: Any = PROXY, proxied: str = "10.0.0.0/8", **more: Any) -> None:
        self.peer = peer
        self.proxied = CidrSet((proxied,))
        trusted = more.pop("trusted", CidrSet())
        super().__init__(*steps, **more)
        self.terms = self.terms._replace(proxied=self.proxied, trusted=trusted)
        self.leaves()
        self.counts.seen.clear()
        self.listener.apply(self.terms)
        self.port = QuietPort()
        self.listener.serve(self.port)
        self.connection, self.transport = self.connect(peer)

    def connect(self, peer: Any = "192.0.2.1") -> tuple[Any, MemoryTransport]:
        addr = IPv4Address("TCP", peer, 50000) if isinstance(peer, str) else peer
        self.listener.admit(addr)
        connection = self.listener.buildProtocol(addr)
        transport = MemoryTransport(connection, peer if isinstance(peer, str) else "")
        transport.connect()
        return connection, transport

    @property
    def speaks(self) -> type:
        return type(self.transport.protocol)

    @property
    def came(self) -> tuple[str, int, str, int]:
        """Who the last exchange came from, and where it came to."""
        connection = self.exchanges[-1].connection
        return connection.peer, connection.peer_port, connection.local_host, connection.local_port


class IntroductionTests(SynchronousTestCase):
    """What is made of a header."""

    def test_claims_are_who_comes(self) -> None:
        for encode in (encode_v1, encode_v2):
            for host in ("198.51.100.7", "2001:db8::7"):
                desk = ProxyDesk(Response(200)).says(encode(*ends(host)) + request()).hears(OK)
                there = "2001:db8::443" if ":" in host else "203.0.113.1"
                self.assertEqual(desk.came, (host, 4711, there, 443))
                self.assertEqual(desk.exchanges[0].client, host)

    def test_byte_by_byte_and_in_one_piece_with_the_request(self) -> None:
        data = encode_v2(*ends(), proxy_tlvs(authority="a"), checksum=True)
        whole = data + request()
        for step in (1, 3, 16, len(data), len(whole)):
            desk = ProxyDesk(Response(200)).says(*(whole[at : at + step] for at in range(0, len(whole), step)))
            desk.hears(OK)
            self.assertEqual(desk.came[:2], ("198.51.100.7", 4711), step)

    def test_nothing_stays_in_the_way(self) -> None:
        desk = ProxyDesk(Response(200))
        self.assertIs(desk.speaks, Proxied)
        desk.says(INTRODUCTION)
        self.assertIs(desk.speaks, Http1Downstream)
        self.assertEqual(desk.transport.protocol.transport, desk.transport)
        self.assertEqual(list(desk.listener.connections), [desk.transport.protocol])
        self.assertIn("handed over", repr(desk.connection))
        desk.waits(11)
        self.assertEqual(desk.ended, [], "the deadline of the header is over")

    def test_mapped_addresses_are_plain_ones(self) -> None:
        mapped = ProxyAddress("::ffff:198.51.100.7", 1), ProxyAddress("::ffff:203.0.113.1", 2)
        desk = ProxyDesk(Response(200)).says(encode_v2(*mapped) + request()).hears(OK)
        self.assertEqual(desk.came, ("198.51.100.7", 1, "203.0.113.1", 2))

    def test_a_unix_socket_of_the_proxy(self) -> None:
        unix = ProxyAddress("", 0, b"/run/a")
        desk = ProxyDesk(Response(200)).says(encode_v2(unix, unix) + request()).hears(OK)
        self.assertEqual(desk.came, ("", 0, "", 0))

    def test_a_proxy_on_a_unix_socket(self) -> None:
        desk = ProxyDesk(Response(200), peer=UNIXAddress(None), proxied="unix")
        self.assertIs(desk.speaks, Proxied)
        desk.says(INTRODUCTION + request()).hears(OK)
        self.assertEqual(desk.came[0], "198.51.100.7")

    def test_who_introduces_nobody_is_himself(self) -> None:
        for data in (encode_v1(None, None), encode_v2(None, None), encode_v2(*ends(), local=True)):
            desk = ProxyDesk(Response(200)).says(data + request()).hears(OK)
            self.assertEqual(desk.came, (PROXY, 50000, "192.0.2.254", 80), data)
            self.assertIsNone(desk.transport.protocol.proxied)

    def test_every_header_of_the_tables(self) -> None:
        for name, data, header in HEADERS:
            desk = ProxyDesk(Response(200)).says(data + request()).hears(OK)
            source = header.source
            self.assertEqual(desk.came[0], PROXY if source is None else source.host, name)

    def test_then_detection(self) -> None:
        desk = ProxyDesk(Response(200), protocols=BOTH).says(INTRODUCTION)
        self.assertIs(desk.speaks, Opening)
        desk.says(request()).hears(OK)
        self.assertEqual(desk.came, ("198.51.100.7", 4711, "203.0.113.1", 443))
        desk = ProxyDesk(protocols=BOTH).says(INTRODUCTION + b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        self.assertIs(desk.speaks, Http2Downstream)
        self.assertEqual(
            (desk.transport.protocol.peer, desk.transport.protocol.local_host), ("198.51.100.7", "203.0.113.1")
        )

    def test_then_tls(self) -> None:
        desk = ProxyDesk(tls=ServerTls(store())).says(INTRODUCTION)
        self.assertIs(desk.speaks, TlsTransport)
        (opening,) = desk.listener.connections
        self.assertEqual((opening.peer, opening.local_port), ("198.51.100.7", 443))
        desk.says(b"GET / HTTP/1.1\r\n\r\n").leaves()
        self.assertEqual(desk.counts.seen["handshake not_tls"], 1)
        self.assertEqual(desk.listener.connections, {})

    def test_what_was_said_can_be_asked(self) -> None:
        desk = ProxyDesk(Response(200)).says(
            encode_v2(*ends(), proxy_tlvs(authority="shop", unique_id=b"7")) + request()
        )
        claimed = desk.exchanges[0].connection.proxied
        verifyObject(IAddress, claimed)
        self.assertEqual((claimed.header.authority, claimed.header.unique_id), ("shop", b"7"))
        self.assertIn("198.51.100.7:4711", repr(claimed))

    def test_only_addresses_can_be_claimed(self) -> None:
        self.assertRaises(AssertionError, ClaimedAddress, ProxyHeader(1, False, None, None))


class TrustTests(SynchronousTestCase):
    """Who must, and who may not."""

    def test_a_stranger_is_served_as_himself(self) -> None:
        desk = ProxyDesk(Response(200), peer=STRANGER)
        self.assertIs(desk.speaks, Http1Downstream)
        desk.says(request()).hears(OK)
        self.assertEqual(desk.came, (STRANGER, 50000, "192.0.2.254", 80))

    def test_a_header_of_a_stranger_is_a_bad_request(self) -> None:
        for data in (INTRODUCTION, encode_v2(*ends())):
            for protocols in (("http1",), BOTH):
                desk = ProxyDesk(peer=STRANGER, protocols=protocols).says(data + request())
                self.assertTrue(desk.heard().startswith(b"HTTP/1.1 400 "), data)
                self.assertEqual(desk.exchanges[-1].client, STRANGER)

    def test_a_second_header_is_a_bad_request(self) -> None:
        desk = ProxyDesk().says(INTRODUCTION + INTRODUCTION + request())
        self.assertTrue(desk.heard().startswith(b"HTTP/1.1 400 "))

    def test_without_the_key_nobody_is_believed(self) -> None:
        desk = ProxyDesk()
        desk.listener.apply(desk.terms._replace(proxied=None))
        desk.connection, desk.transport = desk.connect(PROXY)
        self.assertIs(desk.speaks, Http1Downstream)

    def test_faults_end_the_connection_and_are_counted(self) -> None:
        for name, data, reason in FAULTS:
            for step in (1, len(data)):
                with self.subTest(name=name, step=step):
                    desk = ProxyDesk().says(*(data[at : at + step] for at in range(0, len(data), step)))
                    desk.says(request())
                    self.assertEqual((desk.ended, desk.transport.written), (["abort"], b""))
                    self.assertEqual(desk.counts.seen, {"opened": 1, "closed": 1, f"refused {reason}": 1})
                    self.assertEqual(desk.exchanges, [])
        self.assertEqual({reason for _, _, reason in FAULTS}, set(PROXY_REASONS))

    def test_bytes_behind_a_fault_are_not_read(self) -> None:
        """A transport may deliver what it had read before it heard of the end."""
        desk = ProxyDesk()
        desk.says(b"x")
        desk.connection.dataReceived(INTRODUCTION + request())
        self.assertEqual((desk.exchanges, desk.counts.seen["refused proxy_header_missing"]), ([], 1))

    def test_deadline(self) -> None:
        for said in ((), (INTRODUCTION[:20],), (b"\r\n\r\n",)):
            desk = ProxyDesk(caps=Caps(handshake="5s")).says(*said).waits(4.8)
            self.assertEqual(desk.ended, [])
            # Bytes that come one by one do not move it.
            desk.says(b"").waits(0.4)
            self.assertEqual(desk.ended, ["abort"])
            self.assertEqual(desk.counts.seen["refused proxy_header_timeout"], 1)
            self.assertEqual(desk.counts.seen["closed"], 1)

    def test_a_proxy_that_leaves(self) -> None:
        for reason in (None, ConnectionLost()):
            desk = ProxyDesk().says(INTRODUCTION[:7]).leaves(reason)
            self.assertEqual(desk.counts.seen, {"opened": 1, "closed": 1, "refused proxy_header_aborted": 1})
            desk.waits(11)
            self.assertEqual(desk.counts.seen["refused proxy_header_timeout"], 0)

    def test_nothing_of_it_is_an_error_in_the_log(self) -> None:
        ProxyDesk().says(b"GET / HTTP/1.1\r\n\r\n")
        ProxyDesk().waits(11)
        ProxyDesk().leaves()
        self.assertEqual(self.flushLoggedErrors(), [])


class CapTests(SynchronousTestCase):
    """What counts for whom."""

    def introduce(self, desk: ProxyDesk, data: bytes = INTRODUCTION, peer: str = PROXY) -> MemoryTransport:
        _, transport = desk.connect(peer)
        transport.deliver(data)
        return transport

    def test_per_client_counts_who_was_introduced(self) -> None:
        desk = ProxyDesk(caps=Caps(per_client=2)).says(INTRODUCTION)
        self.assertEqual(self.introduce(desk).ended, [])
        third = self.introduce(desk)
        self.assertEqual((third.ended, third.written), (["abort"], b""))
        self.assertEqual(desk.counts.seen["refused per_client"], 1)
        self.assertEqual(desk.counts.seen["refused proxy_header_aborted"], 0)
        self.assertEqual(self.introduce(desk, encode_v1(*ends("198.51.100.8"))).ended, [])
        desk.leaves()
        self.assertEqual(self.introduce(desk).ended, [])

    def test_per_client_never_counts_the_proxy(self) -> None:
        desk = ProxyDesk(caps=Caps(per_client=1))
        waiting = [desk.connect(PROXY)[1] for _ in range(5)]
        own = [self.introduce(desk, encode_v2(None, None, local=True)) for _ in range(3)]
        self.assertTrue(desk.listener.admit(IPv4Address("TCP", PROXY, 1)), "also when many of its own are there")
        self.assertEqual([each.ended for each in waiting + own], [[]] * 8)

    def test_a_proxy_introduced_by_another_is_counted(self) -> None:
        desk = ProxyDesk(caps=Caps(per_client=1))
        self.assertEqual(self.introduce(desk, encode_v1(*ends(PROXY))).ended, [])
        self.assertEqual(self.introduce(desk, encode_v1(*ends(PROXY))).ended, ["abort"])

    def test_per_client_leaves_trusted_proxies_out(self) -> None:
        desk = ProxyDesk(caps=Caps(per_client=1), trusted=CidrSet(("198.51.100.0/24",)))
        self.assertEqual([self.introduce(desk).ended for _ in range(3)], [[]] * 3)

    def test_per_client_still_counts_strangers_when_they_come(self) -> None:
        desk = ProxyDesk(caps=Caps(per_client=1), peer=STRANGER)
        self.assertFalse(desk.listener.admit(IPv4Address("TCP", STRANGER, 1)))
        self.assertEqual(desk.counts.seen["refused per_client"], 1)

    def test_the_other_caps_count_from_the_beginning(self) -> None:
        desk = ProxyDesk(caps=Caps(connections=2))
        _, other = desk.connect(PROXY)
        self.assertFalse(desk.port.accepting)
        self.assertEqual(desk.total.count, 2)
        desk.says(INTRODUCTION)
        self.assertEqual((desk.total.count, desk.port.accepting), (2, False))
        other.deliver(b"x")
        self.assertEqual((desk.total.count, desk.port.accepting), (1, True))

    def test_counted_once_whatever_becomes_of_it(self) -> None:
        for data in (INTRODUCTION, INTRODUCTION + request(), b"", b"x", encode_v1(None, None)):
            desk = ProxyDesk(Response(200), protocols=BOTH).says(data)
            if not desk.ended:
                desk.leaves()
            self.assertEqual((desk.counts.seen["opened"], desk.counts.seen["closed"]), (1, 1), data)
            self.assertEqual((desk.total.count, desk.listener.connections, desk.listener._per_client), (0, {}, {}))


class EndTests(SynchronousTestCase):
    """Drain and stop while a header is awaited."""

    def test_drain_waits_a_moment_for_the_header(self) -> None:
        desk = ProxyDesk(Response(200))
        done: list[object] = []
        desk.listener.drain().addCallback(done.append)
        self.assertEqual((desk.ended, done), ([], []))
        desk.says(INTRODUCTION)
        self.assertEqual(desk.ended, [])
        desk.says(request())
        self.assertIn(b"Connection: close", desk.heard())
        self.assertEqual((desk.ended, done), (["lose"], [None]))

    def test_drain_does_not_wait_for_ever(self) -> None:
        desk = ProxyDesk()
        done: list[object] = []
        desk.listener.drain().addCallback(done.append)
        desk.waits(1.2)
        self.assertEqual((desk.ended, done), (["abort"], [None]))

    def test_one_that_comes_during_the_drain(self) -> None:
        desk = ProxyDesk()
        desk.leaves()
        desk.listener.draining = True
        _, transport = desk.connect(PROXY)
        desk.waits(1.2)
        self.assertEqual(transport.ended, ["abort"])

    def test_abort(self) -> None:
        desk = ProxyDesk()
        desk.listener.abort()
        self.assertEqual((desk.ended, desk.listener.connections), (["abort"], {}))
        self.assertEqual(desk.counts.seen["refused proxy_header_aborted"], 0)

    def test_repr(self) -> None:
        desk = ProxyDesk()
        self.assertEqual(repr(desk.connection), "<Proxied 10.0.0.1:50000 awaiting its header>")
        desk.says(b"x")
        self.assertEqual(repr(desk.connection), "<Proxied 10.0.0.1:50000 refused>")
