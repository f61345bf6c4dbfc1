"""Clusters from settings. What a reload did not change is taken over by identity: pools, connections, counts."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path

from edgegw.config.problems import Problems
from edgegw.discovery.feed import Feed
from edgegw.discovery.settings import DiscoverySettings
from edgegw.gateway.settings import GatewaySettings, GatewayUpstreamSettings, merged
from edgegw.net.geo import GeoDatabases
from edgegw.net.tls import UpstreamTls
from edgegw.observe.metrics import Registry
from edgegw.upstream.address import EndpointUrl
from edgegw.upstream.advice import spoken
from edgegw.upstream.balance.custom import CustomBuilder, check_settings, custom_balancer
from edgegw.upstream.balance.settings import BalanceSettings
from edgegw.upstream.cluster import Cluster, Means
from edgegw.upstream.connect import Connector
from edgegw.upstream.environment import Environment
from edgegw.upstream.geography import Geography
from edgegw.upstream.health.build import health_checks
from edgegw.upstream.health.checks import HealthChecks, unheard
from edgegw.upstream.health.settings import HealthSettings
from edgegw.upstream.selection import BuildBalancer
from edgegw.upstream.settings import UpstreamSettings


class Upstreams:
    """Builds the clusters of one configuration after another.

    Args:
        environment: what all of them work with. balancers: by name. registry: of metrics.
    """

    def __init__(
        self, environment: Environment, balancers: Mapping[str, BuildBalancer], registry: Registry | None = None
    ) -> None:
        self._environment = environment
        self._balancers = balancers
        self._registry = registry or Registry()
        self._databases = GeoDatabases(environment.reactor)

    def build(
        self,
        settings: GatewaySettings,
        feeds: Mapping[str, Feed],
        base_dir: Path,
        problems: Problems,
        old: Mapping[str, Cluster] | None = None,
    ) -> dict[str, Cluster]:
        """Clusters by name; those of `old` that are the same come again.

        Args:
            feeds: the discovery of those that have it: what it names may not lead everywhere.
        """
        return {
            name: self._cluster(
                name,
                merged(upstream, settings.defaults.upstream),
                feeds.get(name),
                (old or {}).get(name),
                base_dir,
                problems.under("upstreams", name),
            )
            for name, upstream in settings.upstreams.items()
        }

    def _cluster(
        self,
        name: str,
        settings: GatewayUpstreamSettings,
        feed: Feed | None,
        old: Cluster | None,
        base_dir: Path,
        problems: Problems,
    ) -> Cluster:
        _check_versions(settings, problems)
        _check_introduction(settings, problems)
        _check_twice(settings, problems)
        digest = files_digest(settings.tls.paths(base_dir))
        same_ways = old is not None and old.files_digest == digest and _ways(old.settings) == _ways(settings)
        # What is written out though it is the default anyway goes before advice from now on.
        if old is not None and same_ways and old.settings == settings and spoken(old.settings) == spoken(settings):
            return old
        environment = self._environment
        if old is not None and same_ways:
            connector = old.connector
        else:
            tls = self._tls(settings, base_dir, problems)
            times = settings.timeouts
            connector = Connector(
                environment.reactor, environment.wheel, environment.resolver, tls, times.connect, settings.protocol
            )
        there = problems.under("balance")
        balancer = self._balancer(settings.balance, there)
        cluster = Cluster(name, settings, connector, balancer, environment, digest)
        known = cluster.endpoints or (old.endpoints if old is not None else ())
        if isinstance(balancer, CustomBuilder) and known:
            balancer.check(known, environment, there)
        if feed is not None:
            cluster.guard = feed.policy.guard([EndpointUrl.parse(each.url) for each in settings.endpoints])
        cluster.geography = Geography.load(
            settings.balance.tiers.geo, self._databases, there.under("tiers", "geo"), base_dir
        )
        if settings.health is not None:
            cluster.checks = self._checks(cluster, settings.health, problems.under("health"))
        # What can be wrong with settings was told above: advice brings nothing that has to be found or read.
        cluster.means = Means(
            lambda advised: balancer if advised.custom is not None else self._balancers[advised.by],
            lambda advised: self._checks(cluster, advised, Problems()),
        )
        return cluster

    def _balancer(self, settings: BalanceSettings, problems: Problems) -> BuildBalancer:
        """What ships, or what a third party brings; if that is not to be had, anything, for the configuration will not be used."""
        made: BuildBalancer | None = None
        if check_settings(settings, problems) and settings.custom is not None:
            made = custom_balancer(settings.custom, settings.with_, self._environment, problems)
        return made or self._balancers[settings.by]

    def _checks(self, cluster: Cluster, settings: HealthSettings, problems: Problems) -> HealthChecks | None:
        passed = self._registry.health_checks.child(upstream=cluster.name, outcome="passed")
        failed = self._registry.health_checks.child(upstream=cluster.name, outcome="failed")
        outliers = cluster.outliers
        return health_checks(
            cluster.name,
            settings,
            self._environment,
            problems,
            lambda ok: (passed if ok else failed).inc(),
            outliers.readmit if outliers is not None else unheard,
        )

    def _tls(self, settings: UpstreamSettings, base_dir: Path, problems: Problems) -> UpstreamTls | None:
        return UpstreamTls.load(settings.tls, problems.under("tls"), base_dir) if _is_secure(settings) else None


def _is_secure(settings: UpstreamSettings) -> bool:
    """Whether TLS may be needed: what will be discovered is not known yet."""
    return _discovery(settings) is not None or any(EndpointUrl.parse(each.url).secure for each in settings.endpoints)


def _discovery(settings: UpstreamSettings) -> DiscoverySettings | None:
    return settings.discovery if isinstance(settings, GatewayUpstreamSettings) else None


def _ways(settings: UpstreamSettings) -> tuple[object, ...]:
    """What a pool's connections depend on."""
    times, version, discovery = settings.timeouts, settings.proxy_protocol, _discovery(settings)
    # Where a name may lead is asked when it is connected to: connections that stand must not outlive what was allowed.
    allowed = discovery.allow if discovery is not None else None
    return settings.tls, settings.pool, times.connect, settings.protocol, version, _is_secure(settings), allowed


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


def _check_twice(settings: UpstreamSettings, problems: Problems) -> None:
    """Reports addresses that are there more than once."""
    seen: set[str] = set()
    for index, each in enumerate(settings.endpoints):
        if each.url in seen:
            words = f"{each.url} is in this list already"
            problems.add(("endpoints", index), words, "give one of them a weight instead")
        seen.add(each.url)


def files_digest(files: Iterable[Path]) -> bytes:
    """What is the same as long as the files' contents are."""
    digest = hashlib.sha256()
    for file in files:
        try:
            digest.update(hashlib.sha256(file.read_bytes()).digest())
        except OSError:
            digest.update(b"unreadable")
    return digest.digest()


def begin(new: Mapping[str, Cluster], old: Mapping[str, Cluster]) -> None:
    """The new clusters serve from here on; pools that none of them has close, and what is in flight on them finishes."""
    for name, cluster in new.items():
        before = old.get(name)
        if before is not cluster:
            cluster.begin(before)
    for name, cluster in old.items():
        if new.get(name) is not cluster:
            cluster.end()
