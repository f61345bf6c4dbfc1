"""Turns by weight, smooth: earliest deadline first, an endpoint of weight w being due again 1/w later.

Over any whole number of rounds each endpoint gets exactly its share, and the turns of a heavy endpoint are spread, not bunched. A
choice costs O(log n) (a heap), unlike nginx's smooth weighted round robin, which is O(n).
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Container, Sequence

from edgegw.exchange.model import Exchange
from edgegw.upstream.endpoint import Endpoint


class WeightedRoundRobin:
    """Endpoints in proportion to their weights (positive integers)."""

    def __init__(self, members: Sequence[Endpoint]) -> None:
        self.allow(members)

    def reweigh(self, endpoint: Endpoint) -> None:
        """Its share is another one."""

    def allow(self, endpoints: Sequence[Endpoint]) -> None:
        """Choose among these."""
        # Whole numbers keep the shares exact for ever: the step of weight w is proportional to 1 / w. Each begins at another
        # part of its step, so that light ones do not come all together at the end of a round.
        count = len(endpoints)
        common = math.lcm(*(endpoint.weight for endpoint in endpoints)) * 2 * count
        self._steps = [common // endpoint.weight for endpoint in endpoints]
        self._heap = [
            (step * (2 * index + 1) // (2 * count), index, endpoint)
            for index, (step, endpoint) in enumerate(zip(self._steps, endpoints, strict=True))
        ]
        heapq.heapify(self._heap)

    def choose(self, exchange: Exchange, tried: Container[Endpoint]) -> Endpoint | None:
        """The endpoint that is due first and was not tried; those tried keep their turn."""
        if not self._heap:
            return None
        passed = []
        chosen: Endpoint | None = None
        while self._heap:
            due, index, endpoint = self._heap[0]
            if tried and endpoint in tried:
                passed.append(heapq.heappop(self._heap))
                continue
            heapq.heapreplace(self._heap, (due + self._steps[index], index, endpoint))
            chosen = endpoint
            break
        for entry in passed:
            heapq.heappush(self._heap, entry)
        return chosen if chosen is not None else self._heap[0][2]

    def __repr__(self) -> str:
        return f"<WeightedRoundRobin of {len(self._heap)}>"
