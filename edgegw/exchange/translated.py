"""A body read through a codec: what comes out is a body again, with backpressure, the end and every failure passed on."""

from __future__ import annotations

from typing import Protocol

from edgegw.errors import GatewayError
from edgegw.exchange.body import Body
from edgegw.wire.headers import Field


class Translation(Protocol):
    """A codec that changes a body on its way."""

    def translate(self, data: bytes) -> bytes:
        """The bytes to pass on, perhaps none yet. Raises GatewayError."""

    def finish(self, trailers: tuple[Field, ...]) -> tuple[bytes, tuple[Field, ...]]:
        """The last bytes, and the trailers behind them. Raises GatewayError."""


class Translated:
    """Sink of one body, source of another.

    Args:
        inner: what comes. translation: of this body alone.

    `body` is what goes out; its length is not known before its end.
    """

    __slots__ = ("_inner", "_reading", "_translation", "body")

    def __init__(self, inner: Body, translation: Translation) -> None:
        self._inner = inner
        self._translation = translation
        self._reading = False
        self.body = Body(None, self)

    # The source of `body`.

    def start(self) -> None:
        """Begin to read, if that is not so yet. What is here already passes at once."""
        if not self._reading:
            self._reading = True
            self._inner.attach(self)

    def pause(self) -> None:
        """The reader is slow."""
        self._inner.pause()

    def resume(self) -> None:
        """The reader goes on."""
        self._inner.resume()

    def cancel(self) -> None:
        """Nobody reads the rest."""
        self._inner.cancel()

    # The sink of what comes.

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

    def abort(self, error: GatewayError) -> None:
        """What came broke off."""
        self.body.abort(error)

    def __repr__(self) -> str:
        return f"<Translated {self._inner!r}>"
