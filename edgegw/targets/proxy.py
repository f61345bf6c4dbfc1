"""The proxy target: cluster, balancer, pool, connection; another attempt where that is safe."""

from __future__ import annotations

from collections.abc import Callable

from edgegw.errors import GatewayError, Phase, Retry, Side
from edgegw.exchange.model import Exchange, Response
from edgegw.exchange.replay import Replay
from edgegw.net.upstream import Call, Upload
from edgegw.observe.metrics import UpstreamMetrics
from edgegw.upstream.cluster import Cluster
from edgegw.upstream.endpoint import Endpoint
from edgegw.wire.connection import hop_by_hop
from edgegw.wire.headers import Field

IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE", "QUERY"})
"""Methods whose effect is the same done twice (RFC 9110 9.2.2, RFC 10008)."""

REPLAY_LIMIT = 65536
ATTEMPTS = 3
MAX_HOPS = 5
"""Times that a request may pass a gateway of this name before it is taken for a loop (RFC 9110 7.6.3)."""

_FRAMING = frozenset({b"content-length", b"transfer-encoding", b"expect"})
_CHUNKED: Field = (b"transfer-encoding", b"Transfer-Encoding", b"chunked")
_NOTHING: Field = (b"content-length", b"Content-Length", b"0")
_WITH_CONTENT = frozenset({"POST", "PUT", "PATCH"})
_TE: Field = (b"connection", b"Connection", b"TE")
_VIA: Field = (b"via", b"Via", b"1.1 edgegw")


class Proxy:
    """Sends exchanges to an upstream.

    Args:
        cluster: whom to. head_timeout_s, idle_timeout_s: of a response. clock: seconds, monotonic. metrics: of the upstream.
    """

    def __init__(
        self, cluster: Cluster, head_timeout_s: float, idle_timeout_s: float, clock: Callable[[], float], metrics: UpstreamMetrics
    ) -> None:
        self._cluster = cluster
        self._head_timeout_s = head_timeout_s
        self._idle_timeout_s = idle_timeout_s
        self._clock = clock
        self._metrics = metrics

    async def __call__(self, exchange: Exchange) -> Response:
        """The response's head, its body still flowing."""
        request = exchange.request
        cluster = self._cluster
        exchange.upstream = cluster.name
        body = request.body
        upload: Upload | None = None if body.empty else body
        replay: Replay | None = None
        if upload is not None:
            upload = replay = Replay(body, REPLAY_LIMIT)
        tried: tuple[Endpoint, ...] = ()
        while True:
            endpoint = cluster.choose(exchange, tried)
            exchange.attempts += 1
            exchange.endpoint = endpoint.name
            endpoint.in_flight += 1
            try:
                response = await self._attempt(exchange, endpoint, upload, bool(tried))
            except BaseException as error:
                endpoint.in_flight -= 1
                if replay is not None:
                    replay.detach()
                if not isinstance(error, GatewayError) or not self._again(exchange, error, replay):
                    if replay is not None:
                        replay.cancel()
                    raise
                tried = (*tried, endpoint)
                self._metrics.retried(error.reason)
                continue
            exchange.on_end(endpoint.left)
            connection = response.headers.get(b"connection")
            if connection is not None:
                response.headers.remove_all(hop_by_hop(response.headers))
            return response

    async def _attempt(self, exchange: Exchange, endpoint: Endpoint, upload: Upload | None, fresh: bool) -> Response:
        clock, started = self._clock, exchange.started_s
        began = clock() - started
        metrics = self._metrics
        try:
            connection = None if fresh else endpoint.pool.take()
            if connection is None:
                connection = await endpoint.pool.connection()
                exchange.connect_s = clock() - started
                metrics.connect.observe(exchange.connect_s - began)
            else:
                exchange.connect_s = began
            call = Call(
                exchange.request.method,
                exchange.request.target,
                self._fields(exchange, endpoint),
                upload,
                upload is not None and exchange.request.body.length is None,
                self._head_timeout_s,
                self._idle_timeout_s,
                exchange.informational,
            )
            response = await connection.send(call)
            exchange.upstream_head_s = clock() - started
            if response.body.error is not None:
                raise response.body.error
            metrics.response.observe(exchange.upstream_head_s - exchange.connect_s)
            metrics.answered(response.status)
            return response
        except GatewayError as error:
            metrics.failed(error.reason)
            raise
        except BaseException:
            metrics.failed("cancelled")
            raise

    def _again(self, exchange: Exchange, error: GatewayError, replay: Replay | None) -> bool:
        if error.retry is Retry.NEVER or exchange.attempts >= ATTEMPTS or error.side is not Side.UPSTREAM:
            return False
        if replay is not None and not replay.possible:
            return False
        if error.retry is Retry.ALWAYS:
            # A refused connection: only another endpoint can do better.
            return exchange.attempts < len(self._cluster.endpoints)
        return exchange.request.method in IDEMPOTENT

    def _fields(self, exchange: Exchange, endpoint: Endpoint) -> list[Field]:
        """The request's header as sent on: hop-by-hop fields left out, framing and Via our own."""
        request = exchange.request
        headers = request.headers
        drop = hop_by_hop(headers)
        via = headers.get(b"via")
        if via is not None and b"edgegw" in via and (headers.joined(b"via") or b"").count(b"edgegw") >= MAX_HOPS:
            raise GatewayError(508, "loop_detected", phase=Phase.ROUTE)
        fields = [field for field in headers.fields if field[0] not in drop and field[0] not in _FRAMING]
        host = self._cluster.host
        if host is None and request.authority is not exchange.head.authority:
            host = request.authority
        if host is not None or not request.authority:
            value = host or endpoint.authority
            fields = [(b"host", b"Host", value), *(field for field in fields if field[0] != b"host")]
        if request.body.empty:
            if request.method in _WITH_CONTENT:
                fields.append(_NOTHING)
        elif request.body.length is None:
            fields.append(_CHUNKED)
        else:
            fields.append((b"content-length", b"Content-Length", b"%d" % request.body.length))
        if b"te" not in drop:
            fields.append(_TE)
        fields.append(_VIA)
        return fields

    def __repr__(self) -> str:
        return f"<Proxy to {self._cluster.name}>"
