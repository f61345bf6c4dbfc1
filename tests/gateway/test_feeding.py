"""The discovery of one configuration after another."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from edgegw.config.problems import Problems
from edgegw.config.source import loads
from edgegw.discovery.feed import Feed
from edgegw.gateway.feeding import Feeding, nobody
from edgegw.gateway.loading import accept
from edgegw.gateway.settings import GatewaySettings
from edgegw.observe.metrics import Registry
from edgegw.runtime.wheel import Wheel
from edgegw.upstream.address import EndpointSettings, Named
from edgegw.upstream.environment import Environment

USERS = "u: {discovery: {from: file, path: users.yaml}}"
DNS = "u: {discovery: {from: prod, name: users.shop, port: 80}}"
PROD = "discovery: {prod: {dns: {servers: ['10.0.0.2:53']}}}\n"
NAMED = [Named(EndpointSettings(url="http://10.0.0.1"))]


class FeedingTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="edgegw-feeding-"))
        self.addCleanup(shutil.rmtree, self.folder)
        clock = Clock()
        self.registry = Registry()
        self.told: list[tuple[str, str, int]] = []
        environment = Environment(clock, Wheel(clock), None)  # type: ignore[arg-type]
        self.feeding = Feeding(environment, self.registry, self.update, lambda: [("10.9.9.9", 80)])

    def update(self, upstream: str, source: str, named: Sequence[Named], advice: object) -> None:
        self.told.append((upstream, source, len(named)))

    def settings(self, upstreams: str, more: str = "") -> GatewaySettings:
        document = loads(f"edgegw: 1\nlisten: [80]\nupstreams: {{{upstreams}}}\n{more}", environ={})
        return accept(document, self.folder).settings

    def build(
        self, settings: GatewaySettings, old: tuple[GatewaySettings, dict[str, Feed]] | None = None
    ) -> dict[str, Feed]:
        problems = Problems()
        made = self.feeding.build(settings, self.folder, problems, old)
        self.assertEqual(list(problems), [])
        return made

    def test_only_those_that_have_it(self) -> None:
        made = self.build(self.settings(f'{USERS}, v: {{endpoints: ["http://h"]}}'))
        self.assertEqual(list(made), ["u"])
        self.assertIn("users.yaml", made["u"].source.name)

    def test_what_is_the_same_comes_again(self) -> None:
        for upstreams, more, others in (
            (
                USERS,
                "",
                ((USERS.replace("users.yaml", "other.yaml"), ""), (USERS.replace("path", "zone: a, path"), "")),
            ),
            (DNS, PROD, ((DNS, PROD.replace("10.0.0.2", "10.0.0.3")), (DNS.replace("users.shop", "b.shop"), PROD))),
        ):
            settings = self.settings(upstreams, more)
            old = self.build(settings)
            same = self.settings(upstreams.replace("u: {", "u: {host: upstream, "), more)
            self.assertIs(self.build(same, (settings, old))["u"], old["u"])
            for other in others:
                self.assertIsNot(self.build(self.settings(*other), (settings, old))["u"], old["u"], other)

    def test_a_feed_leads_to_its_upstream_and_is_counted(self) -> None:
        feed = self.build(self.settings(USERS))["u"]
        feed.startService()
        self.addCleanup(feed.stopService)
        feed.found(NAMED)
        self.assertEqual(self.told, [("u", feed.source.name, 1)])
        self.assertEqual(self.registry.discovery_updates.child(upstream="u", outcome="ok").value, 1)

    def test_it_does_not_lead_to_the_gateway_itself(self) -> None:
        feed = self.build(self.settings(USERS))["u"]
        self.assertIn("gateway itself", feed.policy.refuse("10.9.9.9", 80) or "")
        self.assertIsNone(feed.policy.refuse("10.9.9.9", 81))

    def test_what_cannot_be_is_told_at_its_place(self) -> None:
        problems = Problems()
        settings = self.settings("u: {discovery: {from: fiel, path: x}}")
        self.assertEqual(self.feeding.build(settings, self.folder, problems), {})
        (problem,) = problems
        self.assertEqual(problem.loc, ("upstreams", "u", "discovery", "from"))
        self.assertIn('did you mean "file"?', problem.hint or "")

    def test_checked_only(self) -> None:
        nobody("u", "file x", NAMED, None)
