"""Tests of edgegw.upstream.cluster."""

from __future__ import annotations

from typing import Any, cast

from twisted.trial.unittest import SynchronousTestCase

from edgegw.errors import GatewayError, Phase
from edgegw.testing.exchanges import make_exchange
from edgegw.testing.origin import Origin, cluster
from edgegw.upstream.balance.round_robin import RoundRobin
from edgegw.upstream.cluster import Cluster


class ClusterTests(SynchronousTestCase):
    def test_asks_its_balancer(self) -> None:
        made = cluster(Origin(), Origin())
        first = made.choose(make_exchange())
        self.assertIs(first, made.endpoints[0])
        self.assertIs(made.choose(make_exchange(), (made.endpoints[1],)), first)

    def test_host_rule(self) -> None:
        for said, host in (("preserve", None), ("upstream", b""), ("shop.internal:8080", b"shop.internal:8080")):
            self.assertEqual(cluster(Origin(), host=said).host, host)

    def test_no_endpoint(self) -> None:
        made = cluster(Origin())
        empty = Cluster("x", made.settings, (), RoundRobin(()), cast(Any, None))
        error = self.assertRaises(GatewayError, empty.choose, make_exchange())
        self.assertEqual((error.status, error.reason, error.phase), (503, "no_endpoint", Phase.CHOOSE))
        self.assertIn((b"Retry-After", b"1"), error.headers)
