"""Errors, how long is waited after them, and silence."""

from __future__ import annotations

import random

from edgegw.discovery.api.backoff import CAP_S, Backoff
from edgegw.discovery.api.errors import ApiError
from edgegw.discovery.kubernetes.pulse import PERIOD_S
from edgegw.discovery.kubernetes.reflector import SPACING_S
from tests.discovery.kubernetes.reflecting import ReflectorCase, Steady, event, page, thing
from tests.live.kube_double import status


class SetbackTests(ReflectorCase):
    """Errors and how long it waits."""

    def test_intervals_grow(self) -> None:
        """1, 2, 4 ... 30 s, with full jitter (here at its upper end)."""
        waits = []
        for _ in range(7):
            self.script.last.errback(ApiError("no route"))
            waits.append(round(self.asked_after()))
        self.assertEqual(waits, [1, 2, 4, 8, 16, CAP_S, CAP_S])
        self.assertEqual(len(self.failures), 7)

    def test_jitter_is_full(self) -> None:
        """Between nothing much and the upper end, so that a fleet does not come back as one."""
        waits = []
        for seed in range(40):
            self.reflector.stop()
            self.setUp()
            self.reflector._backoff = Backoff(random.Random(seed))
            for _ in range(3):
                self.script.last.errback(ApiError("no route"))
                wait_s = self.asked_after()
            waits.append(wait_s)
        self.assertLess(max(waits), 4.1)
        self.assertGreater(max(waits) - min(waits), 2.0)

    def test_reset(self) -> None:
        """An event means that all is well again."""
        for _ in range(5):
            self.script.last.errback(ApiError("no route"))
            self.asked_after()
        self.watching(thing("a"))
        self.says(event("MODIFIED", thing("a", 120)), event("ERROR", status(500, "x")))
        self.assertLessEqual(self.asked_after(), 1.1)

    def test_spacing(self) -> None:
        """However short the wait is by chance, there is a second between two starts."""
        chance = Steady()
        chance.uniform = lambda a, b: a  # type: ignore[method-assign]
        self.reflector._backoff = Backoff(chance)
        self.script.last.errback(ApiError("no route"))
        self.assertGreaterEqual(self.asked_after(), SPACING_S)

    def test_retry_after(self) -> None:
        """It is the least that is waited."""
        self.script.last.errback(ApiError("slow down", 429, 20.0))
        self.assertGreaterEqual(self.asked_after(), 20.0)

    def test_forbidden(self) -> None:
        """The words say what to grant."""
        self.script.last.errback(ApiError("the API server answered 403", 403))
        self.assertIn("grant list and watch on xs", self.failures[0].words)
        self.asked_after()

    def test_after_no_answer_a_list(self) -> None:
        """The server may have been restored meanwhile."""
        self.watching(thing("a"))
        self.clock.advance(5)
        self.script.last.callback(None)
        self.script.last.errback(ApiError("connection refused"))
        self.asked_after()
        self.assertEqual(self.script.kinds[-1], "get")

    def test_after_a_refusal_the_watch(self) -> None:
        """429 and the like say nothing of versions."""
        self.listed(thing("a"))
        self.script.last.errback(ApiError("slow down", 429, 1.0))
        self.asked_after()
        self.assertEqual(self.script.kinds[-1], "watch")

    def test_a_bug_of_ours(self) -> None:
        """It is logged, told and tried again: the watch does not just end."""
        self.script.last.callback(page(thing("a")))
        self.script.last.errback(ZeroDivisionError())
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.asked_after()
        self.assertEqual(len(self.failures), 1)


class SilenceTests(ReflectorCase):
    """A watch that says nothing."""

    def test_it_is_asked(self) -> None:
        """The smallest list there is; the answer confirms."""
        self.watching(thing("a"))
        self.clock.advance(PERIOD_S)
        self.assertEqual((self.script.kinds[-1], self.script.params), ("get", {"limit": "1", "labelSelector": "a=b"}))
        self.script.last.callback(page(thing("a"), version="100"))
        self.assertEqual(self.told, ["confirmed"])

    def test_bookmarks_are_enough(self) -> None:
        self.watching(thing("a"))
        for version in range(101, 110):
            self.clock.advance(PERIOD_S - 1)
            self.says(event("BOOKMARK", {"metadata": {"resourceVersion": str(version)}}))
        self.assertEqual(self.script.kinds, ["get", "watch"])

    def test_no_answer(self) -> None:
        """The watch is cut, the failure told, and a list follows."""
        self.watching(thing("a"))
        watch = self.script.last
        self.clock.advance(PERIOD_S)
        self.script.last.errback(ApiError("no answer within 10 s"))
        self.assertTrue(watch.called, "the watch was cancelled")
        self.assertEqual([each.words for each in self.failures], ["no answer within 10 s"])
        self.asked_after()
        self.assertEqual((self.script.kinds[-1], self.script.params["limit"]), ("get", "500"))

    def test_an_older_state(self) -> None:
        """The server was restored behind a proxy that kept the connection: a list, at once."""
        self.watching(thing("a"))
        self.clock.advance(PERIOD_S)
        self.script.last.callback(page(version="5"))
        self.assertEqual((self.script.kinds[-1], self.script.params["limit"]), ("get", "500"))
        self.assertEqual(self.failures, [])

    def test_stopped(self) -> None:
        """In whatever state: nothing is told, nothing is left (tearDown looks)."""
        for reach in (
            lambda: None,
            lambda: self.listed(),
            lambda: self.script.last.errback(ApiError("x")),
            self.silent,
        ):
            self.setUp()
            reach()
            self.told.clear()
            self.reflector.stop()
            self.assertEqual((self.told, self.clock.getDelayedCalls()), ([], []))

    def silent(self) -> None:
        self.watching(thing("a"))
        self.clock.advance(PERIOD_S)
