"""One address of an upstream."""

from __future__ import annotations

from twisted.internet.defer import Deferred

from edgegw.exchange.model import Exchange, Outcome
from edgegw.net.upstream import Http1Upstream
from edgegw.runtime.wheel import Wheel
from edgegw.upstream.connect import Connector
from edgegw.upstream.pool import Pool, PoolSettings
from edgegw.upstream.settings import EndpointSettings, EndpointUrl


class Endpoint:
    """One address with its pool and its counts.

    name: the URL as configured, for logs and metrics. authority: what `host: upstream` sends as Host.
    """

    __slots__ = ("authority", "in_flight", "name", "pool", "url", "weight")

    def __init__(self, settings: EndpointSettings, pool: PoolSettings, connector: Connector, wheel: Wheel) -> None:
        url = EndpointUrl.parse(settings.url)
        self.name = settings.url
        self.url: EndpointUrl = url
        self.authority = url.authority.encode("ascii")
        self.weight = settings.weight
        self.in_flight = 0

        def connect() -> Deferred[Http1Upstream]:
            return connector.connect(url)

        self.pool = Pool(pool, wheel, connect)

    def left(self, _exchange: Exchange, _outcome: Outcome) -> None:
        """An exchange that was answered from here is over."""
        self.in_flight -= 1

    def __repr__(self) -> str:
        return f"<Endpoint {self.name} weight={self.weight} in_flight={self.in_flight} {self.pool!r}>"
