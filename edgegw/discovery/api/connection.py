"""One connection to an API: found by name, with TLS, within a deadline, counted until its answer begins, always closed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectError, ConnectionLost, NoProtocol
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IStreamClientEndpoint
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.web.client import URI
from twisted.web.iweb import IAgentEndpointFactory
from zope.interface import implementer

from edgegw.discovery.api.access import Access
from edgegw.discovery.api.errors import ApiError, reasons
from edgegw.net.endpoints import TcpPlace, connect
from edgegw.net.resolver import ResolveError, Resolver
from edgegw.net.tls import wrap_client

HEAD_MAX = 128 * 1024
CONNECT_S = 5.0


class Counted(ProtocolWrapper):
    """The connection as the HTTP client sees it. A head that does not end ends the connection."""

    limited = True
    _heard = 0

    def dataReceived(self, data: bytes) -> None:
        if self.limited:
            self._heard += len(data)
            if self._heard > HEAD_MAX:
                self.abort()
                return
        ProtocolWrapper.dataReceived(self, data)

    def abort(self) -> None:
        """Close at once, without a word."""
        if self.transport is not None:
            self.transport.abortConnection()  # type: ignore[attr-defined]


class _Counting(WrappingFactory[Counted]):
    """Builds the one connection, and tells when it is there and gone."""

    protocol = Counted
    noisy = False

    def __init__(self, wrapped: IProtocolFactory, owner: Connection) -> None:
        WrappingFactory.__init__(self, wrapped)  # type: ignore[arg-type]
        self._owner = owner

    def registerProtocol(self, p: Any) -> None:
        self._owner.made(p)

    def unregisterProtocol(self, p: Any) -> None:
        self._owner.lost()


@implementer(IAgentEndpointFactory, IStreamClientEndpoint)
class Connection:
    """Makes one connection for an `Agent`, and holds it.

    Args:
        gone: called with this when the connection is closed; not if there was none.
    """

    def __init__(self, reactor: Any, resolver: Resolver, access: Access, gone: Callable[[Connection], None]) -> None:
        self._reactor = reactor
        self._resolver = resolver
        self._access = access
        self._gone = gone
        self._counted: Counted | None = None

    def endpointForURI(self, uri: URI) -> IStreamClientEndpoint:
        return self

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        return Deferred.fromCoroutine(self._connect(protocolFactory))

    async def _connect(self, factory: IProtocolFactory) -> IProtocol:
        access = self._access
        wrapped: IProtocolFactory = _Counting(factory, self)
        if access.tls is not None:
            try:
                wrapped = wrap_client(wrapped, access.tls, access.host, self._reactor)
            except ValueError as error:
                raise ApiError(f"{access.host} cannot be a host with TLS: {error}") from None
        try:
            addresses = await self._resolver.resolve(access.host)
        except ResolveError as error:
            raise ApiError(str(error)) from None
        words = ""
        for address in addresses:
            try:
                place = TcpPlace(address, access.port)
                await connect(self._reactor, place, wrapped, timeout_s=CONNECT_S / len(addresses))
            except (ConnectError, ConnectionLost, NoProtocol, OSError) as error:
                words = f"{place}: {reasons(error)}"
            else:
                break
        counted = self._counted
        if counted is None or counted.wrappedProtocol is None:
            raise ApiError(f"no connection to {access.authority}: {words or 'it closed at once'}")
        return counted.wrappedProtocol

    def made(self, counted: Counted) -> None:
        """For the factory: the connection stands."""
        self._counted = counted

    def lost(self) -> None:
        """For the factory: it is gone."""
        self._counted = None
        self._gone(self)

    @property
    def is_open(self) -> bool:
        """Whether there is a connection."""
        return self._counted is not None

    def answered(self) -> None:
        """The head has come: the body has bounds of its own."""
        if self._counted is not None:
            self._counted.limited = False

    def abort(self) -> None:
        """Close it now."""
        if self._counted is not None:
            self._counted.abort()
