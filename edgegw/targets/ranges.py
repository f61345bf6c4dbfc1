"""Byte ranges (RFC 9110 14): which bytes were asked for, and the framing of several of them."""

from __future__ import annotations

import re
from typing import NamedTuple

MAX_RANGES = 16
"""More of them in one request are taken for an attack, and answered with the whole file (RFC 9110 14.2, CVE-2011-3192)."""

_is_range = re.compile(r"[ \t]*(?:([0-9]{1,18})-([0-9]{0,18})|-([0-9]{1,18}))[ \t]*").fullmatch


class Span(NamedTuple):
    """Bytes `begin` to `end` of a file, `end` not included."""

    begin: int
    end: int


def parse_ranges(value: bytes | None, size: int) -> list[Span] | None:
    """The satisfiable ranges, in the order asked for.

    Returns:
        None when there is no Range or it is to be ignored (another unit, bad syntax, too many, more than the whole file together);
        an empty list when no range can be satisfied (416).
    """
    unit, equals, listed = (value or b"").decode("latin-1").partition("=")
    if not equals or unit.strip().lower() != "bytes":
        return None
    pieces = [piece for piece in listed.split(",") if piece.strip()]
    if not pieces or len(pieces) > MAX_RANGES:
        return None
    spans: list[Span] = []
    for piece in pieces:
        found = _is_range(piece)
        if found is None:
            return None
        first, last, tail = found.groups()
        if tail is not None:
            span = Span(max(size - int(tail), 0), size)
        else:
            if last and int(last) < int(first):
                return None
            span = Span(int(first), min(int(last) + 1, size) if last else size)
        if span.begin < span.end:
            spans.append(span)
    return spans if sum(span.end - span.begin for span in spans) <= size else None


def content_range(span: Span, size: int) -> bytes:
    """The value of Content-Range."""
    return b"bytes %d-%d/%d" % (span.begin, span.end - 1, size)


def multipart(spans: list[Span], size: int, content_type: bytes, boundary: bytes) -> list[bytes | Span]:
    """The content of a multipart/byteranges answer: framing as bytes, what comes from the file as spans."""
    pieces: list[bytes | Span] = []
    for span in spans:
        head = b"\r\n--%s\r\nContent-Type: %s\r\nContent-Range: %s\r\n\r\n"
        pieces += [head % (boundary, content_type, content_range(span, size)), span]
    pieces.append(b"\r\n--%s--\r\n" % boundary)
    return pieces


def length_of(pieces: list[bytes | Span]) -> int:
    """How many bytes the pieces come to."""
    return sum(piece.end - piece.begin if isinstance(piece, Span) else len(piece) for piece in pieces)
