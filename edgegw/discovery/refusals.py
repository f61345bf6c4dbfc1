"""What a source named and may not be: told once each, and not more often than an operator can read."""

from __future__ import annotations

from collections.abc import Callable, Iterable

_A_MINUTE = 10
_KEPT = 1000
_LONGEST = 200


class Refusals:
    """Of one source.

    Args:
        tell: told (what, reason), at most `_A_MINUTE` times a minute. seconds: monotonic.
    """

    def __init__(self, tell: Callable[[str, str], None], seconds: Callable[[], float]) -> None:
        self._tell = tell
        self._seconds = seconds
        self._known: dict[tuple[str, str], None] = {}
        self._began_s = float("-inf")
        self._told = 0
        self.last = ""
        self.untold = 0

    def add(self, what: str, reason: str) -> None:
        """Something was refused; what was told already is not told again."""
        what, reason = _short(what), _short(reason)
        self.last = f"{what}: {reason}"
        if (what, reason) in self._known:
            return
        if len(self._known) >= _KEPT:
            del self._known[next(iter(self._known))]
        now_s = self._seconds()
        if now_s - self._began_s >= 60.0:
            self._began_s, self._told = now_s, 0
        if self._told >= _A_MINUTE:
            self.untold += 1
            return
        self._told += 1
        self._known[what, reason] = None
        self._tell(what, reason)

    def keep(self, whats: Iterable[str]) -> None:
        """Only these are still refused: others are told again when they come back."""
        still = {_short(what) for what in whats}
        self._known = {key: None for key in self._known if key[0] in still}


def _short(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text[:_LONGEST])
