"""Discovery from Kubernetes, as far as it holds for any API server: the double (`test_kubernetes`) and real ones (`kube_real`).

Import the module, not the class: trial would run a class that it finds.
"""

from typing import Any

from tests.live.case import LiveCase
from tests.live.control import control, edgegw
from tests.live.discovered import Named
from tests.live.kube_api import KubeApi
from tests.live.kube_objects import endpoint, endpoint_slice, service
from tests.live.load import Load
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


class Cases(LiveCase):
    """What holds for any API server. The double and a real one each say what `api` is, and where endpoints may be."""

    api: KubeApi
    namespace = "shop"
    host = "127.0.0.1"
    more = ""

    def gateway(self, query: str = "", **files: str) -> Gateway:
        query = query or f"service: {self.namespace}/users, port: http"
        text = FRONT.format(url=self.api.url, query=query, more=self.more)
        gateway = Gateway(text, files={"token": self.api.token or "t", **files})
        return self.serve(gateway)

    def origin(self, name: str) -> Named:
        origin = Named(name, self.host)
        self.addCleanup(origin.stop)
        return origin

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

    def answers(self, gateway: Gateway, count: int = 30) -> set[str]:
        return {body.decode() if response.status == 200 else str(response.status) for response, body in (
            self.get(gateway, "/") for _ in range(count)
        )}  # fmt: skip

    def serves(self, gateway: Gateway, *names: str, limit_s: float = 20.0) -> None:
        wait_until(lambda: self.answers(gateway) == set(names), f"{names} serve", limit_s)

    def view(self, gateway: Gateway) -> dict[str, Any]:
        found: dict[str, Any] = control(gateway, "upstreams")["upstreams"][0]
        return found

    def test_rollout(self) -> None:
        """Endpoints come, terminate and go under load: no request is lost."""
        one, two, three = (self.origin(name) for name in ("one", "two", "three"))
        self.api.put(service(namespace=self.namespace))
        self.put(one)
        gateway = self.gateway()
        self.serves(gateway, "one")
        with Load(gateway.port()) as load:
            self.put(two, zone="eu-1b")
            self.serves(gateway, "one", "two")
            self.put(one, ready=False, serving=True, terminating=True)
            self.serves(gateway, "two")
            states = {each["name"]: each for each in self.view(gateway)["endpoints"]}
            held = states[f"http://{one.host}:{one.port}"]
            self.assertEqual((held["state"], held["holds"]), ("not_ready", {"not_ready": "terminating"}))
            self.assertEqual(states[f"http://{two.host}:{two.port}"]["zone"], "eu-1b")
            self.take("one")
            self.put(three)
            self.serves(gateway, "two", "three")
            one.stop()
            self.put(two, ready=False)
            self.serves(gateway, "three")
        self.assertEqual(dict(load.failed), {})
        self.assertGreater(load.done, 100)

    def test_scaled_to_nothing_and_back(self) -> None:
        one = self.origin("one")
        self.api.put(service(namespace=self.namespace))
        self.put(one)
        gateway = self.gateway()
        self.serves(gateway, "one")
        self.take("one")
        self.serves(gateway, "503")
        self.put(one)
        self.serves(gateway, "one")

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
            gateway = self.gateway(f"service: {self.namespace}/users, port: {port}")
            self.serves(gateway, name)

    def test_selector(self) -> None:
        """Two Services with one label, and one without it."""
        found = [self.origin(name) for name in ("a", "b", "c")]
        for origin, labels in zip(found, ({"app": "x"}, {"app": "x"}, {"app": "y"}), strict=True):
            self.api.put(service(origin.name, namespace=self.namespace, labels=labels))
            self.put(origin, of=origin.name, labels=labels)
        gateway = self.gateway(f"selector: app=x, namespace: {self.namespace}, port: http")
        self.serves(gateway, "a", "b")
        meta = {each["meta"]["service"] for each in self.view(gateway)["endpoints"]}
        self.assertEqual(meta, {"a", "b"})

    def test_annotations(self) -> None:
        """Weight of a Service, and a nearer one of a slice."""
        one, two = self.origin("one"), self.origin("two")
        self.api.put(service(namespace=self.namespace, annotations={"edgegw.dev/weight": "5"}))
        self.put(one)
        self.put(two, annotations={"edgegw.dev/weight": "7"})
        gateway = self.gateway()
        self.serves(gateway, "one", "two")
        weights = {each["name"].rpartition(":")[2]: each["weight"] for each in self.view(gateway)["endpoints"]}
        self.assertEqual(weights, {str(one.port): 5, str(two.port): 7})

    def test_not_let_in(self) -> None:
        """A token that is refused; the right one is read when it is there."""
        one = self.origin("one")
        self.api.put(service(namespace=self.namespace))
        self.put(one)
        self.close_to_others()
        gateway = self.gateway(token="wrong")
        wait_until(lambda: "401" in (self.view(gateway)["discovery"]["last_error"] or ""), "401 is told")
        fresh = gateway.folder / "fresh"
        fresh.write_text(self.api.token)
        fresh.replace(gateway.folder / "token")
        self.serves(gateway, "one", limit_s=40)

    def close_to_others(self) -> None:
        """Let nobody in without the token; a real API server does so anyway."""

    def test_nothing_is_left(self) -> None:
        """A reload to another Service, and one without discovery, close what was open."""
        one, two = self.origin("one"), self.origin("two")
        for origin, name in ((one, "users"), (two, "orders")):
            self.api.put(service(name, namespace=self.namespace))
            self.put(origin, of=name)
        gateway = self.gateway()
        self.serves(gateway, "one")
        before = gateway.config_path.read_text()
        gateway.config_path.write_text(before.replace(f"{self.namespace}/users", f"{self.namespace}/orders"))
        self.assertEqual(edgegw(gateway, "reload").returncode, 0)
        self.serves(gateway, "two")
