"""What is sent on an upstream connection, whatever its protocol, and whom the connection owes an account."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from twisted.internet.defer import Deferred

from edgegw.exchange.interfaces import BodySink
from edgegw.exchange.model import Response
from edgegw.wire.events import ResponseHead
from edgegw.wire.headers import Field


class UpstreamConnection(Protocol):
    """A connection to one endpoint, as those who lend it out and send on it know it.

    owner: whom it tells what becomes of it. lost: it is gone. transport: Twisted's.
    """

    owner: Owner | None
    lost: bool
    transport: Any

    @property
    def room(self) -> int:
        """How many more exchanges it can carry at this moment, should nobody have it."""

    @property
    def busy(self) -> bool:
        """Whether an exchange is on it."""

    def send(self, call: Call) -> Deferred[Response]:
        """Put a request on the wire.

        Returns:
            fires with the response when its head is here, its body still flowing; fails with `GatewayError`.

        Raises:
            GatewayError: 500 `unsafe_head`; nothing was sent then, and the connection is with its owner again.
        """

    def rest(self, idle_timeout_s: float) -> None:
        """Wait for the next exchange at most so long; for the owner, of a connection that carries nothing."""

    def retire(self) -> None:
        """Carry no further exchange, finish those that are on it, then end in an orderly way."""

    def close(self) -> None:
        """Cut it; nothing that it carries is waited for."""


class Owner(Protocol):
    """Who lends the connection out. Whoever has it hands it back by `send`: the connection itself then tells its owner."""

    def idle(self, connection: UpstreamConnection) -> None:
        """It carries nothing and may carry an exchange."""

    def has_room(self, connection: UpstreamConnection) -> None:
        """It carries exchanges and may carry another beside them (HTTP/2)."""

    def full(self, connection: UpstreamConnection) -> None:
        """It said that it has room, and has none any more, though nobody came: the peer lowered its limit."""

    def closed(self, connection: UpstreamConnection) -> None:
        """It takes no further exchange: it is gone or going, whatever state it was in. Told once."""


class Upload(Protocol):
    """A request body as the connection reads it: `Body` or `Replay`."""

    def attach(self, sink: BodySink) -> None:
        """Feed the sink."""

    def pause(self) -> None:
        """The upstream peer is slow."""

    def resume(self) -> None:
        """The upstream peer reads again."""

    def cancel(self) -> None:
        """The upstream peer wants no more."""


class Call:
    """One request on its way to an endpoint.

    method, target: as sent. fields: header triples as HTTP/1 sends them, Host and framing included; HTTP/2 puts them its own way.
    body: what follows, or None. length: its size, None when it is not known. head_timeout_s: from the request's last byte to the
    response's head. idle_timeout_s: between the response's bytes. send_timeout_s: in which nothing of the body is
    taken (`head_timeout_s` if nobody says another). informational: gets 1xx heads. ended: called when the response's
    last byte came, if set. upgrade: it asks for another protocol (HTTP/1.1 only); a 101 answers it then, and the connection carries
    nothing else afterwards, whatever the answer.
    """

    __slots__ = (
        "body", "ended", "fields", "head_timeout_s", "idle_timeout_s", "informational", "length", "method",
        "send_timeout_s", "target", "upgrade",
    )  # fmt: skip

    def __init__(
        self,
        method: str,
        target: str,
        fields: list[Field],
        body: Upload | None,
        length: int | None,
        timeouts_s: tuple[float, float],
        informational: Callable[[ResponseHead], None],
    ) -> None:
        self.method = method
        self.target = target
        self.fields = fields
        self.body = body
        self.length = length
        self.head_timeout_s, self.idle_timeout_s = timeouts_s
        self.send_timeout_s = self.head_timeout_s
        self.informational = informational
        self.ended: Callable[[], None] | None = None
        self.upgrade = False
