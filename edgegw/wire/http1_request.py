"""A request head: its lines to a validated `RequestHead`."""

from __future__ import annotations

import re
from typing import NoReturn

from edgegw.wire.connection import connection_options
from edgegw.wire.events import RequestHead
from edgegw.wire.headers import Headers
from edgegw.wire.http1_fields import REQUEST_FIELDS, Refused, parse_headers
from edgegw.wire.http1_framing import body_length
from edgegw.wire.http1_limits import Http1Limits
from edgegw.wire.http1_target import parse_host, parse_target
from edgegw.wire.path import split_plain

_is_token = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+").fullmatch
_is_version = re.compile(r"HTTP/[0-9]\.[0-9]").fullmatch
_VERSIONS = {"HTTP/1.1": "1.1", "HTTP/1.0": "1.0"}


def parse_request_line(line: bytes, limits: Http1Limits) -> tuple[str, str, str]:
    """`METHOD SP target SP HTTP/x.y` to (method, target, `1.0` or `1.1`); RFC 9112 3.

    Raises:
        Refused: 400, 405, 414, 501, 505.
    """
    parts = line.decode("latin-1").split(" ")
    if len(parts) != 3:
        _refuse_request_line(parts)
    method, target, protocol = parts
    version = _VERSIONS.get(protocol)
    if version is None or method not in limits.methods:
        _refuse_method_or_version(method, target, protocol)
    if len(target) > limits.target:
        raise Refused(414, "target_too_long", f"target of {len(target)} bytes")
    return method, target, version


def _refuse_request_line(parts: list[str]) -> NoReturn:
    if len(parts) == 2 and _is_token(parts[0]) and parts[1].startswith("/"):
        raise Refused(400, "http09_request", "a request line without a version")
    raise Refused(400, "malformed_request_line", "the request line is not three words")


def _refuse_method_or_version(method: str, target: str, protocol: str) -> NoReturn:
    if (method, target, protocol) == ("PRI", "*", "HTTP/2.0"):
        raise Refused(400, "http2_preface", "an HTTP/2 preface on an HTTP/1 listener")
    if not _is_token(method):
        raise Refused(400, "bad_method", "the method is not a token")
    if not target:
        raise Refused(400, "malformed_request_line", "an empty target")
    if protocol not in _VERSIONS:
        if _is_version(protocol):
            raise Refused(505, "version_not_supported", protocol)
        raise Refused(400, "bad_version", "the version is not HTTP/x.y")
    if method == "TRACE":
        raise Refused(405, "trace_refused", "TRACE is refused")
    if method == "CONNECT":
        raise Refused(405, "connect_method_refused", "CONNECT is refused")
    raise Refused(501, "unknown_method", f"method {method[:32]!r}")


def build_request(line: bytes, lines: list[bytes], size: int, limits: Http1Limits) -> RequestHead:
    """Request line and header lines (without CRLF, `size` bytes in all) to a head.

    Raises:
        Refused: whatever makes the message ambiguous or malformed.
    """
    method, target, version = parse_request_line(line, limits)
    headers = parse_headers(lines, size, limits.fields, limits.field, REQUEST_FIELDS)
    first = headers.first()
    connection = first.get(b"connection")
    if len(first) != len(headers.fields):
        connection = _check_repeats(headers, connection)
    host: str = ""
    port: int | None = None
    authority = first.get(b"host")
    if authority is not None:
        host, port = parse_host(authority)
    elif version == "1.1":
        raise Refused(400, "missing_host", "HTTP/1.1 without Host")

    redirect = None
    found = split_plain(target)
    if found is not None and target[:1] == "/" and method != "CONNECT":
        path, query = found.groups()
    else:
        read = parse_target(method, target, authority or b"", limits.escaped_slashes)
        path, query, redirect = read.path, read.query, read.redirect
        if authority is None and read.authority is not None:
            authority = read.authority
            host, port = parse_host(authority)

    length = body_length(headers, version, 0)
    keep_alive = version == "1.1"
    upgrade: tuple[bytes, ...] = ()
    if connection is not None:
        keep_alive, upgrade = _read_connection(connection, headers, version, limits)
    expects = b"expect" in first and _expects_continue(headers, version, length)
    return RequestHead(
        method,
        target,
        path,
        query,
        authority or b"",
        host,
        port,
        version,
        headers,
        length,
        keep_alive,
        expects,
        upgrade,
        redirect,
    )


def _check_repeats(headers: Headers, connection: bytes | None) -> bytes | None:
    """Some name occurs twice: fine for most, never for Host. Returns the whole Connection value."""
    if len(headers.get_all(b"host")) > 1:
        raise Refused(400, "duplicate_host", "more than one Host")
    return headers.joined(b"connection") if connection is not None else None


def _read_connection(
    value: bytes, headers: Headers, version: str, limits: Http1Limits
) -> tuple[bool, tuple[bytes, ...]]:
    """(keep_alive, upgrade) of a request with a Connection field."""
    options = connection_options(value)
    if not options.valid:
        raise Refused(400, "bad_connection", "Connection is not a list of tokens")
    name = options.protected
    if name is None and limits.protected:
        name = min(options.names & limits.protected, default=None)
    if name is not None:
        raise Refused(400, "connection_names_protected", f"Connection names {name[:64].decode('latin-1')}")
    if version == "1.0":
        return options.keep_alive and not options.close, ()
    return not options.close, _upgrade_tokens(headers) if options.upgrade else ()


def _upgrade_tokens(headers: Headers) -> tuple[bytes, ...]:
    """What the peer wants to switch to; `h2c` never counts (trust.md H17)."""
    value = (headers.joined(b"upgrade") or b"").lower()
    return tuple(token for part in value.split(b",") if (token := part.strip(b" \t")) and token != b"h2c")


def _expects_continue(headers: Headers, version: str, length: int | None) -> bool:
    value = headers.joined(b"expect") or b""
    if value.lower() != b"100-continue":
        raise Refused(417, "unknown_expectation", "Expect asks for something other than 100-continue")
    return version == "1.1" and length != 0
