"""The least busy endpoint."""

from __future__ import annotations

import heapq
from collections.abc import Container, Sequence

from edgegw.exchange.model import Exchange
from edgegw.upstream.endpoint import Endpoint

_Filed = tuple[float, int, int]
"""Load, when it was chosen last, place."""


class LeastConnections:
    """The endpoint that has the fewest exchanges for its share, this one included; among equals whoever waited longest.

    It is the true minimum, whoever else uses the endpoints, in O(log n) amortised: a heap in which everybody is filed at its load
    or below. Loads that rose are put right when they come to the top, loads that fell at once, which endpoints tell.
    """

    def __init__(self, members: Sequence[Endpoint]) -> None:
        self._members = tuple(members)
        self._places = {endpoint: place for place, endpoint in enumerate(members)}
        self._chosen = list(range(len(members)))
        self._choices = len(members)
        # The entry of each that counts; others in the heap are left over. None: not eligible.
        self._live: list[_Filed | None] = [None] * len(members)
        self._heap: list[_Filed] = []
        for endpoint in members:
            endpoint.follow_load(self)
        self.allow(members)

    def allow(self, eligible: Sequence[Endpoint]) -> None:
        """Choose among these."""
        self._live = [None] * len(self._members)
        for endpoint in eligible:
            place = self._places[endpoint]
            self._live[place] = (_load(endpoint), self._chosen[place], place)
        self._clear_up()

    def reweigh(self, endpoint: Endpoint) -> None:
        """Its share is another one."""
        self._file(endpoint)

    def load_changed(self, endpoint: Endpoint, by: int) -> None:
        """`LoadFollower`."""
        if by < 0:
            self._file(endpoint)

    def choose(self, exchange: Exchange, tried: Container[Endpoint]) -> Endpoint | None:
        """The least busy one that was not tried."""
        place = self._least()
        if tried:
            passed: list[_Filed] = []
            while place >= 0 and self._members[place] in tried:
                passed.append(heapq.heappop(self._heap))
                place = self._least()
            for filed in passed:
                heapq.heappush(self._heap, filed)
            if place < 0 and passed:
                place = passed[0][2]
        if place < 0:
            return None
        endpoint = self._members[place]
        self._choices += 1
        self._chosen[place] = self._choices
        self._put((_load(endpoint), self._choices, place))
        return endpoint

    def _least(self) -> int:
        """The place of the least busy one that is in the heap, whose entry is then on top; -1 if it is empty."""
        heap, live = self._heap, self._live
        while heap:
            filed = heap[0]
            place = filed[2]
            if live[place] is not filed:
                heapq.heappop(heap)
                continue
            load = _load(self._members[place])
            if load <= filed[0]:
                return place
            live[place] = risen = (load, filed[1], place)
            heapq.heapreplace(heap, risen)
        return -1

    def _file(self, endpoint: Endpoint) -> None:
        """Its load fell, if it is below what it is filed at."""
        place = self._places[endpoint]
        filed = self._live[place]
        load = _load(endpoint)
        if filed is not None and load < filed[0]:
            self._put((load, filed[1], place))

    def _put(self, filed: _Filed) -> None:
        self._live[filed[2]] = filed
        if self._heap and self._heap[0][2] == filed[2]:
            # It was on top, or something left over of it.
            heapq.heapreplace(self._heap, filed)
            return
        heapq.heappush(self._heap, filed)
        if len(self._heap) > 2 * len(self._members) + 16:
            self._clear_up()

    def _clear_up(self) -> None:
        self._heap = [filed for filed in self._live if filed is not None]
        heapq.heapify(self._heap)

    def __repr__(self) -> str:
        return f"<LeastConnections of {sum(filed is not None for filed in self._live)}>"


def _load(endpoint: Endpoint) -> float:
    return (endpoint.in_flight + 1) / endpoint.share
