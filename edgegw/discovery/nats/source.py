"""NATS as a source: announcements or a bucket, over one connection for all upstreams that name the same."""

from __future__ import annotations

import re

from edgegw.config.problems import Problems, quoted
from edgegw.discovery.interfaces import DiscoveryPart, Source, Surroundings
from edgegw.discovery.nats.announcements import PREFIX, Announcements
from edgegw.discovery.nats.bucket import Bucket
from edgegw.discovery.nats.instance import Scope
from edgegw.discovery.settings import DiscoverySettings
from edgegw.net.addresses import AddressPolicy, CidrSet, canonical
from edgegw.net.nats.client import NatsClient
from edgegw.net.nats.dialing import Dialer, opener
from edgegw.net.nats.login import Login, LoginError
from edgegw.net.nats.settings import NatsSettings, parse_server
from edgegw.net.nats.sharing import SharedClient
from edgegw.net.tls import UpstreamTls
from edgegw.upstream.environment import Environment
from edgegw.wire.nats import is_subject

_BUCKET = re.compile(r"[A-Za-z0-9_-]{1,200}\Z")
_KEY = re.compile(r"[A-Za-z0-9_=/-]{1,200}\Z")
"""Of a bucket; without dots, since what comes after the first is the id."""
_SUBJECT_MAX = 200


def build_nats(query: DiscoverySettings, connection: NatsSettings, around: Surroundings) -> Source | None:
    """A source for `{from: NAME, subject: ...}` or `{from: NAME, bucket: ...}`."""
    before = len(around.problems.errors)
    scope = _scope(query, around.problems)
    shared = _shared(query.from_, connection, around)
    if scope is None or shared is None or len(around.problems.errors) > before:
        return None
    where = connection.servers[0].partition("://")[2] or connection.servers[0]
    scheme = query.scheme or "http"
    title = f"{scope.root}/{scope.service}" if scope.service else scope.root
    if query.bucket is not None:
        name = f"nats bucket {title} at {where}"
        return Bucket(name, scope, scheme, shared.guest, around.environment, connection.timeout)
    return Announcements(f"nats {title} at {where}", scope, scheme, shared.guest, around.environment, connection.answer)


def _scope(query: DiscoverySettings, problems: Problems) -> Scope | None:
    service = query.service or ""
    if query.bucket is not None:
        if query.subject is not None:
            problems.add(("subject",), "announcements on `subject` and a `bucket` are two sources", "write one")
            return None
        if not _BUCKET.match(query.bucket):
            problems.add(("bucket",), f"{quoted(query.bucket)} cannot be a bucket", "letters, digits, - and _")
            return None
        if service and not _KEY.match(service):
            problems.add(("service",), f"{quoted(service)} cannot begin a key", "letters, digits, -, _, / and =")
            return None
        return Scope(query.bucket, service)
    prefix = query.subject or PREFIX
    if not is_subject(prefix) or len(prefix) > _SUBJECT_MAX:
        hint = f"tokens between dots, such as {PREFIX}; the gateway appends register, deregister, discover and health"
        problems.add(("subject",), f"{quoted(prefix)} cannot be the prefix of subjects", hint)
        return None
    return Scope(prefix, service)


def _shared(name: str, connection: NatsSettings, around: Surroundings) -> SharedClient | None:
    """The connection of that name, one as long as its settings are the same; None after reporting why there can't be one."""
    about = around.about_connection
    login = Login(connection, around.base_dir)
    try:
        login.read()
    except LoginError as error:
        about.add(("creds",), str(error))
        return None
    tls = None
    if connection.tls is not None:
        tls = UpstreamTls.load(connection.tls, about.under("tls"), around.base_dir)
        if tls is None:
            return None
    _warn(connection, about)
    key = ("nats", name, connection, around.base_dir)
    return around.common.get(key, lambda: _made(connection, login, tls, around.environment))


def _made(connection: NatsSettings, login: Login, tls: UpstreamTls | None, environment: Environment) -> SharedClient:
    servers = [parse_server(text) for text in connection.servers]
    reactor, chance = environment.reactor, environment.chance
    dialer = Dialer(
        reactor,
        environment.resolver,
        opener(reactor),
        login,
        tls,
        timeout_s=connection.timeout,
        ping_s=connection.ping,
    )
    return SharedClient(lambda owner: NatsClient(servers, dialer, owner, reactor, chance, connection.cluster), reactor)


def _warn(connection: NatsSettings, about: Problems) -> None:
    """A password that may go over the wire in the clear: the server decides about TLS if we do not insist."""
    key = "password" if connection.password is not None else "token" if connection.token is not None else ""
    servers = [parse_server(text) for text in connection.servers]
    if key and connection.tls is None and any(not each.secure and not _is_here(each.host) for each in servers):
        hint = "write tls: {ca: FILE}, or tls:// instead of nats://"
        about.warn((key,), "it is sent in the clear to a server that does not ask for TLS", hint)


def _is_here(host: str) -> bool:
    return host == "localhost" or (canonical(host) is not None and _LOOPBACK.refuse(host) == "loopback")


_LOOPBACK = AddressPolicy(CidrSet(()))

NATS = DiscoveryPart(
    "nats", frozenset({"subject", "bucket", "service", "scheme"}), frozenset(), build_nats, NatsSettings
)
