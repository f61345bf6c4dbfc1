"""Pairs of a field section to validated heads and trailers (RFC 9113 8.1 to 8.5; reference/trust.md A4 H9 to H15).

What is read here is a template: it is kept with the block it came from, and each stream gets a copy with lists of its own.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from edgegw.wire.events import RequestHead, ResponseHead
from edgegw.wire.headers import Field, Headers
from edgegw.wire.http1_fields import Refused
from edgegw.wire.http1_framing import body_length
from edgegw.wire.http1_limits import TRAILERS_FORBIDDEN, Http1Limits
from edgegw.wire.http1_target import parse_host, parse_target
from edgegw.wire.http2_fields import REQUEST_FIELDS, RESPONSE_FIELDS, FieldTable, Malformed, check_value
from edgegw.wire.http2_hpack import Pair
from edgegw.wire.http2_limits import Http2Limits
from edgegw.wire.path import split_plain

_REQUEST_PSEUDO = frozenset({b":method", b":scheme", b":authority", b":path", b":protocol"})
_RESPONSE_PSEUDO = frozenset({b":status"})
_SCHEMES = frozenset({b"http", b"https"})
_DEFAULT_PORTS = {b"http": 80, b"https": 443}
_MOST_PSEUDO = 5
_LINE = 2  # A field counts as its HTTP/1 line does: name, colon, space, value.

_is_token = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+").fullmatch
_is_status = re.compile(rb"[1-5][0-9][0-9]").fullmatch

_Target = tuple[str, str, str | None, str | None]


def size_of(pairs: Sequence[Pair]) -> int:
    """Bytes of names and values."""
    return sum([len(name) + len(value) for name, value in pairs])


def _check_size(pairs: Sequence[Pair], limits: Http2Limits, http1: Http1Limits) -> None:
    size = size_of(pairs)
    if size > limits.list:
        raise Refused(431, "head_too_large", f"a field section of {size} bytes")
    count = len(pairs) - sum([name[:1] == b":" for name, _ in pairs[:_MOST_PSEUDO]])
    if count > limits.fields:
        raise Refused(431, "too_many_fields", f"{count} fields")
    if size > http1.field - _LINE and any(len(name) + len(value) + _LINE > http1.field for name, value in pairs):
        if not any(name == b":path" and len(value) > http1.target for name, value in pairs):
            raise Refused(431, "field_too_large", "a header field longer than the cap")


def _split(pairs: Sequence[Pair], known: frozenset[bytes], table: FieldTable) -> tuple[dict[bytes, bytes], list[Field]]:
    """(pseudo fields, fields); every pseudo field stands before every field, and once (RFC 9113 8.3)."""
    pseudo: dict[bytes, bytes] = {}
    at = 0
    for name, value in pairs:
        if name[:1] != b":":
            break
        if name in pseudo or name not in known:
            raise Malformed(400, "h2_bad_pseudo", f"pseudo field {name[:32]!r} is unknown or comes twice")
        check_value(value)
        pseudo[name] = value
        at += 1
    return pseudo, [table[pair] for pair in pairs[at:]]


# Requests.


def read_request(pairs: Sequence[Pair], limits: Http2Limits, http1: Http1Limits) -> RequestHead:
    """A request head; its length is the announced one, or None.

    Raises:
        Malformed: RFC 9113 8.1.1. Refused: 400, 405, 414, 417, 431, 501 as for HTTP/1.
    """
    _check_size(pairs, limits, http1)
    pseudo, fields = _split(pairs, _REQUEST_PSEUDO, REQUEST_FIELDS)
    names = {field[0] for field in fields}
    method = pseudo.get(b":method")
    if method is None:
        raise Malformed(400, "h2_missing_pseudo", "no :method")
    protocol = pseudo.get(b":protocol")
    tunnel = method == b"CONNECT" and protocol is None
    if protocol is not None and (method != b"CONNECT" or not limits.extended_connect):
        raise Malformed(400, "h2_bad_pseudo", ":protocol without CONNECT, or not offered")
    _check_presence(pseudo, tunnel)
    if len(names) != len(fields):
        fields = _join_repeats(fields, names)
    authority = _authority(pseudo, fields, names)
    if method.decode("latin-1") not in http1.methods and protocol is None:
        _refuse_method(method)
    host, port = parse_host(authority)
    target, path, query, redirect = _target(pseudo, method, authority, http1)
    if b"host" in names:
        fields = [field for field in fields if field[0] != b"host"]
    headers = Headers([(b"host", b"host", authority), *fields])
    length = _announced(headers) if b"content-length" in names else None
    upgrade: tuple[bytes, ...] = ()
    if protocol is not None:
        method, upgrade = b"GET", _upgrade(protocol, length)
    expects = b"expect" in names and _expects_continue(headers)
    return RequestHead(
        method.decode("ascii"), target, path, query, authority, host, port, "2", headers, length, True, expects,
        upgrade, redirect,
    )  # fmt: skip


def _check_presence(pseudo: dict[bytes, bytes], tunnel: bool) -> None:
    if tunnel:
        if b":scheme" in pseudo or b":path" in pseudo:
            raise Malformed(400, "h2_bad_pseudo", "CONNECT with :scheme or :path")
        return
    if not pseudo.get(b":path"):
        raise Malformed(400, "h2_missing_pseudo", "no :path, or an empty one")
    scheme = pseudo.get(b":scheme")
    if scheme is None:
        raise Malformed(400, "h2_missing_pseudo", "no :scheme")
    if scheme not in _SCHEMES and scheme.lower() not in _SCHEMES:
        raise Refused(400, "h2_bad_scheme", f"scheme {scheme[:32]!r}")


def _join_repeats(fields: list[Field], names: set[bytes]) -> list[Field]:
    """Some name occurs twice: cookie crumbs become one field (RFC 9113 8.2.3), equal Content-Length fields too."""
    if b"cookie" in names:
        crumbs = [value for lower, _, value in fields if lower == b"cookie"]
        at = next(at for at, field in enumerate(fields) if field[0] == b"cookie")
        fields = [field for field in fields if field[0] != b"cookie"]
        fields.insert(at, (b"cookie", b"cookie", b"; ".join(crumbs)))
    return _one_length(fields) if b"content-length" in names else fields


def _one_length(fields: list[Field]) -> list[Field]:
    lengths = [field for field in fields if field[0] == b"content-length"]
    if len(set(lengths)) != 1:
        raise Malformed(400, "duplicate_content_length", "several Content-Length fields that differ")
    at = fields.index(lengths[0])
    return [field for place, field in enumerate(fields) if field[0] != b"content-length" or place == at]


def _authority(pseudo: dict[bytes, bytes], fields: list[Field], names: set[bytes]) -> bytes:
    """:authority, or Host in its place; both must name the same (RFC 9113 8.3.1)."""
    authority = pseudo.get(b":authority")
    if b"host" not in names:
        if not authority:
            raise Malformed(400, "missing_host", "neither :authority nor Host")
        return authority
    hosts = [value for lower, _, value in fields if lower == b"host"]
    if len(hosts) > 1:
        raise Malformed(400, "duplicate_host", "more than one Host")
    if not authority:
        if not hosts[0] or authority is not None:
            raise Malformed(400, "missing_host", "an empty authority")
        return hosts[0]
    if hosts[0] != authority:
        default = _DEFAULT_PORTS.get(pseudo.get(b":scheme", b"").lower())
        one, other = parse_host(authority), parse_host(hosts[0])
        if one[0] != other[0] or (one[1] or default) != (other[1] or default):
            raise Malformed(400, "host_mismatch", ":authority and Host differ")
    return authority


def _refuse_method(method: bytes) -> None:
    if not _is_token(method):
        raise Refused(400, "bad_method", "the method is not a token")
    if method == b"TRACE":
        raise Refused(405, "trace_refused", "TRACE is refused")
    if method == b"CONNECT":
        raise Refused(405, "connect_method_refused", "CONNECT is refused")
    raise Refused(501, "unknown_method", f"method {method[:32]!r}")


def _target(pseudo: dict[bytes, bytes], method: bytes, authority: bytes, http1: Http1Limits) -> _Target:
    """(target, path, query, redirect); only the origin form, and `*` for OPTIONS."""
    if b":path" not in pseudo:
        target = authority.decode("latin-1")
        return target, parse_target("CONNECT", target, authority, http1.escaped_slashes).path, None, None
    target = pseudo[b":path"].decode("latin-1")
    if len(target) > http1.target:
        raise Refused(414, "target_too_long", f"target of {len(target)} bytes")
    if target[0] != "/":
        if target == "*" and method == b"OPTIONS":
            return target, "*", None, None
        raise Refused(400, "bad_target", ":path is neither a path nor the * of OPTIONS")
    found = split_plain(target)
    if found is not None:
        path, query = found.groups()
        return target, path, query, None
    read = parse_target("GET", target, b"", http1.escaped_slashes)
    return target, read.path, read.query, read.redirect


def _upgrade(protocol: bytes, length: int | None) -> tuple[bytes, ...]:
    if protocol != b"websocket":
        raise Refused(501, "unknown_method", f"CONNECT for protocol {protocol[:32]!r}")
    if length is not None:
        raise Malformed(400, "h2_length_mismatch", "extended CONNECT with a Content-Length")
    return (b"websocket",)


def _announced(headers: Headers) -> int | None:
    try:
        return body_length(headers, "2", 0)
    except Refused as error:
        raise Malformed(error.status, error.reason, error.detail) from None


def _expects_continue(headers: Headers) -> bool:
    if (headers.joined(b"expect") or b"").lower() != b"100-continue":
        raise Refused(417, "unknown_expectation", "Expect asks for something other than 100-continue")
    return True


def copy_request(head: RequestHead, ended: bool) -> RequestHead:
    """A head of this stream's own. ended: nothing follows it.

    Raises:
        Malformed: it announces a body that does not come.
    """
    length = head.length
    if ended:
        if length:
            raise Malformed(400, "h2_length_mismatch", "Content-Length, and no body")
        length = 0
    return RequestHead(
        head.method, head.target, head.path, head.query, head.authority, head.host, head.port, "2",
        Headers(head.headers.fields.copy()), length, True, head.expect_continue and length != 0, head.upgrade, head.redirect,
    )  # fmt: skip


# Responses.


def read_response(pairs: Sequence[Pair], limits: Http2Limits, http1: Http1Limits) -> ResponseHead:
    """A response head, informational ones too; its length is the announced one, or None.

    Raises:
        Refused: its status is to be taken for 502.
    """
    _check_size(pairs, limits, http1)
    pseudo, fields = _split(pairs, _RESPONSE_PSEUDO, RESPONSE_FIELDS)
    raw = pseudo.get(b":status")
    if raw is None:
        raise Refused(502, "bad_status", "no :status")
    if not _is_status(raw):
        raise Refused(502, "bad_status", f"status {raw[:16]!r}")
    status = int(raw)
    if status == 101:
        raise Refused(502, "unasked_101", "101 in HTTP/2")
    names = {field[0] for field in fields}
    length: int | None = None
    if b"content-length" in names:
        if len(names) != len(fields):
            fields = _one_length(fields)
        if status < 200 or status == 204:
            # They have no body and must not claim one (RFC 9110 8.6).
            fields = [field for field in fields if field[0] != b"content-length"]
        else:
            length = _announced(Headers(fields))
    if status < 200 or status == 204:
        length = 0
    return ResponseHead(status, b"", "2", Headers(fields), length, True)


def copy_response(head: ResponseHead, length: int | None) -> ResponseHead:
    """A head of this stream's own, with this length."""
    return ResponseHead(head.status, b"", "2", Headers(head.headers.fields.copy()), length, True)


# Trailers.


def read_trailers(pairs: Sequence[Pair], http1: Http1Limits, table: FieldTable) -> tuple[Field, ...]:
    """The trailers that are passed on, by the same rules as behind a chunked body.

    Raises:
        Refused, Malformed: 400.
    """
    if len(pairs) > http1.fields or size_of(pairs) > http1.trailer:
        raise Refused(400, "trailer_too_large", f"{len(pairs)} trailer fields")
    fields = [table[pair] for pair in pairs]
    allowed = http1.trailers_allowed
    return tuple(
        [field for field in fields if field[0] not in TRAILERS_FORBIDDEN and (allowed is None or field[0] in allowed)]
    )
