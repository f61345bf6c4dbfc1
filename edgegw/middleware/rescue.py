"""The outermost layer: whatever went wrong becomes an answer."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import CancelledError
from twisted.logger import Logger

from edgegw.errors import GatewayError, Side
from edgegw.exchange.interfaces import Responder
from edgegw.exchange.model import Exchange, Response
from edgegw.exchange.render import render
from edgegw.middleware.request_id import name_answer

_log = Logger("edgegw.middleware.rescue")


class Rescue:
    """Renders errors; a bug in a layer below harms only its own exchange. Every answer bears the id of its exchange.

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
            response = await self._next(exchange)
            if exchange.id:
                # Here, because what others return need not be an answer.
                name_answer(exchange, response)
            return response
        except GatewayError as error:
            response = self._answer(exchange, error)
        except CancelledError:
            response = self._answer(exchange, GatewayError(499, "downstream_left", side=Side.DOWNSTREAM))
        except Exception:
            _log.failure("request {request_id} failed", request_id=exchange.id)
            response = self._answer(exchange, GatewayError(500, "internal_error"))
        if exchange.id:
            name_answer(exchange, response)
        return response

    def _answer(self, exchange: Exchange, error: GatewayError) -> Response:
        # The exchange keeps its error, and the frames that the error went through know the exchange: without letting go of them
        # every refusal would wait for the garbage collector, with all that it holds.
        error.__traceback__ = error.__context__ = error.__cause__ = None
        exchange.failure = error
        self._rejected(error.reason)
        return render(error, exchange)
