"""What stands on a new connection to an endpoint until it is known which protocol is spoken there: TLS, ALPN, HTTP/2 settings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IHandshakeListener
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from edgegw.net.tls import TlsError, agreed


@implementer(IHandshakeListener)
class Handshake(Protocol):
    """Stands on TLS until the handshake is done, then makes place for the protocol that was agreed on.

    Args:
        alpn: what was offered. build: makes the protocol, given its ALPN name.
    """

    transport: Any

    def __init__(self, alpn: tuple[bytes, ...], build: Callable[[bytes], Any]) -> None:
        self._alpn = alpn
        self._build = build
        self._promise: Deferred[Any] | None = None
        self._outcome: Any = None

    def done(self) -> Deferred[Any]:
        """Fires with the protocol, which has its transport; cancelling it ends the connection.

        Raises (through the Deferred):
            TlsError: why there is none.
        """
        promise: Deferred[Any] = Deferred(self._unwanted)
        self._promise = promise
        self._settle()
        return promise

    def _unwanted(self, _: Deferred[Any]) -> None:
        self._promise = None
        self.transport.abortConnection()

    def handshakeCompleted(self) -> None:
        """Twisted: the upstream peer is who it should be."""
        transport = self.transport
        try:
            name = agreed(transport, self._alpn)
        except TlsError as error:
            self._outcome = Failure(error)
            transport.abortConnection()
        else:
            self._outcome = built = self._build(name)
            transport.wrappedProtocol = built
            built.makeConnection(transport)
        self._settle()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Twisted: gone before anything was agreed."""
        if self._outcome is None:
            said = reason.value
            if not isinstance(said, TlsError):
                said = TlsError("handshake_broken", f"the handshake broke off: {reason.getErrorMessage()}")
            self._outcome = Failure(said)
            self._settle()

    def _settle(self) -> None:
        if self._promise is not None and self._outcome is not None:
            promise, self._promise = self._promise, None
            promise.callback(self._outcome)
