"""Conditional requests (RFC 9110 13): whether a representation is wanted at all, and whether a range of it may be sent."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from typing import Literal

from edgegw.wire.headers import Headers

Verdict = Literal[200, 304, 412]

_entity_tags = re.compile(rb'\s*(?:,\s*)*(W/)?"([\x21\x23-\x7e\x80-\xff]*)"\s*(?=,|\Z)')


def http_date(seconds: float) -> bytes:
    """Seconds since the epoch as RFC 9110 5.6.7 writes them."""
    return format_datetime(datetime.fromtimestamp(int(seconds), UTC), usegmt=True).encode("ascii")


def evaluate(headers: Headers, etag: bytes, modified_s: float) -> Verdict:
    """What a GET or HEAD for an existing representation is answered (RFC 9110 13.2.2).

    Args:
        etag: its entity tag, with quotes, `W/` before it when it is weak. modified_s: seconds since the epoch.
    """
    if_match = headers.joined(b"if-match")
    if if_match is not None:
        if not _lists(if_match, etag, strong=True):
            return 412
    else:
        since = _seconds(headers.get(b"if-unmodified-since"))
        if since is not None and int(modified_s) > since:
            return 412
    if_none_match = headers.joined(b"if-none-match")
    if if_none_match is not None:
        return 304 if _lists(if_none_match, etag, strong=False) else 200
    since = _seconds(headers.get(b"if-modified-since"))
    return 304 if since is not None and int(modified_s) <= since else 200


def range_applies(headers: Headers, etag: bytes, modified_s: float) -> bool:
    """Whether If-Range lets a Range stand (RFC 9110 13.1.5): its validator must be strong and match exactly."""
    value = headers.get(b"if-range")
    if value is None:
        return True
    if value.startswith((b'"', b"W/")):
        return value == etag and not etag.startswith(b"W/")
    # A date is a weak validator unless the file is known to have rested since; a weak tag says that it has not.
    return _seconds(value) == int(modified_s) and not etag.startswith(b"W/")


def _lists(value: bytes, etag: bytes, strong: bool) -> bool:
    if value.strip() == b"*":
        return True
    weak = etag.startswith(b"W/")
    wanted = etag.removeprefix(b"W/")[1:-1]
    if strong and weak:
        return False
    return any(tag == wanted and not (strong and mark) for mark, tag in _entity_tags.findall(value))


def _seconds(value: bytes | None) -> int | None:
    """A date, or None when it isn't one: such a field is ignored."""
    if value is None:
        return None
    try:
        moment = parsedate_to_datetime(value.decode("latin-1"))
        return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
    except (ValueError, TypeError, OverflowError):
        return None
