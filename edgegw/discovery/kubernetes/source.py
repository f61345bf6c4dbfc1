"""The source: EndpointSlices and Services of the API server become the endpoints of one upstream."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from edgegw.discovery.api.errors import ApiError, CredentialsError
from edgegw.discovery.interfaces import DiscoveryPart, Listener, Surroundings
from edgegw.discovery.kubernetes.client import KubernetesClient
from edgegw.discovery.kubernetes.credentials import Credentials
from edgegw.discovery.kubernetes.gather import Gatherer
from edgegw.discovery.kubernetes.reflector import Collection, Reflector
from edgegw.discovery.kubernetes.services import Service, read_service
from edgegw.discovery.kubernetes.settings import (
    EVERYWHERE,
    KubernetesSettings,
    Query,
    checked_namespace,
    checked_selector,
    split_service,
)
from edgegw.discovery.kubernetes.slices import SERVICE_LABEL, Slice, read_slice
from edgegw.discovery.settling import Settling

_log = Logger("edgegw.discovery.kubernetes")


class KubernetesSource:
    """Watches one Service, or all with certain labels.

    Slices and Services are two collections, each with its own list and watch. The endpoints need both: what the Service says of
    ports, scheme and ExternalName. Where Services may not be read, slices alone must do, and the log says so.

    Args:
        where: the API server, if it is not the pod's own; part of the name.
    """

    def __init__(
        self, query: Query, client: KubernetesClient, prefix: str, reactor: Any, chance: random.Random, where: str = ""
    ) -> None:
        self.name = f"k8s {query.title}" + (f" at {where}" if where else "")
        self._client = client
        self._gatherer = Gatherer(query, prefix)
        self._listener: Listener | None = None
        self._settling = Settling(reactor, self._settle)
        self._fault = ""
        self._no_services = ""
        slices, services = collections(query)
        self._slices: Reflector[Slice] = Reflector(client, slices, read_slice, _Slices(self), reactor, chance)
        self._services: Reflector[Service] = Reflector(client, services, read_service, _Services(self), reactor, chance)

    def start(self, listener: Listener) -> None:
        """Begin to watch."""
        self._listener = listener
        self._slices.start()
        self._services.start()

    def stop(self) -> Deferred[None] | None:
        """Watch no more."""
        self._listener = None
        self._slices.stop()
        self._services.stop()
        self._settling.stop()
        return self._client.stop()

    # What the reflectors tell.

    def changed(self) -> None:
        """One of the collections is another."""
        if self._listener is not None:
            self._settling.begin()

    def confirmed(self) -> None:
        """The slices hold."""
        if self._listener is None:
            return
        if self._fault:
            self._listener.failed(self._fault)
        elif self._ready and not self._settling.is_due:
            # What is about to be told confirms itself.
            self._listener.confirmed()

    def failed(self, error: ApiError) -> None:
        """The slices are not known, or not any more."""
        if self._listener is not None:
            self._listener.failed(error.words)

    def services_failed(self, error: ApiError) -> None:
        """The Services are not known: their names of ports and schemes are missing, the slices serve all the same."""
        if self._services.known:
            return
        if error.status in (401, 403, 404) and error.words != self._no_services:
            _log.warn("{name}: without Services: {words}", name=self.name, words=error.words)
        first, self._no_services = not self._no_services, error.words
        if first:
            self.changed()

    @property
    def _ready(self) -> bool:
        return self._slices.known and (self._services.known or bool(self._no_services))

    def _settle(self) -> None:
        if self._listener is None or not self._ready:
            return
        try:
            gathered = self._gatherer.gather(self._slices.items, self._services.items)
        except LookupError as error:
            self._fail(str(error.args[0]))
            return
        for what, reason in (*gathered.faults, *gathered.doubts):
            self._listener.refused(what, reason)
        if gathered.faults and not gathered.named:
            what, reason = gathered.faults[0]
            self._fail(f"{what}: {reason}")
            return
        self._fault = ""
        self._listener.found(gathered.named, gathered.advice)

    def _fail(self, words: str) -> None:
        # Not the same as no endpoints: those that there were may be right still.
        self._fault = words
        if self._listener is not None:
            self._listener.failed(words)

    def __repr__(self) -> str:
        return f"<KubernetesSource {self.name}: {self._slices!r}, {self._services!r}>"


class _Slices:
    """Whom the reflector of slices tells."""

    def __init__(self, source: KubernetesSource) -> None:
        self.changed = source.changed
        self.confirmed = source.confirmed
        self.failed = source.failed


class _Services:
    """Whom the reflector of Services tells."""

    def __init__(self, source: KubernetesSource) -> None:
        self.changed = source.changed
        self.failed = source.services_failed

    def confirmed(self) -> None:
        """The slices are what decides whether the source is stale."""


def collections(query: Query) -> tuple[Collection, Collection]:
    """What is listed and watched for a query: slices, Services."""
    everywhere = query.namespace == EVERYWHERE
    inside = "" if everywhere else f"namespaces/{query.namespace}/"
    place = "all namespaces (a ClusterRole)" if everywhere else f"namespace {query.namespace}"
    of_slices: Mapping[str, str] = {"labelSelector": query.selector or f"{SERVICE_LABEL}={query.service}"}
    of_services: Mapping[str, str] = (
        {"labelSelector": query.selector} if query.selector else {"fieldSelector": f"metadata.name={query.service}"}
    )
    return (
        Collection(
            f"/apis/discovery.k8s.io/v1/{inside}endpointslices",
            of_slices,
            f"EndpointSlices of {query.title}",
            f"list and watch on endpointslices of discovery.k8s.io in {place}",
        ),
        Collection(
            f"/api/v1/{inside}services",
            of_services,
            f"Services of {query.title}",
            f'list and watch on services of the core group ("") in {place}',
        ),
    )


def query_of(settings: Any, default_namespace: str) -> Query:
    """What an upstream's `discovery` asks for.

    Args:
        settings: a `DiscoverySettings`. default_namespace: for a service without one.

    Raises:
        ValueError: it cannot be asked for; with the key before a colon.
    """
    if (settings.service is None) == (settings.selector is None):
        raise ValueError("service: one of `service` and `selector` says what is watched")
    try:
        inside, service = split_service(settings.service) if settings.service is not None else ("", "")
    except ValueError as error:
        raise ValueError(f"service: {error}") from None
    if inside and settings.namespace is not None and inside != settings.namespace:
        raise ValueError("namespace: it is another one than in `service`")
    try:
        namespace = checked_namespace(inside or settings.namespace or default_namespace)
    except ValueError as error:
        raise ValueError(f"namespace: {error}") from None
    try:
        selector = checked_selector(settings.selector) if settings.selector is not None else ""
    except ValueError as error:
        raise ValueError(f"selector: {error}") from None
    port = settings.port
    if isinstance(port, str) and port.isascii() and port.isdigit():
        port = int(port)
    if isinstance(port, int) and not 0 < port < 65536:
        raise ValueError(f"port: {port} is not between 1 and 65535")
    return Query(namespace, service, selector, port, settings.scheme or "")


def build_kubernetes(
    settings: Any, connection: KubernetesSettings | None, surroundings: Surroundings
) -> KubernetesSource | None:
    """The factory of this kind. Reports what cannot work and returns None then.

    Args:
        settings: the upstream's `DiscoverySettings`. connection: None for that of the pod.
    """
    connection = connection or KubernetesSettings()
    environment = surroundings.environment
    checked = Credentials(connection, surroundings.base_dir, reactor=environment.reactor, wall=environment.wall)
    namespace = connection.namespace or "default"
    try:
        access = checked.access()
    except CredentialsError as error:
        if connection.url is not None or connection.kubeconfig is not None:
            surroundings.about_connection.add((), str(error))
            return None
        # A configuration is checked outside the cluster too.
        surroundings.problems.warn((), str(error))
    else:
        namespace = access.namespace or namespace
        _warn(connection, surroundings, access.secure, checked.has_token)
    try:
        query = query_of(settings, namespace)
    except ValueError as error:
        key, _, words = str(error).partition(": ")
        surroundings.problems.add((key,), words, absent=())
        return None
    # Found out once for all upstreams of a connection; the one above was only looked at whether it can be.
    credentials = surroundings.common.get(("k8s", connection, surroundings.base_dir), lambda: checked)
    client = KubernetesClient(environment.reactor, environment.resolver, credentials)
    where = connection.url or connection.context or connection.kubeconfig or ""
    return KubernetesSource(query, client, connection.annotation_prefix, environment.reactor, environment.chance, where)


K8S = DiscoveryPart(
    "k8s",
    frozenset({"service", "selector", "namespace", "port", "scheme"}),
    frozenset(),
    build_kubernetes,
    KubernetesSettings,
)


def _warn(connection: KubernetesSettings, surroundings: Surroundings, secure: bool, has_token: bool) -> None:
    if not connection.verify:
        surroundings.about_connection.warn(
            ("verify",), "whoever answers at the API server's address can read the token and name endpoints"
        )
    if has_token and not secure:
        surroundings.about_connection.warn(("url",), "the token is sent over plain HTTP", "write https://")
