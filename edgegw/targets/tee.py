"""Notes what a body carries while it passes."""

from __future__ import annotations

from collections.abc import Callable

from edgegw.errors import GatewayError
from edgegw.exchange.body import Body
from edgegw.exchange.translated import Between
from edgegw.wire.headers import Field

Passed = Callable[[bytes | None, tuple[Field, ...]], None]
"""(content, trailers): all that the body carried; None if it was more than the limit, broke off, or was not read to its end."""


class Tee(Between):
    """The same body once more; steps aside when its bytes are too many to be noted.

    Args:
        inner: what comes, not attached yet and not `EMPTY`. limit: bytes. passed: told once.
    """

    __slots__ = ("_kept", "_limit", "_passed", "_size")

    def __init__(self, inner: Body, limit: int, passed: Passed) -> None:
        super().__init__(inner, inner.length)
        self._limit = limit
        self._passed: Passed | None = passed
        self._kept: list[bytes] = []
        self._size = 0

    def leave(self) -> None:
        """Note nothing any more; whoever waits is told that there is nothing."""
        self._tell(None)

    def _tell(self, content: bytes | None, trailers: tuple[Field, ...] = ()) -> None:
        passed, self._passed = self._passed, None
        self._kept = []
        if passed is not None:
            passed(content, trailers)

    def _part(self) -> None:
        """Nothing comes any more: neither body holds the other, and nobody waits for the garbage collector."""
        self.body.source = None

    def cancel(self) -> None:
        """`BodySource`."""
        super().cancel()
        self._part()
        self._tell(None)

    def write(self, data: bytes) -> None:
        """`BodySink`."""
        self._size += len(data)
        if self._passed is None or self._size > self._limit:
            self._tell(None)
            self._inner.hand_on(self.body)
        else:
            self._kept.append(data)
        self.body.write(data)

    def end(self, trailers: tuple[Field, ...]) -> None:
        """`BodySink`."""
        kept, self._kept = self._kept, []
        self.body.end(trailers)
        self._part()
        # Who looks on comes last; it may be that the exchange has ended meanwhile, and that nobody does.
        if self._passed is not None:
            self._tell(b"".join(kept), trailers)

    def abort(self, error: GatewayError) -> None:
        """`BodySink`."""
        super().abort(error)
        self._part()
        self._tell(None)

    def __repr__(self) -> str:
        return f"<Tee {self._size} bytes of {self._inner!r}>"
