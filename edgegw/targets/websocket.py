"""The WebSocket target: the handshake on both sides, then a relay or a tunnel between them.

An upstream connection is taken over for good, so it is always a new one. Nothing that came behind the downstream head is sent
before the upstream's 101; what is sent then are frames, read by a relay or, in a tunnel, by nobody.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from typing import Any

from twisted.internet.defer import Deferred

from edgegw.errors import GatewayError, Phase, Retry, Side
from edgegw.exchange.body import EMPTY
from edgegw.exchange.interfaces import Responder
from edgegw.exchange.model import Exchange, Outcome, Response
from edgegw.net.call import Call, Upload, UpstreamConnection
from edgegw.net.upstream import Http1Upstream
from edgegw.net.websocket.deflate import accept_deflate, agree_deflate, offer_deflate
from edgegw.net.websocket.ending import Cause
from edgegw.net.websocket.relay import Relay
from edgegw.net.websocket.settings import WebSocketSettings
from edgegw.net.websocket.tunnel import Tunnel
from edgegw.observe.metrics import UpstreamMetrics
from edgegw.runtime.wheel import Wheel
from edgegw.targets.attempts import Attempts
from edgegw.targets.course import Means
from edgegw.targets.proxy import end_to_end, note_end, via
from edgegw.upstream.cluster import Cluster
from edgegw.upstream.endpoint import Endpoint
from edgegw.upstream.retry import RetrySettings
from edgegw.upstream.selection import Selection
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

    Attempts are made as for other requests, but a handshake is sent once: it may already mean something to the upstream. An open
    WebSocket is an exchange, to bulkhead and endpoint, until its end.

    Args:
        cluster: whom to. settings: of the route. timeouts_s: for the upstream's answer, and between the bytes of one that refuses.
        wheel: for the deadlines of what is opened. metrics: of the upstream. entropy: as `os.urandom`.
        retry: what the route says of further attempts. selection: among which of the upstream's endpoints.
    """

    def __init__(  # noqa: PLR0913 - each is another part of the gateway.
        self,
        cluster: Cluster,
        settings: WebSocketSettings,
        timeouts_s: tuple[float, float],
        wheel: Wheel,
        metrics: UpstreamMetrics,
        entropy: Callable[[int], bytes] = os.urandom,
        retry: RetrySettings | None = None,
        selection: Selection | None = None,
    ) -> None:
        rules = cluster.retry.rules(retry)
        self._cluster = cluster
        self._settings = settings
        self._timeouts_s = timeouts_s
        self._wheel = wheel
        self._entropy = entropy
        self._means = Means(cluster, selection or cluster.selection(), rules, metrics, wheel.seconds)

    async def __call__(self, exchange: Exchange) -> Response:
        """A 101 with a takeover, over HTTP/2 as well, whose codec makes a 200 of it; or what the upstream said instead.

        Raises:
            GatewayError: 400, 426 for a bad handshake; 502, 503, 504 of the last attempt, `websocket_bad_accept` among them; 508.
        """
        opening = read_opening(exchange.head)
        body = exchange.request.body
        if body is not EMPTY:
            # Over HTTP/2 the frames come as the body of a request; they have limits of their own.
            body.limit = _UNLIMITED
        try:
            handshake = _Handshake(self._means, self._settings, self._timeouts_s, self._wheel, self._entropy, opening)
            return await Attempts(self._means, handshake).run(exchange, None)
        except GatewayError as error:
            error.close = _ends_with(exchange)
            raise

    def __repr__(self) -> str:
        return f"<WebSocketTarget {self._settings.mode} to {self._cluster.name}>"


class _Handshake:
    """What is a WebSocket's own in the attempts of one exchange. opening: what the downstream peer asks for."""

    def __init__(
        self,
        means: Means,
        settings: WebSocketSettings,
        timeouts_s: tuple[float, float],
        wheel: Wheel,
        entropy: Callable[[int], bytes],
        opening: Opening,
    ) -> None:
        self._cluster = means.cluster
        self._settings = settings
        self._timeouts_s = timeouts_s
        self._wheel = wheel
        self._clock = wheel.seconds
        self._opening = opening
        self._asked = self._ask(entropy)

    def repeats(self, exchange: Exchange) -> bool:
        """Only what was not sent is tried again."""
        return False

    def take(self, endpoint: Endpoint) -> UpstreamConnection | None:
        """None: an idle connection would not come back."""
        return None

    def connect(self, exchange: Exchange, endpoint: Endpoint) -> Deferred[UpstreamConnection]:
        """A new one, of no pool: as many are open as there are WebSockets.

        Raises:
            GatewayError: 502 `websocket_no_http1`; through the Deferred what connecting ended in.
        """
        if endpoint.url.http2 or self._cluster.settings.protocol == "http2":
            detail = f"{endpoint.name} is spoken to in HTTP/2 only; a WebSocket upstream needs HTTP/1.1"
            raise GatewayError(502, "websocket_no_http1", phase=Phase.CONNECT, detail=detail)

        def alive(connection: UpstreamConnection) -> UpstreamConnection:
            if connection.lost:
                raise GatewayError(
                    502, "upstream_closed", side=Side.UPSTREAM, phase=Phase.CONNECT, retry=Retry.ALWAYS,
                    detail=endpoint.name,
                )  # fmt: skip
            return connection

        return endpoint.connect_http1(exchange).addCallback(alive)

    def call(self, exchange: Exchange, endpoint: Endpoint, upload: Upload | None) -> Call:
        """The handshake as sent on."""
        request, asked = exchange.request, self._asked
        fields = [field for field in end_to_end(exchange, self._cluster, endpoint) if field[0] not in HANDSHAKE_FIELDS]
        fields += opening_fields(asked.key or b"", asked.protocols, asked.extensions)
        fields.append(via(exchange))
        call = Call("GET", request.target, fields, None, 0, self._timeouts_s, exchange.informational)
        call.upgrade = True
        return call

    def received(self, exchange: Exchange, call: Call, connection: UpstreamConnection, response: Response) -> Response:
        """It switched, or said something else.

        Raises:
            GatewayError: 502 `websocket_bad_accept` and others; the connection is cut then.
        """
        if response.status == 101:
            assert isinstance(connection, Http1Upstream)
            return self._switch(exchange, connection, response.headers)
        return self._pass_on(exchange, call, connection, response)

    def _ask(self, entropy: Callable[[int], bytes]) -> Opening:
        """What the upstream is asked for: in a tunnel what the downstream peer asked for, else a handshake of our own."""
        opening = self._opening
        passed, protocols = self._settings.subprotocols, opening.protocols
        if passed is not None:
            protocols = tuple(name for name in protocols if name.decode("ascii") in passed)
        if self._settings.mode == "tunnel":
            return Opening(opening.key or fresh_key(entropy), protocols, opening.extensions)
        return Opening(fresh_key(entropy), protocols, offer_deflate(self._settings) or b"")

    def _switch(self, exchange: Exchange, connection: Http1Upstream, headers: Headers) -> Response:
        """The upstream switched: hold it to what it was asked, take its connection over, and answer."""
        opening = self._opening
        try:
            agreed = read_agreement(headers, self._asked)
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

    def _pass_on(self, exchange: Exchange, call: Call, connection: UpstreamConnection, answer: Response) -> Response:
        """What the upstream said instead of 101, as an ordinary answer; both connections end behind it."""
        body, clock = answer.body, self._clock
        if body.error is not None:
            raise body.error
        if exchange.head.version == "2" and answer.status < 300:
            # There it would say that the WebSocket is open (RFC 8441 5).
            answer.body.cancel()
            raise GatewayError(502, "websocket_not_switched", side=Side.UPSTREAM, phase=Phase.RESPONSE_HEAD)
        if body.ended:
            exchange.upstream_end_s = exchange.upstream_head_s
        else:
            call.ended = lambda: note_end(exchange, clock)
        answer.headers.remove_all(hop_by_hop(answer.headers))
        answer.close = _ends_with(exchange)
        return answer
