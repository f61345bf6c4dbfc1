"""Bytes that a connection to an upstream begins with, whatever comes after them: below TLS, before any protocol."""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IAddress, IProtocol, IProtocolFactory
from twisted.internet.protocol import ClientFactory, Protocol


class PreambleFactory(ClientFactory):
    """Puts the same bytes in front of what each of another factory's connections says.

    Whoever connects with it must not rely on what connecting gives: with Twisted's own transports it is not what `factory` built.

    Args:
        factory: of the connections. preamble: the bytes.
    """

    noisy = False

    def __init__(self, factory: IProtocolFactory, preamble: bytes) -> None:
        self._factory = factory
        self._preamble = preamble

    def doStart(self) -> None:
        """Twisted: an attempt begins."""
        self._factory.doStart()

    def doStop(self) -> None:
        """Twisted: it ended, or the connection did."""
        self._factory.doStop()

    def buildProtocol(self, addr: IAddress | None) -> Any:
        """Twisted: connected."""
        protocol = self._factory.buildProtocol(addr)  # type: ignore[arg-type]
        return _Preamble(protocol, self._preamble) if protocol is not None else None


class _Preamble(Protocol):
    """Says its bytes, and hands the connection on at once."""

    transport: Any

    def __init__(self, protocol: IProtocol, preamble: bytes) -> None:
        self._protocol = protocol
        self._preamble = preamble

    def connectionMade(self) -> None:
        self.transport.write(self._preamble)
        # Whoever holds the protocol of a transport is who gets its bytes, with Twisted's own transports and with ours.
        self.transport.protocol = self._protocol
        self._protocol.makeConnection(self.transport)
