"""The deadline of a whole exchange. Off unless a route asks: a body that keeps moving is never cut.

Of a WebSocket it covers the handshake: what comes then is one answer without an end, and has `websocket.idle`.
"""

from __future__ import annotations

from collections.abc import Awaitable

from pydantic import Field

from edgegw.config.model import Settings
from edgegw.config.units import Duration
from edgegw.errors import GatewayError, Phase
from edgegw.exchange.interfaces import Middleware, Responder
from edgegw.exchange.model import Exchange, Outcome, Response
from edgegw.middleware.interfaces import MiddlewarePart, Surroundings
from edgegw.runtime.wheel import Deadline, Wheel


class TotalTimeoutSettings(Settings):
    """The deadline of a whole exchange."""

    total: Duration = Field(gt=0, description="From the request's first byte to the response's last; then a 504.")


class TotalTimeout:
    """Ends an exchange that takes too long: 504 before the response began, torn after.

    Args:
        total_s: for all of it.
    """

    __slots__ = ("_next", "_total_s", "_wheel")

    def __init__(self, following: Responder, total_s: float, wheel: Wheel) -> None:
        self._next = following
        self._total_s = total_s
        self._wheel = wheel

    def __call__(self, exchange: Exchange) -> Awaitable[Response]:
        """Arm, go on; disarmed when the exchange ends."""

        def expired() -> None:
            detail = f"not finished within {self._total_s:g} s"
            exchange.connection.fail(exchange, GatewayError(504, "total_timeout", phase=Phase.POLICY, detail=detail))

        def ended(_: Exchange, __: Outcome) -> None:
            deadline.drop()

        deadline = self._wheel.deadline(expired)
        exchange.deadline_s = exchange.started_s + self._total_s
        deadline.set_at(exchange.deadline_s)
        exchange.on_end(ended)
        if exchange.head.upgrade:
            return self._until_taken_over(exchange, deadline)
        return self._next(exchange)

    async def _until_taken_over(self, exchange: Exchange, deadline: Deadline) -> Response:
        """What takes the connection over has its own ideas about time; the deadline was for getting there."""
        response = await self._next(exchange)
        if response.takeover is not None:
            deadline.drop()
            exchange.deadline_s = None
        return response


def build(settings: TotalTimeoutSettings, around: Surroundings) -> Middleware:
    """The middleware of one route."""
    return lambda following: TotalTimeout(following, settings.total, around.wheel)


TOTAL_TIMEOUT = MiddlewarePart("timeout", TotalTimeoutSettings, build)
