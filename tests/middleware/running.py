"""What the tests of middleware share: a target that remembers, and how a responder is run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from edgegw.errors import GatewayError
from edgegw.exchange.interfaces import Responder
from edgegw.exchange.model import Exchange, Response
from edgegw.testing.exchanges import FakeConnection
from edgegw.wire.headers import Headers


class Target:
    """Answers 200 with the given fields, or raises, or does what it is told."""

    def __init__(
        self, *fields: tuple[bytes, bytes], does: Callable[[Exchange], Any] | BaseException | None = None
    ) -> None:
        self.fields = fields
        self.does = does
        self.seen: list[Exchange] = []

    async def __call__(self, exchange: Exchange) -> Response:
        self.seen.append(exchange)
        if isinstance(self.does, BaseException):
            raise self.does
        if self.does is not None:
            made = self.does(exchange)
            if made is not None:
                return await made if isinstance(made, Deferred) else made  # type: ignore[no-any-return]
        return Response(200, Headers.of(self.fields))


class Case(SynchronousTestCase):
    """Runs responders."""

    def start(self, responder: Responder, exchange: Exchange) -> Deferred[Response]:
        async def run() -> Response:
            return await responder(exchange)

        return Deferred.fromCoroutine(run())

    def respond(self, responder: Responder, exchange: Exchange) -> Response:
        return self.successResultOf(self.start(responder, exchange))

    def refuse(self, responder: Responder, exchange: Exchange) -> GatewayError:
        error: GatewayError = self.failureResultOf(self.start(responder, exchange), GatewayError).value
        return error


def behind(peer: str, tls: Any = None) -> FakeConnection:
    """A connection from this peer."""
    connection = FakeConnection(tls)
    connection.peer = peer
    return connection


def sent(exchange: Exchange, *names: bytes) -> dict[bytes, list[bytes]]:
    """Values of fields that the target sees, by lower-case name; without names all of them."""
    found: dict[bytes, list[bytes]] = {}
    for lower, _, value in exchange.request.headers.fields:
        if not names or lower in names:
            found.setdefault(lower, []).append(value)
    return found
