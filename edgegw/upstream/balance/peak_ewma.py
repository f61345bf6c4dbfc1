"""The faster of two drawn, by what it has to do (Finagle's P2C with peak EWMA)."""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from random import Random

from edgegw.exchange.model import Exchange
from edgegw.upstream.balance.latency import Latency
from edgegw.upstream.balance.shares import Shares
from edgegw.upstream.endpoint import Endpoint

UNKNOWN_S = 1e6
"""What an endpoint costs that works at its first answer: more than any that gave one."""


class PeakEwma(Shares):
    """Draws two in proportion to shares and takes the one where the exchange should be over sooner, the first if they are level.

    The cost is latency x (exchanges in flight for its share + 1). An endpoint that never answered gets one exchange at a time: the
    first at once, the next after it answered.

    Attributes:
        observer: keeps latencies on the endpoints; to be told of every attempt.
    """

    def __init__(self, members: Sequence[Endpoint], chance: Random, seconds: Callable[[], float]) -> None:
        super().__init__(members, chance)
        self.observer = Latency(seconds)

    def choose(self, exchange: Exchange, tried: Container[Endpoint]) -> Endpoint | None:
        """The cheaper of two that were not tried."""
        pair = self.two(tried)
        if pair is None:
            return None
        first, second = pair
        return second if self._cost(second) < self._cost(first) else first

    def _cost(self, endpoint: Endpoint) -> float:
        busy = endpoint.in_flight * self.mean / endpoint.share
        if endpoint.ewma_s > 0.0:
            return self.observer.now_s(endpoint) * (busy + 1.0)
        return UNKNOWN_S * busy
