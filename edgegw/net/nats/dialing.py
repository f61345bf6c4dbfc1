"""One attempt to have a connection to a NATS server: name, socket, TLS and login, all within one time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectError, ConnectingCancelledError, ConnectionLost, NoProtocol
from twisted.internet.interfaces import IProtocolFactory
from twisted.python.failure import Failure

from edgegw.net.endpoints import TcpPlace, connect
from edgegw.net.nats.connection import Heard, NatsConnection, NatsError, Once, Socket
from edgegw.net.nats.login import Login
from edgegw.net.nats.settings import Server
from edgegw.net.resolver import ResolveError, Resolver
from edgegw.net.tls import UpstreamTls

Open = Callable[[str, int, IProtocolFactory, float], Awaitable[Any]]
"""(address, port, factory, seconds): connects; raises what `edgegw.net.endpoints.connect` does."""


def opener(reactor: Any) -> Open:
    """Opens sockets with this reactor."""

    def open_socket(address: str, port: int, factory: IProtocolFactory, timeout_s: float) -> Awaitable[Any]:
        return connect(reactor, TcpPlace(address, port), factory, timeout_s=timeout_s)

    return open_socket


class Dialer:
    """Makes connections of one client.

    Args:
        clock: a reactor, or its clock. resolver: names. open_socket: see `opener`. login, tls: of all connections.
        timeout_s: for each attempt. ping_s: of what is connected.
    """

    def __init__(
        self,
        clock: Any,
        resolver: Resolver,
        open_socket: Open,
        login: Login,
        tls: UpstreamTls | None,
        *,
        timeout_s: float = 5.0,
        ping_s: float = 10.0,
    ) -> None:
        self._clock = clock
        self._resolver = resolver
        self._open = open_socket
        self._login = login
        self._tls = tls
        self._timeout_s = timeout_s
        self._ping_s = ping_s

    def dial(self, server: Server, heard: Heard) -> Deferred[NatsConnection]:
        """A connection whose login is done. Cancelling it ends the attempt.

        Raises (through the Deferred):
            NatsError: there is none; LoginRefused: because of who we are.
        """
        running = Deferred.fromCoroutine(self._dial(server, heard))
        expired = False

        def expire() -> None:
            nonlocal expired
            expired = True
            running.cancel()

        deadline = self._clock.callLater(self._timeout_s, expire)

        def settle(result: Any) -> Any:
            if deadline.active():
                deadline.cancel()
            if isinstance(result, Failure) and expired:
                raise NatsError(f"{server}: no connection within {self._timeout_s:g} s")
            return result

        return running.addBoth(settle)

    async def _dial(self, server: Server, heard: Heard) -> NatsConnection:
        try:
            addresses = await self._resolver.resolve(server.host)
        except ResolveError as error:
            raise NatsError(str(error)) from None
        words = "it has no address"
        until_s = self._clock.seconds() + self._timeout_s
        for tried, address in enumerate(addresses):
            spoken = NatsConnection(server, self._login, self._tls, heard, self._clock, self._ping_s)
            factory = Once(lambda spoken=spoken: Socket(spoken))  # type: ignore[misc]
            # One address that swallows packets must leave time for the others.
            left_s = max(until_s - self._clock.seconds(), 0.0) / (len(addresses) - tried)
            try:
                await self._open(address, server.port, factory, left_s)
            except ConnectingCancelledError:
                raise CancelledError from None
            except (ConnectError, ConnectionLost, NoProtocol, OSError) as error:
                words = str(error).strip().rstrip(".").lower()
                continue
            return await spoken.ready
        raise NatsError(f"{server}: {words}")
