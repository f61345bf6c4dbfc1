"""`respond:` a fixed answer, made in memory."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import ClassVar

from pydantic import Field

from edgegw.config.model import Settings, ShortForm
from edgegw.config.problems import Problems, quoted
from edgegw.exchange.body import Body
from edgegw.exchange.model import Exchange, Response
from edgegw.wire import headers as wire

_BODILESS = frozenset({204, 205, 304})
_FRAMING = frozenset(
    {b"content-length", b"transfer-encoding", b"connection", b"upgrade", b"keep-alive", b"te", b"trailer"}
)
_TEXT: wire.Field = (b"content-type", b"Content-Type", b"text/plain; charset=utf-8")

_is_token = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+").fullmatch
_is_value = re.compile(r"[\t\x20-\x7e\x80-\U0010ffff]*").fullmatch


def _long_form(value: object) -> Mapping[str, object]:
    return {"status": value} if isinstance(value, int) else {"body": value}


class RespondSettings(Settings):
    """A fixed answer; the short form is its status or its body."""

    SHORT: ClassVar[ShortForm | None] = ShortForm(
        _long_form, "a status or a text", (str, int), {"anyOf": [{"type": "integer"}, {"type": "string"}]}
    )

    status: int = Field(200, ge=200, le=599, description="HTTP status, 200 to 599.")
    headers: dict[str, str] = Field(
        {}, description="Header fields; text/plain is the content type unless one is given here."
    )
    body: str = Field("", description="The content, sent as UTF-8.")


class Respond:
    """A responder with one answer."""

    __slots__ = ("_content", "_fields", "_status")

    def __init__(self, status: int, fields: list[wire.Field], content: bytes) -> None:
        self._status = status
        self._fields = fields
        self._content = content

    @classmethod
    def compile(cls, settings: RespondSettings, problems: Problems) -> Respond | None:
        """None when something is wrong with the settings.

        Args:
            problems: hand in `problems.under(..., "respond")`.
        """
        before = len(problems.errors)
        content = settings.body.encode("utf-8")
        if content and settings.status in _BODILESS:
            problems.add(("body",), f"an answer with status {settings.status} has no body", hint="leave the body out")
        fields = [_field(name, value, problems) for name, value in settings.headers.items()]
        if content and not any(field[0] == b"content-type" for field in fields):
            fields.append(_TEXT)
        return cls(settings.status, fields, content) if len(problems.errors) == before else None

    async def __call__(self, exchange: Exchange) -> Response:
        """The answer, with a header list of its own: middleware may change it."""
        return Response(self._status, wire.Headers(self._fields.copy()), Body.of(self._content))


def _field(name: str, value: str, problems: Problems) -> wire.Field:
    lower = name.lower().encode("utf-8")
    if not _is_token(name):
        problems.add(("headers", name), f"{quoted(name)} is not a header name", at="key")
    elif lower in _FRAMING:
        problems.add(("headers", name), f"{name} is set by the gateway itself", hint="leave it out", at="key")
    if not _is_value(value) or value != value.strip():
        message = f"the value of {name} holds a line break, a control character or white space around it"
        problems.add(("headers", name), message)
    return lower, name.encode("utf-8"), value.encode("utf-8")
