"""What became of an attempt, told once: to the breaker that admitted it, to the endpoint and who observes it, to the metrics.

What the downstream peer did, or a deadline of the exchange, says nothing about the upstream. An answer is judged by its head and,
if there is more of it to come, again at its end: its body may break off, and a gRPC call says in its trailers how it went.
"""

from __future__ import annotations

from twisted.internet.defer import CancelledError

from edgegw.errors import GatewayError, Phase, Retry, Side
from edgegw.exchange.body import Body
from edgegw.exchange.model import Exchange, Outcome, Response
from edgegw.observe.metrics import UpstreamMetrics
from edgegw.upstream.breaker import verdict_of
from edgegw.upstream.cluster import Cluster
from edgegw.upstream.conditions import kind_of_error
from edgegw.upstream.endpoint import Endpoint
from edgegw.upstream.verdict import status_of
from edgegw.wire.headers import Field

DISCARDED = 65536
"""Bytes of an answer that is not passed on which are read, so that its connection can be used again."""


class Missed:
    """An attempt that got no answer.

    free: it is no fault of the upstream and cost it nothing (a connection that was idle too long, one that was going): it does not
    count against breaker, endpoint and budget.
    """

    __slots__ = ("error", "free")

    def __init__(self, error: GatewayError, free: bool) -> None:
        self.error = error
        self.free = free


Result = Response | Missed
"""What an attempt ended in."""


class Account:
    """Of the attempts of one target's exchanges."""

    __slots__ = ("_cluster", "_metrics")

    def __init__(self, cluster: Cluster, metrics: UpstreamMetrics) -> None:
        self._cluster = cluster
        self._metrics = metrics

    def admit(self) -> int:
        """A token of the breaker for one attempt, which settles it.

        Raises:
            GatewayError: 503 `breaker_refuses`.
        """
        breaker = self._cluster.breaker
        return breaker.admit() if breaker is not None else 0

    def settle(self, token: int, ok: bool | None) -> None:
        """The end of what `admit` began."""
        breaker = self._cluster.breaker
        if breaker is not None:
            breaker.settle(token, ok)

    def answered(self, exchange: Exchange, endpoint: Endpoint, token: int, answer: Response, took_s: float) -> None:
        """The attempt got this answer. From now on the endpoint has it in flight, until `left` or `drop`."""
        metrics, body, status = self._metrics, answer.body, answer.status
        metrics.response.observe(took_s)
        metrics.answered(status)
        if exchange.request.method == "POST":
            # As all gRPC calls are. Nothing else need be looked at.
            status = status_of(answer, body.trailers)
        endpoint.answered(status, took_s, body.ended)
        breaker = self._cluster.breaker
        if breaker is not None:
            breaker.settle(token, status not in breaker.bad, body.ended)

    def missed(self, endpoint: Endpoint, token: int, error: GatewayError, taken: bool, stale: bool) -> Missed:
        """The attempt ended in this error.

        Args:
            taken: on a connection that had been there. stale: which the upstream had closed before.
        """
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

    def broken(self, token: int, error: BaseException) -> None:
        """The attempt was cancelled, or has a defect."""
        self._metrics.failed("cancelled" if isinstance(error, CancelledError) else "internal_error")
        self.settle(token, None)

    def drop(self, endpoint: Endpoint, result: Result) -> None:
        """The result of an attempt is not passed on; its connection may be used again."""
        if isinstance(result, Missed):
            return
        endpoint.vacate()
        body = result.body
        if not body.empty:
            body.attach(_Discarded(body))

    def left(
        self, endpoint: Endpoint, token: int, answer: Response, whole: bool, exchange: Exchange, outcome: Outcome
    ) -> None:
        """The exchange is over, whose answer was this endpoint's.

        Args:
            answer: `as_it_came`. whole: there was no more of it to come when it was `answered`.
        """
        endpoint.vacate()
        error = outcome.error
        if error is not None:
            self._went_wrong(endpoint, token, answer, exchange, error)
        elif not whole and answer.body.ended:
            self._ended(endpoint, token, answer, exchange)

    def _ended(self, endpoint: Endpoint, token: int, answer: Response, exchange: Exchange) -> None:
        """The rest of an answer came."""
        began = status = answer.status
        if exchange.request.method == "POST":
            began, status = status_of(answer, ()), status_of(answer, answer.body.trailers)
        lasted_s, breaker = self._lasted_s(exchange), self._cluster.breaker
        endpoint.ended(began, status, lasted_s)
        if breaker is not None and began not in breaker.bad:
            breaker.ended(token, status not in breaker.bad, lasted_s)

    def _went_wrong(
        self, endpoint: Endpoint, token: int, answer: Response, exchange: Exchange, error: GatewayError
    ) -> None:
        """Something went wrong behind the head of an answer; whose fault it is stands in the error."""
        if (exchange.upstream, exchange.endpoint) != (self._cluster.name, endpoint.name):
            # A fallback answered in its place: whatever broke off was not its doing.
            return
        if error.side is not Side.UPSTREAM or (error.phase is Phase.RESPONSE_HEAD and answer.status != 200):
            # What its status says was counted by its head already, whatever else is wrong with that.
            return
        began = status_of(answer, ()) if exchange.request.method == "POST" else answer.status
        lasted_s, breaker = self._lasted_s(exchange), self._cluster.breaker
        endpoint.failed(error, lasted_s, began)
        if breaker is not None and began not in breaker.bad:
            breaker.ended(token, False, lasted_s)

    def _lasted_s(self, exchange: Exchange) -> float:
        """Since the head of its answer came."""
        return self._cluster.environment.wheel.now_s - exchange.started_s - exchange.upstream_head_s

    def __repr__(self) -> str:
        return f"<Account of {self._cluster.name}>"


def as_it_came(exchange: Exchange, answer: Response) -> Response:
    """The answer, for `Account.left`: whatever layers above make of it (gRPC-Web puts trailers into the body, and names another
    content type), judged is what the upstream said. Only of calls are the fields looked at again.
    """
    headers = answer.headers.copy() if exchange.request.method == "POST" else answer.headers
    return Response(answer.status, headers, answer.body)


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
