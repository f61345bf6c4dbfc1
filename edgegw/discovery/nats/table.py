"""Instances that must be heard of again and again."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from edgegw.discovery.candidate import Refused
from edgegw.discovery.nats.instance import BAD, GOOD, TTL_S, Instance
from edgegw.upstream.address import Named


@dataclass(slots=True, eq=False)
class _Entry:
    """instance: as it was announced last. held: why it should not be chosen. heard_s: when it was; None: it is remembered only.
    until_s: then it is gone, unless it is heard of again."""

    instance: Instance
    held: str
    heard_s: float | None
    until_s: float


class Table:
    """By id.

    Args:
        seconds: monotonic. most: how many there may be.
    """

    def __init__(self, seconds: Callable[[], float], most: int) -> None:
        self._seconds = seconds
        self._most = most
        self._entries: dict[str, _Entry] = {}
        self._first_s = float("inf")
        """No entry ends before."""

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, id_: str) -> bool:
        return id_ in self._entries

    def remember(self, named: Iterable[Named]) -> None:
        """Of an earlier life: they count as heard of now."""
        now_s = self._seconds()
        for each in named:
            id_ = each.settings.meta.get("id", each.settings.url)
            if len(self._entries) < self._most:
                self._entries[id_] = _Entry(Instance(id_, "", Named(each.settings)), each.held, None, now_s + TTL_S)
        self._first_s = min(self._first_s, now_s + TTL_S)

    def put(self, instance: Instance) -> bool:
        """It was announced; whether that changes anything.

        Raises:
            Refused: there are too many.
        """
        now_s = self._seconds()
        heard_s = now_s - instance.age_s
        until_s = heard_s + instance.ttl_s
        entry = self._entries.get(instance.id)
        if entry is None:
            if until_s <= now_s:
                return False
            if len(self._entries) >= self._most:
                raise Refused("the rest", f"more than {self._most} instances are announced")
            self._entries[instance.id] = _Entry(instance, _held(instance.status, ""), heard_s, until_s)
            self._first_s = min(self._first_s, until_s)
            return True
        if entry.heard_s is not None and heard_s < entry.heard_s and instance.age_s > 0:
            # Somebody tells what we have known for longer.
            return False
        held = _held(instance.status, entry.held)
        changed = instance.named != entry.instance.named or held != entry.held
        entry.instance, entry.held, entry.heard_s, entry.until_s = instance, held, heard_s, until_s
        self._first_s = min(self._first_s, until_s)
        return changed

    def beat(self, id_: str, status: str) -> bool:
        """It was heard of; whether that changes anything. Of those that are not known nothing can be made."""
        entry = self._entries.get(id_)
        if entry is None:
            return False
        now_s = self._seconds()
        held = _held(status, entry.held)
        changed = held != entry.held
        entry.held, entry.heard_s, entry.until_s = held, now_s, now_s + entry.instance.ttl_s
        if status:
            entry.instance = replace(entry.instance, status=status)
        return changed

    def drop(self, id_: str) -> bool:
        """It left; whether it was there."""
        return self._entries.pop(id_, None) is not None

    def is_due(self) -> bool:
        """Whether the time of one may be over."""
        return self._seconds() >= self._first_s

    def expire(self, at_s: float) -> bool:
        """Those whose time was over then are gone; whether there were any."""
        over = [id_ for id_, entry in self._entries.items() if entry.until_s <= at_s]
        for id_ in over:
            del self._entries[id_]
        self._first_s = min((entry.until_s for entry in self._entries.values()), default=float("inf"))
        return bool(over)

    def spare(self) -> None:
        """Nobody could be heard for a while: all of them have their whole time again."""
        now_s = self._seconds()
        for entry in self._entries.values():
            entry.until_s = max(entry.until_s, now_s + entry.instance.ttl_s)
        self._first_s = min((entry.until_s for entry in self._entries.values()), default=float("inf"))

    def named(self) -> list[Named]:
        """All of them, in the order of their addresses."""
        found = (
            Named(entry.instance.named.settings, entry.held) if entry.held else entry.instance.named
            for entry in self._entries.values()
        )
        # Of one address under two ids, one that may be chosen comes first.
        return sorted(found, key=lambda each: (each.settings.url, bool(each.held), each.settings.meta.get("id", "")))

    def heard(self) -> list[tuple[Instance, float]]:
        """Those that this table was told of, with the time since then."""
        now_s = self._seconds()
        return [(each.instance, now_s - each.heard_s) for each in self._entries.values() if each.heard_s is not None]

    def __repr__(self) -> str:
        return f"<Table of {len(self)} instances>"


def _held(status: str, before: str) -> str:
    if status in BAD:
        return status
    return "" if status in GOOD else before
