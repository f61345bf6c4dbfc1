"""JSON values, and the texts of paths and queries, as fields of messages (protobuf.dev/programming-guides/json).

Stricter than protobuf's own reader where that takes what is not meant (`1_000`, base64 with other characters in it), and more
lenient in one point, as other transcoders are: fields that a message does not have are passed over, so that a client may be newer
than the server.
"""

from __future__ import annotations

import math
import re
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Mapping
from typing import Any

from google.protobuf import json_format
from google.protobuf.descriptor import FieldDescriptor

MAX_DEPTH = 64
"""Messages in messages; the usual limit of those who read them is 100."""

_P = "google.protobuf."
WRAPPERS = frozenset(
    _P + name + "Value" for name in ("String", "Bytes", "Bool", "Int32", "Int64", "UInt32", "UInt64", "Float", "Double")
)
TEXTUAL = WRAPPERS | {_P + "Timestamp", _P + "Duration", _P + "FieldMask", _P + "Value"}
"""Messages that one text can stand for."""

WELL_KNOWN = TEXTUAL | {_P + "Struct", _P + "ListValue", _P + "Any"}
_NULL_VALUE = _P + "NullValue"
_FIELD_MASK = _P + "FieldMask"

_TRUE = frozenset({"true", "t", "yes", "y", "1"})
_FALSE = frozenset({"false", "f", "no", "n", "0"})
_LARGEST_FLOAT = 3.4028235677973366e38
"""The middle between the largest single and what would be next: from here on there is no single."""

_SPECIAL = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_is_int = re.compile(r"-?[0-9]{1,20}", re.ASCII).fullmatch
_is_float = re.compile(r"-?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?", re.ASCII).fullmatch
_is_base64 = re.compile(r"[A-Za-z0-9+/\-_]*={0,2}", re.ASCII).fullmatch
_capital = re.compile(r"[A-Z]")
_to_standard = str.maketrans("-_", "+/")


class BadValue(ValueError):
    """A value that its field can't have; the text is for logs."""


class Values:
    """Writes values into messages.

    Args:
        pool: where the types of `google.protobuf.Any` are found.
    """

    def __init__(self, pool: Any) -> None:
        self._pool = pool
        self._fields: dict[Any, dict[str, Any]] = {}

    def fields(self, message: Any) -> Mapping[str, Any]:
        """The fields of a message's descriptor, by both of their names."""
        known = self._fields.get(message)
        if known is None:
            known = {field.name: field for field in message.fields}
            known.update((field.json_name, field) for field in message.fields)
            self._fields[message] = known
        return known

    def fill(self, message: Any, value: Any, depth: int = 0) -> None:
        """Write a JSON value into a message, over what is there.

        Raises:
            BadValue: it does not fit.
        """
        kind = message.DESCRIPTOR
        if kind.full_name in WELL_KNOWN:
            self._fill_well_known(message, value)
            return
        if not isinstance(value, dict):
            raise BadValue(f"{kind.full_name} is not {type(value).__name__}")
        if depth >= MAX_DEPTH:
            raise BadValue("too deep")
        fields = self.fields(kind)
        chosen: set[str] = set()
        for name, each in value.items():
            field = fields.get(name)
            if field is None or (each is None and not _takes_null(field)):
                continue
            oneof = field.containing_oneof
            if oneof is not None and oneof.name in chosen:
                raise BadValue(f"{field.full_name}: there is another one of {oneof.name}")
            if oneof is not None:
                chosen.add(oneof.name)
            self.put(message, field, each, depth)

    def put(self, message: Any, field: Any, value: Any, depth: int = 0) -> None:
        """Write a JSON value that is not null into a field; arrays and maps replace what is there.

        Raises:
            BadValue: it does not fit.
        """
        try:
            if not field.is_repeated:
                self._put_one(message, field, value, depth)
            elif field.message_type is not None and field.message_type.GetOptions().map_entry:
                self._put_map(message, field, value, depth)
            elif isinstance(value, list):
                message.ClearField(field.name)
                for each in value:
                    self.append(message, field, each, depth)
            else:
                raise BadValue(f"{field.full_name} is not a list")
        except (ValueError, TypeError, OverflowError) as error:
            raise error if isinstance(error, BadValue) else BadValue(f"{field.full_name}: {error}") from None

    def append(self, message: Any, field: Any, value: Any, depth: int = 0) -> None:
        """Write one more value into a repeated field. Raises BadValue."""
        if value is None and not _takes_null(field):
            raise BadValue(f"{field.full_name}: null in a list")
        values = getattr(message, field.name)
        try:
            if field.message_type is not None:
                self.fill(values.add(), value, depth + 1)
            else:
                values.append(scalar(field, value))
        except (TypeError, ValueError) as error:
            raise error if isinstance(error, BadValue) else BadValue(f"{field.full_name}: {error}") from None

    def _put_one(self, message: Any, field: Any, value: Any, depth: int) -> None:
        if field.message_type is None:
            setattr(message, field.name, scalar(field, value))
            return
        inner = getattr(message, field.name)
        inner.SetInParent()
        self.fill(inner, value, depth + 1)

    def _put_map(self, message: Any, field: Any, value: Any, depth: int) -> None:
        if not isinstance(value, dict):
            raise BadValue(f"{field.full_name} is not a map")
        message.ClearField(field.name)
        entries = getattr(message, field.name)
        of_key, of_value = (field.message_type.fields_by_name[name] for name in ("key", "value"))
        for name, each in value.items():
            key = scalar(of_key, name)
            if each is None and not _takes_null(of_value):
                raise BadValue(f"{field.full_name}: null in a map")
            if of_value.message_type is not None:
                self.fill(entries[key], each, depth + 1)
            else:
                entries[key] = scalar(of_value, each)

    def _fill_well_known(self, message: Any, value: Any) -> None:
        kind = message.DESCRIPTOR
        if kind.full_name in WRAPPERS:
            message.value = scalar(kind.fields_by_name["value"], value)
            return
        if kind.full_name == _FIELD_MASK and isinstance(value, str):
            # In lowerCamelCase by the book; names as in the .proto file are what people write.
            message.paths[:] = [_capital.sub(_lowered, path) for path in value.split(",") if path]
            return
        try:
            json_format.ParseDict(value, message, True, self._pool, MAX_DEPTH)
        except (json_format.ParseError, ValueError, TypeError, AttributeError, KeyError, RecursionError) as error:
            raise BadValue(f"{kind.full_name}: {error}") from None


def _lowered(found: re.Match[str]) -> str:
    return "_" + found[0].lower()


def _takes_null(field: Any) -> bool:
    if field.message_type is not None:
        return bool(field.message_type.full_name == _P + "Value")
    return field.enum_type is not None and bool(field.enum_type.full_name == _NULL_VALUE)


def scalar(field: Any, value: Any) -> Any:
    """A JSON value, or the text of one, as what protobuf's setters take; they check ranges and raise ValueError.

    Raises:
        BadValue: it is not one of this field's.
    """
    read = _READERS.get(field.type)
    found = read(value, field) if read is not None else None
    if found is None:
        raise BadValue(f"{field.full_name} cannot be {value!r:.60}")
    return found


def _string(value: Any, _: Any) -> str | None:
    return value if isinstance(value, str) else None


def _bytes(value: Any, _: Any) -> bytes | None:
    if not isinstance(value, str) or not _is_base64(value):
        return None
    bare = value.rstrip("=").translate(_to_standard)
    try:
        return b64decode(bare + "=" * (-len(bare) % 4), validate=True)
    except Base64Error:
        return None


def _bool(value: Any, _: Any) -> bool | None:
    if not isinstance(value, str):
        return value if isinstance(value, bool) else None
    word = value.lower()
    return True if word in _TRUE else False if word in _FALSE else None


def _int(value: Any, _: Any) -> int | None:
    if isinstance(value, str):
        return int(value) if _is_int(value) else None
    if isinstance(value, float):
        return int(value) if value.is_integer() else None
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _float(value: Any, field: Any) -> float | None:
    if isinstance(value, str):
        if value in _SPECIAL:
            return _SPECIAL[value]
        number = float(value) if _is_float(value) else math.nan
    else:
        number = float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan
    if not math.isfinite(number):
        return None
    return None if field.type == FieldDescriptor.TYPE_FLOAT and abs(number) >= _LARGEST_FLOAT else number


def _enum(value: Any, field: Any) -> int | None:
    kind = field.enum_type
    if value is None:
        return 0
    if isinstance(value, str):
        named = kind.values_by_name.get(value)
        if named is not None:
            return int(named.number)
        return int(value) if _is_int(value) and int(value) in kind.values_by_number else None
    number = _int(value, field)
    # Numbers that are new are passed on, but for enums that may have none.
    return None if number is None or (kind.is_closed and number not in kind.values_by_number) else number


_F = FieldDescriptor
_READERS: Mapping[int, Any] = {
    _F.TYPE_STRING: _string,
    _F.TYPE_BYTES: _bytes,
    _F.TYPE_BOOL: _bool,
    _F.TYPE_ENUM: _enum,
    _F.TYPE_FLOAT: _float,
    _F.TYPE_DOUBLE: _float,
    **dict.fromkeys(
        (
            _F.TYPE_INT32, _F.TYPE_INT64, _F.TYPE_UINT32, _F.TYPE_UINT64, _F.TYPE_SINT32, _F.TYPE_SINT64,
            _F.TYPE_FIXED32, _F.TYPE_FIXED64, _F.TYPE_SFIXED32, _F.TYPE_SFIXED64,
        ),
        _int,
    ),
}  # fmt: skip
