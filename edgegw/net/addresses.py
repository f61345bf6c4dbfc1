"""Addresses: CIDR sets, whose request it is (reference/trust.md A3.5), and which endpoints may be connected to (A5, SSRF).

Everything here works on the canonical text of an address: lower case, shortest form, IPv4-mapped IPv6 as plain IPv4, no zone.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple

UNIX = "unix"
"""Stands for a peer on a UNIX socket, wherever an address or a network may stand."""

MAX_HOPS = 50
"""Entries of X-Forwarded-For or Forwarded that are looked at, from the right."""

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_MAPPED = ipaddress.IPv6Network("::ffff:0:0/96")
_MEMO_MAX = 4096
_MEMO_KEY_MAX = 64


def _parse(text: str) -> _Address | None:
    # No literal is so long; and what is remembered is bounded in length too.
    return _parsed(text) if len(text) <= _MEMO_KEY_MAX else None


@lru_cache(maxsize=_MEMO_MAX)
def _parsed(text: str) -> _Address | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address.scope_id is not None:
            return ipaddress.IPv6Address(int(address))
    return address


def canonical(text: str) -> str | None:
    """The canonical text of an address literal, or None if it is not one.

    Only four decimal parts make an IPv4 address here: `0`, `127.1`, `0x7f.1` and `2130706433` are not addresses, although
    getaddrinfo would take them for some (see `ends_in_number`).
    """
    return _canonical(text) if len(text) <= _MEMO_KEY_MAX else None


@lru_cache(maxsize=_MEMO_MAX)
def _canonical(text: str) -> str | None:
    address = _parse(text)
    return None if address is None else str(address)


def ends_in_number(host: str) -> bool:
    """Whether the last label is a number, so that resolvers may read the host as an IPv4 address (WHATWG URL, same name)."""
    last = host.rstrip(".").rpartition(".")[2].lower()
    return last.isdigit() or (last.startswith("0x") and all(c in "0123456789abcdef" for c in last[2:]))


class CidrSet:
    """A set of networks that is asked per request: answers are remembered, a miss costs one look-up per prefix length.

    Args:
        networks: `10.0.0.0/8`, `2001:db8::/32`, single addresses, or `unix` for peers on UNIX sockets.

    Raises:
        ValueError: a network is not one, or has host bits set; the message names it.
    """

    __slots__ = ("_masks", "_memo", "_texts", "_unix")

    def __init__(self, networks: Iterable[str] = ()) -> None:
        self._texts = tuple(networks)
        self._unix = UNIX in self._texts
        self._memo: dict[str, bool] = {}
        prefixes: dict[tuple[int, int], set[int]] = {}
        for text in self._texts:
            if text == UNIX:
                continue
            network = parse_network(text)
            shift = network.max_prefixlen - network.prefixlen
            prefixes.setdefault((network.version, shift), set()).add(int(network.network_address) >> shift)
        self._masks = tuple((version, shift, frozenset(heads)) for (version, shift), heads in prefixes.items())

    def __contains__(self, address: str) -> bool:
        """Whether an address lies in one of the networks; anything that is not an address does not."""
        known = self._memo.get(address)
        if known is None:
            known = self._look_up(address)
            if len(address) <= _MEMO_KEY_MAX:
                if len(self._memo) >= _MEMO_MAX:
                    self._memo.clear()
                self._memo[address] = known
        return known

    def _look_up(self, text: str) -> bool:
        if text == UNIX:
            return self._unix
        address = _parse(text)
        if address is None:
            return False
        version, number = address.version, int(address)
        return any(number >> shift in heads for family, shift, heads in self._masks if family == version)

    def __bool__(self) -> bool:
        return bool(self._texts)

    def __repr__(self) -> str:
        return f"<CidrSet {', '.join(self._texts) or 'empty'}>"


def parse_network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    """One network in CIDR notation or one address; IPv4-mapped IPv6 becomes IPv4.

    Raises:
        ValueError: with a message for operators.
    """
    try:
        network = ipaddress.ip_network(text)
    except ValueError:
        try:
            loose = ipaddress.ip_network(text, strict=False)
        except ValueError:
            raise ValueError(f'"{text}" is not a network; write it like 10.0.0.0/8 or 2001:db8::/32') from None
        raise ValueError(f'"{text}" has bits set behind the prefix; did you mean "{loose}"?') from None
    if isinstance(network, ipaddress.IPv6Network) and network.subnet_of(_MAPPED):
        mapped = network.network_address.ipv4_mapped
        return ipaddress.ip_network(f"{mapped}/{network.prefixlen - 96}")
    return network


class Resolved(NamedTuple):
    """Whose request it is.

    Attributes:
        client: the client's address, canonical text (or `unix`).
        hops: the believed part of the path, the client first and the direct peer last: the value of the X-Forwarded-For that
            goes upstream. What a client wrote itself to the left of its own address is not in it.
        trusted: the direct peer is a trusted proxy, so its X-Forwarded-Proto and -Host may be believed too.
    """

    client: str
    hops: tuple[str, ...]
    trusted: bool


def client_address(peer: str, xff_values: Sequence[bytes], trusted: CidrSet) -> Resolved:
    """The client's address: A3.5 step 2.

    An untrusted peer is the client, whatever it says. Behind a trusted peer X-Forwarded-For is walked from the right over
    trusted hops; the first one that is not trusted is the client. An entry that is not an address (`unknown`, `_hidden`, a bad
    port) ends the walk: the hop that reported it is the client, because nothing behind it can be told apart from a lie.

    Args:
        peer: the address of the connection's other end (after PROXY protocol), or `unix`.
        xff_values: the values of every X-Forwarded-For field, in order of arrival.
        trusted: `trusted_proxies` of the listener.
    """
    if peer not in trusted:
        client = canonical(peer) or peer
        return Resolved(client, (client,), False)
    return walk(peer, [hop_address(entry) for entry in _last_entries(xff_values)], trusted)


def walk(peer: str, reported: Sequence[str | None], trusted: CidrSet) -> Resolved:
    """The walk itself, for a peer that is trusted.

    Args:
        reported: what the hops reported, leftmost first, at most `MAX_HOPS`; None for what is not an address.
    """
    hops = [canonical(peer) or peer]
    for address in reversed(reported):
        if address is None:
            break
        hops.append(address)
        if address not in trusted:
            break
    hops.reverse()
    return Resolved(hops[0], tuple(hops), True)


def _last_entries(values: Sequence[bytes]) -> list[bytes]:
    """The last `MAX_HOPS` non-empty entries of a list field, leftmost first (RFC 9110 5.6.1: empty elements are ignored)."""
    entries: list[bytes] = []
    for value in reversed(values):
        # Splitting is bounded too: a value made of commas alone costs no more than a full list.
        parts = value.rsplit(b",", 2 * MAX_HOPS)
        entries.extend(part for part in map(bytes.strip, reversed(parts)) if part)
        if len(entries) >= MAX_HOPS:
            break
    entries = entries[:MAX_HOPS]
    entries.reverse()
    return entries


def hop_address(node: bytes) -> str | None:
    """The address in one hop entry, canonical, or None: `1.2.3.4`, `1.2.3.4:567`, `::1`, `[::1]`, `[::1]:567`, also in quotes."""
    return _hop_address(node) if len(node) <= _MEMO_KEY_MAX else None


@lru_cache(maxsize=_MEMO_MAX)
def _hop_address(node: bytes) -> str | None:
    text = node.decode("ascii", "replace").strip()
    if len(text) >= 2 and text[0] == text[-1] == '"':
        text = text[1:-1]
    host, port = text, ""
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or ":" not in host or not (rest == "" or rest.startswith(":")):
            return None
        port = rest
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
        port = ":" + port
    if port and not _is_port(port[1:]):
        return None
    return canonical(host) if "%" not in host else None


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 5 and int(text) <= 65535


_NEVER = {
    "unspecified": ("0.0.0.0/8", "::/128"),
    "loopback": ("127.0.0.0/8", "::1/128"),
    "link_local": ("169.254.0.0/16", "fe80::/10"),
    "multicast": ("224.0.0.0/4", "ff00::/8"),
    "reserved": ("240.0.0.0/4",),
    # Metadata services of clouds that do not sit on a link-local address.
    "metadata": ("100.100.100.200/32", "168.63.129.16/32", "fd00:ec2::254/128"),
}
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_COMPATIBLE = ipaddress.IPv6Network("::/96")


class AddressPolicy:
    """Which addresses a discovered or admin-added endpoint may have; addresses written in the configuration are not asked.

    Args:
        allow: networks that are allowed although they are on the list of what is refused.
        deny: networks refused on top of it.
    """

    def __init__(self, allow: CidrSet = CidrSet(), deny: CidrSet = CidrSet()) -> None:
        self._allow = allow
        self._deny = deny
        self._never = {reason: CidrSet(networks) for reason, networks in _NEVER.items()}

    def refuse(self, address: str) -> str | None:
        """The reason why an address is refused (`loopback`, `link_local` ...), or None when it may be connected to.

        Ask it for each address after resolving, and connect to the address that was asked about: a name may resolve to
        something else a moment later. A text that is not canonical (`0`, `2130706433`, a name) is refused as `not_an_address`.
        """
        parsed = _parse(address)
        if parsed is None or "%" in address:
            return "not_an_address"
        if address in self._allow:
            return None
        if address in self._deny:
            return "denied"
        for candidate in (str(parsed), _embedded(parsed)):
            for reason, networks in self._never.items():
                if candidate and candidate in networks:
                    return reason
        return None

    def __repr__(self) -> str:
        return f"<AddressPolicy allow={self._allow!r} deny={self._deny!r}>"


def _embedded(address: _Address) -> str | None:
    """The IPv4 address that an IPv6 address leads to by NAT64 (RFC 6052), 6to4 (RFC 3056) or as "IPv4-compatible"."""
    if isinstance(address, ipaddress.IPv4Address):
        return None
    if address.sixtofour is not None:
        return str(address.sixtofour)
    if address in _NAT64 or address in _COMPATIBLE:
        return str(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    return None
