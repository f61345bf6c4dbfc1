"""Who asks, and what the upstream is told about it.

The order is that of trust.md A3.5: what a stranger says about himself is deleted before anything of ours is added. A peer in
`trusted_proxies` is believed about the hops before it, from the right, up to the first one that is not trusted.
"""

from __future__ import annotations

from edgegw.exchange.interfaces import Responder
from edgegw.exchange.model import Exchange, Response
from edgegw.net.addresses import CidrSet, client_address
from edgegw.net.forwarded import format_forwarded
from edgegw.wire.headers import Field, Headers

_FORGEABLE = frozenset({b"forwarded", b"x-real-ip", b"x-client-ip", b"true-client-ip", b"x-cluster-client-ip"})
_PREFIXES = (b"x-forwarded-", b"x-client-cert")
_MEMO = 4096

_FOR, _PROTO, _HOST = b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host"


class _Forgeable(dict[bytes, bool]):
    """Whether a field of this lower-case name could lie about who asks; remembered, because the same names come all the time."""

    def __missing__(self, lower: bytes) -> bool:
        found = lower in _FORGEABLE or lower.startswith(_PREFIXES)
        if len(self) >= _MEMO:
            self.clear()
        self[lower] = found
        return found


class ClientAddress:
    """Sets `exchange.client`, cleans the fields that speak of it, and writes them anew.

    Args:
        trusted: `trusted_proxies` of the listener.
    """

    __slots__ = ("_forgeable", "_next", "_trusted")

    def __init__(self, following: Responder, trusted: CidrSet) -> None:
        self._next = following
        self._trusted = trusted
        self._forgeable = _Forgeable()

    async def __call__(self, exchange: Exchange) -> Response:
        """Tell, clean, go on."""
        connection, request = exchange.connection, exchange.request
        headers, peer = request.headers, connection.peer
        if peer in self._trusted:
            self._believe(exchange, headers, peer)
        else:
            forgeable = self._forgeable
            fields = headers.fields
            kept = [field for field in fields if not forgeable[field[0]]]
            kept.append((_FOR, b"X-Forwarded-For", peer.encode("ascii") or b"unix"))
            kept.append((_PROTO, b"X-Forwarded-Proto", request.scheme.encode("ascii")))
            if request.authority:
                kept.append((_HOST, b"X-Forwarded-Host", request.authority))
            headers.replace(kept)
        tls = connection.tls
        if tls is not None and tls.identity is not None:
            headers.extend(_identity_fields(tls.identity))
        return await self._next(exchange)

    def _believe(self, exchange: Exchange, headers: Headers, peer: str) -> None:
        """A trusted proxy: keep what it says, add the hop it is."""
        request = exchange.request
        found = client_address(peer, headers.get_all(_FOR), self._trusted)
        exchange.client = found.client
        hops = [value for value in headers.get_all(_FOR) if value]
        headers.set(b"X-Forwarded-For", b", ".join([*hops, peer.encode("ascii")]))
        headers.set_default(b"X-Forwarded-Proto", request.scheme.encode("ascii"))
        if request.authority:
            headers.set_default(b"X-Forwarded-Host", request.authority)
        forwarded = headers.joined(b"forwarded")
        if forwarded is not None:
            own = format_forwarded(peer, request.scheme, request.authority)
            headers.set(b"Forwarded", forwarded + b", " + own)


def _identity_fields(identity: object) -> list[Field]:
    """What the verified client certificate says; strangers' fields of these names are gone already."""
    facts = {
        b"X-Client-Cert-Subject": identity.subject,  # type: ignore[attr-defined]
        b"X-Client-Cert-Issuer": identity.issuer,  # type: ignore[attr-defined]
        b"X-Client-Cert-Serial": identity.serial,  # type: ignore[attr-defined]
        b"X-Client-Cert-Fingerprint": identity.fingerprint,  # type: ignore[attr-defined]
        b"X-Client-Cert-Dns": ",".join(identity.dns_names),  # type: ignore[attr-defined]
        b"X-Client-Cert": identity.pem,  # type: ignore[attr-defined]
    }
    return [(name.lower(), name, value.encode("ascii")) for name, value in facts.items() if value]
