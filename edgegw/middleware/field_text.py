"""Header fields as a configuration writes them: what may stand there, checked at load and not when an answer is on its way."""

from __future__ import annotations

import re
from collections.abc import Iterable

from edgegw.wire.connection import HOP_BY_HOP
from edgegw.wire.headers import Field

_name = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z").match
_value = re.compile(r"[\t\x20-\x7e\xa0-\xff]*\Z").match
_FRAMING = HOP_BY_HOP | {b"content-length", b"host"}


def check_name(name: str) -> None:
    """Raises ValueError, in words for an operator, for what is not a field name or frames the message (RFC 9110 5.1)."""
    if not _name(name):
        raise ValueError(f'"{name}" is not a header name')
    if name.lower().encode("ascii") in _FRAMING:
        raise ValueError(f'"{name}" frames the message; the gateway sets it itself')


def check_value(name: str, value: str) -> None:
    """Raises ValueError for a value that would break a header (RFC 9110 5.5)."""
    if not _value(value):
        raise ValueError(f'the value of "{name}" holds a character that headers cannot carry')


def check_once(names: Iterable[str]) -> None:
    """Raises ValueError when two spellings of one name stand side by side: which of them wins would be an accident."""
    seen: dict[str, str] = {}
    for name in names:
        other = seen.setdefault(name.lower(), name)
        if other is not name:
            raise ValueError(f'"{name}" and "{other}" are the same header')


def field(name: str, value: str) -> Field:
    """A field ready to send."""
    spelt = name.encode("ascii")
    return (spelt.lower(), spelt, value.encode("latin-1"))
