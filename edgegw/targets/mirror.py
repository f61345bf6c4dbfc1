"""Copies of requests for another upstream, whose answers nobody gets: a new version sees real traffic, and clients never see it.

A copy is made while the request goes its own way: its body is noted as it passes, up to a limit, and the copy is sent in a turn of
its own when the last byte has passed. The original never waits for one: copies are bounded in number, size and time, and what
would be too much is dropped and counted. WebSockets are not mirrored.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from random import Random
from typing import Any, ClassVar

from pydantic import Field
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from edgegw.config.model import Settings, ShortForm
from edgegw.config.units import Duration, Percent, Size
from edgegw.errors import GatewayError, Phase, Side
from edgegw.exchange.body import EMPTY, Body
from edgegw.exchange.drive import Drive
from edgegw.exchange.interfaces import Responder
from edgegw.exchange.model import Connection, Exchange, Outcome, Request, Response
from edgegw.runtime.wheel import Wheel
from edgegw.targets.tee import Tee
from edgegw.wire import headers as wire
from edgegw.wire.events import ResponseHead
from edgegw.wire.websocket import WEBSOCKET

READ_ON = 65536
"""Bytes of a copy's answer that are read for the sake of the connection, which can be used again then; a longer one is cut."""

PAUSE_S = 0.1
"""No copy is taken for so long after one that could not be connected: each attempt costs as much as a request does."""

MOST_MIRRORS = 4
"""Of one route."""

_log = Logger("edgegw.targets.mirror")


class MirrorSettings(Settings):
    """Copies of a route's requests; `mirror: shadow` is short for `mirror: {to: shadow}`."""

    SHORT: ClassVar[ShortForm | None] = ShortForm(lambda name: {"to": name}, "the name of an upstream")

    to: str = Field(description="The upstream that gets them.", examples=["shadow"])
    meta: dict[str, str] = Field(
        default_factory=dict, max_length=8, description="Only endpoints that have these facts in their `meta`."
    )
    share: Percent = Field(default=1.0, description="Of all requests.", examples=["10%"])
    body: Size = Field(
        default=65536, le=1048576, description="Bytes of a body; requests with a longer one are not copied."
    )
    most: int = Field(
        default=64,
        ge=1,
        le=10000,
        description="Copies at once; beyond it, requests are not copied until some are done.",
    )
    timeout: Duration = Field(default=5.0, gt=0, description="For a copy and its answer.")


class Unheard:
    """In place of the downstream connection of a copy: its facts, and nobody who listens."""

    __slots__ = ("listener", "local_host", "local_port", "peer", "peer_port", "tls")

    def __init__(self, of: Connection) -> None:
        self.peer = of.peer
        self.peer_port = of.peer_port
        self.local_port = of.local_port
        self.local_host = of.local_host
        self.tls: Any = of.tls
        self.listener: Any = of.listener

    def informational(self, exchange: Exchange, head: ResponseHead) -> None:
        """`Connection`."""

    def fail(self, exchange: Exchange, error: GatewayError) -> None:
        """`Connection`: a copy has a deadline of its own."""


class Mirror:
    """One upstream that gets copies.

    Args:
        target: sends a copy, without another attempt. clock: turns. wheel: deadlines. chance: draws the share.
        count: told `sent`, `failed` or `dropped` of each request that was drawn.
    """

    def __init__(
        self,
        target: Responder,
        settings: MirrorSettings,
        clock: IReactorTime,
        wheel: Wheel,
        chance: Random,
        count: Callable[[str], None],
    ) -> None:
        self.settings = settings
        self.target = target
        self.clock = clock
        self.wheel = wheel
        self.count = count
        self.on_way = 0
        self._chance = chance
        self._pause_until_s = 0.0

    def takes(self, length: int | None) -> bool:
        """Whether a request with a body of this length is copied: it has a place then, until `leave`."""
        share = self.settings.share
        if share < 1.0 and self._chance.random() >= share:
            return False
        full = self.on_way >= self.settings.most or self.wheel.now_s < self._pause_until_s
        if full or (length or 0) > self.settings.body:
            self.count("dropped")
            return False
        self.on_way += 1
        return True

    def leave(self, outcome: str, error: GatewayError | None = None) -> None:
        """A copy is over, perhaps by this error: its place is free."""
        self.on_way -= 1
        self.count(outcome)
        if error is not None and error.phase is Phase.CONNECT:
            self._pause_until_s = self.wheel.now_s + PAUSE_S

    def __repr__(self) -> str:
        return f"<Mirror {self.settings.to} {self.on_way} of {self.settings.most}>"


class Mirrors:
    """Lets every exchange pass, and sends copies of some."""

    __slots__ = ("_mirrors", "_next")

    def __init__(self, following: Responder, mirrors: Sequence[Mirror]) -> None:
        self._next = following
        self._mirrors = tuple(mirrors)

    def __call__(self, exchange: Exchange) -> Awaitable[Response]:
        """Take copies if it is drawn, go on."""
        if WEBSOCKET not in exchange.head.upgrade:
            length = exchange.request.body.length
            taken = [mirror for mirror in self._mirrors if mirror.takes(length)]
            if taken:
                _begin(exchange, taken)
        return self._next(exchange)

    def __repr__(self) -> str:
        return f"<Mirrors {list(self._mirrors)!r} of {self._next!r}>"


def _begin(exchange: Exchange, mirrors: Sequence[Mirror]) -> None:
    """Everything that a copy needs is noted before the target may change it; the body as it passes."""
    copies = [Copy(exchange, mirror) for mirror in mirrors]
    body = exchange.request.body
    if body.empty:
        for copy in copies:
            copy.send_soon(b"", ())
        return

    def passed(content: bytes | None, trailers: tuple[wire.Field, ...]) -> None:
        for copy in copies:
            copy.send_soon(content, trailers)

    tee = Tee(body, max(mirror.settings.body for mirror in mirrors), passed)
    exchange.request.body = tee.body
    # If nobody reads it to its end, there is nothing to send.
    exchange.on_end(lambda _, __: tee.leave())


class Copy:
    """One copy on its way. It knows nothing of the connection that the original came by, so that it keeps nothing of it."""

    __slots__ = ("_deadline", "_drive", "_exchange", "_left", "_mirror", "_read", "_response")

    def __init__(self, original: Exchange, mirror: Mirror) -> None:
        self._mirror = mirror
        self._exchange = _copied(original)
        self._deadline = mirror.wheel.deadline(self._late)
        self._drive: Drive[Response] | None = None
        self._response: Response | None = None
        self._left = False
        self._read = 0

    def send_soon(self, content: bytes | None, trailers: tuple[wire.Field, ...]) -> None:
        """Send in the next turn, when the original has had its own. content: None if the body broke off or was too long."""
        if content is None or len(content) > self._mirror.settings.body:
            self._leave("dropped", None)
            return
        body = Body.of(content)
        if body is not EMPTY:
            body.trailers = trailers
        self._exchange.request.body = body
        self._mirror.clock.callLater(0, self._send)

    def _send(self) -> None:
        exchange, mirror = self._exchange, self._mirror
        exchange.started_s = mirror.wheel.seconds()
        exchange.deadline_s = exchange.started_s + mirror.settings.timeout
        self._deadline.set_at(exchange.deadline_s)
        self._drive = Drive(self._run(exchange), self._answered, self._failed)
        self._drive.start()

    async def _run(self, exchange: Exchange) -> Response:
        return await self._mirror.target(exchange)

    def _answered(self, response: Response) -> None:
        self._response = response
        response.body.attach(self)

    def _failed(self, error: BaseException) -> None:
        known = isinstance(error, GatewayError)
        if not known:
            _log.error("a copy for {upstream} failed: {error!r}", upstream=self._mirror.settings.to, error=error)
        self._leave("failed", error if isinstance(error, GatewayError) else None)

    def _late(self) -> None:
        drive, response = self._drive, self._response
        if response is not None:
            response.body.cancel()
        elif drive is not None:
            drive.cancel(_unwanted)
        self._leave("failed", GatewayError(504, "mirror_timeout", side=Side.GATEWAY, phase=Phase.POLICY))

    # The sink of the answer's body.

    def write(self, data: bytes) -> None:
        """`BodySink`: thrown away."""
        self._read += len(data)
        if self._read > READ_ON and self._response is not None:
            self._response.body.cancel()
            self._leave("sent", None)

    def end(self, trailers: tuple[wire.Field, ...]) -> None:
        """`BodySink`."""
        self._leave("sent", None)

    def abort(self, error: GatewayError) -> None:
        """`BodySink`."""
        self._leave("failed", error)

    def _leave(self, outcome: str, error: GatewayError | None) -> None:
        if self._left:
            return
        self._left = True
        self._deadline.drop()
        self._mirror.leave(outcome, error)
        status = self._response.status if self._response is not None else 0
        self._drive = self._response = None
        # For the endpoint that it was on: it counts what is in flight.
        self._exchange.end(Outcome(status, outcome == "sent", 0, self._read, error))


def _unwanted(response: Response) -> None:
    """It came all the same, when nobody waited any more."""
    response.body.cancel()


def _copied(original: Exchange) -> Exchange:
    """The request as the target would send it now, its body left out."""
    asked = original.request
    request = Request(original.head, asked.scheme, EMPTY)
    request.method, request.path, request.query = asked.method, asked.path, asked.query
    request.authority, request.host = asked.authority, asked.host
    request.headers, request.params = asked.headers.copy(), asked.params
    copy = Exchange(original.head, request, Unheard(original.connection), original.snapshot, original.started_s)
    copy.id, copy.client, copy.route = original.id, original.client, original.route
    return copy
