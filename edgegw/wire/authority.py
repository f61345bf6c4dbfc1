"""`host[:port]` as Host and :authority carry it (RFC 9110 4.2, 7.2; RFC 3986 3.2.2)."""

from __future__ import annotations

import re
from ipaddress import IPv6Address

_MEMO_SIZE = 1024

_authority = re.compile(
    rb"(?:(?P<name>(?:[A-Za-z0-9_](?:[A-Za-z0-9_-]*[A-Za-z0-9_])?\.)*[A-Za-z0-9_](?:[A-Za-z0-9_-]*[A-Za-z0-9_])?\.?)"
    rb"|\[(?P<six>[0-9A-Fa-f:.]{2,45})\])(?::(?P<port>[0-9]{1,5}))?"
).fullmatch


class AuthorityError(ValueError):
    """Not a host with an optional port."""


def parse_authority(value: bytes) -> tuple[str, int | None]:
    """Split and validate an authority without user information.

    Underscores are let through (container names have them); percent-encoding, zone ids and empty ports are not.

    Returns:
        (host, port): host in lower case without brackets and trailing dot; port 1-65535 or None.

    Raises:
        AuthorityError: anything else.
    """
    found = _memo.get(value)
    if found is None:
        found = _parse(value)
        if len(_memo) >= _MEMO_SIZE:
            _memo.clear()
        _memo[value] = found
    return found


# Hosts repeat from request to request; a memo of valid ones saves a regex each. Bounded, and pure, so it is no shared state.
_memo: dict[bytes, tuple[str, int | None]] = {}


def _parse(value: bytes) -> tuple[str, int | None]:
    if len(value) > 261:  # 255 octets of name and a port.
        raise AuthorityError("the host is longer than 255 octets")
    found = _authority(value)
    if found is None:
        raise AuthorityError("not host[:port]")
    digits = found["port"]
    port = int(digits) if digits is not None else None
    if port is not None and not 0 < port < 65536:
        raise AuthorityError("the port is not in 1-65535")
    if found["six"] is not None:
        return _six(found["six"].decode("ascii")), port
    return found["name"].decode("ascii").lower().removesuffix("."), port


def _six(text: str) -> str:
    try:
        return IPv6Address(text).compressed
    except ValueError:
        raise AuthorityError("not an IPv6 address") from None
