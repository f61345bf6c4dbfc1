"""Discovery from Kubernetes against the double of its API server: `kube_cases`, and what only a double can be made to do."""

import signal

from tests.live import kube_cases
from tests.live.control import edgegw
from tests.live.discovered import Named
from tests.live.kube_api import KubeDouble
from tests.live.kube_objects import endpoint, endpoint_slice, service
from tests.live.load import Load
from tests.live.process import wait_until
from tests.live.servers import Gateway


class DoubleTests(kube_cases.Cases):
    """The cases, and what only the double can be made to do."""

    def setUp(self) -> None:
        super().setUp()
        self.double = self.serve(KubeDouble())
        self.double.tell(bookmarks=1)
        self.api = self.double.api
        self.api.token = "t"

    def close_to_others(self) -> None:
        self.double.tell(tokens=["t"])

    def serving_one(self) -> tuple[Gateway, Named, Named]:
        one, two = self.origin("one"), self.origin("two")
        self.api.put(service())
        self.put(one)
        gateway = self.gateway()
        self.serves(gateway, "one")
        return gateway, one, two

    def state(self, gateway: Gateway) -> str:
        found: str = self.view(gateway)["discovery"]["state"]
        return found

    def test_stopped_and_back(self) -> None:
        """The API server stands still, its connections open: no request is lost, it shows as stale, and it catches up."""
        gateway, _, two = self.serving_one()
        with Load(gateway.port()) as load:
            self.double.signal(signal.SIGSTOP)
            wait_until(lambda: self.state(gateway) == "stale", "it is stale", 20)
            wait_until(lambda: self.view(gateway)["discovery"]["failing"], "it is told that it does not answer", 60)
            self.assertIn("no answer within", self.view(gateway)["discovery"]["last_error"])
            self.assertEqual(self.answers(gateway), {"one"})
            self.double.signal(signal.SIGCONT)
            self.put(two)
            self.serves(gateway, "one", "two", limit_s=60)
            wait_until(lambda: self.state(gateway) == "fresh", "it is fresh", 60)
        self.assertEqual(dict(load.failed), {})

    def test_killed_and_restored(self) -> None:
        """Another API server at the same address whose versions begin anew, with other objects."""
        gateway, _, two = self.serving_one()
        with Load(gateway.port()) as load:
            self.double.kill()
            wait_until(lambda: self.view(gateway)["discovery"]["failing"], "it is told", 20)
            self.assertEqual(self.answers(gateway), {"one"})
            self.double = self.serve(KubeDouble(version=10, port=self.double.port()))
            self.double.tell(bookmarks=1)
            self.api.put(service())
            self.put(two)
            self.serves(gateway, "two", limit_s=60)
        self.assertEqual(dict(load.failed), {})

    def test_restart_of_the_gateway_during_an_outage(self) -> None:
        """The last known good comes from the disk."""
        gateway, _, _ = self.serving_one()
        wait_until(lambda: list((gateway.folder / "edgegw-state" / "discovery").glob("*.json")), "it was written", 20)
        self.double.kill()
        gateway.signal(signal.SIGTERM)
        gateway.wait_exit()
        gateway.start()
        self.assertEqual(self.answers(gateway), {"one"})
        self.assertEqual(self.state(gateway), "from_disk")

    def test_everyday_life(self) -> None:
        """Watches end, are torn, are too old (as status and as event), events come byte by byte."""
        gateway, _, two = self.serving_one()
        with Load(gateway.port()) as load:
            for number, orders in enumerate(
                ({"end": True}, {"cut": True}, {"split": 1}, {"gone": "http", "compact": True, "end": True},
                 {"gone": "event", "compact": True, "end": True}, {"raw": "garbage\n"}, {"raw": '{"type":"ADDED"}\n'})
            ):  # fmt: skip
                self.double.tell(**orders)
                if number % 2:
                    self.take("two")
                    self.serves(gateway, "one")
                else:
                    self.put(two)
                    self.serves(gateway, "one", "two")
        self.assertEqual(dict(load.failed), {})

    def test_forbidden(self) -> None:
        """What is missing is told, with the right to grant."""
        self.double.tell(forbid=[["list", "endpointslices"]])
        gateway = self.gateway()
        wait_until(lambda: self.view(gateway)["discovery"]["last_error"], "it is told")
        words = self.view(gateway)["discovery"]["last_error"]
        self.assertIn("grant list and watch on endpointslices of discovery.k8s.io in namespace shop", words)
        shown = edgegw(gateway, "upstreams").stdout
        self.assertIn("k8s shop/users:http", shown)

    def test_large(self) -> None:
        """A thousand slices in pages, then one event among them."""
        one = self.origin("one")
        for number in range(1001):
            self.api.put(
                endpoint_slice(f"users-{number:04}", endpoint(f"10.1.{number // 250}.{number % 250}", ready=False))
            )
        self.put(one)
        gateway = self.gateway()
        self.serves(gateway, "one")
        self.assertEqual(self.view(gateway)["discovery"]["endpoints"], 1002)
        lists = [
            each for each in self.double.requests() if each["args"].get("limit") == "500" and "slices" in each["path"]
        ]
        self.assertEqual(len(lists), 3)

    def test_stop_closes_the_watches(self) -> None:
        """The API server sees them go with the gateway."""
        gateway, _, _ = self.serving_one()
        wait_until(lambda: sum(each["open"] for each in self.double.requests()) == 2, "two watches stand")
        gateway.signal(signal.SIGTERM)
        gateway.wait_exit()
        wait_until(lambda: not any(each["open"] for each in self.double.requests()), "they are gone")
