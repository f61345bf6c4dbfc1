"""Drills of an endpoint that fails one exchange (trust.md A7: R1 to R5): killed, stale, slow, refusing, a black hole."""

from __future__ import annotations

import json
import threading
import time

from tests.live.drill_case import DrillCase, nginx
from tests.live.http2_wire import Http2Wire
from tests.live.load import Load
from tests.live.process import wait_until
from tests.live.scripted import Call
from tests.live.servers import Gateway, PythonOrigin
from tests.live.wire import Cut, Wire

MEGABYTE = 1_000_000
SENT = 300_000
STALE_S = 0.1


class AbortedTests(DrillCase):
    """R1: killed in the middle of an answer: no client ever takes it for a whole one, and the upstream is blamed."""

    def start(self) -> Gateway:
        # After the head, of about 100 bytes, some 300 KB of the 1 MB pass.
        origin = self.serve(PythonOrigin())
        self.fault = self.faults(origin.port())[0]
        self.fault.set(cut=SENT, reset=True)
        return self.gateway(self.fault.port(), upstream="breaker: {min_requests: 4, refuse: 30s}")

    def test_http1(self) -> None:
        gateway = self.start()
        with self.nothing_is_left(gateway):
            for target in (f"/bytes/{MEGABYTE}", f"/bytes/{MEGABYTE}?chunked=1"):
                cut = self.assertRaises(Cut, self.wire(gateway).ask, target)
                assert cut.answer is not None
                self.assertEqual(cut.answer.status, 200)
                # A RST takes away what was not read yet.
                self.assertGreater(len(cut.answer.body), 0)
                self.assertLess(len(cut.answer.body), SENT)
        self.check_blame(gateway, 2)

    def test_http2(self) -> None:
        gateway = self.start()
        with self.nothing_is_left(gateway):
            wire = Http2Wire(gateway.port())
            self.addCleanup(wire.close)
            for _ in range(2):
                answer = wire.ask(f"/bytes/{MEGABYTE}")
                # INTERNAL_ERROR, and no END_STREAM.
                self.assertEqual((answer.status, answer.ended, answer.reset), (200, False, 2))
                self.assertLess(answer.length, SENT)
            self.fault.set()
            self.assertEqual(wire.ask("/echo").status, 200, "the connection goes on")
        self.check_blame(gateway, 2)

    def check_blame(self, gateway: Gateway, count: int) -> None:
        """A flag in the record, one attempt each, a failure each for the breaker, which refuses when half its window failed."""
        torn = [each for each in gateway.await_records(count) if not each["complete"]]
        self.assertEqual([(each["flag"], each["retries"]) for each in torn], [("upstream_aborted", 0)] * count)
        self.assertEqual(self.upstream(gateway)["breaker"]["failed"], count)
        self.fault.set(cut=SENT, reset=True)
        while self.upstream(gateway)["breaker"]["state"] == "admitting":
            with Wire(gateway.port()) as wire:
                wire.request(f"/bytes/{MEGABYTE}")
                self.assertRaises(Cut, wire.read)
        answer = self.wire(gateway).ask("/echo")
        self.assertEqual((answer.status, json.loads(answer.body)["reason"]), (503, "breaker_refuses"))
        # Four exchanges in all, so many as its ratio asks for at least.
        self.await_metric(gateway, "edgegw_upstream_attempts_total", 4)


class KilledTests(DrillCase):
    """R2: a RST after the request, before the head."""

    def start(self, *, die: int) -> Gateway:
        """Two endpoints; requests to one of them die, the first `die` of its connections."""
        self.calls: list[Call] = []
        died: list[Call] = []

        def answer(call: Call) -> None:
            length = next((line[15:] for line in call.head.split(b"\r\n") if line.startswith(b"Content-Length:")), b"0")
            call.body(int(length))
            self.calls.append(call)
            call.ok()

        def dying(call: Call) -> None:
            if len(died) >= die:
                return answer(call)
            died.append(call)
            self.calls.append(call)
            return call.reset()

        self.died = died
        bad, good = self.scripted(dying), self.scripted(answer)
        return self.gateway(bad.port, good.port, upstream="balance: round_robin, outlier: false, breaker: false")

    def test_get_does_not_fail(self) -> None:
        """Every other one dies; the other endpoint answers each of them, within the budget."""
        gateway = self.start(die=10)
        with self.nothing_is_left(gateway):
            wire = self.wire(gateway)
            statuses = [wire.ask("/").status for _ in range(200)]
        self.assertEqual((set(statuses), len(self.died)), ({200}, 10))
        self.assertEqual(len(self.calls), 210)
        self.await_metric(gateway, "edgegw_retries_total", 10)

    def test_post_is_tried_exactly_once(self) -> None:
        """Whoever died with a POST has seen its first byte: nobody else ever sees it."""
        gateway = self.start(die=10)
        with self.nothing_is_left(gateway):
            wire = self.wire(gateway)
            statuses = [wire.ask(f"/{number}", "POST", b"once").status for number in range(40)]
        self.assertEqual((statuses.count(502), statuses.count(200)), (10, 30))
        seen = [call.target for call in self.calls]
        self.assertEqual(len(seen), len(set(seen)), "a POST was sent twice")
        self.assertEqual(len(seen), 40)
        self.assertEqual({each["retries"] for each in gateway.await_records(40)}, {0})


class StaleTests(DrillCase):
    """R3: connections that were idle end as soon as a request comes there."""

    def test_nobody_notices(self) -> None:
        """10,000 GETs; after every four hundredth of them a pause in which idle connections go stale: 0 errors."""
        origin = self.serve(nginx("ok"))
        fault = self.faults(origin.port())[0]
        fault.set(stale_s=STALE_S)
        gateway = self.gateway(fault.port())
        with self.nothing_is_left(gateway):
            for _ in range(25):
                with Load(gateway.port(), ["/"], threads=16, most=400) as load:
                    load.join()
                self.assertEqual((load.done, dict(load.failed), load.dropped), (400, {}, 0))
                time.sleep(STALE_S)
        stale = fault.stats()["ended"]
        self.assertGreaterEqual(stale, 24, "too few met a stale connection to mean anything")
        self.assertEqual(self.retries(gateway, 10_000), stale)
        # Nothing was wrong with the upstream.
        self.assertEqual(self.states(gateway), ["ready"])
        self.assertEqual(self.upstream(gateway)["breaker"]["state"], "admitting")


class SlowTests(DrillCase):
    """R4: no head in time."""

    def test_head_timeout(self) -> None:
        """504 at 1 s; late by 250 ms at most (the deadlines' wheel turns every 100 ms); the connection closed, the slot free."""
        origin = self.serve(PythonOrigin())
        fault = self.faults(origin.port())[0]
        gateway = self.gateway(fault.port(), route="timeout: 1s", upstream="pool: {max: 20}, breaker: false")
        fault.set(frozen=True)
        took: list[float] = []

        def ask(delay_s: float) -> None:
            time.sleep(delay_s)
            with Wire(gateway.port()) as wire:
                began = time.monotonic()
                self.assertEqual(wire.ask("/echo").status, 504)
                took.append(time.monotonic() - began)

        def slowest() -> float:
            before = len(took)
            threads = [threading.Thread(target=ask, args=(number * 0.013,), daemon=True) for number in range(20)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(10)
            self.assertEqual(len(took), before + 20)
            self.assertGreaterEqual(min(took), 1.0)
            return max(took[before:])

        with self.nothing_is_left(gateway):
            self.within(1.25, slowest)
        fault.set()
        fault.await_open(0)
        # All twenty slots are there again.
        self.assertEqual({self.wire(gateway).ask("/echo").status for _ in range(20)}, {200})
        self.await_metric(gateway, "edgegw_upstream_attempts_total", len(took), outcome="upstream_head_timeout")


class RefusedTests(DrillCase):
    """R5: nobody listens, or nobody answers at all."""

    def test_refused(self) -> None:
        """The next endpoint answers, the median less than 10 ms later; 503 with Retry-After when there is none."""
        origin = self.serve(nginx("ok"))
        bad, good = self.faults(origin.port(), origin.port())
        gateway = self.gateway(bad.port(), good.port(), upstream="balance: round_robin, outlier: false, breaker: false")
        wire = self.wire(gateway)
        usual = self.median(wire)

        def more() -> float:
            return self.median(wire) - usual

        bad.set(listen="refuse")
        bad.drop()
        with self.nothing_is_left(gateway):
            for number in range(20):
                answer = wire.ask("/", "POST", b"x") if number % 2 else wire.ask("/")
                self.assertEqual(answer.status, 200)
            self.within(0.010, more)
            good.set(listen="refuse")
            good.drop()
            self.check_none_is_left(gateway, "connect_refused")

    def test_black_hole(self) -> None:
        """The connect deadline ends it, and the next endpoint answers; 503 with Retry-After when there is none."""
        origin = self.serve(nginx("ok"))
        bad, good = self.faults(origin.port(), origin.port())
        gateway = self.gateway(
            bad.port(),
            good.port(),
            upstream="balance: round_robin, outlier: {consecutive: 2}, breaker: false, timeouts: {connect: 400ms}",
        )
        bad.set(listen="blackhole")
        with self.nothing_is_left(gateway):
            took = []
            for _ in range(4):
                began = time.monotonic()
                answer = self.wire(gateway).ask("/", "POST", b"x")
                took.append(time.monotonic() - began)
                self.assertEqual((answer.status, answer.body), (200, b"ok"), answer)
            self.assertGreaterEqual(max(took), 0.4)
            # Far from the 3 s that a connection has by default.
            self.assertLess(max(took), 0.4 + 1.0)
            # It is out after two of them.
            self.assertLess(min(took), 0.4)
            self.assertEqual(self.states(gateway), ["ejected", "ready"])
            good.set(listen="blackhole")
            good.drop()
            self.check_none_is_left(gateway, "connect_timeout")
        bad.set()
        good.set()
        wait_until(lambda: self.wire(gateway).ask("/").status == 200, "it is over at once")

    def median(self, wire: Wire) -> float:
        took = []
        for _ in range(21):
            began = time.monotonic()
            self.assertEqual(wire.ask("/").status, 200)
            took.append(time.monotonic() - began)
        return sorted(took)[10]

    def check_none_is_left(self, gateway: Gateway, reason: str) -> None:
        answer = self.wire(gateway).ask("/")
        self.assertEqual((answer.status, json.loads(answer.body)["status"]), (503, 503))
        self.assertTrue(answer.header("retry-after").isdigit(), answer)
        wait_until(
            lambda: [each["flag"] for each in gateway.access_records()][-1:] == [reason], f"the record says {reason}"
        )
