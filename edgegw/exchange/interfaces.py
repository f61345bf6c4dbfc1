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


class BodyGuard(Protocol):
    """Looks at a body's bytes on their way from source to sink, wherever it asked to."""

    good: int
    """Of the data shown last: how many bytes were all right, when `look` raised."""

    def look(self, data: bytes, at: int) -> int:
        """Look at the data from index `at` on.

        Returns:
            how many of the bytes behind these data need not be shown.

        Raises:
            GatewayError: the body is not to go on; its source is cancelled.
        """

    def last_words(self, error: GatewayError) -> tuple[Field, ...] | None:
        """The body breaks off: trailers that say so and end it in order, or None if there are no such trailers."""
