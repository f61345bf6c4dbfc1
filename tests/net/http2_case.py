"""One upstream HTTP/2 connection to one origin, as the tests of its files need it."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from edgegw.errors import GatewayError
from edgegw.exchange.model import Response
from edgegw.net.call import Call
from edgegw.wire.events import ResponseHead
from tests.net.http2_origin import Http2Origin, Wire

HOST = (b"host", b"Host", b"shop")


class Lender:
    """The connection's owner, remembering what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def idle(self, connection: Any) -> None:
        self.told.append("idle")

    def has_room(self, connection: Any) -> None:
        self.told.append("room")

    def full(self, connection: Any) -> None:
        self.told.append("full")

    def closed(self, connection: Any) -> None:
        self.told.append("closed")


class Case(SynchronousTestCase):
    """One connection to one origin."""

    def setUp(self, **origin: Any) -> None:
        self.origin = Http2Origin(**origin)
        self.connection = self.origin.accept()
        self.wire: Wire = self.origin.wires[0]
        self.lender = self.connection.owner = Lender()
        self.informational: list[ResponseHead] = []

    def ask(self, method: str = "GET", body: Any = None, length: int | None = 0, **times: float) -> Deferred[Response]:
        fields = [HOST]
        if body is not None and length is not None:
            fields.append((b"content-length", b"Content-Length", b"%d" % length))
        timeouts = (times.get("head", 15.0), times.get("idle", 60.0))
        return self.connection.send(Call(method, "/a", fields, body, length, timeouts, self.informational.append))

    def begun(self, sid: int = 1, body: bytes = b"", **times: float) -> Response:
        """The response to one request, its head and the beginning of its body in one read."""
        answered = self.ask(**times)
        with self.wire.one_read():
            self.wire.head(sid)
            if body:
                self.wire.data(sid, body)
        return self.successResultOf(answered)

    def error(self, answered: Deferred[Response]) -> GatewayError:
        return self.failureResultOf(answered, GatewayError).value

    def assert_alive(self) -> None:
        """The connection serves another exchange."""
        answered = self.ask()
        sid = max(self.wire.asked)
        self.wire.answer(sid, b"alive")
        self.assertEqual(self.successResultOf(answered).body.take_ready(), b"alive")
        self.assertNotIn("closed", self.lender.told)
