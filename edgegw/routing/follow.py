"""How an answer's own words about places follow a rewrite, so that a browser that obeys them comes back to the same route."""

from __future__ import annotations

import ipaddress
import re
from typing import NamedTuple

from edgegw.wire.authority import AuthorityError, parse_authority
from edgegw.wire.headers import Field, Headers

_PLACES = frozenset({b"location", b"content-location"})
_split_uri = re.compile(rb"(?:([A-Za-z][A-Za-z0-9+.-]*):)?//([^/?#]*)(.*)", re.DOTALL).fullmatch


class Followed(NamedTuple):
    """The way back.

    outer, inner: path prefixes as the downstream side and the target see them, without a slash at the end. scheme, authority: of
    the request as it came. target: the authority that the target saw instead, or None.
    """

    outer: str
    inner: str
    scheme: str
    authority: bytes
    target: bytes | None

    def apply(self, headers: Headers) -> None:
        """Rewrite the fields that name places, in place; those that name other places stay."""
        if any(lower in _PLACES or lower == b"set-cookie" for lower, _, _ in headers.fields):
            headers.replace([self._field(field) for field in headers.fields])

    def _field(self, field: Field) -> Field:
        lower, name, value = field
        if lower in _PLACES:
            return lower, name, self.place(value)
        if lower == b"set-cookie":
            return lower, name, self.cookie(value)
        return field

    def place(self, value: bytes) -> bytes:
        """A URI reference; relative ones stay."""
        found = _split_uri(value)
        if found is None:
            return self.path(value) if value.startswith(b"/") else value
        scheme, authority, path = found[1], found[2], found[3]
        if self.target is not None and _same(authority, self.target):
            scheme, authority = scheme and self.scheme.encode("ascii"), self.authority
        elif not _same(authority, self.authority):
            return value
        return (
            (scheme + b":" if scheme else b"")
            + b"//"
            + authority
            + (self.path(path) if path.startswith(b"/") else path)
        )

    def path(self, path: bytes) -> bytes:
        """An absolute path (with query and fragment) that begins with the inner prefix, on a whole segment."""
        inner, outer = self.inner.encode("ascii"), self.outer.encode("ascii")
        rest = path[len(inner) :]
        if inner == outer or not path.startswith(inner) or (rest and rest[:1] not in b"/?#;"):
            return path
        made = outer + rest
        return made if made.startswith(b"/") else b"/" + made

    def cookie(self, value: bytes) -> bytes:
        """A Set-Cookie value. `__Host-` cookies must keep `Path=/` and have no domain."""
        if value.startswith(b"__Host-"):
            return value
        parts = value.split(b";")
        kept = parts[:1]
        for part in parts[1:]:
            key, equals, text = part.partition(b"=")
            attribute = key.strip().lower()
            if equals and attribute == b"path" and text.strip().startswith(b"/"):
                kept.append(key + b"=" + self._cookie_path(text.strip()))
            elif equals and attribute == b"domain" and self._is_targets(text.strip()):
                host = _name(self.authority)
                kept.extend([key + b"=" + host] if _is_domain(host) else [])
            else:
                kept.append(part)
        return b";".join(kept)

    def _cookie_path(self, path: bytes) -> bytes:
        """`/` at the target's root is the outer prefix itself, so that requests for exactly that get the cookie too."""
        mapped = self.path(path)
        return mapped.rstrip(b"/") or b"/" if path == b"/" else mapped

    def _is_targets(self, domain: bytes) -> bool:
        if self.target is None:
            return False
        host, wanted = _name(self.target), domain.lower().lstrip(b".")
        return host == wanted or (wanted != b"" and host.endswith(b"." + wanted))


def _same(one: bytes, two: bytes) -> bool:
    return one.lower() == two.lower()


def _name(authority: bytes) -> bytes:
    try:
        return parse_authority(authority)[0].encode("ascii")
    except AuthorityError:
        return b""


def _is_domain(host: bytes) -> bool:
    """Whether a cookie may have it as its domain: browsers refuse addresses and single labels."""
    try:
        ipaddress.ip_address(host.decode("ascii"))
        return False
    except ValueError:
        return b"." in host
