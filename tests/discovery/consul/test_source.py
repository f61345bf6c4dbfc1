"""The source, and what operators are told when it is built."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from edgegw.config.problems import Problems
from edgegw.discovery.api.errors import ApiError
from edgegw.discovery.consul.client import Query
from edgegw.discovery.consul.instances import Wanted
from edgegw.discovery.consul.settings import ConsulSettings
from edgegw.discovery.consul.source import ConsulSource, build_consul
from edgegw.discovery.feed import Feed, Outlet
from edgegw.discovery.interfaces import Surroundings
from edgegw.discovery.policy import EndpointPolicy
from edgegw.discovery.settings import DiscoverySettings
from tests.discovery.consul.case import AgentCase, Script, entry
from tests.discovery.doubles import Heard, environment


class Case(SynchronousTestCase):
    """A source over a scripted client."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.script = Script()
        self.heard = Heard()
        self.source = ConsulSource(Query("web"), Wanted(), self.script, self.clock, random.Random(7))
        self.source.start(self.heard)
        self.addCleanup(self.source.stop)

    def say(self, index: int, *entries: Any, **more: Any) -> None:
        self.clock.advance(20)
        self.script.say(index, *entries, **more)
        self.clock.pump([0.1] * 11)


class TellingTests(Case):
    """What the feed hears."""

    def test_found_then_confirmed(self) -> None:
        self.say(10, entry(2), entry(1))
        self.assertEqual(self.heard.urls, ["http://10.0.0.1:80", "http://10.0.0.2:80"])
        self.assertEqual(self.heard.confirmations, 0)
        self.say(10, entry(2), entry(1))
        self.assertEqual((len(self.heard.found_), self.heard.confirmations), (1, 1))
        self.say(11, entry(2))
        self.assertEqual(self.heard.urls, ["http://10.0.0.2:80"])

    def test_nothing_registered(self) -> None:
        """An empty list is an answer."""
        self.say(10)
        self.assertEqual(self.heard.found_, [[]])
        self.assertEqual(self.heard.failures, [])

    def test_failed(self) -> None:
        self.say(10, entry(1))
        self.script.fail(ApiError("no answer"))
        self.assertEqual(self.heard.failures, ["no answer"])

    def test_answers_again(self) -> None:
        """The same as before the failure is told again: it holds."""
        self.say(10, entry(1))
        self.script.fail(ApiError("no answer"))
        self.clock.advance(2)
        self.say(10, entry(1))
        self.assertEqual(len(self.heard.found_), 2)

    def test_some_are_refused(self) -> None:
        self.say(10, entry(1), entry(2, Port=0))
        self.assertEqual(self.heard.refusals, [('instance "web2"', "it has no port; say which with `port`")])
        self.assertEqual(self.heard.urls, ["http://10.0.0.1:80"])

    def test_all_are_refused(self) -> None:
        """Not the same as no endpoints: those before hold. That they still do is not confirmed by an answer without change."""
        self.say(10, entry(1))
        self.say(11, entry(1, Port=0))
        self.say(11, entry(1, Port=0))
        self.assertEqual(len(self.heard.found_), 1)
        self.assertEqual(self.heard.failures, ['instance "web1": it has no port; say which with `port`'] * 2)
        self.assertEqual(self.heard.confirmations, 0)
        self.say(12, entry(1))
        self.say(12, entry(1))
        self.assertEqual((len(self.heard.found_), self.heard.confirmations), (2, 1))

    def test_too_many(self) -> None:
        self.say(10, *[None] * 10_001)
        self.assertEqual(self.heard.found_, [])
        self.assertIn("10001 instances", self.heard.failures[0])

    def test_old_answers(self) -> None:
        """Used, but told, and they confirm nothing."""
        self.say(10, entry(1), doubt="no leader")
        self.assertEqual(self.heard.urls, ["http://10.0.0.1:80"])
        self.say(10, entry(1), doubt="no leader")
        self.assertEqual(self.heard.failures, ["no leader"] * 2)
        self.assertEqual(self.heard.confirmations, 0)
        self.say(10, entry(1))
        self.assertEqual(self.heard.confirmations, 1)

    def test_token_that_sees_nothing(self) -> None:
        """An empty list is no answer then."""
        self.say(10, partial=True)
        self.assertEqual(self.heard.found_, [])
        self.assertIn("the token sees none of its instances", self.heard.failures[0])
        self.say(11, entry(1), partial=True)
        self.assertEqual(self.heard.urls, ["http://10.0.0.1:80"])
        self.assertEqual(self.heard.refusals, [("some instances", "the token may not see them")])

    def test_stopped(self) -> None:
        """Nothing is told any more."""
        self.source.stop()
        self.script.asked[-1][1].addErrback(lambda _: None)
        self.assertTrue(self.script.stopped)
        self.assertEqual((self.heard.found_, self.heard.failures), ([], []))


class FeedTests(Case):
    """With a feed: what becomes of an outage."""

    def setUp(self) -> None:
        super().setUp()
        self.environment = environment(self.clock)
        settings = DiscoverySettings.model_validate({"from": "consul", "service": "web"})
        self.given: list[list[str]] = []
        source = ConsulSource(Query("web"), Wanted(), self.script, self.clock, random.Random(7))
        outlet = Outlet(lambda _, named, advice: self.given.append([each.settings.url for each in named]))
        policy = EndpointPolicy((), lambda: (), lambda address: False)
        self.feed = Feed("u", source, settings, policy, self.environment, outlet)
        self.source.stop()
        self.feed.startService()
        self.addCleanup(self.feed.stopService)

    def test_old_answers_make_it_stale(self) -> None:
        self.say(10, entry(1))
        for _ in range(4):
            self.say(10, entry(1), doubt="its servers have no leader")
        self.assertEqual(self.feed.state, "stale")
        self.assertEqual(self.feed.last_error, "its servers have no leader")
        self.say(10, entry(1))
        self.assertEqual(self.feed.state, "fresh")
        self.assertEqual(self.given, [["http://10.0.0.1:80"]])


class DoubleTests(AgentCase):
    """Over real HTTP."""

    async def test_changes(self) -> None:
        self.register(1)
        source, heard = self.watching()
        await self.until(lambda: heard.found_ and heard.urls == ["http://10.0.0.1:80"])
        self.register(2)
        await self.until(lambda: len(heard.urls) == 2, "the second is found")
        self.agent.deregister("web1")
        await self.until(lambda: heard.urls == ["http://10.0.0.2:80"], "the first is gone")
        self.assertEqual(heard.failures, [])
        self.assertIn("consul web", repr(source))

    async def test_confirmed_while_nothing_changes(self) -> None:
        self.register(1)
        _, heard = self.watching(wait_s=0.2)
        await self.until(lambda: heard.confirmations == 2, "it is confirmed twice")
        self.assertEqual(len(heard.found_), 1)
        self.assertEqual([each["waits"] for each in self.agent.requests[:3]], [False, True, True])

    async def test_index_goes_backwards(self) -> None:
        self.register(1)
        _, heard = self.watching()
        await self.until(lambda: self.agent.waiting, "it waits")
        self.agent.control({"index": 3})
        await self.until(lambda: self.agent.waiting, "it waits again")
        self.assertEqual([each["args"].get("index") for each in self.agent.requests], [None, ["11"], None, ["3"]])
        self.register(2)
        await self.until(lambda: len(heard.urls) == 2, "the change is seen")

    async def test_no_index(self) -> None:
        self.register(1)
        self.agent.said = None
        _, heard = self.watching()
        await self.until(lambda: heard.failures, "it is told")
        self.assertIn("no X-Consul-Index", heard.failures[0])
        self.agent.said = ""
        await self.until(lambda: heard.found_, "it is found")

    async def test_index_of_nothing(self) -> None:
        """0 would not be held back, and 1 is."""
        self.register(1)
        self.agent.said = "0"
        _, heard = self.watching(wait_s=0.2)
        await self.until(lambda: heard.confirmations, "it is confirmed")
        self.assertEqual(self.agent.requests[1]["args"]["index"], ["1"])

    async def test_cut(self) -> None:
        self.register(1)
        _, heard = self.watching()
        await self.until(lambda: self.agent.waiting, "it waits")
        self.agent.control({"cut": True})
        self.register(2)
        await self.until(lambda: len(heard.urls) == 2, "it is found")
        self.assertEqual(len(heard.failures), 1)

    async def test_answers_of_no_use(self) -> None:
        """Garbage, errors, a slow drip: told, and what was found holds until there is an answer again."""
        self.register(1)
        _, heard = self.watching(timeout_s=0.2, wait_s=0.3)
        await self.until(lambda: heard.found_, "it is found")
        for orders, words in (
            ({"answer": {"body": '[{"Node": ', "headers": {"X-Consul-Index": "99"}}}, "not JSON"),
            ({"answer": {"status": 500, "body": "No cluster leader"}}, "500: No cluster leader"),
            ({"drip": True}, "no answer within"),
            ({"hang": True}, "no answer within"),
        ):
            self.agent.control(orders)
            heard.failures.clear()
            await self.until(lambda: heard.failures, "it is told")
            self.assertIn(words, heard.failures[0])
            found = len(heard.found_)
            self.agent.control({"drip": False, "hang": False})
            await self.until(lambda found=found: len(heard.found_) > found, "it is found again")
        self.assertTrue(all(len(each) == 1 for each in heard.found_))

    async def test_instances_that_are_not_well(self) -> None:
        self.register(1)
        self.register(2, status="critical")
        _, only = self.watching()
        _, both = self.watching(Query("web", passing=False))
        await self.until(lambda: only.found_ and both.found_)
        self.assertEqual(only.urls, ["http://10.0.0.1:80"])
        self.assertEqual([each.held for each in both.found_[-1]], ["", "critical"])


class BuildTests(SynchronousTestCase):
    """The factory."""

    def build(self, connection: dict[str, Any] | None = None, **settings: Any) -> Any:
        self.problems = Problems()
        self.about = self.problems.under("discovery", "prod", "consul")
        query = DiscoverySettings.model_validate({"from": "consul", "service": "web", **settings})
        around = Surroundings(environment(), Path("/none"), self.problems.under("upstreams"), self.about)
        return build_consul(query, ConsulSettings.model_validate(connection or {}), around)

    def words(self) -> list[str]:
        return [f"{each.severity} {'.'.join(map(str, each.loc))}: {each.message}" for each in self.problems]

    def test_name(self) -> None:
        """What is the same thing has the same name."""
        self.assertEqual(self.build().name, "consul web")
        self.assertEqual(self.build(tags=["v1", "blue"]).name, self.build(tags=["blue", "v1"]).name)
        source = self.build({"url": "http://127.0.0.1:8501", "dc": "dc2"}, tags=["blue"], namespace="shop")
        self.assertEqual(source.name, "consul shop/web[blue]@dc2 at http://127.0.0.1:8501")
        self.assertEqual(self.build({"dc": "dc2"}, dc="dc3").name, "consul web@dc3")
        self.assertEqual(self.words(), [])

    def test_port(self) -> None:
        for port in ("http", 0, 65536):
            self.assertIsNone(self.build(port=port))
            self.assertIn("error upstreams.port: a port is a number", self.words()[0])

    def test_token_that_cannot_be_read(self) -> None:
        self.assertIsNone(self.build({"token_file": "token"}))
        self.assertEqual(
            self.words(),
            ["error discovery.prod.consul.token_file: /none/token cannot be read: No such file or directory"],
        )

    def test_certificates_that_cannot_be_read(self) -> None:
        self.assertIsNone(self.build({"url": "https://c:8501", "ca_file": "ca.pem"}))
        self.assertIn("error discovery.prod.consul: ", self.words()[0])

    def test_wait_longer_than_staleness(self) -> None:
        """Such a source would be stale although all is well."""
        self.assertIsNone(self.build({"wait": "60s"}))
        self.assertIn("error discovery.prod.consul.wait: sources are stale after 60 s", self.words()[0])
        self.assertIsNotNone(self.build({"wait": "60s"}, stale_after="2m"))

    def test_warnings(self) -> None:
        self.build({"url": "https://c:8501", "verify": False})
        self.assertIn("warning discovery.prod.consul.verify: whoever answers", self.words()[0])
        self.build({"url": "http://c:8500", "token": "t"})
        self.assertEqual(self.words(), ["warning discovery.prod.consul.url: the token is sent over plain HTTP"])
        for url in ("http://127.0.0.1:8500", "http://[::1]:8500", "http://localhost:8500"):
            self.build({"url": url, "token": "t"})
            self.assertEqual(self.words(), [])
