"""The contracts of the data path: one responder shape, one body shape."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Protocol

from edgegw.errors import GatewayError
from edgegw.wire.headers import Field

if TYPE_CHECKING:
    from edgegw.exchange.model import Exchange, Response

Responder = Callable[["Exchange"], Awaitable["Response"]]
"""The callable of the data path. Raises `GatewayError` for anything but an answer."""

Middleware = Callable[[Responder], Responder]
"""Wraps the next responder into another one; folded once, at assembly."""


class BodySource(Protocol):
    """Where a body's bytes come from; told what its reader wants. All calls are idempotent."""

    def start(self) -> None:
        """Somebody reads: called once, before the first `resume` (a waiting `Expect: 100-continue` is answered here)."""

    def pause(self) -> None:
        """Stop delivering soon; what is already read may still come."""

    def resume(self) -> None:
        """Deliver again."""

    def cancel(self) -> None:
        """Nobody will read the rest."""


class BodySink(Protocol):
    """Where a body's bytes go. After `end` or `abort` nothing more is called."""

    def write(self, data: bytes) -> None:
        """Non-empty data."""

    def end(self, trailers: tuple[Field, ...]) -> None:
        """The body is complete."""

    def abort(self, error: GatewayError) -> None:
        """The body ends here, incomplete."""
