"""Flap damping: an endpoint that comes and goes too often is held back until it has been quiet.

Every coming costs connections, health checks and a reshuffle of hash tables. What helps one bad endpoint must not take the whole
upstream away, so when more than half of the endpoints flap, none is held back for it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from edgegw.discovery.settings import DampingSettings
from edgegw.upstream.address import Named

FLAPPING = "flapping"
_KNOWN_MAX = 20_000


class Damping:
    """What is remembered of the comings and goings of one source.

    Args:
        settings: None is off. seconds: monotonic.
    """

    def __init__(self, settings: DampingSettings | None, seconds: Callable[[], float]) -> None:
        self._settings = settings
        self._seconds = seconds
        self._present: frozenset[str] | None = None
        self._comings: dict[str, deque[float]] = {}
        self._moved_s: dict[str, float] = {}
        self.flapping: set[str] = set()

    def seen(self, named: Sequence[Named]) -> None:
        """An answer of the source. Those that it holds back itself count as gone."""
        settings, before = self._settings, self._present
        if settings is None:
            return
        self._present = now = frozenset(each.settings.url for each in named if not each.held)
        if before is None:
            return
        at_s = self._seconds()
        if len(self._moved_s) > _KNOWN_MAX:
            self._comings.clear()
            self._moved_s = {url: moved_s for url, moved_s in self._moved_s.items() if url in self.flapping}
        for url in before ^ now:
            self._moved_s[url] = at_s
        for url in now - before:
            comings = self._comings.setdefault(url, deque(maxlen=settings.changes + 1))
            comings.append(at_s)
            if len(comings) > settings.changes and at_s - comings[0] <= settings.window:
                self.flapping.add(url)

    def judge(self, named: Sequence[Named]) -> tuple[Named, ...]:
        """The same endpoints, with those held back that flap and are still free."""
        hit = {each.settings.url for each in named if not each.held and each.settings.url in self.flapping}
        if not hit or 2 * len(hit) > sum(not each.held for each in named):
            return tuple(named)
        return tuple(Named(each.settings, FLAPPING) if each.settings.url in hit else each for each in named)

    def forget(self) -> None:
        """What has been quiet for long enough; call it now and then."""
        settings = self._settings
        if settings is None:
            return
        at_s = self._seconds()
        for url, moved_s in list(self._moved_s.items()):
            quiet_s = at_s - moved_s
            if quiet_s >= settings.quiet and url in self.flapping:
                self.flapping.discard(url)
                # It starts anew: one more coming must not hold it back again at once.
                self._comings.pop(url, None)
            if quiet_s >= max(settings.quiet, settings.window):
                del self._moved_s[url]
                self._comings.pop(url, None)

    def __repr__(self) -> str:
        return f"<Damping {'off' if self._settings is None else f'{len(self.flapping)} flapping'}>"
