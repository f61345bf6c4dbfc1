"""The writes of one turn of the loop, sent together at its end.

A proxy that writes as soon as it has something alternates between its own code and the kernel's, and each throws the other's out of
the processor's caches. With 64 busy connections, sending at the end of the turn what its reads led to cost a fifth less CPU per
request (docs/adr/0003). It delays nothing that matters: the turn ends before the loop waits again.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from typing import Protocol
from weakref import WeakKeyDictionary

from twisted.logger import Logger

_log = Logger()


class Sender(Protocol):
    """What waits for the end of the turn."""

    gathered: int
    """Bytes of it in the turn."""
    send: Callable[[bytes], None]
    """Puts bytes on the wire now, or drops them when there is none any more."""


class Turn:
    """What one loop has gathered. One per loop (`turn_of`)."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        # Of its own, so that no callback inherits what happened to be current at the first write of the turn.
        self._context = contextvars.Context()
        self.waiting: list[tuple[Sender, bytes]] = []

    def begin(self) -> None:
        """The first write of a turn: arrange for its end."""
        self._loop.call_soon(self.flush, context=self._context)

    def flush(self) -> None:
        """Send everything, in the order in which it was written."""
        waiting, self.waiting = self.waiting, []
        several: dict[Sender, list[bytes]] = {}
        for sender, data in waiting:
            if sender.gathered != len(data):
                # Many streams on one connection: what they wrote leaves together.
                several.setdefault(sender, []).append(data)
                continue
            sender.gathered = 0
            try:
                sender.send(data)
            except Exception:
                # One broken connection must not keep back what belongs to the others.
                _log.failure("writing to {sender!r} failed", sender=sender)
        for sender, parts in several.items():
            sender.gathered = 0
            try:
                sender.send(b"".join(parts))
            except Exception:
                _log.failure("writing to {sender!r} failed", sender=sender)

    def __repr__(self) -> str:
        return f"<Turn {len(self.waiting)} writes waiting>"


_turns: WeakKeyDictionary[asyncio.AbstractEventLoop, Turn] = WeakKeyDictionary()


def turn_of(loop: asyncio.AbstractEventLoop) -> Turn:
    """The turn of a loop."""
    turn = _turns.get(loop)
    if turn is None:
        turn = _turns[loop] = Turn(loop)
    return turn
