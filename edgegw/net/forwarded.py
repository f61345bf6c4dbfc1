"""The `Forwarded` field of RFC 7239: reading what proxies before us said, and writing what we say."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from edgegw.net.addresses import MAX_HOPS, hop_address

_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_QUOTED = rb'"(?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t \x21-\x7e\x80-\xff])*"'
# Exactly one pair, one separator or the end: no nested repetition, so the scan is linear.
_PAIR = re.compile(rb"[ \t]*(?:(" + _TOKEN + rb")=(" + _TOKEN + rb"|" + _QUOTED + rb"))?[ \t]*(;|,|$)")
_ESCAPE = re.compile(rb"\\(.)")
_IS_TOKEN = re.compile(_TOKEN)
_UNSAFE = re.compile(rb"[\x00-\x1f\x7f]")


class ForwardedHop(NamedTuple):
    """One element: what one proxy said about the hop before it.

    Attributes:
        address: the address of `for=`, canonical, or None (`unknown`, an obfuscated name, a bad port, no `for=`).
        host, proto: as said, unquoted, or None.
    """

    address: str | None
    host: bytes | None = None
    proto: bytes | None = None


def parse_forwarded(values: Sequence[bytes]) -> tuple[ForwardedHop, ...]:
    """The elements of every `Forwarded` field, leftmost first, at most `MAX_HOPS` from the right.

    A value that breaks the grammar says nothing: what stands to its right stays, the value and everything before it is dropped,
    because an attacker's broken element must not shift the ones that trusted proxies appended.
    """
    hops: list[ForwardedHop] = []
    for value in reversed(values):
        elements = _elements(value)
        if elements is None:
            break
        hops[:0] = [_hop(pairs) for pairs in elements]
        if len(hops) >= MAX_HOPS:
            break
    return tuple(hops[-MAX_HOPS:])


def _elements(value: bytes) -> list[dict[bytes, bytes]] | None:
    """The parameters of each element of one value, or None if it is malformed (also: one name twice in an element)."""
    elements: list[dict[bytes, bytes]] = []
    pairs: dict[bytes, bytes] = {}
    position = 0
    while True:
        match = _PAIR.match(value, position)
        if match is None:
            return None
        name, text, separator = match.groups()
        if name is not None:
            name = name.lower()
            if name in pairs:
                return None
            pairs[name] = _ESCAPE.sub(rb"\1", text[1:-1]) if text.startswith(b'"') else text
        if separator != b";":
            if pairs:
                elements.append(pairs)
            pairs = {}
        if separator == b"":
            return elements
        position = match.end()


def _hop(pairs: dict[bytes, bytes]) -> ForwardedHop:
    node = pairs.get(b"for")
    # Inside Forwarded an IPv6 address must stand in brackets (RFC 7239 section 6).
    address = None if node is None or (node.count(b":") > 1 and not node.startswith(b"[")) else hop_address(node)
    return ForwardedHop(address, pairs.get(b"host"), pairs.get(b"proto"))


def format_forwarded(client: str, proto: bytes = b"", host: bytes = b"", by: str = "") -> bytes:
    """One element: `for=192.0.2.1;proto=https;host=shop.example`, each part quoted only where RFC 7239 asks for it.

    Args:
        client: the address we talk to; anything that is not an address (a UNIX socket) is written as `unknown`.
        proto, host: left out when empty.
        by: our own address on that connection; left out when empty.

    Raises:
        ValueError: a part holds a control character.
    """
    parts = [b"for=" + _node(client)]
    if by:
        parts.append(b"by=" + _node(by))
    if proto:
        parts.append(b"proto=" + _value(proto))
    if host:
        parts.append(b"host=" + _value(host))
    return b";".join(parts)


def _node(address: str) -> bytes:
    known = hop_address(address.encode("ascii", "replace"))
    if known is None:
        return b"unknown"
    return b'"[' + known.encode() + b']"' if ":" in known else known.encode()


def _value(text: bytes) -> bytes:
    if _IS_TOKEN.fullmatch(text):
        return text
    if _UNSAFE.search(text):
        raise ValueError("a control character cannot stand in a Forwarded field")
    return b'"' + text.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'
