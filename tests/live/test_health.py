"""Active health against real peers: nginx that is killed, stopped and restarted, grpcio, bare TCP, code of one's own.

What is looked at: what the gateway says of its endpoints (the control socket) and where its exchanges go.
"""

from __future__ import annotations

import os
import signal
from concurrent import futures
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from tests.live.case import LiveCase
from tests.live.control import control
from tests.live.process import wait_until
from tests.live.servers import ROOT, Gateway, Nginx, fetch, proxy

FAST = "every: 200ms, timeout: 500ms, fall: 2, rise: 2"
ONE = """
    server {
        listen 127.0.0.1:@{web};
        location = /healthz { root @{dir}; default_type text/plain; }
        location / { return 200 "%s"; }
    }
"""
PROBE = '''
import os

from edgegw.upstream.health.interfaces import ProbeFailed


class Flag:
    """Passes while a file is there."""

    def __init__(self, environment, path):
        self.path = path

    async def probe(self, endpoint, timeout_s):
        if not os.path.exists(self.path):
            raise ProbeFailed("the flag is down")
        return "up"
'''


def nginx(name: str) -> Nginx:
    return Nginx(ONE % name, files={"healthz": "all good\n"})


class Case(LiveCase):
    def gateway(self, *origins: int | str, upstream: str, **options: Any) -> Gateway:
        made = Gateway(proxy(*origins, upstream=upstream), **options)
        return self.serve(made)

    def endpoints(self, gateway: Gateway) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = control(gateway, "upstreams")["upstreams"][0]["endpoints"]
        return found

    def states(self, gateway: Gateway) -> list[str]:
        return [each["state"] for each in self.endpoints(gateway)]

    def await_states(self, gateway: Gateway, *states: str) -> None:
        wait_until(lambda: self.states(gateway) == list(states), f"the endpoints are {states}")

    def await_probes(self, gateway: Gateway, at: int, count: int) -> list[dict[str, Any]]:
        """The history of an endpoint as soon as it has so many more probes than now."""
        last = max((each["at"] for each in self.endpoints(gateway)[at]["checks"]), default=0.0)

        def newer() -> list[dict[str, Any]]:
            return [each for each in self.endpoints(gateway)[at]["checks"] if each["at"] > last]

        wait_until(lambda: len(newer()) >= count, f"{count} more probes")
        return newer()

    def bodies(self, gateway: Gateway, count: int = 20) -> set[bytes]:
        answers = [fetch(gateway.port(), "/") for _ in range(count)]
        self.assertEqual({status for status, _ in answers}, {200})
        return {body for _, body in answers}


class NginxTests(Case):
    def setUp(self) -> None:
        self.one, self.two = self.serve(nginx("one")), self.serve(nginx("two"))

    def start(self, kind: str) -> Gateway:
        upstream = f"balance: round_robin, breaker: false, outlier: false, health: {{{kind}, {FAST}}}"
        gateway = self.gateway(self.one.port(), self.two.port(), upstream=upstream)
        self.await_probes(gateway, 0, 2)
        self.await_probes(gateway, 1, 2)
        self.assertEqual(self.bodies(gateway), {b"one", b"two"})
        return gateway

    def take_one_away_and_bring_it_back(self, gateway: Gateway, *reasons: str) -> None:
        """Killed; stopped, which accepts and says nothing; each time it is found out, and found well again."""
        self.one.kill()
        self.await_states(gateway, "failing", "ready")
        self.assertEqual(self.bodies(gateway), {b"two"})
        checks = self.endpoints(gateway)[0]["checks"]
        self.assertEqual((checks[-1]["ok"], checks[-1]["detail"]), (False, "connect_refused"))
        self.one.start()
        self.await_states(gateway, "ready", "ready")
        self.assertEqual(self.bodies(gateway), {b"one", b"two"})
        assert self.one.process is not None
        os.killpg(self.one.process.pid, signal.SIGSTOP)
        self.addCleanup(self.wake, self.one)
        if not reasons:
            # Its kernel accepts for it, and nothing more was asked of it.
            self.assertTrue(all(each["ok"] for each in self.await_probes(gateway, 0, 4)))
            return
        self.await_states(gateway, "failing", "ready")
        self.assertEqual(self.bodies(gateway), {b"two"})
        self.assertIn(self.endpoints(gateway)[0]["checks"][-1]["detail"], reasons)
        self.wake(self.one)
        self.await_states(gateway, "ready", "ready")

    def wake(self, server: Nginx) -> None:
        if server.process is not None and server.process.poll() is None:
            os.killpg(server.process.pid, signal.SIGCONT)

    def test_http(self) -> None:
        gateway = self.start("path: /healthz, expect: {status: 200, body: all good}")
        self.take_one_away_and_bring_it_back(gateway, "timeout after 0.5 s")
        (self.one.folder / "healthz").write_text("not today\n")
        self.await_states(gateway, "failing", "ready")
        (self.one.folder / "healthz").unlink()
        self.await_probes(gateway, 0, 2)
        self.assertEqual(self.endpoints(gateway)[0]["checks"][-1]["detail"], "status 404")
        for name, labels, least in (
            ("edgegw_health_checks_total", {"outcome": "passed"}, 5),
            ("edgegw_health_checks_total", {"outcome": "failed"}, 5),
            ("edgegw_upstream_endpoints", {"state": "failing"}, 1),
        ):
            wait_until(
                lambda each=(name, labels, least): gateway.metric(each[0], upstream="origin", **each[1]) >= each[2],
                f"{name} {labels}",
            )

    def test_tcp_with_words(self) -> None:
        kind = 'tcp: {send: "GET /healthz HTTP/1.0\\r\\n\\r\\n", expect: "all good"}'
        self.take_one_away_and_bring_it_back(self.start(kind), "timeout after 0.5 s")

    def test_tcp_connect(self) -> None:
        self.take_one_away_and_bring_it_back(self.start("tcp: {}"))

    def test_probes_keep_no_connection(self) -> None:
        gateway = self.start("path: /healthz")
        before = gateway.descriptors()
        self.await_probes(gateway, 0, 10)
        wait_until(lambda: gateway.descriptors() <= before, "no more descriptors than before")

    def test_a_reload_keeps_what_is_known(self) -> None:
        gateway = self.start("path: /healthz")
        self.one.kill()
        self.await_states(gateway, "failing", "ready")
        text = gateway.config_path.read_text()
        gateway.write(text.replace("rise: 2", "rise: 3"))
        control(gateway, "reload")
        self.assertEqual(self.states(gateway), ["failing", "ready"])
        self.assertEqual(self.bodies(gateway), {b"two"})
        self.one.start()
        self.await_states(gateway, "ready", "ready")
        gateway.write(text.replace("health: {path: /healthz", "health: {path: healthz"))
        answer = control(gateway, "reload")
        self.assertIn("path", str(answer))
        self.assertEqual(self.states(gateway), ["ready", "ready"])


class CustomTests(Case):
    def test_code_of_ones_own(self) -> None:
        one, two = self.serve(nginx("one")), self.serve(nginx("two"))
        flag = one.folder / "flag"
        flag.touch()
        health = f'custom: "liveflag:Flag", with: {{path: "{flag}"}}, {FAST}'
        made = Gateway(proxy(one.port(), two.port(), upstream=f"health: {{{health}}}"), files={"liveflag.py": PROBE})
        made.env["PYTHONPATH"] = f"{ROOT}{os.pathsep}{made.folder}"
        gateway = self.serve(made)
        self.await_probes(gateway, 0, 2)
        self.assertEqual(self.endpoints(gateway)[0]["checks"][-1]["detail"], "up")
        flag.unlink()
        self.await_states(gateway, "failing", "failing")
        self.assertEqual(self.endpoints(gateway)[0]["checks"][-1]["detail"], "the flag is down")
        # All are in doubt: then all are used.
        self.assertEqual(self.bodies(gateway), {b"one", b"two"})
        flag.touch()
        self.await_states(gateway, "ready", "ready")


class GrpcTests(Case):
    def test_serving_and_not(self) -> None:
        """Two servers, one of which changes its mind; the gateway speaks to them by the scheme of their URLs."""
        servicers, ports = [], []
        for _ in range(2):
            server = grpc.server(futures.ThreadPoolExecutor(max_workers=2))
            servicer = health.HealthServicer()
            health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
            ports.append(server.add_insecure_port("127.0.0.1:0"))
            server.start()
            self.addCleanup(lambda server=server: server.stop(None).wait(5))
            servicer.set("acme.Orders", health_pb2.HealthCheckResponse.SERVING)
            servicers.append(servicer)
        urls = [f"grpc://127.0.0.1:{port}" for port in ports]
        gateway = self.gateway(*urls, upstream=f"health: {{grpc: {{service: acme.Orders}}, {FAST}}}")
        self.await_probes(gateway, 0, 3)
        self.assertEqual(self.states(gateway), ["ready", "ready"])
        servicers[0].set("acme.Orders", health_pb2.HealthCheckResponse.NOT_SERVING)
        self.await_states(gateway, "failing", "ready")
        self.assertEqual(self.endpoints(gateway)[0]["checks"][-1]["detail"], "NOT_SERVING")
        servicers[0].set("acme.Orders", health_pb2.HealthCheckResponse.SERVING)
        self.await_states(gateway, "ready", "ready")
