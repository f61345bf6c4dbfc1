"""Connections to one endpoint: an idle stack, counters, a cap, and a bounded queue with a deadline. Never a scan."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from pydantic import Field
from twisted.internet.defer import Deferred, fail
from twisted.python.failure import Failure

from edgegw.config.model import Settings
from edgegw.config.units import Duration
from edgegw.errors import GatewayError, Phase, Retry, Side
from edgegw.net.upstream import Http1Upstream
from edgegw.runtime.wheel import Deadline, Wheel


class PoolSettings(Settings):
    """Caps of the connections to each endpoint of an upstream."""

    max: int = Field(default=256, ge=1, le=65535, description="Connections to one endpoint, busy and idle together.")
    idle: int = Field(default=64, ge=0, le=65535, description="Idle connections kept to one endpoint.")
    idle_timeout: Duration = Field(default=60.0, gt=0, description="How long an idle connection is kept.")
    queue: int = Field(default=1024, ge=0, description="Requests that may wait for a connection to one endpoint.")
    queue_timeout: Duration = Field(default=2.0, gt=0, description="How long a request may wait for a connection.")


class _Waiter:
    """A request that waits: in the queue, then perhaps for a connection that is being made for it."""

    __slots__ = ("connecting", "deadline", "gone", "promise")

    def __init__(self, pool: Pool, wheel: Wheel, timeout_s: float) -> None:
        self.promise: Deferred[Http1Upstream] = Deferred(lambda _: pool.abandon(self))
        self.connecting: Deferred[None] | None = None
        self.gone = False
        self.deadline: Deadline = wheel.deadline(lambda: pool.expire(self))
        self.deadline.set(timeout_s)


class Pool:
    """The connections of one endpoint.

    Args:
        settings: caps and times. wheel: deadlines.
        connect: makes a connection; fails with `GatewayError`. Cancelling its Deferred ends the attempt.
    """

    def __init__(self, settings: PoolSettings, wheel: Wheel, connect: Callable[[], Deferred[Http1Upstream]]) -> None:
        self._settings = settings
        self._wheel = wheel
        self._connect = connect
        self._idle: dict[Http1Upstream, None] = {}
        self._queue: OrderedDict[_Waiter, None] = OrderedDict()
        self._refilling = False
        self._closed = False
        self.open = 0
        """Connections that are connecting, leased or idle."""

    @property
    def idle_count(self) -> int:
        """Connections that wait for an exchange."""
        return len(self._idle)

    @property
    def leased(self) -> int:
        """Connections that are connecting or carry an exchange."""
        return self.open - len(self._idle)

    @property
    def queued(self) -> int:
        """Requests that wait for a connection."""
        return len(self._queue)

    def take(self) -> Http1Upstream | None:
        """An idle connection, the latest used first, or None."""
        return self._idle.popitem()[0] if self._idle else None

    def connection(self) -> Deferred[Http1Upstream]:
        """A new connection, or one that comes free while waiting in the queue. Cancelling it gives up the place.

        Raises (through the Deferred):
            GatewayError: 503 `pool_queue_full`, 503 `pool_queue_timeout`, or what connecting ended in.
        """
        if self.open >= self._settings.max and self._idle:
            # A new one is wanted although some are idle (a retry distrusts them): it takes the place of the oldest.
            next(iter(self._idle)).retire()
        if self.open < self._settings.max:
            return self._open_one()
        if len(self._queue) >= self._settings.queue:
            return fail(_refused("pool_queue_full", f"{len(self._queue)} requests wait already"))
        waiter = _Waiter(self, self._wheel, self._settings.queue_timeout)
        self._queue[waiter] = None
        return waiter.promise

    def _open_one(self) -> Deferred[Http1Upstream]:
        self.open += 1
        return self._connect().addCallbacks(self._opened, self._not_opened)

    def _opened(self, connection: Http1Upstream) -> Http1Upstream:
        if connection.lost:
            self.closed(connection)
            raise GatewayError(502, "upstream_closed", side=Side.UPSTREAM, phase=Phase.CONNECT, retry=Retry.ALWAYS)
        connection.owner = self
        return connection

    def _not_opened(self, failure: Failure) -> Failure:
        self.open -= 1
        self._refill()
        return failure

    def idle(self, connection: Http1Upstream) -> None:
        """From the connection: it may carry another exchange."""
        waiter = self._next_waiter()
        if waiter is not None:
            waiter.promise.callback(connection)
        elif self._closed or len(self._idle) >= self._settings.idle:
            connection.retire()
        else:
            self._idle[connection] = None
            connection.rest(self._settings.idle_timeout)

    def closed(self, connection: Http1Upstream) -> None:
        """From the connection: it is gone or going; its place is free."""
        self.open -= 1
        self._idle.pop(connection, None)
        self._refill()

    def _next_waiter(self) -> _Waiter | None:
        if not self._queue:
            return None
        waiter, _ = self._queue.popitem(last=False)
        waiter.deadline.drop()
        return waiter

    def _refill(self) -> None:
        """Places came free: open connections for the first in the queue."""
        # A loop, not a recursion: with an endpoint that refuses, each failure frees the place for the next one.
        if self._refilling:
            return
        self._refilling = True
        try:
            while self.open < self._settings.max and (waiter := self._next_waiter()) is not None:
                self._open_for(waiter)
        finally:
            self._refilling = False

    def _open_for(self, waiter: _Waiter) -> None:
        def opened(connection: Http1Upstream) -> None:
            if waiter.gone:
                self.idle(connection)
            else:
                waiter.promise.callback(connection)

        def not_opened(failure: Failure) -> None:
            if not waiter.gone:
                waiter.promise.errback(failure)

        waiter.connecting = self._open_one().addCallbacks(opened, not_opened)

    def abandon(self, waiter: _Waiter) -> None:
        """From a waiter: its exchange is torn."""
        waiter.gone = True
        if waiter in self._queue:
            del self._queue[waiter]
            waiter.deadline.drop()
        elif waiter.connecting is not None:
            waiter.connecting.cancel()

    def expire(self, waiter: _Waiter) -> None:
        """From a waiter: it waited too long."""
        del self._queue[waiter]
        waiter.promise.errback(_refused("pool_queue_timeout", f"no connection for {self._settings.queue_timeout:g} s"))

    def close(self) -> None:
        """Keep no idle connection from now on; leased ones finish what they carry."""
        self._closed = True
        for connection in list(self._idle):
            connection.retire()

    def __repr__(self) -> str:
        return f"<Pool {self.leased} leased, {len(self._idle)} idle, {len(self._queue)} queued{', closed' if self._closed else ''}>"


def _refused(reason: str, detail: str) -> GatewayError:
    return GatewayError(503, reason, phase=Phase.CONNECT, detail=detail, headers=[(b"Retry-After", b"1")])
