"""The Connection field and what travels one hop only (RFC 9110 7.6.1; reference/trust.md A3.5)."""

from __future__ import annotations

import re
from typing import NamedTuple

from edgegw.wire.headers import Headers

HOP_BY_HOP = frozenset(
    {
        b"connection", b"http2-settings", b"keep-alive", b"proxy-authenticate", b"proxy-authorization",
        b"proxy-connection", b"te", b"trailer", b"transfer-encoding", b"upgrade",
    }
)  # fmt: skip
"""Fields that are never forwarded as they came."""

_HOP_BY_HOP_BUT_TE = HOP_BY_HOP - {b"te"}

PROTECTED = frozenset(
    {
        b"authorization", b"cache-control", b"content-encoding", b"content-length", b"content-range", b"content-type",
        b"cookie", b"date", b"expect", b"forwarded", b"host", b"location", b"origin", b"range", b"set-cookie",
        b"traceparent", b"tracestate", b"vary", b"via", b"x-real-ip", b"x-request-id",
    }
)  # fmt: skip
"""Fields that a Connection token may not take away: routing, framing, credentials and what the gateway itself sets."""

_PROTECTED_PREFIXES = (b"x-forwarded-", b"x-client-cert", b"x-edgegw-", b"x-b3-")

_is_token_list = re.compile(rb"[ \t,]*(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]+[ \t]*(?:,[ \t,]*|\Z))*").fullmatch
_MEMO_SIZE = 256


class ConnectionOptions(NamedTuple):
    """What a Connection value says.

    names: every token in lower case. drop: names of fields that are not forwarded. valid: it is a list of tokens.
    protected: the first token that names a protected field, else None.
    """

    close: bool
    keep_alive: bool
    upgrade: bool
    names: frozenset[bytes]
    drop: frozenset[bytes]
    valid: bool
    protected: bytes | None


def is_protected(lower: bytes) -> bool:
    """Whether a peer's Connection may not name this field."""
    return lower in PROTECTED or lower.startswith(_PROTECTED_PREFIXES)


def connection_options(value: bytes) -> ConnectionOptions:
    """Read a Connection value (all lines joined by commas)."""
    found = _memo.get(value)
    if found is None:
        found = _read(value)
        if len(value) <= 64:
            if len(_memo) >= _MEMO_SIZE:
                _memo.clear()
            _memo[value] = found
    return found


# The same few values come with nearly every message.
_memo: dict[bytes, ConnectionOptions] = {}


def _read(value: bytes) -> ConnectionOptions:
    tokens = [token for token in (part.strip(b" \t") for part in value.lower().split(b",")) if token]
    names = frozenset(tokens)
    return ConnectionOptions(
        close=b"close" in names,
        keep_alive=b"keep-alive" in names,
        upgrade=b"upgrade" in names,
        names=names,
        drop=HOP_BY_HOP.union(name for name in names if not is_protected(name)),
        valid=_is_token_list(value) is not None,
        protected=next((token for token in tokens if is_protected(token)), None),
    )


def hop_by_hop(headers: Headers) -> frozenset[bytes]:
    """Lower-case names of the fields to leave out when a message is forwarded.

    The fixed list and what Connection names, never a protected field; TE stays when it says exactly `trailers`.
    """
    first = headers.first()
    value = first.get(b"connection")
    te = first.get(b"te")
    if value is None:
        if te is None:
            return HOP_BY_HOP
        drop = HOP_BY_HOP
    else:
        if len(first) != len(headers.fields):
            value = headers.joined(b"connection") or b""
        drop = connection_options(value).drop
    if te is not None and te.lower() == b"trailers" and headers.get_all(b"te") == [te]:
        return _HOP_BY_HOP_BUT_TE if drop is HOP_BY_HOP else drop - {b"te"}
    return drop
