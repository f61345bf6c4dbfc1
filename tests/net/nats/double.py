"""A NATS server on connections in memory: the test says what it says, and reads what it was told."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionRefusedError
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from edgegw.net.nats.client import NatsClient
from edgegw.net.nats.dialing import Dialer
from edgegw.net.nats.login import Login
from edgegw.net.nats.settings import NatsSettings, parse_server
from edgegw.net.resolver import Resolver
from edgegw.testing.memory import MemoryTransport
from edgegw.wire.nats import Message


class Chance(random.Random):
    """Keeps the order of what is shuffled."""

    def shuffle(self, x: Any) -> None:
        pass


class Peer(MemoryTransport):
    """The server's end of one connection. address: where it was looked for."""

    def __init__(self, protocol: Any, address: str) -> None:
        super().__init__(protocol)
        self.address = address
        self._read = 0

    def said(self) -> list[str]:
        """What came since the last time, line by line."""
        text = self.written[self._read :]
        self._read = len(self.written)
        return text.decode().split("\r\n")[:-1]

    def greet(self, **info: Any) -> None:
        """INFO."""
        self.deliver(b"INFO " + json.dumps(info).encode() + b"\r\n")

    def admit(self, **info: Any) -> list[str]:
        """INFO, and the PONG that ends the login; what was said up to that."""
        self.greet(**info)
        said = self.said()
        self.deliver(b"PONG\r\n")
        return said

    def message(self, subject: str, sid: int, payload: bytes = b"", reply: str = "", headers: str = "") -> None:
        """MSG, or HMSG. headers: with the first line."""
        words = f"{subject} {sid} {reply}".strip()
        if headers:
            block = headers.encode() + b"\r\n\r\n"
            start = f"HMSG {words} {len(block)} {len(block) + len(payload)}\r\n".encode()
            self.deliver(start + block + payload + b"\r\n")
        else:
            self.deliver(f"MSG {words} {len(payload)}\r\n".encode() + payload + b"\r\n")


class Network:
    """Where connections are opened to. refused: addresses with port where nobody listens; silent: that never answer."""

    def __init__(self) -> None:
        self.peers: list[Peer] = []
        self.tried: list[str] = []
        self.refused: set[str] = set()
        self.silent: set[str] = set()

    async def open(self, address: str, port: int, factory: Any, timeout_s: float) -> Any:
        """`Open`."""
        place = f"{address}:{port}"
        self.tried.append(place)
        if place in self.refused:
            raise ConnectionRefusedError()
        if place in self.silent:
            await Deferred()
        protocol = factory.buildProtocol(None)
        peer = Peer(protocol, place)
        self.peers.append(peer)
        peer.connect()
        return protocol

    @property
    def last(self) -> Peer:
        """The newest connection."""
        return self.peers[-1]


class Owner:
    """Writes down what a client tells."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.pings: list[float] = []

    def opened(self) -> None:
        self.told.append("opened")

    def alive(self, sent_s: float) -> None:
        self.pings.append(sent_s)

    def lost(self, reason: str) -> None:
        self.told.append(f"lost: {reason}")

    def failed(self, reason: str) -> None:
        self.told.append(f"failed: {reason}")

    def complained(self, words: str) -> None:
        self.told.append(f"complained: {words}")


class NatsCase(SynchronousTestCase):
    """A network, a clock, and a client when it is wanted."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.network = Network()
        self.owner = Owner()
        self.chance: random.Random = Chance(7)

    def settings(self, *servers: str, **more: Any) -> NatsSettings:
        return NatsSettings.model_validate({"servers": list(servers or ("10.0.0.1",)), **more})

    def dialer(self, settings: NatsSettings, base_dir: Path = Path()) -> Dialer:
        resolver = Resolver(self.clock, lambda name: Deferred())
        login = Login(settings, base_dir)
        timeout_s, ping_s = settings.timeout, settings.ping
        return Dialer(self.clock, resolver, self.network.open, login, None, timeout_s=timeout_s, ping_s=ping_s)

    def client(self, *servers: str, start: bool = True, **more: Any) -> NatsClient:
        settings = self.settings(*servers, **more)
        places = [parse_server(text) for text in settings.servers]
        dialer = self.dialer(settings)
        client = NatsClient(places, dialer, self.owner, self.clock, self.chance, settings.cluster)
        if start:
            client.start()
        return client

    def opened(self, *servers: str, **more: Any) -> NatsClient:
        """A client that is connected; what it said is read."""
        client = self.client(*servers, **more)
        self.network.last.admit()
        self.network.last.said()
        return client

    @property
    def peer(self) -> Peer:
        return self.network.last


def message(subject: str, payload: bytes = b"", **more: Any) -> Message:
    """As a client hands it on."""
    return Message(subject, 1, payload=payload, **more)
