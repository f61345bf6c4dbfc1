"""Tests of edgegw.discovery.nats.table."""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from edgegw.discovery.candidate import Refused
from edgegw.discovery.nats.instance import Instance, read_instance
from edgegw.discovery.nats.table import Table
from tests.discovery.doubles import named


def instance(id_: str, port: int = 1, **more: Any) -> Instance:
    return read_instance({"id": id_, "address": "10.0.0.1", "port": port, **more}, "http", "x")


class TableTests(SynchronousTestCase):
    """Comings and goings."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.table = Table(self.clock.seconds, 3)

    def shown(self) -> list[str]:
        return [f"{each.settings.url[-1]}{each.held and ' ' + each.held}" for each in self.table.named()]

    def test_changes(self) -> None:
        """What is only heard of again is no change."""
        self.assertTrue(self.table.put(instance("a")))
        self.assertFalse(self.table.put(instance("a")))
        self.assertTrue(self.table.put(instance("a", 2)))
        self.assertTrue(self.table.put(instance("b", 1)))
        self.assertEqual(self.shown(), ["1", "2"])
        self.assertEqual([self.table.drop("a"), self.table.drop("a")], [True, False])
        self.assertEqual(self.shown(), ["1"])

    def test_time(self) -> None:
        self.table.put(instance("a", 1, ttl=10))
        self.table.put(instance("b", 2, ttl=20))
        self.clock.advance(9.9)
        self.assertFalse(self.table.is_due())
        self.clock.advance(0.1)
        self.assertTrue(self.table.is_due())
        self.assertFalse(self.table.expire(9.9))
        self.assertTrue(self.table.expire(10.0))
        self.assertFalse(self.table.is_due())
        self.assertEqual(self.shown(), ["2"])

    def test_beats(self) -> None:
        self.table.put(instance("a", 1, ttl=10))
        self.clock.advance(9)
        self.assertFalse(self.table.beat("a", ""))
        self.assertFalse(self.table.beat("unknown", "healthy"))
        self.clock.advance(9)
        self.assertFalse(self.table.expire(18.0))
        self.assertTrue(self.table.expire(19.0))

    def test_status(self) -> None:
        self.table.put(instance("a"))
        self.assertTrue(self.table.beat("a", "unhealthy"))
        self.assertEqual(self.shown(), ["1 unhealthy"])
        for same in ("unhealthy", "", "whatever"):
            self.assertFalse(self.table.beat("a", same))
        # Announced again, it is not said to be well.
        self.assertFalse(self.table.put(instance("a")))
        self.assertTrue(self.table.beat("a", "passing"))
        self.assertEqual(self.shown(), ["1"])
        self.assertTrue(self.table.put(instance("a", status="draining")))
        self.assertEqual(self.shown(), ["1 draining"])

    def test_too_many(self) -> None:
        for number in (1, 2, 3):
            self.table.put(instance(f"i{number}", number))
        error = self.assertRaises(Refused, self.table.put, instance("i4", 4))
        self.assertIn("more than 3 instances", str(error))
        self.table.put(instance("i3", 5))
        self.assertEqual(self.shown(), ["1", "2", "5"])

    def test_second_hand(self) -> None:
        """An old word neither brings back nor keeps: two that ask each other do not keep a dead one alive."""
        self.assertFalse(self.table.put(instance("a", ttl=10, age=10)))
        self.assertTrue(self.table.put(instance("a", ttl=10, age=4)))
        self.assertEqual([age_s for _, age_s in self.table.heard()], [4.0])
        self.clock.advance(5)
        self.table.put(instance("a", ttl=10, age=9.5))
        self.assertFalse(self.table.expire(5.9))
        self.assertTrue(self.table.expire(6.0))

    def test_spared(self) -> None:
        self.table.put(instance("a", 1, ttl=10))
        self.table.put(instance("b", 2, ttl=60))
        self.clock.advance(30)
        self.table.spare()
        self.assertFalse(self.table.is_due())
        self.clock.advance(10)
        self.assertTrue(self.table.expire(self.clock.seconds()))
        self.assertEqual(self.shown(), ["2"])

    def test_remembered(self) -> None:
        """They have one time to be heard of; what they are to others is not told."""
        self.table.remember(named("http://10.0.0.1:1", meta={"id": "a"}) + named("http://10.0.0.1:2", held="down"))
        self.assertEqual((self.shown(), self.table.heard()), (["1", "2 down"], []))
        self.assertTrue(self.table.put(instance("a", 3)))
        self.assertEqual(len(self.table.heard()), 1)
        self.clock.advance(30)
        self.table.put(instance("a", 3))
        self.assertTrue(self.table.expire(30.0))
        self.assertEqual(self.shown(), ["3"])

    def test_one_address_twice(self) -> None:
        """The one that may be chosen comes first: whoever takes each address once takes that."""
        self.table.put(instance("a", 1, status="down"))
        self.table.put(instance("b", 1))
        self.assertEqual(self.shown(), ["1", "1 down"])
