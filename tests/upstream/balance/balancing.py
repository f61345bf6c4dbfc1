"""What the tests of balancers share: endpoints that are only compared."""

from __future__ import annotations

from collections.abc import Container
from typing import Any, cast

from edgegw.testing.exchanges import make_exchange
from edgegw.upstream.balance.interfaces import Balancer
from edgegw.upstream.endpoint import Endpoint

EXCHANGE = make_exchange()


class Named:
    """As much of an endpoint as a balancer may look at."""

    def __init__(self, name: str, weight: int = 1) -> None:
        self.name = name
        self.weight = weight

    def __repr__(self) -> str:
        return self.name


def endpoints(*weights: int) -> list[Endpoint]:
    """Endpoints `a`, `b`, ... of these weights."""
    return [cast(Any, Named(chr(97 + number), weight)) for number, weight in enumerate(weights)]


def turns(balancer: Balancer, count: int, tried: Container[Endpoint] = ()) -> str:
    """The names of the next choices."""
    return "".join(choice.name if (choice := balancer.choose(EXCHANGE, tried)) else "-" for _ in range(count))
