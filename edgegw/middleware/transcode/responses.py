"""Messages of a call as JSON, or as what a google.api.HttpBody holds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
from google.protobuf import json_format
from google.protobuf.message import DecodeError

from edgegw.middleware.transcode.frames import bad_response
from edgegw.middleware.transcode.requests import HTTP_BODY
from edgegw.middleware.transcode.rules import WHOLE, Rule
from edgegw.middleware.transcode.settings import TranscodeSettings

Printed = Callable[[bytes], bytes]
"""Makes JSON of an encoded message. Raises GatewayError 502."""


class Printer:
    """Writes messages as JSON (protobuf.dev/programming-guides/json).

    Args:
        settings: how. pool: where the types of `google.protobuf.Any` are found.
    """

    def __init__(self, settings: TranscodeSettings, pool: Any) -> None:
        self._pool = pool
        self._zeros = settings.always_print_primitive_fields
        self._names = settings.preserve_proto_field_names
        self._numbers = settings.always_print_enums_as_ints

    def document(self, message: Any) -> Any:
        """A message as what JSON is made of. Raises GatewayError: 502 `grpc_bad_response`."""
        try:
            return json_format.MessageToDict(message, self._zeros, self._names, self._numbers, self._pool)
        except (json_format.Error, TypeError, ValueError, KeyError, DecodeError) as error:
            raise bad_response(f"{message.DESCRIPTOR.full_name} cannot be JSON: {error}") from None

    def of(self, rule: Rule) -> Printed:
        """What writes the answers of a rule."""
        name = rule.response_body

        def whole(encoded: bytes) -> bytes:
            return orjson.dumps(self.document(parsed(rule, encoded)))

        def part(encoded: bytes) -> bytes:
            return orjson.dumps(self.field(parsed(rule, encoded), name))

        return whole if name in ("", WHOLE) else part

    def field(self, message: Any, name: str) -> Any:
        """One field of a message as what JSON is made of, there or not. Raises GatewayError as `document`."""
        field = message.DESCRIPTOR.fields_by_name[name]
        kind = field.message_type
        if kind is not None and not field.is_repeated:
            return self.document(getattr(message, name))
        alone = type(message)()
        if field.is_repeated:
            getattr(alone, name).MergeFrom(getattr(message, name))
        else:
            setattr(alone, name, getattr(message, name))
        printed = self.document(alone).get(name if self._names else field.json_name)
        if printed is not None:
            return printed
        if not field.is_repeated:
            # A default that is not printed; through a list it is.
            return self._default(field)
        return {} if kind is not None and kind.GetOptions().map_entry else []

    def _default(self, field: Any) -> Any:
        value = field.default_value
        if field.enum_type is not None and not self._numbers:
            return field.enum_type.values_by_number[value].name
        if field.cpp_type in (field.CPPTYPE_INT64, field.CPPTYPE_UINT64):
            return str(value)
        return "" if isinstance(value, bytes) else value


def parsed(rule: Rule, encoded: bytes) -> Any:
    """The message of a response. Raises GatewayError: 502 `grpc_bad_response`."""
    try:
        return rule.method.response.FromString(encoded)
    except DecodeError:
        raise bad_response(f"no {rule.method.response.DESCRIPTOR.full_name}") from None


def is_raw(rule: Rule) -> bool:
    """Whether the answer is a google.api.HttpBody: bytes of a type that they say themselves."""
    kind = rule.method.response.DESCRIPTOR
    if rule.response_body not in ("", WHOLE):
        field = kind.fields_by_name[rule.response_body]
        kind = None if field.is_repeated else field.message_type
    return kind is not None and bool(kind.full_name == HTTP_BODY)


def raw(rule: Rule, encoded: bytes) -> tuple[bytes, bytes]:
    """Content type and content of an answer that is a google.api.HttpBody. Raises GatewayError 502."""
    message = parsed(rule, encoded)
    if rule.response_body not in ("", WHOLE):
        message = getattr(message, rule.response_body)
    content_type = message.content_type
    if not content_type.isascii() or not content_type.isprintable():
        raise bad_response(f"the content type {content_type!r:.60}")
    return content_type.encode("ascii"), message.data
