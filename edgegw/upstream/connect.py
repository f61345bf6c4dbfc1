"""How a connection to an endpoint is made: its name looked up, every address tried, TLS verified, all within one deadline."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import (
    ConnectError,
    ConnectingCancelledError,
    ConnectionLost,
    ConnectionRefusedError,
    TimeoutError,
)
from twisted.internet.interfaces import IAddress, IHandshakeListener, ITCPTransport
from twisted.internet.protocol import ClientFactory, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from edgegw.errors import GatewayError, Phase, Retry, Side
from edgegw.net.endpoints import connect
from edgegw.net.resolver import ResolveError, Resolver
from edgegw.net.sockets import Place, TcpPlace, UnixPlace
from edgegw.net.tls import TlsError, UpstreamTls, wrap_client
from edgegw.net.upstream import Http1Upstream
from edgegw.runtime.wheel import Wheel
from edgegw.upstream.settings import EndpointUrl
from edgegw.wire.http1_limits import RESPONSE_LIMITS


class Connector:
    """Makes the connections of one upstream.

    Args:
        reactor: for sockets and time. tls: for https endpoints; None when there are none. timeout_s: for all of it together.
    """

    def __init__(
        self, reactor: Any, wheel: Wheel, resolver: Resolver, tls: UpstreamTls | None, timeout_s: float
    ) -> None:
        self._reactor = reactor
        self._wheel = wheel
        self._resolver = resolver
        self._tls = tls
        self._timeout_s = timeout_s
        self._turn = 0

    def connect(self, url: EndpointUrl) -> Deferred[Http1Upstream]:
        """Connect. Cancelling it ends the attempt.

        Raises (through the Deferred):
            GatewayError: 503 `connect_refused`, `connect_failed`, `connect_timeout`, `resolve_failed`, with Retry-After; 502
            `upstream_tls`. All may be tried again elsewhere: nothing was sent.
        """
        running = Deferred.fromCoroutine(self._connect(url))
        expired = False

        def expire() -> None:
            nonlocal expired
            expired = True
            running.cancel()

        deadline = self._wheel.deadline(expire)
        deadline.set(self._timeout_s)

        def settle(result: Http1Upstream | Failure) -> Http1Upstream | Failure:
            deadline.drop()
            if isinstance(result, Failure):
                if expired:
                    raise _error("connect_timeout", f"no connection to {url.authority} within {self._timeout_s:g} s")
                if result.check(ConnectingCancelledError):
                    raise CancelledError
            return result

        return running.addBoth(settle)

    async def _connect(self, url: EndpointUrl) -> Http1Upstream:
        error = _error("resolve_failed", f"{url.host} has no address")
        until_s = self._reactor.seconds() + self._timeout_s
        places = await self._places(url)
        for tried, place in enumerate(places):
            # One address that swallows packets must leave time for the others.
            left_s = max(until_s - self._reactor.seconds(), 0.0) / (len(places) - tried)
            try:
                connection = await self._dial(url, place, left_s)
            except ConnectionRefusedError:
                error = _error("connect_refused", f"{place} refuses connections")
            except TimeoutError:
                error = _error("connect_timeout", f"{place} does not answer")
            except TlsError as wrong:
                error = _error("upstream_tls", f"{place}: {wrong.reason}: {wrong}", 502)
            except (ConnectError, ConnectionLost, OSError) as wrong:
                error = _error("connect_failed", f"{place}: {wrong}")
            else:
                _tune(connection)
                return connection
        raise error

    async def _places(self, url: EndpointUrl) -> list[Place]:
        if url.path:
            return [UnixPlace(url.path)]
        try:
            addresses = await self._resolver.resolve(url.host)
        except ResolveError as wrong:
            raise _error("resolve_failed", str(wrong)) from None
        # A name with several addresses: each connection starts at the next of them.
        self._turn += 1
        at = self._turn % len(addresses) if len(addresses) > 1 else 0
        return [TcpPlace(address, url.port) for address in addresses[at:] + addresses[:at]]

    def _dial(self, url: EndpointUrl, place: Place, timeout_s: float) -> Deferred[Http1Upstream]:
        if url.secure:
            assert self._tls is not None
            factory = _Factory(lambda: _Secure(self._wheel))
            wrapped = wrap_client(factory, self._tls, url.host, self._reactor)
            return connect(self._reactor, place, wrapped, timeout_s=timeout_s).addCallback(
                lambda _: factory.built.ready()
            )
        plain = _Factory(lambda: Http1Upstream(self._wheel, RESPONSE_LIMITS))
        return connect(self._reactor, place, plain, timeout_s=timeout_s)  # type: ignore[return-value]


def _tune(connection: Http1Upstream) -> None:
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
        self.built.factory = self
        return self.built


@implementer(IHandshakeListener)
class _Secure(Http1Upstream):
    """A connection that counts as made when its TLS handshake is done."""

    def __init__(self, wheel: Wheel) -> None:
        super().__init__(wheel, RESPONSE_LIMITS)
        self._promise: Deferred[Http1Upstream] | None = None
        self._outcome: Failure | None = None
        self._shaken = False

    def ready(self) -> Deferred[Http1Upstream]:
        """Fires after the handshake; fails with what ended the connection before."""
        promise: Deferred[Http1Upstream] = Deferred(self._unwanted)
        self._promise = promise
        self._settle()
        return promise

    def _unwanted(self, _: Deferred[Http1Upstream]) -> None:
        self._promise = None
        self.close()

    def handshakeCompleted(self) -> None:
        """Twisted: the upstream peer is who it should be."""
        self._shaken = True
        self._settle()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Twisted: gone, perhaps before anything was agreed."""
        if not self._shaken:
            self._outcome = reason
            self._settle()
        super().connectionLost(reason)

    def _settle(self) -> None:
        if self._promise is None or not (self._shaken or self._outcome):
            return
        promise, self._promise = self._promise, None
        if self._outcome is None:
            promise.callback(self)
        elif self._outcome.check(TlsError):
            promise.errback(self._outcome)
        else:
            promise.errback(TlsError("handshake_broken", f"the handshake broke off: {self._outcome.getErrorMessage()}"))


def _error(reason: str, detail: str, status: int = 503) -> GatewayError:
    # No connection can be had: 503 with Retry-After (trust.md A7 R5, R7). One that is had and is not what it should be: 502.
    again = [(b"Retry-After", b"1")] if status == 503 else []
    return GatewayError(
        status, reason, side=Side.UPSTREAM, phase=Phase.CONNECT, retry=Retry.ALWAYS, detail=detail, headers=again
    )
