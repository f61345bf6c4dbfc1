"""How many exchanges an upstream may have at once; the rest waits, a bounded number for a bounded time.

One slow upstream can then take only its share of what the gateway has: memory, connections, patience of its callers.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Annotated, Literal

from pydantic import Field, field_validator
from twisted.internet.defer import Deferred, fail, succeed

from edgegw.config.model import Settings
from edgegw.config.units import Duration
from edgegw.errors import GatewayError, Phase
from edgegw.runtime.wheel import Deadline
from edgegw.upstream.environment import Environment


class BulkheadSettings(Settings):
    """Caps of one upstream, all its endpoints together."""

    requests: Annotated[int, Field(ge=1)] | Literal["none"] | None = Field(
        default=None, description="Exchanges at once; `none` is no limit.", examples=[200]
    )
    queue: int = Field(default=256, ge=0, description="Exchanges that may wait for a place; more is a 503.")
    queue_timeout: Duration = Field(
        default=2.0, gt=0, description="How long an exchange may wait for a place; then a 503."
    )

    @field_validator("requests")
    @classmethod
    def _none_is_none(cls, requests: int | str | None) -> int | str | None:
        return None if requests == "none" else requests


class _Waiter:
    """An exchange in the queue."""

    __slots__ = ("deadline", "promise")

    def __init__(self, bulkhead: Bulkhead, environment: Environment, timeout_s: float) -> None:
        self.promise: Deferred[None] = Deferred(lambda _: bulkhead.abandon(self))
        self.deadline: Deadline = environment.wheel.deadline(lambda: bulkhead.expire(self))
        self.deadline.set(timeout_s)


class Bulkhead:
    """Of one upstream.

    Attributes:
        inside: exchanges that have a place.
    """

    def __init__(self, settings: BulkheadSettings, environment: Environment) -> None:
        self._environment = environment
        self._queue: OrderedDict[_Waiter, None] = OrderedDict()
        self._serving = False
        self.inside = 0
        self.apply(settings)

    def apply(self, settings: BulkheadSettings) -> None:
        """Go by these caps from now on: a reload keeps who is inside, and who waits."""
        self.settings = settings
        self._most: float = settings.requests if isinstance(settings.requests, int) else float("inf")
        self._serve()

    @property
    def queued(self) -> int:
        """Exchanges that wait."""
        return len(self._queue)

    def enter(self) -> Deferred[None]:
        """Fires when there is room. Cancelling it leaves the queue.

        Raises (through the Deferred):
            GatewayError: 503 `bulkhead_full`, `bulkhead_timeout`, with Retry-After.
        """
        if self.inside < self._most and not self._queue:
            self.inside += 1
            return succeed(None)
        if len(self._queue) >= self.settings.queue:
            return fail(_refused("bulkhead_full", f"{self.inside} inside, {len(self._queue)} wait already"))
        waiter = _Waiter(self, self._environment, self.settings.queue_timeout)
        self._queue[waiter] = None
        return waiter.promise

    def leave(self) -> None:
        """The exchange is over: once for each `enter` that fired."""
        self.inside -= 1
        if self._queue:
            self._serve()

    def _serve(self) -> None:
        """Let in who waits longest, as far as there are places."""
        # A loop, not a recursion: an exchange that ends at once leaves while it is being let in.
        if self._serving:
            return
        self._serving = True
        try:
            while self._queue and self.inside < self._most:
                waiter = self._queue.popitem(last=False)[0]
                waiter.deadline.drop()
                self.inside += 1
                waiter.promise.callback(None)
        finally:
            self._serving = False

    def abandon(self, waiter: _Waiter) -> None:
        """From a waiter: its exchange is torn."""
        if waiter in self._queue:
            del self._queue[waiter]
            waiter.deadline.drop()

    def expire(self, waiter: _Waiter) -> None:
        """From a waiter: it waited too long."""
        del self._queue[waiter]
        waiter.deadline.drop()
        waiter.promise.errback(_refused("bulkhead_timeout", f"no place for {self.settings.queue_timeout:g} s"))

    def describe(self) -> dict[str, int]:
        """How full it is, for operators. most: 0 is no limit."""
        most = self.settings.requests
        return {"inside": self.inside, "most": most if isinstance(most, int) else 0, "queued": len(self._queue)}

    def __repr__(self) -> str:
        return f"<Bulkhead {self.inside} of {self._most} inside, {len(self._queue)} queued>"


def _refused(reason: str, detail: str) -> GatewayError:
    return GatewayError(503, reason, phase=Phase.CHOOSE, detail=detail, headers=[(b"Retry-After", b"1")])
