"""The attempts of an exchange at an upstream: one loop for every target that has one.

bulkhead -> breaker -> selection -> pool -> connection, then (course) breaker -> another endpoint -> ...
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from edgegw.errors import GatewayError
from edgegw.exchange.model import Exchange, Outcome, Response
from edgegw.exchange.replay import Replay
from edgegw.net.call import Call, Upload, UpstreamConnection
from edgegw.targets.account import Missed, Result, as_it_came
from edgegw.targets.course import Course, Means
from edgegw.targets.hedging import Hedging, Raced
from edgegw.targets.patience import Patience
from edgegw.upstream.bulkhead import Bulkhead
from edgegw.upstream.endpoint import Endpoint
from edgegw.wire.events import ResponseHead

STALE_S = 1.0
"""A connection that was idle, and is lost so soon after a request with no byte of an answer, had been closed by the upstream before
the request came there: nothing is wrong with the upstream."""

Voice = Callable[[ResponseHead], None] | None
"""Who gets the 1xx heads of an attempt in place of its exchange."""


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
        means: upstream, selection, rules, accounts. way: the target.
    """

    def __init__(self, means: Means, way: Way) -> None:
        self.means = means
        self._way = way
        self._account = means.account
        self._cluster = means.cluster
        self._selection = means.selection
        self._clock = means.clock
        self._rules = means.rules
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
        breaker = cluster.breaker
        token = breaker.admit() if breaker is not None else 0
        try:
            endpoint = self._selection.choose(exchange, ())
            if endpoint is None:
                raise cluster.no_endpoint()
        except BaseException:
            # A balancer may be the code of others.
            self._account.settle(token, None)
            raise
        if self._rules.hedge is not None and self._way.repeats(exchange):
            race = Hedging(self, exchange, upload)
            return await self._again(exchange, await race.run(endpoint, token), upload, race.tried)
        result = await self.attempt(exchange, endpoint, token, upload)
        if result.__class__ is Missed or (self._judges and not self.good(exchange, result)):
            return await self._again(exchange, Raced.of(endpoint, token, result), upload, ())
        return self._pass_on(exchange, endpoint, token, result, result.body.ended, upload)  # type: ignore[union-attr, arg-type]

    def good(self, exchange: Exchange, result: Result) -> bool:
        """Whether this is an answer to pass on, should there be a choice."""
        if isinstance(result, Missed):
            return False
        return not self._judges or not self._rules.conditions.of_answer(result, self._way.repeats(exchange))

    async def attempt(
        self, exchange: Exchange, endpoint: Endpoint, token: int, upload: Upload | None, fresh: bool = False, voice: Voice = None
    ) -> Result:  # fmt: skip
        """One attempt, `fresh` if not on a connection that has been there. It settles the token that admitted it in any case; if it
        is answered, the endpoint has it in flight until the exchange ends, or `drop`.
        """
        way, clock, started_s = self._way, self._clock, exchange.started_s
        connect_s = clock() - started_s
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
                connection = await self._connect(exchange, endpoint, patience)
                connect_s = clock() - started_s
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
            stale = idle and clock() - started_s - connect_s < STALE_S
            meant = error if patience is None else patience.meant(error)
            return self._missed(endpoint, token, upload, meant, taken, stale)
        if patience is not None:
            patience.end()
        self._account.answered(exchange, endpoint, token, response, head_s - connect_s)
        return response

    async def _connect(self, exchange: Exchange, endpoint: Endpoint, patience: Patience | None) -> UpstreamConnection:
        """A connection, which takes its time.

        Raises:
            BaseException: what connecting ended in.
        """
        began_s = self._clock()
        connecting = self._way.connect(exchange, endpoint)
        connection = await (connecting if patience is None else patience.connecting(connecting))
        self.means.metrics.connect.observe(self._clock() - began_s)
        return connection

    def _missed(
        self, endpoint: Endpoint, token: int, upload: Upload | None, error: BaseException, taken: bool, stale: bool
    ) -> Missed:
        """The attempt ended in this error.

        Raises:
            BaseException: it was cancelled, or has a defect; that is accounted for.
        """
        endpoint.vacate()
        if isinstance(error, GatewayError):
            return self._account.missed(endpoint, token, error, taken, stale)
        self._account.broken(token, error)
        if upload is not None:
            upload.cancel()
        raise error

    async def _again(
        self, exchange: Exchange, raced: Raced, upload: Replay | None, tried: tuple[Endpoint, ...]
    ) -> Response:
        """The attempts after one that was not good enough."""
        account, course = self._account, Course(self.means, exchange, upload, self._way.repeats(exchange), tried)
        while not self.good(exchange, raced.result):
            if upload is not None and isinstance(raced.result, Missed):
                # The rest of it waits for the next connection, so that no more than its limit is kept.
                upload.detach()
            try:
                found = course.following(raced.endpoint, raced.result)
                following = found and await self._when_due(exchange, raced, found)
            except BaseException:
                # It was cancelled, or nobody could be chosen for a defect.
                course.give_back()
                account.drop(raced.endpoint, raced.result)
                if upload is not None:
                    upload.cancel()
                raise
            if not following:
                break
            try:
                token = account.admit()
            except GatewayError:
                # What came before says more.
                course.give_back()
                break
            self.means.metrics.retried(course.reason(raced.result))
            account.drop(raced.endpoint, raced.result)
            fresh = isinstance(raced.result, Missed)
            raced = Raced.of(following, token, await self.attempt(exchange, following, token, upload, fresh))
        return self._last(exchange, raced, upload)

    async def _when_due(self, exchange: Exchange, raced: Raced, found: tuple[Endpoint, float]) -> Endpoint:
        """The endpoint found, after the wait; or another one, should it have gone meanwhile."""
        endpoint, wait_s = found
        if wait_s <= 0:
            return endpoint
        await pause(self._cluster.environment.reactor, wait_s)
        return endpoint if endpoint.standing.free else self.means.choose(exchange, (raced.endpoint,)) or endpoint

    def _last(self, exchange: Exchange, raced: Raced, upload: Replay | None) -> Response:
        """No other attempt is made.

        Raises:
            GatewayError: this one has no answer.
        """
        endpoint, token, result, whole = raced
        if isinstance(result, Missed):
            if upload is not None:
                upload.cancel()
            raise result.error
        return self._pass_on(exchange, endpoint, token, result, whole, upload)

    def _pass_on(
        self, exchange: Exchange, endpoint: Endpoint, token: int, answer: Response, whole: bool, upload: Replay | None
    ) -> Response:
        """This answer goes downstream."""
        if upload is not None:
            upload.settle()
        came = answer if whole else as_it_came(exchange, answer)
        exchange.on_end(partial(self._account.left, endpoint, token, came, whole))
        if self._selection.sticky is not None:
            self._selection.remember(exchange, endpoint, answer)
        return answer

    def __repr__(self) -> str:
        return f"<Attempts at {self._cluster.name}, {self._rules!r}>"


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
