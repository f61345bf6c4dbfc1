"""What several sources use together, such as one connection."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, TypeVar
from weakref import WeakValueDictionary

Shared = TypeVar("Shared")


class Common:
    """By what it is made of, as long as somebody holds it: what nobody uses any more is forgotten."""

    def __init__(self) -> None:
        self._held: WeakValueDictionary[Hashable, Any] = WeakValueDictionary()

    def get(self, key: Hashable, make: Callable[[], Shared]) -> Shared:
        """What there is for this key, else what `make` makes."""
        found: Shared | None = self._held.get(key)
        if found is None:
            found = self._held[key] = make()
        return found

    def __repr__(self) -> str:
        return f"<Common {len(self._held)}>"
