"""The attempts of an exchange at an upstream: one loop for every target that has one.

    bulkhead -> breaker -> selection -> pool -> connection, then (course) breaker -> another endpoint -> ...

Whatever becomes of an attempt is accounted for once: to the breaker that admitted it, to the endpoint and who observes it, to the
metrics. What the downstream peer did, or a deadline of the exchange, says nothing about the upstream.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NoReturn, Protocol

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime

from edgegw.errors import GatewayError, Phase, Retry, Side
from edgegw.exchange.body import Body
from edgegw.exchange.model import Exchange, Outcome, Response
from edgegw.exchange.replay import Replay
from edgegw.net.call import Call, Upload, UpstreamConnection
from edgegw.targets.course import Course, Means, Missed, Result
from edgegw.targets.hedging import Hedging, Raced
from edgegw.targets.patience import Patience
from edgegw.upstream.breaker import verdict_of
from edgegw.upstream.bulkhead import Bulkhead
from edgegw.upstream.conditions import kind_of_error
from edgegw.upstream.endpoint import Endpoint
from edgegw.wire.events import ResponseHead
from edgegw.wire.headers import Field

STALE_S = 1.0
"""A connection that was idle, and is lost so soon after a request with no byte of an answer, had been closed by the upstream before
the request came there: nothing is wrong with the upstream."""
DISCARDED = 65536
"""Bytes of an answer that is not passed on which are read, so that its connection can be used again."""


class Way(Protocol):
    """What is a target's own in an attempt."""

    def repeats(self, exchange: Exchange) -> bool:
        """Whether doing twice what is asked does no harm."""

    def call(self, exchange: Exchange, endpoint: Endpoint, upload: Upload | None) -> Call:
        """What is sent. Called before a connection is taken, so that what goes wrong here costs none."""

    def take(self, endpoint: Endpoint) -> UpstreamConnection | None:
        """A connection that is at hand."""

    def connect(self, exchange: Exchange, endpoint: Endpoint) -> Deferred[UpstreamConnection]:
        """A new one."""

    def received(self, exchange: Exchange, call: Call, connection: UpstreamConnection, response: Response) -> Response:
        """What becomes of the answer's head.

        Raises:
            GatewayError: it is none.
        """


class Attempts:
    """Makes them, for one target.

    Args:
        means: upstream, selection, rules, metrics. way: the target.
    """

    def __init__(self, means: Means, way: Way) -> None:
        self.means = means
        self._way = way
        self._cluster = means.cluster
        self._selection = means.selection
        self._clock = means.clock
        self._metrics = means.metrics
        self._rules = means.rules
        self._conditions = means.rules.conditions
        self._judges = means.rules.conditions.judges
        self._per_try_s = means.rules.per_try_s

    async def run(self, exchange: Exchange, upload: Replay | None) -> Response:
        """The answer of the last attempt, its body still flowing.

        Raises:
            GatewayError: of the last attempt; 503 `bulkhead_full`, `bulkhead_timeout`, `breaker_refuses`, `no_endpoint`; what the
            target's way raises; what broke the request's body off.
        """
        cluster = self._cluster
        exchange.upstream = cluster.name
        if cluster.bulkhead is not None:
            await _enter(cluster.bulkhead, exchange)
        cluster.retry.budget.begun()
        if self._rules.hedge is not None and self._way.repeats(exchange):
            race = Hedging(self, exchange, upload)
            raced = await race.run()
            if not self.good(exchange, raced.result):
                return await self._again(exchange, raced, upload, race.tried)
            return self._last(exchange, raced, upload)
        breaker = cluster.breaker
        token = breaker.admit() if breaker is not None else 0
        try:
            endpoint = self._selection.choose(exchange, ())
        except BaseException:
            # A balancer may be the code of others.
            self.settle(token, None)
            raise
        if endpoint is None:
            self.no_endpoint(token)
        result = await self.attempt(exchange, endpoint, token, upload)
        if result.__class__ is Missed or (self._judges and not self.good(exchange, result)):
            return await self._again(exchange, Raced(endpoint, token, result), upload, ())
        if upload is not None:
            upload.settle()
        exchange.on_end(partial(self._left, endpoint, token))
        if self._selection.sticky is not None:
            self._selection.remember(exchange, endpoint, result)  # type: ignore[arg-type]
        return result  # type: ignore[return-value]

    def admit(self) -> int:
        """A token of the breaker for one attempt, which settles it.

        Raises:
            GatewayError: 503 `breaker_refuses`.
        """
        breaker = self._cluster.breaker
        return breaker.admit() if breaker is not None else 0

    def no_endpoint(self, token: int) -> NoReturn:
        """The attempt is not made.

        Raises:
            GatewayError: 503 `no_endpoint`.
        """
        self.settle(token, None)
        raise self._cluster.no_endpoint()

    def settle(self, token: int, ok: bool | None) -> None:
        """The end of what `admit` began."""
        breaker = self._cluster.breaker
        if breaker is not None:
            breaker.settle(token, ok)

    def good(self, exchange: Exchange, result: Result) -> bool:
        """Whether this is an answer to pass on, should there be a choice."""
        if isinstance(result, Missed):
            return False
        return not self._judges or not self._conditions.of_answer(result, self._way.repeats(exchange))

    async def attempt(
        self,
        exchange: Exchange,
        endpoint: Endpoint,
        token: int,
        upload: Upload | None,
        fresh: bool = False,
        voice: Callable[[ResponseHead], None] | None = None,
    ) -> Result:
        """One attempt, `fresh` if not on a connection that has been there. It settles the token of `admit` in any case; if it is
        answered, the endpoint has it in flight until the exchange ends, or `drop`. voice: gets 1xx heads, not the exchange.
        """
        clock, started_s, way = self._clock, exchange.started_s, self._way
        began_s = connect_s = clock() - started_s
        exchange.attempts += 1
        exchange.endpoint = endpoint.name
        endpoint.occupy()
        patience = None if self._per_try_s is None else Patience(self._cluster.environment.wheel, self._per_try_s)
        taken = idle = False
        try:
            # Before a connection is taken: nothing that can go wrong here may cost one.
            call = way.call(exchange, endpoint, upload if patience is None else patience.shield(upload))
            if voice is not None:
                call.informational = voice
            connection = None if fresh else way.take(endpoint)
            if connection is None:
                connecting = way.connect(exchange, endpoint)
                connection = await (connecting if patience is None else patience.connecting(connecting))
                connect_s = clock() - started_s
                self._metrics.connect.observe(connect_s - began_s)
            else:
                taken, idle = True, not connection.busy
            exchange.connect_s = connect_s
            answer = connection.send(call)
            response = await (answer if patience is None else patience.sent(answer))
            # Those of the attempt that was answered, should there be others beside it.
            exchange.connect_s = connect_s
            head_s = exchange.upstream_head_s = clock() - started_s
            response = way.received(exchange, call, connection, response)
        except BaseException as error:
            endpoint.in_flight -= 1
            wrong = self._reason(token, error if patience is None else patience.meant(error), upload)
            stale = idle and clock() - started_s - connect_s < STALE_S
            return self._missed(endpoint, token, wrong, taken, stale)
        if patience is not None:
            patience.end()
        metrics, status, took_s = self._metrics, response.status, head_s - connect_s
        metrics.response.observe(took_s)
        metrics.answered(status)
        endpoint.answered(status, took_s)
        breaker = self._cluster.breaker
        if breaker is not None:
            breaker.settle(token, breaker.judge(status))
        return response

    def _reason(self, token: int, error: BaseException, upload: Upload | None) -> GatewayError:
        """Why the attempt ended without an answer.

        Raises:
            BaseException: it was cancelled, or has a defect; that is accounted for.
        """
        if isinstance(error, GatewayError):
            return error
        self._metrics.failed("cancelled" if isinstance(error, CancelledError) else "internal_error")
        self.settle(token, None)
        if upload is not None:
            upload.cancel()
        raise error

    def _missed(self, endpoint: Endpoint, token: int, error: GatewayError, taken: bool, stale: bool) -> Missed:
        free = False
        if error.reason == "upstream_refused_stream":
            # Not this stream alone: a connection that was used, and is going.
            free = taken and error.phase is not Phase.RESPONSE_HEAD
        elif stale:
            free = error.retry is Retry.IF_IDEMPOTENT and kind_of_error(error) == "reset"
        self._metrics.failed(error.reason)
        self.settle(token, None if free else verdict_of(error))
        if error.side is Side.UPSTREAM and not free:
            endpoint.failed(error)
        return Missed(error, free)

    async def _again(
        self, exchange: Exchange, raced: Raced, upload: Replay | None, tried: tuple[Endpoint, ...]
    ) -> Response:
        """The attempts after one that was not good enough."""
        endpoint, token, result = raced
        course = Course(self.means, exchange, upload, self._way.repeats(exchange), tried)
        while not self.good(exchange, result):
            if upload is not None and isinstance(result, Missed):
                # The rest of it waits for the next connection, so that no more than its limit is kept.
                upload.detach()
            try:
                found = course.following(endpoint, result)
                following = found and await self._when_due(exchange, raced, found)
            except BaseException:
                # It was cancelled, or nobody could be chosen for a defect.
                course.give_back()
                self.drop(endpoint, result)
                if upload is not None:
                    upload.cancel()
                raise
            if not following:
                break
            try:
                token = self.admit()
            except GatewayError:
                # What came before says more.
                course.give_back()
                break
            self._metrics.retried(course.reason(result))
            self.drop(endpoint, result)
            endpoint = following
            result = await self.attempt(exchange, endpoint, token, upload, isinstance(result, Missed))
            raced = Raced(endpoint, token, result)
        return self._last(exchange, raced, upload)

    async def _when_due(self, exchange: Exchange, raced: Raced, found: tuple[Endpoint, float]) -> Endpoint:
        """The endpoint found, after the wait; or another one, should it have gone meanwhile."""
        endpoint, wait_s = found
        if wait_s <= 0:
            return endpoint
        await pause(self._cluster.environment.reactor, wait_s)
        return endpoint if endpoint.standing.free else self.means.choose(exchange, (raced.endpoint,)) or endpoint

    def _last(self, exchange: Exchange, raced: Raced, upload: Replay | None) -> Response:
        """No other attempt is made: this one's answer goes downstream.

        Raises:
            GatewayError: it has none.
        """
        endpoint, token, result = raced
        if isinstance(result, Missed):
            if upload is not None:
                upload.cancel()
            raise result.error
        if upload is not None:
            upload.settle()
        exchange.on_end(partial(self._left, endpoint, token))
        if self._selection.sticky is not None:
            self._selection.remember(exchange, endpoint, result)
        return result

    def drop(self, endpoint: Endpoint, result: Result) -> None:
        """The result of an attempt is not passed on; its connection may be used again."""
        if isinstance(result, Missed):
            return
        endpoint.in_flight -= 1
        body = result.body
        if not body.empty:
            body.attach(_Discarded(body))

    def _left(self, endpoint: Endpoint, token: int, exchange: Exchange, outcome: Outcome) -> None:
        """The exchange is over, whose answer was this endpoint's."""
        error, breaker = outcome.error, self._cluster.breaker
        if error is not None and (exchange.upstream, exchange.endpoint) != (self._cluster.name, endpoint.name):
            # A fallback answered in its place: whatever broke off was not its doing.
            endpoint.in_flight -= 1
            return
        endpoint.left(exchange, outcome)
        if error is not None and error.side is Side.UPSTREAM and breaker is not None:
            breaker.broke(token)

    def __repr__(self) -> str:
        return f"<Attempts at {self._cluster.name}, {self._rules!r}>"


class _Discarded:
    """A sink for the rest of an answer that nobody wants."""

    __slots__ = ("_body", "_left")

    def __init__(self, body: Body) -> None:
        self._body = body
        self._left = DISCARDED

    def write(self, data: bytes) -> None:
        """Not too much of it."""
        self._left -= len(data)
        if self._left < 0:
            self._body.cancel()

    def end(self, trailers: tuple[Field, ...]) -> None:
        """The connection is with its pool again."""

    def abort(self, error: GatewayError) -> None:
        """The connection is gone."""


async def _enter(bulkhead: Bulkhead, exchange: Exchange) -> None:
    """Wait for a place, and leave it when the exchange is over."""
    await bulkhead.enter()

    def leave(_: Exchange, __: Outcome) -> None:
        bulkhead.leave()

    exchange.on_end(leave)


def pause(reactor: IReactorTime, seconds: float) -> Deferred[None]:
    """Fires after so many seconds, to the millisecond. Cancelling it stops the clock."""
    waiting: Deferred[None] = Deferred(lambda _: call.cancel())
    call = reactor.callLater(seconds, waiting.callback, None)
    return waiting
