"""Where an HTTP/1.x body ends: Content-Length and Transfer-Encoding, strictly (RFC 9112 6; trust.md A3.1)."""

from __future__ import annotations

import re
from typing import NoReturn

from edgegw.wire.headers import Headers
from edgegw.wire.http1_fields import Refused

LONGEST_LENGTH = 2**63 - 1

_is_token = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+").fullmatch


def body_length(headers: Headers, version: str, absent: int) -> int | None:
    """Body bytes that the framing fields announce: None for chunked, `absent` without any.

    Raises:
        Refused: 400 for what two readers could take differently, 501 for codings other than chunked.
    """
    first = headers.first()
    raw = first.get(b"content-length")
    if b"transfer-encoding" in first:
        _check_coding(headers, version, raw)
        return None
    if raw is None:
        return absent
    if len(first) != len(headers.fields) and len(headers.get_all(b"content-length")) > 1:
        raise Refused(400, "duplicate_content_length", "more than one Content-Length")
    return _content_length(raw)


def _check_coding(headers: Headers, version: str, content_length: bytes | None) -> None:
    if content_length is not None:
        raise Refused(400, "both_te_cl", "Transfer-Encoding and Content-Length")
    if version == "1.0":
        raise Refused(400, "te_in_http10", "Transfer-Encoding in HTTP/1.0")
    value = headers.joined(b"transfer-encoding") or b""
    if value.lower() != b"chunked":
        _refuse_coding(value)


def _refuse_coding(value: bytes) -> NoReturn:
    codings = [part.strip(b" \t").lower() for part in value.split(b",")]
    if not all(_is_token(coding.partition(b";")[0].rstrip(b" \t")) for coding in codings):
        raise Refused(400, "bad_transfer_encoding", "empty, or not a list of tokens")
    if codings.count(b"chunked") > 1:
        raise Refused(400, "chunked_twice", "chunked named more than once")
    if b"chunked" in codings[:-1]:
        raise Refused(400, "chunked_not_last", "a coding after chunked")
    raise Refused(501, "unknown_transfer_coding", f"Transfer-Encoding {value[:64]!r}")


def _content_length(raw: bytes) -> int:
    if not raw.isdigit():
        raise Refused(400, "bad_content_length", "Content-Length is not a row of digits")
    # Python refuses to convert more than 4300 digits, so their number is bounded first.
    length = int(raw) if len(raw) <= 19 else LONGEST_LENGTH + 1
    if length > LONGEST_LENGTH:
        raise Refused(400, "content_length_too_large", "Content-Length above 2^63-1")
    return length
