"""Clusters from settings. What a reload did not change is taken over by identity: pools, connections, counts."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
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
from edgegw.upstream.settings import EndpointSettings, EndpointUrl, UpstreamSettings


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
                name,
                merged(upstream, settings.defaults.upstream),
                old.get(name),
                base_dir,
                problems.under("upstreams", name),
            )
            for name, upstream in settings.upstreams.items()
        }

    def _cluster(
        self, name: str, settings: UpstreamSettings, old: Cluster | None, base_dir: Path, problems: Problems
    ) -> Cluster:
        _check_versions(settings, problems)
        _check_introduction(settings, problems)
        digest = files_digest(settings.tls.paths(base_dir))
        same_ways = old is not None and old.files_digest == digest and _ways(old.settings) == _ways(settings)
        if old is not None and same_ways and old.settings == settings:
            return old
        if old is not None and same_ways:
            connector, kept = old.connector, _Kept(old.endpoints)
        else:
            tls = self._tls(settings, base_dir, problems)
            connector = Connector(
                self._reactor, self._wheel, self._resolver, tls, settings.timeouts.connect, settings.protocol
            )
            kept = _Kept(())
        endpoints = [
            kept.take(each) or Endpoint(each, settings.pool, connector, self._wheel, settings.proxy_protocol)
            for each in settings.endpoints
        ]
        for endpoint in endpoints:
            kept.adopt_pool(endpoint)
        balancer: Balancer = self._balancers[settings.balance](endpoints)
        return Cluster(name, settings, endpoints, balancer, connector, digest)

    def _tls(self, settings: UpstreamSettings, base_dir: Path, problems: Problems) -> UpstreamTls | None:
        return UpstreamTls.load(settings.tls, problems.under("tls"), base_dir) if _is_secure(settings) else None


class _Kept:
    """Endpoints of the cluster before, each of which is taken over at most once; the same URL may be there twice."""

    def __init__(self, endpoints: Iterable[Endpoint]) -> None:
        self._by_url: dict[str, list[Endpoint]] = {}
        self._taken: set[Endpoint] = set()
        for endpoint in endpoints:
            self._by_url.setdefault(endpoint.name, []).append(endpoint)

    def take(self, settings: EndpointSettings) -> Endpoint | None:
        """The endpoint that is the same."""
        endpoints = self._by_url.get(settings.url, [])
        for endpoint in endpoints:
            if endpoint.weight == settings.weight:
                endpoints.remove(endpoint)
                self._taken.add(endpoint)
                return endpoint
        return None

    def adopt_pool(self, endpoint: Endpoint) -> None:
        """Give an endpoint that only changed its weight the connections that there are."""
        endpoints = self._by_url.get(endpoint.name)
        if endpoints and endpoint not in self._taken:
            # The weight is part of the endpoint, and exchanges of the old snapshot still go by the old one.
            endpoint.pool = endpoints.pop(0).pool


def _is_secure(settings: UpstreamSettings) -> bool:
    return any(EndpointUrl.parse(each.url).secure for each in settings.endpoints)


def _ways(settings: UpstreamSettings) -> tuple[object, ...]:
    """What a pool's connections depend on."""
    times, version = settings.timeouts, settings.proxy_protocol
    return settings.tls, settings.pool, times.connect, settings.protocol, version, _is_secure(settings)


def _check_versions(settings: UpstreamSettings, problems: Problems) -> None:
    """Reports endpoints that cannot be spoken to in what `protocol` says."""
    if settings.protocol != "http1":
        return
    for index, each in enumerate(settings.endpoints):
        scheme = each.url.split("://", 1)[0]
        if EndpointUrl.parse(each.url).http2:
            plain = "https" if scheme == "grpcs" else "http"
            problems.add(
                ("endpoints", index),
                f"a {scheme}:// endpoint is spoken to in HTTP/2, and `protocol` says http1",
                f'write {plain}:// for HTTP/1.1, or "protocol: auto"',
            )


def _check_introduction(settings: UpstreamSettings, problems: Problems) -> None:
    """Reports PROXY headers where connections are shared."""
    if settings.proxy_protocol is None:
        return
    words = "a connection that begins with a PROXY header belongs to one client; over HTTP/2 all share it"
    if settings.protocol == "http2":
        problems.add(("proxy_protocol",), words, 'write "protocol: http1", or leave proxy_protocol out')
        return
    for index, each in enumerate(settings.endpoints):
        if EndpointUrl.parse(each.url).http2:
            hint = "write http:// or https://, or leave proxy_protocol out"
            problems.add(("endpoints", index), words, hint)


def files_digest(files: Iterable[Path]) -> bytes:
    """What is the same as long as the files' contents are."""
    digest = hashlib.sha256()
    for file in files:
        try:
            digest.update(hashlib.sha256(file.read_bytes()).digest())
        except OSError:
            digest.update(b"unreadable")
    return digest.digest()


def retire(old: Mapping[str, Cluster], new: Mapping[str, Cluster]) -> None:
    """Close the pools that no cluster holds any more; what is in flight on them finishes."""
    living = {id(endpoint.pool) for cluster in new.values() for endpoint in cluster.endpoints}
    for cluster in old.values():
        for endpoint in cluster.endpoints:
            if id(endpoint.pool) not in living:
                endpoint.pool.close()
