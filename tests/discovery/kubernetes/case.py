"""What the tests of this folder share: the double of the API server on loopback, a listener that writes down, a scripted client."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.web.server import Site

from edgegw.discovery.api import backoff
from edgegw.discovery.kubernetes import reflector as reflecting
from edgegw.discovery.kubernetes.client import KubernetesClient
from edgegw.discovery.kubernetes.credentials import Credentials
from edgegw.discovery.kubernetes.settings import KubernetesSettings, Query
from edgegw.discovery.kubernetes.source import KubernetesSource
from edgegw.upstream.address import Named
from edgegw.upstream.advice import Advice
from tests.discovery.api.case import SocketCase, reactor
from tests.live.kube_double import Api
from tests.live.kube_objects import endpoint, endpoint_slice, service

QUERY = Query("shop", "users", "", "http")
ONE, TWO = "http://10.0.0.1:8080", "http://10.0.0.2:8080"
SLICES = "/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices"


class Written:
    """A listener that writes down what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, Any]] = []

    def found(self, named: Sequence[Named], advice: Advice | None = None) -> None:
        self.told.append(("found", [(each.settings.url, each.held) for each in named]))
        self.told.append(("advised", advice.plain() if advice is not None else {}))

    def confirmed(self) -> None:
        self.told.append(("confirmed", None))

    def failed(self, reason: str) -> None:
        self.told.append(("failed", reason))

    def refused(self, what: str, reason: str) -> None:
        self.told.append(("refused", (what, reason)))

    def all(self, kind: str) -> list[Any]:
        return [what for each, what in self.told if each == kind]

    @property
    def urls(self) -> list[str] | None:
        """Of what was found last; None: nothing yet."""
        found = self.all("found")
        return [url for url, _ in found[-1]] if found else None


class ApiCase(SocketCase):
    """Tests against the double on loopback."""

    def setUp(self) -> None:
        super().setUp()
        self.api = Api(reactor)
        self.listening = self.site(Site(self.api))
        self.port: int = self.listening.getHost().port

    def client(self, *, port: int | None = None, scheme: str = "http", **settings: Any) -> KubernetesClient:
        """A client of the double, stopped at the end: trial then sees whether it left anything."""
        settings.setdefault("url", f"{scheme}://127.0.0.1:{port or self.port}")
        client = KubernetesClient(reactor, self.resolver, Credentials(KubernetesSettings(**settings), Path("/")))
        self.addCleanup(client.stop)
        return client

    def source(self, query: Query = QUERY, client: KubernetesClient | None = None) -> tuple[KubernetesSource, Written]:
        """A started source, stopped at the end."""
        source = KubernetesSource(query, client or self.client(), "edgegw.dev/", reactor, random.Random(7))
        listener = Written()
        source.start(listener)
        self.addCleanup(source.stop)
        return source, listener


class SourceCase(ApiCase):
    """The double holds the Service users with one endpoint."""

    def setUp(self) -> None:
        super().setUp()
        self.patch(backoff, "BASE_S", 0.05)
        self.patch(backoff, "FLOOR_S", 0.01)
        self.patch(reflecting, "SPACING_S", 0.01)
        self.api.put("services", service())
        self.put(endpoint("10.0.0.1"))

    def put(self, *endpoints: Any, name: str = "users-1", **more: Any) -> None:
        self.api.put("endpointslices", endpoint_slice(name, *endpoints, **more))

    async def standing(self, count: int = 2) -> None:
        await self.until(lambda: len(self.api.watches) == count, f"{count} watches stand")


class Script:
    """A client that does what a test says: requests wait until they are answered."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, str], Deferred[Any]]] = []
        self.opened: Callable[[], None] = lambda: None
        self.line: Callable[[bytes], None] = lambda line: None
        self.limits: list[float] = []

    async def get(self, path: str, params: Any, limit_s: float = 10.0) -> Any:
        return await self._wait("get", params)

    async def watch(self, path: str, params: Any, opened: Any, line: Any, limit_s: float) -> None:
        self.opened, self.line = opened, line
        self.limits.append(limit_s)
        await self._wait("watch", params)

    def _wait(self, kind: str, params: Any) -> Deferred[Any]:
        answer: Deferred[Any] = Deferred()
        self.asked.append((kind, dict(params), answer))
        return answer

    @property
    def kinds(self) -> list[str]:
        return [kind for kind, _, _ in self.asked]

    @property
    def last(self) -> Deferred[Any]:
        return self.asked[-1][2]

    @property
    def params(self) -> dict[str, str]:
        return self.asked[-1][1]
