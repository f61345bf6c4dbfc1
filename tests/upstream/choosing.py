"""What the tests of choosing share: endpoints without a cluster, whose changes a selection hears of as a cluster would tell it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container, Sequence
from typing import Any, cast

from edgegw.exchange.model import Exchange
from edgegw.gateway.builtins import BALANCERS
from edgegw.testing.exchanges import FakeConnection, make_exchange
from edgegw.testing.origin import Origin, environment
from edgegw.upstream.address import EndpointSettings
from edgegw.upstream.balance.settings import BalanceSettings
from edgegw.upstream.endpoint import Endpoint
from edgegw.upstream.geography import Geography
from edgegw.upstream.pool import PoolSettings
from edgegw.upstream.selection import BuildBalancer, Selection
from edgegw.upstream.standing import Hold
from edgegw.upstream.warmth import Warming


class ByShare:
    """Goes by shares exactly: whoever is furthest behind what it is due (smooth weighted round robin, O(n))."""

    def __init__(self, members: Sequence[Endpoint], *_: object) -> None:
        self._owed = dict.fromkeys(members, 0.0)
        self._eligible: list[Endpoint] = []

    def allow(self, eligible: Sequence[Endpoint]) -> None:
        self._eligible = list(eligible)

    def reweigh(self, endpoint: Endpoint) -> None:
        """It looks at shares each time."""

    def choose(self, exchange: Exchange, tried: Container[Endpoint]) -> Endpoint | None:
        among = [each for each in self._eligible if each not in tried] or self._eligible
        if not among:
            return None
        for each in among:
            self._owed[each] += each.share
        found = max(among, key=self._owed.__getitem__)
        self._owed[found] -= sum(each.share for each in among)
        return found


class Choosing:
    """An upstream as far as choosing goes.

    endpoints: made by `add`. clock: moves warmth. selection, warming: what is tested.
    """

    def __init__(
        self,
        geography: Geography | None = None,
        build: BuildBalancer | None = None,
        *,
        slow_start: float = 0.0,
        **settings: Any,
    ) -> None:
        self.origin = Origin()
        self.clock = self.origin.clock
        self.environment = environment(self.origin)
        said = BalanceSettings.model_validate({"by": "round_robin", **settings})
        self.selection = Selection("shop", said, build or BALANCERS[said.by], self.environment, geography)
        self.warming = Warming(slow_start, self.clock.seconds)
        self.endpoints: list[Endpoint] = []

    def make(self, name: str, tier: int = 0, zone: str = "", weight: int = 1) -> Endpoint:
        """An endpoint that is not a member yet."""
        settings = EndpointSettings(url=f"http://{name}", tier=tier, zone=zone, weight=weight)
        endpoint = Endpoint(settings, PoolSettings(), cast(Any, self), self.origin.wheel)
        endpoint.owner = self
        return endpoint

    def expected_room(self, url: object) -> int:
        return 1

    def add(self, *names: str, tier: int = 0, zone: str = "", weight: int = 1) -> list[Endpoint]:
        """More members."""
        made = [self.make(name, tier, zone, weight) for name in names]
        self.roster([*self.endpoints, *made])
        return made

    def roster(self, members: list[Endpoint]) -> None:
        self.endpoints = members
        self.warming.roster(members)
        self.selection.roster(members)

    # `Owner`.

    def standing_changed(self, endpoint: Endpoint, hold: Hold, source: str) -> None:
        self.warming.standing_changed(endpoint)
        self.selection.standing_changed(endpoint)

    def share_changed(self, endpoint: Endpoint) -> None:
        self.selection.share_changed(endpoint)

    # What happens.

    def choices(self, count: int, exchange: Callable[[], Exchange] = make_exchange) -> Counter[str]:
        """The names of so many choices, `-` for none."""
        found = (self.selection.choose(exchange()) for _ in range(count))
        return Counter(short(endpoint) for endpoint in found)

    def events(self, kind: str = "panic_changed") -> list[tuple[str, str]]:
        """State and reason of the events of a kind."""
        return [(event.state, event.reason) for event in self.environment.events.since() if event.kind == kind]


def short(endpoint: Endpoint | None) -> str:
    """Its name without the scheme."""
    return endpoint.name.removeprefix("http://") if endpoint is not None else "-"


def client(address: str, *headers: tuple[bytes, bytes], url: str = "http://example.com/") -> Exchange:
    """An exchange of this client."""
    connection = FakeConnection()
    made = make_exchange(url=url, headers=headers, connection=connection)
    made.client = address
    return made
