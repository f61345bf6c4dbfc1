"""The outermost layer: whatever went wrong becomes an answer."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import CancelledError
from twisted.logger import Logger

from edgegw.errors import GatewayError, Side
from edgegw.exchange.interfaces import Responder
from edgegw.exchange.model import Exchange, Response
from edgegw.exchange.render import render
from edgegw.middleware.request_id import REQUEST_ID

_log = Logger("edgegw.middleware.rescue")


class Rescue:
    """Renders errors; a bug in a layer below harms only its own exchange.

    Args:
        rejected: told the reason of every error that is answered.
    """

    __slots__ = ("_next", "_rejected")

    def __init__(self, following: Responder, rejected: Callable[[str], None]) -> None:
        self._next = following
        self._rejected = rejected

    async def __call__(self, exchange: Exchange) -> Response:
        """The answer, or an error's."""
        try:
            return await self._next(exchange)
        except GatewayError as error:
            failure = error
        except CancelledError:
            failure = GatewayError(499, "downstream_left", side=Side.DOWNSTREAM)
        except Exception:
            _log.failure("request {request_id} failed", request_id=exchange.id)
            failure = GatewayError(500, "internal_error")
        exchange.failure = failure
        self._rejected(failure.reason)
        response = render(failure, exchange)
        if exchange.id:
            # The layer that adds it to answers is below this one and saw none.
            response.headers.add(REQUEST_ID, exchange.id.encode("ascii"))
        return response
