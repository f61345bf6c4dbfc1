"""One record per exchange, whatever becomes of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from twisted.logger import Logger

from edgegw.exchange.interfaces import Responder
from edgegw.exchange.model import Exchange, Outcome, Response

_log = Logger("edgegw.middleware.access_record")


class AccessRecord:
    """Tells where exchanges are counted, exactly once, how each ended.

    A fault in what is told is logged and harms nothing: the exchange goes on as if nobody had listened.

    Args:
        record: gets an exchange when its last byte is gone or it is torn.
    """

    __slots__ = ("_next", "_record")

    def __init__(self, following: Responder, record: Callable[[Exchange, Outcome], None]) -> None:
        self._next = following
        self._record = record

    def __call__(self, exchange: Exchange) -> Awaitable[Response]:
        """Ask for the end, go on."""
        exchange.on_end(self._ended)
        return self._next(exchange)

    def _ended(self, exchange: Exchange, outcome: Outcome) -> None:
        try:
            self._record(exchange, outcome)
        except Exception:
            _log.failure("no record of request {request_id} could be made", request_id=exchange.id)
