"""Every kind of discovery at once is silent for a minute under load: nothing is lost, it is visible, and it catches up."""

import json
import signal
import time
from typing import Any, NamedTuple, Protocol

from nats.js.api import KeyValueConfig

from tests.live.case import LiveCase
from tests.live.consul_cases import Double
from tests.live.control import control, edgegw
from tests.live.discovered import DnsServer
from tests.live.kube_api import KubeDouble
from tests.live.kube_objects import endpoint, endpoint_slice, service
from tests.live.load import Load
from tests.live.nats_case import PREFIX
from tests.live.nats_server import NatsServer, Peer
from tests.live.process import wait_until
from tests.live.servers import Gateway, PythonOrigin
from tests.live.wire import Answer

MINUTE_S = 60.0
"""The default of `stale_after`."""
LATE_S = 5.0
"""How much later than that it may be seen: a tick of the gateway, a look of ours, a busy machine."""
NAMES = ("dns", "k8s", "consul", "announced", "bucket", "file")

# The only times that differ from the defaults are those of single attempts: few of them fit into the outage, so that the pause
# which grows between them is short when it ends; and of pings, as after it announcements are fresh with the first one.
FRONT = """
    edgegw: 1
    shutdown: {{lame_duck: 0s, grace: 10s}}
    observe: {{listen: "127.0.0.1:@{{observe}}", access_log: "@{{dir}}/access.log"}}
    listen: [{{port: @{{web}}, interface: 127.0.0.1}}]
    discovery:
      names: {{dns: {{servers: ["127.0.0.1:{dns}"], timeout: 12s}}}}
      cluster: {{k8s: {{url: "http://127.0.0.1:{k8s}", token: t}}}}
      agent: {{consul: {{url: "http://127.0.0.1:{consul}", timeout: 10s}}}}
      bus: {{nats: {{servers: ["nats://127.0.0.1:{nats}"], timeout: 10s, ping: 5s}}}}
    upstreams:
      dns: {{discovery: {{from: names, name: _http._tcp.u.test, type: SRV, allow: [127.0.0.0/8]}}}}
      k8s: {{discovery: {{from: cluster, service: shop/users, port: http, allow: [127.0.0.0/8]}}}}
      consul: {{discovery: {{from: agent, service: web, allow: [127.0.0.0/8]}}}}
      announced: {{discovery: {{from: bus, service: users, allow: [127.0.0.0/8]}}}}
      bucket: {{discovery: {{from: bus, bucket: services, service: users, allow: [127.0.0.0/8]}}}}
      file: {{discovery: {{from: file, path: found/endpoints.json, allow: [127.0.0.0/8]}}}}
    routes:
"""


class Place(NamedTuple):
    """Of an origin, for those who announce it."""

    name: str
    host: str
    port: int

    def instance(self) -> bytes:
        """As NATS is told of it; it counts for 30 s."""
        said = {"id": self.name, "service": "users", "address": self.host, "port": self.port}
        return json.dumps(said).encode()


class Registry(Protocol):
    """Where the endpoints of one or two upstreams are written, and what can be silenced."""

    def say(self, *places: Place) -> None:
        """These and no others are the endpoints."""

    def silence(self) -> None: ...

    def speak(self) -> None: ...


class Stopped:
    """A registry that is a process; it stands still, its connections open."""

    def __init__(self, server: Any) -> None:
        self.server = server
        self.said: tuple[Place, ...] = ()

    def silence(self) -> None:
        self.server.signal(signal.SIGSTOP)

    def speak(self) -> None:
        self.server.signal(signal.SIGCONT)


class Dns(Stopped):
    """SRV records."""

    def say(self, *places: Place) -> None:
        records = [[0, 1, place.port, "h.u.test"] for place in places]
        zone: Any = {"_http._tcp.u.test": {"SRV": records}, "h.u.test": {"A": ["127.0.0.1"]}}
        self.server.records(**zone)


class Kubernetes(Stopped):
    """A slice for each origin, as their ports differ."""

    def say(self, *places: Place) -> None:
        self.server.api.put(service())
        for place in places:
            ports = [("http", place.port)]
            self.server.api.put(endpoint_slice(f"users-{place.name}", endpoint(place.host), ports=ports))
        for place in set(self.said) - set(places):
            self.server.api.delete("EndpointSlice", "shop", f"users-{place.name}")
        self.said = places


class Consul(Stopped):
    """Services with a check that passes."""

    def say(self, *places: Place) -> None:
        for place in set(places) - set(self.said):
            self.server.register(place)
        for place in set(self.said) - set(places):
            self.server.deregister(place)
        self.said = places


class Nats(Stopped):
    """Announcements, which nobody repeats though the outage outlasts their time to live; and the same as entries of a bucket."""

    def __init__(self, server: NatsServer, peer: Peer) -> None:
        super().__init__(server)
        self.peer = peer
        self.bucket = peer.run(peer.client.jetstream().create_key_value(KeyValueConfig(bucket="services")))

    def say(self, *places: Place) -> None:
        for place in set(self.said) - set(places):
            self.peer.publish(f"{PREFIX}.deregister", json.dumps({"id": place.name}).encode())
            self.peer.run(self.bucket.delete(f"users.{place.name}"))
        for place in places:
            self.peer.publish(f"{PREFIX}.register", place.instance())
            self.peer.run(self.bucket.put(f"users.{place.name}", place.instance()))
        self.said = places


class File:
    """A file, which holds garbage instead of being silent."""

    def __init__(self, gateway: Gateway) -> None:
        self.folder = gateway.folder / "found"
        self.folder.mkdir()
        self.text = ""

    def say(self, *places: Place) -> None:
        self.text = json.dumps([f"http://{place.host}:{place.port}" for place in places])
        self.speak()

    def silence(self) -> None:
        self._write("\x00[[garbage")

    def speak(self) -> None:
        self._write(self.text)

    def _write(self, text: str) -> None:
        fresh = self.folder / "fresh"
        fresh.write_text(text)
        fresh.replace(self.folder / "endpoints.json")


class OutageTests(LiveCase):
    """One gateway, six upstreams, five registries."""

    def setUp(self) -> None:
        super().setUp()
        self.origins = {name: self.serve(PythonOrigin(args=("--label", name))) for name in ("one", "two", "three")}
        self.places = {name: Place(name, "127.0.0.1", origin.port()) for name, origin in self.origins.items()}
        dns, kube, consul, nats = (self.serve(each) for each in (DnsServer(), KubeDouble(), Double(), NatsServer()))
        for each in (dns, kube, consul, nats):
            # What stands still does not end by SIGTERM.
            self.addCleanup(each.signal, signal.SIGCONT)
        kube.tell(bookmarks=1)
        ports = {"dns": dns.port("dns"), "k8s": kube.port(), "consul": consul.port("http"), "nats": nats.port("nats")}
        # Origins answer after a moment, so that the load is modest and there is always something in flight.
        routes = "\n".join(
            f"      - {{match: /{name}/**, to: {name}, rewrite: {{strip_prefix: /{name}}}}}" for name in NAMES
        )
        self.gateway = Gateway(FRONT.format(**ports) + routes)
        peer = Peer(nats.url)
        self.addCleanup(peer.stop)
        told = Dns(dns), Kubernetes(kube), Consul(consul), Nats(nats, peer), File(self.gateway)
        self.registries: tuple[Registry, ...] = told
        self.served: set[tuple[str, str]] = set()
        self.load = Load(self.gateway.port(), [f"/{name}/slow?s=0.05&of={name}" for name in NAMES], check=self.is_good)

    def is_good(self, answer: Answer) -> bool:
        """Whether an origin answered; which one, and as what, is noted."""
        if answer.status != 200:
            return False
        told = json.loads(answer.body)
        self.served.add((told["target"].rpartition("=")[2], told["origin"]))
        return True

    def say(self, *names: str) -> None:
        for registry in self.registries:
            registry.say(*(self.places[name] for name in names))

    def views(self) -> dict[str, dict[str, Any]]:
        return {each["name"]: each for each in control(self.gateway, "upstreams")["upstreams"]}

    def ages(self) -> dict[str, tuple[float, str]]:
        """By upstream: seconds since the source answered, and its state."""
        found = {name: view["discovery"] for name, view in self.views().items()}
        return {name: (said["age_s"], said["state"]) for name, said in found.items()}

    def endpoints_are(self, *names: str) -> bool:
        wanted = {f"http://127.0.0.1:{self.places[name].port}" for name in names}
        return all({each["name"] for each in view["endpoints"]} == wanted for view in self.views().values())

    def events(self) -> list[tuple[str, str]]:
        """Kind and upstream of every event so far."""
        return [(each["kind"], each["upstream"]) for each in control(self.gateway, "events")["events"]]

    def test_a_minute(self) -> None:
        """Silent until all are stale by the default, then back, then others."""
        self.say("one", "two")
        self.serve(self.gateway)
        wait_until(lambda: self.ages()["announced"][1] == "fresh", "it listens for announcements")
        self.say("one", "two")
        wait_until(lambda: self.endpoints_are("one", "two"), "two endpoints each", 20)
        with self.load:
            both = {(upstream, label) for upstream in NAMES for label in ("one", "two")}
            wait_until(lambda: self.served == both, "both serve everywhere", 20)
            self.assertEqual({state for _, state in self.ages().values()}, {"fresh"})
            before = len(self.events())
            self.fall_silent()
            self.is_visible()
            self.come_back()
            self.are_told(self.events()[before:])
            self.change()
            self.assertTrue(self.load.running)
        self.assertEqual(dict(self.load.failed), {})
        self.assertEqual(self.load.dropped, 0)
        self.assertGreater(self.load.done, 1000)
        shown = [json.loads(line) for line in edgegw(self.gateway, "events", "--json").stdout.splitlines()]
        events = [(each["kind"], each["upstream"]) for each in shown]
        self.assertEqual(events, self.events())

    def are_told(self, events: list[tuple[str, str]]) -> None:
        """All of them went stale, then all of them recovered, and nothing else happened: no endpoint was touched."""
        stale, recovered = events[: len(NAMES)], events[len(NAMES) :]
        self.assertEqual(sorted(stale), sorted(("source_stale", name) for name in NAMES), events)
        self.assertEqual(sorted(recovered), sorted(("source_recovered", name) for name in NAMES), events)

    def fall_silent(self) -> None:
        """Until every source is stale. Their ages only grow, and not before a minute is over is one called stale."""
        for registry in self.registries:
            registry.silence()
        began_s = time.monotonic()
        before = self.ages()
        while {state for _, state in before.values()} != {"stale"}:
            # Twice a second is enough for a minute.
            time.sleep(0.5)
            now = self.ages()
            silent_s = time.monotonic() - began_s
            for name, (age_s, state) in now.items():
                self.assertGreater(age_s, silent_s - LATE_S, f"{name} was heard")
                if state == "stale":
                    self.assertGreater(age_s, MINUTE_S, name)
                else:
                    self.assertEqual((state, before[name][1]), ("fresh", "fresh"), name)
                    self.assertLess(age_s, MINUTE_S + LATE_S, f"{name} is called fresh")
            before = now
        self.assertGreater(time.monotonic() - began_s, MINUTE_S - LATE_S)

    def is_visible(self) -> None:
        """What an operator sees by then, by each way there is."""
        shown = {each["name"]: each for each in json.loads(edgegw(self.gateway, "upstreams", "--json").stdout)}
        self.assertEqual(sorted(shown), sorted(NAMES))
        for name, each in shown.items():
            told = each["discovery"]
            self.assertEqual((told["state"], told["failing"], told["endpoints"]), ("stale", True, 2), name)
            self.assertTrue(told["last_error"], name)
            self.assertEqual([one["state"] for one in each["endpoints"]], ["ready", "ready"], name)
            age_s = self.gateway.metric("edgegw_discovery_age_seconds", upstream=name)
            self.assertGreater(age_s, MINUTE_S, name)

    def come_back(self) -> None:
        """All of them speak again; nothing has changed meanwhile."""
        for registry in self.registries:
            registry.speak()
        wait_until(lambda: {state for _, state in self.ages().values()} == {"fresh"}, "all are fresh", 35)
        # The gateway looks once a second who was not heard of in time.
        done = self.load.done
        wait_until(lambda: self.load.done > done + 150, "two more seconds", 30)
        self.assertTrue(self.endpoints_are("one", "two"))
        for name in NAMES:
            self.assertLess(self.gateway.metric("edgegw_discovery_age_seconds", upstream=name), MINUTE_S, name)

    def change(self) -> None:
        """A new endpoint everywhere, and an old one goes."""
        self.say("two", "three")
        wait_until(lambda: self.endpoints_are("two", "three"), "the change is known everywhere", 15)
        third = {(upstream, "three") for upstream in NAMES}
        wait_until(lambda: third <= self.served, "the new endpoint serves everywhere", 15)
        self.origins["one"].stop()
        done = self.load.done
        wait_until(lambda: self.load.done > done + 50, "some more requests")
