"""A downstream connection in memory, with a scripted responder behind it; tests on it read as transcripts.

desk = Desk(Response.of(200, b"hello"))
desk.says(b"GET / HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n").hears(b"HTTP/1.1 200 OK\\r\\n...")
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from types import SimpleNamespace
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock

from edgegw.errors import GatewayError
from edgegw.exchange.model import Exchange, Outcome, Response
from edgegw.exchange.render import render
from edgegw.net.addresses import CidrSet
from edgegw.net.downstream import Http1Downstream
from edgegw.net.listener import ConnectionCap, Listener, Terms
from edgegw.net.settings import Caps
from edgegw.runtime.wheel import Wheel
from edgegw.testing.memory import MemoryTransport
from edgegw.wire.http1_limits import Http1Limits
from edgegw.wire.http2_limits import Http2Limits

Step = Response | GatewayError | Callable[[Exchange], Awaitable[Response] | Response]
"""What a responder does with one request: answer, fail, or something of its own."""


class Script:
    """A responder with an edge stage as the gateway has: refusals are raised, errors rendered.

    A request beyond the last step waits for `reply`.

    Attributes:
        exchanges: every one that came, in order. outcomes: of those that ended. waiting: those that wait for `reply`.
    """

    def __init__(self, *steps: Step) -> None:
        self.steps = list(steps)
        self.exchanges: list[Exchange] = []
        self.outcomes: list[Outcome] = []
        self.waiting: list[Deferred[Response]] = []
        self.cancelled = 0

    async def __call__(self, exchange: Exchange) -> Response:
        exchange.id = f"r{len(self.exchanges) + 1}"
        self.exchanges.append(exchange)
        exchange.on_end(lambda _, outcome: self.outcomes.append(outcome))
        try:
            if exchange.refused is not None:
                raise exchange.refused
            return await self._act(exchange)
        except GatewayError as error:
            exchange.failure = error
            return render(error, exchange)

    async def _act(self, exchange: Exchange) -> Response:
        step: Any = self.steps.pop(0) if self.steps else await self._later()
        if isinstance(step, GatewayError):
            raise step
        if isinstance(step, Response):
            return step
        made = step(exchange)
        return made if isinstance(made, Response) else await made

    def _later(self) -> Deferred[Response]:
        def cancel(_: object) -> None:
            self.cancelled += 1
            self.waiting.remove(later)

        later: Deferred[Response] = Deferred(cancel)
        self.waiting.append(later)
        return later

    def reply(self, step: Any) -> None:
        """Answer the request that waits longest."""
        self.waiting.pop(0).callback(step)


class Tally:
    """What a listener reports, counted: `opened`, `closed`, `refused per_client`, `handshake ok` ..."""

    def __init__(self) -> None:
        self.seen: Counter[str] = Counter()

    def opened(self) -> None:
        self.seen["opened"] += 1

    def closed(self) -> None:
        self.seen["closed"] += 1

    def refused(self, reason: str) -> None:
        self.seen[f"refused {reason}"] += 1

    def handshake(self, outcome: str) -> None:
        self.seen[f"handshake {outcome}"] += 1

    def broke(self, reason: str) -> None:
        self.seen[f"broke {reason}"] += 1


class QuietPort:
    """A listening socket that only remembers whether it accepts."""

    def __init__(self) -> None:
        self.accepting = True
        self.stopped = False

    def getHost(self) -> Any:
        return SimpleNamespace(host="192.0.2.254", port=80)

    def fileno(self) -> int:
        return -1

    def pause_accepting(self) -> None:
        self.accepting = False

    def resume_accepting(self) -> None:
        self.accepting = True

    def stop(self) -> Deferred[None]:
        self.stopped = True
        done: Deferred[None] = Deferred()
        done.callback(None)
        return done


class Desk:
    """A listener on its own clock, and the connection that the transcript is about.

    Args:
        steps: the responder's, see `Script`. caps, limits, tls, protocols, http2: of the listener.
    """

    def __init__(
        self,
        *steps: Step,
        caps: Caps | None = None,
        limits: Http1Limits | None = None,
        tls: Any = None,
        protocols: tuple[str, ...] = ("http1",),
        http2: Http2Limits | None = None,
    ) -> None:
        self.clock = Clock()
        self.wheel = Wheel(self.clock)
        self.wheel.start()
        self.script = Script(*steps)
        self.counts = Tally()
        self.port = QuietPort()
        self.total = ConnectionCap(1000)
        self.current = SimpleNamespace(snapshot="snapshot 1")
        self.terms = Terms(
            caps or Caps(), limits or Http1Limits(), self.script, tls, CidrSet(()), protocols, http2 or Http2Limits()
        )
        self.listener = Listener("test", self.terms, self.current, self.clock, self.wheel, self.total, self.counts)
        self.listener.date = lambda: (b"date", b"Date", b"today")
        self.listener.serve(self.port)
        self.connection, self.transport = self.connect()
        self._heard = 0

    def connect(self, peer: str = "192.0.2.1") -> tuple[Any, MemoryTransport]:
        """Another connection, without TLS; `says` and `hears` stay with the first."""
        connection = Http1Downstream(self.listener, peer, 50000, 80)
        transport = MemoryTransport(connection, peer)
        transport.connect()
        return connection, transport

    # The transcript.

    def says(self, *data: bytes) -> Desk:
        """The peer sends this, read by read."""
        for piece in data:
            self.transport.deliver(piece)
        return self

    def hears(self, expected: bytes) -> Desk:
        """The peer got exactly this since the last `hears`.

        Raises:
            AssertionError: it did not.
        """
        got = self.heard()
        assert got == expected, f"\nheard:    {got!r}\nexpected: {expected!r}"
        return self

    def heard(self) -> bytes:
        """What the peer got since the last time."""
        self.transport.settle()
        got = self.transport.written[self._heard :]
        self._heard += len(got)
        return got

    def waits(self, seconds: float) -> Desk:
        """Time goes by, tick by tick."""
        for _ in range(round(seconds * 10)):
            self.clock.advance(0.1)
        return self

    def replies(self, step: Any) -> Desk:
        """The responder that waits longest does this."""
        self.script.reply(step)
        self.transport.settle()
        return self

    def leaves(self, reason: BaseException | None = None) -> Desk:
        """The peer closes the connection."""
        self.transport.lose(reason or ConnectionDone())
        return self

    @property
    def ended(self) -> list[str]:
        """What the connection did to its transport in the end."""
        return self.transport.ended

    @property
    def outcomes(self) -> list[Outcome]:
        """Of the exchanges that ended."""
        return self.script.outcomes

    @property
    def exchanges(self) -> list[Exchange]:
        """Those that began."""
        return self.script.exchanges


def request(line: str = "GET / HTTP/1.1", *fields: str, body: bytes = b"", host: str | None = "a") -> bytes:
    """A request's bytes."""
    lines = [line, *([f"Host: {host}"] if host is not None else []), *fields, "", ""]
    return "\r\n".join(lines).encode("latin-1") + body


def answer(status: str, *fields: str, body: bytes = b"") -> bytes:
    """A response's bytes, with the Date of `Desk`."""
    return "\r\n".join([f"HTTP/1.1 {status}", *fields, "Date: today", "", ""]).encode("latin-1") + body


def chunks(*data: bytes, trailers: Iterable[str] = ()) -> bytes:
    """Chunks and their end."""
    framed = b"".join(b"%x\r\n%b\r\n" % (len(each), each) for each in data)
    return framed + b"0\r\n" + "".join(f"{line}\r\n" for line in trailers).encode("latin-1") + b"\r\n"
