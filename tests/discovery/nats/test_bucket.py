"""Tests of edgegw.discovery.nats.bucket."""

from __future__ import annotations

import json
from typing import Any

from edgegw.discovery.interfaces import Source
from edgegw.discovery.nats.bucket import Bucket
from edgegw.discovery.nats.instance import Scope
from tests.discovery.nats.case import SourceCase


class Reading:
    """One consumer, as the server sees it."""

    def __init__(self, case: BucketCase, said: list[str]) -> None:
        self.case = case
        at = next(at for at, line in enumerate(said) if "CONSUMER.CREATE" in line)
        self.question = json.loads(said[at + 1])
        self._reply = said[at].split()[2]
        self.sid = int(next(line for line in reversed(said[:at]) if line.startswith("SUB")).split()[-1])
        self._number = 0

    def answer(self, pending: int = 0, **said: Any) -> None:
        data = {"name": f"c{self.sid}", "num_pending": pending, **said}
        self.case.peer.message(self._reply, 1, json.dumps(data).encode())

    def put(self, key: str, value: Any, pending: int = 0, headers: str = "") -> None:
        self._number += 1
        payload = value if isinstance(value, bytes) else json.dumps(value).encode()
        reply = f"$JS.ACK.KV_b.c.1.7.{self._number}.17.{pending}"
        self.case.peer.message(f"$KV.b.{key}", self.sid, payload, reply, headers and f"NATS/1.0\r\n{headers}")

    def delete(self, key: str, word: str = "DEL") -> None:
        self.put(key, b"", headers=f"KV-Operation: {word}")

    def beat(self) -> None:
        headers = f"NATS/1.0 100 Idle Heartbeat\r\nNats-Last-Consumer: {self._number}"
        self.case.peer.message("_INBOX.x", self.sid, headers=headers)


def at(number: int, **more: Any) -> dict[str, Any]:
    return {"address": f"10.0.0.{number}", "port": 80, **more}


class BucketCase(SourceCase):
    """The bucket b."""

    def begin(self, service: str = "", answer: bool = True, **values: Any) -> Reading:
        self.source: Source = Bucket("nats b", Scope("b", service), "http", self.connecting(), self.environment)
        self.source.start(self.listener)
        reading = Reading(self, self.admit())
        if answer:
            self.fill(reading, **values)
        return reading

    def fill(self, reading: Reading, **values: Any) -> None:
        reading.answer(len(values))
        for left, (key, value) in enumerate(values.items(), 1 - len(values)):
            reading.put(key.replace("_", "."), value, -left)
        self.settle()

    def settle(self) -> None:
        self.clock.advance(0.05)

    def next(self) -> Reading:
        """The consumer that was just asked for."""
        return Reading(self, self.read())

    def minute(self, reading: Reading) -> None:
        """A little more than that, in which the server is there and nothing is new."""
        for _ in range(13):
            reading.beat()
            self.clock.advance(5)
            self.peer.deliver(b"PONG\r\n")

    @property
    def urls(self) -> list[str]:
        return [each.replace("http://10.0.0.", "").replace(":80", "") for each in self.listener.marked]


class WatchTests(BucketCase):
    """Entries come, change and go."""

    def test_subjects(self) -> None:
        self.assertEqual(self.begin().question["config"]["filter_subject"], "$KV.b.>")
        self.assertEqual(self.begin("users").question["config"]["filter_subject"], "$KV.b.users.>")

    def test_empty(self) -> None:
        self.begin()
        self.assertEqual(self.listener.found_, [[]])

    def test_complete(self) -> None:
        """Nothing is told before the whole is there."""
        reading = self.begin(answer=False)
        reading.answer(2)
        reading.put("users.u1", at(1), 1)
        self.settle()
        self.assertEqual(self.listener.found_, [])
        reading.put("users.u2", at(2), 0)
        self.settle()
        self.assertEqual((len(self.listener.found_), self.urls), (1, ["1", "2"]))

    def test_changes(self) -> None:
        reading = self.begin(users_u1=at(1))
        reading.put("users.u2", at(2, metadata={"v": 1}))
        self.settle()
        self.assertEqual(self.urls, ["1", "2"])
        self.assertEqual(self.listener.found_[-1][1].settings.meta, {"id": "u2", "v": "1"})
        reading.put("users.u1", at(9))
        reading.delete("users.u2")
        self.settle()
        self.assertEqual(self.urls, ["9"])
        reading.delete("users.u1", "PURGE")
        reading.put("users.u3", at(3))
        reading.put("users.u3", b"", headers="Nats-Marker-Reason: MaxAge")
        self.settle()
        self.assertEqual(self.urls, [])

    def test_deleted_entries_of_the_start(self) -> None:
        reading = self.begin(answer=False)
        reading.answer(2)
        reading.put("users.u1", at(1), 1)
        reading.delete("users.u2")
        self.settle()
        self.assertEqual(self.urls, ["1"])

    def test_status(self) -> None:
        reading = self.begin(users_u1=at(1))
        reading.put("users.u1", at(1, status="draining"))
        self.settle()
        self.assertEqual(self.urls, ["1 draining"])

    def test_garbage(self) -> None:
        """What an entry said before holds, also over a new reading of the whole."""
        reading = self.begin(users_u1=at(1), users_u2=at(2))
        reading.put("users.u1", b"{")
        reading.put("users.u3", {"port": 1})
        self.settle()
        self.assertEqual(self.urls, ["1", "2"])
        self.assertEqual([what for what, _ in self.listener.refusals], ["users.u1", "u3"])
        self.minute(reading)
        self.fill(self.next(), users_u1=b"{", users_u2=at(2))
        self.assertEqual(self.urls, ["1", "2"])

    def test_too_many(self) -> None:
        reading = self.begin(answer=False)
        reading.answer(10_002)
        for number in range(10_002):
            reading.put(f"s.i{number}", {"address": f"10.{number >> 8}.{number & 255}.1", "port": 80}, 10_001 - number)
        self.settle()
        self.assertEqual((len(self.listener.found_[-1]), len(self.listener.refusals)), (10_000, 2))

    def test_confirmed(self) -> None:
        """By heartbeats of the consumer, not by the server alone."""
        reading = self.begin(users_u1=at(1))
        self.wait(11)
        self.assertEqual(self.listener.confirmations, 0)
        reading.beat()
        self.assertEqual(self.listener.confirmations, 1)


class AgainTests(BucketCase):
    """Reading the whole again."""

    def test_relist(self) -> None:
        """Once a minute, beside the consumer that is there; what has ended by its age is gone then."""
        reading = self.begin(users_u1=at(1), users_u2=at(2))
        self.minute(reading)
        second = self.next()
        second.answer(1)
        reading.put("users.u3", at(3))
        self.settle()
        self.assertEqual(self.urls, ["1", "2", "3"])
        second.put("users.u1", at(1), 1)
        second.put("users.u3", at(3), 0)
        self.settle()
        self.assertEqual(self.urls, ["1", "3"])
        self.assertIn(f"PUB $JS.API.CONSUMER.DELETE.KV_b.c{reading.sid} 0", self.read())
        reading.put("users.u9", at(9))
        second.put("users.u4", at(4))
        self.settle()
        self.assertEqual(self.urls, ["1", "3", "4"])

    def test_gap(self) -> None:
        reading = self.begin(users_u1=at(1), users_u2=at(2))
        reading._number += 1
        reading.put("users.u3", at(3))
        self.read()
        self.wait(1.5)
        self.assertEqual((self.urls, self.listener.failures), (["1", "2"], ["message 4 came after 2"]))

    def test_gap_is_closed(self) -> None:
        reading = self.begin(users_u1=at(1), users_u2=at(2))
        reading._number += 1
        reading.put("users.u3", at(3))
        self.read()
        self.clock.advance(1.3)
        self.fill(self.next(), users_u1=at(1), users_u3=at(3))
        self.assertEqual(self.urls, ["1", "3"])

    def test_missing(self) -> None:
        """Asked for again, at growing intervals."""
        reading = self.begin(answer=False)
        asked = 0
        reading.answer(error={"err_code": 10059})
        for _ in range(240):
            self.clock.advance(0.5)
            said = self.read()
            self.peer.deliver(b"PONG\r\n" * said.count("PING"))
            if any("CONSUMER.CREATE" in line for line in said):
                asked += 1
                Reading(self, said).answer(error={"err_code": 10059})
        self.assertTrue(5 <= asked <= 9, asked)
        self.assertIn("there is no bucket b", self.listener.failures[-1])
        self.assertEqual(self.listener.found_, [])

    def test_reconnected(self) -> None:
        """What was told holds until the whole has been read on the new connection."""
        self.begin(users_u1=at(1))
        self.peer.lose()
        self.wait(30)
        self.assertEqual((len(self.listener.found_), "closed" in self.listener.failures[0]), (1, True))
        while not self.peer.connected:
            self.wait(0.25)
        reading = Reading(self, self.admit())
        self.settle()
        self.assertEqual(self.urls, ["1"])
        self.fill(reading, users_u2=at(2))
        self.assertEqual(self.urls, ["2"])

    def test_refused(self) -> None:
        """The server's own words are the better ones."""
        self.begin(answer=False)
        self.peer.deliver(b"-ERR 'Permissions Violation for Publish to \"$JS.API.CONSUMER.CREATE.KV_b\"'\r\n")
        self.wait(5.25)
        self.assertIn("the server refuses: Permissions Violation", self.listener.failures[-1])

    def test_stop(self) -> None:
        reading = self.begin(users_u1=at(1))
        stopped = self.source.stop()
        assert stopped is not None
        self.clock.advance(0)
        said = self.read()
        self.assertIn(f"PUB $JS.API.CONSUMER.DELETE.KV_b.c{reading.sid} 0", said)
        self.assertEqual(said[-1], "PING")
        self.peer.deliver(b"PONG\r\n")
        self.successResultOf(stopped)
        self.assertEqual((self.clock.getDelayedCalls(), self.listener.failures), ([], []))
