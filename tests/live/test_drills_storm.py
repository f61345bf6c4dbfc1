"""Drills of an upstream that fails altogether (trust.md A7: R21): no storm of retries, a breaker, a fallback, and the way back."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter

from tests.live.drill_case import DrillCase
from tests.live.process import wait_until
from tests.live.scripted import Call
from tests.live.servers import Gateway
from tests.live.wire import Wire

PROBED = "health: {path: /_healthz, every: 300ms, timeout: 300ms, fall: 2, rise: 1}"


class StormTests(DrillCase):
    """All endpoints answer 503, or reset: what reaches them is at most 1.2 times what clients ask for."""

    def start(self, upstream: str = "", how: str = "503") -> Gateway:
        """Three endpoints; `self.asked` counts what reaches them but probes, which fail as everything does while `self.bad`."""
        self.bad, self.asked = True, 0
        lock = threading.Lock()

        def script(call: Call) -> None:
            if call.target != b"/_healthz":
                with lock:
                    self.asked += 1
            if not self.bad:
                return call.ok()
            if how == "reset":
                return call.reset()
            return call.send(b"HTTP/1.1 503 Busy\r\nContent-Length: 2\r\n\r\nno")

        return self.gateway(*(self.scripted(script).port for _ in range(3)), upstream=upstream)

    def storm(self, gateway: Gateway, count: int) -> Counter[int]:
        """So many exchanges from four clients."""
        statuses: Counter[int] = Counter()
        lock = threading.Lock()

        def ask() -> None:
            with Wire(gateway.port()) as wire:
                for _ in range(count // 4):
                    answer = wire.ask("/")
                    with lock:
                        statuses[answer.status] += 1

        threads = [threading.Thread(target=ask, daemon=True) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        return statuses

    def recover(self, gateway: Gateway, within_s: float) -> None:
        """They are well again; clients are served so much later at the latest."""
        self.bad = False
        began = time.monotonic()
        wire = self.wire(gateway)
        wait_until(lambda: wire.ask("/").status == 200, "it is served again", within_s + 5)
        self.assertLess(time.monotonic() - began, within_s)
        wait_until(lambda: set(self.storm(gateway, 20)) == {200}, "all is well", 5)

    def test_503_by_default(self) -> None:
        """Passed on, not tried again; after five of them nothing more goes there."""
        gateway = self.start()
        with self.nothing_is_left(gateway):
            statuses = self.storm(gateway, 400)
        self.assertEqual(set(statuses), {503})
        self.assertLessEqual(self.asked, 400 * 1.2)
        self.assertLess(self.asked, 12, "the breaker lets five through, and what was under way")
        self.assertEqual(self.upstream(gateway)["breaker"]["state"], "refusing")

    def test_503_by_default_without_a_breaker(self) -> None:
        """Each goes there exactly once."""
        gateway = self.start("breaker: false, outlier: false")
        self.assertEqual(self.storm(gateway, 400), {503: 400})
        self.assertEqual(self.asked, 400)

    def test_503_tried_again(self) -> None:
        """With `on: [503]` the budget bounds it, without any help by a breaker; and what is refused is counted."""
        gateway = self.start("breaker: false, outlier: false, retry: {attempts: 3, on: [connect, reset, 503]}")
        with self.nothing_is_left(gateway):
            self.assertEqual(self.storm(gateway, 1000), {503: 1000})
        self.assertGreater(self.asked, 1000)
        self.assertLessEqual(self.asked, 1000 * 1.2 + 1)
        self.assertEqual(self.retries(gateway, 1000), self.asked - 1000)
        wait_until(
            lambda: gateway.metric("edgegw_retries_refused_total", upstream="origin", reason="budget") > 500,
            "refusals are counted",
        )

    def test_reset_by_default(self) -> None:
        """The same where connections are reset, which is tried again without being asked for."""
        for upstream in ("", "breaker: false, outlier: false"):
            gateway = self.start(upstream, "reset")
            with self.nothing_is_left(gateway):
                statuses = self.storm(gateway, 1000)
            self.assertEqual(sum(statuses.values()), 1000)
            self.assertLessEqual(set(statuses), {502, 503})
            self.assertGreater(self.asked, 0)
            self.assertLessEqual(self.asked, 1000 * 1.2 + 1)

    def test_recovery_by_a_probe(self) -> None:
        """The breaker would refuse for a minute: the first probe that passes opens it, so one interval is enough."""
        for how in ("503", "reset"):
            gateway = self.start(f"{PROBED}, breaker: {{refuse: 60s}}", how)
            self.storm(gateway, 40)
            self.await_breaker(gateway, "refusing")
            self.await_states(gateway, "failing", "failing", "failing")
            # An interval, a tenth by chance, and what a busy machine takes.
            self.recover(gateway, 0.3 * 1.1 + 1.5)

    def test_recovery_without_probes(self) -> None:
        """The breaker tries again by itself when its time is over."""
        gateway = self.start("breaker: {refuse: 500ms}, outlier: {eject: 500ms}")
        self.storm(gateway, 40)
        self.await_breaker(gateway, "refusing")
        self.recover(gateway, 0.5 + 0.5 + 1.5)


class BreakerTests(DrillCase):
    """A breaker opens, answers at once, tries again, and its fallback answers meanwhile."""

    def test_refuses_and_recovers(self) -> None:
        """503 with Retry-After and a reason, at once though the upstream is slow; probing; longer when the probe fails."""
        origin = self.scripted(lambda call: call.ok())
        fault = self.faults(origin.port)[0]
        gateway = self.gateway(
            fault.port(),
            route="timeout: 400ms",
            upstream="outlier: false, breaker: {failures: 3, refuse: 1s, probes: 1}",
        )
        fault.set(frozen=True)
        with self.nothing_is_left(gateway):
            self.assertEqual([self.wire(gateway).ask("/").status for _ in range(3)], [504] * 3)
            self.assertEqual(self.upstream(gateway)["breaker"]["state"], "refusing")
            began = time.monotonic()
            answer = self.wire(gateway).ask("/")
            self.assertLess(time.monotonic() - began, 0.4)
            self.assertEqual((answer.status, json.loads(answer.body)["reason"]), (503, "breaker_refuses"))
            self.assertEqual(answer.header("retry-after"), "1")
            self.await_breaker(gateway, "probing")
            self.assertEqual(self.wire(gateway).ask("/").status, 504)
            self.await_breaker(gateway, "refusing")
            fault.set()
            self.await_breaker(gateway, "probing")
            self.assertEqual(self.wire(gateway).ask("/").status, 200)
            self.await_breaker(gateway, "admitting")
        self.await_metric(gateway, "edgegw_upstream_events_total", 5, kind="breaker_changed")

    def test_fallback(self) -> None:
        """Another upstream, and a fixed answer, in its place; the record says why; the upstream again when it is back."""
        first = self.scripted(lambda call: call.ok(b"first"))
        other = self.scripted(lambda call: call.ok(b"other"))
        fault = self.faults(first.port)[0]
        fault.set(refuse_at=1, reset=True)
        gateway = self.serve(
            Gateway(f"""
                edgegw: 1
                shutdown: {{lame_duck: 0s, grace: 10s}}
                observe: {{listen: "127.0.0.1:@{{observe}}", access_log: "@{{dir}}/access.log"}}
                listen: [{{port: @{{web}}, interface: 127.0.0.1}}]
                upstreams:
                  origin: {{endpoints: ["http://127.0.0.1:{fault.port()}"], breaker: {{failures: 2, refuse: 2s, probes: 1}}}}
                  other: {{endpoints: ["http://127.0.0.1:{other.port}"]}}
                routes:
                  - {{match: /fixed, to: origin, fallback: {{respond: {{status: 200, body: fixed}}}}}}
                  - {{match: /**, to: origin, fallback: other}}
            """)
        )
        with self.nothing_is_left(gateway):
            wait_until(lambda: self.wire(gateway).ask("/", "POST", b"x").status == 200, "the breaker refuses")
            self.check_bodies(gateway, b"other", b"fixed")
            flags = {each["flag"] for each in gateway.await_records(5)}
            self.assertIn("fallback:breaker_refuses", flags)
            fault.set()
            self.await_breaker(gateway, "probing")
            self.assertEqual(self.wire(gateway).ask("/").body, b"first")
            self.await_breaker(gateway, "admitting")
            self.check_bodies(gateway, b"first", b"first")

    def check_bodies(self, gateway: Gateway, *bodies: bytes) -> None:
        """Of both routes."""
        self.assertEqual([self.wire(gateway).ask(path).body for path in ("/", "/fixed")], list(bodies))
