"""Endpoints from DNS: the addresses of a name (A and AAAA), or SRV records with their priorities and weights (RFC 2782).

Asked again when the records' time is over. NXDOMAIN and an answer without records say that there is nothing; SERVFAIL and silence
say nothing, and what was known holds. A short name is looked for in the domains of a search list, as glibc does.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import Any, Protocol, TypeVar

from twisted.internet.defer import CancelledError, Deferred, FirstError, gatherResults
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.names import dns
from twisted.python.failure import Failure

from edgegw.discovery.candidate import Facts, Refused, candidate
from edgegw.discovery.dns_client import Answer, DnsClient, NoAnswer
from edgegw.discovery.dns_settings import DnsSettings
from edgegw.discovery.interfaces import DiscoveryPart, Listener, Source, Surroundings
from edgegw.discovery.resolv_conf import ResolvConf
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


class Asking(Protocol):
    """What the source asks; `DnsClient` does."""

    async def ask(self, name: str, kind: int) -> Answer:
        """Raises: NoAnswer."""


class DnsSource:
    """Watches one name.

    Args:
        query: `name`, `type`, `port`, `scheme`. client: who asks. full_names: those that the name is tried under, in their order.
    """

    def __init__(
        self,
        query: DiscoverySettings,
        client: Asking,
        environment: Environment,
        full_names: Callable[[str], Sequence[str]] = ResolvConf(()).full_names,
    ) -> None:
        assert query.name is not None
        self._query = query
        self._service = query.name
        self._full_names = full_names
        self._found_as = ""
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
        addresses = await self._search(self._addresses)
        self._known = {key: known for key, known in self._known.items() if key[0] == self._found_as}
        return self._candidates((address, port, Facts()) for address in addresses or ())

    async def _search(self, look: Callable[[str], Coroutine[Deferred[Any], Any, T]]) -> T | None:
        """What there is under the first of the full names that has something.

        SERVFAIL may be the trouble of one domain, so others are looked in, as glibc does; but not where the name was found before:
        then it would lead to somebody else for a while. That nobody answers ends it.

        Raises:
            NoAnswer: nothing was found, and not everybody said that there is nothing.
        """
        failed: NoAnswer | None = None
        for name in self._full_names(self._service):
            try:
                found = await look(name)
            except NoAnswer as error:
                if not error.servfail or name == self._found_as:
                    raise
                failed = failed or error
                continue
            if found:
                self._found_as = name
                return found
        if failed is not None:
            raise failed
        return None

    async def _records(self, name: str) -> Answer | None:
        """An answer with SRV records; None: there are none."""
        answer = await self._client.ask(name, dns.SRV)
        return answer if any(each.type == dns.SRV for each in answer.answers) else None

    async def _look_srv(self) -> list[Named]:
        answer = await self._search(self._records)
        if answer is None:
            return []
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
        silent = [each for each in (four, six) if isinstance(each, NoAnswer)]
        found = [*self._or_known(name, dns.A, four), *self._or_known(name, dns.AAAA, six)]
        if len(silent) == 2 or (silent and not found):
            # Silence goes before SERVFAIL.
            raise min(silent, key=lambda each: each.servfail)
        return found

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
            problems.add(("port",), "SRV records tell the port", "leave it out, or write type: A", absent=())
            return None
    elif not isinstance(query.port, int) or not 0 < query.port < 65536:
        hint = "write type: SRV if the port is in DNS"
        at = ("port",) if query.port is not None else ()
        problems.add(at, "addresses from DNS need a `port`, a number from 1 to 65535", hint, absent=())
        return None
    assert query.name is not None
    if canonical(query.name) is not None:
        problems.add(("name",), f"{query.name} is an address, not a name", "write it under `endpoints`")
        return None
    # The file is looked at anew each time.
    client = DnsClient(around.environment.reactor, lambda: connection.naming().servers, connection.timeout)
    return DnsSource(query, client, around.environment, lambda name: connection.naming().full_names(name))


DNS = DiscoveryPart("dns", frozenset({"name", "type", "port", "scheme"}), frozenset({"name"}), build_dns, DnsSettings)
