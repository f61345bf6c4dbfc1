"""Connections to one endpoint: an idle stack, counters, a cap, and a bounded queue with a deadline. Never a scan.

A connection of HTTP/1.1 is idle or leased. One of HTTP/2 carries many exchanges: as long as it can carry more it stands in a second
stack, from which it is taken before an idle one is. Where connections carry many, requests that come while one is being made wait
for it, as many as it will carry, instead of each making its own.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from copy import copy

from pydantic import Field
from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.python.failure import Failure

from edgegw.config.model import Settings
from edgegw.config.units import Duration
from edgegw.errors import GatewayError, Phase, Retry, Side
from edgegw.net.call import UpstreamConnection
from edgegw.runtime.wheel import Deadline, Wheel


class PoolSettings(Settings):
    """Caps of the connections to each endpoint of an upstream."""

    max: int = Field(default=256, ge=1, le=65535, description="Connections to one endpoint, busy and idle together.")
    idle: int = Field(default=64, ge=0, le=65535, description="Idle connections kept to one endpoint.")
    idle_timeout: Duration = Field(default=60.0, gt=0, description="How long an idle connection is kept.")
    queue: int = Field(default=1024, ge=0, description="Requests that may wait for a connection to one endpoint.")
    queue_timeout: Duration = Field(default=2.0, gt=0, description="How long a request may wait for a connection.")


Connect = Callable[[], Deferred[UpstreamConnection]]
"""Makes a connection; fails with `GatewayError`. Cancelling its Deferred ends the attempt."""


class _Waiter:
    """A request that waits: in the queue, then perhaps for a connection that is being made for it."""

    __slots__ = ("connect", "connecting", "deadline", "gone", "promise")

    def __init__(self, pool: Pool, wheel: Wheel, timeout_s: float, connect: Connect | None) -> None:
        self.connect = connect
        self.promise: Deferred[UpstreamConnection] = Deferred(lambda _: pool.abandon(self))
        self.connecting: Deferred[None] | None = None
        self.gone = False
        self.deadline: Deadline = wheel.deadline(lambda: pool.expire(self))
        self.deadline.set(timeout_s)


class Pool:
    """The connections of one endpoint.

    Args:
        settings: caps and times. wheel: deadlines.
        connect: makes a connection.
        width: exchanges that a connection is expected to carry at once; then goes by the last one made.
        shared: a connection may carry one exchange after another; else each belongs to the one that it was made for.
    """

    def __init__(
        self,
        settings: PoolSettings,
        wheel: Wheel,
        connect: Connect,
        width: int = 1,
        *,
        shared: bool = True,
    ) -> None:
        self._settings = settings
        self._wheel = wheel
        self._connect = connect
        self._width = width if shared else 1
        self._shared = shared
        self._idle: dict[UpstreamConnection, None] = {}
        self._roomy: dict[UpstreamConnection, None] = {}
        self._connecting = 0
        self._queue: OrderedDict[_Waiter, None] = OrderedDict()
        self._refilling = self._serving = False
        self._closed = False
        self.open = 0
        """Connections that are connecting, leased or idle. Not those that only finish what they carry (after a GOAWAY)."""

    @property
    def idle_count(self) -> int:
        """Connections that carry nothing."""
        return len(self._idle)

    @property
    def leased(self) -> int:
        """Connections that are connecting or carry an exchange, or several."""
        return self.open - len(self._idle)

    @property
    def roomy(self) -> int:
        """Of those leased: connections that could carry another exchange."""
        return len(self._roomy)

    @property
    def queued(self) -> int:
        """Requests that wait for a connection."""
        return len(self._queue)

    def take(self) -> UpstreamConnection | None:
        """A connection that carries exchanges and has room, or an idle one, each time the latest used, or None."""
        if self._roomy:
            return self._roomy.popitem()[0]
        return self._idle.popitem()[0] if self._idle else None

    def connection(self, connect: Connect | None = None) -> Deferred[UpstreamConnection]:
        """A new connection, or one that comes free (or is made) while waiting in the queue. Cancelling it gives up the place.

        Args:
            connect: makes it, instead of the pool's own.

        Raises (through the Deferred):
            GatewayError: 503 `pool_queue_full`, 503 `pool_queue_timeout`, or what connecting ended in.
        """
        if self.open >= self._settings.max:
            # A new one is wanted although some could be used (a retry distrusts them): it takes the place of the oldest idle one.
            if self._idle:
                next(iter(self._idle)).retire()
            elif self._roomy:
                return succeed(self._roomy.popitem()[0])
        coming = self._coming
        if self.open < self._settings.max and len(self._queue) >= coming:
            return self._open_one(connect)
        # Those for whom there will be room in a moment do not count as waiting for one that is taken.
        if len(self._queue) >= self._settings.queue + coming:
            return fail(_refused("pool_queue_full", f"{len(self._queue)} requests wait already"))
        waiter = _Waiter(self, self._wheel, self._settings.queue_timeout, connect)
        self._queue[waiter] = None
        return waiter.promise

    @property
    def _coming(self) -> int:
        """Exchanges that the connections being made will carry, beside the one that each is made for."""
        return self._connecting * (self._width - 1)

    def _open_one(self, connect: Connect | None) -> Deferred[UpstreamConnection]:
        self.open += 1
        self._connecting += 1
        return (connect or self._connect)().addCallbacks(self._opened, self._not_opened)

    def _opened(self, connection: UpstreamConnection) -> UpstreamConnection:
        self._connecting -= 1
        if connection.lost or connection.room < 1:
            reason = "upstream_closed" if connection.lost else "upstream_refused_stream"
            connection.retire()
            self.closed(connection)
            raise GatewayError(502, reason, side=Side.UPSTREAM, phase=Phase.CONNECT, retry=Retry.ALWAYS)
        connection.owner = self
        self._width = connection.room
        if self._queue:
            # It may be narrower than those who wait for it thought.
            self._refill(self._width - 1)
        return connection

    def _not_opened(self, failure: Failure) -> Failure:
        self._connecting -= 1
        self.open -= 1
        if self._width > 1 and not self.open and not failure.check(CancelledError):
            self._disappoint(failure)
        else:
            self._refill()
        return failure

    def _disappoint(self, failure: Failure) -> None:
        """All who wait relied on the connection that could not be made; there is no other."""
        waiters, self._queue = self._queue, OrderedDict()
        error = failure.value
        for waiter in waiters:
            waiter.deadline.drop()
            if not waiter.gone:
                # Each gets one of its own: layers add fields to what their exchange failed by.
                waiter.promise.errback(copy(error) if isinstance(error, GatewayError) else failure)

    def idle(self, connection: UpstreamConnection) -> None:
        """From the connection: it carries nothing and may carry an exchange."""
        if not self._shared:
            connection.retire()
            return
        if self._roomy:
            self._roomy.pop(connection, None)
        if self._queue and not self._serving:
            self._idle[connection] = None
            self._serve()
            if connection not in self._idle:
                return
            del self._idle[connection]
        if self._closed or len(self._idle) >= self._settings.idle:
            connection.retire()
        else:
            self._idle[connection] = None
            connection.rest(self._settings.idle_timeout)

    def has_room(self, connection: UpstreamConnection) -> None:
        """From the connection: it may carry another exchange beside those that it carries."""
        self._roomy[connection] = None
        if self._queue and not self._serving:
            self._serve()
        if self._closed and not self._queue and connection in self._roomy:
            connection.retire()

    def full(self, connection: UpstreamConnection) -> None:
        """From the connection: it has no room any more."""
        self._roomy.pop(connection, None)

    def _serve(self) -> None:
        """Give those who wait what there is."""
        # A loop, not a recursion: each of them hands the connection back while it is being served.
        self._serving = True
        try:
            while self._queue and (connection := self.take()) is not None:
                waiter = self._queue.popitem(last=False)[0]
                waiter.deadline.drop()
                waiter.promise.callback(connection)
        finally:
            self._serving = False

    def closed(self, connection: UpstreamConnection) -> None:
        """From the connection: it takes no further exchange; its place is free."""
        self.open -= 1
        self._idle.pop(connection, None)
        if self._roomy:
            self._roomy.pop(connection, None)
        self._refill()

    def _refill(self, spare: int = 0) -> None:
        """Open connections for the first in the queue, as far as there are places. spare: so many are served in another way."""
        # A loop, not a recursion: with an endpoint that refuses, each failure frees the place for the next one.
        if self._refilling:
            return
        self._refilling = True
        try:
            while self.open < self._settings.max and len(self._queue) > self._coming + spare:
                self._open_for(self._queue.popitem(last=False)[0])
        finally:
            self._refilling = False

    def _open_for(self, waiter: _Waiter) -> None:
        waiter.deadline.drop()

        def opened(connection: UpstreamConnection) -> None:
            if waiter.gone:
                self.idle(connection)
            else:
                waiter.promise.callback(connection)

        def not_opened(failure: Failure) -> None:
            if not waiter.gone:
                waiter.promise.errback(failure)

        waiter.connecting = self._open_one(waiter.connect).addCallbacks(opened, not_opened)

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
        """Keep no connection from now on that carries nothing; leased ones finish what they carry."""
        self._closed = True
        for connection in [*self._idle, *self._roomy]:
            connection.retire()

    def __repr__(self) -> str:
        roomy = f" ({len(self._roomy)} with room)" if self._width > 1 else ""
        closed = ", closed" if self._closed else ""
        return f"<Pool {self.leased} leased{roomy}, {len(self._idle)} idle, {len(self._queue)} queued{closed}>"


def _refused(reason: str, detail: str) -> GatewayError:
    return GatewayError(503, reason, phase=Phase.CONNECT, detail=detail, headers=[(b"Retry-After", b"1")])
