"""Streams pieces of an open file into a body: one chunk in memory, whatever the file's size.

Chunks that are in the page cache are read at once (`RWF_NOWAIT`: 64 KiB take about 15 us); what the kernel would have to wait
for is read in a thread, so a slow disk never stops the loop.
"""

from __future__ import annotations

import os
from typing import Any

from twisted.internet.interfaces import IReactorTime

from edgegw.errors import GatewayError, Phase, Side
from edgegw.exchange.body import Body
from edgegw.targets.ranges import Span, length_of
from edgegw.targets.threads import Threads

CHUNK = 65536
"""Bytes read at a time."""
CHUNKS_PER_TURN = 4
"""Chunks for a sink that takes everything, before other connections have their turn."""

_NOWAIT = getattr(os, "RWF_NOWAIT", None)


def read_cached(descriptor: int, size: int, offset: int) -> bytes | None:
    """Read without waiting; None when the kernel would have to wait or can't tell."""
    if _NOWAIT is None:
        return None
    buffer = bytearray(size)
    try:
        count = os.preadv(descriptor, [buffer], offset, _NOWAIT)
    except OSError:
        return None
    # Fewer bytes than wanted are the cached part of a page run, or the end of the file; only a read that waits can tell.
    return bytes(buffer) if count == size else None


class FileBody:
    """A body source. `body` is what to put into the response; the descriptor is closed at its end, on failure and on cancel.

    Args:
        descriptor: an open file, taken over. pieces: what to send. clock: for turns. threads: for reads that wait.
    """

    def __init__(self, descriptor: int, pieces: list[bytes | Span], clock: IReactorTime, threads: Threads) -> None:
        self.body = Body(length_of(pieces), self)
        self._descriptor = descriptor
        self._pieces = list(reversed(pieces))
        self._clock = clock
        self._threads = threads
        self._running = False
        self._paused = False
        self._scheduled: Any = None
        self._reading = False
        self._closed = False

    # The body's side: BodySource.

    def start(self) -> None:
        """Somebody reads."""
        if not self._running:
            self._running = True
            self._soon()

    def pause(self) -> None:
        """Stop after the chunk that is being read."""
        self._paused = True

    def resume(self) -> None:
        """Go on."""
        if self._paused:
            self._paused = False
            self._soon()

    def cancel(self) -> None:
        """Nobody will read the rest."""
        self._close()

    # Reading.

    def prefetch(self) -> None:
        """Read the first chunk if that takes no waiting, so that it leaves together with the response's head."""
        if self._pieces and not self._closed:
            self._step()
            self._finish_if_done()

    def _soon(self) -> None:
        if self._running and self._scheduled is None and not self._reading and not self._closed:
            self._scheduled = self._clock.callLater(0, self._turn)

    def _turn(self) -> None:
        self._scheduled = None
        for _ in range(CHUNKS_PER_TURN):
            if self._paused or self._closed or self._reading:
                return
            if self._pieces and not self._step():
                self._read_in_thread()
                return
            self._finish_if_done()
        self._soon()

    def _step(self) -> bool:
        """Deliver one chunk; False if reading it would take waiting."""
        piece = self._pieces[-1]
        if isinstance(piece, bytes):
            self._pieces.pop()
            self.body.write(piece)
            return True
        data = read_cached(self._descriptor, min(CHUNK, piece.end - piece.begin), piece.begin)
        if data is None:
            return False
        self._deliver(data)
        return True

    def _read_in_thread(self) -> None:
        piece = self._pieces[-1]
        assert isinstance(piece, Span)
        self._reading = True
        waiting = self._threads(os.pread, self._descriptor, min(CHUNK, piece.end - piece.begin), piece.begin)
        waiting.addCallbacks(self._read, self._failed)

    def _read(self, data: bytes) -> None:
        self._reading = False
        if self._closed:
            os.close(self._descriptor)
        elif not data:
            self._abort("the file became shorter while it was sent")
        else:
            self._deliver(data)
            self._finish_if_done()
            if not self._paused:
                self._soon()

    def _failed(self, failure: Any) -> None:
        self._reading = False
        if self._closed:
            os.close(self._descriptor)
        else:
            self._abort(f"the file cannot be read: {failure.getErrorMessage()}")

    def _deliver(self, data: bytes) -> None:
        piece = self._pieces.pop()
        assert isinstance(piece, Span)
        if piece.begin + len(data) < piece.end:
            self._pieces.append(Span(piece.begin + len(data), piece.end))
        self.body.write(data)

    def _finish_if_done(self) -> None:
        if not self._pieces and not self._closed:
            self._close()
            self.body.end()

    def _abort(self, detail: str) -> None:
        self._close()
        self.body.abort(GatewayError(500, "file_failed", side=Side.GATEWAY, phase=Phase.RESPONSE_BODY, detail=detail))

    def _close(self) -> None:
        """Close the descriptor; while a thread reads from it, the end of that read closes it."""
        if self._closed:
            return
        self._closed = True
        if self._scheduled is not None:
            self._scheduled.cancel()
            self._scheduled = None
        if not self._reading:
            os.close(self._descriptor)
