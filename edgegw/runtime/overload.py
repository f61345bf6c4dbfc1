"""What the process gives up, step by step, before it would be ended for want of memory or answer everybody too late.

Memory climbs a ladder (`LADDER`), each rung keeping what the ones below gave up. A rung is left only when the share has fallen by
`SLACK` below it, so that a process at its edge does not change its mind with every tick.

A loop that is late cannot be helped by closing connections, only by doing less: it raises the pressure and nothing else. How late
it is says its timer at its *best* within the last second (as CoDel looks at a queue): a pause for garbage, however long, is over by
the next tick and sheds nobody. While the loop stays late the pressure grows tick by tick, and it falls, slower, when the loop is on
time again, so it finds by itself the share of exchanges that can be served.

Pressure, from 0 to 1, sheds exchanges by importance: up to a third more and more of the low ones, up to two thirds all of these and
more and more of the normal ones, beyond that the high ones; never the critical ones.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from typing import Annotated, Literal, NamedTuple, Protocol

from pydantic import Field
from twisted.logger import Logger

from edgegw.config.model import Settings
from edgegw.config.units import Duration, Size
from edgegw.observe.metrics import Registry
from edgegw.runtime.memory import Limit, Memory, give_back

TICK_S = 0.25
"""How often `Overload.tick` is to be called."""
SLACK = 0.03
"""So much below a rung the memory must be before the rung is left."""
SHEDDING = 3
"""The rung on which exchanges are shed."""

LATE_TICKS = 4
"""So many ticks in a row must be late before the loop counts as late."""
RISE = 0.05
"""How much a tick adds to the pressure of a loop that is just too late, and up to four times as much if it is later still: in two
seconds no low exchange is served any more."""
FALL = 0.02
"""How much a tick takes away when none of the last ones was late: slower, because what comes back comes back at once."""
_MOST_RISE = 4.0

RELIEF_EVERY_S = 10.0
LIMITS_EVERY = 40
"""Ticks after which the limits are looked for again."""

Importance = Literal["low", "normal", "high", "critical"]
IMPORTANCES: tuple[Importance, ...] = ("low", "normal", "high", "critical")
"""In the order in which exchanges are shed."""

_log = Logger("edgegw.runtime.overload")


class OverloadSettings(Settings):
    """When the process counts as overloaded, and what it measures itself against."""

    memory: Literal["auto", "off"] | Size = Field(
        default="auto",
        description="Memory that the process may use: `auto` is the limit of its cgroup (container) or RLIMIT_AS, if there is one. "
        "From 85% of it idle connections are kept less long, from 92% none is kept, from 95% exchanges are shed, from 98% no "
        "connection is accepted.",
        examples=["auto", "512MiB"],
    )
    lag: Annotated[Duration, Field(gt=0)] | Literal["off"] = Field(
        default=0.5,
        description="How late the event loop may be, again and again, before exchanges are shed.",
        examples=["500ms"],
    )


class Concessions(Protocol):
    """What a listener asks, for each of its exchanges."""

    @property
    def patience(self) -> float:
        """The share of its idle time that an idle connection may stay."""

    @property
    def keep_alive(self) -> bool:
        """Whether connections live on behind an answer."""

    @property
    def accepting(self) -> bool:
        """Whether connections are accepted."""


class Rung(NamedTuple):
    """One step of the ladder. at: the share of the memory's limit. word: for logs. The rest: see `Concessions`."""

    at: float
    word: str
    patience: float = 1.0
    keep_alive: bool = True
    accepting: bool = True


LADDER = (
    Rung(0.0, "nothing is given up"),
    Rung(0.85, "idle connections are kept less long", 0.5),
    Rung(0.92, "connections end with their answer", 0.2, keep_alive=False),
    Rung(0.95, "exchanges are shed by importance", 0.1, keep_alive=False),
    Rung(0.98, "no connection is accepted", 0.1, keep_alive=False, accepting=False),
)
CALM: Concessions = LADDER[0]
"""Of a process that nobody watches."""


class Measured(Protocol):
    """`Memory`, or what plays it."""

    def share(self) -> float:
        """What is used of the limit, by whomever; 0 without one."""

    def own_share(self) -> float:
        """What this process alone uses of it."""

    def refresh(self) -> None:
        """The limit may have changed."""


Follower = Callable[[int, int, str], object]
"""Told (level before, level now, why) on each change."""


class Overload:
    """The state of the process, and what follows from it. One for all listeners and routes.

    Attributes (read them, never write):
        level: 0 to 4, the rung; 3 as well if only the loop is late. pressure: 0 to 1, see the module's text.
        patience, keep_alive, accepting: as `Concessions`. used: the share of the memory. lag_s: how late the loop is.

    Args:
        seconds: the loop's own monotonic clock. settings: see `apply`. registry: counts what is shed, shows the level.
        measure: makes what measures memory against a limit. relief: frees what memory it can. chance: who is shed.
    """

    def __init__(
        self,
        seconds: Callable[[], float],
        registry: Registry,
        settings: OverloadSettings = OverloadSettings(),
        measure: Callable[[Limit], Measured] = Memory,
        relief: Callable[[], None] = give_back,
        chance: random.Random | None = None,
    ) -> None:
        self._seconds = seconds
        self._measure = measure
        self._relief = relief
        self.chance = chance or random.Random()
        self._followers: list[Follower] = []
        self._gauge = registry.overload_level.only
        self._shed = [registry.shed.child(importance=name) for name in IMPORTANCES]
        self._odds = (0.0, 0.0, 0.0)
        self._rung = 0
        self._lateness = _Lateness()
        self._relieved_s = -RELIEF_EVERY_S
        self._ticks = 0
        self.level = 0
        self.pressure = self.used = self.lag_s = 0.0
        self.patience, self.keep_alive, self.accepting = CALM.patience, CALM.keep_alive, CALM.accepting
        self._memory: Measured
        self.apply(settings)
        if self._memory.own_share() >= LADDER[1].at:
            # Of what has not served anybody yet: it would accept nothing for ever. What others use in its cgroup may pass.
            _log.error(
                "overload: {used:.0%} of the memory (limit: {limit}) is used before the first exchange; memory is not watched, "
                "give the process more",
                used=self._memory.own_share(), limit=settings.memory,
            )  # fmt: skip
            self._memory = measure("off")

    def apply(self, settings: OverloadSettings) -> None:
        """Measure against these limits from the next tick on."""
        self.settings = settings
        self._memory = self._measure(settings.memory)
        self._lateness.limit_s = settings.lag if settings.lag != "off" else None

    def follow(self, follower: Follower) -> None:
        """Tell of each change of the level, when everything else that is read here has changed already."""
        self._followers.append(follower)

    def sheds(self, rank: int) -> bool:
        """Whether an exchange has to go; counts it. rank: its place in `IMPORTANCES`. Worth asking only under `pressure`."""
        odds = self._odds
        if rank < len(odds) and self.chance.random() < odds[rank]:
            self._shed[rank].inc()
            return True
        return False

    # Measuring.

    def tick(self) -> None:
        """Look, every `TICK_S`."""
        now_s = self._seconds()
        late, memory = self._lateness, self._memory
        late.tick(now_s)
        self.lag_s = late.best_s
        self._ticks += 1
        if self._ticks % LIMITS_EVERY == 0:
            memory.refresh()
        used = self.used = memory.share()
        before, rung = self._rung, self._rung_for(used)
        pressure = late.pressure
        if rung >= SHEDDING:
            low, high = LADDER[SHEDDING].at, LADDER[SHEDDING + 1].at
            pressure = max(pressure, _clamp((1 + 2 * (used - low) / (high - low)) / 3))
        self.pressure = pressure
        self._odds = (_clamp(3 * pressure), _clamp(3 * pressure - 1), _clamp(3 * pressure - 2))
        level = max(rung, SHEDDING if late.pressure else 0)
        if rung != before or level != self.level:
            self._climb(rung, level)
        if rung >= 2 and now_s - self._relieved_s >= RELIEF_EVERY_S:
            self._relieved_s = now_s
            self._relief()

    def _rung_for(self, used: float) -> int:
        rung = self._rung
        while rung + 1 < len(LADDER) and used >= LADDER[rung + 1].at:
            rung += 1
        while rung and used < LADDER[rung].at - SLACK:
            rung -= 1
        return rung

    def _climb(self, rung: int, level: int) -> None:
        """Up or down."""
        step, before = LADDER[rung], self.level
        self._rung, self.level = rung, level
        self.patience, self.keep_alive, self.accepting = step.patience, step.keep_alive, step.accepting
        self._gauge.set(level)
        reason = f"{self.used:.1%} of the memory is used, the loop is {self.lag_s * 1000:.0f} ms late"
        say = _log.warn if level > before else _log.info
        say(
            "overload: level {before} to {now}: {word} ({reason})",
            before=before, now=level, word=LADDER[level].word, reason=reason,
        )  # fmt: skip
        for follower in self._followers:
            try:
                follower(before, level, reason)
            except Exception:
                _log.failure("overload: somebody who was told of it failed")

    def __repr__(self) -> str:
        late = f"{self.lag_s * 1000:.0f} ms late"
        return f"<Overload level {self.level}, memory {self.used:.1%}, {late}, pressure {self.pressure:.2f}>"


class _Lateness:
    """How late the loop's timers are, and the pressure that comes of it.

    Attributes:
        limit_s: None is off. best_s: the least late of the last `LATE_TICKS`. pressure: 0 to 1.
    """

    def __init__(self) -> None:
        self.limit_s: float | None = None
        self.best_s = self.pressure = 0.0
        self._last_s: float | None = None
        self._seen: deque[float] = deque(maxlen=LATE_TICKS)

    def tick(self, now_s: float) -> None:
        """The timer ran."""
        if self._last_s is not None:
            self._seen.append(max(0.0, now_s - self._last_s - TICK_S))
        self._last_s = now_s
        best_s = self.best_s = min(self._seen) if len(self._seen) == LATE_TICKS else 0.0
        limit_s = self.limit_s
        if limit_s is None:
            self.pressure = 0.0
        elif best_s >= limit_s:
            self.pressure = min(1.0, self.pressure + RISE * min(best_s / limit_s, _MOST_RISE))
        elif self.pressure and max(self._seen) < limit_s / 2:
            self.pressure = max(0.0, self.pressure - FALL)


def _clamp(share: float) -> float:
    return min(1.0, max(0.0, share))
