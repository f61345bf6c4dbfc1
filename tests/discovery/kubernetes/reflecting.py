"""The reflector on a clock that stands, and a client that says what the test wants."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from edgegw.discovery.api.errors import ApiError
from edgegw.discovery.api.fields import Malformed
from edgegw.discovery.kubernetes.identity import Identity
from edgegw.discovery.kubernetes.reflector import Collection, Reflector
from tests.discovery.kubernetes.case import Script


def read(data: Mapping[str, Any]) -> str:
    """The items of these tests: `name@version`."""
    if data.get("bad"):
        raise Malformed("bad is set")
    who = Identity(data)
    return f"{who.name}@{who.version}"


def thing(name: str, version: int = 10, **more: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": "n", "resourceVersion": str(version)}, **more}


def page(*things: Any, version: str = "100", following: str = "") -> dict[str, Any]:
    return {"metadata": {"resourceVersion": version, "continue": following}, "items": list(things)}


def event(kind: str, data: Any) -> bytes:
    return json.dumps({"type": kind, "object": data}).encode()


class Steady(random.Random):
    """Jitter that is the upper end each time."""

    def uniform(self, a: float, b: float) -> float:
        return b


class ReflectorCase(SynchronousTestCase):
    """A started reflector."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.script = Script()
        self.told: list[Any] = []
        client: Any = self.script
        self.reflector = Reflector(
            client,
            Collection("/x", {"labelSelector": "a=b"}, "Xs", "list and watch on xs"),
            read,
            self,
            self.clock,
            Steady(),
        )
        self.reflector.start()

    def tearDown(self) -> None:
        self.reflector.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [], "a timer was left")

    def changed(self) -> None:
        self.told.append(sorted(self.reflector.items.values()))

    def confirmed(self) -> None:
        self.told.append("confirmed")

    def failed(self, error: ApiError) -> None:
        self.told.append(error)

    @property
    def failures(self) -> list[ApiError]:
        return [each for each in self.told if isinstance(each, ApiError)]

    def listed(self, *things: Any, version: str = "100") -> None:
        self.assertEqual(self.script.kinds[-1], "get")
        self.script.last.callback(page(*things, version=version))

    def watching(self, *things: Any) -> None:
        """Listed, and the watch has begun."""
        self.listed(*things)
        self.script.opened()
        self.told.clear()

    def says(self, *lines: bytes) -> None:
        """The watch says this; an error ends it, as the client does."""
        for line in lines:
            try:
                self.script.line(line)
            except ApiError as error:
                self.script.last.errback(error)
                return

    def asked_after(self) -> float:
        """Let time pass until the next request; returns how long that was."""
        before, count = self.clock.seconds(), len(self.script.asked)
        while len(self.script.asked) == count:
            self.assertLess(self.clock.seconds() - before, 200.0, "it never asks again")
            self.clock.advance(0.05)
        return self.clock.seconds() - before
