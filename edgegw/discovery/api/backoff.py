"""How long to wait after errors in a row."""

from __future__ import annotations

import random

BASE_S, CAP_S, FLOOR_S = 1.0, 30.0, 0.2


class Backoff:
    """Exponential with full jitter, so that a fleet does not come back as one."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self.setbacks = 0

    def reset(self) -> None:
        """All is well again."""
        self.setbacks = 0

    def next_s(self, least_s: float = 0.0) -> float:
        """One more error: how long to wait after it, at least what was asked for."""
        self.setbacks += 1
        upper_s = min(CAP_S, BASE_S * 2.0 ** min(self.setbacks - 1, 10))
        return max(FLOOR_S, self._chance.uniform(0.0, upper_s), least_s)

    def __repr__(self) -> str:
        return f"<Backoff after {self.setbacks} setbacks>"
