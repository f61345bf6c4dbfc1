"""One coarse timer wheel for all deadlines.

`callLater` costs about 10 us on asyncio reactors; a deadline here costs an attribute store. A `Deadline` belongs to a connection or
pool waiter for life and is moved lazily: pushing it further away writes one float; only the slot it is filed in decides, when its
turn comes, whether to fire it or to file it anew. After Varghese and Lauck's hashed wheels.

When the loop itself stood still, nobody could be heard meanwhile: the loop then reads what has come before a deadline fires.
"""

from __future__ import annotations

from collections.abc import Callable
from math import ceil

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

TICK_S = 0.1
STALL_S = 1.0
"""A turn this much too late means that the loop stood still."""

_TICKS_PER_S = 10
_SLOTS = 1024
_NEVER = float("inf")
# 0.3 s is the third tick, though 0.3 / 0.1 is less than 3.
_EPSILON = 1e-6
_SHORTEST_S = 0.001

_log = Logger("edgegw.runtime.wheel")


class Deadline:
    """A moment that can be moved and cleared for next to nothing; on passing it, `callback()` is called once.

    Made by `Wheel.deadline`. Fires at most one tick (100 ms) late, never early.
    """

    __slots__ = ("_callback", "_filed_s", "_slot", "_wheel", "due_s")

    def __init__(self, wheel: Wheel, callback: Callable[[], None]) -> None:
        self._wheel = wheel
        self._callback = callback
        self._slot = -1
        self._filed_s = 0.0
        self.due_s = _NEVER

    def set(self, delay_s: float) -> None:
        """Fire `delay_s` seconds from now, whatever was set before."""
        due_s = self.due_s = self._wheel.seconds() + delay_s
        if self._slot < 0 or due_s < self._filed_s:
            self._wheel.file(self)

    def set_at(self, due_s: float) -> None:
        """Fire at this moment of the wheel's clock."""
        self.due_s = due_s
        if self._slot < 0 or due_s < self._filed_s:
            self._wheel.file(self)

    def clear(self) -> None:
        """Do not fire. The wheel forgets the deadline when its slot's turn comes."""
        self.due_s = _NEVER

    def drop(self) -> None:
        """Never fire again, and let go of the callback now: for the owner's end.

        An owner that holds its deadline, which holds the owner's method, would wait for the garbage collector, and with thousands
        of requests in flight that comes round seldom.
        """
        self.due_s = _NEVER
        self._callback = _dropped
        self._wheel.unfile(self)

    @property
    def active(self) -> bool:
        """Whether it is set."""
        return self.due_s != _NEVER

    def __repr__(self) -> str:
        left = f"in {self.due_s - self._wheel.seconds():.1f} s" if self.active else "clear"
        return f"<Deadline {left}>"


class Wheel:
    """The wheel itself. `now_s` is the clock's time at the last tick: coarse, free to read.

    Args:
        clock: monotonic time and `callLater`.
    """

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self.seconds: Callable[[], float] = clock.seconds
        self._slots: list[dict[Deadline, None]] = [{} for _ in range(_SLOTS)]
        self._call: IDelayedCall | None = None
        self._expected_s = 0.0
        self.now_s: float = clock.seconds()
        self._tick = _tick_at(self.now_s)

    def start(self) -> None:
        """Begin to turn. What was set before keeps its moment."""
        if self._call is None:
            self.now_s = self.seconds()
            self._call_at_next_tick()

    def stop(self) -> None:
        """Turn no more; deadlines stay filed."""
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def deadline(self, callback: Callable[[], None]) -> Deadline:
        """A deadline of this wheel, not set yet."""
        return Deadline(self, callback)

    def file(self, deadline: Deadline) -> None:
        """Put a deadline into the slot of its moment, or the farthest one; for `Deadline`."""
        if deadline._slot >= 0:
            self._take(deadline)
        ahead = min(max(deadline.due_s * _TICKS_PER_S - _EPSILON - self._tick, 1.0), _SLOTS - 1.0)
        tick = self._tick + ceil(ahead)
        deadline._slot = tick % _SLOTS
        deadline._filed_s = (tick - 1) / _TICKS_PER_S
        self._slots[deadline._slot][deadline] = None

    def unfile(self, deadline: Deadline) -> None:
        """Forget a deadline; for `Deadline`."""
        if deadline._slot >= 0:
            self._take(deadline)
            deadline._slot = -1

    def _take(self, deadline: Deadline) -> None:
        filed = self._slots[deadline._slot]
        filed.pop(deadline, None)
        if not filed:
            # An emptied dictionary keeps its size, and there are a thousand of them.
            filed.clear()

    def _call_at_next_tick(self) -> None:
        delay_s = max((_tick_at(self.now_s) + 1) / _TICKS_PER_S - self.now_s, _SHORTEST_S)
        self._expected_s = self.now_s + delay_s
        self._call = self._clock.callLater(delay_s, self._turn)

    def _turn(self) -> None:
        self.now_s = self.seconds()
        if self.now_s - self._expected_s < STALL_S:
            self._visit_due()
        else:
            # Some loops run what is called for now before they look at sockets, so twice.
            self._call = self._clock.callLater(0, self._after_stall)

    def _after_stall(self) -> None:
        self._call = self._clock.callLater(0, self._visit_due)

    def _visit_due(self) -> None:
        self.now_s = self.seconds()
        self._call_at_next_tick()
        target = _tick_at(self.now_s)
        # A loop that stood still for long visits every slot once, not once per missed tick.
        for tick in range(max(self._tick + 1, target - _SLOTS + 1), target + 1):
            self._tick = tick
            self._visit(tick % _SLOTS)

    def _visit(self, slot: int) -> None:
        filed = self._slots[slot]
        if not filed:
            return
        self._slots[slot] = {}
        for deadline in filed:
            deadline._slot = -1
        for deadline in filed:
            # A callback before this one may have filed it anew.
            if deadline._slot >= 0 or deadline.due_s == _NEVER:
                continue
            if deadline.due_s > self.now_s:
                self.file(deadline)
                continue
            deadline.due_s = _NEVER
            try:
                deadline._callback()
            except BaseException:
                # Also what is no Exception: the rest of the slot would never fire.
                _log.failure("a deadline's callback failed")

    def __len__(self) -> int:
        return sum(len(slot) for slot in self._slots)

    def __repr__(self) -> str:
        return f"<Wheel {len(self)} deadlines filed{'' if self._call else ', stopped'}>"


def _dropped() -> None:
    """What a deadline calls that was dropped and set again all the same."""


def _tick_at(now_s: float) -> int:
    return int(now_s * _TICKS_PER_S + _EPSILON)
