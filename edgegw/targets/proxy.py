"""The proxy target: cluster, balancer, pool, connection; another attempt where that is safe."""

from __future__ import annotations

from collections.abc import Callable

from edgegw.errors import GatewayError, Phase, Retry
from edgegw.exchange.model import Exchange, Response
from edgegw.exchange.replay import Replay
from edgegw.middleware.grpc import with_time_left
from edgegw.net.call import Call, Upload
from edgegw.observe.metrics import UpstreamMetrics
from edgegw.upstream.cluster import Cluster
from edgegw.upstream.endpoint import Endpoint
from edgegw.wire.connection import HOP_BY_HOP, hop_by_hop
from edgegw.wire.grpc import is_grpc
from edgegw.wire.headers import Field

IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE", "QUERY"})
"""Methods whose effect is the same done twice (RFC 9110 9.2.2, RFC 10008)."""

REPLAY_LIMIT = 65536
ATTEMPTS = 3
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
    """

    def __init__(
        self,
        cluster: Cluster,
        head_timeout_s: float,
        idle_timeout_s: float,
        clock: Callable[[], float],
        metrics: UpstreamMetrics,
    ) -> None:
        self._cluster = cluster
        self._selection = cluster.selection()
        self._timeouts_s = (head_timeout_s, idle_timeout_s)
        self._clock = clock
        self._metrics = metrics

    async def __call__(self, exchange: Exchange) -> Response:
        """The response's head, its body still flowing.

        Raises:
            GatewayError: 502, 503, 504 of the last attempt; 508 `loop_detected`; what broke the request's body off.
        """
        cluster = self._cluster
        exchange.upstream = cluster.name
        body = exchange.request.body
        # What the framing says of it is decided once: while we wait for a connection the rest of a body may come, or its end.
        # It may be sent again whatever the method is: a stream that HTTP/2 refuses was not looked at.
        upload = None if body.empty else Replay(body, REPLAY_LIMIT)
        tried: tuple[Endpoint, ...] = ()
        # Those that could not be connected to.
        refused: tuple[Endpoint, ...] = ()
        while True:
            endpoint = self._selection.choose(exchange, self._avoid(tried))
            if endpoint is None:
                raise cluster.no_endpoint()
            exchange.attempts += 1
            exchange.endpoint = endpoint.name
            endpoint.in_flight += 1
            try:
                response = await self._attempt(exchange, endpoint, upload, bool(tried))
            except BaseException as error:
                endpoint.in_flight -= 1
                tried = (*tried, endpoint)
                if upload is not None:
                    # The rest of the body comes on, though the connection that is gone may have been slow to take it.
                    upload.detach()
                    upload.resume()
                if isinstance(error, GatewayError) and error.retry is Retry.ALWAYS:
                    refused = (*refused, endpoint)
                if not isinstance(error, GatewayError) or not self._again(exchange, error, upload, refused):
                    if upload is not None:
                        upload.cancel()
                    raise
                self._metrics.retried(error.reason)
                continue
            if upload is not None:
                upload.settle()
            exchange.on_end(endpoint.left)
            first = response.headers.first()
            if b"connection" in first or b"proxy-authenticate" in first:
                response.headers.remove_all(hop_by_hop(response.headers))
            return response

    async def _attempt(self, exchange: Exchange, endpoint: Endpoint, upload: Upload | None, fresh: bool) -> Response:
        clock, started, metrics = self._clock, exchange.started_s, self._metrics
        began = clock() - started
        try:
            # Before a connection is taken: nothing that can go wrong here may cost one.
            call = self._call(exchange, endpoint, upload)
            connection = None if fresh else endpoint.pool.take()
            if connection is None:
                connection = await endpoint.connection(exchange)
                exchange.connect_s = clock() - started
                metrics.connect.observe(exchange.connect_s - began)
            else:
                exchange.connect_s = began
            response = await connection.send(call)
            exchange.upstream_head_s = clock() - started
            body = response.body
            if body.ended:
                exchange.upstream_end_s = exchange.upstream_head_s
            elif body.error is not None:
                raise body.error
            else:
                call.ended = lambda: note_end(exchange, clock)
            metrics.response.observe(exchange.upstream_head_s - exchange.connect_s)
            metrics.answered(response.status)
            return response
        except GatewayError as error:
            metrics.failed(error.reason)
            raise
        except BaseException:
            metrics.failed("cancelled")
            raise

    def _avoid(self, tried: tuple[Endpoint, ...]) -> tuple[Endpoint, ...]:
        """Whom not to try next: those tried, or else the last one; while it went, the others may have come back."""
        return tried if len(set(tried)) < len(self._cluster.endpoints) else tried[-1:]

    def _again(
        self, exchange: Exchange, error: GatewayError, upload: Replay | None, refused: tuple[Endpoint, ...]
    ) -> bool:
        if error.retry is Retry.NEVER or exchange.attempts >= ATTEMPTS:
            return False
        if upload is not None and not upload.possible:
            return False
        if error.reason == "upstream_refused_stream":
            return True
        if error.retry is Retry.ALWAYS:
            # No connection: an endpoint that gave none so far can do better. A refusal comes at once, so among several one
            # more is asked: while the last one went, the one before may have come back.
            several = len(self._cluster.endpoints) > 1 and error.reason == "connect_refused"
            return several or len(set(refused)) < len(self._cluster.endpoints)
        return exchange.request.method in IDEMPOTENT

    def _call(self, exchange: Exchange, endpoint: Endpoint, upload: Upload | None) -> Call:
        """The request as sent on: its end-to-end fields, framing and Via our own."""
        request = exchange.request
        fields = end_to_end(exchange, self._cluster, endpoint)
        te = b"te" in request.headers.first() and any(field[0] == b"te" for field in fields)
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
        if exchange.deadline_s is not None and b"grpc-timeout" in request.headers:
            fields, left_s = with_time_left(exchange, fields, self._clock())
            # The caller says how long it waits for the head: its deadline, which comes first, and no other.
            timeouts_s = (left_s + 1.0, timeouts_s[1])
        elif is_grpc(request.headers.get(b"content-type")):
            # Servers send the head of a stream with its first message, however late that is.
            timeouts_s = (max(timeouts_s), timeouts_s[1])
        return Call(request.method, request.target, fields, upload, length, timeouts_s, exchange.informational)

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
