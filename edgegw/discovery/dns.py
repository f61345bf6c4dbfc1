"""Endpoints from DNS: the addresses of a name (A and AAAA), or SRV records with their priorities and weights (RFC 2782).

Asked again when the records' time is over. NXDOMAIN and an answer without records say that there is nothing; SERVFAIL and silence
say nothing, and what was known holds.
"""

from __future__ import annotations

import socket
from collections.abc import Coroutine, Iterable, Sequence
from typing import Any, Protocol, TypeVar

from pydantic import Field, field_validator
from twisted.internet.defer import CancelledError, Deferred, FirstError, gatherResults
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.names import dns
from twisted.python.failure import Failure

from edgegw.config.model import Settings
from edgegw.config.problems import quoted
from edgegw.config.units import Duration
from edgegw.discovery.candidate import Facts, Refused, candidate
from edgegw.discovery.dns_client import Answer, DnsClient, NoAnswer, Server, system_servers
from edgegw.discovery.interfaces import DiscoveryPart, Listener, Source, Surroundings
from edgegw.discovery.settings import DiscoverySettings
from edgegw.net.addresses import canonical
from edgegw.upstream.address import Named
from edgegw.upstream.environment import Environment

TTL_S = 1.0, 3600.0
"""Bounds of how long an answer is believed, whatever the records say."""
NOTHING_S = 5.0
"""Until a name that has no addresses is asked for again."""
_CONFIRM_S = 10.0
_RETRY_S = 1.0, 10.0
_TARGETS = 256
_TIERS = 16

T = TypeVar("T")

_log = Logger("edgegw.discovery.dns")


class DnsSettings(Settings):
    """Name servers."""

    servers: tuple[str, ...] = Field(
        default=(),
        max_length=8,
        description="Addresses, with a port if it is not 53, asked in this order; those of /etc/resolv.conf if left out.",
        examples=[["10.0.0.53", "10.0.0.54:5353"]],
    )
    timeout: Duration = Field(
        default=3.0, gt=0, le=30, description="For one question, all servers and attempts together."
    )

    @field_validator("servers")
    @classmethod
    def _parse(cls, servers: tuple[str, ...]) -> tuple[str, ...]:
        for text in servers:
            parse_server(text)
        return servers


def parse_server(text: str) -> Server:
    """`10.0.0.53`, `10.0.0.53:5353`, `::1` or `[::1]:5353`.

    Raises:
        ValueError: it is none of them.
    """
    host, port = text, "53"
    if text.startswith("[") or text.count(":") == 1:
        host, _, port = text.rpartition(":") if not text.endswith("]") else (text, "", "53")
    address = canonical(host.strip("[]"))
    if address is None or not (port.isascii() and port.isdigit() and 0 < int(port[:6]) < 65536):
        raise ValueError(f"{quoted(text)} is not the address of a name server; write 10.0.0.53 or 10.0.0.53:5353")
    return address, int(port)


class Asking(Protocol):
    """What the source asks; `DnsClient` does."""

    async def ask(self, name: str, kind: int) -> Answer:
        """Raises: NoAnswer."""


class DnsSource:
    """Watches one name.

    Args:
        query: `name`, `type`, `port`, `scheme`. client: who asks.
    """

    def __init__(self, query: DiscoverySettings, client: Asking, environment: Environment) -> None:
        assert query.name is not None
        self._query = query
        self._service = query.name.rstrip(".")
        port = "" if query.type == "SRV" else f":{query.port}"
        self.name = f"dns {self._service}{port}"
        self._scheme = query.scheme or "http"
        self._client = client
        self._reactor = environment.reactor
        self._chance = environment.chance
        self._listener: Listener | None = None
        self._round: Deferred[Any] | None = None
        self._call: IDelayedCall | None = None
        self._fresh_until_s = 0.0
        self._failures = 0
        # By name and type, for the family of addresses that is not answered for while the other one is.
        self._known: dict[tuple[str, int], tuple[str, ...]] = {}
        self._ttl_s = TTL_S[1]

    def start(self, listener: Listener) -> None:
        """`Source`."""
        self._listener = listener
        self._ask()

    def stop(self) -> None:
        """`Source`."""
        self._listener = None
        if self._call is not None:
            self._call.cancel()
            self._call = None
        if self._round is not None:
            self._round.cancel()

    # When to ask.

    def _ask(self) -> None:
        self._call = None
        self._ttl_s = TTL_S[1]
        look = self._look_srv if self._query.type == "SRV" else self._look_addresses
        asked = self._round = Deferred.fromCoroutine(look())
        asked.addCallbacks(self._found, self._failed)
        asked.addErrback(self._broken)

    def _found(self, named: list[Named]) -> None:
        self._round = None
        self._failures = 0
        if self._listener is None:
            return
        low_s, high_s = TTL_S
        ttl_s = min(max(self._ttl_s, low_s), high_s) if named else NOTHING_S
        # A little later than the record's end, so that a cache in between has to ask too; not all gateways in the same moment.
        ttl_s *= 1.0 + 0.1 * self._chance.random()
        self._fresh_until_s = self._reactor.seconds() + ttl_s
        self._listener.found(sorted(named, key=_order))
        self._wait()

    def _wait(self) -> None:
        left_s = self._fresh_until_s - self._reactor.seconds()
        if left_s > _CONFIRM_S:
            self._call = self._reactor.callLater(_CONFIRM_S, self._confirm)
        else:
            self._call = self._reactor.callLater(max(left_s, 0.0), self._ask)

    def _confirm(self) -> None:
        """The records' time is not over: what they say holds."""
        self._call = None
        if self._listener is not None:
            self._listener.confirmed()
            self._wait()

    def _failed(self, failure: Failure) -> None:
        self._round = None
        listener = self._listener
        if listener is None and failure.check(CancelledError, NoAnswer):
            return
        if not failure.check(NoAnswer):
            _log.failure("Asking for {name} broke", failure, name=self._service)
        low_s, high_s = _RETRY_S
        wait_s = min(low_s * 2.0**self._failures, high_s) * (1.0 + 0.2 * self._chance.random())
        self._failures = min(self._failures + 1, 10)
        if listener is not None:
            self._call = self._reactor.callLater(wait_s, self._ask)
            listener.failed(f"{self._service}: {failure.getErrorMessage()}")

    def _broken(self, failure: Failure) -> None:
        """The listener's fault; asking goes on."""
        _log.failure("Telling what {name} is broke", failure, name=self._service)
        if self._listener is not None and self._call is None:
            self._call = self._reactor.callLater(_RETRY_S[1], self._ask)

    # What to ask.

    async def _look_addresses(self) -> list[Named]:
        port = self._query.port
        assert isinstance(port, int)
        return self._candidates((address, port, Facts()) for address in await self._addresses(self._service))

    async def _look_srv(self) -> list[Named]:
        answer = await self._client.ask(self._service, dns.SRV)
        records: list[Any] = [each.payload for each in answer.answers if each.type == dns.SRV]
        self._note(answer.answers)
        # A target of "." says that there is no such service here (RFC 2782).
        records = [each for each in records if _text(each.target.name)][:_TARGETS]
        tiers = {priority: tier for tier, priority in enumerate(sorted({each.priority for each in records}))}
        targets = list(dict.fromkeys(_text(each.target.name) for each in records))
        brought = _brought(answer.additional)
        wanted = [target for target in targets if target not in brought]
        self._note(each for each in answer.additional if each.type in (dns.A, dns.AAAA))
        asked = await _all(self._addresses(target) for target in wanted)
        addresses = {**brought, **dict(zip(wanted, asked, strict=True))}
        self._known = {key: known for key, known in self._known.items() if key[0] in wanted}
        return self._candidates(
            (
                address,
                each.port,
                Facts(each.weight, tier=min(tiers[each.priority], _TIERS - 1), meta={"target": target}),
            )
            for each in records
            for target in [_text(each.target.name)]
            for address in addresses[target]
        )

    async def _addresses(self, name: str) -> list[str]:
        """IPv4 and IPv6. While one of them is not answered for, those known before hold."""
        four, six = await _all(self._of_type(name, kind) for kind in (dns.A, dns.AAAA))
        if isinstance(four, NoAnswer) and isinstance(six, NoAnswer):
            raise four
        return [*self._or_known(name, dns.A, four), *self._or_known(name, dns.AAAA, six)]

    async def _of_type(self, name: str, kind: int) -> tuple[str, ...] | NoAnswer:
        try:
            answer = await self._client.ask(name, kind)
        except NoAnswer as error:
            return error
        # Aliases (CNAME) on the way count for the time, too.
        self._note(answer.answers)
        return tuple(_address(each) for each in answer.answers if each.type == kind)

    def _or_known(self, name: str, kind: int, found: tuple[str, ...] | NoAnswer) -> tuple[str, ...]:
        if isinstance(found, NoAnswer):
            self._ttl_s = min(self._ttl_s, NOTHING_S)
            return self._known.get((name, kind), ())
        self._known[name, kind] = found
        return found

    def _note(self, records: Iterable[dns.RRHeader]) -> None:
        self._ttl_s = min([self._ttl_s, *(float(each.ttl) for each in records)])

    def _candidates(self, found: Iterable[tuple[str, int, Facts]]) -> list[Named]:
        named = []
        for address, port, facts in found:
            try:
                named.append(candidate(self._scheme, address, port, facts))
            except Refused as error:
                if self._listener is not None:
                    self._listener.refused(error.what, error.reason)
        return named

    def __repr__(self) -> str:
        return f"<DnsSource {self.name} {'asking' if self._round is not None else 'waiting'}>"


async def _all(running: Iterable[Coroutine[Deferred[Any], Any, T]]) -> list[T]:
    """The results of all, at once; the first failure ends it."""
    try:
        return await gatherResults([Deferred.fromCoroutine(each) for each in running], consumeErrors=True)
    except FirstError as error:
        failed: Any = error.subFailure.value
        raise failed from None


def _brought(records: Sequence[dns.RRHeader]) -> dict[str, list[str]]:
    """Addresses of the additional section by name."""
    found: dict[str, list[str]] = {}
    for each in records:
        if each.type in (dns.A, dns.AAAA):
            found.setdefault(_text(each.name.name), []).append(_address(each))
    return found


def _address(record: dns.RRHeader) -> str:
    payload: Any = record.payload
    packed = payload.address
    return socket.inet_ntop(socket.AF_INET if len(packed) == 4 else socket.AF_INET6, packed)


def _text(name: bytes) -> str:
    return name.decode("ascii", "replace").rstrip(".").lower()


def _order(named: Named) -> tuple[int, bool, str]:
    url = named.settings.url
    return named.settings.tier, "[" in url, url


def build_dns(query: DiscoverySettings, connection: DnsSettings, around: Surroundings) -> Source | None:
    """A source for `{from: dns, name: ...}`."""
    problems = around.problems
    if query.type == "SRV":
        if query.port is not None:
            problems.add(("port",), "SRV records tell the port", "leave it out, or write type: A")
            return None
    elif not isinstance(query.port, int) or not 0 < query.port < 65536:
        hint = "write type: SRV if the port is in DNS"
        at = ("port",) if query.port is not None else ()
        problems.add(at, "addresses from DNS need a `port`, a number from 1 to 65535", hint)
        return None
    assert query.name is not None
    if canonical(query.name) is not None:
        problems.add(("name",), f"{query.name} is an address, not a name", "write it under `endpoints`")
        return None
    servers = [parse_server(text) for text in connection.servers]
    client = DnsClient(around.environment.reactor, (lambda: servers) if servers else system_servers, connection.timeout)
    return DnsSource(query, client, around.environment)


DNS = DiscoveryPart("dns", frozenset({"name", "type", "port", "scheme"}), frozenset({"name"}), build_dns, DnsSettings)
