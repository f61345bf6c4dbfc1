"""Refuses exchanges while the process is overloaded, the least important ones first."""

from __future__ import annotations

from collections.abc import Awaitable

from pydantic import Field

from edgegw.config.model import Settings
from edgegw.errors import GatewayError, Phase
from edgegw.exchange.interfaces import Middleware, Responder
from edgegw.exchange.model import Exchange, Response
from edgegw.middleware.interfaces import MiddlewarePart, Surroundings
from edgegw.runtime.overload import IMPORTANCES, Importance, Overload

_WAITS = (b"1", b"2", b"3")
"""Not all who were refused should come back at the same moment."""


class SheddingSettings(Settings):
    """Who goes first when the process is overloaded."""

    importance: Importance = Field(
        default="normal", description="`low` is shed first, then `normal`, `high` only at the top; `critical` never."
    )


class Shedding:
    """Asks one attribute as long as all is well.

    Args:
        overload: of the process. importance: of what comes by here.
    """

    __slots__ = ("_next", "_overload", "_rank")

    def __init__(self, following: Responder, overload: Overload, importance: Importance) -> None:
        self._next = following
        self._overload = overload
        self._rank = IMPORTANCES.index(importance)

    def __call__(self, exchange: Exchange) -> Awaitable[Response]:
        """Go on.

        Raises:
            GatewayError: 503 `overloaded` with Retry-After.
        """
        overload = self._overload
        if overload.pressure and overload.sheds(self._rank):
            wait = _WAITS[int(overload.chance.random() * len(_WAITS))]
            raise GatewayError(503, "overloaded", phase=Phase.POLICY, headers=[(b"Retry-After", wait)])
        return self._next(exchange)

    def __repr__(self) -> str:
        return f"<Shedding {IMPORTANCES[self._rank]}>"


def build(settings: SheddingSettings, around: Surroundings) -> Middleware:
    """The middleware of one route."""
    overload = around.overload
    if overload is None:
        return lambda following: following
    return lambda following: Shedding(following, overload, settings.importance)


SHEDDING = MiddlewarePart("shedding", SheddingSettings, build)
