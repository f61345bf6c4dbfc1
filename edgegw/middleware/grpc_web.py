"""gRPC-Web calls are made gRPC calls on the way in, and their answers gRPC-Web's on the way out, message by message.

Source: grpc/grpc doc/PROTOCOL-WEB.md. Calls of pages of other origins need CORS (Fetch 3.2): the origins that a route names are
answered here; everything else about CORS is left to the target.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable
from typing import ClassVar

from pydantic import Field, field_validator

from edgegw.config.model import Settings, ShortForm
from edgegw.errors import GatewayError, Phase, Side
from edgegw.exchange.interfaces import Middleware, Responder
from edgegw.exchange.model import Exchange, Request, Response
from edgegw.exchange.translated import Translated
from edgegw.middleware.grpc import GrpcCallSettings
from edgegw.middleware.interfaces import MiddlewarePart, Surroundings
from edgegw.middleware.transcode.settings import TranscodeSettings
from edgegw.wire import headers as wire
from edgegw.wire.grpc import is_grpc
from edgegw.wire.grpc_web import (
    BadText,
    TextDecoder,
    TextEncoder,
    WebKind,
    answer_type,
    asks_for_web,
    trailer_frame,
    wants_text,
    web_kind,
)
from edgegw.wire.origins import Origins, canonical_origin

_TE: wire.Field = (b"te", b"TE", b"trailers")
_REPLACED = frozenset({b"content-length", b"te"})
_ALLOW_ORIGIN = b"access-control-allow-origin"
_EXPOSED = b"grpc-status, grpc-message, grpc-status-details-bin"
_ASKED = b"access-control-request-headers"
_MAX_AGE = b"7200"
_MOST_NAMES = 64
_VARY = b"Origin, Access-Control-Request-Method, Access-Control-Request-Headers"

_is_name = re.compile(rb"[!#$%&'*+\-.^_`|~0-9a-z]+").fullmatch


class GrpcWebSettings(Settings):
    """gRPC-Web, for browsers."""

    SHORT: ClassVar[ShortForm | None] = ShortForm(
        lambda on: {"enabled": on}, "true or false", (bool,), {"type": "boolean"}
    )

    enabled: bool = Field(default=True, description="Whether gRPC-Web calls are translated to gRPC.")
    origins: tuple[str, ...] = Field(
        default=(),
        description="Origins whose pages may call: CORS for gRPC-Web calls and their preflights; `*` is any. Without them, CORS is"
        " left to the upstream.",
        examples=[["https://app.example.com"]],
    )

    @field_validator("origins")
    @classmethod
    def _are_origins(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        for origin in origins:
            if origin != "*":
                canonical_origin(origin)
        return origins


class GrpcSettings(GrpcCallSettings):
    """gRPC and gRPC-Web calls of a route."""

    web: GrpcWebSettings = Field(
        default=GrpcWebSettings(), description="gRPC-Web calls, translated to gRPC; false passes them on as they are."
    )
    transcode: TranscodeSettings | None = Field(
        default=None, description="JSON requests, translated to gRPC by the google.api.http rules of an API."
    )


class Cors:
    """Which pages may call (Fetch 3.2), without credentials: what calls carry, they carry in metadata.

    Args:
        origins: see `GrpcWebSettings`.
    """

    __slots__ = ("_any", "_origins")

    def __init__(self, origins: tuple[str, ...]) -> None:
        self._any = "*" in origins
        self._origins = Origins(origin for origin in origins if origin != "*")

    def grant(self, exchange: Exchange) -> list[tuple[bytes, bytes]]:
        """Fields for the answer to a call."""
        origin = exchange.head.headers.get(b"origin")
        vary = [(b"Vary", b"Origin")]
        if origin is None or not self._admits(origin):
            return vary
        return [
            (b"Access-Control-Allow-Origin", origin),
            (b"Access-Control-Expose-Headers", _EXPOSED),
            *vary,
        ]

    def preflight(self, exchange: Exchange) -> Response | None:
        """The answer to a browser that asks whether it may call; None if that is not what it asks."""
        headers = exchange.head.headers
        origin = headers.get(b"origin")
        if origin is None or not asks_for_web(headers):
            return None
        answer = wire.Headers.of([(b"Vary", _VARY)])
        names = [name.strip(b" \t").lower() for name in (headers.joined(_ASKED) or b"").split(b",")]
        if self._admits(origin) and len(names) <= _MOST_NAMES and all(map(_is_name, names)):
            answer.add(b"Access-Control-Allow-Origin", origin)
            answer.add(b"Access-Control-Allow-Methods", b"POST")
            answer.add(b"Access-Control-Allow-Headers", b", ".join(names))
            answer.add(b"Access-Control-Max-Age", _MAX_AGE)
        return Response(204, answer)

    def _admits(self, origin: bytes) -> bool:
        return self._any or self._origins.admits(origin)

    def __repr__(self) -> str:
        return f"<Cors {'any origin' if self._any else self._origins}>"


class GrpcWeb:
    """Translates calls; everything else passes by.

    Args:
        cors: for calls of pages, or None.
    """

    __slots__ = ("_cors", "_next")

    def __init__(self, following: Responder, cors: Cors | None) -> None:
        self._next = following
        self._cors = cors

    def __call__(self, exchange: Exchange) -> Awaitable[Response]:
        """Go on, or translate."""
        content_type = exchange.request.headers.get(b"content-type")
        kind = web_kind(content_type) if content_type is not None else None
        return self._next(exchange) if kind is None else self._translate(exchange, kind)

    async def _translate(self, exchange: Exchange, kind: WebKind) -> Response:
        text = wants_text(kind, exchange.request.headers.get(b"accept"))
        _make_native(exchange.request, kind)
        cors = self._cors.grant(exchange) if self._cors is not None else []
        try:
            response = await self._next(exchange)
        except GatewayError as error:
            if cors:
                # Whoever raised it may raise the same one again, for another page or for none that may call.
                said = [field for field in error.headers if field[0].lower() != _ALLOW_ORIGIN and field not in cors]
                error.headers = (*said, *cors)
            raise
        if is_grpc(response.headers.get(b"content-type")):
            _make_web(response, text)
        if cors:
            response.headers.remove(_ALLOW_ORIGIN)
            for name, value in cors:
                response.headers.add(name, value)
        return response


def _make_native(request: Request, kind: WebKind) -> None:
    """The call as gRPC has it. What came stays as it came in `Exchange.head`: errors are rendered for who asked."""
    fields: list[wire.Field] = []
    for field in request.headers.fields:
        if field[0] == b"content-type":
            fields.append((field[0], field[1], kind.native))
        elif field[0] not in _REPLACED:
            fields.append(field)
    fields.append(_TE)
    request.headers = wire.Headers(fields)
    if kind.text and not request.body.empty:
        request.body = Translated(request.body, FromText()).body


def _make_web(response: Response, text: bool) -> None:
    """The answer as gRPC-Web has it. One without a body says all in its head and keeps doing so."""
    headers, body = response.headers, response.body
    headers.set(b"Content-Type", answer_type(headers.get(b"content-type"), text))
    headers.remove(b"content-length")
    if body.empty and not body.trailers:
        return
    out = Translated(body, ToText() if text else WithTrailers())
    # At once: what is here already is to leave together with the head.
    out.start()
    response.body = out.body
    if out.body.ended:
        out.body.length = out.body.size


class FromText:
    """A request's body out of base64."""

    __slots__ = ("_decoder",)

    def __init__(self) -> None:
        self._decoder = TextDecoder()

    def translate(self, data: bytes) -> bytes:
        """Bytes for text. Raises GatewayError: 400 `grpc_web_bad_text`."""
        try:
            return self._decoder.decode(data)
        except BadText as bad:
            raise _bad_text(bad) from None

    def finish(self, trailers: tuple[wire.Field, ...]) -> tuple[bytes, tuple[wire.Field, ...]]:
        """No more bytes. Raises GatewayError: 400 `grpc_web_bad_text`."""
        try:
            self._decoder.finish()
        except BadText as bad:
            raise _bad_text(bad) from None
        return b"", trailers


class WithTrailers:
    """A response's body with its trailers as the last frame."""

    __slots__ = ()

    def translate(self, data: bytes) -> bytes:
        """Messages look the same."""
        return data

    def finish(self, trailers: tuple[wire.Field, ...]) -> tuple[bytes, tuple[wire.Field, ...]]:
        """The trailers' frame, and no trailers."""
        return trailer_frame(trailers), ()


class ToText:
    """The same in base64."""

    __slots__ = ("_encoder",)

    def __init__(self) -> None:
        self._encoder = TextEncoder()

    def translate(self, data: bytes) -> bytes:
        """Text for bytes."""
        return self._encoder.encode(data)

    def finish(self, trailers: tuple[wire.Field, ...]) -> tuple[bytes, tuple[wire.Field, ...]]:
        """The trailers' frame, and no trailers."""
        return self._encoder.finish(trailer_frame(trailers)), ()


def _bad_text(bad: BadText) -> GatewayError:
    return GatewayError(400, "grpc_web_bad_text", side=Side.DOWNSTREAM, phase=Phase.BODY, detail=str(bad))


def cors_of(settings: GrpcWebSettings) -> Cors | None:
    """What a route grants pages, if anything."""
    return Cors(settings.origins) if settings.enabled and settings.origins else None


def build(settings: GrpcWebSettings, _: Surroundings) -> Middleware:
    """The middleware of one route."""
    cors = cors_of(settings)
    return lambda following: GrpcWeb(following, cors) if settings.enabled else following


GRPC_WEB = MiddlewarePart("grpc_web", GrpcWebSettings, build)
