"""The source: the instances of one service become the endpoints of one upstream."""

from __future__ import annotations

import random
from typing import Any, Protocol

from twisted.internet.defer import Deferred

from edgegw.config.problems import Problems
from edgegw.discovery.api.client import HttpClient
from edgegw.discovery.api.errors import ApiError
from edgegw.discovery.consul.access import AgentAccess
from edgegw.discovery.consul.client import ConsulClient, Query, Reply
from edgegw.discovery.consul.instances import Wanted, read_instances
from edgegw.discovery.consul.loop import Loop
from edgegw.discovery.consul.settings import URL, ConsulSettings
from edgegw.discovery.interfaces import DiscoveryPart, Listener, Source, Surroundings
from edgegw.discovery.settings import DiscoverySettings
from edgegw.net.addresses import canonical
from edgegw.upstream.address import Named


class Asking(Protocol):
    """Whom the source asks; `ConsulClient` does."""

    async def ask(self, query: Query, index: int) -> Reply:
        """Raises: ApiError."""

    def stop(self) -> Any:
        """Closes what is open."""


class ConsulSource:
    """Watches one service.

    Args:
        where: the agent, if it is not this machine's; part of the name.
    """

    def __init__(
        self, query: Query, wanted: Wanted, client: Asking, reactor: Any, chance: random.Random, where: str = ""
    ) -> None:
        self.name = f"consul {_title(query)}" + (f" at {where}" if where else "")
        self._query = query
        self._wanted = wanted
        self._client = client
        self._listener: Listener | None = None
        self._found: tuple[Named, ...] | None = None
        self._fault = ""
        self._loop = Loop(reactor, chance, lambda index: client.ask(query, index), self._heard, self._failed)

    def start(self, listener: Listener) -> None:
        """`Source`."""
        self._listener = listener
        self._loop.start()

    def stop(self) -> Deferred[None] | None:
        """`Source`."""
        self._listener = None
        self._loop.stop()
        stopped: Deferred[None] | None = self._client.stop()
        return stopped

    def _heard(self, reply: Reply, same: bool) -> bool:
        listener = self._listener
        if listener is None:
            return False
        news = not same and self._take(reply, listener)
        # What may be old is used; but it confirms nothing, so that the source becomes stale.
        trouble = self._fault or reply.doubt
        if trouble:
            listener.failed(trouble)
        elif same:
            listener.confirmed()
        return news

    def _take(self, reply: Reply, listener: Listener) -> bool:
        """Tell what the reply names. Returns: whether that is something else than before."""
        try:
            found = read_instances(reply.entries, self._wanted)
        except LookupError as error:
            return self._reject(str(error.args[0]))
        for what, reason in found.faults:
            listener.refused(what, reason)
        if reply.partial and not found.named:
            return self._reject("the token sees none of its instances; it needs service:read and node:read")
        if reply.partial:
            listener.refused("some instances", "the token may not see them")
        if found.faults and not found.named:
            what, reason = found.faults[0]
            return self._reject(f"{what}: {reason}")
        self._fault = ""
        news, self._found = found.named != self._found, found.named
        listener.found(found.named)
        return news

    def _reject(self, words: str) -> bool:
        # Not the same as no endpoints: those that there were may be right still.
        self._fault = words
        return False

    def _failed(self, error: ApiError) -> None:
        if self._listener is not None:
            self._listener.failed(str(error))

    def __repr__(self) -> str:
        return f"<ConsulSource {self.name}: {self._loop!r}>"


def _title(query: Query) -> str:
    namespace = f"{query.namespace}/" if query.namespace else ""
    tags = f"[{','.join(query.tags)}]" if query.tags else ""
    return f"{namespace}{query.service}{tags}{f'@{query.dc}' if query.dc else ''}"


def build_consul(settings: DiscoverySettings, connection: ConsulSettings, around: Surroundings) -> Source | None:
    """A source for `{from: consul, service: ...}`. Reports what cannot work and returns None then."""
    assert settings.service is not None
    port = settings.port
    if isinstance(port, str) or (port is not None and not 0 < port < 65536):
        around.problems.add(("port",), "a port is a number from 1 to 65535; it is for instances that register none")
        return None
    access = AgentAccess(connection, around.base_dir)
    if not _check(connection, settings, access, around.about_connection):
        return None
    dc = settings.dc or connection.dc or ""
    query = Query(settings.service, tuple(sorted(settings.tags)), dc, settings.namespace or "", settings.passing)
    wanted = Wanted(query.tags, port, settings.scheme or "")
    environment = around.environment
    http = HttpClient(environment.reactor, environment.resolver)
    client = ConsulClient(http, access, connection.consistency, connection.wait, connection.timeout)
    where = connection.url if connection.url != URL else ""
    return ConsulSource(query, wanted, client, environment.reactor, environment.chance, where)


def _check(connection: ConsulSettings, settings: DiscoverySettings, access: AgentAccess, about: Problems) -> bool:
    """Reports what cannot work, and what is unsafe."""
    at: tuple[str, ...] = ("token" if connection.token_file is None else "token_file",)
    try:
        token = access.token()
        at = ()
        access.access()
    except ApiError as error:
        about.add(at, str(error))
        return False
    if connection.wait + connection.timeout >= settings.stale_after:
        hint = f"`wait` and `timeout` together must be below it: write a shorter wait, or stale_after: {connection.wait + 45:g}s"
        about.add(("wait",), f"sources are stale after {settings.stale_after:g} s without an answer", hint)
        return False
    if not connection.verify and access.url.secure:
        about.warn(("verify",), "whoever answers at the agent's address can read the token and name endpoints")
    if token and not access.url.secure and not _is_here(access.url.host):
        about.warn(("url",), "the token is sent over plain HTTP", "write https://")
    return True


def _is_here(host: str) -> bool:
    return host == "localhost" or (canonical(host) or "").startswith("127.") or canonical(host) == "::1"


CONSUL = DiscoveryPart(
    "consul",
    frozenset({"service", "tags", "dc", "namespace", "passing", "port", "scheme"}),
    frozenset({"service"}),
    build_consul,
    ConsulSettings,
)
