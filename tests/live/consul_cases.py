"""Discovery from Consul, as far as it holds for any agent: the double and a real one (`test_consul`).

Import the module, not the class: trial would run a class that it finds.
"""

import contextlib
import http.client
import json
import signal
import sys
from typing import Any

from tests.live.consul_install import consul
from tests.live.control import edgegw
from tests.live.discovered import DiscoveryCase, Named
from tests.live.process import Server, wait_until
from tests.live.servers import ROOT, Gateway

MASTER = "master-of-the-tests"
FRONT = """
    edgegw: 1
    shutdown: {{lame_duck: 0s, grace: 10s}}
    observe: {{listen: "127.0.0.1:@{{observe}}", access_log: "@{{dir}}/access.log"}}
    listen: [{{port: @{{web}}, interface: 127.0.0.1}}]
    discovery: {{prod: {{consul: {{url: "http://127.0.0.1:{port}", wait: 1s, timeout: 1s, {connection}}}}}}}
    defaults: {{upstream: {{balance: weighted_round_robin}}}}
    upstreams:
"""
UPSTREAM = """
      {name}:
        discovery: {{from: prod, service: web, allow: [127.0.0.0/8], stale_after: 3s, damping: false, {query}}}
"""


class AnyAgent(Server):
    """What services tell their agent, over its HTTP API."""

    token = ""

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """One request; the answer's JSON. Raises AssertionError for an answer that is not 200."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port("http"), timeout=10)
        headers = {"X-Consul-Token": self.token} if self.token else {}
        try:
            connection.request(method, path, json.dumps(body) if body is not None else None, headers)
            answer = connection.getresponse()
            said = answer.read()
        finally:
            connection.close()
        assert answer.status == 200, (path, answer.status, said)
        return json.loads(said or b"null")

    def register(self, origin: Named, **more: Any) -> None:
        check = {"CheckID": f"check-{origin.name}", "TTL": "300s", "Status": more.pop("status", "passing")}
        said = {"ID": origin.name, "Name": "web", "Address": origin.host, "Port": origin.port, "Check": check}
        self.call("PUT", "/v1/agent/service/register", {**said, **more})

    def deregister(self, origin: Named) -> None:
        self.call("PUT", f"/v1/agent/service/deregister/{origin.name}")

    def tell(self, origin: Named, state: str) -> None:
        """pass, warn or fail."""
        self.call("PUT", f"/v1/agent/check/{state}/check-{origin.name}")

    def maintain(self, origin: Named, on: bool) -> None:
        self.call("PUT", f"/v1/agent/service/maintenance/{origin.name}?enable={json.dumps(on)}&reason=test")

    def is_ready(self) -> bool:
        if not super().is_ready():
            return False
        with contextlib.suppress(OSError, AssertionError, ValueError):
            return bool(self.call("GET", "/v1/status/leader"))
        return False


class Double(AnyAgent):
    """`tests.live.consul_double`."""

    def __init__(self, *, acl: bool = False) -> None:
        super().__init__()
        self.port("http")
        self.token = MASTER if acl else ""
        self.env["PYTHONPATH"] = str(ROOT)

    def command(self) -> list[str]:
        token = ["--token", self.token] if self.token else []
        return [sys.executable, "-u", "-m", "tests.live.consul_double", "--port", str(self.port("http")), *token]

    def control(self, **orders: Any) -> None:
        """Make it behave."""
        self.call("POST", "/_control", orders)


class RealAgent(AnyAgent):
    """A real agent in development mode: one server, everything in memory. Raises CannotHave."""

    config = "agent.json"

    def __init__(self, *, acl: bool = False) -> None:
        rules = {"enabled": True, "default_policy": "deny", "tokens": {"master": MASTER}}
        super().__init__(json.dumps({"acl": rules} if acl else {}))
        self.token = MASTER if acl else ""
        self.program = consul()
        for name in ("http", "server", "lan"):
            self.port(name)

    def command(self) -> list[str]:
        ports = {"http": "http", "server": "server", "serf-lan": "lan"}
        said = [f"-{name}-port={self.port(ours)}" for name, ours in ports.items()]
        off = [f"-{name}-port=-1" for name in ("dns", "grpc", "serf-wan")]
        where = ["-bind=127.0.0.1", "-client=127.0.0.1", "-log-level=warn", f"-config-file={self.config_path}"]
        return [str(self.program), "agent", "-dev", *where, *said, *off]


class ConsulCase(DiscoveryCase):
    """An agent of some kind, and a gateway that watches it."""

    kind: type[AnyAgent]

    def begin(self, connection: str = "", *, acl: bool = False, **queries: str) -> None:
        """An agent, a gateway that watches it, and two origins that are not registered.

        queries: the upstreams besides `u`, each with the path of its name, and what is asked for.
        """
        self.agent = self.serve(self.kind(acl=acl))
        upstreams = "".join(UPSTREAM.format(name=name, query=query) for name, query in {"u": "", **queries}.items())
        routes = ", ".join([*(f"{{match: /{name}, to: {name}}}" for name in queries), "{match: /**, to: u}"])
        text = FRONT.format(port=self.agent.port("http"), connection=connection) + upstreams.replace("\n\n", "\n")
        files = {"token": self.agent.token or "none"}
        self.gateway = self.serve(Gateway(f"{text}\n    routes: [{routes}]", files=files))
        self.one, self.two = self.origin("one"), self.origin("two")


class Cases(ConsulCase):
    """What holds for any agent; a subclass says which."""

    def test_changes(self) -> None:
        """Who registers gets requests, who is critical, in maintenance or gone gets none; nothing is lost on the way."""
        self.begin()
        self.agent.register(self.one)
        self.agent.register(self.two, status="critical")
        self.serves("one")
        with self.nothing_lost():
            self.agent.tell(self.two, "pass")
            self.serves("one", "two")
            self.agent.maintain(self.two, True)
            self.serves("one")
            self.agent.maintain(self.two, False)
            self.serves("one", "two")
            self.agent.deregister(self.one)
            self.serves("two")
            self.one.stop()
        self.assertNotIn(self.one.url, self.endpoints())
        updates = "edgegw_discovery_updates_total"
        wait_until(lambda: self.gateway.metric(updates, upstream="u", outcome="ok") >= 3, "the changes are counted")
        wait_until(lambda: not self.source()["failing"], "it answers")

    def test_queries(self) -> None:
        """What an upstream asks for: tags (capital or not), those that are not well, a datacenter; weights, zones and Meta."""
        self.begin(blue="tags: [blue, V1]", every="passing: false, port: 80", far="dc: dc9")
        self.agent.register(self.one, Tags=["Blue", "v1"], Weights={"Passing": 3}, Meta={"zone": "a", "version": "2"})
        self.agent.register(self.two, Tags=["blue"], Meta={"zone": "b"})
        self.serves("one", "two")
        self.assertEqual(self.answers(40), {"one": 30, "two": 10})
        found = self.endpoints()[self.one.url]
        self.assertEqual((found["weight"], found["zone"], found["meta"]["version"]), (3, "a", "2"))
        self.assertEqual((found["meta"]["dc"], found["meta"]["id"]), ("dc1", "one"))
        self.serves("one", upstream="blue")
        self.assertNotIn(self.two.url, self.endpoints("blue"))
        self.serves("one", "two", upstream="every")
        for state, reason in (("warn", "warning"), ("fail", "critical")):
            self.agent.tell(self.two, state)
            wait_until(
                lambda reason=reason: self.endpoints("every")[self.two.url]["holds"] == {"not_ready": reason}, reason
            )
            self.serves("one", upstream="every")
        self.agent.tell(self.two, "pass")
        self.serves("one", "two", upstream="every")
        wait_until(lambda: self.source("far")["state"] == "stale", "the other datacenter is silent")
        self.assertIn("No path to datacenter", self.source("far")["last_error"])
        self.are_refused()

    def are_refused(self) -> None:
        """The cloud's metadata service, and the gateway itself."""
        self.agent.register(self.two, Address="169.254.169.254", Port=80)
        own = {"ID": "own", "Name": "web", "Port": self.gateway.port()}
        self.agent.call("PUT", "/v1/agent/service/register", own)
        wait_until(lambda: self.source()["refused"] == 2, "both are refused")
        self.assertEqual(list(self.endpoints()), [self.one.url])

    def test_token(self) -> None:
        """A refused one is told, and put right in its file."""
        self.begin('token_file: "@{dir}/token"', acl=True)
        self.agent.register(self.one)
        self.serves("one")
        token = self.gateway.folder / "token"
        with self.nothing_lost():
            token.write_text("wrong")
            self.await_failing("403: ACL not found; the token needs service:read")
            self.is_stale()
            token.write_text(self.agent.token)
            self.agent.register(self.two)
            self.serves("one", "two", limit_s=40)
        self.is_fresh()

    def test_stopped(self) -> None:
        """It stands still, its connections open."""
        self.begin()
        self.agent.register(self.one)
        self.serves("one")
        with self.nothing_lost():
            self.agent.signal(signal.SIGSTOP)
            self.await_failing("no answer within")
            self.is_stale()
            shown = json.loads(edgegw(self.gateway, "upstreams", "--json").stdout)[0]["discovery"]
            self.assertEqual(shown["state"], "stale")
            self.assertIn("no answer within", shown["last_error"])
            self.agent.signal(signal.SIGCONT)
            wait_until(self.agent.is_ready, "the agent is back", 40)
            self.agent.register(self.two)
            self.serves("one", "two", limit_s=40)
            self.is_fresh()

    def test_killed(self) -> None:
        """Another agent at the same address, which knows nothing and whose index begins anew."""
        self.begin()
        self.agent.register(self.one)
        for _ in range(5):
            self.agent.tell(self.one, "warn")
            self.agent.tell(self.one, "pass")
        self.serves("one")
        with self.nothing_lost():
            self.agent.kill()
            self.is_stale()
            self.await_failing("refused")
            self.agent.start()
            self.agent.register(self.one)
            self.is_fresh()
            self.agent.register(self.two)
            self.serves("one", "two", limit_s=40)

    def test_restart_of_the_gateway_during_an_outage(self) -> None:
        """The last known good comes from the disk."""
        self.begin()
        self.agent.register(self.one)
        self.serves("one")
        self.gateway.signal(signal.SIGTERM)
        self.gateway.wait_exit()
        self.agent.kill()
        self.gateway.start()
        with self.nothing_lost():
            self.serves("one")
            self.assertEqual(self.state(), "from_disk")
            self.agent.start()
            self.agent.register(self.two)
            self.serves("two", limit_s=40)
            self.is_fresh()
