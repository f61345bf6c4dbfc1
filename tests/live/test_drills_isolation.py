"""Drills of upstreams that are slow and must not make others so: bulkhead, hedging, mirrors."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable

from tests.live.drill_case import DrillCase
from tests.live.process import wait_until
from tests.live.scripted import Call
from tests.live.servers import Gateway
from tests.live.wire import Answer, Wire


def ask_all(
    port: int, count: int, threads: int, target: Callable[[int], str] = lambda _: "/"
) -> list[tuple[float, Answer]]:
    """So many exchanges, from so many clients at once: how long each took, and its answer."""
    found: list[tuple[float, Answer]] = []
    lock = threading.Lock()

    def ask(first: int) -> None:
        with Wire(port) as wire:
            for number in range(first, count, threads):
                began = time.monotonic()
                answer = wire.ask(target(number))
                with lock:
                    found.append((time.monotonic() - began, answer))

    running = [threading.Thread(target=ask, args=(number,), daemon=True) for number in range(threads)]
    for each in running:
        each.start()
    for each in running:
        each.join(60)
    return found


def quantile(found: list[tuple[float, Answer]], share: float) -> float:
    """Of the times."""
    times = sorted(took for took, _ in found)
    return times[min(int(len(times) * share), len(times) - 1)]


class BulkheadTests(DrillCase):
    """A slow upstream has its own places, and no more."""

    def test_only_its_share(self) -> None:
        """Two inside, two wait, one of them in vain, the rest is refused at once; another upstream does not feel it."""
        origin = self.scripted(lambda call: call.ok())
        slow = self.faults(origin.port)[0]
        slow.set(delay_s=2.0)
        gateway = self.serve(
            Gateway(f"""
                edgegw: 1
                shutdown: {{lame_duck: 0s, grace: 10s}}
                observe: {{listen: "127.0.0.1:@{{observe}}", access_log: "@{{dir}}/access.log"}}
                listen: [{{port: @{{web}}, interface: 127.0.0.1}}]
                upstreams:
                  origin:
                    endpoints: ["http://127.0.0.1:{slow.port()}"]
                    bulkhead: {{requests: 2, queue: 2, queue_timeout: 1s}}
                  quick: {{endpoints: ["http://127.0.0.1:{origin.port}"]}}
                routes:
                  - {{match: /slow, to: origin}}
                  - {{match: /**, to: quick}}
            """)
        )
        before = slow.stats()["accepted"]
        with self.nothing_is_left(gateway):
            held = threading.Thread(target=lambda: found.extend(ask_all(gateway.port(), 8, 8, lambda _: "/slow")))
            found: list[tuple[float, Answer]] = []
            held.start()
            wait_until(lambda: self.upstream(gateway)["endpoints"][0]["in_flight"] == 2, "two are inside")
            quick = ask_all(gateway.port(), 100, 2)
            held.join(30)
        self.assertEqual({answer.status for _, answer in quick}, {200})
        self.assertLess(quantile(quick, 0.9), 0.5)
        reasons = sorted("" if each.status == 200 else json.loads(each.body)["reason"] for _, each in found)
        self.assertEqual(reasons, ["", "", *["bulkhead_full"] * 4, *["bulkhead_timeout"] * 2])
        refused = [(took, each) for took, each in found if each.status == 503]
        self.assertEqual({each.header("retry-after") for _, each in refused}, {"1"})
        self.assertLess(min(took for took, _ in refused), 0.5)
        self.assertLess(max(took for took, _ in refused), 1.0 + 0.5)
        self.assertEqual(slow.stats()["accepted"] - before, 2)


class HedgingTests(DrillCase):
    """A second attempt beside a slow one."""

    SLOW_S = 0.4

    def start(self, every: int, retry: str) -> Gateway:
        """Two endpoints; of the requests that reach them one in so many is slow."""
        self.asked = 0
        lock = threading.Lock()

        def script(call: Call) -> None:
            with lock:
                self.asked += 1
                slow = self.asked % every == 0
            if slow:
                time.sleep(self.SLOW_S)
            call.ok()

        ports = [self.scripted(script).port for _ in range(2)]
        return self.gateway(*ports, upstream=f"outlier: false, breaker: false, retry: {{{retry}}}")

    def test_the_slow_tail_goes(self) -> None:
        """One in fourteen is slow. With hedging the 99th percentile is far below; the load grows by as much, not by more."""
        plain = self.start(14, "attempts: 1")
        found = ask_all(plain.port(), 280, 4)
        self.assertGreaterEqual(quantile(found, 0.99), self.SLOW_S)
        self.assertEqual(self.asked, 280)
        hedged = self.start(14, "hedge: 60ms")

        def tail() -> float:
            self.asked = 0
            found = ask_all(hedged.port(), 280, 4)
            self.assertEqual({answer.status for _, answer in found}, {200})
            self.assertGreater(self.asked, 280)
            self.assertLessEqual(self.asked, 280 * 1.2 + 10)
            return quantile(found, 0.97)

        with self.nothing_is_left(hedged):
            self.within(self.SLOW_S / 2, tail)
        wait_until(lambda: hedged.metric("edgegw_hedges_total", outcome="won") > 5, "hedges that won are counted")

    def test_the_budget_bounds_it(self) -> None:
        """All are slow: hedging would double the load of an upstream that is too slow already; it does not."""
        gateway = self.start(1, "hedge: 30ms")
        with self.nothing_is_left(gateway):
            found = ask_all(gateway.port(), 160, 32)
        self.assertEqual({answer.status for _, answer in found}, {200})
        # A fifth of them, or the floor of one a second for the ten of the window.
        self.assertGreater(self.asked, 160)
        self.assertLessEqual(self.asked, 160 * 1.2 + 1)
        wait_until(lambda: gateway.metric("edgegw_hedges_total", outcome="refused") > 50, "refusals are counted")


class MirrorTests(DrillCase):
    """A shadow that is dead, silent, or a black hole: the original does not know."""

    COUNT = 300

    def test_the_original_is_not_slowed(self) -> None:
        origin = self.scripted(lambda call: call.ok())
        shadow = self.scripted(lambda call: call.ok())
        fault = self.faults(shadow.port)[0]
        gateway = self.serve(
            Gateway(f"""
                edgegw: 1
                shutdown: {{lame_duck: 0s, grace: 10s}}
                observe: {{listen: "127.0.0.1:@{{observe}}", access_log: "@{{dir}}/access.log"}}
                listen: [{{port: @{{web}}, interface: 127.0.0.1}}]
                upstreams:
                  origin: {{endpoints: ["http://127.0.0.1:{origin.port}"]}}
                  shadow:
                    endpoints: ["http://127.0.0.1:{fault.port()}"]
                    outlier: false
                    breaker: false
                    timeouts: {{connect: 500ms}}
                routes:
                  - {{match: /plain, to: origin}}
                  - {{name: copied, match: /**, to: origin, mirror: {{to: shadow, most: 16, timeout: 1s}}}}
            """)
        )
        self.assertEqual({each.status for _, each in ask_all(gateway.port(), 12, 4)}, {200})
        wait_until(lambda: len(shadow.calls) == 12, "the shadow sees every request")
        counted = 12

        def more() -> float:
            """How much longer the original takes at the median; the slowest few must not wait for a copy either."""
            nonlocal counted
            plain = ask_all(gateway.port(), self.COUNT, 4, lambda _: "/plain")
            copied = ask_all(gateway.port(), self.COUNT, 4)
            counted += self.COUNT
            self.assertEqual({each.status for _, each in copied}, {200})
            usual = quantile(plain, 0.5)
            return max(quantile(copied, 0.5) - 2 * usual, quantile(copied, 0.97) - 20 * usual)

        for fault_is in ({"listen": "refuse"}, {"listen": "blackhole"}, {"silent": True}, {"delay_s": 0.3}):
            fault.set(**fault_is)
            fault.drop()
            # The copies cost the one process that both share some time, but nobody waits for them.
            self.within(0.005, more)
        wait_until(
            lambda: gateway.metric("edgegw_mirrored_total", route="copied") == counted, "each copy has an outcome"
        )
        self.assertGreater(gateway.metric("edgegw_mirrored_total", route="copied", outcome="dropped"), self.COUNT)
        self.assertGreater(gateway.metric("edgegw_mirrored_total", route="copied", outcome="failed"), 0)
        self.assertNotIn("Traceback", gateway.log())
