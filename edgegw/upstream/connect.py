"""How a connection to an endpoint is made: its name looked up, every address tried, TLS verified, the protocol agreed on.

All of it has one deadline.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, fail
from twisted.internet.error import (
    ConnectError,
    ConnectingCancelledError,
    ConnectionLost,
    ConnectionRefusedError,
    TimeoutError,
)
from twisted.internet.interfaces import IAddress, ITCPTransport
from twisted.internet.protocol import ClientFactory
from twisted.python.failure import Failure

from edgegw.errors import GatewayError, Phase, Retry, Side
from edgegw.net.call import UpstreamConnection
from edgegw.net.endpoints import connect
from edgegw.net.http2_upstream import STREAMS, Http2Upstream
from edgegw.net.preamble import PreambleFactory
from edgegw.net.resolver import ResolveError, Resolver
from edgegw.net.sockets import Place, TcpPlace, UnixPlace
from edgegw.net.tls import TlsError, UpstreamTls, wrap_client
from edgegw.net.upstream import Http1Upstream
from edgegw.runtime.wheel import Wheel
from edgegw.upstream.address import EndpointUrl, Protocol
from edgegw.upstream.handshake import Handshake
from edgegw.wire.http1_limits import RESPONSE_LIMITS

_Dial = Callable[[Place, float], Awaitable[Any]]
"""(where, seconds) -> a connection."""


Guard = Callable[[EndpointUrl, str], str | None]
"""Why a connection to this address of an endpoint must not be made, in words; None: it may be."""


class Connector:
    """Makes the connections of one upstream.

    Args:
        reactor: for sockets and time. tls: for https endpoints; None when there are none. timeout_s: for all of it together.
        protocol: as configured.

    guard: asked about every address that a host leads to, before it is connected to: what discovery names may lead anywhere, and
    elsewhere a moment later (reference/trust.md A5). None: all may be.
    """

    def __init__(
        self,
        reactor: Any,
        wheel: Wheel,
        resolver: Resolver,
        tls: UpstreamTls | None,
        timeout_s: float,
        protocol: Protocol = "auto",
    ) -> None:
        self._reactor = reactor
        self._wheel = wheel
        self._resolver = resolver
        self._tls = tls
        self._timeout_s = timeout_s
        self._protocol = protocol
        self._turn = 0
        self.guard: Guard | None = None

    def expected_room(self, url: EndpointUrl) -> int:
        """Exchanges that a connection will carry at once, as far as that can be said before the first is made."""
        return STREAMS if url.http2 or self._protocol == "http2" else 1

    def connect(
        self, url: EndpointUrl, protocol: Protocol | None = None, preamble: bytes = b""
    ) -> Deferred[UpstreamConnection]:
        """Connect. Cancelling it ends the attempt.

        Args:
            protocol: instead of what is configured, for exchanges that only one version of HTTP can carry.
            preamble: what is sent first, before TLS.

        Raises (through the Deferred):
            GatewayError: 503 `connect_refused`, `connect_failed`, `connect_timeout`, `resolve_failed`, `address_refused`, with
            Retry-After; 502 `upstream_tls`, `upstream_not_http2`, `upstream_closed`, `upstream_reset`. All may be tried again
            elsewhere: nothing was sent.
            502 `upstream_http2_only`: HTTP/1.1 is asked for and the URL says HTTP/2.
        """
        try:
            versions = url.versions(protocol or self._protocol)
        except ValueError as wrong:
            return fail(_error("upstream_http2_only", f"{url.authority}: {wrong}", 502))
        return self._within(url, lambda place, left_s: self._dial(url, versions, preamble, place, left_s))

    def open_raw(self, url: EndpointUrl, build: Callable[[], Any], preamble: bytes = b"") -> Deferred[Any]:
        """Connect, and put a protocol of the caller's own on the connection, inside TLS if the URL says so. Cancelling ends it.

        Args:
            build: makes the Twisted protocol. preamble: what is sent first, before TLS.

        Returns:
            fires with the protocol when it has its transport. Raises what `connect` does.
        """
        versions = url.versions("auto")

        async def dial(place: Place, timeout_s: float) -> Any:
            plain = await self._open(url, versions, preamble, place, timeout_s, lambda version: build())
            return await plain.built.done() if url.secure else plain.built

        return self._within(url, dial)

    def _within(self, url: EndpointUrl, dial: _Dial) -> Deferred[Any]:
        """Connect in this way, within the time there is."""
        running = Deferred.fromCoroutine(self._connect(url, dial))
        expired = False

        def expire() -> None:
            nonlocal expired
            expired = True
            running.cancel()

        deadline = self._wheel.deadline(expire)
        deadline.set(self._timeout_s)

        def settle(result: Any) -> Any:
            deadline.drop()
            if isinstance(result, Failure):
                if expired:
                    raise _error("connect_timeout", f"no connection to {url.authority} within {self._timeout_s:g} s")
                if result.check(ConnectingCancelledError):
                    raise CancelledError
            return result

        return running.addBoth(settle)

    async def _connect(self, url: EndpointUrl, dial: _Dial) -> Any:
        error = _error("resolve_failed", f"{url.host} has no address")
        until_s = self._reactor.seconds() + self._timeout_s
        places = await self._places(url)
        for tried, place in enumerate(places):
            # One address that swallows packets must leave time for the others.
            left_s = max(until_s - self._reactor.seconds(), 0.0) / (len(places) - tried)
            try:
                connection = await dial(place, left_s)
            except ConnectionRefusedError:
                error = _error("connect_refused", f"{place} refuses connections")
            except TimeoutError:
                error = _error("connect_timeout", f"{place} does not answer")
            except GatewayError as wrong:
                error = wrong
            except TlsError as wrong:
                error = _error("upstream_tls", f"{place}: {wrong.reason}: {wrong}", 502)
            except (ConnectError, ConnectionLost, OSError) as wrong:
                error = _error("connect_failed", f"{place}: {wrong}")
            else:
                return connection
        raise error

    async def _places(self, url: EndpointUrl) -> list[Place]:
        if url.path:
            return [UnixPlace(url.path)]
        try:
            addresses = await self._resolver.resolve(url.host)
        except ResolveError as wrong:
            raise _error("resolve_failed", str(wrong)) from None
        if self.guard is not None:
            addresses = _allowed(self.guard, url, addresses)
        # A name with several addresses: each connection starts at the next of them.
        self._turn += 1
        at = self._turn % len(addresses) if len(addresses) > 1 else 0
        return [TcpPlace(address, url.port) for address in addresses[at:] + addresses[:at]]

    async def _dial(
        self, url: EndpointUrl, versions: tuple[bytes, ...], preamble: bytes, place: Place, timeout_s: float
    ) -> UpstreamConnection:
        plain = await self._open(
            url, versions, preamble, place, timeout_s, lambda version: self._build(version, url.secure)
        )
        connection: Any = await plain.built.done() if url.secure else plain.built
        _tune(connection)
        return await connection.ready() if isinstance(connection, Http2Upstream) else connection

    async def _open(
        self,
        url: EndpointUrl,
        versions: tuple[bytes, ...],
        preamble: bytes,
        place: Place,
        timeout_s: float,
        build: Callable[[bytes], Any],
    ) -> _Factory:
        """Connect to one place. What `build` makes of the protocol's ALPN name is in the factory, with TLS after the handshake."""
        if url.secure:
            assert self._tls is not None
            plain = _Factory(lambda: Handshake(versions, build))
            factory: Any = wrap_client(plain, self._tls, url.host, self._reactor, versions)
        else:
            factory = plain = _Factory(lambda: build(versions[0]))
        if preamble:
            factory = PreambleFactory(factory, preamble)
        await connect(self._reactor, place, factory, timeout_s=timeout_s)
        return plain

    def _build(self, version: bytes, secure: bool = True) -> Http1Upstream | Http2Upstream:
        return Http2Upstream(self._wheel, secure) if version == b"h2" else Http1Upstream(self._wheel, RESPONSE_LIMITS)


def _allowed(guard: Guard, url: EndpointUrl, addresses: list[str]) -> list[str]:
    """Those that may be connected to; what is connected to are these addresses, so that the name can't lead elsewhere meanwhile."""
    reasons = {address: guard(url, address) for address in addresses}
    allowed = [address for address, reason in reasons.items() if reason is None]
    if not allowed:
        words = ", ".join(f"{address}: {reason}" for address, reason in reasons.items())
        raise _error("address_refused", f"{url.host} is not connected to: {words}")
    return allowed


def _tune(connection: UpstreamConnection) -> None:
    """Requests leave at once, and a peer that vanished is noticed."""
    transport = connection.transport
    if ITCPTransport.providedBy(transport):
        transport.setTcpNoDelay(True)
        transport.setTcpKeepAlive(True)


class _Factory(ClientFactory):
    """Builds one connection."""

    noisy = False

    def __init__(self, build: Callable[[], Any]) -> None:
        self._build = build
        self.built: Any = None

    def buildProtocol(self, addr: IAddress | None) -> Any:
        self.built = self._build()
        return self.built


def _error(reason: str, detail: str, status: int = 503) -> GatewayError:
    # No connection can be had: 503 with Retry-After (trust.md A7 R5, R7). One that is had and is not what it should be: 502.
    again = [(b"Retry-After", b"1")] if status == 503 else []
    return GatewayError(
        status, reason, side=Side.UPSTREAM, phase=Phase.CONNECT, retry=Retry.ALWAYS, detail=detail, headers=again
    )
