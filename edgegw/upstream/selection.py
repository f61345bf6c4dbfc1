"""Which endpoint next: stickiness, then tiers and zones, then one algorithm inside the group."""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from hashlib import blake2b

from edgegw.exchange.model import Exchange, Response
from edgegw.upstream.balance.interfaces import Balancer
from edgegw.upstream.balance.keys import compile_key
from edgegw.upstream.balance.settings import BalanceSettings
from edgegw.upstream.endpoint import Endpoint
from edgegw.upstream.environment import Environment
from edgegw.upstream.geography import Geography
from edgegw.upstream.groups import Order, Plan, Plans
from edgegw.upstream.panic import Census
from edgegw.upstream.standing import Hold
from edgegw.upstream.sticky import Sticky

BuildBalancer = Callable[[Sequence[Endpoint], BalanceSettings, Environment], Balancer]
"""(members, settings, environment) -> an algorithm over them."""


class Selection:
    """Chooses among the endpoints of an upstream, or among a part of them.

    Attributes:
        panics: so few are free that doubts are ignored. sticky: the cookie, or None.

    Args:
        name: of the upstream. settings: of balancing. build: the algorithm. environment: clock, chance, events.
        geography: what `tiers.geo` says, loaded.
    """

    def __init__(
        self,
        name: str,
        settings: BalanceSettings,
        build: BuildBalancer,
        environment: Environment,
        geography: Geography | None = None,
    ) -> None:
        self.name = name
        self.panics = False
        self.sticky: Sticky[Endpoint] | None = (
            Sticky(settings.sticky, name, environment.secret) if settings.sticky is not None else None
        )
        self._environment = environment
        self._geography = geography
        self._order = geography.usual if geography is not None else settings.tiers.order
        self._census = Census()
        self.choose_by(settings, build)

    def choose_by(self, settings: BalanceSettings, build: BuildBalancer) -> None:
        """By this algorithm and its settings from here on; stickiness and places stay. To be followed by `roster`."""
        environment = self._environment
        self.settings = settings
        self._key = compile_key(settings.key) if settings.by == "consistent_hash" else None
        self._plans = Plans(lambda members: build(members, settings, environment), settings.tiers.spill)

    def roster(self, members: Sequence[Endpoint]) -> None:
        """These are its endpoints from now on."""
        self._census.roster(members)
        self._plans.roster(members)
        if self.sticky is not None:
            self.sticky.roster(members)
        self._judge()

    def standing_changed(self, endpoint: Endpoint) -> None:
        """One of them may be chosen, or may not any more."""
        if self._census.changed(endpoint):
            self._plans.touch(endpoint)
            self._judge()

    def share_changed(self, endpoint: Endpoint) -> None:
        """One of them is to get more or less."""
        self._plans.reweigh(endpoint)

    def _judge(self) -> None:
        census = self._census
        panics = census.panics(self.settings.panic, self.settings.tiers.spill)
        if panics is self.panics:
            return
        self.panics = panics
        self._plans.touch_all()
        self._environment.events.add(
            "panic_changed",
            self.name,
            source="balance",
            state="panic" if panics else "calm",
            reason=f"{census.free} of {census.usable} endpoints are free",
        )

    def choose(self, exchange: Exchange, tried: Container[Endpoint] = ()) -> Endpoint | None:
        """The endpoint for the next attempt, another one than those tried if there is one; None if there is none at all."""
        sticky = self.sticky
        if sticky is not None:
            known = sticky.named(exchange)
            if known is not None and known not in tried and self._keeps(known):
                return known
        geography = self._geography
        panics = self.panics
        # As in `_plan`, without a call of it for every request.
        order = () if panics else self._order if geography is None else geography.order(exchange)
        plan = self._plans.plan(order, panics)
        sole = plan.sole
        if sole is not None:
            return sole.choose(exchange, tried)
        return plan.choose(exchange, tried, self._draw(exchange))

    def _draw(self, exchange: Exchange) -> float:
        """A number from 0 to 1 that decides between groups: the same for the same key where keys are to stay where they are."""
        key = self._key(exchange) if self._key is not None else None
        if key is None:
            return self._environment.chance.random()
        return int.from_bytes(blake2b(key, digest_size=7).digest(), "big") / (1 << 56)

    def _plan(self, order: Order) -> Plan:
        # In panic nobody knows which zone is well, so every tier is one group.
        return self._plans.plan(() if self.panics else order, self.panics)

    def _keeps(self, endpoint: Endpoint) -> bool:
        """Whether an exchange may go where those before it went: an endpoint that is drained keeps whom it has."""
        standing = endpoint.standing
        if standing.free or (self.panics and standing.usable):
            return True
        return standing.reasons.keys() == {Hold.DRAINED}

    def remember(self, exchange: Exchange, endpoint: Endpoint, response: Response) -> None:
        """The endpoint answered: let the client come back to it, if that is wanted and it does not already."""
        if self.sticky is not None:
            self.sticky.remember(exchange, endpoint, response)

    def explain(self, endpoint: Endpoint) -> str:
        """Why it would be chosen now or would not, in words for an operator."""
        if endpoint not in self._census:
            return "not chosen: not a member"
        standing = endpoint.standing
        words = [f"{hold.value}: {reason}" for hold, reason in standing.reasons.items()] or ["ready"]
        taken = standing.free or (self.panics and standing.usable)
        if self.panics:
            words.append(f"panic: {self._census.free} of {self._census.usable} free, so doubts are ignored")
        if not taken:
            keeps = self.sticky is not None and self._keeps(endpoint)
            return f"{'chosen for clients that stick to it' if keeps else 'not chosen'}: {', '.join(words)}"
        return f"{self._turn(endpoint, words)}: {', '.join(words)}"

    def _turn(self, endpoint: Endpoint, words: list[str]) -> str:
        """Whether its group has its turn; adds what there is to say about that."""
        plan = self._plan(self._order)
        group, load = next(each for each in zip(plan.groups, plan.loads, strict=True) if endpoint in each[0])
        if len(plan.groups) > 1:
            whom = " of clients from elsewhere" if self._geography is not None and not self.panics else ""
            words.append(f"{group.name} takes {load:.0%}{whom} ({group.eligible} of {len(group.members)} eligible)")
        words.append(f"weight {endpoint.weight}")
        if endpoint.warmth < 1.0:
            words.append(f"warmth {endpoint.warmth:.0%}")
        if load > 0:
            return "chosen"
        return "chosen by place" if self._geography is not None and not self.panics else "not chosen now"

    def __repr__(self) -> str:
        return f"<Selection {self.name} {self._plans!r}{' in panic' if self.panics else ''}>"
