"""Discovery from Kubernetes, as far as it holds for any API server: the double (`test_kubernetes`) and real ones (`kube_real`).

Import the module, not the class: trial would run a class that it finds.
"""

import signal
from typing import Any

from tests.live.control import edgegw
from tests.live.discovered import DiscoveryCase, Named
from tests.live.kube_api import KubeApi
from tests.live.kube_objects import endpoint, endpoint_slice, service
from tests.live.process import wait_until
from tests.live.servers import Gateway

FRONT = """
    edgegw: 1
    shutdown: {{lame_duck: 0s, grace: 10s}}
    observe: {{listen: "127.0.0.1:@{{observe}}", access_log: "@{{dir}}/access.log"}}
    listen: [{{port: @{{web}}, interface: 127.0.0.1}}]
    discovery:
      prod: {{k8s: {{url: "{url}", token_file: "@{{dir}}/token"{more}}}}}
    upstreams:
      users:
        balance: round_robin
        discovery: {{from: prod, {query}, allow: [127.0.0.0/8], stale_after: 3s, empty_after: 0, damping: false}}
    routes: [{{match: /**, to: users}}]
"""


class Watching(DiscoveryCase):
    """A gateway that watches. The double and a real one each say what `api` is, and where endpoints may be."""

    api: KubeApi
    namespace = "shop"
    host = "127.0.0.1"
    more = ""

    @property
    def token(self) -> str:
        """The gateway's, which may list and watch and nothing else where there are rights."""
        return self.api.token

    @property
    def url(self) -> str:
        """Where the gateway finds the API server."""
        return self.api.url

    def begin(self, query: str = "", **files: str) -> None:
        """A gateway that watches the Service `users`, or what is asked for."""
        query = query or f"service: {self.namespace}/users, port: http"
        text = FRONT.format(url=self.url, query=query, more=self.more)
        self.gateway = self.serve(Gateway(text, files={"token": self.token, **files}))

    def origin(self, name: str, host: str = "", port: int = 0) -> Named:
        return super().origin(name, host or self.host, port)

    def put(self, origin: Named, *, name: str = "", of: str = "users", port: str = "http", **more: Any) -> None:
        """A slice of its own for each origin, as their ports differ."""
        labels = more.pop("labels", {})
        namespace = more.pop("namespace", self.namespace)
        annotations = more.pop("annotations", {})
        thing = endpoint_slice(
            f"{of}-{name or origin.name}",
            endpoint(origin.host, **more),
            service=of,
            namespace=namespace,
            labels=labels,
            annotations=annotations,
            ports=[(port, origin.port)],
        )
        self.api.put(thing)

    def take(self, name: str) -> None:
        self.api.delete("EndpointSlice", self.namespace, f"users-{name}")

    def hand_over(self, token: str) -> None:
        """Another token for the gateway, as a kubelet brings it."""
        fresh = self.gateway.folder / "fresh"
        fresh.write_text(token)
        fresh.replace(self.gateway.folder / "token")


class Cases(Watching):
    """What holds for any API server."""

    def test_rollout(self) -> None:
        """Endpoints come, terminate and go under load: no request is lost."""
        one, two, three = (self.origin(name) for name in ("one", "two", "three"))
        self.api.put(service(namespace=self.namespace))
        self.put(one)
        self.begin()
        self.serves("one")
        with self.nothing_lost():
            self.put(two, zone="eu-1b")
            self.serves("one", "two")
            self.put(one, ready=False, serving=True, terminating=True)
            self.serves("two")
            found = self.endpoints()
            held = found[one.url]
            self.assertEqual((held["state"], held["holds"]), ("not_ready", {"not_ready": "terminating"}))
            self.assertEqual(found[two.url]["zone"], "eu-1b")
            self.take("one")
            self.put(three)
            self.serves("two", "three")
            one.stop()
            self.put(two, ready=False)
            self.serves("three")

    def test_scaled_to_nothing_and_back(self) -> None:
        one = self.origin("one")
        self.api.put(service(namespace=self.namespace))
        self.put(one)
        self.begin()
        self.serves("one")
        self.take("one")
        self.serves()
        self.put(one)
        self.serves("one")

    def test_ports_by_name_and_number(self) -> None:
        """The Service's port 81 is `admin`, which the endpoints have elsewhere."""
        web, admin = self.origin("web"), self.origin("admin")
        self.api.put(service("users", ("http", 80), ("admin", 81), namespace=self.namespace))
        self.api.put(
            endpoint_slice(
                "users-1",
                endpoint(self.host),
                namespace=self.namespace,
                ports=[("http", web.port), ("admin", admin.port)],
            )
        )
        for port, name in (("http", "web"), ("admin", "admin"), ("81", "admin")):
            self.begin(f"service: {self.namespace}/users, port: {port}")
            self.serves(name)

    def test_selector(self) -> None:
        """Two Services with one label, and one without it."""
        found = [self.origin(name) for name in ("a", "b", "c")]
        for origin, labels in zip(found, ({"app": "x"}, {"app": "x"}, {"app": "y"}), strict=True):
            self.api.put(service(origin.name, namespace=self.namespace, labels=labels))
            self.put(origin, of=origin.name, labels=labels)
        self.begin(f"selector: app=x, namespace: {self.namespace}, port: http")
        self.serves("a", "b")
        meta = {each["meta"]["service"] for each in self.endpoints().values()}
        self.assertEqual(meta, {"a", "b"})

    def test_annotations(self) -> None:
        """Weight of a Service, and a nearer one of a slice."""
        one, two = self.origin("one"), self.origin("two")
        self.api.put(service(namespace=self.namespace, annotations={"edgegw.dev/weight": "5"}))
        self.put(one)
        self.put(two, annotations={"edgegw.dev/weight": "7"})
        self.begin()
        self.serves("one", "two")
        weights = {url: each["weight"] for url, each in self.endpoints().items()}
        self.assertEqual(weights, {one.url: 5, two.url: 7})

    def test_advice(self) -> None:
        """Annotations for balance and health act on an upstream that runs, as far as the configuration says nothing, and end."""
        one, two = self.origin("one"), self.origin("two")
        plain = service(namespace=self.namespace)
        self.api.put(self.annotated(**{"balance": "consistent_hash", "balance-key": "query:user"}))
        self.put(one)
        self.put(two)
        self.begin()
        self.serves("one", "two")
        wait_until(lambda: self.view()["advice"], "it is advised")
        self.assertEqual(self.view()["advice"]["ignored"].keys(), {"balance", "balance-key"})
        self.assertEqual(len(self.of_one_user()), 2)
        with self.nothing_lost():
            self.gateway.write(self.gateway.config_path.read_text().replace("balance: round_robin\n", "\n"))
            self.assertEqual(edgegw(self.gateway, "reload").returncode, 0)
            wait_until(lambda: len(self.of_one_user()) == 1, "the same key leads to the same endpoint")
            self.assertEqual(self.view()["health"], None)
            self.api.put(self.annotated(**{"health-path": "/up", "health-every": "1s", "health-rise": "none"}))
            wait_until(lambda: self.view()["health"] == "GET /up every 1s", "it is probed")
            wait_until(lambda: all(len(each["checks"]) > 1 for each in self.endpoints().values()), "probes come")
            self.assertEqual({check["ok"] for each in self.endpoints().values() for check in each["checks"]}, {True})
            wait_until(lambda: len(self.of_one_user()) == 2, "the same key leads anywhere")
            told = edgegw(self.gateway, "upstreams", "users").stdout
            self.assertIn(f"health-path /up: advised by {self.source()['source']}", told)
            self.assertIn('health-rise must be a whole number, not "none"', told)
            self.api.put(plain)
            wait_until(lambda: self.view()["health"] is None, "it is probed no more")
            self.assertEqual((self.view()["balance"], self.view()["advice"]), ("weighted_round_robin", None))
            self.serves("one", "two")
        self.assertEqual(self.events("upstream_changed")[-1], "no advice acts any more")

    def annotated(self, **notes: str) -> dict[str, Any]:
        notes = {f"edgegw.dev/{name}": text for name, text in notes.items()}
        return service(namespace=self.namespace, annotations=notes)

    def of_one_user(self) -> set[bytes]:
        """Who answers requests with one key."""
        return {self.get(self.gateway, "/?user=7")[1] for _ in range(12)}

    def test_not_let_in(self) -> None:
        """A token that is refused; the right one is read when it is there."""
        one = self.origin("one")
        self.api.put(service(namespace=self.namespace))
        self.put(one)
        self.close_to_others()
        self.begin(token="wrong")
        self.await_failing("401")
        self.hand_over(self.token)
        self.serves("one", limit_s=40)

    def close_to_others(self) -> None:
        """Let nobody in without the token; a real API server does so anyway."""

    def test_forbidden(self) -> None:
        """What is missing is told, with the right to grant; granted, it is used."""
        one = self.origin("one")
        self.api.put(service(namespace=self.namespace))
        self.put(one)
        self.forbid()
        self.begin()
        grant = f"grant list and watch on endpointslices of discovery.k8s.io in namespace {self.namespace}"
        self.await_failing(grant)
        self.assertIn(f"k8s {self.namespace}/users:http", edgegw(self.gateway, "upstreams").stdout)
        self.permit()
        self.serves("one", limit_s=40)

    def forbid(self) -> None:
        """The gateway has no rights."""
        raise NotImplementedError

    def permit(self) -> None:
        """It has those of docs/how-to/kubernetes.md."""
        raise NotImplementedError

    def test_large(self) -> None:
        """A thousand slices in pages, then one event among them."""
        one = self.origin("one")
        self.api.put(service(namespace=self.namespace))
        for number in range(1001):
            away = endpoint(f"10.1.{number // 250}.{number % 250}", ready=False)
            self.api.put(endpoint_slice(f"users-{number:04}", away, namespace=self.namespace))
        self.begin()
        wait_until(lambda: self.source()["endpoints"] == 1001, "all are known")
        self.put(one)
        self.serves("one")
        self.assertEqual(self.source()["endpoints"], 1002)

    def test_nothing_is_left(self) -> None:
        """A reload to another Service, and one without discovery, close what was open."""
        one, two = self.origin("one"), self.origin("two")
        for origin, name in ((one, "users"), (two, "orders")):
            self.api.put(service(name, namespace=self.namespace))
            self.put(origin, of=name)
        self.begin()
        self.serves("one")
        before = self.gateway.config_path.read_text()
        self.gateway.write(before.replace(f"{self.namespace}/users", f"{self.namespace}/orders"))
        self.assertEqual(edgegw(self.gateway, "reload").returncode, 0)
        self.serves("two")


class Outages(Watching):
    """What takes an API server that the test may stop, kill and put back."""

    def freeze(self) -> None:
        """It stands still, its connections open."""
        raise NotImplementedError

    def thaw(self) -> None:
        """It goes on."""
        raise NotImplementedError

    def kill(self) -> None:
        """It is gone."""
        raise NotImplementedError

    def restore(self) -> None:
        """Another one at the same address, with nothing in it, whose versions begin anew."""
        raise NotImplementedError

    def forget(self) -> None:
        """Watches end, and versions before now are gone."""
        raise NotImplementedError

    def serving_one(self) -> Named:
        """One of two origins serves; the other one is returned."""
        one, two = self.origin("one"), self.origin("two")
        self.api.put(service(namespace=self.namespace))
        self.put(one)
        self.begin()
        self.serves("one")
        return two

    def test_stopped_and_back(self) -> None:
        """The API server stands still, its connections open: no request is lost, it shows as stale, and it catches up."""
        two = self.serving_one()
        with self.nothing_lost():
            self.freeze()
            self.is_stale()
            self.await_failing("no answer within", 60)
            self.serves("one")
            self.thaw()
            self.put(two)
            self.serves("one", "two", limit_s=60)

    def test_killed_and_restored(self) -> None:
        """Another API server at the same address whose versions begin anew, with other objects."""
        two = self.serving_one()
        with self.nothing_lost():
            self.kill()
            self.await_failing("")
            self.serves("one")
            self.restore()
            self.api.put(service(namespace=self.namespace))
            self.put(two)
            self.serves("two", limit_s=60)

    def test_versions_that_are_gone(self) -> None:
        """What happened meanwhile is listed."""
        two = self.serving_one()
        with self.nothing_lost():
            self.put(two)
            self.serves("one", "two")
            self.forget()
            self.take("two")
            self.serves("one", limit_s=30)
            self.put(two)
            self.serves("one", "two")
        wait_until(lambda: not self.source()["failing"], "it answers")

    def test_restart_of_the_gateway_during_an_outage(self) -> None:
        """The last known good comes from the disk."""
        self.serving_one()
        saved = self.gateway.folder / "edgegw-state" / "discovery"
        wait_until(lambda: list(saved.glob("*.json")), "it was written", 20)
        self.kill()
        self.gateway.signal(signal.SIGTERM)
        self.gateway.wait_exit()
        self.gateway.start()
        with self.nothing_lost():
            self.serves("one")
            self.assertEqual(self.state(), "from_disk")
