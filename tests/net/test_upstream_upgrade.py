"""Tests of edgegw.net.upstream: a request to switch protocols, and the connection that is handed over."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from edgegw.errors import GatewayError
from edgegw.exchange.model import Response
from edgegw.net.call import Call
from edgegw.testing.exchanges import drain
from edgegw.testing.origin import Origin, answer
from tests.net.test_upstream import HOST, Lender

SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"
UPGRADE = [(b"connection", b"Connection", b"Upgrade"), (b"upgrade", b"Upgrade", b"echo")]


class Taker(Protocol):
    """The other protocol."""

    def __init__(self) -> None:
        self.received = b""
        self.lost: Failure | None = None

    def take(self, transport: Any, received: bytes) -> Taker:
        self.transport = transport
        self.received += received
        return self

    def dataReceived(self, data: bytes) -> None:
        self.received += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lost = reason


class UpgradeTests(SynchronousTestCase):
    """One connection to one origin, which is asked to switch."""

    def setUp(self) -> None:
        self.origin = Origin()
        self.connection = self.origin.accept()
        self.wire = self.origin.connections[0]
        self.lender = self.connection.owner = Lender()
        self.taker = Taker()

    def ask(self) -> Deferred[Response]:
        call = Call("GET", "/a", [HOST, *UPGRADE], None, 0, (5.0, 10.0), lambda head: None)
        call.upgrade = True
        return self.connection.send(call)

    def test_a_head_that_must_not_be_sent_ends_a_connection_that_nobody_owns(self) -> None:
        """As a handshake's, which was made for it."""
        self.connection.owner = None
        bad = Call("GET", "/a", [HOST, (b"x", b"X", b"a\r\nb: c"), *UPGRADE], None, 0, (5.0, 10.0), lambda head: None)
        error = self.assertRaises(GatewayError, self.connection.send, bad)
        self.assertEqual((error.reason, self.wire.sent, self.wire.closed), ("unsafe_head", b"", True))
        self.origin.turn()
        self.assertTrue(self.connection.lost)

    def switched(self, data: bytes = SWITCH) -> Response:
        answered = self.ask()
        self.wire.send(data)
        return self.successResultOf(answered)

    def test_handed_over(self) -> None:
        response = self.switched(SWITCH + b"early ")
        self.assertEqual(response.status, 101)
        self.assertEqual(response.headers.get(b"upgrade"), b"echo", "whoever asked has to check it")
        self.wire.send(b"bird ")
        self.connection.hand_over(self.taker.take)
        self.wire.send(b"sings")
        self.assertEqual(self.taker.received, b"early bird sings")
        self.assertEqual(self.lender.told, ["closed"], "the pool has it no more")
        self.assertIsNone(self.wire.producer, "the next protocol registers its own")
        self.assertIn("handed over", repr(self.connection))

    def test_an_upstream_that_speaks_at_once(self) -> None:
        """All that one read can bring along with the 101 (256 KiB under uvloop) is the taker's."""
        flood = b"x" * 262_144
        self.switched(SWITCH + flood)
        self.connection.hand_over(self.taker.take)
        self.assertEqual(self.taker.received, flood)

    def test_has_no_deadline_of_ours_any_more(self) -> None:
        self.switched()
        self.connection.hand_over(self.taker.take)
        self.origin.turn(600)
        self.assertEqual((self.wire.aborted, self.wire.closed, self.taker.lost), (False, False, None))
        self.assertEqual(len(self.origin.wheel), 0)

    def test_its_end_is_told_to_the_taker(self) -> None:
        for end, reason in (("close", ConnectionDone), ("reset", ConnectionLost)):
            self.setUp()
            self.switched()
            self.connection.hand_over(self.taker.take)
            getattr(self.wire, end)()
            assert self.taker.lost is not None
            self.assertTrue(self.taker.lost.check(reason))
            self.assertEqual(self.lender.told, ["closed"])

    def test_not_after_it_was_lost(self) -> None:
        self.switched()
        self.wire.reset()
        error = self.assertRaises(GatewayError, self.connection.hand_over, self.taker.take)
        self.assertEqual((error.status, error.reason), (502, "upstream_aborted"))
        self.assertEqual(self.lender.told, ["closed"])

    def test_not_after_more_than_can_wait(self) -> None:
        """A peer that floods behind its 101 while nobody takes over."""
        self.switched()
        for _ in range(80):
            self.wire.send(b"x" * 16384)
        self.assertRaises(GatewayError, self.connection.hand_over, self.taker.take)
        self.assertTrue(self.wire.aborted)

    def test_not_when_nobody_takes_it(self) -> None:
        """It is the caller's to end; the deadline is the last lock."""
        self.switched()
        self.origin.turn(11)
        self.assertTrue(self.wire.aborted)
        self.assertEqual(self.lender.told, ["closed"])

    def test_cancelled_before_it(self) -> None:
        answered = self.ask()
        answered.cancel()
        self.assertTrue(self.wire.aborted)
        self.failureResultOf(answered)

    def test_dropped_after_it(self) -> None:
        self.switched()
        self.connection.cancel()
        self.assertTrue(self.wire.aborted)
        self.origin.turn()
        self.assertEqual(self.lender.told, ["closed"])

    def test_another_answer_is_an_ordinary_one_and_the_last(self) -> None:
        for data in (answer(b"no"), answer(b"no", 426), answer(b"", 304)):
            self.setUp()
            response = self.switched(data)
            self.assertIn(response.status, (200, 426, 304))
            self.assertIn(drain(response.body).data, (b"no", b""))
            self.assertTrue(self.wire.closed, "whatever follows may be of any protocol")
            self.assertEqual(self.lender.told, ["closed"])

    def test_not_asked_for(self) -> None:
        answered = self.connection.send(Call("GET", "/a", [HOST], None, 0, (5.0, 10.0), lambda head: None))
        self.wire.send(SWITCH)
        error = self.failureResultOf(answered, GatewayError).value
        self.assertEqual((error.status, error.reason), (502, "unasked_101"))
        self.assertTrue(self.wire.aborted)

    def test_a_failing_taker(self) -> None:
        def broken(transport: Any, received: bytes) -> Any:
            raise ValueError("no")

        self.switched()
        self.assertRaises(ValueError, self.connection.hand_over, broken)
        self.connection.cancel()
        self.connection.close()
        self.assertTrue(self.wire.aborted)
