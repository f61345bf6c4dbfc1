"""Asks again and again, whatever becomes of the questions: the rules of Consul's blocking queries (HTTP API, features, blocking
queries, implementation details).

An index that goes backwards is forgotten, and after any failure everything is asked for anew: what answers then may be another
server, or one that was restored. Answers that come early are followed by a pause; where they bring nothing new it grows.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable

from twisted.internet.interfaces import IReactorTime

from edgegw.discovery.api.backoff import Backoff
from edgegw.discovery.api.errors import ApiError
from edgegw.discovery.api.rounds import Rounds
from edgegw.discovery.consul.client import Reply

SPACING_S = 1.0
"""At least so long between two questions; the feed lets through one change a second, too."""
IDLE_S = 15.0
"""The longest pause after answers that come at once and bring nothing new."""


class Loop:
    """Runs from `start` to `stop`.

    Args:
        ask: takes an index, 0 for at once; raises ApiError. heard: told a reply and whether its index is the one before; returns
            whether it brought something new; may raise ApiError. failed: told why there was none.
    """

    def __init__(
        self,
        clock: IReactorTime,
        chance: random.Random,
        ask: Callable[[int], Awaitable[Reply]],
        heard: Callable[[Reply, bool], bool],
        failed: Callable[[ApiError], None],
    ) -> None:
        self.index = 0
        self._clock = clock
        self._ask = ask
        self._heard = heard
        self._failed = failed
        self._idle = 0
        self._backoff = Backoff(chance)
        self._rounds = Rounds(clock, self._turn, self._setback, "asking")

    def start(self) -> None:
        """Begin."""
        self._rounds.start()

    def stop(self) -> None:
        """End; nothing is told any more. Whoever is told something may call this."""
        self._rounds.stop()

    async def _turn(self) -> float:
        """One question. Returns: how long to pause then."""
        began_s = self._clock.seconds()
        news = self._take(await self._ask(self.index))
        self._backoff.reset()
        took_s = self._clock.seconds() - began_s
        if news or took_s >= SPACING_S:
            self._idle = 0
            return SPACING_S - took_s
        self._idle += 1
        pause_s: float = SPACING_S * 2.0 ** min(self._idle - 1, 10)
        return min(pause_s, IDLE_S)

    def _take(self, reply: Reply) -> bool:
        before, self.index = self.index, reply.index
        news = self._heard(reply, reply.index == before)
        if reply.index < before:
            self.index = 0
        return news

    def _setback(self, error: ApiError) -> float:
        """Returns: how long to wait after an error."""
        self.index = 0
        self._failed(error)
        return self._backoff.next_s(error.retry_after_s)

    def __repr__(self) -> str:
        return f"<Loop at index {self.index}: {self._rounds!r}, {self._backoff!r}>"
