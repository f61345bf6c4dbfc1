"""A response head: its lines to a validated `ResponseHead`. Whatever is refused here is a 502 downstream."""

from __future__ import annotations

import re
from typing import NoReturn

from edgegw.wire.connection import connection_options
from edgegw.wire.events import UNTIL_CLOSE, ResponseHead
from edgegw.wire.http1_fields import RESPONSE_FIELDS, Refused, parse_headers
from edgegw.wire.http1_framing import body_length
from edgegw.wire.http1_limits import Http1Limits

_status_line = re.compile(rb"(HTTP/[0-9]\.[0-9]) ([0-9]{3})(?: ([\t -~\x80-\xff]*))?").fullmatch
_STATUS_LINES = 512
_VERSIONS = {b"HTTP/1.1": "1.1", b"HTTP/1.0": "1.0"}
# Status lines repeat; a bounded memo of valid ones saves a regex each.
_status_lines: dict[bytes, tuple[str, int, bytes]] = {}


def parse_status_line(line: bytes) -> tuple[str, int, bytes]:
    """`HTTP/x.y SP status [SP reason]` to (version, status, reason); RFC 9112 4. The last space may be missing, as it often is.

    Raises:
        Refused: 502.
    """
    known = _status_lines.get(line)
    if known is not None:
        return known
    found = _status_line(line)
    if found is None:
        _refuse_status_line(line)
    version = _VERSIONS.get(found[1])
    if version is None:
        raise Refused(502, "version_not_supported", found[1].decode("ascii"))
    status = int(found[2])
    if not 100 <= status <= 599:
        raise Refused(502, "bad_status", f"status {status}")
    read = (version, status, found[3] or b"")
    if len(line) <= 64:
        if len(_status_lines) >= _STATUS_LINES:
            _status_lines.clear()
        _status_lines[line] = read
    return read


def _refuse_status_line(line: bytes) -> NoReturn:
    if re.match(rb"HTTP/[0-9]\.[0-9] ", line) and not re.match(rb"HTTP/[0-9]\.[0-9] [0-9]{3}(?: |\Z)", line):
        raise Refused(502, "bad_status", "the status is not three digits")
    raise Refused(502, "bad_status_line", "not an HTTP/1 status line")


def build_response(line: bytes, lines: list[bytes], size: int, limits: Http1Limits, method: str) -> ResponseHead:
    """A response head for a request of this method; informational ones too.

    Raises:
        Refused: its status is to be taken for 502.
    """
    version, status, reason = parse_status_line(line)
    headers = parse_headers(lines, size, limits.fields, limits.field, RESPONSE_FIELDS)
    first = headers.first()
    if status < 200 or status == 204:
        # They have no body and must not claim one (RFC 9110 8.6).
        headers.remove(b"content-length")
        length: int | None = 0
    else:
        length = body_length(headers, version, UNTIL_CLOSE)
        if method == "HEAD" or status == 304 or (method == "CONNECT" and status < 300):
            length = 0
    keep_alive = version == "1.1"
    if b"connection" in first:
        options = connection_options(headers.joined(b"connection") or b"")
        keep_alive = options.valid and not options.close and (keep_alive or options.keep_alive)
    return ResponseHead(status, reason, version, headers, length, keep_alive and length != UNTIL_CLOSE)
