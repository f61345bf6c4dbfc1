"""Tests of edgegw.observe.events."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from edgegw.observe.events import Event, Events


class EventsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.now_s = 1000.0
        self.events = Events(lambda: self.now_s, kept=3)

    def add(self, *names: str) -> None:
        for name in names:
            self.events.add("endpoint_held", "u", name, source="health", state="failing", reason="500")

    def test_what_is_kept(self) -> None:
        self.add("a")
        (event,) = self.events.since()
        self.assertEqual(event, Event(1, 1000.0, "endpoint_held", "u", "a", "health", "failing", "500"))
        self.assertEqual(event.as_data()["endpoint"], "a")

    def test_the_oldest_go(self) -> None:
        self.add("a", "b", "c", "d")
        self.assertEqual([event.endpoint for event in self.events.since()], ["b", "c", "d"])
        self.assertEqual([event.number for event in self.events.since(3)], [4])
        self.assertEqual(self.events.last, 4)

    def test_followers(self) -> None:
        seen: list[str] = []
        leave = self.events.follow(lambda event: seen.append(event.endpoint))
        again: list[str] = []
        self.events.follow(lambda event: again.append(event.endpoint))
        self.add("a")
        leave()
        leave()
        self.add("b")
        self.assertEqual((seen, again), (["a"], ["a", "b"]))

    def test_one_that_leaves_while_it_is_told(self) -> None:
        seen: list[str] = []

        def once(event: Event) -> None:
            seen.append(event.endpoint)
            leave()

        leave = self.events.follow(once)
        self.add("a", "b")
        self.assertEqual(seen, ["a"])
