"""Servers on loopback that send what a test says, and the trial's reactor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet import reactor as global_reactor
from twisted.internet.defer import succeed
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from edgegw.discovery.api.access import Access
from edgegw.net.resolver import Resolver

reactor: Any = global_reactor


def plain(port: int, token: str = "") -> Access:
    """A server on loopback."""
    return Access(False, "127.0.0.1", port, "", "", token=token)


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


class Raw(Protocol):
    """A server that answers every connection with the same bytes, piece by piece."""

    def connectionMade(self) -> None:
        self.factory.lines.append(self)  # type: ignore[attr-defined]

    def dataReceived(self, data: bytes) -> None:
        self.factory.heard += data  # type: ignore[attr-defined]
        if b"\r\n\r\n" in data:
            for piece in self.factory.pieces:  # type: ignore[attr-defined]
                self.transport.write(piece)  # type: ignore[union-attr]
            if self.factory.closes:  # type: ignore[attr-defined]
                self.transport.loseConnection()  # type: ignore[union-attr]

    def connectionLost(self, reason: Any = None) -> None:
        self.factory.lines.remove(self)  # type: ignore[attr-defined]


class SocketCase(TestCase):
    """Real sockets; every name is looked up to 127.0.0.1."""

    timeout = 30

    def setUp(self) -> None:
        self.resolver = Resolver(reactor, lambda name: succeed(["127.0.0.1"]))
        self.addCleanup(self.resolver.stop)

    def site(self, factory: Any, tls: Any = None) -> Any:
        """Serve it; returns the port object, closed at the end."""
        if tls is None:
            listening = reactor.listenTCP(0, factory, interface="127.0.0.1")
        else:
            listening = reactor.listenSSL(0, factory, tls, interface="127.0.0.1")
        self.addCleanup(listening.stopListening)
        return listening

    def raw(self, *pieces: bytes, closes: bool = False) -> Any:
        """A server of these bytes; returns its factory, with `port`."""
        factory: Any = Factory.forProtocol(Raw)
        factory.pieces, factory.closes, factory.heard, factory.lines = pieces, closes, b"", []
        factory.port = self.site(factory).getHost().port
        return factory

    async def until(self, condition: Callable[[], Any], what: str = "") -> None:
        """Let the reactor run until the condition is true; fails after five seconds."""
        end_s = reactor.seconds() + 5.0
        while not condition():
            if reactor.seconds() > end_s:
                self.fail(f"it did not become so: {what}")
            await deferLater(reactor, 0.005)
