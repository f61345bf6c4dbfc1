"""List and watch."""

from __future__ import annotations

from edgegw.discovery.api.backoff import FLOOR_S
from edgegw.discovery.api.errors import ApiError, Garbage
from edgegw.discovery.kubernetes import reflector as module
from edgegw.discovery.kubernetes.reflector import SPACING_S
from tests.discovery.kubernetes.reflecting import ReflectorCase, event, page, thing
from tests.live.kube_double import status


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

    def test_stopped_by_who_is_told(self) -> None:
        """Cancelling does nothing to what runs at that moment."""
        self.changed = self.reflector.stop  # type: ignore[method-assign]
        self.listed(thing("a"))
        self.assertEqual(self.script.kinds, ["get"], "there is no watch behind it")


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
