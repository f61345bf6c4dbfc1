"""List and watch, on a clock that stands and a client that says what the test wants."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from edgegw.discovery.kubernetes import reflector as module
from edgegw.discovery.kubernetes.errors import ApiError, Garbage
from edgegw.discovery.kubernetes.fields import Identity, Malformed
from edgegw.discovery.kubernetes.pulse import PERIOD_S
from edgegw.discovery.kubernetes.reflector import CAP_S, FLOOR_S, SPACING_S, Collection, Reflector
from tests.discovery.kubernetes.case import Script
from tests.live.kube_double import status


def read(data: Mapping[str, Any]) -> str:
    """The items of these tests: `name@version`."""
    if data.get("bad"):
        raise Malformed("bad is set")
    who = Identity(data)
    return f"{who.name}@{who.version}"


def thing(name: str, version: int = 10, **more: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": "n", "resourceVersion": str(version)}, **more}


def page(*things: Any, version: str = "100", following: str = "") -> dict[str, Any]:
    return {"metadata": {"resourceVersion": version, "continue": following}, "items": list(things)}


def event(kind: str, data: Any) -> bytes:
    return json.dumps({"type": kind, "object": data}).encode()


class Steady(random.Random):
    """Jitter that is the upper end each time."""

    def uniform(self, a: float, b: float) -> float:
        return b


class ReflectorCase(SynchronousTestCase):
    """A started reflector."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.script = Script()
        self.told: list[Any] = []
        client: Any = self.script
        self.reflector = Reflector(
            client,
            Collection("/x", {"labelSelector": "a=b"}, "Xs", "list and watch on xs"),
            read,
            self,
            self.clock,
            Steady(),
        )
        self.reflector.start()

    def tearDown(self) -> None:
        self.reflector.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [], "a timer was left")

    def changed(self) -> None:
        self.told.append(sorted(self.reflector.items.values()))

    def confirmed(self) -> None:
        self.told.append("confirmed")

    def failed(self, error: ApiError) -> None:
        self.told.append(error)

    @property
    def failures(self) -> list[ApiError]:
        return [each for each in self.told if isinstance(each, ApiError)]

    def listed(self, *things: Any, version: str = "100") -> None:
        self.assertEqual(self.script.kinds[-1], "get")
        self.script.last.callback(page(*things, version=version))

    def watching(self, *things: Any) -> None:
        """Listed, and the watch has begun."""
        self.listed(*things)
        self.script.opened()
        self.told.clear()

    def says(self, *lines: bytes) -> None:
        """The watch says this; an error ends it, as the client does."""
        for line in lines:
            try:
                self.script.line(line)
            except ApiError as error:
                self.script.last.errback(error)
                return

    def asked_after(self) -> float:
        """Let time pass until the next request; returns how long that was."""
        before, count = self.clock.seconds(), len(self.script.asked)
        while len(self.script.asked) == count:
            self.assertLess(self.clock.seconds() - before, 200.0, "it never asks again")
            self.clock.advance(0.05)
        return self.clock.seconds() - before


class ListTests(ReflectorCase):
    """The list."""

    def test_asks(self) -> None:
        self.assertEqual(self.script.params, {"limit": "500", "labelSelector": "a=b"})

    def test_pages(self) -> None:
        """Nothing is told before the last page has come; then the watch begins from there."""
        self.script.last.callback(page(thing("a"), following="next"))
        self.assertEqual(self.script.params["continue"], "next")
        self.assertEqual((self.told, self.reflector.known), ([], False))
        self.script.last.callback(page(thing("b"), version="101"))
        self.assertEqual(self.told, [["a@10", "b@10"], "confirmed"])
        self.assertEqual((self.script.kinds[-1], self.script.params["resourceVersion"]), ("watch", "101"))

    def test_a_token_that_expired(self) -> None:
        """The list begins again, without waiting; what came before does not count."""
        self.script.last.callback(page(thing("old"), following="next"))
        self.script.last.errback(ApiError("too old", 410))
        self.assertNotIn("continue", self.script.params)
        self.listed(thing("new"))
        self.assertEqual(self.told, [["new@10"], "confirmed"])

    def test_tokens_that_always_expire(self) -> None:
        """Three times, then it is a setback."""
        for _ in range(4):
            self.script.last.callback(page(thing("a"), following="next"))
            self.script.last.errback(ApiError("too old", 410))
        self.assertGreaterEqual(self.asked_after(), SPACING_S - 0.1)

    def test_a_list_without_an_end(self) -> None:
        self.patch(module, "PAGES_MAX", 5)
        for _ in range(5):
            self.script.last.callback(page(thing("a"), following="next"))
        self.assertIn("does not end", self.failures[0].words)

    def test_a_list_that_takes_too_long(self) -> None:
        self.clock.advance(module.LIST_S)
        self.script.last.callback(page(thing("a"), following="next"))
        self.assertIn("does not end", self.failures[0].words)

    def test_too_many_objects(self) -> None:
        self.patch(module, "ITEMS_MAX", 2)
        self.listed(*(thing(name) for name in "abc"))
        self.assertIn("more than 2 objects", self.failures[0].words)

    def test_garbage(self) -> None:
        """What was there stays; the words say what and where."""
        self.watching(thing("a"))
        self.says(event("ERROR", status(410, "old")))
        for bad in ({}, {"metadata": {}, "items": []}, page(5), page({}), page(thing("x", bad=True)), {"items": 5}):
            self.asked_after()
            self.script.last.callback(bad)
        self.assertEqual(len(self.failures), 6)
        self.assertIn("n/x: bad is set", self.failures[4].words)
        self.assertEqual(list(self.reflector.items.values()), ["a@10"])

    def test_a_relist_replaces(self) -> None:
        """What is not listed any more is gone, though nobody saw it go."""
        self.watching(thing("a"), thing("b"))
        self.says(event("ERROR", status(410, "old")))
        self.asked_after()
        self.listed(thing("b", 11), thing("c", 12))
        self.assertEqual(self.told[0], ["b@11", "c@12"])


class WatchTests(ReflectorCase):
    """The watch."""

    def test_asks(self) -> None:
        self.listed()
        self.assertEqual(
            self.script.params,
            {
                "watch": "1",
                "allowWatchBookmarks": "true",
                "resourceVersion": "100",
                "timeoutSeconds": "319",
                "labelSelector": "a=b",
            },
        )
        self.assertEqual(self.script.limits, [319 + module.SLACK_S])

    def test_events(self) -> None:
        self.watching(thing("a"))
        self.says(
            event("ADDED", thing("b", 101)), event("MODIFIED", thing("a", 102)), event("DELETED", thing("b", 103))
        )
        told = [each for each in self.told if each != "confirmed"]
        self.assertEqual(told, [["a@10", "b@101"], ["a@102", "b@101"], ["a@102"]])

    def test_bookmarks(self) -> None:
        """They move the version and confirm; nothing is another."""
        self.watching(thing("a"))
        self.says(event("BOOKMARK", {"metadata": {"resourceVersion": "150"}}))
        self.assertEqual(self.told, ["confirmed"])
        self.clock.advance(5)
        self.script.last.callback(None)
        self.assertEqual(self.script.params["resourceVersion"], "150")

    def test_resumed(self) -> None:
        """After an end, and after a connection that was torn: from the last version, without a list."""
        self.watching(thing("a"))
        self.says(event("MODIFIED", thing("a", 120)))
        self.clock.advance(5)
        self.script.last.callback(None)
        self.assertEqual((self.script.kinds[-1], self.script.params["resourceVersion"]), ("watch", "120"))
        self.says(event("MODIFIED", thing("a", 130)))
        self.clock.advance(5)
        self.script.last.errback(ApiError("torn"))
        self.assertEqual((self.script.kinds[-1], self.script.params["resourceVersion"]), ("watch", "130"))
        self.assertEqual(self.failures, [])

    def test_unknown_events(self) -> None:
        """A type that later versions bring is passed over."""
        self.watching(thing("a"))
        self.says(event("SOMETHING", thing("a", 120)))
        self.assertEqual(self.failures, [])
        self.assertEqual(list(self.reflector.items.values()), ["a@10"])

    def test_gone(self) -> None:
        """As status and as event: a list, at once, and nobody is alarmed."""
        for end in (ApiError("old", 410), None):
            self.reflector.stop()
            self.setUp()
            self.watching(thing("a"))
            self.clock.advance(5)
            if end is None:
                self.says(event("ERROR", status(410, "too old resource version")))
            else:
                self.script.last.errback(end)
            self.assertEqual(self.script.kinds[-1], "get")
            self.assertEqual(self.failures, [])

    def test_gone_again_and_again(self) -> None:
        """A list does not help: the intervals grow, and it is told."""
        waits = []
        for _ in range(8):
            self.listed(thing("a"))
            self.script.last.errback(ApiError("old", 410))
            waits.append(round(self.asked_after()))
        self.assertEqual(waits, sorted(waits))
        self.assertGreater(waits[-1], 20)
        self.assertEqual(len(self.failures), 7)

    def test_other_errors(self) -> None:
        """An ERROR that is not about the version waits, and resumes where it was."""
        self.watching(thing("a"))
        self.says(event("ERROR", status(500, "etcd leader changed")))
        self.assertIn("etcd leader changed", self.failures[0].words)
        self.asked_after()
        self.assertEqual(self.script.kinds[-1], "watch")

    def test_ends_at_once(self) -> None:
        """A server that opens and closes is not asked in a loop."""
        self.listed(thing("a"))
        for _ in range(6):
            self.script.opened()
            self.script.last.callback(None)
            self.assertGreaterEqual(self.asked_after(), FLOOR_S)
        self.assertIn("ends watches at once", self.failures[0].words)
        self.script.last.callback(None)
        self.assertGreater(self.asked_after(), 10)

    def test_garbage(self) -> None:
        """It ends the watch and a list follows; what was there stays."""
        self.watching(thing("a"))
        for line in (
            b"not json", b"[]", b"{}", event("ADDED", 5), event("ADDED", {}), event("BOOKMARK", {"metadata": {}}),
            event("MODIFIED", thing("a", 200, bad=True)), b'{"type": 5, "object": {}}',
        ):  # fmt: skip
            self.says(line)
            self.assertIsInstance(self.failures[-1], Garbage, line)
            self.assertEqual(list(self.reflector.items.values()), ["a@10"])
            self.asked_after()
            self.listed(thing("a"))
        self.assertEqual(len(self.failures), 8)

    def test_going_back(self) -> None:
        """A version lower than what was seen: the server was restored, and everything is listed anew."""
        self.watching(thing("a"))
        self.clock.advance(5)
        self.says(event("BOOKMARK", {"metadata": {"resourceVersion": "7"}}))
        self.assertEqual(self.script.kinds[-1], "get")


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
        waits = set()
        for seed in range(40):
            self.reflector.stop()
            self.setUp()
            self.reflector._chance = random.Random(seed)
            for _ in range(3):
                self.script.last.errback(ApiError("no route"))
                waits.add(wait := self.asked_after())
                self.assertLessEqual(wait, 4.1)
        self.assertGreater(max(waits) - min(waits), 2.0)

    def test_reset(self) -> None:
        """An event means that all is well again."""
        for _ in range(5):
            self.script.last.errback(ApiError("no route"))
            self.asked_after()
        self.watching(thing("a"))
        self.says(event("MODIFIED", thing("a", 120)), event("ERROR", status(500, "x")))
        self.assertLessEqual(self.asked_after(), 1.1)

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
