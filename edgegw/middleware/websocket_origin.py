"""Which web pages may open a WebSocket: browsers let any page try, and send the cookies of the site along (RFC 6455 10.2)."""

from __future__ import annotations

from collections.abc import Awaitable

from edgegw.errors import GatewayError, Phase, Side
from edgegw.exchange.interfaces import Middleware, Responder
from edgegw.exchange.model import Exchange, Response
from edgegw.wire.origins import Origins
from edgegw.wire.websocket import WEBSOCKET


class WebSocketOrigin:
    """Refuses handshakes of other origins than those listed; other requests pass.

    It stands before whatever may rewrite Origin for the upstream's sake.
    """

    __slots__ = ("_next", "_origins")

    def __init__(self, following: Responder, origins: Origins) -> None:
        self._next = following
        self._origins = origins

    def __call__(self, exchange: Exchange) -> Awaitable[Response]:
        """Check a handshake's Origin, go on.

        Raises:
            GatewayError: 403 `websocket_origin_refused`.
        """
        head = exchange.head
        if WEBSOCKET in head.upgrade and not self._origins.admits(head.headers.joined(b"origin")):
            raise GatewayError(
                403,
                "websocket_origin_refused",
                side=Side.DOWNSTREAM,
                phase=Phase.POLICY,
                detail="its Origin is not among websocket.origins",
                close=head.version != "2",
            )
        return self._next(exchange)


def websocket_origin(origins: Origins) -> Middleware:
    """The middleware of one route."""
    return lambda following: WebSocketOrigin(following, origins)
