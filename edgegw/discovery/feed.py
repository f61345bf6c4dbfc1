"""Between a source and an upstream: what a source says as far as it may be believed, and what it said last while it is silent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from twisted.application.service import MultiService
from twisted.internet.defer import Deferred, gatherResults, maybeDeferred
from twisted.logger import Logger

from edgegw.discovery.damping import FLAPPING, Damping
from edgegw.discovery.interfaces import Source
from edgegw.discovery.policy import EndpointPolicy
from edgegw.discovery.refusals import Refusals
from edgegw.discovery.settings import DiscoverySettings
from edgegw.discovery.snapshots import Snapshot, SnapshotFile
from edgegw.runtime.supervise import Supervised
from edgegw.upstream.address import EndpointUrl, Named
from edgegw.upstream.advice import Advice
from edgegw.upstream.environment import Environment

MAX_ENDPOINTS = 10_000
MERGE_S = 1.0
"""Changes within this time reach the upstream together, the first of them at once."""
SAVE_S = 5.0

_log = Logger("edgegw.discovery.feed")


Update = Callable[[str, Sequence[Named], Advice | None], None]


class Outlet(NamedTuple):
    """Where a feed leads. update: takes the source's name, its endpoints and its advice, such as `Cluster.update`. counted: takes
    the outcome of each answer: `ok`, `unchanged`, `failed`, `damped`. memory: the disk; None: none.
    """

    update: Update
    counted: Callable[[str], None] = lambda outcome: None
    memory: SnapshotFile | None = None


class Feed(MultiService):
    """The discovery of one upstream; a `Listener`. It starts with the last known good of the disk, and starts the source.

    Args:
        upstream: its name. source: what is listened to. settings: how far it is believed. policy: which addresses may be.
        environment: clock and events.
    """

    def __init__(
        self,
        upstream: str,
        source: Source,
        settings: DiscoverySettings,
        policy: EndpointPolicy,
        environment: Environment,
        outlet: Outlet,
    ) -> None:
        MultiService.__init__(self)
        self.upstream = upstream
        self.source = source
        self.settings = settings
        self.policy = policy
        self.last_error = ""
        self._outlet = outlet
        self._environment = environment
        self._seconds = seconds = environment.seconds
        self._damping = Damping(settings.damping or None, seconds)
        self._refusals = Refusals(self._tell_refused, seconds)
        self._said: tuple[Named, ...] | None = None
        """By the source, as far as it may be."""
        self._believed: tuple[Named, ...] = ()
        """Of that, what holds: with what was there before an empty answer, without damping."""
        self._given: tuple[Named, ...] = ()
        """To the upstream."""
        self._advised: Advice | None = None
        """By the source, with `_said`."""
        self._passed_on: Advice | None = None
        """To the upstream, with `_given`."""
        self._predecessor: Feed | None = None
        self._others: set[str] = set()
        """Sources that were here before and whose words still hold."""
        self._urls: dict[str, EndpointUrl] = {}
        self._refused_by_source: set[str] = set()
        self._left_out = 0
        self._began_s = self._confirmed_s = seconds()
        self._given_s = self._saved_s = float("-inf")
        self._empty_s: float | None = None
        self._answers = False
        self._remembered = False
        self._failing = False
        self._stale = False
        self._dirty = False
        self._saving: Deferred[None] | None = None
        ticks = Supervised(f"feed of {upstream}", self._tick, 1.0, environment.reactor)
        ticks.setServiceParent(self)  # type: ignore[no-untyped-call]

    # Life.

    def succeed(self, old: Feed) -> None:
        """Call before the start: this feed takes the place of another one, whose words hold until this one's source answers."""
        self._predecessor = old
        # It may never have answered itself, and those before it still wait to be buried.
        self._others = {old.source.name, *old._others} - {self.source.name}
        old._predecessor = None

    def startService(self) -> None:
        """Twisted: serve what is remembered, then watch."""
        if self.running:
            return
        self._began_s = self._confirmed_s = self._seconds()
        self._remember()
        MultiService.startService(self)
        try:
            self.source.start(self)
        except Exception as error:
            _log.failure("{feed!r}: the source did not start", feed=self)
            self.failed(f"it did not start: {error}")

    def stopService(self) -> Deferred[None] | None:
        """Twisted: fires when the source is gone and what it said is on disk. The upstream keeps what it was told."""
        if not self.running:
            return None
        stopped = maybeDeferred(self.source.stop).addErrback(_log_failure, "{feed!r}: the source did not stop", self)
        ended = maybeDeferred(MultiService.stopService, self)
        saved = maybeDeferred(self._save, last=True)
        return gatherResults([stopped, ended, saved]).addCallback(lambda _: None)

    # What the source says.

    def found(self, named: Sequence[Named], advice: Advice | None = None) -> None:
        """`Listener`."""
        if not self.running:
            return
        self._answered()
        said = self._fit(named)
        same = said == self._said and advice == self._advised
        self._outlet.counted("unchanged" if same else "ok")
        self._advised = advice
        if said != self._said:
            self._said = said
            self._damping.seen(said)
        self._remembered = False
        self._settle()

    def known(self) -> Sequence[Named]:
        """`Listener`."""
        return self._believed

    def confirmed(self) -> None:
        """`Listener`."""
        if self.running:
            self._answered()
            self._outlet.counted("unchanged")

    def failed(self, reason: str) -> None:
        """`Listener`."""
        if not self.running:
            return
        self.last_error = "".join(char if char.isprintable() else " " for char in reason[:300])
        self._outlet.counted("failed")
        if not self._failing:
            self._failing = True
            words = "{source} of upstream {upstream} does not answer: {reason}; "
            words += "what it said last holds" if self._given else "nothing is known from it yet"
            _log.warn(words, source=self.source.name, upstream=self.upstream, reason=self.last_error)

    def refused(self, what: str, reason: str) -> None:
        """`Listener`."""
        if self.running:
            if len(self._refused_by_source) < MAX_ENDPOINTS:
                self._refused_by_source.add(what)
            self._refusals.add(what, reason)

    def _answered(self) -> None:
        self._confirmed_s = self._seconds()
        self._answers = True
        if self._failing:
            self._failing = False
            _log.info("{source} of upstream {upstream} answers again", source=self.source.name, upstream=self.upstream)
        if self._stale:
            self._stale = False
            self._event("source_recovered", "fresh", "it answers again")

    def _fit(self, named: Sequence[Named]) -> tuple[Named, ...]:
        """Each address once, those that may be, with what the configuration says of all of them; not more than there may be."""
        known, self._urls = self._urls, {}
        fit: dict[str, Named] = {}
        refused: list[str] = []
        for each in named[: 2 * MAX_ENDPOINTS]:
            url = each.settings.url
            # A large service is named again with every change, so what was read of it is kept.
            self._urls[url] = where = known.get(url) or EndpointUrl.parse(url)
            reason = self.policy.refuse_named(where)
            if reason is not None:
                refused.append(url)
                self._refusals.add(url, reason)
            elif len(fit) < MAX_ENDPOINTS:
                fit.setdefault(url, self._dressed(each))
            elif url not in fit:
                refused.append("the rest")
                self._refusals.add("the rest", f"it names more than {MAX_ENDPOINTS} endpoints")
                break
        self._left_out = len(refused) + len(self._refused_by_source)
        self._refusals.keep([*refused, *self._refused_by_source])
        self._refused_by_source.clear()
        return tuple(fit.values())

    def _dressed(self, named: Named) -> Named:
        mine, given = self.settings, named.settings
        changes: dict[str, Any] = {}
        if mine.zone and not given.zone:
            changes["zone"] = mine.zone
        if mine.meta:
            changes["meta"] = {**mine.meta, **given.meta}
        return Named(given.model_copy(update=changes), named.held) if changes else named

    # What the upstream is told.

    def _tick(self) -> None:
        self._damping.forget()
        self._settle()
        now_s = self._seconds()
        silent_s = now_s - max(self._confirmed_s, self._began_s)
        if not self._stale and silent_s > self.settings.stale_after:
            self._stale = True
            self._event("source_stale", "stale", self.last_error or f"no answer for {silent_s:.0f} s")
        if self._dirty and now_s - self._saved_s >= SAVE_S:
            self._save()

    def _settle(self) -> None:
        """Bring the upstream to what is believed now, unless it is too early for that."""
        said, now_s = self._said, self._seconds()
        if said is None or not self._is_believed(said, now_s):
            return
        given = self._damping.judge(said)
        same = given == self._given and said == self._believed and self._advised == self._passed_on
        if same and self._predecessor is None:
            return
        if now_s - self._given_s < MERGE_S:
            return
        self._given_s = now_s
        self._believed = said
        self._dirty = not self._remembered
        for _ in range(_newly_held(self._given, given)):
            self._outlet.counted("damped")
        self._given, self._passed_on = given, self._advised
        self._push(given)
        self._bury()

    def _is_believed(self, said: tuple[Named, ...], now_s: float) -> bool:
        """An answer that names nothing, where there was something, may be the registry's own trouble."""
        if said or not self._believed:
            self._empty_s = None
            return True
        patience_s = self.settings.empty_after
        if self._empty_s is None:
            self._empty_s = now_s
            until = "never believed" if patience_s is None else f"believed after {patience_s:g} s"
            if patience_s != 0:
                count = len(self._believed)
                self._event("source_refused", self.state, f"it names no endpoint where there were {count}: {until}")
        return patience_s is not None and now_s - self._empty_s >= patience_s and not self._failing

    def _push(self, given: Sequence[Named]) -> None:
        try:
            self._outlet.update(self.source.name, given, self._passed_on)
        except Exception:
            _log.failure("{feed!r}: the upstream did not take its endpoints", feed=self)

    def _bury(self) -> None:
        """The feeds that were here before have nothing to say any more."""
        self._predecessor = None
        others, self._others = self._others, set()
        for name in sorted(others):
            self._outlet.update(name, (), None)

    # What is remembered.

    def _remember(self) -> None:
        old = self._predecessor
        if old is not None and old.source.name == self.source.name:
            # The same source: it is as silent as it was, whatever is believed of it now.
            self._answers, self._began_s = old._answers, old._began_s
            if old._said is not None:
                self._take(old._believed, old._passed_on, old._confirmed_s)
            self._stale = old._stale and self.age_s() > self.settings.stale_after
        elif old is None and self._outlet.memory is not None and self._said is None:
            wall_s = self._environment.wall()
            snapshot = self._outlet.memory.load(self.source.name, wall_s)
            if snapshot is not None:
                heard_s = self._seconds() - max(0.0, wall_s - snapshot.confirmed_at)
                self._take(snapshot.named, snapshot.advice, heard_s)

    def _take(self, named: Sequence[Named], advice: Advice | None, confirmed_s: float) -> None:
        self._confirmed_s = confirmed_s
        self._remembered = True
        self._advised = advice
        self._said = self._fit(named)
        self._settle()

    def _save(self, last: bool = False) -> Deferred[None] | None:
        memory = self._outlet.memory
        if memory is None or not self._answers or not self._believed or (self._saving is not None and not last):
            self._dirty = False if memory is None else self._dirty
            return self._saving
        self._dirty = False
        self._saved_s = now_s = self._seconds()
        confirmed_at = self._environment.wall() - (now_s - self._confirmed_s)
        saving = self._saving = memory.save(Snapshot(self.source.name, confirmed_at, self._believed, self._passed_on))
        return saving.addBoth(self._saved)

    def _saved(self, _: object) -> None:
        self._saving = None

    # What operators see.

    @property
    def state(self) -> str:
        """`fresh`, `stale`, `from_disk` (this process has not heard the source yet), `starting` (nothing is known)."""
        if self._stale:
            return "stale"
        if self._answers:
            return "fresh"
        return "from_disk" if self._remembered else "starting"

    def age_s(self) -> float:
        """Since the source last answered; before its first answer since the snapshot of the disk, or since the start."""
        return max(0.0, self._seconds() - self._confirmed_s)

    def describe(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        return {
            "source": self.source.name,
            "state": self.state,
            "age_s": round(self.age_s(), 3),
            "endpoints": len(self._given),
            "held": sum(bool(each.held) for each in self._given),
            "flapping": len(self._damping.flapping),
            "refused": self._left_out,
            "last_refused": self._refusals.last,
            "failing": self._failing,
            "last_error": self.last_error,
        }

    def _tell_refused(self, what: str, reason: str) -> None:
        self._event("source_refused", self.state, f"{what}: {reason}")

    def _event(self, kind: str, state: str, reason: str) -> None:
        self._environment.events.add(kind, self.upstream, source=self.source.name, state=state, reason=reason)

    def __repr__(self) -> str:
        count = len(self._given)
        return f"<Feed of {self.upstream} from {self.source.name}: {self.state}, {count} endpoints, age {self.age_s():.0f} s>"


def _newly_held(before: Sequence[Named], after: Sequence[Named]) -> int:
    held = {each.settings.url for each in before if each.held == FLAPPING}
    return sum(each.held == FLAPPING and each.settings.url not in held for each in after)


def _log_failure(failure: Any, words: str, feed: Feed) -> None:
    _log.failure(words, failure, feed=feed)
