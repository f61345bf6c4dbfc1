"""Every exchange has an id: logged, sent to the upstream, given back to whoever asked."""

from __future__ import annotations

import os
import re
from collections.abc import Awaitable, Callable

from edgegw.exchange.interfaces import Responder
from edgegw.exchange.model import Exchange, Response
from edgegw.net.addresses import UNIX, CidrSet

REQUEST_ID = b"X-Request-ID"
_LOWER = b"x-request-id"
_DRAW = 128
_valid = re.compile(rb"[A-Za-z0-9._:/+=@-]{1,128}").fullmatch


class RequestId:
    """Sets `exchange.id` and the X-Request-ID of the request; that of every answer is set by `name_answer`.

    An id that came is kept only from a trusted proxy and in a harmless alphabet: a stranger's would let him forge log lines that
    look like somebody else's.

    Args:
        trusted: proxies whose ids are kept. draw: n random bytes.
    """

    __slots__ = ("_draw", "_ids", "_next", "_trusted")

    def __init__(self, following: Responder, trusted: CidrSet, draw: Callable[[int], bytes] = os.urandom) -> None:
        self._next = following
        self._trusted = trusted
        self._draw = draw
        self._ids: list[str] = []

    def __call__(self, exchange: Exchange) -> Awaitable[Response]:
        """Identify, then go on."""
        headers = exchange.request.headers
        came = headers.get(_LOWER)
        if came is not None and self._believes(exchange) and _valid(came):
            exchange.id = came.decode("ascii")
        else:
            ids = self._ids or self._refill()
            exchange.id = ids.pop()
            if came is not None:
                headers.remove(_LOWER)
            headers.append((_LOWER, REQUEST_ID, exchange.id.encode("ascii")))
        return self._next(exchange)

    def _believes(self, exchange: Exchange) -> bool:
        """Whether a trusted proxy said it, and said one thing: of two ids one is the stranger's behind it."""
        peer = exchange.connection.peer or UNIX
        return peer in self._trusted and len(exchange.request.headers.get_all(_LOWER)) == 1

    def _refill(self) -> list[str]:
        """A system call per id would cost more than the rest of this layer: draw for many at a time."""
        drawn = self._draw(16 * _DRAW).hex()
        self._ids = [drawn[at : at + 32] for at in range(0, len(drawn), 32)]
        return self._ids


def name_answer(exchange: Exchange, response: Response) -> None:
    """Give the id back with the answer, in place of any that came with it."""
    headers = response.headers
    if _LOWER in headers:
        headers.remove(_LOWER)
    headers.append((_LOWER, REQUEST_ID, exchange.id.encode("ascii")))
