"""Whether an endpoint may be chosen, and why not: who has a reason against it holds it, and releases it when that is gone."""

from __future__ import annotations

from enum import Enum


class Hold(Enum):
    """Who holds an endpoint back. It may be chosen while nobody does.

    pending: it was not probed yet. failing: active probes. ejected: passive health, by its answers to real exchanges.
    not_ready: its discovery source (critical, terminating). drained: an operator. removed: it left the upstream.
    """

    PENDING = "pending"
    FAILING = "failing"
    EJECTED = "ejected"
    NOT_READY = "not_ready"
    DRAINED = "drained"
    REMOVED = "removed"


DOUBTS = frozenset({Hold.PENDING, Hold.FAILING, Hold.EJECTED})
"""Observations, which may be wrong: in panic an endpoint is chosen in spite of them. The others are somebody's will."""


class Standing:
    """The holds on one endpoint, with the reason of each in words. `free` and `usable` are plain attributes, read on every choice.

    free: nobody holds it. usable: at most doubts hold it, so panic may use it.
    """

    __slots__ = ("free", "reasons", "usable")

    def __init__(self) -> None:
        self.reasons: dict[Hold, str] = {}
        self.free = True
        self.usable = True

    def hold(self, by: Hold, reason: str) -> bool:
        """Returns whether that is new; the reason is kept up to date in any case."""
        new = by not in self.reasons
        self.reasons[by] = reason
        self._judge()
        return new

    def release(self, by: Hold) -> bool:
        """Returns whether it was held by that."""
        was = self.reasons.pop(by, None) is not None
        self._judge()
        return was

    def _judge(self) -> None:
        self.free = not self.reasons
        self.usable = all(hold in DOUBTS for hold in self.reasons)

    @property
    def state(self) -> str:
        """One word: `ready`, or the weightiest hold."""
        return max(self.reasons, key=_WEIGHT.__getitem__).value if self.reasons else "ready"

    def __repr__(self) -> str:
        held = ", ".join(f"{hold.value}: {reason}" for hold, reason in self.reasons.items())
        return f"<Standing {held or 'ready'}>"


_WEIGHT = {hold: at for at, hold in enumerate(Hold)}
