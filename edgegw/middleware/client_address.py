"""Who asks, and what the upstream is told about it.

The order is that of trust.md A3.5: what a stranger says about himself is deleted before anything of ours is added. A peer in
`trusted_proxies` is believed about the hops before it, from the right, up to the first one that is not trusted; what that one
claimed about others is deleted as well.
"""

from __future__ import annotations

from collections.abc import Awaitable
from functools import lru_cache

from edgegw.exchange.interfaces import Responder
from edgegw.exchange.model import Exchange, Response
from edgegw.net.addresses import UNIX, CidrSet, client_address, walk
from edgegw.net.forwarded import ForwardedHop, format_forwarded, parse_forwarded
from edgegw.net.peer_identity import PeerIdentity
from edgegw.wire.authority import AuthorityError, parse_authority
from edgegw.wire.headers import Field, Headers

_ONE_ADDRESS = frozenset({b"x-real-ip", b"x-client-ip", b"true-client-ip", b"x-cluster-client-ip"})
_FORGEABLE = _ONE_ADDRESS | {b"forwarded"}
_CERTIFICATE = b"x-client-cert"
_PREFIXES = (b"x-forwarded-", _CERTIFICATE)
_MEMO = 4096

_FOR, _PROTO, _HOST, _FORWARDED = b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host", b"forwarded"
_PROTOS = frozenset({b"http", b"https"})


class _Forgeable(dict[bytes, bool]):
    """Whether a field of this lower-case name could lie about who asks; remembered, because the same names come all the time."""

    def __missing__(self, lower: bytes) -> bool:
        found = lower in _FORGEABLE or lower.startswith(_PREFIXES)
        if len(self) >= _MEMO:
            self.clear()
        self[lower] = found
        return found


class _Told(dict[tuple[str, str], tuple[Field, ...] | None]):
    """What the upstream is told of a stranger, by his address and scheme; None for a trusted proxy, which speaks for itself."""

    def __init__(self, trusted: CidrSet) -> None:
        super().__init__()
        self._trusted = trusted

    def __missing__(self, key: tuple[str, str]) -> tuple[Field, ...] | None:
        peer, scheme = key
        told = None
        if peer not in self._trusted:
            told = (
                (_FOR, b"X-Forwarded-For", peer.encode("ascii")),
                (_PROTO, b"X-Forwarded-Proto", scheme.encode("ascii")),
            )
        if len(self) >= _MEMO:
            self.clear()
        self[key] = told
        return told


class ClientAddress:
    """Sets `exchange.client`, cleans the fields that speak of it, and writes them anew.

    Args:
        trusted: `trusted_proxies` of the listener.
    """

    __slots__ = ("_forgeable", "_next", "_told", "_trusted")

    def __init__(self, following: Responder, trusted: CidrSet) -> None:
        self._next = following
        self._trusted = trusted
        self._told = _Told(trusted)
        self._forgeable = _Forgeable()

    def __call__(self, exchange: Exchange) -> Awaitable[Response]:
        """Tell, clean, go on."""
        connection, request = exchange.connection, exchange.request
        headers, peer = request.headers, connection.peer or UNIX
        exchange.client = peer
        told = self._told[peer, request.scheme]
        if told is None:
            self._believe(exchange, headers, peer)
        else:
            forgeable = self._forgeable
            if any(map(forgeable.__getitem__, headers.first())):
                headers.replace([field for field in headers.fields if not forgeable[field[0]]])
            headers.extend(told)
            if request.authority:
                headers.append((_HOST, b"X-Forwarded-Host", request.authority))
        tls = connection.tls
        identity = tls.identity if tls is not None else None
        if identity is not None:
            # A trusted proxy with a certificate of its own speaks for itself here, and nobody speaks beside it.
            fields = [field for field in headers.fields if not field[0].startswith(_CERTIFICATE)]
            headers.replace([*fields, *_identity_fields(identity)])
        return self._next(exchange)

    def _believe(self, exchange: Exchange, headers: Headers, peer: str) -> None:
        """A trusted proxy: keep what it says of the hops before it, add the hop it is."""
        request = exchange.request
        said = parse_forwarded(headers.get_all(_FORWARDED))
        own = ForwardedHop(peer, request.authority or None, request.scheme.encode("ascii"))
        if _FOR in headers or not said:
            found = client_address(peer, headers.get_all(_FOR), self._trusted)
            hops = [*(ForwardedHop(address) for address in found.hops[:-1]), own]
        else:
            found = walk(peer, [hop.address for hop in said], self._trusted)
            believed = len(found.hops) - 1
            hops = [*map(_plausible, said[len(said) - believed :]), own]
        exchange.client = found.client
        headers.set(b"X-Forwarded-For", ", ".join(found.hops).encode("ascii"))
        _settle(headers, b"X-Forwarded-Proto", hops[0].proto or own.proto, _PROTOS)
        _settle(headers, b"X-Forwarded-Host", hops[0].host or own.host)
        for field in [field for field in headers.fields if field[0] in _ONE_ADDRESS]:
            headers.set(field[1], found.client.encode("ascii"))
        if _FORWARDED in headers:
            headers.set(b"Forwarded", b", ".join([_element(hop) for hop in hops]))

    def __repr__(self) -> str:
        return f"<ClientAddress trusting {self._trusted!r}>"


def _settle(headers: Headers, name: bytes, default: bytes | None, allowed: frozenset[bytes] | None = None) -> None:
    """Keep the one thing that a trusted proxy said in a field, if it makes sense; else say it ourselves."""
    values = headers.get_all(name.lower())
    if len(values) == 1 and values[0] and (allowed is None or values[0] in allowed):
        return
    if default:
        headers.set(name, default)
    else:
        headers.remove(name.lower())


def _plausible(hop: ForwardedHop) -> ForwardedHop:
    """The hop with a scheme and a host that can be said on, or none."""
    proto, host = hop.proto, hop.host
    try:
        parse_authority(host or b"")
    except AuthorityError:
        host = None
    return ForwardedHop(hop.address, host, proto if proto in _PROTOS else None)


def _element(hop: ForwardedHop) -> bytes:
    return format_forwarded(hop.address or "", hop.proto or b"", hop.host or b"")


@lru_cache(maxsize=1024)
def _identity_fields(identity: PeerIdentity) -> tuple[Field, ...]:
    """What the verified client certificate says."""
    facts = {
        b"X-Client-Cert-Subject": identity.subject,
        b"X-Client-Cert-Issuer": identity.issuer,
        b"X-Client-Cert-Serial": identity.serial,
        b"X-Client-Cert-Fingerprint": identity.fingerprint,
        b"X-Client-Cert-Dns": ",".join(identity.dns_names),
        b"X-Client-Cert-Uri": ",".join(identity.uris),
        b"X-Client-Cert": identity.pem,
    }
    return tuple((name.lower(), name, value.encode("ascii")) for name, value in facts.items() if value)
