"""A route's `headers:`: fields set, added and removed, on requests and on responses."""

from __future__ import annotations

from pydantic import Field, field_validator

from edgegw.config.model import Settings
from edgegw.exchange.interfaces import Middleware, Responder
from edgegw.exchange.model import Exchange, Response
from edgegw.middleware.field_text import check_name, check_once, check_value, field
from edgegw.middleware.interfaces import MiddlewarePart, Surroundings
from edgegw.wire import headers as wire


class HeaderEdits(Settings):
    """Changes of one header section, made in this order: remove, set, add."""

    remove: tuple[str, ...] = Field(default=(), description="Names of fields to leave out.")
    set: dict[str, str] = Field(default_factory=dict, description="Fields to put in place of all of their name.")
    add: dict[str, str] = Field(default_factory=dict, description="Fields to append.")

    @field_validator("remove")
    @classmethod
    def _names(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            check_name(name)
        return names

    @field_validator("set", "add")
    @classmethod
    def _pairs(cls, pairs: dict[str, str]) -> dict[str, str]:
        for name, value in pairs.items():
            check_name(name)
            check_value(name, value)
        check_once(pairs)
        return pairs


class HeaderRulesSettings(Settings):
    """Changes of header fields."""

    request: HeaderEdits = Field(default=HeaderEdits(), description="Before the target sees the request.")
    response: HeaderEdits = Field(default=HeaderEdits(), description="After the target answered.")

    @field_validator("request")
    @classmethod
    def _keeps_via(cls, edits: HeaderEdits) -> HeaderEdits:
        for name in (*edits.remove, *edits.set, *edits.add):
            if name.lower() == "via":
                raise ValueError(
                    f'"{name}" of requests is how the gateway notices that it asks itself; it stays as it is'
                )
        return edits


class _Edits:
    """Compiled `HeaderEdits`."""

    __slots__ = ("_fields", "_gone")

    def __init__(self, edits: HeaderEdits) -> None:
        self._gone = frozenset(name.lower().encode("ascii") for name in (*edits.remove, *edits.set))
        self._fields = [field(name, value) for name, value in (*edits.set.items(), *edits.add.items())]

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
