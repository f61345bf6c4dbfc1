"""A named set of endpoints and everything that decides about them; what targets ask.

The set changes while it serves: sources (the configuration, discovery) say which endpoints there are, probes, exchanges and
operators whether they may be chosen. The snapshot holds the cluster, not the set.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from edgegw.errors import GatewayError, Phase
from edgegw.upstream.address import Named
from edgegw.upstream.advice import Advice, Counsel, Heeded
from edgegw.upstream.balance.interfaces import observers_of
from edgegw.upstream.balance.settings import BalanceSettings
from edgegw.upstream.breaker import Breaker, State
from edgegw.upstream.bulkhead import Bulkhead
from edgegw.upstream.connect import Connector, Guard
from edgegw.upstream.endpoint import Endpoint
from edgegw.upstream.environment import Environment
from edgegw.upstream.geography import Geography
from edgegw.upstream.health.checks import HealthChecks
from edgegw.upstream.health.settings import HealthSettings
from edgegw.upstream.names import CONFIG, Names
from edgegw.upstream.outlier import Outliers
from edgegw.upstream.retry import RetryPolicy
from edgegw.upstream.selection import BuildBalancer, Selection
from edgegw.upstream.settings import UpstreamSettings
from edgegw.upstream.standing import DOUBTS, Hold
from edgegw.upstream.warmth import Warming

RosterFollower = Callable[[Sequence[Endpoint]], None]


class Means(NamedTuple):
    """What a cluster takes to heed advice. balancer, checks: of settings that a source's advice is worked into."""

    balancer: Callable[[BalanceSettings], BuildBalancer]
    checks: Callable[[HealthSettings], HealthChecks | None]


class Cluster:
    """One upstream.

    Args:
        name: from the configuration. settings: as validated. connector: what the endpoints' pools connect by. balancer: builds
        the algorithm. environment: clock, events, chance. files_digest: of the files that its settings name, for the next reload.
    """

    def __init__(
        self,
        name: str,
        settings: UpstreamSettings,
        connector: Connector,
        balancer: BuildBalancer,
        environment: Environment,
        files_digest: bytes = b"",
    ) -> None:
        self.name = name
        self.settings = settings
        self.connector = connector
        self.files_digest = files_digest
        self.environment = environment
        self.endpoints: tuple[Endpoint, ...] = ()
        self.retry = RetryPolicy(settings.retry, environment)
        self.breaker = Breaker(settings.breaker, environment, self._breaker_changed) if settings.breaker else None
        self.bulkhead = Bulkhead(settings.bulkhead, environment) if settings.bulkhead.requests else None
        self.checks: HealthChecks | None = None
        self.means: Means | None = None
        """Without them no advice is heeded; as `checks` and `guard`, whoever builds the cluster sets them."""
        self.counsel = Counsel(settings)
        """How it is balanced and probed now: by settings and the advice of sources together."""
        self.guard: Guard | None = None
        """Where endpoints may lead that are not written in the configuration."""
        self.outliers = Outliers(settings.outlier, environment, lambda: self.endpoints) if settings.outlier else None
        self.warming = Warming(settings.balance.slow_start, environment.seconds)
        self.geography: Geography | None = None
        """What `balance.tiers.geo` says, loaded; whoever builds the cluster sets it before the first selection."""
        # None: as it came; empty: the endpoint's own.
        self.host: bytes | None = {"preserve": None, "upstream": b""}.get(settings.host, settings.host.encode("ascii"))
        self._choose_by(balancer)
        self._names = Names()
        self._followers: list[RosterFollower] = []
        self._selections: dict[frozenset[tuple[str, str]], Selection] = {}
        self._serves = False
        self.update(CONFIG, [Named(each) for each in settings.endpoints])

    def _choose_by(self, balancer: BuildBalancer) -> None:
        self._balancer = balancer
        # What an algorithm learns of an endpoint stays with the endpoint: one observer will do for all groups.
        latency = observers_of(balancer((), self.counsel.now.balance, self.environment))
        self._observers = (self.outliers, *latency) if self.outliers is not None else latency

    # What targets ask.

    def selection(self, meta: Mapping[str, str] | None = None) -> Selection:
        """What chooses among all endpoints, or among those with these facts; the same one for the same facts. At assembly."""
        key = frozenset((meta or {}).items())
        found = self._selections.get(key)
        if found is None:
            found = Selection(self.name, self.counsel.now.balance, self._balancer, self.environment, self.geography)
            self._selections[key] = found
            found.roster(self._part(key))
        return found

    def no_endpoint(self) -> GatewayError:
        """503: a selection found none."""
        return GatewayError(503, "no_endpoint", phase=Phase.CHOOSE, headers=[(b"Retry-After", b"1")])

    # What sources say.

    def update(self, source: str, named: Iterable[Named], advice: Advice | None = None) -> None:
        """These are the endpoints that this source names now, and what it advises. Of two that say the same address, and of two
        that advise, the one asked first holds.
        """
        self._names.say(source, named)
        before = self.counsel.now
        if self.means is not None and self.counsel.hear(source, advice):
            self._heed(self.means, before)
            if self._serves:
                # Of two, it may be the word of the other one that acts from now on.
                by = self.counsel.source or source
                self.environment.events.add("upstream_changed", self.name, source=by, reason=self.counsel.words)
        self._settle()

    def _heed(self, means: Means, before: Heeded) -> None:
        """Balance and probe as is advised; endpoints, their standing and what is in flight on them stay as they are."""
        now = self.counsel.now
        if now.balance != before.balance:
            self._choose_by(means.balancer(now.balance))
            self.warming = Warming(now.balance.slow_start, self.environment.seconds)
            self.warming.take_over(self.endpoints)
            for endpoint in self.endpoints:
                self._own(endpoint)
            for key, selection in self._selections.items():
                selection.choose_by(now.balance, self._balancer)
                selection.roster(self._part(key))
        if now.health != before.health:
            self.checks = means.checks(now.health) if now.health is not None else None
            if now.health is None:
                self._release_all(Hold.PENDING, Hold.FAILING)
            for follower in self._followers:
                follower(self.endpoints)

    def _take_advice(self, counsel: Counsel) -> None:
        before = self.counsel.now
        if self.means is not None:
            self.counsel.take_over(counsel)
            self._heed(self.means, before)

    def _release_all(self, *holds: Hold) -> None:
        for endpoint in self.endpoints:
            for hold in holds:
                endpoint.release(hold, CONFIG)

    def _settle(self) -> None:
        """Make the set what all sources together say."""
        wanted = self._names.wanted()
        known = {endpoint.name: endpoint for endpoint in self.endpoints}
        kept = [endpoint for endpoint in self.endpoints if endpoint.name in wanted]
        changed = [endpoint for endpoint in kept if self._adapt(endpoint, *wanted[endpoint.name])]
        added = [self._made(by, each) for name, (by, each) in wanted.items() if name not in known]
        gone = [endpoint for endpoint in self.endpoints if endpoint.name not in wanted]
        if not (added or gone or changed):
            return
        order = {name: at for at, name in enumerate(wanted)}
        self.endpoints = tuple(sorted([*kept, *added], key=lambda endpoint: order[endpoint.name]))
        self._roster_changed()
        for endpoint in gone:
            self._remove(endpoint)
        for endpoint in added:
            self._tell("endpoint_added", endpoint, source=endpoint.source)
        for endpoint in changed:
            self._tell("endpoint_changed", endpoint, source=endpoint.source)

    def _made(self, source: str, named: Named) -> Endpoint:
        mine, wheel = self.settings, self.environment.wheel
        endpoint = Endpoint(named.settings, mine.pool, self.connector, wheel, mine.proxy_protocol, source)
        # Before it has an owner: that it is there is one event.
        if named.held:
            endpoint.hold(Hold.NOT_READY, named.held, source)
        if self.endpoints and self.counsel.now.health is not None:
            # At the start nobody knows better; later the others serve until the first probe passes.
            endpoint.hold(Hold.PENDING, "not probed yet", "health")
        self._own(endpoint)
        return endpoint

    def _own(self, endpoint: Endpoint) -> None:
        endpoint.owner = self
        endpoint.observers = self._observers

    def _adapt(self, endpoint: Endpoint, source: str, named: Named) -> bool:
        settings = named.settings
        before = endpoint.source, endpoint.zone, endpoint.tier, endpoint.meta, endpoint.weight
        endpoint.source, endpoint.zone, endpoint.tier = source, settings.zone, settings.tier
        endpoint.meta = settings.meta
        if not endpoint.weighed:
            endpoint.weigh(settings.weight)
        if named.held:
            endpoint.hold(Hold.NOT_READY, named.held, source)
        else:
            endpoint.release(Hold.NOT_READY, source)
        return before != (endpoint.source, endpoint.zone, endpoint.tier, endpoint.meta, endpoint.weight)

    def _remove(self, endpoint: Endpoint) -> None:
        if self.outliers is not None:
            self.outliers.forget(endpoint)
        endpoint.owner = None
        endpoint.hold(Hold.REMOVED, f"no longer named by {endpoint.source}")
        # What is in flight on it finishes.
        endpoint.pool.close()
        self._tell("endpoint_removed", endpoint, source=endpoint.source)

    def begin(self, old: Cluster | None) -> None:
        """It serves from here on, instead of `old`: what the reload left alone comes along, with its connections and standing."""
        self.connector.guard = self.guard
        if old is None:
            self._serves = True
            self._tell_difference({})
            return
        self._take_advice(old.counsel)
        apart = old.connector is not self.connector
        if apart:
            self._take_names(old)
        self._serves = True
        self._take_counts(old)
        if apart:
            self._take_words({endpoint.name: endpoint for endpoint in old.endpoints})
        else:
            self._take_over(old)

    def _take_over(self, old: Cluster) -> None:
        """Its connections are made in the same way: endpoints come as they are."""
        self._names.take_over(old._names)
        self.endpoints = old.endpoints
        self.warming.take_over(self.endpoints)
        for endpoint in self.endpoints:
            self._own(endpoint)
        if self.counsel.now.health is None:
            self._release_all(Hold.PENDING, Hold.FAILING)
        if self.outliers is None:
            self._release_all(Hold.EJECTED)
        if self.outliers is not None and old.outliers is not None:
            self.outliers.take_over(old.outliers)
        # What joins is made anew, with the rest there already: it waits for its first probe.
        self._settle()
        self._roster_changed()

    def _take_counts(self, old: Cluster) -> None:
        """What concerns the upstream as a whole, whatever its connections are."""
        self.retry.budget = old.retry.budget
        breaker = old.breaker
        if self.breaker is not None and breaker is not None and old.settings.breaker == self.settings.breaker:
            breaker.told = self._breaker_changed
            self.breaker = breaker
            if old.connector is not self.connector:
                # Perhaps it was the way to connect that was wrong.
                breaker.nudge()
        if self.bulkhead is not None and old.bulkhead is not None:
            # Whoever is inside counts on.
            old.bulkhead.apply(self.settings.bulkhead)
            self.bulkhead = old.bulkhead

    def _take_names(self, old: Cluster) -> None:
        """What the sources said; nobody is told of endpoints that were there before."""
        for source, named in old._names.discovered().items():
            self.update(source, named, old.counsel.advice.get(source))

    def _take_words(self, before: Mapping[str, Endpoint]) -> None:
        """Its connections are others; what operators said of the endpoints still holds, and doubts do until a probe passes."""
        for endpoint in self.endpoints:
            was = before.get(endpoint.name)
            if self.counsel.now.health is not None and before:
                self._doubt(endpoint, was)
            if was is None:
                continue
            reason = was.standing.reasons.get(Hold.DRAINED)
            if reason is not None:
                endpoint.hold(Hold.DRAINED, reason, CONFIG)
            if was.weighed:
                endpoint.weighed = True
                endpoint.weigh(was.weight)
            endpoint.weigh(warmth=was.warmth)
        self.warming.take_over(self.endpoints)
        self._tell_difference(before)

    def _tell_difference(self, before: Mapping[str, Endpoint]) -> None:
        mine = {endpoint.name for endpoint in self.endpoints}
        for endpoint in self.endpoints:
            if endpoint.name not in before:
                self._tell("endpoint_added", endpoint, source=endpoint.source)
        for name, endpoint in before.items():
            if name not in mine:
                self._tell("endpoint_removed", endpoint, source=endpoint.source)

    @staticmethod
    def _doubt(endpoint: Endpoint, was: Endpoint | None) -> None:
        """What was well is taken to be, over other connections too; the first probe that passes clears the others."""
        if was is None:
            endpoint.hold(Hold.PENDING, "not probed yet", "health")
        elif was.standing.reasons.keys() & DOUBTS:
            endpoint.hold(Hold.PENDING, f"{was.standing.state} before the reload", "health")
        else:
            endpoint.release(Hold.PENDING, "health")

    def end(self) -> None:
        """Another cluster serves, or none: pools that no other one took over keep no connection."""
        self._serves = False
        for endpoint in self.endpoints:
            if endpoint.owner is self:
                endpoint.owner = None
                endpoint.pool.close()

    def follow(self, follower: RosterFollower) -> None:
        """Call now and whenever the set of endpoints changes, or how they are probed."""
        self._followers.append(follower)
        follower(self.endpoints)

    def endpoint(self, name: str) -> Endpoint | None:
        """The endpoint of this name."""
        return next((endpoint for endpoint in self.endpoints if endpoint.name == name), None)

    def tick(self) -> None:
        """Some time went by: ejections end, slow starts go on."""
        self.warming.tick()
        if self.geography is not None:
            self.geography.tick()
        if self.outliers is not None:
            self.outliers.tick()

    def weigh(self, endpoint: Endpoint, weight: int | None) -> None:
        """An operator sets a weight, which holds whatever the sources say, or with None gives it back to them."""
        endpoint.weighed = weight is not None
        if weight is None:
            weight = self._names.weight(endpoint.name)
        if weight != endpoint.weight:
            endpoint.weigh(weight)
            self._tell("endpoint_changed", endpoint, source="operator", reason=f"weight {weight}")

    @property
    def sources(self) -> tuple[str, ...]:
        """Who named endpoints, the first first."""
        return self._names.sources

    def forget(self, source: str) -> None:
        """What this source named is not named any more."""
        if source in self._names.sources:
            self.update(source, ())
            self._names.forget(source)

    # What happens to endpoints.

    def standing_changed(self, endpoint: Endpoint, hold: Hold, source: str) -> None:
        """`Owner`."""
        reason = endpoint.standing.reasons.get(hold)
        self.warming.standing_changed(endpoint)
        for key, selection in self._selections.items():
            if _has(endpoint, key):
                selection.standing_changed(endpoint)
        if reason is not None:
            self._tell("endpoint_held", endpoint, source=source, reason=f"{hold.value}: {reason}")
            return
        self._tell("endpoint_released", endpoint, source=source, reason=f"no longer {hold.value}")
        if self.breaker is not None and endpoint.standing.free:
            self.breaker.nudge()

    def share_changed(self, endpoint: Endpoint) -> None:
        """`Owner`."""
        for key, selection in self._selections.items():
            if _has(endpoint, key):
                selection.share_changed(endpoint)

    def _roster_changed(self) -> None:
        self.warming.roster(self.endpoints)
        for key, selection in self._selections.items():
            selection.roster(self._part(key))
        for follower in self._followers:
            follower(self.endpoints)

    def _part(self, key: frozenset[tuple[str, str]]) -> tuple[Endpoint, ...]:
        return tuple(endpoint for endpoint in self.endpoints if _has(endpoint, key)) if key else self.endpoints

    def _breaker_changed(self, state: State, reason: str) -> None:
        if self._serves:
            self.environment.events.add("breaker_changed", self.name, source="breaker", state=state, reason=reason)

    def _tell(self, kind: str, endpoint: Endpoint, *, source: str, reason: str = "") -> None:
        if not self._serves:
            return
        state = endpoint.standing.state
        self.environment.events.add(kind, self.name, endpoint.name, source=source, state=state, reason=reason)

    def __repr__(self) -> str:
        return f"<Cluster {self.name} {list(self.endpoints)!r}>"


def _has(endpoint: Endpoint, facts: frozenset[tuple[str, str]]) -> bool:
    return all(endpoint.meta.get(name) == value for name, value in facts)
