"""Tests of edgegw.net.nats.connection."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from edgegw.net.nats.connection import NatsConnection, NatsError, Socket
from edgegw.net.nats.login import Login
from edgegw.net.nats.settings import NatsSettings, Server
from edgegw.net.tls import UpstreamTls
from edgegw.wire.nats import Message
from tests.net.nats.double import Peer


class Heard:
    """Writes down what a connection tells."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def message(self, message: Message) -> None:
        self.told.append(message.subject)

    def alive(self, sent_s: float) -> None:
        self.told.append(sent_s)

    def informed(self, info: Mapping[str, Any]) -> None:
        self.told.append(info)

    def complained(self, words: str) -> None:
        self.told.append(words)

    def closed(self, connection: NatsConnection, reason: str) -> None:
        self.told.append(f"closed: {reason}")


class Case(SynchronousTestCase):
    """A connection whose server is the test."""

    def begin(self, tls: UpstreamTls | None = None, secure: bool = False, **login: Any) -> NatsConnection:
        self.clock = Clock()
        self.heard = Heard()
        settings = NatsSettings.model_validate({"servers": ["a"], **login})
        server = Server("10.0.0.1", 4222, secure)
        made = NatsConnection(server, Login(settings, Path()), tls, self.heard, self.clock, 10.0)
        self.peer = Peer(Socket(made), "10.0.0.1:4222")
        self.peer.connect()
        return made

    def open(self, **login: Any) -> NatsConnection:
        connection = self.begin(**login)
        self.peer.admit()
        self.successResultOf(connection.ready)
        return connection

    def refused(self, connection: NatsConnection) -> str:
        """Not connected: the reason, after checking that nothing is left of it."""
        words = self.failureResultOf(connection.ready, NatsError).getErrorMessage()
        self.assertFalse(self.peer.connected)
        self.assertEqual((self.clock.getDelayedCalls(), self.heard.told), ([], []))
        return words


class LoginTests(Case):
    """Up to the first PONG."""

    def test_nothing_is_said_before_the_greeting(self) -> None:
        connection = self.begin()
        self.assertEqual(self.peer.said(), [])
        self.peer.greet(server_name="x")
        first, second = self.peer.said()
        self.assertEqual((first[:8], second), ("CONNECT ", "PING"))
        self.assertFalse(json.loads(first[8:])["verbose"])
        self.assertNoResult(connection.ready)
        self.peer.deliver(b"PONG\r\n")
        self.assertIs(self.successResultOf(connection.ready), connection)
        self.assertEqual((connection.is_open, connection.info["server_name"]), (True, "x"))

    def test_garbage(self) -> None:
        connection = self.begin()
        self.peer.deliver(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        self.assertIn("10.0.0.1:4222 does not speak NATS: not a line", self.refused(connection))
        self.assertEqual(self.peer.written, b"")

    def test_closed_at_once(self) -> None:
        connection = self.begin()
        self.peer.lose()
        self.assertEqual(self.refused(connection), "10.0.0.1:4222: Connection was closed cleanly")

    def test_err(self) -> None:
        connection = self.begin()
        self.peer.deliver(b"-ERR 'maximum connections exceeded'\r\n")
        self.assertEqual(self.refused(connection), "10.0.0.1:4222 refuses us: maximum connections exceeded")

    def test_creds_cannot_be_read(self) -> None:
        connection = self.begin(creds="missing.creds")
        self.peer.greet(nonce="n")
        self.assertIn("missing.creds cannot be read", self.refused(connection))
        self.assertEqual(self.peer.written, b"")

    def test_cancelled(self) -> None:
        connection = self.begin()
        connection.ready.cancel()
        self.refused(connection)


class TlsTests(Case):
    """TLS begins after the greeting."""

    def test_insisted_on(self) -> None:
        """By settings or by URL: without it nothing is said, least of all a password."""
        for options in ({"tls": UpstreamTls()}, {"secure": True}):
            connection = self.begin(user="u", password="secret", **options)
            self.peer.greet()
            self.assertIn("TLS is configured, and the server speaks none", self.refused(connection))
            self.assertEqual(self.peer.written, b"")

    def test_wanted_by_the_server(self) -> None:
        """A handshake, and nothing of ours before it is done."""
        for info in ({"tls_required": True}, {"tls_available": True}):
            connection = self.begin(user="u", password="secret", tls=UpstreamTls() if "tls_available" in info else None)
            self.peer.greet(**info)
            self.assertEqual(self.peer.written[:2], b"\x16\x03")
            self.assertNotIn(b"CONNECT", self.peer.written)
            self.assertNotIn(b"secret", self.peer.written)
            self.peer.lose()
            self.failureResultOf(connection.ready, NatsError)

    def test_offered_only(self) -> None:
        self.begin()
        self.peer.greet(tls_available=True)
        self.assertEqual(self.peer.said()[0][:7], "CONNECT")

    def test_nothing_is_taken_over_from_the_clear(self) -> None:
        """What stands behind the greeting would count as said inside TLS."""
        for behind in (b"PONG\r\n", b"MSG"):
            connection = self.begin()
            self.peer.deliver(b'INFO {"tls_required":true}\r\n' + behind)
            self.assertIn("said in the clear", self.refused(connection))
            self.assertEqual(self.peer.written, b"")


class OpenTests(Case):
    """After the login."""

    def test_messages_and_pings(self) -> None:
        self.open()
        self.peer.said()
        self.peer.deliver(b"PING\r\nMSG a.b 1 0\r\n\r\n" + b'INFO {"x":1}\r\n')
        self.assertEqual(self.peer.said(), ["PONG"])
        self.assertEqual(self.heard.told, ["a.b", {"x": 1}])

    def test_dead(self) -> None:
        """Two pings without an answer."""
        connection = self.open()
        self.peer.said()
        self.clock.pump([10.0, 10.0])
        self.assertEqual(self.peer.said(), ["PING", "PING"])
        self.assertTrue(connection.is_open)
        self.clock.advance(10.0)
        self.assertEqual(self.heard.told, ["closed: no answer to 2 pings"])
        self.assertEqual((self.peer.ended, self.clock.getDelayedCalls()), (["abort"], []))

    def test_alive(self) -> None:
        """Each answer tells when its ping was sent; those that nobody asked for tell nothing."""
        connection = self.open()
        self.peer.deliver(b"PONG\r\n")
        for _ in range(6):
            self.clock.advance(10.0)
            self.peer.deliver(b"PONG\r\n")
        self.clock.advance(5.0)
        connection.ping()
        self.clock.advance(1.0)
        self.peer.deliver(b"PONG\r\n")
        self.assertEqual(self.heard.told, [10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 65.0])

    def test_errors(self) -> None:
        """A refused subscription is told, and the connection goes on; other errors are why it ends."""
        connection = self.open()
        self.peer.deliver(b"-ERR 'Permissions Violation for Subscription to \"a\"'\r\n")
        self.assertTrue(connection.is_open)
        self.peer.deliver(b"-ERR 'User Authentication Expired'\r\n")
        self.peer.lose()
        said = "closed: the server says: User Authentication Expired; check no login at all"
        self.assertEqual(self.heard.told, ['Permissions Violation for Subscription to "a"', said])

    def test_garbage(self) -> None:
        self.open()
        self.peer.deliver(b"\xff\xfe\r\nMSG a 1 0\r\n\r\n")
        (told,) = self.heard.told
        self.assertIn("does not speak NATS", told)

    def test_end(self) -> None:
        """Nothing is sent or heard after the end, and no timer is left."""
        connection = self.open()
        self.peer.congest()
        connection.end()
        self.peer.said()
        connection.send(b"PUB a 0\r\n\r\n")
        self.peer.deliver(b"MSG a 1 0\r\n\r\n")
        self.assertEqual((self.peer.said(), self.heard.told), ([], []))
        connection.abort("too slow")
        self.assertEqual(self.heard.told, ["closed: we closed it"])
        self.assertEqual((self.clock.getDelayedCalls(), self.peer.ended), ([], ["lose", "abort"]))

    def test_congested(self) -> None:
        connection = self.open()
        self.peer.congest()
        self.assertTrue(connection.congested)
        self.peer.relieve()
        self.assertFalse(connection.congested)
