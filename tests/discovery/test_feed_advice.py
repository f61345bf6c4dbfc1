"""Tests of edgegw.discovery.feed: what a source advises goes the way of what it names."""

from __future__ import annotations

from pathlib import Path

from edgegw.discovery.snapshots import SnapshotFile
from edgegw.upstream.advice import Advice
from tests.discovery.doubles import FakeSource, a
from tests.discovery.feeding import FeedCase

RANDOM = Advice(balance_by="random")
PROBED = Advice(health_path="/up", health_every="2s")


class AdviceTests(FeedCase):
    def setUp(self) -> None:
        super().setUp()
        self.memory = SnapshotFile(Path(self.mktemp()) / "discovery", "u")

    def test_with_the_endpoints(self) -> None:
        self.feed()
        self.source.listener.found(a(1), RANDOM)
        self.assertEqual(self.advice, [("fake x", RANDOM)])
        self.source.listener.found(a(1), RANDOM)
        self.wait(2)
        self.assertEqual((len(self.advice), self.counts), (1, ["ok", "unchanged"]))

    def test_another_one_alone(self) -> None:
        """Within a second the last one counts."""
        self.feed()
        self.source.listener.found(a(1), RANDOM)
        self.source.listener.found(a(1), PROBED)
        self.source.listener.found(a(1))
        self.assertEqual(len(self.advice), 1)
        self.wait(1.5)
        self.assertEqual(self.advice[1:], [("fake x", None)])
        self.assertEqual(self.given[-1][1], a(1))

    def test_silence(self) -> None:
        """It holds like the endpoints, also while an answer without any is not believed."""
        self.feed(empty_after="none")
        self.source.listener.found(a(1), RANDOM)
        self.source.listener.failed("gone")
        self.wait(90)
        self.source.listener.found([])
        self.wait(5)
        self.assertEqual(self.advice, [("fake x", RANDOM)])

    def test_restart(self) -> None:
        feed = self.feed()
        self.source.listener.found(a(1), PROBED)
        feed.stopService()
        self.advice.clear()
        self.feed()
        self.assertEqual(self.advice, [("fake x", PROBED)])
        self.source.listener.found(a(1))
        self.wait(1)
        self.assertEqual(self.advice[1:], [("fake x", None)])

    def test_a_reload(self) -> None:
        """The same source goes on; another one has its own advice, and that of the one before is over."""
        old = self.feed()
        self.source.listener.found(a(1), RANDOM)
        old.stopService()
        self.advice.clear()
        new = self.feed(start=False)
        new.succeed(old)
        new.startService()
        self.assertEqual(self.advice, [("fake x", RANDOM)])
        new.stopService()
        other = self.feed(FakeSource("fake y"), start=False)
        other.succeed(new)
        other.startService()
        self.source.listener.found(a(2), PROBED)
        self.assertEqual(self.advice[1:], [("fake y", PROBED), ("fake x", None)])
