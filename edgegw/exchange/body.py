"""A stream of bytes between one source and one sink.

The producer's side calls `write`, `end`, `abort`. The consumer's side calls `attach` once, then `pause`, `resume`, `cancel`. Until
a sink is attached, at most `HIGH_WATER` bytes (plus one read) wait here, then the source is paused. No Deferred per chunk: with a
sink attached, `write` is one call through.
"""

from __future__ import annotations

from twisted.internet.defer import Deferred

from edgegw.errors import GatewayError, Phase, Side
from edgegw.exchange.interfaces import BodyGuard, BodySink, BodySource
from edgegw.wire.headers import Field

HIGH_WATER = 65536
"""Bytes that may wait in memory each way before the source is paused."""

_UNLIMITED = float("inf")


class Body:
    """One message body.

    Args:
        length: declared size in bytes, None when unknown.
        source: told to start, pause, resume, cancel; None for a body that is made in memory.

    `size` is the number of bytes that came so far, read or not. `guard` looks at them on their way, if one was set by `watch`.
    """

    __slots__ = (
        "_cancelled", "_chunks", "_full", "_paused", "_sink", "_started", "_waiting", "ended", "error", "guard",
        "length", "limit", "size", "source", "trailers",
    )  # fmt: skip

    def __init__(self, length: int | None = None, source: BodySource | None = None) -> None:
        self.length = length
        self.source = source
        self.ended = False
        self.error: GatewayError | None = None
        self.trailers: tuple[Field, ...] = ()
        self.size = 0
        self.limit: float = _UNLIMITED
        self.guard: BodyGuard | None = None
        self._sink: BodySink | None = None
        self._chunks: list[bytes] = []
        self._waiting = 0
        self._full = False
        self._paused = False
        self._started = False
        self._cancelled = False

    @classmethod
    def of(cls, data: bytes) -> Body:
        """A complete body."""
        if not data:
            return EMPTY
        body = cls(len(data))
        body._chunks.append(data)
        body._waiting = body.size = len(data)
        body.ended = True
        return body

    # The producer's side.

    def write(self, data: bytes) -> None:
        """Pass data on, or keep it until a sink is there. Data behind the end, or that nobody wants, are counted only."""
        self.size += len(data)
        if self.size > self.limit:
            data = self._at_limit(data)
            if not data:
                return
        sink = self._sink
        if sink is not None:
            sink.write(data)
            return
        if self.ended or self.error is not None:
            return
        self._chunks.append(data)
        self._waiting += len(data)
        if self._waiting >= HIGH_WATER and not self._full and self.source is not None:
            self._full = True
            if not self._paused:
                self.source.pause()

    def _at_limit(self, data: bytes) -> bytes:
        """What may pass of the data that go beyond `limit`: the cap, or the place where the guard wants to look."""
        guard, size = self.guard, len(data)
        if guard is None:
            self.limit = _UNLIMITED
            self._chunks = []
            self._waiting = 0
            self.fail(_too_large())
            return b""
        try:
            self.limit = self.size + guard.look(data, max(size - int(self.size - self.limit), 0))
        except GatewayError as error:
            self.limit = _UNLIMITED
            if guard.good:
                self.size -= size
                self.write(data[: guard.good])
                self.size += size - guard.good
            self.fail(error)
            return b""
        return data

    def fail(self, error: GatewayError) -> None:
        """What is between source and sink breaks the body off: the sink is told, and the source that nobody reads the rest."""
        live = self._live
        self.abort(error)
        if live and self.source is not None:
            self.source.cancel()

    def end(self, trailers: tuple[Field, ...] = ()) -> None:
        """The last byte was written."""
        if self.ended or self.error is not None:
            return
        self.ended = True
        self.trailers = trailers
        # It may know this body, and nobody should have to wait for the garbage collector.
        self.guard = None
        sink = self._sink
        if sink is not None:
            self._sink = None
            sink.end(trailers)

    def abort(self, error: GatewayError) -> None:
        """The source failed; the sink must not take what it has for a complete message, unless the guard has words that say so."""
        if self.ended or self.error is not None:
            return
        last = self.guard.last_words(error) if self.guard is not None else None
        if last is not None:
            self.end(last)
            return
        self.error = error
        self.guard = None
        sink = self._sink
        if sink is not None:
            self._sink = None
            sink.abort(error)

    # The consumer's side.

    @property
    def _live(self) -> bool:
        return not self.ended and self.error is None

    @property
    def complete(self) -> bool:
        """Every byte is here already, waiting for a sink."""
        return self.ended and self._sink is None

    @property
    def empty(self) -> bool:
        """There is nothing to read, and never was."""
        return self.ended and not self.size

    @property
    def started(self) -> bool:
        """Somebody reads it, or did."""
        return self._started

    def take_ready(self) -> bytes:
        """What waits now, in one piece, so that a head and its first bytes leave in one send. Only before `attach`."""
        chunks = self._chunks
        if not chunks:
            return b""
        data = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        self._chunks = []
        self._waiting = 0
        return data

    def cap(self, limit: int) -> None:
        """Accept at most `limit` bytes; more is a 413 `body_too_large` for the sink, and the source is cancelled.

        Raises:
            GatewayError: the same, at once, when the declared length or what is here already is too much.
        """
        if (self.length or 0) > limit or self.size > limit:
            raise _too_large()
        if not self.ended and self.guard is None:
            self.limit = limit

    def watch(self, guard: BodyGuard) -> None:
        """Let a guard look at what passes, in place of a cap. Only before `attach`, and not of `EMPTY`.

        Raises:
            GatewayError: what it finds in what is here already.
        """
        ahead = 0
        for chunk in self._chunks:
            size = len(chunk)
            ahead = guard.look(chunk, ahead) if ahead < size else ahead - size
        if not self.ended:
            self.guard = guard
            self.limit = self.size + ahead

    def attach(self, sink: BodySink) -> None:
        """Let everything flow into the sink, what waits first. A body has one reader in its life.

        Raises:
            RuntimeError: it had one already.
        """
        if self._started:
            raise RuntimeError("a body can be read once")
        if self._cancelled:
            sink.abort(self.error or _not_wanted())
            return
        if self.empty:
            # Not marked as read: the shared `EMPTY` has many readers.
            sink.end(self.trailers)
            return
        self._started = True
        source = self.source
        if source is not None and self._live:
            source.start()
        # The sink is told of first when all that waits is with it: its own doings may bring more meanwhile.
        while self._chunks:
            sink.write(self.take_ready())
        if self._cancelled:
            return
        if self.error is not None:
            sink.abort(self.error)
        elif self.ended:
            sink.end(self.trailers)
        else:
            self._sink = sink
            if self._full:
                self._full = False
                if not self._paused and source is not None:
                    source.resume()

    def hand_on(self, sink: BodySink) -> None:
        """The reader steps aside: what comes from now on goes to this sink directly."""
        if self._sink is not None:
            self._sink = sink

    def pause(self) -> None:
        """The sink's peer is slow."""
        if not self._paused and self._live:
            self._paused = True
            if self.source is not None and not self._full:
                self.source.pause()

    def resume(self) -> None:
        """The sink's peer reads again."""
        if self._paused and self._live:
            self._paused = False
            if self.source is not None and not self._full:
                self.source.resume()

    def cancel(self) -> None:
        """Nobody will read the rest; the sink, if any, hears nothing more."""
        if self.empty:
            return
        self._cancelled = True
        self._sink = None
        self._chunks = []
        self._waiting = 0
        if self._live:
            self.error = _not_wanted()
            self.guard = None
            if self.source is not None:
                self.source.cancel()

    async def read(self, limit: int) -> bytes:
        """The whole body, for those whose contract buffers it.

        Raises:
            GatewayError: 413 `body_too_large` past `limit` bytes, or whatever ended the body early.
        """
        if self.length is not None and self.length > limit:
            raise _too_large()
        collector = _Collector(self, limit)
        self.attach(collector)
        return await collector.done

    def __repr__(self) -> str:
        state = "ended" if self.ended else "aborted" if self.error else "flowing" if self._sink else "waiting"
        return f"<Body {state} length={self.length} waiting={self._waiting}{' paused' if self._paused else ''}>"


class _Collector:
    """A sink that keeps everything, up to a limit."""

    def __init__(self, body: Body, limit: int) -> None:
        self._body = body
        self._limit = limit
        self._chunks: list[bytes] = []
        self._size = 0
        self.done: Deferred[bytes] = Deferred(lambda _: body.cancel())

    def write(self, data: bytes) -> None:
        self._size += len(data)
        if self._size <= self._limit:
            self._chunks.append(data)
        elif not self.done.called:
            self._body.cancel()
            self.done.errback(_too_large())

    def end(self, trailers: tuple[Field, ...]) -> None:
        if not self.done.called:
            self.done.callback(b"".join(self._chunks))

    def abort(self, error: GatewayError) -> None:
        if not self.done.called:
            self.done.errback(error)


def _not_wanted() -> GatewayError:
    return GatewayError(499, "body_cancelled", phase=Phase.BODY, side=Side.GATEWAY)


def _too_large() -> GatewayError:
    return GatewayError(413, "body_too_large", side=Side.DOWNSTREAM, phase=Phase.BODY, close=True)


EMPTY = Body(0)
"""The body of a message without one; shared, holds no state."""
EMPTY.ended = True
