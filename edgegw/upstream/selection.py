"""Which endpoint next: tiers, then one algorithm inside the group, then stickiness."""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence

from edgegw.exchange.model import Exchange
from edgegw.upstream.balance.interfaces import Balancer
from edgegw.upstream.balance.settings import BalanceSettings
from edgegw.upstream.endpoint import Endpoint
from edgegw.upstream.environment import Environment

BuildBalancer = Callable[[Sequence[Endpoint], BalanceSettings, Environment], Balancer]
"""(members, settings, environment) -> an algorithm over them."""


class Selection:
    """Chooses among the endpoints of an upstream, or among a part of them.

    Args:
        name: of the upstream. settings: of balancing. build: the algorithm. environment: clock, chance, events.
    """

    def __init__(self, name: str, settings: BalanceSettings, build: BuildBalancer, environment: Environment) -> None:
        self.name = name
        self.settings = settings
        self.panics = False
        self._build = build
        self._environment = environment
        self._members: tuple[Endpoint, ...] = ()
        self._balancer: Balancer = build((), settings, environment)

    def roster(self, members: Sequence[Endpoint]) -> None:
        """These are its endpoints from now on."""
        self._members = tuple(members)
        self._balancer = self._build(self._members, self.settings, self._environment)
        self._allow()

    def standing_changed(self, endpoint: Endpoint) -> None:
        """One of them may be chosen, or may not any more."""
        self._allow()

    def share_changed(self, endpoint: Endpoint) -> None:
        """One of them is to get more or less."""
        self._balancer.reweigh(endpoint)

    def _allow(self) -> None:
        self._balancer.allow([endpoint for endpoint in self._members if endpoint.standing.free])

    def choose(self, exchange: Exchange, tried: Container[Endpoint] = ()) -> Endpoint | None:
        """The endpoint for the next attempt, another one than those tried if there is one; None if there is none at all."""
        return self._balancer.choose(exchange, tried)

    def explain(self, endpoint: Endpoint) -> str:
        """Why it would be chosen now or would not, in words for an operator."""
        return endpoint.standing.state

    def __repr__(self) -> str:
        return f"<Selection {self.name} {self._balancer!r}{' in panic' if self.panics else ''}>"
