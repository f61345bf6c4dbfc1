"""What is sent on an upstream connection, whatever its protocol, and whom the connection owes an account."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from edgegw.exchange.interfaces import BodySink
from edgegw.wire.events import ResponseHead
from edgegw.wire.headers import Field

if TYPE_CHECKING:
    from edgegw.net.upstream import Http1Upstream


class Owner(Protocol):
    """Who lends the connection out."""

    def idle(self, connection: Http1Upstream) -> None:
        """The exchange is over and the connection may carry another."""

    def closed(self, connection: Http1Upstream) -> None:
        """The connection is gone or going, whatever state it was in."""


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

    method, target: as sent. fields: header triples as sent, framing included. body: what follows, or None. length: its size, None
    when it goes in chunks. head_timeout_s: from the request's last byte to the response's head. idle_timeout_s: between the
    response's bytes. informational: gets 1xx heads. ended: called when the response's last byte came, if set.
    """

    __slots__ = (
        "body", "ended", "fields", "head_timeout_s", "idle_timeout_s", "informational", "length", "method", "target"
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
        self.informational = informational
        self.ended: Callable[[], None] | None = None
