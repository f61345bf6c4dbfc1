"""Which endpoints a source may name (reference/trust.md A5, SSRF): nothing of this machine, of the link, of the cloud's inside.

Literal addresses are judged when they are named; names when they are connected to, by the very address that is dialled.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Collection, Iterable

from edgegw.config.units import Network
from edgegw.net.addresses import UNIX, AddressPolicy, CidrSet, canonical
from edgegw.upstream.address import EndpointUrl

Own = Callable[[], Collection[tuple[str, int]]]
"""Address (empty: every one of this machine) and port of each listener, as they are now."""


def is_local(address: str) -> bool:
    """Whether an address is one of this machine's own: only such can be bound to."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((address, 0))
    except OSError:
        return False
    return True


class EndpointPolicy:
    """The policy of one upstream's discovery.

    Args:
        allow: its `allow`. own: the gateway's own listeners. local: `is_local`.
    """

    def __init__(
        self,
        allow: Iterable[str | Network] = (),
        own: Own = lambda: (),
        local: Callable[[str], bool] = is_local,
    ) -> None:
        texts = [str(each) for each in allow]
        self._unix = UNIX in texts
        self._addresses = AddressPolicy(CidrSet(text for text in texts if text != UNIX))
        self._single = frozenset(str(ipaddress.ip_network(text).network_address) for text in texts if _is_single(text))
        self._own = own
        self._local = local
        self._judged: dict[str, str | None] = {}

    def refuse(self, address: str, port: int) -> str | None:
        """Why a connection to an address must not be made, in words; None: it may be."""
        reason = self._judge(address)
        if reason is not None:
            return reason
        found = canonical(address) or address
        if found not in self._single and self._is_own(found, port):
            # A network in `allow` is not meant to make a loop; the very address is.
            return "this is a listener of the gateway itself"
        return None

    def refuse_named(self, url: EndpointUrl) -> str | None:
        """The same for an endpoint as it is named: names are believed until they are resolved."""
        if url.path:
            return None if self._unix else "a socket of this machine; `allow` may list unix"
        return None if canonical(url.host) is None else self.refuse(url.host, url.port)

    def guard(self, written: Collection[EndpointUrl] = ()) -> Callable[[EndpointUrl, str], str | None]:
        """For `Connector`: judges the address that an endpoint led to. written: in the configuration, and not asked about."""
        exempt = frozenset(written)

        def judge(url: EndpointUrl, address: str) -> str | None:
            return None if url in exempt else self.refuse(address, url.port)

        return judge

    def _judge(self, address: str) -> str | None:
        """By the address alone; remembered, because a large service is named again with every change."""
        if address in self._judged:
            return self._judged[address]
        reason = self._addresses.refuse(address)
        words = None if reason is None else f"{_WORDS.get(reason, reason)}; `allow` may list its network"
        if len(self._judged) >= _REMEMBERED:
            self._judged.clear()
        self._judged[address] = words
        return words

    def _is_own(self, address: str, port: int) -> bool:
        for host, taken in self._own():
            if port == taken and (address == host or (not _is_specific(host) and self._local(address))):
                return True
        return False

    def __repr__(self) -> str:
        return f"<EndpointPolicy {self._addresses!r}{' unix' if self._unix else ''}>"


_REMEMBERED = 20_000
_WORDS = {
    "unspecified": "no address of a server",
    "loopback": "an address of this machine (loopback)",
    "link_local": "a link-local address",
    "multicast": "a multicast address",
    "reserved": "a reserved address",
    "metadata": "the metadata service of a cloud",
    "not_an_address": "not an address",
}


def _is_single(text: str) -> bool:
    return text != UNIX and ipaddress.ip_network(text).num_addresses == 1


def _is_specific(host: str) -> bool:
    return bool(host) and host not in ("0.0.0.0", "::")
