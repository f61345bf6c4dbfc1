"""What an operator does to upstreams that serve: drain an endpoint, give it another weight, let a breaker try again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches

from edgegw.config.problems import quoted
from edgegw.upstream.cluster import Cluster
from edgegw.upstream.endpoint import Endpoint
from edgegw.upstream.standing import Hold

SOURCE = "operator"
ACTIONS = ("drain", "ready", "weight", "reset")
MOST = 1000
"""The greatest weight."""

_COMPARED, _LONGEST = 1000, 100
"""How many names a mistyped one is compared with, and how much of it."""


class Unknown(LookupError):
    """There is no such upstream or endpoint. The text says which there are."""


def cluster_of(clusters: Mapping[str, Cluster], name: str) -> Cluster:
    """The upstream of this name.

    Raises:
        Unknown: there is none.
    """
    found = clusters.get(name)
    if found is None:
        raise Unknown(_nothing("upstream", name, clusters))
    return found


def endpoint_of(cluster: Cluster, name: str) -> Endpoint:
    """The endpoint of this name, which may leave the scheme out.

    Raises:
        Unknown: there is none, or it could be more than one.
    """
    names = [endpoint.name for endpoint in cluster.endpoints]
    found = [each for each in names if name in (each, each.partition("://")[2])]
    if len(found) != 1:
        raise Unknown(_nothing(f"endpoint of {cluster.name}", name, names))
    endpoint = cluster.endpoint(found[0])
    assert endpoint is not None
    return endpoint


def drain(endpoint: Endpoint) -> None:
    """No new exchanges; those in flight finish. Holds until `ready`, whatever the sources say, also over reloads."""
    endpoint.hold(Hold.DRAINED, "by an operator", SOURCE)


def ready(cluster: Cluster, endpoint: Endpoint) -> None:
    """Take back what operators said: drained, or of another weight. What passive health holds against it is forgotten too."""
    endpoint.release(Hold.DRAINED, SOURCE)
    endpoint.release(Hold.EJECTED, SOURCE)
    if endpoint.weighed:
        cluster.weigh(endpoint, None)


def _nothing(kind: str, name: str, known: Iterable[str]) -> str:
    names = list(known)
    # The loop waits: of ten thousand names each would cost a comparison.
    near = get_close_matches(name[:_LONGEST], names[:_COMPARED], 1)
    hint = f"did you mean {quoted(near[0])}?" if near else f"there are: {', '.join(names[:10]) or 'none'}"
    return f"there is no {kind} {quoted(name)}; {hint}"
