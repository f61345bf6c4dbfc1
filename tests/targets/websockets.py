"""What the tests of the WebSocket target share: handshakes, a double for what takes over, and a downstream peer with origins."""

from __future__ import annotations

from typing import Any

from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from edgegw.net.websocket.ending import Cause
from edgegw.net.websocket.settings import WebSocketSettings
from edgegw.observe.metrics import Registry
from edgegw.targets import websocket
from edgegw.targets.proxy import Proxy
from edgegw.targets.websocket import Upgrading, WebSocketTarget, websocket_off
from edgegw.testing.downstream import Desk, request
from edgegw.testing.origin import Origin, OriginConnection, cluster
from edgegw.upstream.pool import PoolSettings
from edgegw.wire.websocket import accept_of
from tests.wire.test_websocket import KEY

OURS = b"MDEyMzQ1Njc4OWFiY2RlZg=="
"""The key made of the test's entropy."""

HANDSHAKE = [
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    f"Sec-WebSocket-Key: {KEY.decode()}",
]


def handshake(*more: str, without: str = "\0", line: str = "GET /chat?a=1 HTTP/1.1") -> bytes:
    """A request to switch. without: the beginning of lines to leave out."""
    return request(line, *(each for each in HANDSHAKE if not each.startswith(without)), *more)


def switch(*more: str, key: bytes = OURS, tail: bytes = b"", without: str = "\0") -> bytes:
    """An upstream's 101."""
    lines = ["Upgrade: websocket", "Connection: Upgrade", f"Sec-WebSocket-Accept: {accept_of(key).decode()}", *more]
    kept = [line for line in lines if not line.startswith(without)]
    return "\r\n".join(["HTTP/1.1 101 Switching Protocols", *kept, "", ""]).encode() + tail


class End(Protocol):
    """One end of what the double ties together."""

    def __init__(self, received: bytes) -> None:
        self.received = received
        self.lost: Failure | None = None

    def dataReceived(self, data: bytes) -> None:
        self.received += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lost = reason


class Double:
    """In place of `Relay` and `Tunnel`: remembers what it was made with and what it is told."""

    made: list[Double] = []
    cause: Cause | None = None

    def __init__(self, settings: WebSocketSettings, wheel: Any, **options: Any) -> None:
        self.options = options
        self.upstream: End | None = None
        self.downstream: End | None = None
        self.told: list[str] = []
        self.made.append(self)

    def connect_upstream(self, transport: Any, received: bytes) -> End:
        self.upstream_transport = transport
        self.upstream = End(received)
        return self.upstream

    def connect(self, transport: Any, received: bytes) -> End:
        self.downstream_transport = transport
        self.downstream = End(received)
        return self.downstream

    carried = (0, 0)

    def drain(self) -> None:
        self.told.append("drain")

    def abandon(self) -> None:
        self.told.append("abandon")


class Case(SynchronousTestCase):
    """A downstream connection, the target behind it, and origins."""

    def setUp(self) -> None:
        Double.made = []
        self.patch(websocket, "Relay", Double)
        self.patch(websocket, "Tunnel", Double)
        self.registry = Registry()

    def build(self, *scripts: list[Any], mode: str = "relay", middleware: Any = None, **more: Any) -> Desk:
        self.desk = desk = Desk()
        self.origins = [Origin(*script, clock=desk.clock, wheel=desk.wheel) for script in scripts]
        self.cluster = made = cluster(*self.origins, pool=PoolSettings())
        metrics = self.registry.upstream("shop")
        settings = WebSocketSettings.model_validate({"mode": mode, **more})
        proxy = Proxy(made, 5.0, 10.0, desk.clock.seconds, metrics)
        target = WebSocketTarget(
            made, settings, (5.0, 10.0), desk.wheel, metrics, lambda size: b"0123456789abcdef"[:size]
        )
        chosen: Any = Upgrading(proxy, websocket_off if mode == "off" else target)
        desk.script.steps = [middleware(chosen) if middleware else chosen] * 10
        return desk

    def turn(self, seconds: float = 0.1) -> None:
        self.origins[0].turn(seconds)

    @property
    def relay(self) -> Double:
        (relay,) = Double.made
        return relay

    def wire(self, number: int = 0) -> OriginConnection:
        return self.origins[number].connections[0]

    def attempts(self) -> dict[str, float]:
        family = self.registry.upstream_attempts
        return {labels[1]: cell.value for labels, cell in family if cell.value}

    def in_flight(self) -> list[int]:
        return [endpoint.in_flight for endpoint in self.cluster.endpoints]

    def refused(self, data: bytes, status: str, reason: str) -> None:
        """What the peer said is answered like this, and no upstream heard of it."""
        desk = self.build([])
        desk.says(data)
        self.turn()
        heard = desk.heard()
        self.assertTrue(heard.startswith(b"HTTP/1.1 " + status.encode()), heard)
        self.assertIn(b'"reason":"' + reason.encode() + b'"', heard)
        self.assertEqual(heard.count(b"HTTP/1.1 "), 1, heard)
        self.assertEqual(self.origins[0].attempts, 0)
        self.assertNotEqual(desk.ended, [])
