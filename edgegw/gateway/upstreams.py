"""Clusters from settings. What a reload did not change is taken over by identity: pools, connections, counts."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgegw.config.problems import Problems
from edgegw.gateway.settings import GatewaySettings, merged
from edgegw.net.resolver import Resolver
from edgegw.net.tls import UpstreamTls
from edgegw.runtime.wheel import Wheel
from edgegw.upstream.balance.interfaces import Balancer
from edgegw.upstream.cluster import Cluster
from edgegw.upstream.connect import Connector
from edgegw.upstream.endpoint import Endpoint
from edgegw.upstream.settings import EndpointUrl, UpstreamSettings


class Upstreams:
    """Builds the clusters of one configuration after another.

    Args:
        reactor, wheel, resolver: for connections. balancers: by name.
    """

    def __init__(self, reactor: Any, wheel: Wheel, resolver: Resolver, balancers: Mapping[str, Any]) -> None:
        self._reactor = reactor
        self._wheel = wheel
        self._resolver = resolver
        self._balancers = balancers

    def build(
        self, settings: GatewaySettings, old: Mapping[str, Cluster], base_dir: Path, problems: Problems
    ) -> dict[str, Cluster]:
        """Clusters by name; those of `old` that are the same come again."""
        return {
            name: self._cluster(
                name, merged(upstream, settings.defaults.upstream), old.get(name), base_dir, problems.under("upstreams", name)
            )
            for name, upstream in settings.upstreams.items()
        }

    def _cluster(
        self, name: str, settings: UpstreamSettings, old: Cluster | None, base_dir: Path, problems: Problems
    ) -> Cluster:
        digest = _files_digest(settings, base_dir)
        same_ways = old is not None and old.files_digest == digest and _ways(old.settings) == _ways(settings)
        if old is not None and same_ways and old.settings == settings:
            return old
        kept: dict[object, Endpoint] = {}
        connector: Connector | None = None
        if old is not None and same_ways:
            connector = old.connector
            kept = {(endpoint.name, endpoint.weight): endpoint for endpoint in old.endpoints}
        if connector is None:
            tls = self._tls(settings, base_dir, problems)
            connector = Connector(self._reactor, self._wheel, self._resolver, tls, settings.timeouts.connect)
        endpoints = [
            kept.get((each.url, each.weight)) or Endpoint(each, settings.pool, connector, self._wheel)
            for each in settings.endpoints
        ]
        balancer: Balancer = self._balancers[settings.balance](endpoints)
        return Cluster(name, settings, endpoints, balancer, connector, digest)

    def _tls(self, settings: UpstreamSettings, base_dir: Path, problems: Problems) -> UpstreamTls | None:
        if not any(EndpointUrl.parse(each.url).secure for each in settings.endpoints):
            return None
        return UpstreamTls.load(settings.tls, problems.under("tls"), base_dir)


def _ways(settings: UpstreamSettings) -> tuple[object, ...]:
    """What a pool's connections depend on."""
    return settings.tls, settings.pool, settings.timeouts.connect


def _files_digest(settings: UpstreamSettings, base_dir: Path) -> bytes:
    digest = hashlib.sha256()
    for name in (settings.tls.ca, settings.tls.cert, settings.tls.key):
        if name is not None:
            try:
                digest.update((base_dir / name).read_bytes())
            except OSError:
                digest.update(b"unreadable")
    return digest.digest()


def retire(old: Mapping[str, Cluster], new: Mapping[str, Cluster]) -> None:
    """Close the pools of endpoints that no cluster holds any more; what is in flight on them finishes."""
    living = {id(endpoint) for cluster in new.values() for endpoint in cluster.endpoints}
    for cluster in old.values():
        for endpoint in cluster.endpoints:
            if id(endpoint) not in living:
                endpoint.pool.close()
