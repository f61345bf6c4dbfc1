"""Tests of edgegw.discovery.feed, on a clock; what it remembers is in test_feed_memory.py."""

from __future__ import annotations

from twisted.internet.defer import Deferred

from edgegw.discovery import feed as module
from edgegw.discovery.feed import Outlet
from tests.discovery.doubles import FakeSource, a, named
from tests.discovery.feeding import FeedCase


class TellingTests(FeedCase):
    """From the source to the upstream."""

    def test_first_at_once(self) -> None:
        feed = self.feed()
        self.assertEqual(feed.state, "starting")
        self.source.listener.found(a(1, 2))
        self.assertEqual(self.given, [("fake x", a(1, 2))])
        self.assertEqual((feed.state, self.counts), ("fresh", ["ok"]))

    def test_merges(self) -> None:
        """A storm of changes reaches the upstream once a second, the last word of it."""
        self.feed()
        for count in range(1, 51):
            self.source.listener.found(a(*range(1, count + 1)))
            self.clock.advance(0.01)
        self.assertEqual(len(self.given), 1)
        self.wait(2)
        self.assertEqual(len(self.given), 2)
        self.assertEqual(len(self.urls), 50)

    def test_same_again(self) -> None:
        self.feed()
        self.source.listener.found(a(1))
        self.source.listener.found(a(1))
        self.source.listener.confirmed()
        self.wait(5)
        self.assertEqual(len(self.given), 1)
        self.assertEqual(self.counts, ["ok", "unchanged", "unchanged"])

    def test_each_once(self) -> None:
        self.feed()
        self.source.listener.found(a(1, 2, 1))
        self.assertEqual(self.urls, ["http://10.0.0.1:80", "http://10.0.0.2:80"])

    def test_held_by_the_source(self) -> None:
        self.feed()
        self.source.listener.found([*a(1), *a(2, held="terminating")])
        self.assertEqual(self.urls, ["http://10.0.0.1:80", "http://10.0.0.2:80 terminating"])

    def test_common_facts(self) -> None:
        self.feed(zone="z", meta={"team": "a", "kind": "b"})
        self.source.listener.found([*a(1), *named("http://10.0.0.2:80", zone="own", meta={"kind": "own"})])
        first, second = (each.settings for each in self.given[-1][1])
        self.assertEqual((first.zone, first.meta), ("z", {"team": "a", "kind": "b"}))
        self.assertEqual((second.zone, second.meta), ("own", {"team": "a", "kind": "own"}))

    def test_too_many(self) -> None:
        self.patch(module, "MAX_ENDPOINTS", 3)
        feed = self.feed()
        self.source.listener.found(a(1, 2, 3, 4, 5))
        self.assertEqual(len(self.urls), 3)
        self.assertEqual(self.events("source_refused"), ["the rest: it names more than 3 endpoints"])
        self.assertEqual(feed.describe()["refused"], 1)

    def test_upstream_fails(self) -> None:
        """What goes wrong in the upstream is not the source's business."""
        feed = self.feed()
        feed._outlet = Outlet(lambda source, named, advice: 1 / 0)
        self.source.listener.found(a(1))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)


class SilenceTests(FeedCase):
    """What was said last holds."""

    def test_failure_changes_nothing(self) -> None:
        feed = self.feed()
        self.source.listener.found(a(1))
        self.source.listener.failed("gone\x1b")
        self.wait(3600)
        self.assertEqual(len(self.given), 1)
        self.assertEqual((feed.state, feed.last_error, self.counts), ("stale", "gone ", ["ok", "failed"]))
        self.assertEqual(feed.describe()["endpoints"], 1)
        self.assertEqual(feed.age_s(), 3600)

    def test_stale_and_back(self) -> None:
        feed = self.feed(stale_after="20s")
        self.source.listener.found(a(1))
        self.wait(20)
        self.source.listener.failed("timeout")
        self.assertEqual(feed.state, "fresh")
        self.wait(1)
        self.assertEqual((feed.state, self.events("source_stale")), ("stale", ["timeout"]))
        self.wait(60)
        self.assertEqual(len(self.events("source_stale")), 1)
        self.source.listener.confirmed()
        self.assertEqual((feed.state, feed.age_s()), ("fresh", 0))
        self.assertEqual(self.events("source_recovered"), ["it answers again"])

    def test_silence_is_staleness(self) -> None:
        """A source that hangs does not say that it failed."""
        feed = self.feed()
        self.wait(62)
        self.assertEqual((feed.state, self.events("source_stale")), ("stale", ["no answer for 61 s"]))

    def test_does_not_start(self) -> None:
        source = FakeSource()
        source.broken = ValueError("no")
        feed = self.feed(source)
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
        self.assertEqual(feed.last_error, "it did not start: no")

    def test_after_the_end(self) -> None:
        feed = self.feed()
        feed.stopService()
        self.assertTrue(self.source.stopped)
        self.source.listener.found(a(1))
        self.source.listener.failed("x")
        self.source.listener.confirmed()
        self.source.listener.refused("x", "y")
        self.assertEqual((self.given, self.counts, feed.state), ([], [], "starting"))

    def test_waits_for_the_source_to_stop(self) -> None:
        feed = self.feed()
        self.source.stopping = Deferred()
        stopped = feed.stopService()
        assert stopped is not None
        self.assertNoResult(stopped)
        self.source.stopping.callback(None)
        self.successResultOf(stopped)


class EmptyTests(FeedCase):
    """An answer that names nothing."""

    def test_waits(self) -> None:
        self.feed()
        self.source.listener.found(a(1))
        self.wait(2)
        self.source.listener.found([])
        self.wait(9)
        self.assertEqual(self.urls, ["http://10.0.0.1:80"])
        self.wait(2)
        self.assertEqual(self.urls, [])
        events = self.events("source_refused")
        self.assertEqual(events, ["it names no endpoint where there were 1: believed after 10 s"])

    def test_back_in_time(self) -> None:
        self.feed()
        self.source.listener.found(a(1))
        self.wait(2)
        self.source.listener.found([])
        self.wait(8)
        self.source.listener.found(a(1))
        self.wait(5)
        self.source.listener.found([])
        self.wait(8)
        self.assertEqual(len(self.given), 1)

    def test_not_while_it_fails(self) -> None:
        """Nothing confirms that there is nothing."""
        self.feed()
        self.source.listener.found(a(1))
        self.wait(2)
        self.source.listener.found([])
        self.source.listener.failed("timeout")
        self.wait(60)
        self.assertEqual(len(self.given), 1)
        self.source.listener.confirmed()
        self.wait(1)
        self.assertEqual(self.urls, [])

    def test_never(self) -> None:
        self.feed(empty_after="none")
        self.source.listener.found(a(1))
        self.source.listener.found([])
        self.wait(3600)
        self.assertEqual(self.urls, ["http://10.0.0.1:80"])

    def test_at_once(self) -> None:
        self.feed(empty_after=0)
        self.source.listener.found(a(1))
        self.wait(2)
        self.source.listener.found([])
        self.assertEqual(self.urls, [])

    def test_nothing_from_the_start(self) -> None:
        feed = self.feed()
        self.source.listener.found([])
        self.assertEqual((feed.state, self.given), ("fresh", []))


class DampingTests(FeedCase):
    """An endpoint that flaps."""

    def flap(self, times: int) -> None:
        for _ in range(times):
            self.source.listener.found(a(1, 2))
            self.wait(2)
            self.source.listener.found(a(1, 2, 3))
            self.wait(2)

    def test_held_and_released(self) -> None:
        feed = self.feed()
        self.source.listener.found(a(1, 2, 3))
        self.flap(5)
        self.assertEqual(self.urls[2], "http://10.0.0.3:80")
        self.flap(1)
        self.assertEqual(self.urls[2], "http://10.0.0.3:80 flapping")
        self.assertEqual((feed.describe()["flapping"], feed.describe()["held"]), (1, 1))
        self.assertEqual(self.counts.count("damped"), 1)
        self.wait(27)
        self.assertEqual(self.urls[2], "http://10.0.0.3:80 flapping")
        self.wait(2)
        self.assertEqual(self.urls[2], "http://10.0.0.3:80")

    def test_off(self) -> None:
        self.feed(damping=False)
        self.source.listener.found(a(1, 2, 3))
        self.flap(20)
        self.assertEqual(self.urls[2], "http://10.0.0.3:80")


class PolicyTests(FeedCase):
    """Which addresses may be."""

    def test_refused_are_left_out(self) -> None:
        feed = self.feed()
        self.source.listener.found(named("http://169.254.169.254:80", "http://10.0.0.2:80", "http://127.0.0.1:80"))
        self.assertEqual(self.urls, ["http://10.0.0.2:80"])
        self.assertEqual(
            self.events("source_refused"),
            [
                "http://169.254.169.254:80: a link-local address; `allow` may list its network",
                "http://127.0.0.1:80: an address of this machine (loopback); `allow` may list its network",
            ],
        )
        self.assertEqual(feed.describe()["refused"], 2)
        self.source.listener.found(named("http://10.0.0.2:80"))
        self.assertEqual(feed.describe()["refused"], 0)

    def test_told_once(self) -> None:
        self.feed()
        for _ in range(100):
            self.source.listener.found(named("http://127.0.0.1:80"))
        self.assertEqual(len(self.events("source_refused")), 1)

    def test_allowed(self) -> None:
        self.feed(allow=["127.0.0.0/8"])
        self.source.listener.found(named("http://127.0.0.1:80"))
        self.assertEqual(self.urls, ["http://127.0.0.1:80"])

    def test_own_listener(self) -> None:
        self.own = [("", 80)]
        self.feed()
        self.source.listener.found(a(1, 2))
        self.assertEqual(self.urls, ["http://10.0.0.2:80"])

    def test_told_by_the_source(self) -> None:
        feed = self.feed()
        self.source.listener.refused('"http://0:80"', '"0" is not an address')
        self.source.listener.found(a(2))
        self.assertEqual(self.events("source_refused"), ['"http://0:80": "0" is not an address'])
        self.assertEqual(feed.describe()["refused"], 1)
        self.assertIn("is not an address", feed.describe()["last_refused"])
