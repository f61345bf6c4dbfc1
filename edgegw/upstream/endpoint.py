"""One address of an upstream."""

from __future__ import annotations

from twisted.internet.defer import Deferred

from edgegw.exchange.model import Exchange, Outcome
from edgegw.net.call import UpstreamConnection
from edgegw.runtime.wheel import Wheel
from edgegw.upstream.connect import Connector
from edgegw.upstream.introduction import ProxyVersion, introduction
from edgegw.upstream.pool import Pool, PoolSettings
from edgegw.upstream.settings import EndpointSettings, EndpointUrl


class Endpoint:
    """One address with its pool and its counts.

    name: the URL as configured, for logs and metrics. authority: what `host: upstream` sends as Host. proxy_protocol: the PROXY
    header that its connections begin with; each then belongs to one exchange.
    """

    __slots__ = ("_connector", "_proxy_protocol", "authority", "in_flight", "name", "pool", "url", "weight")

    def __init__(
        self,
        settings: EndpointSettings,
        pool: PoolSettings,
        connector: Connector,
        wheel: Wheel,
        proxy_protocol: ProxyVersion | None = None,
    ) -> None:
        url = EndpointUrl.parse(settings.url)
        self.name = settings.url
        self.url: EndpointUrl = url
        self._connector = connector
        self._proxy_protocol = proxy_protocol
        self.authority = url.authority.encode("ascii")
        self.weight = settings.weight
        self.in_flight = 0

        def connect() -> Deferred[UpstreamConnection]:
            return connector.connect(url)

        self.pool = Pool(pool, wheel, connect, connector.expected_room(url), shared=proxy_protocol is None)

    def connection(self, exchange: Exchange) -> Deferred[UpstreamConnection]:
        """`Pool.connection` for this exchange, which is introduced to the endpoint if it wants that."""
        if self._proxy_protocol is None:
            return self.pool.connection()
        return self.pool.connection(lambda: self.connect_http1(exchange))

    def connect_http1(self, exchange: Exchange) -> Deferred[UpstreamConnection]:
        """A connection of HTTP/1.1 that the pool knows nothing of: for another protocol, which will take it over.

        Raises (through the Deferred):
            GatewayError: what connecting ended in.
        """
        if self._proxy_protocol is None:
            return self._connector.connect(self.url, "http1")
        return self._connector.connect(self.url, "http1", introduction(self._proxy_protocol, exchange))

    def left(self, _exchange: Exchange, _outcome: Outcome) -> None:
        """An exchange that was answered from here is over."""
        self.in_flight -= 1

    def __repr__(self) -> str:
        return f"<Endpoint {self.name} weight={self.weight} in_flight={self.in_flight} {self.pool!r}>"
