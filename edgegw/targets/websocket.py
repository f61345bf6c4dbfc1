"""The WebSocket target: the handshake on both sides, then a relay or a tunnel between them.

An upstream connection is taken over for good, so it is always a new one. Nothing that came behind the downstream head is sent
before the upstream's 101; what is sent then are frames, read by a relay or, in a tunnel, by nobody.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from typing import Any

from edgegw.errors import GatewayError, Phase, Retry, Side
from edgegw.exchange.body import EMPTY
from edgegw.exchange.interfaces import Responder
from edgegw.exchange.model import Exchange, Outcome, Response
from edgegw.net.call import Call
from edgegw.net.upstream import Http1Upstream
from edgegw.net.websocket.deflate import accept_deflate, agree_deflate, offer_deflate
from edgegw.net.websocket.ending import Cause
from edgegw.net.websocket.relay import Relay
from edgegw.net.websocket.settings import WebSocketSettings
from edgegw.net.websocket.tunnel import Tunnel
from edgegw.observe.metrics import UpstreamMetrics
from edgegw.runtime.wheel import Wheel
from edgegw.targets.proxy import ATTEMPTS, end_to_end, note_end, via
from edgegw.upstream.cluster import Cluster
from edgegw.upstream.endpoint import Endpoint
from edgegw.wire.connection import hop_by_hop
from edgegw.wire.headers import Headers
from edgegw.wire.websocket import (
    HANDSHAKE_FIELDS,
    WEBSOCKET,
    Opening,
    agreement_fields,
    fresh_key,
    opening_fields,
    read_agreement,
    read_opening,
)

_UNLIMITED = float("inf")

_FLAGS = {
    Cause.FAILED: "websocket_failed",
    Cause.LOST: "websocket_lost",
    Cause.SILENT: "websocket_silent",
    Cause.RATE: "websocket_too_fast",
    Cause.IDLE: "websocket_idle",
    Cause.DRAINED: "websocket_drained",
}
"""What the access record says of one that did not end by a Close."""


class Upgrading:
    """Chooses: a WebSocket handshake goes its own way, every other request to the proxy, whatever else it would switch to."""

    __slots__ = ("_proxy", "_websocket")

    def __init__(self, proxy: Responder, websocket: Responder) -> None:
        self._proxy = proxy
        self._websocket = websocket

    def __call__(self, exchange: Exchange) -> Awaitable[Response]:
        """Hand the exchange on."""
        upgrade = exchange.head.upgrade
        if upgrade and WEBSOCKET in upgrade:
            return self._websocket(exchange)
        return self._proxy(exchange)

    def __repr__(self) -> str:
        return f"<Upgrading {self._proxy!r} or {self._websocket!r}>"


async def websocket_off(exchange: Exchange) -> Response:
    """The target of handshakes on a route with `mode: off`.

    Raises:
        GatewayError: 501 `websocket_off`, always.
    """
    detail = "the route says websocket: {mode: off}"
    raise GatewayError(501, "websocket_off", phase=Phase.POLICY, detail=detail, close=_ends_with(exchange))


def _ends_with(exchange: Exchange) -> bool:
    """Whether the downstream connection ends with a refusal; over HTTP/2 it is a stream that does.

    Bytes behind the head may be frames as well as requests (trust.md A5): nobody should have to guess.
    """
    return exchange.head.version != "2"


class WebSocketTarget:
    """Opens a WebSocket to an upstream and ties it to the downstream one.

    Args:
        cluster: whom to. settings: of the route. timeouts_s: for the upstream's answer, and between the bytes of one that refuses.
        wheel: for the deadlines of what is opened. metrics: of the upstream. entropy: as `os.urandom`.
    """

    def __init__(
        self,
        cluster: Cluster,
        settings: WebSocketSettings,
        timeouts_s: tuple[float, float],
        wheel: Wheel,
        metrics: UpstreamMetrics,
        entropy: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self._cluster = cluster
        self._selection = cluster.selection()
        self._settings = settings
        self._timeouts_s = timeouts_s
        self._wheel = wheel
        self._clock = wheel.seconds
        self._metrics = metrics
        self._entropy = entropy

    async def __call__(self, exchange: Exchange) -> Response:
        """A 101 with a takeover, over HTTP/2 as well, whose codec makes a 200 of it; or what the upstream said instead.

        Raises:
            GatewayError: 400, 426 for a bad handshake; 502, 503, 504 of the last attempt, `websocket_bad_accept` among them; 508.
        """
        opening = read_opening(exchange.head)
        cluster, body = self._cluster, exchange.request.body
        exchange.upstream = cluster.name
        if body is not EMPTY:
            # Over HTTP/2 the frames come as the body of a request; they have limits of their own.
            body.limit = _UNLIMITED
        tried: tuple[Endpoint, ...] = ()
        while True:
            endpoint = self._selection.choose(exchange, tried)
            if endpoint is None:
                raise cluster.no_endpoint()
            exchange.attempts += 1
            exchange.endpoint = endpoint.name
            endpoint.in_flight += 1
            try:
                response = await self._attempt(exchange, endpoint, opening)
            except BaseException as error:
                endpoint.in_flight -= 1
                tried = (*tried, endpoint)
                if not isinstance(error, GatewayError):
                    raise
                if not self._again(exchange, error, tried):
                    error.close = _ends_with(exchange)
                    raise
                self._metrics.retried(error.reason)
                continue
            exchange.on_end(endpoint.left)
            return response

    def _again(self, exchange: Exchange, error: GatewayError, tried: tuple[Endpoint, ...]) -> bool:
        """Only where nothing was sent: a handshake may already mean something to the upstream."""
        if error.retry is not Retry.ALWAYS or exchange.attempts >= ATTEMPTS:
            return False
        return len(set(tried)) < len(self._cluster.endpoints)

    async def _attempt(self, exchange: Exchange, endpoint: Endpoint, opening: Opening) -> Response:
        clock, started, metrics = self._clock, exchange.started_s, self._metrics
        began = clock() - started
        try:
            asked = self._asked(opening)
            call = self._call(exchange, endpoint, asked)
            connection = await self._connection(exchange, endpoint)
            exchange.connect_s = clock() - started
            metrics.connect.observe(exchange.connect_s - began)
            answer = await connection.send(call)
            exchange.upstream_head_s = clock() - started
            if answer.status == 101:
                response = self._switch(exchange, connection, answer.headers, opening, asked)
            else:
                response = self._pass_on(exchange, call, connection, answer)
            metrics.response.observe(exchange.upstream_head_s - exchange.connect_s)
            metrics.answered(answer.status)
            return response
        except GatewayError as error:
            metrics.failed(error.reason)
            raise
        except BaseException:
            metrics.failed("cancelled")
            raise

    async def _connection(self, exchange: Exchange, endpoint: Endpoint) -> Http1Upstream:
        """A new one, of no pool: it will not come back, and as many are open as there are WebSockets."""
        if endpoint.url.http2 or self._cluster.settings.protocol == "http2":
            detail = f"{endpoint.name} is spoken to in HTTP/2 only; a WebSocket upstream needs HTTP/1.1"
            raise GatewayError(502, "websocket_no_http1", phase=Phase.CONNECT, detail=detail)
        connection = await endpoint.connect_http1(exchange)
        assert isinstance(connection, Http1Upstream)
        if connection.lost:
            raise GatewayError(
                502,
                "upstream_closed",
                side=Side.UPSTREAM,
                phase=Phase.CONNECT,
                retry=Retry.ALWAYS,
                detail=endpoint.name,
            )
        return connection

    def _asked(self, opening: Opening) -> Opening:
        """What the upstream is asked for: in a tunnel what the downstream peer asked for, else a handshake of our own."""
        passed, protocols = self._settings.subprotocols, opening.protocols
        if passed is not None:
            protocols = tuple(name for name in protocols if name.decode("ascii") in passed)
        if self._settings.mode == "tunnel":
            return Opening(opening.key or fresh_key(self._entropy), protocols, opening.extensions)
        return Opening(fresh_key(self._entropy), protocols, offer_deflate(self._settings) or b"")

    def _call(self, exchange: Exchange, endpoint: Endpoint, asked: Opening) -> Call:
        request = exchange.request
        fields = [field for field in end_to_end(exchange, self._cluster, endpoint) if field[0] not in HANDSHAKE_FIELDS]
        fields += opening_fields(asked.key or b"", asked.protocols, asked.extensions)
        fields.append(via(exchange))
        call = Call("GET", request.target, fields, None, 0, self._timeouts_s, exchange.informational)
        call.upgrade = True
        return call

    def _switch(
        self, exchange: Exchange, connection: Http1Upstream, headers: Headers, opening: Opening, asked: Opening
    ) -> Response:
        """The upstream switched: hold it to what it was asked, take its connection over, and answer."""
        try:
            agreed = read_agreement(headers, asked)
            if self._settings.mode == "tunnel":
                extensions = agreed.extensions
                takeover: Any = Tunnel(self._settings, self._wheel)
            else:
                accepted = accept_deflate(self._settings, opening.extensions)
                extensions = accepted[1] if accepted else b""
                takeover = Relay(
                    self._settings,
                    self._wheel,
                    downstream_deflate=accepted[0] if accepted else None,
                    upstream_deflate=agree_deflate(self._settings, agreed.extensions) if agreed.extensions else None,
                )
            connection.hand_over(takeover.connect_upstream)
        except BaseException:
            connection.cancel()
            raise

        def ended(_: Exchange, __: Outcome) -> None:
            note_end(exchange, self._clock)
            exchange.flag = exchange.flag or _FLAGS.get(takeover.cause, "")
            # If nobody took the downstream side, the upstream would wait for ever.
            takeover.abandon()

        exchange.on_end(ended)
        dropped = hop_by_hop(headers) | HANDSHAKE_FIELDS
        kept = [field for field in headers.fields if field[0] not in dropped]
        kept += agreement_fields(opening.key, agreed.protocol, extensions)
        return Response(101, Headers(kept), takeover=takeover)

    def _pass_on(self, exchange: Exchange, call: Call, connection: Http1Upstream, answer: Response) -> Response:
        """What the upstream said instead of 101, as an ordinary answer; both connections end behind it."""
        body, clock = answer.body, self._clock
        if body.error is not None:
            raise body.error
        if exchange.head.version == "2" and answer.status < 300:
            # There it would say that the WebSocket is open (RFC 8441 5).
            connection.cancel()
            raise GatewayError(502, "websocket_not_switched", side=Side.UPSTREAM, phase=Phase.RESPONSE_HEAD)
        if body.ended:
            exchange.upstream_end_s = exchange.upstream_head_s
        else:
            call.ended = lambda: note_end(exchange, clock)
        answer.headers.remove_all(hop_by_hop(answer.headers))
        answer.close = _ends_with(exchange)
        return answer

    def __repr__(self) -> str:
        return f"<WebSocketTarget {self._settings.mode} to {self._cluster.name}>"
