"""What operators say of endpoints."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from edgegw.gateway import operating
from edgegw.testing.origin import Origin, cluster
from edgegw.upstream.standing import Hold


class OperatingTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.shop = cluster(Origin(), Origin())

    def test_found_by_name(self) -> None:
        self.assertIs(operating.cluster_of({"shop": self.shop}, "shop"), self.shop)
        for name in ("http://origin-1:80", "origin-1:80"):
            self.assertIs(operating.endpoint_of(self.shop, name), self.shop.endpoints[1])

    def test_not_found_with_advice(self) -> None:
        error = self.assertRaises(operating.Unknown, operating.cluster_of, {"shop": self.shop}, "shpo")
        self.assertIn('did you mean "shop"?', str(error))
        error = self.assertRaises(operating.Unknown, operating.endpoint_of, self.shop, "x")
        self.assertIn("there are: http://origin-0:80, http://origin-1:80", str(error))
        self.assertIn("none", str(self.assertRaises(operating.Unknown, operating.cluster_of, {}, "x")))

    def test_advice_does_not_hold_up_the_loop(self) -> None:
        compared: list[tuple[int, int]] = []

        def near(name: str, names: list[str], most: int) -> list[str]:
            compared.append((len(name), len(names)))
            return []

        self.patch(operating, "get_close_matches", near)
        known = {f"u{number}": self.shop for number in range(10_000)}
        self.assertRaises(operating.Unknown, operating.cluster_of, known, "x" * 60_000)
        self.assertEqual(compared, [(100, 1000)])

    def test_ready_takes_everything_back(self) -> None:
        endpoint = self.shop.endpoints[0]
        operating.drain(endpoint)
        endpoint.hold(Hold.EJECTED, "500s")
        endpoint.hold(Hold.FAILING, "500")
        self.shop.weigh(endpoint, 9)
        self.assertEqual(endpoint.standing.state, "drained")
        operating.ready(self.shop, endpoint)
        self.assertEqual((set(endpoint.standing.reasons), endpoint.weight), ({Hold.FAILING}, 1))
