"""What the tests of this folder share: the double of an agent on loopback, entries of its answers, a scripted client."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.web.server import Site

from edgegw.discovery.api.client import HttpClient
from edgegw.discovery.consul import loop
from edgegw.discovery.consul.access import AgentAccess
from edgegw.discovery.consul.client import ConsulClient, Query, Reply
from edgegw.discovery.consul.instances import Wanted
from edgegw.discovery.consul.settings import ConsulSettings
from edgegw.discovery.consul.source import ConsulSource
from tests.discovery.api.case import SocketCase, reactor
from tests.discovery.doubles import Heard
from tests.live.consul_double import Agent

QUERY = Query("web")


def entry(number: int = 1, status: str = "passing", *, node: Any = None, **service: Any) -> dict[str, Any]:
    """One entry of `/v1/health/service/web`: instance `webN` at 10.0.0.N:80."""
    found = {"ID": f"web{number}", "Service": "web", "Address": f"10.0.0.{number}", "Port": 80}
    return {
        "Node": {"Node": "n1", "Address": "10.0.9.9", "Datacenter": "dc1", "Meta": None, **(node or {})},
        "Service": {**found, "Tags": None, "Meta": None, "Weights": {"Passing": 1, "Warning": 1}, **service},
        "Checks": [{"CheckID": "serfHealth", "Status": "passing"}, {"CheckID": "c", "Status": status}],
    }


class AgentCase(SocketCase):
    """Tests against the double on loopback."""

    def setUp(self) -> None:
        super().setUp()
        self.patch(loop, "SPACING_S", 0.05)
        self.agent = Agent(reactor)
        self.listening = self.site(Site(self.agent))
        self.port: int = self.listening.getHost().port

    def register(self, *numbers: int, status: str = "passing", **more: Any) -> None:
        for number in numbers:
            check = {"CheckID": f"c{number}", "TTL": "60s", "Status": status}
            said = {"Name": "web", "ID": f"web{number}", "Address": f"10.0.0.{number}", "Port": 80, "Check": check}
            self.agent.register({**said, **more})

    def asking(
        self, port: int | None = None, wait_s: float = 2.0, timeout_s: float = 1.0, **settings: Any
    ) -> ConsulClient:
        """A client of the double, stopped at the end: trial then sees whether it left anything."""
        settings.setdefault("url", f"http://127.0.0.1:{port or self.port}")
        read = ConsulSettings.model_validate(settings)
        client = ConsulClient(
            HttpClient(reactor, self.resolver),
            AgentAccess(read, Path("/")),
            read.consistency,
            wait_s,
            timeout_s,
        )
        self.addCleanup(client.stop)
        return client

    def watching(self, query: Query = QUERY, wanted: Wanted = Wanted(), **settings: Any) -> tuple[ConsulSource, Heard]:
        """A started source, stopped at the end."""
        source = ConsulSource(query, wanted, self.asking(**settings), reactor, random.Random(7))
        listener = Heard()
        source.start(listener)
        self.addCleanup(source.stop)
        return source, listener


class Script:
    """A client that does what a test says: questions wait until they are answered."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, Deferred[Reply]]] = []
        self.stopped = False

    async def ask(self, query: Query, index: int) -> Reply:
        answer: Deferred[Reply] = Deferred()
        self.asked.append((index, answer))
        return await answer

    def stop(self) -> None:
        self.stopped = True

    @property
    def indexes(self) -> list[int]:
        return [index for index, _ in self.asked]

    def say(self, index: int, *entries: Any, **more: Any) -> None:
        """Answer the last question."""
        self.asked[-1][1].callback(Reply(index, list(entries), **more))

    def fail(self, error: Exception) -> None:
        self.asked[-1][1].errback(error)
