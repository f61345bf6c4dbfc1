"""By what of a request consistent hashing goes."""

from __future__ import annotations

import re
from collections.abc import Callable
from difflib import get_close_matches
from typing import Annotated

from pydantic import BeforeValidator, WithJsonSchema

from edgegw.config.problems import kind_of, quoted
from edgegw.exchange.model import Exchange
from edgegw.exchange.predicates import SOURCES

Key = Callable[[Exchange], bytes | None]
"""The key of an exchange; None if it has none."""

PLAIN = ("client_ip", "path")
NAMED = ("header", "cookie", "query")

_is_token = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+").fullmatch
_ALL = "client_ip, path, header:NAME, cookie:NAME and query:NAME"


def read_key(value: object) -> object:
    """`client_ip`, `path`, `header:NAME`, `cookie:NAME` or `query:NAME` as text. Raises ValueError."""
    if not isinstance(value, str):
        raise ValueError(f"must be one of {_ALL}, not {kind_of(value)}")
    text = value.strip()
    kind, colon, name = text.partition(":")
    if kind in PLAIN:
        if colon:
            raise ValueError(f"{kind} stands alone: write {kind}, not {quoted(text)}")
        return text
    if kind not in NAMED:
        near = get_close_matches(kind.lower(), [*PLAIN, *NAMED], 1)
        raise ValueError(f"{quoted(text)} is no key; {_suggested(near[0], name) if near else f'there are {_ALL}'}")
    if not name.strip():
        raise ValueError(f"whose {kind}? write {kind}:NAME")
    # What cannot be seen cannot be told apart in a log either, and half a surrogate pair is no text at all.
    if not (name.isprintable() if kind == "query" else _is_token(name)):
        raise ValueError(f"{quoted(name)} cannot be the name of a {kind}")
    return text


def compile_key(text: str) -> Key:
    """What `read_key` let pass as a function."""
    kind, _, name = text.partition(":")
    if kind == "client_ip":
        return _client
    if kind == "path":
        return _path
    values = SOURCES[kind]((name.lower() if kind == "header" else name).encode("utf-8"))

    def key(exchange: Exchange) -> bytes | None:
        for value in values(exchange):
            return value or None
        return None

    return key


def _client(exchange: Exchange) -> bytes | None:
    return exchange.client.encode("utf-8") or None


def _path(exchange: Exchange) -> bytes | None:
    return exchange.request.path.encode("utf-8", "surrogateescape")


def _suggested(kind: str, name: str) -> str:
    if kind in PLAIN:
        return f"did you mean {kind}?"
    return f"did you mean {kind}:{name or 'NAME'}?"


KeyText = Annotated[
    str,
    BeforeValidator(read_key),
    WithJsonSchema({"type": "string", "pattern": f"^({'|'.join(PLAIN)}|({'|'.join(NAMED)}):.+)$"}),
]
"""Text that `compile_key` can read."""
