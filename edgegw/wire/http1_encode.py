"""Heads and chunks to bytes: the second lock behind the guard.

Whatever a handler, a rewrite rule or a bug put into a head, it leaves only if its line breaks are exactly those written here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from http import HTTPStatus

from edgegw.errors import GatewayError, Phase, Side
from edgegw.wire.headers import Field
from edgegw.wire.http1_limits import METHODS

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
"""The answer to `Expect: 100-continue` when somebody wants the body."""

LAST_CHUNK = b"0\r\n\r\n"

_is_method = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+").fullmatch
_is_target = re.compile(r"[!-~]+").fullmatch
_is_name = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+").fullmatch
_BREAKS = b"\r\n\x00"
_NAMES = 2048
_LINES = 512

_PHRASES: dict[int, bytes] = {int(status): status.phrase.encode("ascii") for status in HTTPStatus}
# As RFC 9110 calls them; Python's names are older.
_PHRASES.update(
    {413: b"Content Too Large", 414: b"URI Too Long", 416: b"Range Not Satisfiable", 422: b"Unprocessable Content"}
)
_STATUS_LINES: dict[tuple[int, bytes], bytes] = {}
"""Status lines by (status, reason), as they were first needed; bounded."""


class _SafeNames(dict[bytes, bytes]):
    """Field name to what is written before its value; a name is checked when it is new."""

    def __missing__(self, name: bytes) -> bytes:
        if not _is_name(name):
            raise _unsafe(f"field name {name[:64]!r}")
        if len(self) >= _NAMES:
            self.clear()
        opening = self[name] = b"\r\n" + name + b": "
        return opening


_OPENINGS = _SafeNames()


def encode_request_head(method: str, target: str, fields: Sequence[Field]) -> bytes:
    """A request head for an upstream, always HTTP/1.1. The target is sent as it is; the caller has put Host among the fields.

    Raises:
        GatewayError: 500 `unsafe_head` if a line break, NUL or malformed name would be sent.
    """
    if not _is_target(target) or (method not in METHODS and not _is_method(method)):
        raise _unsafe("method or target")
    return _head(f"{method} {target} HTTP/1.1".encode("ascii"), fields)


def encode_response_head(status: int, reason: bytes, fields: Sequence[Field]) -> bytes:
    """A response head for a downstream peer; an empty reason becomes the standard one.

    Raises:
        GatewayError: 500 `unsafe_head`.
    """
    line = _STATUS_LINES.get((status, reason)) or _status_line(status, reason)
    return _head(line, fields)


def encode_informational(status: int, fields: Sequence[Field]) -> bytes:
    """A 1xx head other than 100 (103 Early Hints, 102); a 101 is written by `encode_response_head`.

    Raises:
        GatewayError: 500 `unsafe_head`, also when the status is not 1xx.
    """
    if not 100 <= status < 200:
        raise _unsafe(f"informational status {status}")
    return encode_response_head(status, b"", fields)


def encode_chunk(data: bytes) -> bytes:
    """One chunk; nothing for empty data, which would end the body."""
    return b"%x\r\n%b\r\n" % (len(data), data) if data else b""


def encode_last_chunk(trailers: Sequence[Field] = ()) -> bytes:
    """The end of a chunked body.

    Raises:
        GatewayError: 500 `unsafe_head`.
    """
    return _head(b"0", trailers) if trailers else LAST_CHUNK


def _head(line: bytes, fields: Sequence[Field]) -> bytes:
    openings = _OPENINGS
    head = b"".join([line, *[openings[name] + value for _, name, value in fields], b"\r\n\r\n"])
    # One pass: each of our line breaks is two of them, and there may be no other.
    if len(head) - len(head.translate(None, _BREAKS)) != 2 * len(fields) + 4:
        raise _unsafe("a line break or NUL in a field")
    return head


def _status_line(status: int, reason: bytes) -> bytes:
    if not 100 <= status <= 599:
        raise _unsafe(f"status {status}")
    line = b"HTTP/1.1 %d %b" % (status, reason or _PHRASES.get(status, b""))
    if len(reason) <= 64:
        if len(_STATUS_LINES) >= _LINES:
            _STATUS_LINES.clear()
        _STATUS_LINES[status, reason] = line
    return line


def _unsafe(what: str) -> GatewayError:
    return GatewayError(500, "unsafe_head", side=Side.GATEWAY, phase=Phase.SEND, detail=what, close=True)
