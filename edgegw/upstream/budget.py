"""How much of an upstream's traffic further attempts may be: what keeps retries from making an overload worse.

Exchanges and the attempts that were added to them are counted in a ring of one-second buckets, all endpoints together, so the
budget is one number for the upstream, asked and kept up to date in O(1).
"""

from __future__ import annotations

from edgegw.runtime.wheel import Wheel

WINDOW_S = 10
"""Seconds that the budget looks back."""


class RetryBudget:
    """Of one upstream. exchanges, added: in the window, as of the last call."""

    __slots__ = ("_added", "_at", "_exchanges", "_now", "_wheel", "added", "exchanges")

    def __init__(self, wheel: Wheel) -> None:
        self._wheel = wheel
        self._at = int(wheel.now_s)
        self._now = 0
        self._exchanges = [0] * WINDOW_S
        self._added = [0] * WINDOW_S
        self.exchanges = 0
        self.added = 0

    def begun(self) -> None:
        """An exchange has begun. On every request's path: the second that goes on is a plain counter."""
        # The wheel's time is 100 ms coarse and free to read.
        if int(self._wheel.now_s) != self._at:
            self._advance()
        self._now += 1

    def take(self, share: float, floor: float) -> bool:
        """Whether one more attempt may be added now; if so, it is counted.

        Args:
            share: of the exchanges in the window that added attempts may be. floor: so many are allowed in any case.
        """
        self._advance()
        if self.added + 1 > max(share * self.exchanges, floor):
            return False
        self._added[self._at % WINDOW_S] += 1
        self.added += 1
        return True

    def give_back(self) -> None:
        """What was taken last was not used after all."""
        at = self._at % WINDOW_S
        if self._added[at]:
            self._added[at] -= 1
            self.added -= 1

    def _advance(self) -> None:
        """Settle the second that went on, and forget what left the window."""
        self.exchanges += self._now
        self._exchanges[self._at % WINDOW_S] += self._now
        self._now = 0
        second = int(self._wheel.now_s)
        for passed in range(max(self._at + 1, second - WINDOW_S + 1), second + 1):
            at = passed % WINDOW_S
            self.exchanges -= self._exchanges[at]
            self.added -= self._added[at]
            self._exchanges[at] = self._added[at] = 0
        self._at = max(second, self._at)

    def describe(self) -> dict[str, int]:
        """What the window holds, for operators."""
        self._advance()
        return {"exchanges": self.exchanges, "added": self.added, "window_s": WINDOW_S}

    def __repr__(self) -> str:
        self._advance()
        return f"<RetryBudget {self.added} added to {self.exchanges} exchanges>"
