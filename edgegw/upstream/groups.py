"""Groups of endpoints in an order, and how much of the exchanges each of them takes (Envoy's priority levels).

A group is the endpoints of one tier in one zone, or in all zones that are not asked for by name. A plan is the groups of every
tier in one order of zones; plans share groups. All of it is built when it is first needed and brought up to date by the next
choice, so that a thousand changes at once cost no more than one.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Container, Sequence
from itertools import accumulate, groupby
from operator import attrgetter
from weakref import WeakValueDictionary

from edgegw.exchange.model import Exchange
from edgegw.upstream.balance.interfaces import Balancer, hand_over
from edgegw.upstream.endpoint import Endpoint
from edgegw.upstream.standing import Hold
from edgegw.upstream.tiers import REST

PLANS = 256
"""Plans that are kept: those of the orders of zones asked for lately."""

Build = Callable[[Sequence[Endpoint]], Balancer]
GroupKey = tuple[int, bool, frozenset[str]]
"""Tier; whether it is the rest; its zones, or those that it is the rest of."""
Order = tuple[str, ...]
"""Zones, most wanted first; `*` for all that it does not name, else they come last."""

_NOT_THERE = frozenset({Hold.PENDING, Hold.NOT_READY, Hold.REMOVED})


def counts(endpoint: Endpoint) -> bool:
    """Whether it belongs to what its group can bear when all is well: not if it was never in use, or its source takes it out."""
    return endpoint.standing.free or _NOT_THERE.isdisjoint(endpoint.standing.reasons)


class Group:
    """Endpoints of one tier and one algorithm over them.

    health: the share of those that count that are free. eligible: how many may be chosen. stale: something changed since.
    """

    __slots__ = ("__weakref__", "_allowed", "_set", "balancer", "health", "members", "name", "stale")

    def __init__(self, name: str, members: Sequence[Endpoint], balancer: Balancer) -> None:
        self.name = name
        self.members = tuple(members)
        self.balancer = balancer
        self.health = 0.0
        self.stale = True
        self._set = frozenset(members)
        self._allowed: list[Endpoint] | None = None

    @property
    def eligible(self) -> int:
        """How many of them may be chosen, as of the last `settle`."""
        return len(self._allowed or ())

    def settle(self, panics: bool) -> None:
        """Let the algorithm know who may be chosen. panics: also those of whom there are but doubts."""
        if not self.stale:
            return
        self.stale = False
        free = [endpoint for endpoint in self.members if endpoint.standing.free]
        count = sum(map(counts, self.members))
        self.health = len(free) / count if count else 0.0
        allowed = [endpoint for endpoint in self.members if endpoint.standing.usable] if panics else free
        if allowed != self._allowed:
            self._allowed = allowed
            self.balancer.allow(allowed)

    def __contains__(self, endpoint: Endpoint) -> bool:
        return endpoint in self._set

    def __repr__(self) -> str:
        return f"<Group {self.name} {self.balancer!r}>"


class Plan:
    """Groups in the order they are used.

    loads: the share of the exchanges that begins with each. sole: the algorithm of the only group, if it is the only one.
    version: of the endpoints' standing that it was settled for.
    """

    __slots__ = ("_sums", "groups", "loads", "sole", "version")

    def __init__(self, groups: Sequence[Group]) -> None:
        self.groups = tuple(groups)
        self.sole = groups[0].balancer if len(groups) == 1 else None
        self.loads: tuple[float, ...] = ()
        self.version = -1
        self._sums: list[float] = []

    def settle(self, version: int, panics: bool, spill: float) -> None:
        """Bring loads and algorithms up to date."""
        self.version = version
        for group in self.groups:
            group.settle(panics)
        self.loads = shares([group.health for group in self.groups], spill)
        if not any(self.loads):
            self.loads = tuple(float(at == self._first()) for at in range(len(self.groups)))
        self._sums = list(accumulate(self.loads))

    def _first(self) -> int:
        return next((at for at, group in enumerate(self.groups) if group.eligible), 0)

    def choose(self, exchange: Exchange, tried: Container[Endpoint], draw: float) -> Endpoint | None:
        """From the group drawn; if it has nobody left who was not tried, from the others in their order. draw: from 0 to 1."""
        sums = self._sums
        if not sums:
            return None
        drawn = 0 if sums[0] >= 1.0 else min(bisect_right(sums, draw * sums[-1]), len(sums) - 1)
        group = self.groups[drawn]
        found = group.balancer.choose(exchange, tried) if group.eligible else None
        if found is not None and (not tried or found not in tried):
            return found
        for other in self.groups:
            if other is group or not other.eligible:
                continue
            more = other.balancer.choose(exchange, tried)
            if more is not None and more not in tried:
                return more
            found = found if found is not None else more
        return found

    def __repr__(self) -> str:
        loads = ", ".join(f"{group.name} {load:.0%}" for group, load in zip(self.groups, self.loads, strict=False))
        return f"<Plan {loads}>"


def shares(health: Sequence[float], spill: float) -> tuple[float, ...]:
    """How much each group takes, given the share of it that is free: up to health x spill, the rest goes on to the next.

    Where all together cannot take everything, each takes more in proportion. They add up to 1, or are all 0.
    """
    able = [min(1.0, each * spill) for each in health]
    total = min(1.0, sum(able))
    left = 1.0 if total else 0.0
    taken = []
    for each in able:
        load = min(left, each / total) if left else 0.0
        # What is left for the next one by rounding alone is nothing.
        left = left - load if left - load > 1e-9 else 0.0
        taken.append(load)
    return tuple(taken)


class Plans:
    """The plans over one set of endpoints.

    version: goes up with every change of a standing; a plan of another one must be settled before it is used.
    """

    def __init__(self, build: Build, spill: float) -> None:
        self.version = 0
        self._build = build
        self._spill = spill
        self._by_tier: list[tuple[int, list[Endpoint]]] = []
        self._shape: tuple[tuple[Endpoint, int, str], ...] = ()
        self._plans: OrderedDict[Order, Plan] = OrderedDict()
        self._groups: WeakValueDictionary[GroupKey, Group] = WeakValueDictionary()
        # Those of the roster before, until the ones that take their places are built.
        self._before: dict[GroupKey, Group] = {}

    def roster(self, members: Sequence[Endpoint]) -> None:
        """These are the endpoints from now on. What is built stays if nothing changed that it goes by."""
        shape = tuple((endpoint, endpoint.tier, endpoint.zone) for endpoint in members)
        if shape == self._shape:
            return
        self._shape = shape
        by_tier = sorted(members, key=attrgetter("tier"))
        self._by_tier = [(tier, list(each)) for tier, each in groupby(by_tier, key=attrgetter("tier"))]
        self._before = dict(self._groups) or self._before
        self._plans.clear()
        self._groups = WeakValueDictionary()
        self.version += 1

    def touch(self, endpoint: Endpoint) -> None:
        """Its standing is another one."""
        self.version += 1
        for group in list(self._groups.values()):
            if endpoint in group:
                group.stale = True

    def touch_all(self) -> None:
        """Who may be chosen is to be settled anew, by a rule that changed."""
        self.version += 1
        for group in list(self._groups.values()):
            group.stale = True

    def reweigh(self, endpoint: Endpoint) -> None:
        """Its share is another one."""
        for group in list(self._groups.values()):
            if endpoint in group:
                group.balancer.reweigh(endpoint)

    def plan(self, order: Order, panics: bool) -> Plan:
        """The plan for an order of zones, ready to choose from."""
        plan = self._plans.get(order)
        if plan is None:
            plan = self._plans[order] = Plan(self._in_order(order))
            if len(self._plans) > PLANS:
                self._plans.popitem(last=False)
        elif len(self._plans) > 1:
            self._plans.move_to_end(order)
        if plan.version != self.version:
            plan.settle(self.version, panics, self._spill)
        return plan

    def _in_order(self, order: Order) -> list[Group]:
        named = frozenset(order) - {REST}
        found = [
            self._group(tier, members, zone, named)
            for tier, members in self._by_tier
            for zone in (order if REST in order else (*order, REST))
        ]
        return [group for group in found if group is not None]

    def _group(self, tier: int, members: Sequence[Endpoint], zone: str, named: frozenset[str]) -> Group | None:
        rest = zone == REST
        zones = named if rest else frozenset({zone})
        part = [endpoint for endpoint in members if (endpoint.zone in zones) != rest]
        if not part:
            return None
        key = (tier, rest, zones)
        group = self._groups.get(key)
        if group is None:
            where = "" if rest and not named else ", other zones" if rest else f", zone {zone}"
            group = self._groups[key] = Group(f"tier {tier}{where}", part, self._build(part))
            before = self._before.pop(key, None)
            if before is not None:
                hand_over(before.balancer, group.balancer)
        return group

    def __repr__(self) -> str:
        last = next(reversed(self._plans.values()), None)
        return f"<Plans {len(self._plans)}, the last one used {last!r}>"
