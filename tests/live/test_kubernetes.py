"""Discovery from Kubernetes against the double of its API server: `kube_cases`, and what only a double can be made to do."""

import signal

from tests.live import kube_cases
from tests.live.kube_api import KubeDouble
from tests.live.process import wait_until


class DoubleTests(kube_cases.Cases, kube_cases.Outages):
    """The cases, and what only the double can be made to do."""

    def setUp(self) -> None:
        super().setUp()
        self.double = self.serve(KubeDouble())
        self.double.tell(bookmarks=1)
        self.api = self.double.api
        self.api.token = "t"

    def close_to_others(self) -> None:
        self.double.tell(tokens=["t"])

    def forbid(self) -> None:
        self.double.tell(forbid=[["list", "endpointslices"], ["list", "services"]])

    def permit(self) -> None:
        self.double.tell(forbid=[])

    def freeze(self) -> None:
        self.double.signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.double.signal(signal.SIGCONT)

    def kill(self) -> None:
        self.double.kill()

    def restore(self) -> None:
        self.double = self.serve(KubeDouble(version=10, port=self.double.port()))
        self.double.tell(bookmarks=1)

    def forget(self) -> None:
        self.double.tell(gone="event", compact=True, end=True)

    def test_stopped_and_back(self) -> None:
        super().test_stopped_and_back()
        self.is_fresh()

    def test_everyday_life(self) -> None:
        """Watches end, are torn, are too old (as status and as event), events come byte by byte."""
        two = self.serving_one()
        with self.nothing_lost():
            for number, orders in enumerate(
                ({"end": True}, {"cut": True}, {"split": 1}, {"gone": "http", "compact": True, "end": True},
                 {"gone": "event", "compact": True, "end": True}, {"raw": "garbage\n"}, {"raw": '{"type":"ADDED"}\n'})
            ):  # fmt: skip
                self.double.tell(**orders)
                if number % 2:
                    self.take("two")
                    self.serves("one")
                else:
                    self.put(two)
                    self.serves("one", "two")

    def test_large(self) -> None:
        super().test_large()
        lists = [
            each for each in self.double.requests() if each["args"].get("limit") == "500" and "slices" in each["path"]
        ]
        self.assertEqual(len(lists), 3)

    def test_stop_closes_the_watches(self) -> None:
        """The API server sees them go with the gateway."""
        self.serving_one()
        wait_until(lambda: sum(each["open"] for each in self.double.requests()) == 2, "two watches stand")
        self.gateway.signal(signal.SIGTERM)
        self.gateway.wait_exit()
        wait_until(lambda: not any(each["open"] for each in self.double.requests()), "they are gone")
