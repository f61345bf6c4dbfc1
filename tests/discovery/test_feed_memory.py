"""Tests of edgegw.discovery.feed: the last known good, over restarts and reloads."""

from __future__ import annotations

from pathlib import Path

from edgegw.discovery.snapshots import SnapshotFile
from tests.discovery.doubles import FakeSource, a, named
from tests.discovery.feeding import FeedCase


class MemoryTests(FeedCase):
    """The last known good on disk, and of the feed before."""

    def setUp(self) -> None:
        super().setUp()
        self.memory = SnapshotFile(Path(self.mktemp()) / "discovery", "u")

    def test_restart(self) -> None:
        feed = self.feed()
        self.source.listener.found([*a(1), *a(2, held="terminating")])
        self.wait(2)
        feed.stopService()
        self.clock.advance(100)
        self.given.clear()
        feed = self.feed()
        self.assertEqual(self.given, [("fake x", [*a(1), *a(2, held="terminating")])])
        self.assertEqual((feed.state, round(feed.age_s())), ("from_disk", 102))
        self.wait(70)
        self.assertEqual((feed.state, len(self.events("source_stale"))), ("stale", 1))
        self.source.listener.found(a(3))
        self.assertEqual((feed.state, self.urls), ("fresh", ["http://10.0.0.3:80"]))

    def test_kill(self) -> None:
        """It is on disk soon after it was said, without an orderly end."""
        self.feed()
        self.source.listener.found(a(1))
        self.wait(1)
        assert self.memory is not None
        first = self.memory.path.read_bytes()
        for number in range(2, 6):
            self.source.listener.found(a(number))
            self.wait(1)
        self.assertEqual(self.memory.path.read_bytes(), first)
        self.wait(5)
        self.assertIn(b"10.0.0.5", self.memory.path.read_bytes())

    def test_end(self) -> None:
        """What was said in the last moment is on disk, with the time it was confirmed last."""
        feed = self.feed()
        self.source.listener.found(a(1))
        feed.stopService()
        assert self.memory is not None
        found = self.memory.load("fake x", self.environment.wall())
        assert found is not None
        self.assertEqual((list(found.named), found.confirmed_at), (a(1), self.environment.wall()))

    def test_policy_holds(self) -> None:
        feed = self.feed(allow=["127.0.0.0/8"])
        self.source.listener.found(named("http://127.0.0.1:80"))
        feed.stopService()
        self.given.clear()
        self.feed()
        self.assertEqual(self.given, [])

    def test_another_source(self) -> None:
        feed = self.feed()
        self.source.listener.found(a(1))
        feed.stopService()
        self.given.clear()
        self.assertEqual(self.feed(FakeSource("fake y")).state, "starting")
        self.assertEqual(self.given, [])

    def test_nothing_to_save(self) -> None:
        feed = self.feed()
        self.source.listener.failed("x")
        feed.stopService()
        assert self.memory is not None
        self.assertFalse(self.memory.path.exists())

    def test_empty_first_answer(self) -> None:
        """A registry that lost its data does not empty an upstream that was served from the disk."""
        feed = self.feed()
        self.source.listener.found(a(1))
        feed.stopService()
        self.feed()
        self.source.listener.found([])
        self.wait(9)
        self.assertEqual(self.urls, ["http://10.0.0.1:80"])

    def test_succeeds_another_source(self) -> None:
        """A reload that names another source: the old one's words hold until the new one answers."""
        old = self.feed()
        self.source.listener.found(a(1))
        old.stopService()
        new = self.feed(FakeSource("fake y"), start=False)
        new.succeed(old)
        new.startService()
        self.wait(30)
        self.assertEqual(len(self.given), 1)
        self.source.listener.found(a(2))
        self.assertEqual(self.given[1:], [("fake y", a(2)), ("fake x", [])])

    def test_succeeds_a_stale_one(self) -> None:
        """A reload makes no silent source a fresh one."""
        old = self.feed(stale_after="5s")
        self.source.listener.found(a(1))
        self.wait(7)
        self.assertEqual(old.state, "stale")
        old.stopService()
        for stale_after, state in (("6s", "stale"), ("60s", "fresh")):
            new = self.feed(start=False, stale_after=stale_after)
            new.succeed(old)
            new.startService()
            self.wait(1)
            self.assertEqual(new.state, state)
            new.stopService()
            old = new
        stale = [event for event in self.environment.events.since() if event.kind == "source_stale"]
        self.assertEqual(len(stale), 1)

    def test_succeeds_one_that_never_answered(self) -> None:
        """A typo in the configuration, loaded and put right: what was there before it leaves too, once."""
        first = self.feed()
        self.source.listener.found(a(1))
        first.stopService()
        second = self.feed(FakeSource("typo"), start=False)
        second.succeed(first)
        second.startService()
        second.stopService()
        again = self.feed(FakeSource("typo"), start=False, zone="z")
        again.succeed(second)
        again.startService()
        self.wait(5)
        self.assertEqual(self.given[1:], [], "nobody said anything")
        again.stopService()
        third = self.feed(FakeSource("fake y"), start=False)
        third.succeed(again)
        self.assertIsNone(again._predecessor, "reloads make no chain")
        third.startService()
        self.source.listener.found(a(2))
        self.assertEqual(self.given[1:], [("fake y", a(2)), ("fake x", []), ("typo", [])])
        self.wait(5)
        self.source.listener.found(a(3))
        self.assertEqual(self.given[4:], [("fake y", a(3))])

    def test_succeeds_the_same_source(self) -> None:
        """A reload that changes what is believed of it: that counts at once."""
        old = self.feed()
        self.source.listener.found([*a(1), *a(2)])
        self.clock.advance(5)
        old.stopService()
        new = self.feed(start=False, zone="z")
        new.succeed(old)
        new.startService()
        self.assertEqual([each.settings.zone for each in self.given[-1][1]], ["z", "z"])
        self.assertEqual(new.age_s(), 5)
        self.source.listener.found([])
        self.assertEqual(len(self.urls), 2)
