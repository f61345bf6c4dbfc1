"""The proxy target: what of an exchange is sent on to an upstream, and what of its answer is sent back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from twisted.internet.defer import Deferred

from edgegw.errors import GatewayError, Phase
from edgegw.exchange.model import Exchange, Response
from edgegw.exchange.replay import Replay
from edgegw.middleware.grpc import with_time_left
from edgegw.net.call import Call, Upload, UpstreamConnection
from edgegw.observe.metrics import UpstreamMetrics
from edgegw.targets.attempts import Attempts
from edgegw.targets.course import Means
from edgegw.upstream.cluster import Cluster
from edgegw.upstream.endpoint import Endpoint
from edgegw.upstream.retry import IDEMPOTENT, RetrySettings
from edgegw.upstream.selection import Selection
from edgegw.wire.connection import HOP_BY_HOP, hop_by_hop
from edgegw.wire.grpc import is_grpc
from edgegw.wire.headers import Field

__all__ = ["IDEMPOTENT", "Proxy", "end_to_end", "note_end", "via"]

MAX_HOPS = 5
"""Times that a request may pass a gateway of this name before it is taken for a loop (RFC 9110 7.6.3)."""

_FRAMING = frozenset({b"content-length", b"transfer-encoding", b"expect"})
_NOT_FORWARDED = HOP_BY_HOP | _FRAMING
_CHUNKED: Field = (b"transfer-encoding", b"Transfer-Encoding", b"chunked")
_NOTHING: Field = (b"content-length", b"Content-Length", b"0")
_WITH_CONTENT = frozenset({"POST", "PUT", "PATCH"})
_TE: Field = (b"connection", b"Connection", b"TE")
_NAME = b"edgegw"
_VIA: dict[str, Field] = {
    version: (b"via", b"Via", version.encode("ascii") + b" " + _NAME) for version in ("1.0", "1.1", "2")
}


class Proxy:
    """Sends exchanges to an upstream.

    Args:
        cluster: whom to. head_timeout_s, idle_timeout_s: of a response. clock: seconds, monotonic. metrics: of the upstream.
        retry: what the route says of further attempts; the upstream's own without it. selection: among which of its endpoints.
    """

    def __init__(
        self,
        cluster: Cluster,
        head_timeout_s: float,
        idle_timeout_s: float,
        clock: Callable[[], float],
        metrics: UpstreamMetrics,
        retry: RetrySettings | None = None,
        selection: Selection | None = None,
    ) -> None:
        rules = cluster.retry.rules(retry)
        means = Means(cluster, selection or cluster.selection(), rules, metrics, clock)
        self._cluster = cluster
        self._rules = rules
        self._timeouts_s = (head_timeout_s, idle_timeout_s)
        self._send_timeout_s = cluster.settings.timeouts.send
        named = cluster.settings.timeouts.deadline_header
        self._deadline_header = named.encode("ascii") if named is not None else None
        self._clock = clock
        self._attempts = Attempts(means, self)

    def __call__(self, exchange: Exchange) -> Awaitable[Response]:
        """The response's head, its body still flowing.

        Raises (when awaited):
            GatewayError: 502, 503, 504 of the last attempt, and what `Attempts.run` raises; 508 `loop_detected`.
        """
        body = exchange.request.body
        # What the framing says of it is decided once: while we wait for a connection the rest of a body may come, or its end.
        # It may be sent again whatever the method is: a stream that HTTP/2 refuses was not looked at.
        upload = None if body.empty else Replay(body, self._rules.body)
        return self._attempts.run(exchange, upload)

    # `Way`: what is the proxy's own in an attempt.

    def repeats(self, exchange: Exchange) -> bool:
        """By its method."""
        return exchange.request.method in self._rules.methods

    def take(self, endpoint: Endpoint) -> UpstreamConnection | None:
        """From the pool."""
        return endpoint.pool.take()

    def connect(self, exchange: Exchange, endpoint: Endpoint) -> Deferred[UpstreamConnection]:
        """For the pool, or as soon as one of the pool's comes free."""
        return endpoint.connection(exchange)

    def received(self, exchange: Exchange, call: Call, connection: UpstreamConnection, response: Response) -> Response:
        """The answer without what was meant for this hop.

        Raises:
            GatewayError: its body broke off in the read that its head came with.
        """
        body = response.body
        if body.ended:
            exchange.upstream_end_s = exchange.upstream_head_s
        elif body.error is not None:
            raise body.error
        else:
            clock = self._clock
            call.ended = lambda: note_end(exchange, clock)
        first = response.headers.first()
        if b"connection" in first or b"proxy-authenticate" in first:
            response.headers.remove_all(hop_by_hop(response.headers))
        return response

    def call(self, exchange: Exchange, endpoint: Endpoint, upload: Upload | None) -> Call:
        """The request as sent on: its end-to-end fields, framing and Via our own."""
        request = exchange.request
        fields = end_to_end(exchange, self._cluster, endpoint)
        first = request.headers.first()
        te = b"te" in first and any(field[0] == b"te" for field in fields)
        length: int | None = 0
        if upload is not None:
            length = request.body.length
            fields.append(_CHUNKED if length is None else (b"content-length", b"Content-Length", b"%d" % length))
        elif request.method in _WITH_CONTENT:
            fields.append(_NOTHING)
        if te:
            fields.append(_TE)
        fields.append(via(exchange))
        timeouts_s = self._timeouts_s
        if exchange.deadline_s is not None and b"grpc-timeout" in first:
            fields, left_s = with_time_left(exchange, fields, self._clock())
            # The caller says how long it waits for the head: its deadline, which comes first, and no other.
            timeouts_s = (left_s + 1.0, timeouts_s[1])
        elif b"content-type" in first and is_grpc(first[b"content-type"]):
            # Servers send the head of a stream with its first message, however late that is.
            timeouts_s = (max(timeouts_s), timeouts_s[1])
        if self._deadline_header is not None:
            fields = self._with_deadline(exchange, fields)
        call = Call(request.method, request.target, fields, upload, length, timeouts_s, exchange.informational)
        if upload is not None:
            call.send_timeout_s = self._send_timeout_s
        return call

    def _with_deadline(self, exchange: Exchange, fields: list[Field]) -> list[Field]:
        """The fields with the time that is left for this attempt."""
        name, lower = self._deadline_header or b"", (self._deadline_header or b"").lower()
        limits_s = [] if self._rules.per_try_s is None else [self._rules.per_try_s]
        if exchange.deadline_s is not None:
            limits_s.append(exchange.deadline_s - self._clock())
        if not limits_s:
            return fields
        left_ms = max(int(min(limits_s) * 1000), 0)
        return [*(field for field in fields if field[0] != lower), (lower, name, b"%d" % left_ms)]

    def __repr__(self) -> str:
        return f"<Proxy to {self._cluster.name}>"


def end_to_end(exchange: Exchange, cluster: Cluster, endpoint: Endpoint) -> list[Field]:
    """The request's fields as sent on: hop-by-hop ones and framing left out, Host as route or upstream wants it.

    Raises:
        GatewayError: 508 `loop_detected`.
    """
    request, head = exchange.request, exchange.head
    headers = request.headers
    first = headers.first()
    if b"via" in first and (headers.joined(b"via") or b"").count(_NAME) >= MAX_HOPS:
        raise GatewayError(508, "loop_detected", phase=Phase.ROUTE)
    drop = hop_by_hop(headers)
    without = _NOT_FORWARDED if drop is HOP_BY_HOP else drop | _FRAMING
    fields = [field for field in headers.fields if field[0] not in without]
    # A rewrite of this route says more than the upstream's own rule; None is to keep what came.
    host = request.authority if request.authority is not head.authority else cluster.host
    if host is not None or b"host" not in first:
        fields = [field for field in fields if field[0] != b"host"]
        fields.insert(0, (b"host", b"Host", host or endpoint.authority))
    return fields


def via(exchange: Exchange) -> Field:
    """Our own Via (RFC 9110 7.6.3), behind those that came."""
    return _VIA[exchange.head.version]


def note_end(exchange: Exchange, clock: Callable[[], float]) -> None:
    """The upstream is done with this exchange."""
    exchange.upstream_end_s = clock() - exchange.started_s
