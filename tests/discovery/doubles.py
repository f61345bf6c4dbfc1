"""A gateway's surroundings on a clock, a source that says what a test wants, and a listener that writes down what it hears."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from edgegw.net.resolver import Resolver
from edgegw.observe.events import Events
from edgegw.runtime.wheel import Wheel
from edgegw.upstream.address import EndpointSettings, Named
from edgegw.upstream.advice import Advice
from edgegw.upstream.environment import Environment

WALL_S = 1_700_000_000.0


def environment(clock: Clock | None = None, events: Events | None = None) -> Environment:
    """Monotonic and wall time run on the same clock."""
    clock = Clock() if clock is None else clock
    return Environment(
        clock,
        Wheel(clock),
        cast(Resolver, None),
        Events(lambda: WALL_S) if events is None else events,
        random.Random(7),
        lambda: WALL_S + clock.seconds(),
    )


def named(*urls: str, held: str = "", **settings: Any) -> list[Named]:
    """Endpoints as a source names them."""
    return [Named(EndpointSettings(url=url, **settings), held) for url in urls]


def a(*numbers: int, held: str = "") -> list[Named]:
    """`http://10.0.0.N:80` for each."""
    return named(*(f"http://10.0.0.{number}:80" for number in numbers), held=held)


class FakeSource:
    """A source whose words are the test's."""

    def __init__(self, name: str = "fake x") -> None:
        self.name = name
        self.listener: Any = None
        self.stopped = False
        self.stopping: Deferred[None] | None = None
        self.broken: Exception | None = None

    def start(self, listener: Any) -> None:
        if self.broken is not None:
            raise self.broken
        self.listener = listener

    def stop(self) -> Deferred[None] | None:
        self.stopped = True
        return self.stopping


class Heard:
    """A listener."""

    def __init__(self) -> None:
        self.found_: list[list[Named]] = []
        self.confirmations = 0
        self.failures: list[str] = []
        self.refusals: list[tuple[str, str]] = []

    def found(self, named: Sequence[Named], advice: Advice | None = None) -> None:
        self.found_.append(list(named))

    def confirmed(self) -> None:
        self.confirmations += 1

    def failed(self, reason: str) -> None:
        self.failures.append(reason)

    def refused(self, what: str, reason: str) -> None:
        self.refusals.append((what, reason))

    @property
    def urls(self) -> list[str]:
        """Of the last answer."""
        return [each.settings.url for each in self.found_[-1]]
