"""Header lines to fields, strictly and once: what a line means is remembered, so that it is only checked when it is new.

Peers repeat themselves: on a keep-alive connection most header lines are byte for byte those of the message before. A table maps
a line as received to its validated field. Names that may carry secrets are left out, and the table is bounded.
"""

from __future__ import annotations

import re
from typing import NoReturn

from edgegw.wire.headers import Field, Headers

_LINES = 2048
_LONGEST_LINE = 160
_NAMES = 2048
_LONGEST_NAME = 64

_is_token = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+").fullmatch
_is_secret = re.compile(rb"auth|cookie|cred|cert|key|pass|secret|session|sign|token|csrf|xsrf").search
_CONTROLS = bytes(code for code in range(32) if code != 9) + b"\x7f"
_control = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]").search
_bad_line_byte = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|(?<!\r)\n|\r[^\n]").search


class Refused(Exception):
    """A message is not acceptable.

    status: what its sender is answered. reason: see `edgegw.wire.reasons`. line: its start line, as far as it is known.
    """

    def __init__(self, status: int, reason: str, detail: str = "") -> None:
        super().__init__(status, reason, detail)
        self.status = status
        self.reason = reason
        self.detail = detail
        self.line = b""


class FieldTable(dict[bytes, Field]):
    """Header line (without CRLF) to field: `table[line]` validates what it has not seen.

    Args:
        underscores: let `_` through in names (responses); requests must not use it (trust.md A3.1 F23).

    Raises:
        Refused: on look-up of a line that is not a valid field (RFC 9110 5.1, 5.5; RFC 9112 5).
    """

    def __init__(self, *, underscores: bool) -> None:
        super().__init__()
        self._underscores = underscores
        self._lower: dict[bytes, bytes] = {}
        self._open_names: set[bytes] = set()

    def __missing__(self, line: bytes) -> Field:
        name, colon, value = line.partition(b":")
        lower = self._lower.get(name)
        if lower is None or not colon:
            lower = self._new_name(line, name, colon)
        value = value.strip(b" \t")
        if len(value.translate(None, _CONTROLS)) != len(value):
            _refuse_controls(value)
        field = (lower, name, value)
        if len(line) <= _LONGEST_LINE and name in self._open_names:
            if len(self) >= _LINES:
                self.clear()
            self[line] = field
        return field

    def _new_name(self, line: bytes, name: bytes, colon: bytes) -> bytes:
        if not _is_token(name):
            _refuse_name(line, name, colon)
        if not colon:
            raise Refused(400, "missing_colon", "a header line without a colon")
        if b"_" in name and not self._underscores:
            raise Refused(400, "underscore_in_name", f"field name {name[:64]!r}")
        lower = name.lower()
        if len(name) <= _LONGEST_NAME:
            if len(self._lower) >= _NAMES:
                self._lower.clear()
                self._open_names.clear()
            self._lower[name] = lower
            if _is_secret(lower) is None:
                self._open_names.add(name)
        return lower


REQUEST_FIELDS = FieldTable(underscores=False)
RESPONSE_FIELDS = FieldTable(underscores=True)


def parse_headers(lines: list[bytes], size: int, most: int, longest: int, table: FieldTable) -> Headers:
    """Header lines (without CRLF, `size` bytes in all) to fields; at most `most` of them, each at most `longest` bytes.

    Raises:
        Refused: 400 for a malformed line, 431 past a cap.
    """
    if len(lines) > most:
        raise Refused(431, "too_many_fields", f"{len(lines)} fields")
    if lines:
        if lines[0][:1] in b" \t" and lines[0]:
            raise Refused(400, "space_before_first_field", "white space before the first field")
        if size > longest and len(max(lines, key=len)) > longest:
            raise Refused(431, "field_too_large", "a header line longer than the cap")
    return Headers(list(map(table.__getitem__, lines)))


def refuse_bad_bytes(data: bytes, start: int, end: int) -> None:
    """Raise for a line end or control character that must not be in `data[start:end]`.

    A CR at the very end is let through: it may still be half of a CRLF.

    Raises:
        Refused: `bare_lf`, `bare_cr`, `nul_byte`, `control_byte`.
    """
    found = _bad_line_byte(data, start, end)
    if found is None:
        return
    char = found[0][:1]
    if char == b"\n":
        raise Refused(400, "bare_lf", "a line ends with LF alone")
    if char == b"\r":
        raise Refused(400, "bare_cr", "a CR that no LF follows")
    if char == b"\x00":
        raise Refused(400, "nul_byte", "a NUL byte in the head")
    raise Refused(400, "control_byte", f"control character 0x{char[0]:02X} in the head")


def _refuse_controls(value: bytes) -> NoReturn:
    found = _control(value)
    char = found[0] if found else b"\x00"
    reason = {b"\x00": "nul_byte", b"\n": "bare_lf", b"\r": "bare_cr"}.get(char, "control_byte")
    raise Refused(400, reason, f"character 0x{char[0]:02X} in a field value")


def _refuse_name(line: bytes, name: bytes, colon: bytes) -> NoReturn:
    if line[:1] in (b" ", b"\t"):
        raise Refused(400, "obs_fold", "a header line starts with white space")
    if not colon:
        raise Refused(400, "missing_colon", "a header line without a colon")
    if not name:
        raise Refused(400, "empty_field_name", "a header line starts with a colon")
    if _is_token(name.rstrip(b" \t")):
        raise Refused(400, "space_before_colon", f"field name {name[:64]!r}")
    found = _control(name)
    if found is not None:
        _refuse_controls(name)
    raise Refused(400, "bad_field_name", f"field name {name[:64]!r}")
