"""The request target in its four forms (RFC 9112 3.2), and Host."""

from __future__ import annotations

import re

from edgegw.wire.authority import AuthorityError, parse_authority
from edgegw.wire.http1_fields import Refused
from edgegw.wire.path import EscapedSlashes, PathError, check_query, normalise

_absolute = re.compile(r"(https?)://([^/?#]*)(.*)", re.IGNORECASE).fullmatch
_DEFAULT_PORTS = {"http": 80, "https": 443}


class Target:
    """A request target, read: path is normal; authority is what it names itself, as it came, or None."""

    __slots__ = ("authority", "path", "query", "redirect")

    def __init__(
        self, path: str, query: str | None = None, redirect: str | None = None, authority: bytes | None = None
    ) -> None:
        self.path = path
        self.query = query
        self.redirect = redirect
        self.authority = authority


def parse_host(value: bytes) -> tuple[str, int | None]:
    """A Host value to (host, port).

    Raises:
        Refused: 400 `bad_host`.
    """
    try:
        return parse_authority(value)
    except AuthorityError as error:
        raise Refused(400, "bad_host", str(error)) from None


def parse_target(method: str, target: str, host: bytes, slashes: EscapedSlashes) -> Target:
    """Read any form of target; `host` is the Host value, empty without one.

    Raises:
        Refused: 400.
    """
    if method == "CONNECT":
        return _authority_form(target, host)
    if target[:1] == "/":
        return _origin_form(target, slashes)
    if target == "*" and method == "OPTIONS":
        return Target("*")
    found = _absolute(target)
    if found is None:
        raise Refused(400, "bad_target", "none of the four forms of a request target")
    scheme, authority, rest = found.groups()
    raw = authority.encode("latin-1")
    named = _target_authority(raw)
    if host and not _same(named, parse_host(host), _DEFAULT_PORTS[scheme.lower()]):
        raise Refused(400, "host_mismatch", "the target names another authority than Host")
    if not rest and method == "OPTIONS":
        return Target("*", authority=raw)
    read = _origin_form(rest if rest[:1] == "/" else "/" + rest, slashes)
    read.authority = raw
    return read


def _origin_form(target: str, slashes: EscapedSlashes) -> Target:
    path, mark, query = target.partition("?")
    try:
        normal = normalise(path, slashes)
        return Target(normal.path, check_query(query) if mark else None, normal.redirect)
    except PathError as error:
        raise Refused(400, error.reason, error.detail) from None


def _authority_form(target: str, host: bytes) -> Target:
    raw = target.encode("latin-1")
    named = _target_authority(raw)
    if named[1] is None:
        raise Refused(400, "bad_target", "CONNECT needs host:port")
    if host and not _same(named, parse_host(host), named[1]):
        raise Refused(400, "host_mismatch", "the target names another authority than Host")
    return Target("/", authority=raw)


def _target_authority(raw: bytes) -> tuple[str, int | None]:
    try:
        return parse_authority(raw)
    except AuthorityError as error:
        raise Refused(400, "bad_target", str(error)) from None


def _same(one: tuple[str, int | None], other: tuple[str, int | None], default_port: int) -> bool:
    return one[0] == other[0] and (one[1] or default_port) == (other[1] or default_port)
