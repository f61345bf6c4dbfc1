"""Refuses exchanges for an upstream that fails, and tries it again with a few: admitting, refusing, probing.

    admitting --(failures in a row, or their share of the window)--> refusing
    refusing  --(its time is over, or somebody nudges)------------> probing
    probing   --(one bad)-----------------------------------------> refusing, for longer
    probing   --(`probes` good ones in a row)---------------------> admitting

Tokens only grow, so one of an earlier state is told from those of the present one by being smaller: what was admitted before the
upstream broke says nothing about the upstream that is being probed.
"""

from __future__ import annotations

from collections.abc import Callable
from math import ceil
from typing import Annotated, Any, Literal

from pydantic import Field

from edgegw.config.model import Settings
from edgegw.config.units import Duration, Percent, StatusRange, StatusRanges
from edgegw.errors import GatewayError, Phase, Side
from edgegw.upstream.environment import Environment
from edgegw.upstream.verdict import Row

State = Literal["admitting", "refusing", "probing"]

BUCKETS = 10
"""In how many steps the window slides."""
PROBE_S = 60.0
"""A probe of which nothing was heard for so long gives its place to another: one that is never settled must not block for ever."""
NUDGE_S = 1.0
"""How often at most a nudge ends a refusal."""

_LONG_S = 1e9
# What it costs the upstream nothing to say, or what is not its own doing.
_NEUTRAL = frozenset(
    {"connect_refused", "resolve_failed", "upstream_aborted", "upstream_http2_only", "upstream_refused_stream"}
)


class BreakerSettings(Settings):
    """When an upstream is taken for broken.

    What counts as a failure: no connection in time, a connection that is reset, no answer in time, an answer that is no HTTP or
    breaks off, and the `statuses`; a gRPC call has that of its grpc-status. A refused connection does not count: it costs nothing,
    and another endpoint is tried.
    """

    failures: int = Field(default=5, ge=0, description="Attempts that fail one after the other; 0 is off.")
    ratio: Annotated[Percent, Field(gt=0)] | Literal["off"] = Field(
        default=0.5, description="Share of the attempts within `window` that fail; `off` leaves `failures` alone."
    )
    min_requests: int = Field(
        default=20, ge=1, description="Attempts within `window` below which `ratio` says nothing."
    )
    window: Duration = Field(default=10.0, gt=0, description="How far back `ratio` looks.")
    refuse: Duration = Field(
        default=10.0, gt=0, description="How long exchanges are refused; twice as long each time that probing fails."
    )
    max_refuse: Duration = Field(
        default=60.0, gt=0, description="How long at most, however often probing fails; at least `refuse`."
    )
    probes: int = Field(
        default=3, ge=1, le=1000, description="Attempts at once while probing; so many good ones in a row end it."
    )
    statuses: StatusRanges = Field(
        default=(StatusRange(502, 504),),
        description="Statuses of the upstream that count as failures; of a gRPC call that of its grpc-status.",
    )


class Breaker:
    """Of one upstream.

    Attributes:
        bad: statuses that count as failures. told: (state, reason) on each change.
    """

    def __init__(self, settings: BreakerSettings, environment: Environment, told: Callable[[State, str], None]) -> None:
        self.settings = settings
        self.told = told
        self.state: State = "admitting"
        self._wheel = environment.wheel
        self._seconds = environment.wheel.seconds
        self._chance = environment.chance
        self._over = environment.wheel.deadline(self._time_is_over)
        self._window = _Window(settings.window)
        self.bad = frozenset(status for each in settings.statuses for status in range(each.low, each.high + 1))
        # Tokens: the last one given, the first one of this state, and the one that all share while admitting, else none.
        self._last = self._first = self._open = 1
        self._row = Row()
        self._whole_s = -_LONG_S
        self._since_s = self._seconds()
        self._until_s = 0.0
        self._refuse_s = 0.0
        self._broken = 0
        self._nudged_s = -NUDGE_S
        self._probes: dict[int, float] = {}
        self._good = 0

    # What the proxy asks and tells.

    def admit(self) -> int:
        """An attempt is to be made. Returns: a token for `settle`.

        Raises:
            GatewayError: 503 `breaker_refuses` with Retry-After.
        """
        if self.state == "admitting":
            return self._open
        return self._probe()

    def settle(self, token: int, ok: bool | None, whole: bool = True) -> None:
        """What became of the attempt: None if nothing can be learnt from it. Called once for each `admit`.

        Args:
            whole: there is no more of its answer to come; else `ended` says how it went on. A probe is taken at its head's word: a
                stream may go on for hours, and its place is needed.
        """
        if token == self._open:
            window, now_s = self._window, self._wheel.now_s
            if ok:
                if whole:
                    self._whole_s = now_s
                if self._row.length:
                    self._row.good(whole)
                if now_s >= window.ends_s:
                    window.slide(now_s)
                window.total += 1
                window.all[window.at] += 1
            elif ok is not None:
                window.add(now_s, 1, 1)
                self._row.bad(torn=False)
                self._failed()
        elif self._probes.pop(token, None) is not None:
            self._probed(ok)

    def ended(self, token: int, ok: bool, lasted_s: float) -> None:
        """The end of an answer that was settled as good when it began: as its head said, or it counts as bad instead.

        Args:
            lasted_s: since its head came. What had gone well for long, or since before another answer came whole, is no part of a
                row: streams of all ages break off together when one endpoint of many goes.
        """
        if token < self._first:
            return
        now_s = self._wheel.now_s
        if self.state == "admitting":
            if ok:
                self._whole_s = now_s
                self._row.good(whole=True)
                return
            self._window.spoil(now_s)
            if lasted_s <= min(self.settings.window, now_s - self._whole_s):
                self._row.bad(torn=True)
            self._failed()
        elif self.state == "probing" and not ok:
            self._refuse("a probe broke off")

    def nudge(self) -> None:
        """Something got better (a probe passes again): whoever refuses may try at once."""
        if self.state == "refusing" and self._seconds() - self._nudged_s >= NUDGE_S:
            self._nudged_s = self._seconds()
            self._try_again("an endpoint came back")

    # What operators ask and tell.

    def reset(self) -> None:
        """Admit again and forget what was."""
        was, self._broken = self.state, 0
        self._admit_all()
        if was != "admitting":
            self.told("admitting", "reset by an operator")

    @property
    def left_s(self) -> float:
        """Seconds until a refusal ends; 0 if nothing is refused, or only what is beyond the probes."""
        return max(0.0, self._until_s - self._seconds()) if self.state == "refusing" else 0.0

    # The inside.

    def _probe(self) -> int:
        """A token for one of the probes.

        Raises:
            GatewayError: there is no place for it.
        """
        now_s = self._seconds()
        if self.state == "refusing":
            if now_s < self._until_s:
                raise _refusal(self._until_s - now_s)
            self._time_is_over()
        probes = self._probes
        if len(probes) >= self.settings.probes:
            oldest = next(iter(probes))
            if now_s - probes[oldest] < PROBE_S:
                raise _refusal(0)
            del probes[oldest]
        self._last += 1
        probes[self._last] = now_s
        return self._last

    def _probed(self, ok: bool | None) -> None:
        if ok is None:
            return
        if not ok:
            self._refuse("a probe failed")
            return
        self._good += 1
        if self._good >= self.settings.probes:
            self._admit_all()
            self.told("admitting", f"{self.settings.probes} probes in a row were good")

    def _failed(self) -> None:
        """Row and window have it already. Only a failure can break an upstream, so only then is its share looked at."""
        mine, row = self.settings, self._row.length
        total, bad = self._window.total, self._window.bad
        if mine.failures and row >= mine.failures:
            self._refuse(f"{row} failures in a row")
        elif mine.ratio != "off" and total >= mine.min_requests and bad >= mine.ratio * total:
            self._refuse(f"{bad} of {total} failed within {mine.window:g} s")

    def _refuse(self, reason: str) -> None:
        mine, now_s = self.settings, self._seconds()
        if self.state == "admitting" and now_s - self._since_s >= max(mine.window, self._refuse_s):
            # It has admitted for a while: this is another fault, not the same one again.
            self._broken = 0
        refuse_s = min(mine.refuse * 2.0 ** min(self._broken, 30), mine.max_refuse)
        if self._broken:
            # So that gateways that broke together do not probe together.
            refuse_s *= 0.75 + 0.25 * self._chance.random()
        self._refuse_s = max(refuse_s, mine.refuse)
        self._broken += 1
        self._until_s = now_s + self._refuse_s
        self._enter("refusing")
        # Without traffic nobody would notice that its time is over, and operators would go on reading that it refuses.
        self._over.set(self._refuse_s)
        self.told("refusing", reason)

    def _time_is_over(self) -> None:
        self._try_again(f"{self._refuse_s:.3g} s are over")

    def _try_again(self, reason: str) -> None:
        self._enter("probing")
        self.told("probing", reason)

    def _admit_all(self) -> None:
        # The probes that led here belong to what follows: their answers may break off yet.
        first = self._first if self.state == "probing" else 0
        self._enter("admitting")
        self._first = first or self._first
        self._open = self._last
        self._row.clear()
        self._whole_s = -_LONG_S
        self._window.clear()

    def _enter(self, state: State) -> None:
        """Whatever was admitted so far belongs to the past."""
        self.state = state
        self._since_s = self._seconds()
        self._over.clear()
        self._last += 1
        self._first = self._last
        self._open = 0
        self._probes.clear()
        self._good = 0

    def describe(self) -> dict[str, Any]:
        """How it stands, for operators; words: the same in a line."""
        self._window.slide(self._wheel.now_s)
        return {
            "state": self.state,
            "attempts": self._window.total,
            "failed": self._window.bad,
            "failed_in_a_row": self._row.length,
            "window_s": self.settings.window,
            "left_s": round(self.left_s, 1),
            "broken": self._broken,
            "words": self._words(),
        }

    def _words(self) -> str:
        if self.state == "refusing":
            return f"refusing, {self.left_s:.1f} s left, broken {self._broken} times"
        if self.state == "probing":
            return f"probing, {len(self._probes)} of {self.settings.probes} under way, {self._good} good"
        self._window.slide(self._wheel.now_s)
        seen = f"{self._window.bad} of {self._window.total} failed within {self.settings.window:g} s"
        return f"admitting, {seen}, {self._row.length} in a row"

    def __repr__(self) -> str:
        return f"<Breaker {self._words()}>"


class _Window:
    """Counts of the last seconds: a ring of buckets and their sum, so that adding costs the same however much there is."""

    __slots__ = ("_bads", "_step_s", "all", "at", "bad", "ends_s", "total")

    def __init__(self, length_s: float) -> None:
        self._step_s = length_s / BUCKETS
        self.ends_s = 0.0
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self.all = [0] * BUCKETS
        self._bads = [0] * BUCKETS
        self.at = self.total = self.bad = 0

    def add(self, now_s: float, count: int, bad: int) -> None:
        """So many attempts, so many of them bad."""
        if now_s >= self.ends_s:
            self.slide(now_s)
        at = self.at
        self.all[at] += count
        self._bads[at] += bad
        self.total += count
        self.bad += bad

    def spoil(self, now_s: float) -> None:
        """One that was good is bad after all. If it has slid out of the window already, it counts anew."""
        self.slide(now_s)
        self.add(now_s, int(self.bad >= self.total), 1)

    def slide(self, now_s: float) -> None:
        """Empty the buckets whose time is over."""
        if now_s < self.ends_s:
            return
        passed = int((now_s - self.ends_s) / self._step_s) + 1
        self.ends_s += passed * self._step_s
        for _ in range(min(passed, BUCKETS)):
            at = self.at = (self.at + 1) % BUCKETS
            self.total -= self.all[at]
            self.bad -= self._bads[at]
            self.all[at] = self._bads[at] = 0


def verdict_of(error: GatewayError) -> bool | None:
    """What an attempt that ended in this error says about the upstream: for `Breaker.settle`."""
    return None if error.side is not Side.UPSTREAM or error.reason in _NEUTRAL else False


def _refusal(left_s: float) -> GatewayError:
    wait = b"%d" % max(1, ceil(left_s))
    return GatewayError(503, "breaker_refuses", phase=Phase.CHOOSE, headers=((b"Retry-After", wait),))
