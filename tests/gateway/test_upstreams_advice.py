"""Clusters from settings that discovery advises: what is built for it, and what a reload makes of it."""

from __future__ import annotations

from typing import cast

from edgegw.testing.exchanges import make_exchange
from edgegw.upstream.address import EndpointSettings, Named
from edgegw.upstream.advice import Advice
from edgegw.upstream.balance.consistent_hash import ConsistentHash
from edgegw.upstream.cluster import Cluster
from edgegw.upstream.health.checks import HealthChecks
from edgegw.upstream.health.tcp_probe import TcpProbe
from tests.gateway.test_upstreams import UpstreamsCase as Base

SOURCE = "k8s shop/users"
NAMED = [Named(EndpointSettings(url=f"http://{name}")) for name in "ab"]
FOUND = "discovery: {from: file, path: x}"
LEAST = Advice(balance_by="least_connections")


class AdviceTests(Base):
    def of(self, made: Cluster) -> str:
        """The class of what chooses."""
        made.selection().choose(make_exchange(), ())
        return type(next(iter(made.selection()._plans._groups.values())).balancer).__name__

    def test_it_is_built(self) -> None:
        made = self.build(f"u: {{{FOUND}}}")["u"]
        made.update(SOURCE, NAMED, Advice(balance_by="consistent_hash", health_protocol="tcp", health_every="3s"))
        self.assertEqual(self.of(made), ConsistentHash.__name__)
        checks = cast(HealthChecks, made.checks)
        self.assertIsInstance(checks._probe, TcpProbe)
        self.assertEqual((checks.upstream, checks.settings.every), ("u", 3.0))
        self.assertEqual(checks._passed, made.outliers.readmit if made.outliers else None)

    def test_custom_code_stays(self) -> None:
        custom = "balance: {custom: 'tests.gateway.test_upstreams:Last'}"
        made = self.build(f"u: {{{FOUND}, {custom}}}")["u"]
        made.update(SOURCE, NAMED, Advice(balance_by="random", balance_slow_start="1s"))
        self.assertEqual(made.counsel.now.balance.slow_start, 1.0)
        self.assertIs(made.selection().choose(make_exchange(), ()), made.endpoints[1])

    def test_an_unrelated_reload(self) -> None:
        old = self.build(f"u: {{{FOUND}}}")
        old["u"].update(SOURCE, NAMED, LEAST)
        self.assertIs(self.build(f"u: {{{FOUND}}}, v: {{endpoints: ['http://v']}}", old)["u"], old["u"])

    def test_a_reload_of_something_else(self) -> None:
        old = self.build(f"u: {{{FOUND}}}")
        old["u"].update(SOURCE, NAMED, LEAST)
        new = self.build(f"u: {{{FOUND}, retry: {{attempts: 2}}}}", old)["u"]
        self.assertEqual((self.of(new), new.endpoints), ("LeastConnections", old["u"].endpoints))

    def test_what_is_written_out_goes_first(self) -> None:
        """Also what is the default anyway, in the upstream and in `defaults`; and back."""
        default = "weighted_round_robin"
        for text, more in (
            (f"u: {{{FOUND}, balance: {default}}}", ""),
            (f"u: {{{FOUND}}}", f"defaults: {{upstream: {{balance: {default}}}}}\n"),
        ):
            old = self.build(f"u: {{{FOUND}}}")
            old["u"].update(SOURCE, NAMED, LEAST)
            new = self.build(text, old, more)
            self.assertIn("RoundRobin", self.of(new["u"]))
            self.assertEqual(new["u"].endpoints, old["u"].endpoints)
            again = self.build(f"u: {{{FOUND}}}", new)["u"]
            self.assertEqual(self.of(again), "LeastConnections")

    def test_no_probes_in_so_many_words(self) -> None:
        made = self.build(f"u: {{{FOUND}, health: null}}")["u"]
        made.update(SOURCE, NAMED, Advice(health_path="/up"))
        self.assertIsNone(made.checks)
