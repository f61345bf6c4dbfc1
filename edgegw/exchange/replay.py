"""A bounded copy of a request body, so that another attempt can send it again."""

from __future__ import annotations

from edgegw.errors import GatewayError
from edgegw.exchange.body import Body
from edgegw.exchange.interfaces import BodySink
from edgegw.wire.headers import Field


class Replay:
    """Reads a body once and feeds it to one sink after another, each from the first byte on, while at most `limit` bytes went by.

    The sink of an attempt that failed is left behind by `detach`; until the next `attach` the body rests. Past the limit there can
    be no other attempt, so the copy is dropped and the body flows into the sink without a detour.
    """

    def __init__(self, body: Body, limit: int) -> None:
        self._body = body
        self._limit = limit
        self._kept: list[bytes] | None = []
        self._size = 0
        self._sink: BodySink | None = None
        self._ended: tuple[Field, ...] | None = None
        self._error: GatewayError | None = None
        self._reading = self._held = False

    @property
    def possible(self) -> bool:
        """Everything read so far is still here."""
        return self._kept is not None and self._error is None

    @property
    def whole(self) -> bool:
        """The body came to its end, and all of it is here."""
        return self._ended is not None and self._kept is not None

    def copy(self) -> Body:
        """Another body of the same bytes, for an attempt beside the one that has this.

        Raises:
            RuntimeError: it is not `whole`.
        """
        if self._ended is None or self._kept is None:
            raise RuntimeError(f"there is no copy of a part: {self!r}")
        body = Body(self._size)
        for chunk in self._kept:
            body.write(chunk)
        body.end(self._ended)
        return body

    def attach(self, sink: BodySink) -> None:
        """Send all that was read to the sink, then what is still to come.

        Raises:
            RuntimeError: the beginning is not here any more.
        """
        if self._kept is None:
            raise RuntimeError(f"the beginning of the body is gone: {self!r}")
        self._held = False
        for chunk in self._kept:
            sink.write(chunk)
        if self._error is not None:
            sink.abort(self._error)
        elif self._ended is not None:
            sink.end(self._ended)
        else:
            self._sink = sink
            if self._held:
                # What was kept is as much as its peer takes for now: it says when there may be more.
                pass
            elif self._reading:
                # Paused since the last sink left, by it or by `detach`.
                self._body.resume()
            else:
                self._reading = True
                self._body.attach(self)

    def detach(self) -> None:
        """The attempt is over; keep what comes, for the next one."""
        if self._sink is not None:
            self._sink = None
            self._body.hand_on(self)
            self._body.pause()

    def settle(self) -> None:
        """The attempt is the last one: what was kept goes, and the rest of the body flows into the sink without a detour."""
        self._kept = None
        if self._sink is not None:
            self._body.hand_on(self._sink)

    def pause(self) -> None:
        """The sink's peer is slow."""
        self._held = True
        self._body.pause()

    def resume(self) -> None:
        """The sink's peer reads again."""
        self._held = False
        self._body.resume()

    def cancel(self) -> None:
        """No further attempt will be made; the rest of the body is not wanted."""
        self._sink = None
        self._kept = None
        self._body.cancel()

    def write(self, data: bytes) -> None:
        """Body data, from the body."""
        sink, kept = self._sink, self._kept
        self._size += len(data)
        if kept is not None:
            # Between two sinks everything is kept: that is what was on its way when the body was paused.
            if self._size <= self._limit or sink is None:
                kept.append(data)
            else:
                self._kept = None
                self._body.hand_on(sink)
        if sink is not None:
            sink.write(data)

    def end(self, trailers: tuple[Field, ...]) -> None:
        """The body's end, from the body."""
        self._ended = trailers
        if self._sink is not None:
            sink, self._sink = self._sink, None
            sink.end(trailers)

    def abort(self, error: GatewayError) -> None:
        """The body's failure, from the body."""
        self._error = error
        if self._sink is not None:
            sink, self._sink = self._sink, None
            sink.abort(error)

    def __repr__(self) -> str:
        kept = "gone" if self._kept is None else f"{self._size} bytes"
        return f"<Replay {kept} of {self._body!r}>"
