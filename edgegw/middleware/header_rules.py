"""A route's `headers:`: fields set, added and removed, on requests and on responses."""

from __future__ import annotations

import re

from pydantic import Field, field_validator

from edgegw.config.model import Settings
from edgegw.exchange.interfaces import Middleware, Responder
from edgegw.exchange.model import Exchange, Response
from edgegw.middleware.interfaces import MiddlewarePart, Surroundings
from edgegw.wire import headers as wire
from edgegw.wire.connection import HOP_BY_HOP

_name = re.compile(r"[!#$%&'*+.^`|~0-9A-Za-z-]+\Z").match
_value = re.compile(r"[\t\x20-\x7e\x80-\xff]*\Z").match
_FRAMING = HOP_BY_HOP | {b"content-length", b"host"}


class HeaderEdits(Settings):
    """Changes of one header section, made in this order: remove, set, add."""

    remove: tuple[str, ...] = Field((), description="Names of fields to leave out.")
    set: dict[str, str] = Field(default_factory=dict, description="Fields to put in place of all of their name.")
    add: dict[str, str] = Field(default_factory=dict, description="Fields to append.")

    @field_validator("remove")
    @classmethod
    def _names(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            _check(name, "")
        return names

    @field_validator("set", "add")
    @classmethod
    def _pairs(cls, pairs: dict[str, str]) -> dict[str, str]:
        for name, value in pairs.items():
            _check(name, value)
        return pairs


class HeaderRulesSettings(Settings):
    """Changes of header fields."""

    request: HeaderEdits = Field(HeaderEdits(), description="Before the target sees the request.")
    response: HeaderEdits = Field(HeaderEdits(), description="After the target answered.")


def _check(name: str, value: str) -> None:
    if not _name(name):
        raise ValueError(f'"{name}" is not a header name')
    if name.lower().encode("ascii") in _FRAMING:
        raise ValueError(f'"{name}" frames the message; the gateway sets it itself')
    if not _value(value):
        raise ValueError(f'the value of "{name}" holds a character that headers cannot carry')


class _Edits:
    """Compiled `HeaderEdits`."""

    __slots__ = ("_fields", "_gone")

    def __init__(self, edits: HeaderEdits) -> None:
        pairs = [*edits.set.items(), *edits.add.items()]
        self._gone = frozenset(name.lower().encode("ascii") for name in (*edits.remove, *edits.set))
        self._fields: list[wire.Field] = [
            (name.lower().encode("ascii"), name.encode("ascii"), value.encode("latin-1")) for name, value in pairs
        ]

    def __bool__(self) -> bool:
        return bool(self._gone or self._fields)

    def __call__(self, headers: wire.Headers) -> None:
        if self._gone:
            headers.remove_all(self._gone)
        headers.extend(self._fields)


class HeaderRules:
    """Applies the changes."""

    __slots__ = ("_next", "_request", "_response")

    def __init__(self, following: Responder, request: _Edits, response: _Edits) -> None:
        self._next = following
        self._request = request
        self._response = response

    async def __call__(self, exchange: Exchange) -> Response:
        """Change the request, go on, change the response."""
        if self._request:
            self._request(exchange.request.headers)
        response = await self._next(exchange)
        if self._response:
            self._response(response.headers)
        return response


def build(settings: HeaderRulesSettings, _: Surroundings) -> Middleware:
    """The middleware of one route."""
    request, response = _Edits(settings.request), _Edits(settings.response)
    return lambda following: HeaderRules(following, request, response)


HEADER_RULES = MiddlewarePart("headers", HeaderRulesSettings, build)
