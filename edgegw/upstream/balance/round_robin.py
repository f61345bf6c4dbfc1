"""Turns by share: equal turns as long as all shares are equal, else earliest deadline first, an endpoint of share s being due again
1/s later.

Over any whole number of rounds each endpoint gets exactly its weight, and the turns of a heavy endpoint are spread, not bunched. A
choice costs O(1), or with different shares O(log n) (a heap), unlike nginx's smooth weighted round robin, which is O(n).
"""

from __future__ import annotations

import heapq
from collections.abc import Container, Sequence

from edgegw.exchange.model import Exchange
from edgegw.upstream.balance.interfaces import Balancer
from edgegw.upstream.endpoint import Endpoint

_Due = tuple[int, float, int]
"""When a member is due, and its place. The time is the round, in which it has as many turns as its share says, and the part of it
that went by: one float for both would lose what makes rounds exact.
"""

_TURN = 720_720.0 * 1024
"""One turn. Parts of it are whole numbers, so that they add up without rounding, and it can be divided by 1 to 16."""


class RoundRobin:
    """Endpoints in proportion to their shares: exact for whole numbers, within a turn for those that are warming.

    Whoever is passed over or reweighed, or goes and comes back, keeps the part of its turn that it has waited.
    """

    def __init__(self, members: Sequence[Endpoint]) -> None:
        count = len(members)
        self._members = tuple(members)
        self._places = {endpoint: place for place, endpoint in enumerate(members)}
        # How much of a turn each has to wait still. Each begins at another part of it, so that light ones do not come all together
        # at the end of a round.
        self._left = [(2 * place + 1) / (2 * count) for place in range(count)]
        self._eligible: tuple[int, ...] = ()
        self._stale = True
        # With equal shares: the eligible ones in the order in which they are due, over and over.
        self._turns: tuple[Endpoint, ...] = ()
        self._next = 0
        # With others. By place, as scheduled: how much a round has of turns, and how much of them is gone when the next one is due.
        self._shares = [0.0] * count
        self._gone = [0.0] * count
        self._heap: list[_Due] = []
        self._now = (0, 0.0)
        self._again: RoundRobin | None = None
        self.allow(members)

    def succeed(self, before: Balancer) -> None:
        """Those that were there wait as much as they had to."""
        if isinstance(before, RoundRobin):
            before._note_what_is_left()
            for place, endpoint in enumerate(self._members):
                known = before._places.get(endpoint)
                if known is not None:
                    self._left[place] = before._left[known]

    def reweigh(self, endpoint: Endpoint) -> None:
        """Its share is another one."""
        self._stale = True
        if self._again is not None:
            self._again.reweigh(endpoint)

    def allow(self, eligible: Sequence[Endpoint]) -> None:
        """Choose among these."""
        self._eligible = tuple(self._places[endpoint] for endpoint in eligible)
        self._stale = True
        if self._again is not None:
            self._again.allow(eligible)

    def choose(self, exchange: Exchange, tried: Container[Endpoint]) -> Endpoint | None:
        """The endpoint that is due first. Another attempt (some were tried) goes by turns of its own: else, of two endpoints one of
        which fails, the other would give its turn for each failure, and every first attempt would meet the one that fails.
        """
        if tried:
            return self._choose_another(tried)
        if self._stale:
            self._schedule()
        turns, at = self._turns, self._next
        if turns:
            self._next = at + 1 if at + 1 < len(turns) else 0
            return turns[at]
        return self._take() if self._heap else None

    def _choose_another(self, tried: Container[Endpoint]) -> Endpoint | None:
        again = self._again
        if again is None:
            again = self._again = RoundRobin(self._members)
            again.allow([self._members[place] for place in self._eligible])
        if again._stale:
            again._note_what_is_left()
            again._fill()
        heap, passed = again._heap, []
        while heap and self._members[heap[0][2]] in tried:
            passed.append(heapq.heappop(heap))
        chosen = again._take() if heap else None
        for due in passed:
            heapq.heappush(heap, due)
        if chosen is None and heap:
            return again._take()
        return chosen

    def _take(self) -> Endpoint:
        """Whoever is due first has its turn."""
        number, part, place = self._heap[0]
        if (number, part) > self._now:
            self._now = number, part
        share = self._shares[place]
        gone = self._gone[place] + _TURN
        if gone >= share:
            # Exact for whole numbers, so that no round gets a turn of another one.
            rounds = gone // share
            gone = max(0.0, gone - rounds * share)
            number += int(rounds)
        self._gone[place] = gone
        heapq.heapreplace(self._heap, (number, gone / share, place))
        return self._members[place]

    def _note_what_is_left(self) -> None:
        count = len(self._turns)
        for at, endpoint in enumerate(self._turns):
            self._left[self._places[endpoint]] = ((at - self._next) % count + 0.5) / count
        began, gone = self._now
        for turn, part, place in self._heap:
            wait = ((turn - began) + (part - gone)) * self._shares[place] / _TURN
            self._left[place] = min(1.0, max(0.0, wait))

    def _schedule(self) -> None:
        """Something changed: each has left of its turn what it had."""
        self._note_what_is_left()
        if len({self._members[place].share for place in self._eligible}) > 1:
            self._fill()
            return
        self._stale = False
        self._heap = []
        self._turns = tuple(self._members[place] for place in sorted(self._eligible, key=self._left.__getitem__))
        self._next = 0

    def _fill(self) -> None:
        """Time begins anew."""
        self._stale = False
        self._turns = ()
        self._now = 0, 0.0
        self._heap = []
        for place in self._eligible:
            share = self._shares[place] = self._members[place].share * _TURN
            # Whoever had its turn just now comes after those that are due now, a round later too: else one of them gets its turn.
            left = min(float(round(self._left[place] * _TURN)), _TURN - 1)
            turn = int(left / share)
            gone = self._gone[place] = max(0.0, left - turn * share)
            self._heap.append((turn, gone / share, place))
        heapq.heapify(self._heap)

    def __repr__(self) -> str:
        return f"<RoundRobin of {len(self._eligible)}{'' if self._turns else ' by share'}>"
