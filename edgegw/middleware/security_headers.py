"""Fields that make browsers careful. What the upstream says itself is never overwritten; HSTS goes out over TLS only."""

from __future__ import annotations

from pydantic import Field, field_validator

from edgegw.config.model import Settings
from edgegw.config.units import Duration
from edgegw.errors import GatewayError
from edgegw.exchange.interfaces import Middleware, Responder
from edgegw.exchange.model import Exchange, Response
from edgegw.middleware.field_text import check_value, field
from edgegw.middleware.interfaces import MiddlewarePart, Surroundings
from edgegw.wire import headers as wire


class SecurityHeadersSettings(Settings):
    """Response fields for browsers; an empty string leaves one out."""

    content_type_options: str = Field(default="nosniff", description="X-Content-Type-Options.")
    frame_options: str = Field(default="SAMEORIGIN", description="X-Frame-Options.")
    referrer_policy: str = Field(default="strict-origin-when-cross-origin", description="Referrer-Policy.")
    content_security_policy: str = Field(default="", description="Content-Security-Policy.")
    hsts: Duration = Field(
        default=31536000.0, description="Strict-Transport-Security max-age, over TLS; 0 leaves it out."
    )
    hsts_subdomains: bool = Field(default=False, description="Whether HSTS holds for subdomains too.")

    @field_validator("content_type_options", "frame_options", "referrer_policy", "content_security_policy")
    @classmethod
    def _can_be_sent(cls, value: str) -> str:
        check_value("security_headers", value)
        return value


class SecurityHeaders:
    """Adds what is missing, also to the answers that errors below become.

    Args:
        fields: for every answer. hsts: for answers over TLS, or None.
    """

    __slots__ = ("_fields", "_names", "_next", "_secure_fields")

    def __init__(self, following: Responder, fields: list[wire.Field], hsts: wire.Field | None) -> None:
        self._next = following
        self._fields = fields
        self._secure_fields = [*fields, hsts] if hsts is not None else fields
        self._names = frozenset(field[0] for field in self._secure_fields)

    async def __call__(self, exchange: Exchange) -> Response:
        """Add what the answer does not have."""
        fields = self._secure_fields if exchange.connection.tls is not None else self._fields
        try:
            response = await self._next(exchange)
        except GatewayError as error:
            has = [name.lower() for name, _ in error.headers]
            error.headers += tuple([field[1:] for field in fields if field[0] not in has])
            raise
        headers = response.headers
        first = headers.first()
        if not self._names.isdisjoint(first):
            fields = [field for field in fields if field[0] not in first]
        headers.extend(fields)
        return response


def build(settings: SecurityHeadersSettings, _: Surroundings) -> Middleware:
    """The middleware of one route."""
    named = {
        "X-Content-Type-Options": settings.content_type_options,
        "X-Frame-Options": settings.frame_options,
        "Referrer-Policy": settings.referrer_policy,
        "Content-Security-Policy": settings.content_security_policy,
    }
    fields = [field(name, value) for name, value in named.items() if value]
    hsts: wire.Field | None = None
    if settings.hsts:
        value = f"max-age={int(settings.hsts)}{'; includeSubDomains' if settings.hsts_subdomains else ''}"
        hsts = field("Strict-Transport-Security", value)
    return lambda following: SecurityHeaders(following, fields, hsts)


SECURITY_HEADERS = MiddlewarePart("security_headers", SecurityHeadersSettings, build)
