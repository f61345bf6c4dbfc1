"""Asks again and again, whatever becomes of the questions: the rules of Consul's blocking queries (HTTP API, features, blocking
queries, implementation details).

An index that goes backwards is forgotten, and after any failure everything is asked for anew: what answers then may be another
server, or one that was restored. Answers that come early are followed by a pause; where they bring nothing new it grows.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from edgegw.discovery.consul.client import Reply
from edgegw.discovery.kubernetes.errors import ApiError, Garbage

SPACING_S = 1.0
"""At least so long between two questions; the feed lets through one change a second, too."""
IDLE_S = 15.0
"""The longest pause after answers that come at once and bring nothing new."""
BASE_S, CAP_S, FLOOR_S = 1.0, 30.0, 0.2

_log = Logger("edgegw.discovery.consul")


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
        self._chance = chance
        self._ask = ask
        self._heard = heard
        self._failed = failed
        self._setbacks = 0
        self._idle = 0
        self._is_on = False
        self._running: Deferred[None] | None = None

    def start(self) -> None:
        """Begin."""
        self._is_on = True
        self._running = Deferred.fromCoroutine(self._run())

    def stop(self) -> None:
        """End; nothing is told any more. Whoever is told something may call this."""
        self._is_on = False
        running, self._running = self._running, None
        if running is not None:
            running.addErrback(lambda _: None)
            running.cancel()

    async def _run(self) -> None:
        try:
            while self._is_on:
                pause_s = await self._turn()
                if self._is_on:
                    await deferLater(self._clock, pause_s)
        except CancelledError:
            return

    async def _turn(self) -> float:
        """One question. Returns: how long to pause then."""
        began_s = self._clock.seconds()
        try:
            news = self._take(await self._ask(self.index))
        except ApiError as error:
            return self._setback(error)
        except CancelledError:
            raise
        except Exception as error:
            _log.failure("Consul: asking failed")
            return self._setback(Garbage(f"asking failed: {error!r}"[:300]))
        self._setbacks = 0
        took_s = self._clock.seconds() - began_s
        if news or took_s >= SPACING_S:
            self._idle = 0
            return max(SPACING_S - took_s, 0.0)
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
        """How long to wait after an error: exponential with full jitter, at least what was asked for."""
        self.index = 0
        self._setbacks += 1
        self._failed(error)
        upper_s = min(CAP_S, BASE_S * 2.0 ** min(self._setbacks - 1, 10))
        wait_s = self._chance.uniform(0.0, upper_s)
        return max(FLOOR_S, wait_s, error.retry_after_s)

    def __repr__(self) -> str:
        state = "asking" if self._is_on else "stopped"
        return f"<Loop {state}, index {self.index}, {self._setbacks} setbacks>"
