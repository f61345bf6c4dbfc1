"""Every upstream as an operator sees it, as plain data: what `edgegw upstreams` prints."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from edgegw.config.units import format_duration
from edgegw.discovery.feed import Feed
from edgegw.upstream.cluster import Cluster
from edgegw.upstream.endpoint import Endpoint, Probed
from edgegw.upstream.health.settings import HealthSettings


def upstreams(clusters: Iterable[Cluster], feeds: Mapping[str, Feed]) -> list[dict[str, Any]]:
    """Each with its breaker, its discovery and its endpoints, in the order of the configuration.

    Args:
        feeds: discovery by the upstream's name.
    """
    return [_upstream(cluster, feeds.get(cluster.name)) for cluster in clusters]


def _upstream(cluster: Cluster, feed: Feed | None) -> dict[str, Any]:
    breaker, selection, now = cluster.breaker, cluster.selection(), cluster.counsel.now
    return {
        "name": cluster.name,
        "balance": now.balance.custom or now.balance.by,
        "health": _probe(now.health) if now.health is not None else None,
        "advice": cluster.counsel.describe(),
        "panic": selection.panics,
        "breaker": breaker.describe() if breaker is not None else None,
        "bulkhead": cluster.bulkhead.describe() if cluster.bulkhead is not None else None,
        "attempts": cluster.retry.budget.describe(),
        "discovery": feed.describe() if feed is not None else None,
        "endpoints": [_endpoint(each, cluster) for each in cluster.endpoints],
    }


def _probe(settings: HealthSettings) -> str:
    """How endpoints are probed, in words."""
    how = f"{settings.method} {settings.path}"
    if settings.tcp is not None:
        how = "tcp"
    elif settings.grpc is not None:
        how = f"grpc {settings.grpc.service}".rstrip()
    elif settings.custom is not None:
        how = settings.custom
    return f"{how} every {format_duration(settings.every)}"


def _endpoint(endpoint: Endpoint, cluster: Cluster) -> dict[str, Any]:
    pool, standing = endpoint.pool, endpoint.standing
    return {
        "name": endpoint.name,
        "source": endpoint.source,
        "state": standing.state,
        "holds": {hold.value: reason for hold, reason in standing.reasons.items()},
        "why": cluster.selection().explain(endpoint),
        "zone": endpoint.zone,
        "tier": endpoint.tier,
        "meta": dict(endpoint.meta),
        "weight": endpoint.weight,
        "weight_by_operator": endpoint.weighed,
        "warmth": round(endpoint.warmth, 3),
        "in_flight": endpoint.in_flight,
        "ejections": endpoint.ejections,
        "checks": [_probed(each) for each in endpoint.history],
        "connections": {"open": pool.open, "leased": pool.leased, "idle": pool.idle_count},
        "queued": pool.queued,
    }


def _probed(probed: Probed) -> dict[str, Any]:
    return {"at": probed.at_s, "ok": probed.ok, "took_ms": round(probed.took_s * 1000, 1), "detail": probed.detail}
