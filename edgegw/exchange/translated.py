"""A body that passes through something, such as a codec, and is a body again: with backpressure, the end and every failure."""

from __future__ import annotations

from typing import Protocol

from edgegw.errors import GatewayError
from edgegw.exchange.body import Body
from edgegw.wire.headers import Field


class Between:
    """Sink of one body, source of another; both are told what the other is told, as it is.

    Args:
        inner: what comes, not attached yet and not `EMPTY`. length: of what goes out; None: not known before its end.

    `body` is what goes out.
    """

    __slots__ = ("_inner", "_reading", "body")

    def __init__(self, inner: Body, length: int | None) -> None:
        self._inner = inner
        self._reading = False
        self.body = Body(length, self)

    def start(self) -> None:
        """`BodySource`: begin to read, if that is not so yet. What is here already passes at once."""
        if not self._reading:
            self._reading = True
            self._inner.attach(self)

    def pause(self) -> None:
        """`BodySource`."""
        self._inner.pause()

    def resume(self) -> None:
        """`BodySource`."""
        self._inner.resume()

    def cancel(self) -> None:
        """`BodySource`."""
        self._inner.cancel()

    def write(self, data: bytes) -> None:
        """`BodySink`."""
        self.body.write(data)

    def end(self, trailers: tuple[Field, ...]) -> None:
        """`BodySink`."""
        self.body.end(trailers)

    def abort(self, error: GatewayError) -> None:
        """`BodySink`."""
        self.body.abort(error)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._inner!r}>"


class Translation(Protocol):
    """A codec that changes a body on its way."""

    def translate(self, data: bytes) -> bytes:
        """The bytes to pass on, perhaps none yet. Raises GatewayError."""

    def finish(self, trailers: tuple[Field, ...]) -> tuple[bytes, tuple[Field, ...]]:
        """The last bytes, and the trailers behind them. Raises GatewayError."""


class Translated(Between):
    """A body translated; its length is not known before its end.

    Args:
        inner: what comes. translation: of this body alone.
    """

    __slots__ = ("_translation",)

    def __init__(self, inner: Body, translation: Translation) -> None:
        super().__init__(inner, None)
        self._translation = translation

    def write(self, data: bytes) -> None:
        """Data to translate."""
        try:
            data = self._translation.translate(data)
        except GatewayError as error:
            self.body.fail(error)
            return
        if data:
            self.body.write(data)

    def end(self, trailers: tuple[Field, ...]) -> None:
        """What came is complete."""
        try:
            data, trailers = self._translation.finish(trailers)
        except GatewayError as error:
            self.body.fail(error)
            return
        if data:
            self.body.write(data)
        self.body.end(trailers)
