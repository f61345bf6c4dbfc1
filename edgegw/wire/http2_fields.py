"""Field sections of HTTP/2: pairs to validated fields, and fields to header blocks (RFC 7541, RFC 9113 8.2).

Peers repeat themselves, so what a pair means and how a field is spelt in HPACK is remembered, in bounded tables for the whole
process; what may be a secret is not. Our blocks never touch the peer's dynamic table: encoding has no state and can't get out
of step.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from hpack.hpack import encode_integer
from hpack.huffman import HuffmanEncoder
from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH
from hpack.table import HeaderTable

from edgegw.errors import GatewayError, Phase, Side
from edgegw.wire.headers import Field
from edgegw.wire.http1_fields import Refused
from edgegw.wire.http2_hpack import Pair

_MEMO = 4096
_LONGEST = 160
_SPACE = (b" ", b"\t")
_CONTROLS = bytes(code for code in range(32) if code != 9) + b"\x7f"
_is_name = re.compile(rb"[!#$%&'*+\-.^_`|~0-9a-z]+").fullmatch
_is_pseudo = re.compile(rb":(?:method|scheme|authority|path|protocol|status)").fullmatch
_is_secret = re.compile(rb"auth|cookie|cred|cert|key|pass|secret|session|sign|token|csrf|xsrf").search
_control = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]").search
CONNECTION_FIELDS = frozenset(
    {b"connection", b"http2-settings", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"}
)
"""What belongs to one HTTP/1.1 connection and has no place in HTTP/2 (RFC 9113 8.2.2)."""


class Malformed(Refused):
    """Malformed in the sense of RFC 9113 8.1.1: the stream ends with PROTOCOL_ERROR, whatever is answered before."""


# Receiving.


class FieldTable(dict[Pair, Field]):
    """(name, value) to field: `table[pair]` validates what it has not seen.

    Args:
        underscores: let `_` through in names (responses); requests must not use it (trust.md A3.1 F23).

    Raises:
        Malformed, Refused: on look-up of a pair that is not a valid field.
    """

    def __init__(self, *, underscores: bool) -> None:
        super().__init__()
        self._underscores = underscores

    def __missing__(self, pair: Pair) -> Field:
        name, value = pair
        if not _is_name(name):
            _refuse_name(name)
        if name in CONNECTION_FIELDS:
            raise Malformed(400, "h2_connection_field", f"{name.decode('ascii')} in HTTP/2")
        if name == b"te" and value != b"trailers":
            raise Malformed(400, "h2_connection_field", "TE other than trailers")
        check_value(value)
        if b"_" in name and not self._underscores:
            raise Refused(400, "underscore_in_name", f"field name {name[:64]!r}")
        field = (name, name, value)
        if len(name) + len(value) <= _LONGEST and _is_secret(name) is None:
            if len(self) >= _MEMO:
                self.clear()
            self[name, value] = field
        return field


REQUEST_FIELDS = FieldTable(underscores=False)
RESPONSE_FIELDS = FieldTable(underscores=True)


def check_value(value: bytes) -> None:
    """Raise for a value that no field may have (RFC 9113 8.2.1).

    Raises:
        Malformed: control characters but tab; white space at an end.
    """
    if len(value.translate(None, _CONTROLS)) != len(value):
        found = _control(value)
        char = found[0] if found else b"\x00"
        reason = {b"\x00": "nul_byte", b"\n": "bare_lf", b"\r": "bare_cr"}.get(char, "control_byte")
        raise Malformed(400, reason, f"character 0x{char[0]:02X} in a field value")
    if value[:1] in _SPACE or value[-1:] in _SPACE:
        raise Malformed(400, "h2_space_around_value", "a field value starts or ends with white space")


def _refuse_name(name: bytes) -> None:
    if name[:1] == b":":
        raise Malformed(400, "h2_bad_pseudo", f"pseudo field {name[:32]!r} behind a field or in trailers")
    if _is_name(name.lower()):
        raise Malformed(400, "h2_uppercase_name", f"field name {name[:64]!r}")
    raise Malformed(400, "bad_field_name", f"field name {name[:64]!r}")


# Sending.

_huffman = HuffmanEncoder(REQUEST_CODES, REQUEST_CODES_LENGTH)
_STATIC = HeaderTable.STATIC_TABLE_MAPPING
_INDEXED, _LITERAL, _NEVER = 0x80, 0x00, 0x10


def _integer(value: int, bits: int, opening: int) -> bytes:
    out = encode_integer(value, bits)
    out[0] |= opening
    return bytes(out)


def _text(value: bytes, pack: bool) -> bytes:
    if pack:
        packed = _huffman.encode(value)
        if len(packed) < len(value):
            return _integer(len(packed), 7, 0x80) + packed
    return _integer(len(value), 7, 0) + value


class FieldEncoder(dict[Field, bytes]):
    """Field to its HPACK spelling: `encoder[field]` spells what it has not seen, safely.

    A field that comes a second time is Huffman-coded and kept; connection-specific ones come to nothing.

    Args:
        pseudo: for pseudo fields instead of fields.

    Raises:
        GatewayError: 500 `unsafe_head` on look-up of a field that must not be sent.
    """

    def __init__(self, *, pseudo: bool = False) -> None:
        super().__init__()
        self._is_name = _is_pseudo if pseudo else _is_name
        self._names: dict[bytes, tuple[bytes, bool]] = {}
        self._once: set[Field] = set()

    def __missing__(self, field: Field) -> bytes:
        lower, _, value = field
        known = self._names.get(lower) or self._new_name(lower)
        if len(value.translate(None, _CONTROLS)) != len(value):
            raise unsafe("a control character in a field")
        opening, secret = known
        if not opening or (lower == b"te" and value.lower() != b"trailers"):
            return b""
        value = value.strip(b" \t")
        if secret or len(lower) + len(value) > _LONGEST:
            return opening + _text(value, False)
        once = self._once
        if field not in once:
            if len(once) >= _MEMO:
                once.clear()
            once.add(field)
            return self._static(lower, value) or opening + _text(value, False)
        if len(self) >= _MEMO:
            self.clear()
        spelt = self[field] = self._static(lower, value) or opening + _text(value, True)
        return spelt

    def _static(self, lower: bytes, value: bytes) -> bytes | None:
        row = _STATIC.get(lower)
        index = row[1].get(value) if row is not None else None
        return _integer(index, 7, _INDEXED) if index is not None else None

    def _new_name(self, lower: bytes) -> tuple[bytes, bool]:
        """(what stands before the value, whether the value is a secret)."""
        if not self._is_name(lower):
            raise unsafe(f"field name {lower[:64]!r}")
        secret = _is_secret(lower) is not None and lower[:1] != b":"
        kind = _NEVER if secret else _LITERAL
        row = _STATIC.get(lower)
        if lower in CONNECTION_FIELDS:
            opening = b""
        elif row is not None:
            opening = _integer(row[0], 4, kind)
        else:
            opening = bytes([kind]) + _text(lower, True)
        if len(self._names) >= _MEMO:
            self._names.clear()
        self._names[lower] = opening, secret
        return opening, secret


FIELDS = FieldEncoder()
PSEUDO = FieldEncoder(pseudo=True)


def encode_fields(fields: Iterable[Field]) -> bytes:
    """A block of fields; the names are sent in lower case.

    Raises:
        GatewayError: 500 `unsafe_head`.
    """
    return b"".join([FIELDS[field] for field in fields])


def encode_pseudo(name: bytes, value: bytes) -> bytes:
    """One pseudo field, as the beginning of a block.

    Raises:
        GatewayError: 500 `unsafe_head`.
    """
    return PSEUDO[name, name, value]


def unsafe(what: str) -> GatewayError:
    """The error of a head that must not be sent; nothing of it was."""
    return GatewayError(500, "unsafe_head", side=Side.GATEWAY, phase=Phase.SEND, detail=what)
