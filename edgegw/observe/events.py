"""What happened to upstreams and endpoints, as a bounded list that can be followed: for the log, metrics and operators."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

KINDS = {
    "endpoint_added": "a source named an endpoint",
    "endpoint_removed": "no source names it any more; what is in flight on it finishes",
    "endpoint_changed": "its weight, zone, tier or facts are others",
    "endpoint_held": "it may not be chosen: pending, failing, ejected, not_ready, drained",
    "endpoint_released": "one reason against it is gone",
    "upstream_changed": "what a source advises changed how it is balanced or probed",
    "breaker_changed": "a breaker is admitting, refusing or probing",
    "panic_changed": "so few endpoints are free that all are used, or that is over",
    "source_stale": "a discovery source does not answer; what it said last holds",
    "source_recovered": "it answers again",
    "source_refused": "it named something that cannot be an endpoint, advised what cannot be, or changes faster than it may",
}

KEPT = 1024


@dataclass(frozen=True, slots=True)
class Event:
    """One of them. number: counts up from 1. at_s: Unix time. kind: of `KINDS`. endpoint: its name, or empty. source: who said or
    saw it (`config`, `health`, `outlier`, `operator`, a discovery source). state: what holds now, in one word. reason: in words.
    """

    number: int
    at_s: float
    kind: str
    upstream: str
    endpoint: str
    source: str
    state: str
    reason: str

    def as_data(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        return asdict(self)


Follower = Callable[[Event], None]


class Events:
    """The last `KEPT` events, and who follows them.

    Args:
        wall: Unix time.
    """

    def __init__(self, wall: Callable[[], float] = time.time, kept: int = KEPT) -> None:  # noqa: TID251 - the default of an injected clock.
        self._wall = wall
        self._kept: deque[Event] = deque(maxlen=kept)
        self._followers: dict[int, Follower] = {}
        self._next_follower = 0
        self._number = 0

    def add(
        self, kind: str, upstream: str, endpoint: str = "", *, source: str = "", state: str = "", reason: str = ""
    ) -> None:
        """Something happened. Followers are called at once, in the order they came; they must not raise."""
        self._number += 1
        event = Event(self._number, self._wall(), kind, upstream, endpoint, source, state, reason)
        self._kept.append(event)
        for follower in list(self._followers.values()):
            follower(event)

    @property
    def last(self) -> int:
        """The number of the latest; 0 if there was none."""
        return self._number

    def since(self, number: int = 0) -> list[Event]:
        """Events after this number, oldest first, as far as they are kept."""
        return [event for event in self._kept if event.number > number]

    def follow(self, follower: Follower) -> Callable[[], None]:
        """Call for every event from now on. Returns: ends it."""
        self._next_follower += 1
        key = self._next_follower
        self._followers[key] = follower

        def leave() -> None:
            self._followers.pop(key, None)

        return leave

    def __repr__(self) -> str:
        return f"<Events {self._number} so far, {len(self._kept)} kept, {len(self._followers)} followers>"
