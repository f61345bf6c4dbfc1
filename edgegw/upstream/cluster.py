"""A named set of endpoints with a balancer; what the proxy target asks for a connection."""

from __future__ import annotations

from collections.abc import Container, Sequence

from edgegw.errors import GatewayError, Phase
from edgegw.exchange.model import Exchange
from edgegw.upstream.balance.interfaces import Balancer
from edgegw.upstream.connect import Connector
from edgegw.upstream.endpoint import Endpoint
from edgegw.upstream.settings import UpstreamSettings


class Cluster:
    """One upstream.

    Args:
        name: from the configuration. settings: as validated. endpoints: at least one. balancer: over the same endpoints.
        connector: what their pools connect by. files_digest: of the files that its settings name; both for the next reload.
    """

    __slots__ = ("_balancer", "connector", "endpoints", "files_digest", "host", "name", "settings")

    def __init__(
        self,
        name: str,
        settings: UpstreamSettings,
        endpoints: Sequence[Endpoint],
        balancer: Balancer,
        connector: Connector,
        files_digest: bytes = b"",
    ) -> None:
        self.name = name
        self.connector = connector
        self.files_digest = files_digest
        self.settings = settings
        self.endpoints = tuple(endpoints)
        self._balancer = balancer
        # None: as it came; empty: the endpoint's own.
        self.host: bytes | None = {"preserve": None, "upstream": b""}.get(settings.host, settings.host.encode("ascii"))

    def choose(self, exchange: Exchange, tried: Container[Endpoint] = ()) -> Endpoint:
        """The endpoint for the next attempt.

        Raises:
            GatewayError: 503 `no_endpoint`.
        """
        endpoint = self._balancer.choose(exchange, tried)
        if endpoint is None:
            raise GatewayError(503, "no_endpoint", phase=Phase.CHOOSE, headers=[(b"Retry-After", b"1")])
        return endpoint

    def __repr__(self) -> str:
        return f"<Cluster {self.name} {list(self.endpoints)!r}>"
