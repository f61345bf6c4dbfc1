"""What these tests share: a relay or tunnel between two transports in memory, whose peers the test plays frame by frame."""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from edgegw.net.websocket.deflate import Deflate
from edgegw.net.websocket.ending import RelayOutcome
from edgegw.net.websocket.frames import BINARY, CLOSE, FIN, PING, PONG, TEXT, MaskKeys, close_payload, frame, mask
from edgegw.net.websocket.relay import Relay
from edgegw.net.websocket.settings import WebSocketSettings
from edgegw.net.websocket.tunnel import Tunnel
from edgegw.runtime.wheel import Wheel
from edgegw.testing.memory import MemoryTransport

KEYS = MaskKeys(lambda size: bytes(range(1, 252)) * 4)

Frame = tuple[int, bytes]
"""First byte and payload, unmasked."""


def frames_in(data: bytes, masked: bool) -> list[Frame]:
    """What a peer reads, strictly: raises AssertionError when the mask bit is wrong or bytes are left over."""
    found, at = [], 0
    while at < len(data):
        first, second = data[at], data[at + 1]
        assert (second >= 0x80) == masked, f"mask bit of {data[at : at + 2]!r}"
        length, at = second & 0x7F, at + 2
        if length > 125:
            size = 2 if length == 126 else 8
            length, at = int.from_bytes(data[at : at + size], "big"), at + size
            assert length > (125 if size == 2 else 0xFFFF), "not the shortest length"
        key, at = (data[at : at + 4], at + 4) if masked else (b"", at)
        payload, at = data[at : at + length], at + length
        assert len(payload) == length, "cut off"
        found.append((first, mask(payload, key) if masked else payload))
    return found


def text(payload: str, fin: bool = True) -> Frame:
    return (FIN * fin | TEXT, payload.encode())


def binary(payload: bytes, fin: bool = True) -> Frame:
    return (FIN * fin | BINARY, payload)


def more(payload: bytes, fin: bool = False) -> Frame:
    return (FIN * fin, payload)


def ping(payload: bytes = b"") -> Frame:
    return (FIN | PING, payload)


def pong(payload: bytes = b"") -> Frame:
    return (FIN | PONG, payload)


def close(code: int | None = None, reason: str = "") -> Frame:
    return (FIN | CLOSE, close_payload(code, reason.encode()))


class Peer:
    """One side's peer: sends frames and reads those that came since it read last."""

    def __init__(self, masks: bool) -> None:
        self.transport = MemoryTransport(None)
        self.masks = masks
        self._read = 0

    def encoded(self, *frames: Frame) -> bytes:
        return b"".join(frame(first, payload, KEYS if self.masks else None) for first, payload in frames)

    def send(self, *frames: Frame) -> None:
        self.transport.deliver(self.encoded(*frames))

    def got(self) -> list[Frame]:
        written = self.transport.written
        new, self._read = written[self._read :], len(written)
        return frames_in(new, not self.masks)

    def lose(self) -> None:
        self.transport.lose()

    @property
    def ended(self) -> list[str]:
        return self.transport.ended


class PairCase(SynchronousTestCase):
    """A test case with a clock, a wheel and a connection between `client` and `server`."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.wheel = Wheel(self.clock)
        self.wheel.start()
        self.outcomes: list[RelayOutcome] = []
        self.client, self.server = Peer(True), Peer(False)

    def relay(
        self,
        client: bytes = b"",
        server: bytes = b"",
        deflate: tuple[Deflate | None, Deflate | None] = (None, None),
        **settings: Any,
    ) -> Relay:
        """Connect both sides; `client`, `server`: what came behind their handshakes."""
        made = Relay(
            WebSocketSettings(**settings),
            self.wheel,
            downstream_deflate=deflate[0],
            upstream_deflate=deflate[1],
            ended=self.outcomes.append,
        )
        self.join(made, client, server)
        return made

    def tunnel(self, client: bytes = b"", server: bytes = b"", **settings: Any) -> Tunnel:
        made = Tunnel(WebSocketSettings(mode="tunnel", **settings), self.wheel, ended=self.outcomes.append)
        self.join(made, client, server)
        return made

    def join(self, made: Relay | Tunnel, client: bytes, server: bytes) -> None:
        self.server.transport.protocol = made.connect_upstream(self.server.transport, server)
        self.client.transport.protocol = made.connect(self.client.transport, client)

    def wait(self, seconds: float) -> None:
        """Let time pass, tick by tick."""
        for _ in range(round(seconds * 10)):
            self.clock.advance(0.1)

    def outcome(self) -> RelayOutcome:
        self.assertEqual(len(self.outcomes), 1)
        return self.outcomes[0]

    def summary(self) -> tuple[str, str, int | None]:
        found = self.outcome()
        return found.cause.value, found.by, found.code

    def finish(self) -> None:
        """The usual end: both peers answer and the server closes first."""
        self.server.lose()
        self.client.lose()
