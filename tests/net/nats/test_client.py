"""Tests of edgegw.net.nats.client."""

from __future__ import annotations

import random
from typing import Any

from twisted.internet.defer import Deferred

from edgegw.net.nats.client import BACK_OFF_S, NatsClient
from edgegw.net.nats.connection import NatsError
from edgegw.wire.nats import Message
from tests.net.nats.double import NatsCase


class ConnectTests(NatsCase):
    """Which server, and when."""

    def test_opened(self) -> None:
        client = self.client()
        self.assertEqual((client.is_open, self.owner.told), (False, []))
        self.peer.admit()
        self.assertEqual((client.is_open, self.owner.told), (True, ["opened"]))

    def test_each_server_once_then_a_pause(self) -> None:
        self.network.refused = {"10.0.0.1:4222", "10.0.0.2:4222"}
        self.client("10.0.0.1", "10.0.0.2")
        self.clock.advance(0)
        self.assertEqual(self.network.tried, ["10.0.0.1:4222", "10.0.0.2:4222"])
        self.assertEqual(self.owner.told[0], "failed: 10.0.0.1:4222: connection was refused by other side")
        self.clock.advance(0.04)
        self.assertEqual(len(self.network.tried), 2)
        self.clock.pump([0.1] * 600)
        # Twice 15 s at most, by chance half of it; never faster than the first rounds.
        self.assertTrue(10 < len(self.network.tried) < 40, len(self.network.tried))

    def test_the_pause_grows_and_is_by_chance(self) -> None:
        self.network.refused = {"10.0.0.1:4222"}
        first_s, longest_s = BACK_OFF_S
        pauses = []
        self.client()
        for _ in range(60):
            (call,) = self.clock.getDelayedCalls()
            pauses.append(call.getTime() - self.clock.seconds())
            self.clock.advance(pauses[-1])
        self.assertLessEqual(pauses[0], 2 * first_s)
        self.assertTrue(all(0.05 <= pause <= longest_s for pause in pauses))
        self.assertGreater(max(pauses), 10)
        self.assertLess(min(pauses[10:]), 5)
        self.assertGreater(len({round(pause, 3) for pause in pauses}), 50)

    def test_lost(self) -> None:
        """The next server at once after a good connection; subscribed again."""
        client = self.opened("10.0.0.1", "10.0.0.2")
        client.subscribe("a.>", lambda message: None)
        gone = client.subscribe("b", lambda message: None, "q")
        client.subscribe("c", lambda message: None, "q")
        client.unsubscribe(gone)
        self.assertEqual(self.peer.said(), ["SUB a.> 2", "SUB b q 3", "SUB c q 4", "UNSUB 3"])
        self.clock.pump([1.0] * 12)
        self.peer.deliver(b"PONG\r\n")
        self.peer.lose()
        self.assertEqual(self.owner.told[1], "lost: 10.0.0.1:4222: Connection was closed cleanly")
        self.clock.advance(0)
        self.assertEqual(self.peer.address, "10.0.0.2:4222")
        self.peer.admit()
        self.assertEqual(self.peer.said()[1:], ["SUB a.> 2", "SUB c q 4", "PING"])
        self.assertEqual(self.owner.told[2:], ["opened"])

    def test_lost_again_and_again(self) -> None:
        """A server that lets us in and throws us out is not hammered."""
        self.client()
        for _ in range(200):
            if self.network.last.connected:
                self.peer.admit()
                self.peer.lose()
            self.clock.advance(0.1)
        self.assertLess(len(self.network.tried), 25)

    def test_refused_login(self) -> None:
        """The other servers say the same: no haste."""
        self.client("10.0.0.1", "10.0.0.2", user="u", password="p")
        self.peer.greet()
        self.peer.deliver(b"-ERR 'Authorization Violation'\r\n")
        self.assertEqual(self.owner.told, ["failed: 10.0.0.1:4222 refuses us: Authorization Violation; check user u"])
        self.clock.advance(0.04)
        self.assertEqual(len(self.network.tried), 1)

    def test_servers_that_are_told_of(self) -> None:
        told = ["10.0.0.2:4222", "nonsense//", 7, "10.0.0.1:4222", "[::1]:4223"]
        for cluster, count in ((False, 1), (True, 3)):
            client = self.client(cluster=cluster)
            self.peer.admit(connect_urls=told)
            self.peer.greet(connect_urls=told)
            self.assertEqual(len(client._servers), count)

    def test_told_of_too_many(self) -> None:
        client = self.client(cluster=True)
        self.peer.admit(connect_urls=[f"10.0.1.{number}:4222" for number in range(200)])
        self.assertEqual(len(client._servers), 64)

    def test_lame_duck(self) -> None:
        self.opened("10.0.0.1", "10.0.0.2")
        self.clock.pump([1.0] * 12)
        self.peer.greet(ldm=True)
        self.clock.advance(0)
        self.assertEqual(self.peer.address, "10.0.0.2:4222")
        self.assertIn("lame duck", self.owner.told[1])

    def test_alone_in_lame_duck(self) -> None:
        client = self.opened()
        self.peer.greet(ldm=True)
        self.assertTrue(client.is_open)

    def test_complained(self) -> None:
        self.opened()
        self.peer.deliver(b"-ERR 'Permissions Violation for Publish to \"a\"'\r\n")
        self.assertEqual(self.owner.told[1:], ['complained: Permissions Violation for Publish to "a"'])

    def test_spread(self) -> None:
        """Many gateways do not sit on the first server."""
        first = set()
        for seed in range(20):
            self.chance = random.Random(seed)
            self.client("10.0.0.1", "10.0.0.2", "10.0.0.3")
            first.add(self.network.tried[-1])
        self.assertEqual(len(first), 3)

    def test_inboxes(self) -> None:
        """Nobody can guess them."""
        client = self.client()
        names = {client.fresh_inbox() for _ in range(50)}
        self.assertEqual(len(names), 50)
        self.assertTrue(all(len(name) == 39 and name.startswith("_INBOX.") for name in names))


class MessageTests(NatsCase):
    """Publishing and hearing."""

    def test_dropped(self) -> None:
        """Without a connection, and when the server does not take what is sent or not so much: counted."""
        client = self.client()
        self.assertFalse(client.publish("a"))
        self.peer.admit(max_payload=10)
        self.peer.said()
        self.assertTrue(client.publish("a", b"x" * 10))
        self.assertFalse(client.publish("a", b"x" * 11))
        self.peer.congest()
        self.assertFalse(client.publish("a"))
        self.peer.relieve()
        self.assertTrue(client.publish("a"))
        self.assertEqual(client.dropped, 3)
        self.assertEqual(self.peer.said(), ["PUB a 10", "x" * 10, "PUB a 0", ""])
        self.assertIn("3 messages dropped", repr(client))

    def test_the_largest(self) -> None:
        """A server's word is not believed beyond 1 MiB."""
        client = self.client()
        self.peer.admit(max_payload=1 << 30)
        self.assertFalse(client.publish("a", b"x" * (1024 * 1024 + 1)))

    def test_heard(self) -> None:
        client = self.opened()
        heard: list[str] = []
        client.subscribe("a", lambda message: heard.append(message.subject))
        broken = client.subscribe("b", lambda message: 1 / 0)  # type: ignore[arg-type, return-value]
        self.peer.message("b", 3)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.peer.message("a", 2)
        client.unsubscribe(broken)
        self.peer.message("b", 3)
        self.peer.message("a", 99)
        self.assertEqual(heard, ["a"])

    def test_stopping_while_connecting(self) -> None:
        client = self.client()
        self.assertIsNone(client.stop())
        self.assertFalse(self.peer.connected)
        self.assertEqual((self.clock.getDelayedCalls(), self.owner.told), ([], []))

    def test_stopping_in_a_pause(self) -> None:
        self.network.refused = {"10.0.0.1:4222"}
        client = self.client()
        self.assertIsNone(client.stop())
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_drain(self) -> None:
        """What was said is said, then the connection closes; nothing new is heard."""
        client = self.opened()
        heard: list[Message] = []
        client.subscribe("a", heard.append)
        client.publish("b", b"last")
        stopped = client.stop()
        assert stopped is not None
        self.assertEqual(self.peer.said(), ["SUB a 2", "PUB b 4", "last", "UNSUB 1", "UNSUB 2", "PING"])
        self.peer.message("a", 2)
        self.assertNoResult(stopped)
        self.assertIs(client.stop(), stopped)
        self.peer.deliver(b"PONG\r\n")
        self.successResultOf(stopped)
        self.assertEqual((heard, self.peer.ended, self.clock.getDelayedCalls()), ([], ["lose"], []))
        self.assertEqual(self.owner.told, ["opened"])

    def test_drain_has_an_end(self) -> None:
        client = self.opened()
        stopped = client.stop()
        assert stopped is not None
        self.clock.advance(1.0)
        self.successResultOf(stopped)
        self.assertEqual((self.peer.ended, self.clock.getDelayedCalls()), (["abort"], []))


class RequestTests(NatsCase):
    """Questions and answers."""

    def ask(self, client: NatsClient) -> tuple[Deferred[Message], str]:
        """The promise, and where the answer goes."""
        answered = client.request("svc", b"q", 2.0)
        first, payload = self.peer.said()
        _, subject, reply, _ = first.split()
        self.assertEqual((subject, payload), ("svc", "q"))
        return answered, reply

    def test_answered(self) -> None:
        client = self.opened()
        one, to_one = self.ask(client)
        two, to_two = self.ask(client)
        self.peer.message(to_two, 1, b"second")
        self.peer.message(to_one, 1, b"first")
        self.peer.message(to_one, 1, b"too late")
        self.assertEqual([self.successResultOf(each).payload for each in (one, two)], [b"first", b"second"])
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)

    def refused(self, answered: Deferred[Any]) -> str:
        return self.failureResultOf(answered, NatsError).getErrorMessage()

    def test_not_answered(self) -> None:
        client = self.opened()
        late, to_late = self.ask(client)
        self.clock.advance(2.0)
        self.assertEqual(self.refused(late), "no answer on svc within 2 s")
        self.peer.message(to_late, 1)
        nobody, to_nobody = self.ask(client)
        self.peer.message(to_nobody, 1, headers="NATS/1.0 503")
        self.assertEqual(self.refused(nobody), "nobody listens on svc")
        lost, _ = self.ask(client)
        self.peer.lose()
        self.assertEqual(self.refused(lost), "the connection was lost")
        self.assertEqual(self.refused(client.request("svc", b"", 2.0)), "there is no connection")

    def test_cancelled(self) -> None:
        client = self.opened()
        answered, reply = self.ask(client)
        answered.cancel()
        self.failureResultOf(answered)
        self.peer.message(reply, 1)
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)

    def gathering(self, client: NatsClient) -> tuple[Deferred[None], str, list[bytes]]:
        said: list[bytes] = []
        over = client.gather("svc", b"q", 1.0, lambda message: said.append(message.payload))
        return over, self.peer.said()[0].split()[2], said

    def test_gather(self) -> None:
        client = self.opened()
        over, reply, said = self.gathering(client)
        self.peer.message(reply, 1, b"one")
        self.peer.message(reply, 1, b"two")
        self.assertNoResult(over)
        self.clock.advance(1.0)
        self.successResultOf(over)
        self.peer.message(reply, 1, b"late")
        self.assertEqual(said, [b"one", b"two"])

    def test_gather_from_nobody(self) -> None:
        client = self.opened()
        over, reply, said = self.gathering(client)
        self.peer.message(reply, 1, headers="NATS/1.0 503")
        self.successResultOf(over)
        over, _, _ = self.gathering(client)
        over.cancel()
        self.failureResultOf(over)
        over, _, _ = self.gathering(client)
        self.peer.lose()
        self.successResultOf(over)
        self.successResultOf(client.gather("svc", b"", 1.0, lambda message: None))
        self.assertEqual(said, [])
