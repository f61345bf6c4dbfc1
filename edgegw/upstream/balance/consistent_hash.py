"""The same key to the same endpoint."""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from itertools import islice
from math import ceil, inf
from typing import Any
from weakref import ref

from xxhash import xxh3_64_intdigest

from edgegw.exchange.model import Exchange
from edgegw.upstream.balance.interfaces import Balancer
from edgegw.upstream.balance.keys import Key
from edgegw.upstream.balance.rendezvous import draw, rendezvous
from edgegw.upstream.balance.shares import Shares
from edgegw.upstream.balance.tables import Building, Table, step
from edgegw.upstream.endpoint import Endpoint
from edgegw.upstream.environment import Environment

BuildTable = Callable[[Sequence[Endpoint]], Building]

AT_ONCE = 40
"""Members whose table is built before the first choice; that of more is built in steps while the loop goes on."""

PROBES = 128
"""Owners that are asked; if none of them may be chosen, so few may that all of them can be compared."""


class ConsistentHash:
    """Looks the key up in a table of all members and passes over those that may not be chosen, so that only their keys move.

    An endpoint whose share is below its weight (slow start) takes as many of its keys as it has of its share, always the same
    ones. While a table is being built the one before serves. An exchange without a key goes anywhere, in proportion to shares.

    Args:
        key: of an exchange. build: makes the table. environment: reactor, chance.
        factor: times its share of all exchanges in flight an endpoint may have, above 1; those at their bound are passed over
        (Mirrokni, Thorup and Zadimoghaddam, "Consistent Hashing with Bounded Loads", 2016). 0: no bound.
    """

    def __init__(
        self, members: Sequence[Endpoint], key: Key, build: BuildTable, environment: Environment, factor: float = 0.0
    ) -> None:
        self._members = tuple(members)
        self._key = key
        self._build = build
        self._factor = factor
        self._reactor: Any = environment.reactor
        self._shares = Shares((), environment.chance)
        self._table: Table | None = None
        self._building: Building | None = None
        # Of each that may be chosen, the part of its keys that it takes.
        self._takes: dict[Endpoint, float] = {}
        self._in_flight = 0
        # The weights that the latest table was begun with, and whether there are others now.
        self._weights: dict[Endpoint, int] = {}
        self._stale = bool(members)
        if factor:
            for endpoint in members:
                endpoint.follow_load(self)
        self.allow(members)

    def succeed(self, before: Balancer) -> None:
        """Its table serves until there is one of the members now."""
        if isinstance(before, ConsistentHash) and before._build is self._build:
            self._table = before._table

    def allow(self, eligible: Sequence[Endpoint]) -> None:
        """Choose among these."""
        self._shares.allow(eligible)
        self._in_flight = sum(endpoint.in_flight for endpoint in eligible)
        self._settle()

    def reweigh(self, endpoint: Endpoint) -> None:
        """Its share is another one."""
        self._shares.reweigh(endpoint)
        if self._weights.get(endpoint) != endpoint.weight:
            self._stale = True
        if endpoint in self._takes:
            self._takes[endpoint] = self._part(endpoint)

    def load_changed(self, endpoint: Endpoint, by: int) -> None:
        """`LoadFollower`."""
        if endpoint in self._takes:
            self._in_flight += by

    def choose(self, exchange: Exchange, tried: Container[Endpoint]) -> Endpoint | None:
        """Whose the key is, or who comes next for this key."""
        if self._stale:
            self._begin()
        takes = self._takes
        if not takes:
            return None
        value = self._key(exchange)
        if value is None:
            return self._shares.one(tried)
        point = xxh3_64_intdigest(value)
        bound = self._factor * (self._in_flight + 1) / (self._shares.mean * len(takes)) if self._factor else inf
        if self._table is not None:
            for endpoint in islice(self._table.owners(point), PROBES):
                part = takes.get(endpoint)
                if (
                    part is not None
                    and (part >= 1.0 or draw(endpoint, point) <= part)
                    and (not tried or endpoint not in tried)
                    and (bound == inf or _has_room(endpoint, bound))
                ):
                    return endpoint
        return self._compared(point, tried, bound)

    def _compared(self, point: int, tried: Container[Endpoint], bound: float) -> Endpoint | None:
        untried = [endpoint for endpoint in self._takes if endpoint not in tried] or list(self._takes)
        found = rendezvous((endpoint for endpoint in untried if _has_room(endpoint, bound)), point)
        return found if found is not None else rendezvous(untried, point)

    def _part(self, endpoint: Endpoint) -> float:
        """The part of its keys that it takes: a table gives it those of its weight."""
        weight = self._table.weights.get(endpoint, endpoint.weight) if self._table is not None else endpoint.weight
        return endpoint.share / weight

    def _settle(self) -> None:
        self._takes = {endpoint: self._part(endpoint) for endpoint in self._shares.endpoints}

    def _begin(self) -> None:
        """Build the table: at once if that is quick, else in steps."""
        self._stale = False
        began = self._building is not None
        self._building = self._build(self._members)
        self._weights = {endpoint: endpoint.weight for endpoint in self._members}
        if len(self._members) <= AT_ONCE:
            while not self._step():
                pass
        elif not began:
            self._reactor.callLater(0, _go_on, ref(self))

    def _step(self) -> bool:
        """Returns whether the table is complete."""
        if self._building is None:
            return True
        table = step(self._building)
        if table is None:
            return False
        self._building = None
        self._table = table
        self._settle()
        return True

    def go_on(self) -> None:
        """The next step of building, in the next turn of the loop."""
        if not self._step():
            self._reactor.callLater(0, _go_on, ref(self))

    def __repr__(self) -> str:
        return f"<ConsistentHash of {len(self._takes)} by {self._table!r}{', building' if self._building else ''}>"


def _go_on(balancer: ref[ConsistentHash]) -> None:
    """Unless the members changed again: nobody holds on to it then."""
    found = balancer()
    if found is not None:
        found.go_on()


def _has_room(endpoint: Endpoint, bound: float) -> bool:
    """bound: exchanges for each unit of share."""
    return bound == inf or endpoint.in_flight < ceil(bound * endpoint.share)
