"""A client that was answered by an endpoint comes back to it, by a signed cookie."""

from __future__ import annotations

import re
from base64 import urlsafe_b64encode
from collections.abc import Iterable
from hashlib import blake2b
from hmac import compare_digest
from typing import ClassVar, Generic, Literal, Protocol, TypeVar

from pydantic import Field, field_validator, model_validator

from edgegw.config.model import Settings, ShortForm
from edgegw.config.problems import quoted
from edgegw.config.units import OptionalDuration
from edgegw.exchange.model import Exchange, Response
from edgegw.wire.headers import Field as HeaderField

_ID_BYTES = 9
_MAC_BYTES = 15
_is_name = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,64}").fullmatch
_is_path = re.compile(r"/[\x21-\x3a\x3c-\x7e]*").fullmatch


class StickySettings(Settings):
    """Stickiness by a cookie; `sticky: edgegw` is short for `sticky: {cookie: edgegw}`."""

    SHORT: ClassVar[ShortForm | None] = ShortForm(lambda name: {"cookie": name}, "the name of a cookie")

    cookie: str = Field(
        default="edgegw",
        description="Name of the cookie. Two upstreams behind one host name need two names, or two paths.",
        examples=["shop-node"],
    )
    ttl: OptionalDuration = Field(
        default=None,
        description="How long the client keeps it, from when it was set; none is until the browser is closed.",
        examples=["1h"],
    )
    path: str = Field(default="/", description="Path that the client sends it on.", examples=["/shop"])
    same_site: Literal["lax", "strict", "none"] = Field(
        default="lax", description="Whether it comes with requests that other sites cause."
    )
    secure: bool | Literal["auto"] = Field(
        default="auto", description="Whether it is sent over TLS only; `auto`: if the first request came by TLS."
    )
    http_only: bool = Field(default=True, description="Whether it is hidden from scripts.")

    @field_validator("cookie")
    @classmethod
    def _is_token(cls, value: str) -> str:
        if not _is_name(value):
            raise ValueError(f"{quoted(value)} is not the name of a cookie")
        return value

    @field_validator("path")
    @classmethod
    def _is_cookie_path(cls, value: str) -> str:
        if not _is_path(value):
            raise ValueError(f"{quoted(value)} is not a path")
        return value

    @model_validator(mode="after")
    def _is_accepted(self) -> StickySettings:
        if self.same_site == "none" and self.secure is False:
            raise ValueError("browsers drop a cookie with same_site none that is not secure")
        return self


class Lasting(Protocol):
    """What a client can come back to: an endpoint, or a destination of a route."""

    @property
    def name(self) -> str:
        """The same as long as it is the same thing."""


T = TypeVar("T", bound=Lasting)


class Sticky(Generic[T]):
    """Reads and writes the cookie of one set of endpoints.

    Its value is an id of the endpoint, made from its name and the secret, and a signature over it: it tells nothing of the
    address, and none can be made up. It needs no memory: every worker and every later process with the same secret reads it.

    Args:
        upstream: its name; a cookie of one upstream is none of another. secret: up to 64 bytes are used.
    """

    def __init__(self, settings: StickySettings, upstream: str, secret: bytes) -> None:
        self.settings = settings
        self._key = secret[:64]
        self._scope = upstream.encode()
        self._prefix = settings.cookie.encode("ascii") + b"="
        self._endpoints: dict[bytes, tuple[T, bytes]] = {}
        self._values: dict[T, bytes] = {}
        self._attributes = self._written(secure=settings.secure is True)
        self._secure_attributes = self._written(secure=settings.secure is not False)

    def _written(self, secure: bool) -> bytes:
        settings = self.settings
        parts = [f"; Path={settings.path}"]
        if settings.ttl is not None:
            parts.append(f"; Max-Age={int(settings.ttl)}")
        if secure:
            parts.append("; Secure")
        if settings.http_only:
            parts.append("; HttpOnly")
        parts.append(f"; SameSite={settings.same_site.capitalize()}")
        return "".join(parts).encode("ascii")

    def roster(self, members: Iterable[T]) -> None:
        """These are the endpoints from now on. The value of one stays what it was."""
        self._values = {each: self._values.get(each) or self._value(each) for each in members}
        self._endpoints = {value.partition(b".")[0]: (each, value) for each, value in self._values.items()}

    def _value(self, endpoint: T) -> bytes:
        mark = self._mac(b"id", endpoint.name.encode(), _ID_BYTES)
        return mark + b"." + self._mac(b"sign", mark, _MAC_BYTES)

    def _mac(self, purpose: bytes, data: bytes, size: int) -> bytes:
        mac = blake2b(key=self._key, digest_size=size, person=purpose)
        for part in (self._scope, data):
            mac.update(len(part).to_bytes(4, "big") + part)
        return urlsafe_b64encode(mac.digest())

    def named(self, exchange: Exchange) -> T | None:
        """The endpoint that the request's cookie names; None without one, with a forged one and for an endpoint that is gone."""
        headers = exchange.request.headers
        if b"cookie" not in headers.first():
            return None
        prefix = self._prefix
        for line in headers.get_all(b"cookie"):
            if prefix not in line:
                continue
            for pair in line.split(b";"):
                pair = pair.strip()
                if pair.startswith(prefix):
                    found = self._verified(pair[len(prefix) :])
                    if found is not None:
                        return found
        return None

    def _verified(self, value: bytes) -> T | None:
        found = self._endpoints.get(value.partition(b".")[0])
        return found[0] if found is not None and compare_digest(value, found[1]) else None

    def remember(self, exchange: Exchange, endpoint: T, response: Response) -> None:
        """Make the client keep this endpoint, unless it does already."""
        value = self._values.get(endpoint)
        if value is None or self.named(exchange) is endpoint:
            return
        attributes = self._secure_attributes if exchange.request.scheme == "https" else self._attributes
        field: HeaderField = (b"set-cookie", b"Set-Cookie", self._prefix + value + attributes)
        response.headers.append(field)

    def __repr__(self) -> str:
        return f"<Sticky {self.settings.cookie} of {len(self._values)}>"
