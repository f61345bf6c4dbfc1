"""How much a route lets a request carry. The body streams on; only its size is watched."""

from __future__ import annotations

from collections.abc import Awaitable

from pydantic import Field

from edgegw.config.model import Settings
from edgegw.config.units import Size
from edgegw.exchange.body import EMPTY
from edgegw.exchange.interfaces import Middleware, Responder
from edgegw.exchange.model import Exchange, Response
from edgegw.middleware.interfaces import MiddlewarePart, Surroundings
from edgegw.wire.grpc import is_grpc


class RequestCapsSettings(Settings):
    """Caps of a request."""

    body_limit: Size = Field(
        default=10 * 1024 * 1024,
        ge=0,
        description="Bytes of a request's body; more is a 413. Not for gRPC calls, which are streams of messages: see `grpc`.",
    )


class RequestCaps:
    """Refuses bodies past the limit: at once when the length is declared, else when the byte too many comes."""

    __slots__ = ("_limit", "_next")

    def __init__(self, following: Responder, limit: int) -> None:
        self._next = following
        self._limit = limit

    def __call__(self, exchange: Exchange) -> Awaitable[Response]:
        """Cap the body, go on."""
        body = exchange.request.body
        if body is not EMPTY and not is_grpc(exchange.request.headers.get(b"content-type")):
            body.cap(self._limit)
        return self._next(exchange)


def build(settings: RequestCapsSettings, _: Surroundings) -> Middleware:
    """The middleware of one route."""
    return lambda following: RequestCaps(following, settings.body_limit)


REQUEST_CAPS = MiddlewarePart("body_limit", RequestCapsSettings, build)
