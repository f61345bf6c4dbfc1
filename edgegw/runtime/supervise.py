"""A periodic service that survives a failing tick.

Twisted's `TimerService` stops for good after one exception, and says nothing if the tick's Deferred never fires.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

_log = Logger("edgegw.runtime.supervise")


@dataclass(frozen=True, slots=True)
class Pace:
    """How often to tick.

    interval_s: from the start of one tick to the start of the next. jitter: up to this share of the interval is added, by chance,
    so that many gateways do not ask at the same moment. at_once: the first tick comes with the start, else after one interval.
    delay_s: the first tick comes so much later. stop_s: how long stopping waits for a tick that is under way before it cancels it
    and goes on.
    """

    interval_s: float
    jitter: float = 0.0
    at_once: bool = True
    stop_s: float = 5.0
    delay_s: float = 0.0


class Supervised(Service):
    """Calls `tick` again and again, whatever becomes of the calls.

    A tick may return a Deferred or a coroutine: the next one waits for it, so ticks never overlap. A tick that fails is logged and
    counted, and the next one comes when it would have come anyway.

    Args:
        name: what it is, for logs and `repr`. tick: takes nothing; its result is ignored.
        pace: an interval in seconds, or more about it.
        clock: `callLater` and monotonic seconds. chance: a number from 0 to 1, for jitter.
        failed: called after each failure, for a metric.
    """

    def __init__(
        self,
        name: str,
        tick: Callable[[], object],
        pace: Pace | float,
        clock: IReactorTime,
        chance: Callable[[], float] = random.random,  # noqa: TID251 - the default of injected chance.
        failed: Callable[[Failure], object] | None = None,
    ) -> None:
        self.name: str = name
        self._tick = tick
        self._pace = pace if isinstance(pace, Pace) else Pace(pace)
        self._clock = clock
        self._chance = chance
        self._failed = failed
        self._call: IDelayedCall | None = None
        self._under_way: Deferred[object] | None = None
        self._stopped: Deferred[None] | None = None
        self.ticks = 0
        self.failures = 0
        self.last_failure: Failure | None = None

    def startService(self) -> None:
        """Twisted: begin to tick. Starting what runs already does nothing."""
        if self.running:
            return
        Service.startService(self)
        if self._under_way is not None:
            return
        if self._pace.at_once and not self._pace.delay_s:
            self._run()
        else:
            self._schedule(self._pace.delay_s if self._pace.at_once else self._interval() + self._pace.delay_s)

    def stopService(self) -> Deferred[None] | None:
        """Twisted: tick no more. Fires when the tick under way has ended, or was cancelled after `stop_s`."""
        if not self.running:
            return self._stopped
        Service.stopService(self)
        if self._call is not None:
            self._call.cancel()
            self._call = None
        under_way = self._under_way
        if under_way is None:
            return None
        stopped = self._stopped = Deferred()
        deadline = self._clock.callLater(self._pace.stop_s, self._give_up, under_way, stopped)
        under_way.addBoth(self._ended, deadline, stopped)
        return stopped

    def set_pace(self, pace: Pace) -> None:
        """Tick at another pace, from the end of this turn on."""
        self._pace = pace

    def trigger(self) -> None:
        """Tick now instead of at the next turn; does nothing while a tick is under way or the service does not run."""
        if self.running and self._under_way is None:
            if self._call is not None:
                self._call.cancel()
            self._run()

    def _run(self) -> None:
        self._call = None
        began_s = self._clock.seconds()
        self.ticks += 1
        under_way = maybeDeferred(self._tick)
        self._under_way = under_way
        under_way.addErrback(self._survive)
        under_way.addCallback(self._again, began_s)

    def _survive(self, failure: Failure) -> None:
        if not self.running and failure.check(CancelledError):
            return
        self.failures += 1
        self.last_failure = failure
        _log.failure("{service!r}: a tick failed; going on", failure, service=self)
        if self._failed is not None:
            self._failed(failure)

    def _again(self, _result: object, began_s: float) -> None:
        self._under_way = None
        if self.running:
            # A tick that took longer than the interval is followed at the interval's next multiple, not at once.
            interval_s = self._interval()
            took_s = self._clock.seconds() - began_s
            self._schedule(interval_s - took_s % interval_s if interval_s > 0 else 0.0)

    def _schedule(self, delay_s: float) -> None:
        self._call = self._clock.callLater(delay_s, self._run)

    def _interval(self) -> float:
        pace = self._pace
        return pace.interval_s * (1.0 + pace.jitter * self._chance()) if pace.jitter else pace.interval_s

    def _ended(self, _result: object, deadline: IDelayedCall, stopped: Deferred[None]) -> None:
        if deadline.active():
            deadline.cancel()
        if self._stopped is stopped:
            self._stopped = None
            stopped.callback(None)

    def _give_up(self, under_way: Deferred[object], stopped: Deferred[None]) -> None:
        under_way.cancel()
        # Whatever became of that: a tick that will not be cancelled must not hold up the process's end.
        if self._stopped is stopped:
            self._stopped = None
            stopped.callback(None)

    def __repr__(self) -> str:
        state = "ticking" if self._under_way is not None else "waiting" if self.running else "stopped"
        return f"<Supervised {self.name} every {self._pace.interval_s:g} s, {state}, {self.ticks} ticks, {self.failures} failed>"
