"""A scripted HTTP/1.1 origin in memory: what the upstream side connects to, without a socket.

    origin = Origin(answer(b"hello"), reset)
    proxy = Proxy(cluster(origin), ...)

Each request that came whole is answered by the next entry of the script, in the next turn of the clock; without one the test plays
the origin itself, by `origin.connections`. What it is sent must pass our own strict request codec.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from random import Random
from typing import Any, cast

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IConsumer, IPushProducer, ITransport
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from zope.interface import implementer

from edgegw.errors import GatewayError, Phase, Retry, Side
from edgegw.gateway.builtins import BALANCERS
from edgegw.net.upstream import Http1Upstream
from edgegw.runtime.wheel import Wheel
from edgegw.upstream.address import EndpointSettings, EndpointUrl
from edgegw.upstream.balance.settings import BalanceSettings
from edgegw.upstream.cluster import Cluster
from edgegw.upstream.environment import Environment
from edgegw.upstream.settings import UpstreamSettings
from edgegw.wire.events import End, RequestHead, Violation
from edgegw.wire.headers import Field
from edgegw.wire.http1 import RESPONSE_LIMITS, Http1Limits, RequestCodec

_LIMITS = Http1Limits(trailers_allowed=None)

Answer = bytes | Callable[["OriginConnection"], None]
"""What a request is answered with: bytes as they are, or whatever the callable does."""


def answer(body: bytes = b"", status: int = 200, *fields: tuple[bytes, bytes]) -> bytes:
    """A response with Content-Length."""
    lines = [b"HTTP/1.1 %d Fine" % status, b"Content-Length: %d" % len(body)]
    lines += [name + b": " + value for name, value in fields]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def refused() -> GatewayError:
    """What connecting to a closed port ends in."""
    return GatewayError(503, "connect_refused", side=Side.UPSTREAM, phase=Phase.CONNECT, retry=Retry.ALWAYS)


class Received:
    """One request as the origin read it."""

    def __init__(self, head: RequestHead) -> None:
        self.head = head
        self.body = b""
        self.trailers: tuple[Field, ...] = ()
        self.complete = False

    @property
    def fields(self) -> list[tuple[bytes, bytes]]:
        """Name and value as they came."""
        return list(self.head.headers)

    def __repr__(self) -> str:
        return f"<Received {self.head!r} {len(self.body)} bytes{'' if self.complete else ' so far'}>"


@implementer(ITransport, IConsumer, IPushProducer)
class OriginConnection:
    """One connection: the gateway's transport on one side, the test's handle on the other.

    sent: every byte the gateway wrote. paused: it does not read. aborted, closed: how it ended the connection.
    """

    def __init__(self, origin: Origin, protocol: Http1Upstream) -> None:
        self._origin = origin
        self._codec = RequestCodec(_LIMITS)
        self._held: list[bytes] = []
        self._lost = False
        self._request: Received
        self.protocol = protocol
        self.producer: Any = None
        self.sent = b""
        self.writes: list[bytes] = []
        self.paused = self.aborted = self.closed = False
        protocol.makeConnection(self)  # type: ignore[no-untyped-call]

    # The test's side.

    def send(self, data: bytes) -> None:
        """Bytes for the gateway, in one read."""
        if self.paused:
            self._held.append(data)
        elif not self._lost and not self.aborted and not self.closed:
            self.protocol.dataReceived(data)

    def close(self) -> None:
        """End the connection in an orderly way."""
        self._lose(ConnectionDone())

    def reset(self) -> None:
        """Tear it."""
        self._lose(ConnectionLost())

    def congest(self) -> None:
        """Read nothing any more: what the gateway writes piles up."""
        self.producer.pauseProducing()

    def relieve(self) -> None:
        """Read on."""
        self.producer.resumeProducing()

    def _lose(self, reason: Exception) -> None:
        if not self._lost:
            self._lost = True
            self.protocol.connectionLost(Failure(reason))

    # The gateway's side: camelCase is Twisted's.

    def write(self, data: bytes) -> None:
        if self._lost or self.aborted or self.closed:
            return
        self.sent += data
        self.writes.append(data)
        for event in self._codec.receive(data):
            if isinstance(event, RequestHead):
                self._request = Received(event)
                self._origin.requests.append(self._request)
            elif isinstance(event, bytes):
                self._request.body += event
            elif isinstance(event, End):
                self._complete(event)
            elif isinstance(event, Violation):
                raise AssertionError(f"the origin was sent a bad request: {event!r}")

    def _complete(self, end: End) -> None:
        request = self._request
        request.trailers = end.trailers
        request.complete = True
        if self._origin.script:
            what = self._origin.script.pop(0)
            self._origin.clock.callLater(0, self._answer, what)

    def _answer(self, what: Answer) -> None:
        if callable(what):
            what(self)
        else:
            self.send(what)

    def writeSequence(self, chunks: Iterable[bytes]) -> None:
        self.write(b"".join(chunks))

    def loseConnection(self) -> None:
        self.closed = True
        if not self._origin.deaf:
            self._origin.clock.callLater(0, self._lose, ConnectionDone())

    def abortConnection(self) -> None:
        self.aborted = True
        self._origin.clock.callLater(0, self._lose, ConnectionAborted())

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        self.producer = producer

    def unregisterProducer(self) -> None:
        self.producer = None

    def pauseProducing(self) -> None:
        self.paused = True

    def resumeProducing(self) -> None:
        self.paused = False
        held, self._held = self._held, []
        for data in held:
            self._origin.clock.callLater(0, self.send, data)

    def stopProducing(self) -> None:
        self.loseConnection()

    def getPeer(self) -> Any:
        return None

    def getHost(self) -> Any:
        return None


class Origin:
    """What listens at one endpoint.

    connections: in the order they were made. requests: what came, of all of them. faults: what the next attempts to connect end
    in. held: when a list, attempts to connect wait in it. deaf: does not answer the end of a connection with its own.
    """

    def __init__(self, *script: Answer, clock: Clock | None = None, wheel: Wheel | None = None) -> None:
        self.clock = clock or Clock()
        self.wheel = wheel if wheel is not None else Wheel(self.clock)
        self.wheel.start()
        self.script = list(script)
        self.connections: list[OriginConnection] = []
        self.requests: list[Received] = []
        self.faults: list[GatewayError] = []
        self.held: list[Deferred[Http1Upstream]] | None = None
        self.attempts = 0
        self.deaf = False

    def connect(self, url: object = None, protocol: object = None) -> Deferred[Http1Upstream]:
        """In place of `Connector.connect`."""
        self.attempts += 1
        if self.faults:
            return fail(self.faults.pop(0))
        if self.held is not None:
            waiting: Deferred[Http1Upstream] = Deferred()
            self.held.append(waiting)
            return waiting
        return succeed(self.accept())

    def expected_room(self, url: object) -> int:
        """In place of `Connector.expected_room`."""
        return 1

    def accept(self) -> Http1Upstream:
        """Make a connection."""
        connection = Http1Upstream(self.wheel, RESPONSE_LIMITS)
        self.connections.append(OriginConnection(self, connection))
        return connection

    def turn(self, seconds: float = 0.0) -> None:
        """Let time pass, tick by tick, and everything happen that is due."""
        self.clock.advance(0)
        for _ in range(round(seconds * 10)):
            self.clock.advance(0.1)
        for _ in range(4):
            self.clock.advance(0)


class Origins:
    """In place of a `Connector`: the origin of each URL."""

    def __init__(self, origins: Sequence[Origin]) -> None:
        self.origins = list(origins)

    def connect(self, url: EndpointUrl, protocol: object = None, preamble: bytes = b"") -> Deferred[Http1Upstream]:
        """In place of `Connector.connect`."""
        return self._of(url).connect(url, protocol) if protocol is not None else self._of(url).connect(url)

    def expected_room(self, url: EndpointUrl) -> int:
        """In place of `Connector.expected_room`."""
        return self._of(url).expected_room(url)

    def _of(self, url: EndpointUrl) -> Origin:
        return self.origins[int(url.host.removeprefix("origin-"))]


def environment(origin: Origin, seed: int = 1) -> Environment:
    """What an upstream works with, on the origin's clock."""
    return Environment(origin.clock, origin.wheel, cast(Any, None), chance=Random(seed), wall=origin.clock.seconds)


def cluster(*origins: Origin, **settings: Any) -> Cluster:
    """An upstream of these origins, called `shop`, its endpoints `http://origin-N:80`; taken in turn if nothing else is said.

    Args:
        settings: of the upstream, as its model takes them.
    """
    each = tuple(EndpointSettings(url=f"http://origin-{number}:80") for number in range(len(origins)))
    said = UpstreamSettings(**{"endpoints": each, "balance": BalanceSettings(by="round_robin"), **settings})
    made = Cluster("shop", said, cast(Any, Origins(origins)), BALANCERS[said.balance.by], environment(origins[0]))
    made.begin(None)
    return made
