"""Tests of edgegw.upstream.bulkhead."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError
from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from edgegw.errors import GatewayError, Phase, Retry
from edgegw.testing.origin import Origin, cluster, environment
from edgegw.upstream.bulkhead import Bulkhead, BulkheadSettings


class Case(SynchronousTestCase):
    def bulkhead(self, **settings: Any) -> Bulkhead:
        self.origin = Origin()
        self.made = Bulkhead(BulkheadSettings.model_validate(settings), environment(self.origin))
        return self.made

    def enter(self, times: int = 1) -> list[Deferred[None]]:
        return [self.made.enter() for _ in range(times)]

    def refused(self, waiting: Deferred[None]) -> str:
        error = self.failureResultOf(waiting, GatewayError).value
        self.assertEqual((error.status, error.phase, error.retry), (503, Phase.CHOOSE, Retry.NEVER))
        self.assertEqual(error.headers, ((b"Retry-After", b"1"),))
        return str(error.reason)


class BulkheadTests(Case):
    def test_so_many_at_once(self) -> None:
        self.bulkhead(requests=2)
        first, second, third = self.enter(3)
        self.successResultOf(first)
        self.successResultOf(second)
        self.assertNoResult(third)
        self.made.leave()
        self.successResultOf(third)
        self.assertEqual((self.made.inside, self.made.queued), (2, 0))

    def test_first_come_first_served(self) -> None:
        bulkhead = self.bulkhead(requests=1)
        came: list[int] = []
        for number, waiting in enumerate(self.enter(4)):
            waiting.addCallback(lambda _, number=number: came.append(number))
        for _ in range(4):
            bulkhead.leave()
        self.assertEqual(came, [0, 1, 2, 3])
        self.assertEqual((bulkhead.inside, bulkhead.queued), (0, 0))

    def test_nobody_overtakes_the_queue(self) -> None:
        """Whoever comes in the moment in which a place is given on goes behind those who wait."""
        bulkhead = self.bulkhead(requests=2)
        _, _, third, fourth = self.enter(4)
        late: list[Deferred[None]] = []
        third.addCallback(lambda _: late.extend([bulkhead.leave(), bulkhead.enter()][1:]))  # type: ignore[func-returns-value]
        bulkhead.leave()
        self.successResultOf(fourth)
        self.assertNoResult(late[0])
        self.assertEqual((bulkhead.inside, bulkhead.queued), (2, 1))

    def test_the_queue_is_bounded(self) -> None:
        self.bulkhead(requests=1, queue=2)
        *_, third, fourth = self.enter(4)
        self.assertNoResult(third)
        self.assertEqual(self.refused(fourth), "bulkhead_full")

    def test_no_queue(self) -> None:
        self.bulkhead(requests=1, queue=0)
        first, second = self.enter(2)
        self.successResultOf(first)
        self.assertEqual(self.refused(second), "bulkhead_full")

    def test_waiting_has_its_deadline(self) -> None:
        bulkhead = self.bulkhead(requests=1)
        _, second = self.enter(2)
        self.origin.turn(1.0)
        (third,) = self.enter()
        self.origin.turn(1.1)
        self.assertEqual(self.refused(second), "bulkhead_timeout")
        self.assertNoResult(third)
        bulkhead.leave()
        self.successResultOf(third)
        # The deadline of one who is in means nothing any more.
        self.origin.turn(3.0)
        self.assertEqual((bulkhead.inside, bulkhead.queued), (1, 0))

    def test_who_leaves_the_queue(self) -> None:
        bulkhead = self.bulkhead(requests=1)
        _, second, third = self.enter(3)
        second.cancel()
        self.failureResultOf(second, CancelledError)
        self.assertEqual(bulkhead.queued, 1)
        bulkhead.leave()
        self.successResultOf(third)
        self.origin.turn(3.0)
        self.assertEqual((bulkhead.inside, bulkhead.queued), (1, 0))

    def test_those_that_end_at_once(self) -> None:
        """A long queue of them is no deep recursion."""
        bulkhead = self.bulkhead(requests=1, queue=5000)
        for waiting in self.enter(5000):
            waiting.addCallback(lambda _: bulkhead.leave())
        self.assertEqual((bulkhead.inside, bulkhead.queued), (0, 0))
        self.enter()
        waiters = self.enter(5000)
        for waiting in waiters:
            waiting.addCallback(lambda _: bulkhead.leave())
        bulkhead.leave()
        for waiting in waiters:
            self.successResultOf(waiting)
        self.assertEqual((bulkhead.inside, bulkhead.queued), (0, 0))

    def test_nothing_is_left_on_the_wheel(self) -> None:
        bulkhead = self.bulkhead(requests=1)
        _, second, third = self.enter(3)
        bulkhead.leave()
        third.cancel()
        self.failureResultOf(third, CancelledError)
        self.successResultOf(second)
        self.assertEqual(len(self.origin.wheel), 0)


class ReloadTests(Case):
    def test_more_room(self) -> None:
        bulkhead = self.bulkhead(requests=1)
        _, second, third = self.enter(3)
        bulkhead.apply(BulkheadSettings(requests=2))
        self.successResultOf(second)
        self.assertNoResult(third)
        bulkhead.apply(BulkheadSettings())
        self.successResultOf(third)

    def test_less_room(self) -> None:
        """Who is inside stays; nobody comes in until there are fewer than may be."""
        bulkhead = self.bulkhead(requests=3)
        self.enter(3)
        bulkhead.apply(BulkheadSettings(requests=1))
        (fourth,) = self.enter()
        bulkhead.leave()
        bulkhead.leave()
        self.assertNoResult(fourth)
        bulkhead.leave()
        self.successResultOf(fourth)
        self.assertEqual(bulkhead.describe(), {"inside": 1, "most": 1, "queued": 0})
        self.assertEqual(repr(bulkhead), "<Bulkhead 1 of 1 inside, 0 queued>")


class SettingsTests(SynchronousTestCase):
    def test_off(self) -> None:
        """Then there is none, and asking costs one attribute."""
        self.assertIsNone(cluster(Origin()).bulkhead)
        off = BulkheadSettings.model_validate({"requests": "none"})
        self.assertIsNone(cluster(Origin(), bulkhead=off).bulkhead)
        self.assertIsNotNone(cluster(Origin(), bulkhead=BulkheadSettings(requests=1)).bulkhead)

    def test_refused(self) -> None:
        for wrong in ({"requests": 0}, {"requests": "many"}, {"queue": -1}, {"queue_timeout": 0}, {"requests": True}):
            self.assertRaises(ValidationError, BulkheadSettings.model_validate, wrong)
