"""Tests of edgegw.discovery.nats.jetstream."""

from __future__ import annotations

import json
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from edgegw.discovery.nats.jetstream import OrderedConsumer, Position, position
from edgegw.wire.nats import Message
from tests.net.nats.double import NatsCase


class PositionTests(SynchronousTestCase):
    """Reply subjects."""

    def test_both_kinds(self) -> None:
        self.assertEqual(position("$JS.ACK.KV_b.c1.1.70.3.1700000000.9"), Position(3, 9))
        self.assertEqual(position("$JS.ACK.hub.ACCHASH.KV_b.c1.1.70.3.1700000000.9.rand"), Position(3, 9))

    def test_none(self) -> None:
        for reply in (
            "",
            "r.1",
            "$JS.ACK.a.b.c",
            "$JS.ACK.s.c.1.70.x.17.9",
            "$JS.ACK.s.c.1.70.\u00b2.17.9",
            "$JS.ACK.1.2.3.4.5.6.7.8",
        ):
            self.assertIsNone(position(reply), reply)


class Told:
    """Writes down what a consumer tells."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def delivered(self, consumer: Any, message: Message) -> None:
        self.told.append(message.subject)

    def complete(self, consumer: Any) -> None:
        self.told.append("complete")

    def idle(self, consumer: Any) -> None:
        self.told.append("idle")

    def broke(self, consumer: Any, reason: str) -> None:
        self.told.append(f"broke: {reason}")


class ConsumerTests(NatsCase):
    """One life."""

    def begin(self, answer: bool = True, **more: Any) -> OrderedConsumer:
        self.nats = self.opened()
        self.told = Told()
        consumer = OrderedConsumer(self.nats, "KV_b", "$KV.b.>", self.told, self.clock, 5.0)
        consumer.start()
        subscribed, asked, question = self.peer.said()
        _, self.inbox, sid = subscribed.split()
        self.sid = int(sid)
        _, self.api, self.reply, _ = asked.split()
        self.question = json.loads(question)
        if answer:
            self.answer(**{"name": "c1", "num_pending": 0, **more})
        return consumer

    def answer(self, **said: Any) -> None:
        self.peer.message(self.reply, 1, json.dumps(said).encode())

    def deliver(self, key: str, number: int, pending: int = 0) -> None:
        self.peer.message(f"$KV.b.{key}", self.sid, b"{}", f"$JS.ACK.KV_b.c1.1.70.{number}.17.{pending}")

    def control(self, first: str = "100 Idle Heartbeat", reply: str = "", **headers: Any) -> None:
        lines = [f"NATS/1.0 {first}", *(f"Nats-{name.replace('_', '-')}: {value}" for name, value in headers.items())]
        self.peer.message(self.inbox, self.sid, b"", reply, "\r\n".join(lines))

    def test_what_is_asked_for(self) -> None:
        self.begin()
        self.assertEqual((self.api, self.question["stream_name"]), ("$JS.API.CONSUMER.CREATE.KV_b", "KV_b"))
        config = self.question["config"]
        self.assertEqual((config["deliver_subject"], config["filter_subject"]), (self.inbox, "$KV.b.>"))
        self.assertEqual((config["deliver_policy"], config["ack_policy"]), ("last_per_subject", "none"))
        self.assertEqual((config["flow_control"], config["idle_heartbeat"]), (True, 5_000_000_000))

    def test_empty(self) -> None:
        self.begin()
        self.assertEqual(self.told.told, ["complete"])

    def test_in_order(self) -> None:
        self.begin(num_pending=2)
        self.deliver("x", 1, 1)
        self.assertEqual(self.told.told, ["$KV.b.x"])
        self.deliver("y", 2, 0)
        self.deliver("z", 3, 0)
        self.assertEqual(self.told.told, ["$KV.b.x", "$KV.b.y", "complete", "$KV.b.z"])

    def test_messages_before_the_answer(self) -> None:
        """They may overtake it."""
        self.begin(answer=False)
        self.deliver("x", 1, 0)
        self.answer(name="c1", num_pending=0)
        self.assertEqual(self.told.told, ["$KV.b.x", "complete"])

    def test_some_are_gone_meanwhile(self) -> None:
        """What was counted at the start and has ended since never comes; the next heartbeat completes."""
        self.begin(num_pending=2)
        self.deliver("x", 1, 1)
        self.control(Last_Consumer=1)
        self.assertEqual(self.told.told, ["$KV.b.x", "complete", "idle"])

    def test_gaps(self) -> None:
        """A message that is missing, twice there, or that a heartbeat knows of: over, and the server is told."""
        for sabotage in (
            lambda: self.deliver("y", 3),
            lambda: self.deliver("y", 1),
            lambda: self.control(Last_Consumer=2),
        ):
            self.begin()
            self.deliver("x", 1)
            sabotage()
            self.assertEqual(self.told.told[-1][:6], "broke:", self.told.told)
            self.assertEqual(self.peer.said(), [f"UNSUB {self.sid}", "PUB $JS.API.CONSUMER.DELETE.KV_b.c1 0", ""])
            self.deliver("z", 2)
            self.assertEqual(len(self.told.told), 3)

    def test_flow_control(self) -> None:
        """Asked for by a message of its own, or by a heartbeat of a server that is stalled, which has not said everything."""
        self.begin(num_pending=5)
        self.control("100 FlowControl Request", reply="$JS.FC.1")
        self.control(Last_Consumer=0, Consumer_Stalled="$JS.FC.2")
        self.assertEqual(self.peer.said(), ["PUB $JS.FC.1 0", "", "PUB $JS.FC.2 0", ""])
        self.assertEqual(self.told.told, ["idle"])
        self.control(Last_Consumer=0, Consumer_Stalled="not a subject")
        self.assertEqual(self.peer.said(), [])

    def test_silence(self) -> None:
        """Three heartbeats that do not come."""
        self.begin()
        self.clock.advance(10)
        self.control(Last_Consumer=0)
        self.clock.pump([5.0, 5.0, 4.9])
        self.assertEqual(self.told.told, ["complete", "idle"])
        self.clock.advance(0.1)
        self.assertEqual(self.told.told[2:], ["broke: nothing was heard for 15 s"])

    def test_ended_by_the_server(self) -> None:
        self.begin()
        self.control("409 Consumer Deleted")
        self.assertEqual(self.told.told[1:], ["broke: the server ended the watch: 409 Consumer Deleted"])

    def test_refused(self) -> None:
        for error, words in (
            ({"err_code": 10059, "description": "stream not found"}, "there is no bucket b (stream KV_b)"),
            ({"err_code": 10039, "description": "jetstream not enabled"}, "JetStream is not enabled"),
            ({"err_code": 1, "description": "no suitable peers"}, "refuses to watch KV_b: no suitable peers"),
            ("odd", "not that of JetStream"),
        ):
            self.begin(error=error)
            (told,) = self.told.told
            self.assertIn(words, told)
        self.begin(name="a b")
        self.assertIn("not that of JetStream", self.told.told[0])

    def test_no_answer(self) -> None:
        self.begin(answer=False)
        self.peer.message(self.reply, 1, headers="NATS/1.0 503")
        self.assertIn("broke: JetStream is not enabled on this server", self.told.told[0])
        self.begin(answer=False)
        self.clock.advance(5)
        self.assertEqual(self.told.told, ["broke: no answer on $JS.API.CONSUMER.CREATE.KV_b within 5 s"])

    def test_stop(self) -> None:
        consumer = self.begin(answer=False)
        consumer.stop()
        self.answer(name="c1", num_pending=0)
        self.deliver("x", 1)
        self.clock.advance(30)
        self.assertEqual(self.told.told, [])
