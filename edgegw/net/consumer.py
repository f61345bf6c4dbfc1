"""The consumer half of a loop transport: producers follow the fill of the loop's write buffer."""

import asyncio
import contextvars
from collections.abc import Callable, Iterable
from typing import Any

from twisted.internet.interfaces import IProducer

from edgegw.net.turn import turn_of

HIGH_WATER = 64 * 1024
"""Unsent bytes above which a producer is paused; it is resumed at a quarter of that."""


class LoopConsumer(asyncio.Protocol):
    """Writers and producers over the loop transport `_wire`; `LoopTransport` adds the connection around it.

    A push producer is paused and resumed with `pause_writing` and `resume_writing`. A pull producer is asked for more
    in the turn after each of its writes, while there is room.
    """

    # Attributes, not methods: they change with the state of the connection, so that none has to be asked on the way.
    write: Callable[[bytes], None]
    writeSequence: Callable[[Iterable[bytes]], None]
    send: Callable[[bytes], None]

    _wire: asyncio.Transport

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._turn = turn_of(loop)
        self.gathered = 0
        self._producer: Any = None
        self._pulling = self._asking = self._congested = self._producer_paused = False
        self.connected = self.disconnecting = False
        self.dropped_writes = 0
        self._stop_writing()

    def registerProducer(self, producer: IProducer, streaming: bool) -> None:
        """Let `producer` follow the fill of our buffer. Raises RuntimeError if there is one already."""
        if self._producer is not None:
            raise RuntimeError(
                f"Cannot register producer {producer}, because producer {self._producer} was never unregistered."
            )
        if not self.connected:
            producer.stopProducing()
            return
        self._producer = producer
        self._producer_paused = False
        if not streaming:
            self._start_pulling()
        elif self._congested:
            self._pause_producer()

    def unregisterProducer(self) -> None:
        """Forget the producer; a `loseConnection` that waited for it goes on."""
        self._producer = None
        if self._pulling:
            self._pulling = False
            if self._can_write():
                self._start_writing()
        if self.connected and self.disconnecting:
            self._close()

    def pause_writing(self) -> None:
        """More unsent bytes than the high-water mark. Called by the loop."""
        self._congested = True
        if self._producer is not None and not self._pulling:
            self._pause_producer()

    def resume_writing(self) -> None:
        """Few enough unsent bytes again. Called by the loop."""
        self._congested = False
        if self._pulling or self._producer_paused:
            self._ask_soon()

    # What the connection around it adds.

    def _can_write(self) -> bool:
        raise NotImplementedError

    def _close(self) -> None:
        raise NotImplementedError

    def _fail(self, what: str) -> None:
        raise NotImplementedError

    # The inside.

    def _start_writing(self) -> None:
        self.send = self._wire.write
        self.write = self._gather
        self.writeSequence = self._gather_all

    def _stop_writing(self) -> None:
        self.write = self.writeSequence = self.send = self._drop

    def _gather(self, data: bytes) -> None:
        turn = self._turn
        if not turn.waiting:
            turn.begin()
        turn.waiting.append((self, data))
        self.gathered += len(data)
        if self.gathered > HIGH_WATER:
            # A producer that writes on and on within one turn is to hear that the buffer is full.
            turn.flush()

    def _gather_all(self, chunks: Iterable[bytes]) -> None:
        self._gather(b"".join(chunks))

    def _drop(self, data: object) -> None:
        self.dropped_writes += 1

    def _soon(self, call: Callable[[], None]) -> None:
        self._loop.call_soon(call, context=contextvars.Context())

    def _start_pulling(self) -> None:
        self._pulling = True
        if self._can_write():
            self._turn.flush()
            self.write = self._write_pulled
            self.writeSequence = self._write_all_pulled
        self._producer.resumeProducing()

    def _write_pulled(self, data: bytes) -> None:
        self._wire.write(data)
        self._ask_soon()

    def _write_all_pulled(self, chunks: Iterable[bytes]) -> None:
        self._wire.writelines(chunks)
        self._ask_soon()

    def _ask_soon(self) -> None:
        # In a turn of its own: a producer that closes inside `resume_writing` makes the stdlib loop report the loss twice.
        # A pull follows a write, so that a producer with nothing to say does not keep the loop busy.
        if not self._asking:
            self._asking = True
            self._soon(self._ask_for_more)

    def _ask_for_more(self) -> None:
        self._asking = False
        if self._producer is not None and not self._congested and (self._pulling or self._producer_paused):
            self._producer_paused = False
            self._tell("resumeProducing")

    def _pause_producer(self) -> None:
        self._producer_paused = True
        self._tell("pauseProducing")

    def _tell(self, what: str) -> None:
        try:
            getattr(self._producer, what)()
        except BaseException:
            self._fail(what)
