"""Tests of edgegw.net.nats.dialing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, succeed

from edgegw.net.nats.client import NatsClient
from edgegw.net.nats.connection import LoginRefused, NatsConnection, NatsError
from edgegw.net.nats.dialing import Dialer
from edgegw.net.nats.login import Login
from edgegw.net.nats.settings import Server
from edgegw.net.resolver import Resolver
from tests.net.nats.double import NatsCase


class Names:
    """A name service of the test's."""

    def __init__(self, **names: list[str]) -> None:
        self.names = names

    def __call__(self, name: str) -> Deferred[Any]:
        if name not in self.names:
            raise OSError(f"no {name}")
        return succeed(self.names[name])


class DialerTests(NatsCase):
    """One attempt."""

    def dial(self, host: str = "n", **names: list[str]) -> Deferred[NatsConnection]:
        settings = self.settings(timeout="4s")
        resolver = Resolver(self.clock, Names(**names))
        dialer = Dialer(
            self.clock, resolver, self.network.open, Login(settings, Path()), None, timeout_s=4.0, ping_s=10.0
        )
        return dialer.dial(Server(host, 1), NatsClient([Server("x", 1)], dialer, self.owner, self.clock, self.chance))

    def test_next_address(self) -> None:
        """A name with several addresses: each is tried."""
        self.network.refused.add("10.0.0.1:1")
        dialled = self.dial(n=["10.0.0.1", "10.0.0.2"])
        self.assertEqual(self.network.tried, ["10.0.0.1:1", "10.0.0.2:1"])
        self.assertNoResult(dialled)
        self.peer.admit()
        self.assertTrue(self.successResultOf(dialled).is_open)

    def test_refused(self) -> None:
        self.network.refused.add("10.0.0.1:1")
        failure = self.failureResultOf(self.dial(n=["10.0.0.1"]), NatsError)
        self.assertEqual(failure.getErrorMessage(), "n:1: connection was refused by other side")

    def test_no_such_name(self) -> None:
        failure = self.failureResultOf(self.dial("other"), NatsError)
        self.assertIn("cannot resolve other", failure.getErrorMessage())

    def test_deadline_of_the_socket(self) -> None:
        self.network.silent.add("10.0.0.1:1")
        dialled = self.dial(n=["10.0.0.1"])
        self.clock.advance(3.9)
        self.assertNoResult(dialled)
        self.clock.advance(0.1)
        failure = self.failureResultOf(dialled, NatsError)
        self.assertEqual(failure.getErrorMessage(), "n:1: no connection within 4 s")

    def test_deadline_of_the_login(self) -> None:
        """A server that says nothing, or nothing after its greeting."""
        for greeting in (False, True):
            dialled = self.dial(n=["10.0.0.1"])
            if greeting:
                self.peer.greet()
            self.clock.advance(4)
            self.assertIn("within 4 s", self.failureResultOf(dialled, NatsError).getErrorMessage())
            self.assertFalse(self.peer.connected)

    def test_login_refused(self) -> None:
        dialled = self.dial(n=["10.0.0.1"])
        self.peer.greet()
        self.peer.deliver(b"-ERR 'Authorization Violation'\r\n")
        words = self.failureResultOf(dialled, LoginRefused).getErrorMessage()
        self.assertEqual(words, "n:1 refuses us: Authorization Violation; check no login at all")
        self.assertFalse(self.peer.connected)

    def test_cancelled(self) -> None:
        dialled = self.dial(n=["10.0.0.1"])
        dialled.cancel()
        self.failureResultOf(dialled)
        self.assertFalse(self.peer.connected)
