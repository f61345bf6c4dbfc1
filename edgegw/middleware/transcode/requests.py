"""A request's path, query and body as the message of a call, as google/api/http.proto says they belong together.

The query is written first, over it the body, over both the path: what a request was routed and judged by is what the server gets.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import unquote_to_bytes

import orjson

from edgegw.errors import GatewayError, Phase, Side
from edgegw.middleware.transcode.rules import WHOLE, Rule
from edgegw.middleware.transcode.settings import TranscodeSettings
from edgegw.middleware.transcode.values import TEXTUAL, WELL_KNOWN, BadValue, Values

HTTP_BODY = "google.api.HttpBody"
MAX_NAMES = 32
"""Fields in fields that a query parameter may name."""

_RESERVED = frozenset(":/?#[]@!$&'()*+,;=")
_escapes = re.compile(r"(?:%[0-9A-Fa-f]{2})+")


class _Unknown(BadValue):
    """A parameter that names no field that is left to the query."""


class Requests:
    """Makes messages of requests.

    Args:
        values: writes them. settings: what to do with odd queries.
    """

    def __init__(self, values: Values, settings: TranscodeSettings) -> None:
        self._values = values
        self._lenient = settings.ignore_unknown_query_parameters
        self._plus = settings.query_param_unescape_plus

    def message(self, rule: Rule, captured: list[str], query: str | None, body: bytes, content_type: bytes) -> bytes:
        """The message of a call, encoded.

        Args:
            captured: what the path has for each of the rule's variables, escaped. content_type: of the body.

        Raises:
            GatewayError: 400 `transcode_bad_query`, `transcode_bad_body`, `transcode_bad_path`.
        """
        message = rule.method.request()
        try:
            if query:
                self._read_query(message, rule, query)
        except ValueError as error:
            raise GatewayError(400, "transcode_bad_query", **_bad(error)) from None
        try:
            if rule.body:
                self._read_body(message, rule.body, body, content_type)
        except ValueError as error:
            raise GatewayError(400, "transcode_bad_body", **_bad(error)) from None
        try:
            for variable, text in zip(rule.variables, captured, strict=True):
                fields = self._resolve(message.DESCRIPTOR, variable.field)
                self._write_text(message, fields, unescape(text) if variable.single else unescape_path(text))
        except ValueError as error:
            raise GatewayError(400, "transcode_bad_path", **_bad(error)) from None
        encoded: bytes = message.SerializeToString()
        return encoded

    def _read_query(self, message: Any, rule: Rule, query: str) -> None:
        for piece in query.split("&"):
            name, _, value = piece.partition("=")
            if not name:
                continue
            if self._plus:
                value = value.replace("+", " ")
            try:
                fields = self._resolve(message.DESCRIPTOR, tuple(unescape(name).split(".")))
                if tuple(field.name for field in fields) in rule.bound:
                    raise _Unknown(f"{name} is in the path")
            except _Unknown:
                if self._lenient:
                    continue
                raise
            self._write_text(message, fields, unescape(value))

    def _resolve(self, kind: Any, names: tuple[str, ...]) -> list[Any]:
        """The fields that these names lead over, from a message's descriptor down."""
        if len(names) > MAX_NAMES:
            raise _Unknown(f"more than {MAX_NAMES} names")
        fields: list[Any] = []
        for name in names:
            if fields and (fields[-1].is_repeated or kind is None or kind.full_name in WELL_KNOWN):
                raise _Unknown(f"{fields[-1].full_name} has no field {name!r:.60}")
            field = self._values.fields(kind).get(name)
            if field is None:
                raise _Unknown(f"{kind.full_name} has no field {name!r:.60}")
            fields.append(field)
            kind = field.message_type
        return fields

    def _write_text(self, message: Any, fields: list[Any], text: str) -> None:
        for field in fields[:-1]:
            message = getattr(message, field.name)
        field = fields[-1]
        if field.message_type is not None and field.message_type.full_name not in TEXTUAL:
            raise BadValue(f"{field.full_name} cannot be a text")
        oneof = field.containing_oneof
        if oneof is not None and message.WhichOneof(oneof.name) not in (None, field.name):
            raise BadValue(f"{field.full_name}: there is another one of {oneof.name}")
        if field.is_repeated:
            self._values.append(message, field, text)
        else:
            self._values.put(message, field, text)

    def _read_body(self, message: Any, name: str, body: bytes, content_type: bytes) -> None:
        field = None if name == WHOLE else message.DESCRIPTOR.fields_by_name[name]
        kind = message.DESCRIPTOR if field is None else field.message_type
        singular = kind is not None and (field is None or not field.is_repeated)
        into = message if field is None else getattr(message, field.name)
        if singular and kind.full_name == HTTP_BODY:
            into.SetInParent()
            into.content_type = content_type.decode("utf-8")
            into.data = body
            return
        if singular and field is not None:
            into.SetInParent()
        if not body:
            return
        value = orjson.loads(body)
        if field is None:
            self._values.fill(message, value)
        elif value is None:
            message.ClearField(field.name)
        elif singular:
            self._values.fill(into, value)
        else:
            self._values.put(message, field, value)


def unescape(text: str) -> str:
    """The text behind the escapes. Raises UnicodeDecodeError."""
    return unquote_to_bytes(text).decode("utf-8") if "%" in text else text


def unescape_path(text: str) -> str:
    """The same of several segments: characters that RFC 6570 reserves stay escaped, so that segments stay what they are.

    Raises UnicodeDecodeError.
    """
    return _escapes.sub(_unescape_run, text) if "%" in text else text


def _unescape_run(found: re.Match[str]) -> str:
    plain = unquote_to_bytes(found[0]).decode("utf-8")
    return "".join(f"%{ord(char):02X}" if char in _RESERVED else char for char in plain)


def _bad(error: ValueError) -> dict[str, Any]:
    return {"side": Side.DOWNSTREAM, "phase": Phase.POLICY, "detail": " ".join(str(error).split())[:200]}
