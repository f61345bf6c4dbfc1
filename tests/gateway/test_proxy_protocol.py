"""PROXY protocol as it is configured: what listeners and upstreams get of it, what a reload makes of it, what is an error."""

import shutil
import tempfile
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from edgegw.config.problems import ConfigError, Problem
from edgegw.config.source import loads
from edgegw.gateway.entrances import _policy
from edgegw.gateway.loading import accept, provision
from edgegw.gateway.snapshot import Snapshot
from edgegw.gateway.upstreams import begin
from edgegw.net.settings import ListenSettings
from tests.gateway.test_golden import resources


class Case(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="edgegw-proxy-"))
        self.addCleanup(shutil.rmtree, self.folder)

    def build(self, listen: str = "8080", upstream: str = "", old: Snapshot | None = None, top: str = "") -> Snapshot:
        upstream = upstream or 'endpoints: ["http://h"]'
        text = (
            f"edgegw: 1\nlisten: [{listen}]\nupstreams: {{u: {{{upstream}}}}}\nroutes: [{{match: /**, to: u}}]\n{top}"
        )
        return provision(accept(loads(text, "shop.yaml", environ={}), self.folder), resources(), old)

    def refused(self, **parts: str) -> list[Problem]:
        return list(self.assertRaises(ConfigError, self.build, **parts).problems)


class ListenTests(Case):
    def test_terms(self) -> None:
        trusted = "{port: 81, proxy_protocol: {trusted: [10.0.0.0/8, unix, '2001:db8::1']}}"
        terms = self.build(f"80, {trusted}").terms
        self.assertIsNone(terms["*:80"].proxied)
        proxied = terms["*:81"].proxied
        assert proxied is not None
        inside = [each in proxied for each in ("10.1.2.3", "unix", "2001:db8::1", "192.0.2.1", "2001:db8::2")]
        self.assertEqual(inside, [True, True, True, False, False])
        self.assertNotIn("10.1.2.3", terms["*:81"].trusted)

    def test_errors(self) -> None:
        for key, words in (
            ("{}", 'missing key "trusted"'),
            ("{trusted: []}", "must have 1 item or more"),
            ("{trusted: [10.0.0.1/8]}", "bits behind the prefix"),
            ("{trusted: [proxy.local]}", "address range"),
        ):
            (problem,) = self.refused(listen=f"{{port: 80, proxy_protocol: {key}}}")
            self.assertIn(words, problem.message)

    def test_another_trust_is_another_policy(self) -> None:
        def policy(**keys: Any) -> object:
            return _policy(ListenSettings.model_validate({"port": 80, **keys}))

        trusting = {"proxy_protocol": {"trusted": ["10.0.0.0/8"]}}
        self.assertEqual(policy(**trusting), policy(**trusting, caps={"per_client": 3}))
        self.assertNotEqual(policy(**trusting), policy())
        self.assertNotEqual(policy(**trusting), policy(proxy_protocol={"trusted": ["10.0.0.0/9"]}))


class UpstreamTests(Case):
    def test_a_reload_that_changes_it_changes_the_pools(self) -> None:
        keys = 'endpoints: ["http://h"], proxy_protocol: v1'
        old = self.build(upstream=keys)
        begin(old.clusters, {})
        (pool,) = [each.pool for each in old.clusters["u"].endpoints]
        for upstream, same in (
            (keys, True),
            (keys + ", balance: round_robin", True),
            (keys[:-1] + "2", False),
            ("", False),
        ):
            new = self.build(upstream=upstream, old=old)
            begin(new.clusters, old.clusters)
            (kept,) = new.clusters["u"].endpoints
            self.assertEqual(kept.pool is pool, same, upstream)

    def test_by_default(self) -> None:
        snapshot = self.build(top="defaults: {upstream: {proxy_protocol: v2}}")
        self.assertEqual(snapshot.clusters["u"].settings.proxy_protocol, "v2")

    def test_http2_is_an_error(self) -> None:
        (problem,) = self.refused(upstream='endpoints: ["https://h"], protocol: http2, proxy_protocol: v2')
        self.assertEqual(problem.loc, ("upstreams", "u", "proxy_protocol"))
        self.assertIn("belongs to one client", problem.message)
        self.assertIn("protocol: http1", problem.hint or "")

    def test_endpoints_of_http2_are_errors(self) -> None:
        found = self.refused(upstream='endpoints: ["http://h", "h2c://h", "grpcs://h"], proxy_protocol: v1')
        self.assertEqual([each.loc for each in found], [("upstreams", "u", "endpoints", at) for at in (1, 2)])

    def test_http1_over_https_is_none(self) -> None:
        for protocol in ("auto", "http1"):
            self.build(upstream=f'endpoints: ["https://h", "unix:///s"], protocol: {protocol}, proxy_protocol: v1')
