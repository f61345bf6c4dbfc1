"""What the tests of balancers share: endpoints that go nowhere, counts of choices, and the chi-square test."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Sequence
from math import sqrt
from typing import Any, cast

from hypothesis import strategies as st
from twisted.internet.task import Clock

from edgegw.runtime.wheel import Wheel
from edgegw.testing.exchanges import make_exchange
from edgegw.upstream.address import EndpointSettings
from edgegw.upstream.balance.interfaces import Balancer
from edgegw.upstream.endpoint import Endpoint
from edgegw.upstream.pool import PoolSettings

EXCHANGE = make_exchange()
_WHEEL = Wheel(Clock())

SHARES = st.lists(
    st.one_of(st.integers(1, 1000).map(float), st.floats(0.05, 1000.0, allow_nan=False)), min_size=1, max_size=9
)
"""Of a few endpoints, some of them warming."""


class _Nowhere:
    def expected_room(self, url: object) -> int:
        return 1


def endpoint(name: str, weight: int = 1) -> Endpoint:
    """One of this host name."""
    return Endpoint(
        EndpointSettings(url=f"http://{name}", weight=weight), PoolSettings(), cast(Any, _Nowhere()), _WHEEL
    )


def endpoints(*weights: int) -> list[Endpoint]:
    """Endpoints `a`, `b`, ... of these weights."""
    return [endpoint(chr(97 + number), weight) for number, weight in enumerate(weights)]


def crowd(count: int, weight: int = 1) -> list[Endpoint]:
    """Many."""
    return [endpoint(f"10.0.{number // 250}.{number % 250}:9000", weight) for number in range(count)]


def shared(shares: Iterable[float]) -> list[Endpoint]:
    """Endpoints of these shares, whatever makes them up."""
    made = endpoints(*(1 for _ in shares))
    for each, share in zip(made, shares, strict=True):
        each.share = share
    return made


def letter(found: Endpoint | None) -> str:
    """`a` for the endpoint of that name, `-` for None."""
    return found.name.removeprefix("http://") if found is not None else "-"


def turns(balancer: Balancer, count: int, tried: Container[Endpoint] = ()) -> str:
    """The names of the next choices."""
    return "".join(letter(balancer.choose(EXCHANGE, tried)) for _ in range(count))


def counted(balancer: Balancer, count: int, tried: Container[Endpoint] = ()) -> Counter[Endpoint | None]:
    """How often each was chosen, nothing being in flight."""
    return Counter(balancer.choose(EXCHANGE, tried) for _ in range(count))


def chi_square(observed: Sequence[float], expected: Sequence[float]) -> float:
    """How far counts are from what was expected of them, over what they exceed once in a thousand times: above 1 is too far.

    expected: in proportion. The limit is Wilson and Hilferty's approximation, which is close enough from 3 degrees of freedom on.
    """
    total = sum(observed) / sum(expected)
    found = sum((have - want * total) ** 2 / (want * total) for have, want in zip(observed, expected, strict=True))
    free = len(observed) - 1
    limit: float = free * (1 - 2 / (9 * free) + 3.09 * sqrt(2 / (9 * free))) ** 3
    return found / limit
