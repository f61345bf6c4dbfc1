"""Upstreams that want a PROXY header: each connection begins with one, and belongs to one exchange."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.trial.unittest import SynchronousTestCase

from edgegw.errors import GatewayError
from edgegw.exchange.model import Exchange
from edgegw.net.call import Call
from edgegw.net.resolver import Resolver
from edgegw.net.tls import UpstreamTls
from edgegw.net.upstream import Http1Upstream
from edgegw.runtime.wheel import Wheel
from edgegw.testing.exchanges import FakeConnection, make_exchange
from edgegw.testing.origin import Origin, answer
from edgegw.upstream.address import EndpointSettings, EndpointUrl
from edgegw.upstream.connect import Connector
from edgegw.upstream.endpoint import Endpoint
from edgegw.upstream.introduction import ProxyVersion
from edgegw.upstream.pool import Pool, PoolSettings
from tests.net.tlspair import AUTHORITY

LINE = b"PROXY TCP4 192.0.2.1 192.0.2.254 50000 80\r\n"


def exchange_of(peer: str) -> Exchange:
    connection = FakeConnection()
    connection.peer = peer
    return make_exchange(connection=connection)


class PoolTests(SynchronousTestCase):
    """A pool whose connections are not shared."""

    def setUp(self) -> None:
        self.origin = Origin()

    def pool(self, **settings: Any) -> Pool:
        self.made = Pool(PoolSettings(**settings), self.origin.wheel, self.origin.connect, shared=False)
        return self.made

    def serve(self, connection: Any) -> None:
        """One whole exchange on it."""
        call = Call("GET", "/", [(b"host", b"Host", b"a")], None, 0, (15, 60), lambda head: None)
        answered = connection.send(call)
        connection.transport.send(answer())
        self.successResultOf(answered)

    def named(self, made: list[str], name: str) -> Callable[[], Deferred[Any]]:
        def connect() -> Deferred[Any]:
            made.append(name)
            return self.origin.connect()

        return connect

    def test_one_exchange_each(self) -> None:
        pool = self.pool()
        first = self.successResultOf(pool.connection())
        self.serve(first)
        self.assertTrue(first.transport.closed)
        self.assertFalse(first.transport.aborted)
        self.assertIsNone(pool.take())
        self.assertEqual((pool.open, pool.idle_count), (0, 0))

    def test_who_waits_gets_one_of_his_own(self) -> None:
        pool, made = self.pool(max=1), []
        first = self.successResultOf(pool.connection(self.named(made, "a")))
        waiting = [pool.connection(self.named(made, name)) for name in "bc"]
        self.assertEqual((made, pool.queued), (["a"], 2))
        self.serve(first)
        second = self.successResultOf(waiting[0])
        self.assertIsNot(second, first)
        self.assertNoResult(waiting[1])
        self.serve(second)
        self.serve(self.successResultOf(waiting[1]))
        self.assertEqual((made, pool.open, len(self.origin.connections)), (["a", "b", "c"], 0, 3))

    def test_the_cap_and_the_queue_hold(self) -> None:
        pool = self.pool(max=2, queue=1)
        self.successResultOf(pool.connection())
        self.successResultOf(pool.connection())
        waiting = pool.connection()
        self.assertEqual(self.failureResultOf(pool.connection(), GatewayError).value.reason, "pool_queue_full")
        self.origin.turn(2.2)
        self.assertEqual(self.failureResultOf(waiting, GatewayError).value.reason, "pool_queue_timeout")

    def test_one_that_comes_too_late_is_for_nobody(self) -> None:
        pool = self.pool(max=1)
        first = self.successResultOf(pool.connection())
        late: Deferred[Http1Upstream] = Deferred(lambda _: late.callback(self.origin.accept()))
        waiting = pool.connection(lambda: late)
        first.transport.reset()
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)
        self.assertTrue(self.origin.connections[-1].closed)
        self.assertEqual(pool.open, 0)

    def test_shared_ones_can_be_asked_for_in_the_same_way(self) -> None:
        pool, made = Pool(PoolSettings(), self.origin.wheel, self.origin.connect), []
        connection = self.successResultOf(pool.connection(self.named(made, "own")))
        self.serve(connection)
        self.assertEqual((made, pool.idle_count), (["own"], 1))


class EndpointTests(SynchronousTestCase):
    """What an endpoint asks its connector for."""

    def endpoint(self, proxy_protocol: ProxyVersion | None) -> Endpoint:
        self.asked: list[tuple[Any, Any, bytes]] = []
        origin = Origin()
        accept = origin.accept

        def connect(url: Any, protocol: Any = None, preamble: bytes = b"") -> Deferred[Any]:
            self.asked.append((url.host, protocol, preamble))
            return succeed(accept())

        origin.connect = connect  # type: ignore[method-assign]
        return Endpoint(
            EndpointSettings(url="http://o:80"), PoolSettings(), cast(Any, origin), origin.wheel, proxy_protocol
        )

    def test_each_connection_introduces_its_own_client(self) -> None:
        endpoint = self.endpoint("v1")
        for peer in ("192.0.2.1", "192.0.2.9"):
            self.successResultOf(endpoint.connection(exchange_of(peer)))
        headers = [LINE, LINE.replace(b"192.0.2.1 ", b"192.0.2.9 ")]
        self.assertEqual(self.asked, [("o", "http1", header) for header in headers])

    def test_none_is_kept(self) -> None:
        for version, kept in (("v1", 0), ("v2", 0), (None, 1)):
            endpoint = self.endpoint(cast(Any, version))
            connection: Any = self.successResultOf(endpoint.connection(exchange_of("192.0.2.1")))
            connection.send(Call("GET", "/", [(b"host", b"Host", b"a")], None, 0, (15, 60), lambda head: None))
            connection.transport.send(answer())
            self.assertEqual((endpoint.pool.open, endpoint.pool.idle_count), (kept, kept), version)

    def test_so_do_those_for_other_protocols(self) -> None:
        endpoint = self.endpoint("v2")
        self.successResultOf(endpoint.connect_http1(exchange_of("192.0.2.1")))
        ((_, protocol, header),) = self.asked
        self.assertEqual((protocol, header[:12]), ("http1", b"\r\n\r\n\0\r\nQUIT\n"))
        self.assertEqual(endpoint.pool.open, 0)

    def test_nothing_is_said_where_it_is_not_wanted(self) -> None:
        endpoint = self.endpoint(None)
        self.successResultOf(endpoint.connection(exchange_of("192.0.2.1")))
        self.successResultOf(endpoint.connect_http1(exchange_of("192.0.2.1")))
        self.assertEqual(self.asked, [("o", None, b""), ("o", "http1", b"")])


class ConnectorTests(SynchronousTestCase):
    """On a reactor in memory: what is on the wire, in which order."""

    def dial(self, url: str, protocol: Any = None) -> tuple[Deferred[Any], StringTransport]:
        reactor = MemoryReactorClock()
        resolver = Resolver(reactor, lambda name: succeed(["10.0.0.1"]))
        self.addCleanup(resolver.stop)
        wheel = Wheel(reactor)
        connector = Connector(reactor, wheel, resolver, UpstreamTls(authorities=[AUTHORITY.cert]), 3.0)
        dialling = connector.connect(EndpointUrl.parse(url), protocol, LINE)
        transport = StringTransport()
        reactor.tcpClients[-1][2].buildProtocol(None).makeConnection(transport)
        return dialling, transport

    def test_clear_text(self) -> None:
        dialling, transport = self.dial("http://h")
        connection = self.successResultOf(dialling)
        self.assertIsInstance(connection, Http1Upstream)
        self.assertEqual(transport.value(), LINE)
        self.assertIs(connection.transport, transport)
        connection.send(Call("GET", "/", [(b"host", b"Host", b"a")], None, 0, (15, 60), lambda head: None))
        self.assertTrue(transport.value().startswith(LINE + b"GET / HTTP/1.1\r\n"))

    def test_before_tls(self) -> None:
        dialling, transport = self.dial("https://h", "http1")
        self.assertNoResult(dialling)
        self.assertTrue(transport.value().startswith(LINE + b"\x16\x03"))
        self.assertNotIn(b"\x02h2", transport.value())
        dialling.addErrback(lambda _: None).cancel()
