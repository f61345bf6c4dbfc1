"""A source over a NATS server that the test speaks for, on a clock, and a listener."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from edgegw.net.nats.client import NatsClient, Owner
from edgegw.net.nats.settings import Server
from edgegw.net.nats.sharing import Guest, SharedClient
from edgegw.upstream.address import Named
from edgegw.upstream.environment import Environment
from tests.discovery.doubles import Heard, environment
from tests.net.nats.double import NatsCase


class Listener(Heard):
    """Writes down what it hears; remembers what it is given."""

    def __init__(self, known: Sequence[Named] = ()) -> None:
        super().__init__()
        self._known = known

    def known(self) -> Sequence[Named]:
        return self._known

    @property
    def marked(self) -> list[str]:
        """The last answer, held ones marked."""
        found = self.found_[-1]
        return [f"{each.settings.url}{' ' + each.held if each.held else ''}" for each in found]


class SourceCase(NatsCase):
    """Connects when it is told to."""

    def setUp(self) -> None:
        super().setUp()
        self.environment: Environment = environment(self.clock)
        self.listener = Listener()
        self.subjects: dict[str, int] = {}

    def connecting(self, **more: Any) -> Callable[[Owner], Guest]:
        dialer = self.dialer(self.settings(**more))
        servers = [Server("10.0.0.1", 4222)]
        self.shared = SharedClient(
            lambda owner: NatsClient(servers, dialer, owner, self.clock, self.chance), self.clock
        )
        return self.shared.guest

    def admit(self) -> list[str]:
        """Let the source in and answer its first PING; what it said then."""
        self.peer.admit()
        said = self.read()
        self.peer.deliver(b"PONG\r\n")
        return said

    def read(self) -> list[str]:
        """What the source said since the last time; what it subscribed to is remembered."""
        said = self.peer.said()
        for line in said:
            words = line.split()
            if words[:1] == ["SUB"]:
                self.subjects[words[1]] = int(words[-1])
        return said

    def say(self, subject: str, data: Any = None, **more: Any) -> None:
        """A message for the subscription that it fits; JSON unless it is bytes already."""
        payload = data if isinstance(data, bytes) else b"" if data is None else json.dumps(data).encode()
        fits = [
            each for each in self.subjects if each == subject or (each[-1] in "*>" and subject.startswith(each[:-1]))
        ]
        self.peer.message(subject, self.subjects[fits[0]], payload, **more)

    def wait(self, seconds: float, pongs: bool = True) -> None:
        """Time passes, a quarter of a second at a time; pings are answered."""
        for _ in range(int(seconds * 4)):
            self.clock.advance(0.25)
            if pongs and self.network.peers and self.peer.connected:
                for line in self.read():
                    if line == "PING":
                        self.peer.deliver(b"PONG\r\n")
