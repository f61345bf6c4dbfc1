"""Whether a side still lives: pings when it is silent, a verdict when it stays so. And how fast it may talk."""

from __future__ import annotations

from typing import Protocol

from edgegw.config.units import Rate
from edgegw.runtime.wheel import TICK_S

_NEVER = float("inf")


class Pulsing(Protocol):
    """A side, as far as its pulse is concerned."""

    sent: int
    """Bytes that were written to it."""

    def outstanding(self) -> int:
        """How many of them it has not taken yet, as far as is known."""

    def ping(self) -> None:
        """Send it a ping."""


class Pulse:
    """The keepalive of one side. Anything heard from it is a sign of life, not only the pong.

    Args:
        interval_s: silence after which it is pinged; 0 is never. timeout_s: silence after the ping that is death.
    """

    __slots__ = ("_interval_s", "_pinged_s", "_taken", "_timeout_s", "heard_s")

    def __init__(self, interval_s: float, timeout_s: float, now_s: float) -> None:
        self._interval_s = interval_s
        self._timeout_s = timeout_s
        self._pinged_s = -1.0
        self._taken = 0
        self.heard_s = now_s

    def check(self, now_s: float, side: Pulsing) -> float:
        """Ping if it is time to.

        A peer that takes what was written, however slowly, may have our ping still before it: it is not dead.

        Returns:
            when to check again, or -1 if the side is dead.
        """
        if not self._interval_s:
            return _NEVER
        if self.heard_s < self._pinged_s:
            due_s = self._pinged_s + self._timeout_s
            if now_s < due_s:
                return due_s
            outstanding, before = side.outstanding(), self._taken
            self._taken = side.sent - outstanding
            self._pinged_s = now_s
            return now_s + self._timeout_s if outstanding and self._taken > before else -1
        due_s = self.heard_s + self._interval_s
        if now_s < due_s:
            return due_s
        self._taken = side.sent - side.outstanding()
        self._pinged_s = now_s
        side.ping()
        return now_s + self._timeout_s

    def __repr__(self) -> str:
        return f"<Pulse heard={self.heard_s:.1f} pinged={self._pinged_s:.1f}>"


class Pace:
    """A rate with a burst of a second's worth, at least one (GCRA, ITU-T I.371)."""

    __slots__ = ("_burst_s", "_due_s", "_gap_s")

    def __init__(self, rate: Rate) -> None:
        self._gap_s = rate.per_s / rate.count
        # The wheel's clock, which is read here, stands still for a tick.
        self._burst_s = max(1.0, self._gap_s) + TICK_S
        self._due_s = 0.0

    def allows(self, now_s: float) -> bool:
        """Whether one more is within the rate; counted if so."""
        due_s = max(self._due_s, now_s) + self._gap_s
        if due_s - now_s > self._burst_s:
            return False
        self._due_s = due_s
        return True

    def __repr__(self) -> str:
        return f"<Pace {1 / self._gap_s:g}/s>"
