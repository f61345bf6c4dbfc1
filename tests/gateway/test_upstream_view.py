"""What operators see of upstreams."""

from __future__ import annotations

import json
from typing import Any
from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from edgegw.gateway.upstream_view import upstreams
from edgegw.testing.origin import Origin, cluster
from edgegw.upstream.advice import Advice
from edgegw.upstream.cluster import Means
from edgegw.upstream.endpoint import Probed
from edgegw.upstream.standing import Hold


class UpstreamsTests(SynchronousTestCase):
    def view(self, shop: Any, feeds: Any = None) -> dict[str, Any]:
        (found,) = upstreams([shop], feeds or {})
        # Plain data through and through.
        return json.loads(json.dumps(found))  # type: ignore[no-any-return]

    def test_endpoints(self) -> None:
        shop = cluster(Origin(), Origin())
        first = shop.endpoints[0]
        first.hold(Hold.FAILING, "connect_refused", "health")
        first.history.append(Probed(5.0, False, 0.0021, "connect_refused"))
        shop.weigh(first, 7)
        first.in_flight = 3
        first.ejections, first.zone, first.tier, first.meta = 2, "eu-1a", 1, {"version": "2"}
        found = self.view(shop)["endpoints"]
        self.assertEqual([each["state"] for each in found], ["failing", "ready"])
        one = found[0]
        self.assertEqual(one["holds"], {"failing": "connect_refused"})
        self.assertEqual(one["checks"], [{"at": 5.0, "ok": False, "took_ms": 2.1, "detail": "connect_refused"}])
        self.assertEqual(
            (one["weight"], one["weight_by_operator"], one["in_flight"], one["source"]), (7, True, 3, "config")
        )
        self.assertEqual((one["ejections"], one["zone"], one["tier"], one["meta"]), (2, "eu-1a", 1, {"version": "2"}))
        self.assertTrue(one["why"])

    def test_the_whole(self) -> None:
        shop = cluster(Origin())
        feed = mock.Mock()
        feed.describe.return_value = {"source": "file x", "state": "fresh"}
        found = self.view(shop, {"shop": feed})
        self.assertEqual((found["name"], found["balance"], found["panic"]), ("shop", "round_robin", False))
        breaker = found["breaker"]
        self.assertEqual((breaker["state"], breaker["failed_in_a_row"], breaker["left_s"]), ("admitting", 0, 0))
        self.assertEqual(found["attempts"], {"exchanges": 0, "added": 0, "window_s": 10})
        self.assertIsNone(found["bulkhead"])
        self.assertEqual(found["discovery"], {"source": "file x", "state": "fresh"})
        self.assertIsNone(self.view(cluster(Origin(), breaker=False))["breaker"])

    def test_how_it_is_probed(self) -> None:
        for said, words in (
            (None, None),
            ("/up", "GET /up every 5s"),
            ({"tcp": {}, "every": "1s"}, "tcp every 1s"),
            ({"grpc": "acme.Orders"}, "grpc acme.Orders every 5s"),
            ({"custom": "shop.probes:Disk"}, "shop.probes:Disk every 5s"),
        ):
            self.assertEqual(self.view(cluster(Origin(), health=said))["health"], words)

    def test_what_is_advised(self) -> None:
        shop = cluster(Origin())
        self.assertIsNone(self.view(shop)["advice"])
        shop.means = Means(lambda balance: shop._balancer, lambda health: None)
        shop.update("k8s shop/users", [], Advice(balance_by="random", health_path="/up"))
        found = self.view(shop)
        self.assertEqual((found["balance"], found["health"]), ("round_robin", "GET /up every 5s"))
        self.assertEqual(
            found["advice"],
            {
                "source": "k8s shop/users",
                "acts": {"health-path": "/up"},
                "ignored": {"balance": "the configuration says it"},
            },
        )
