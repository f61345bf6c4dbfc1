"""Keep-alive on both sides while origins come and go: no GET is lost, no POST is sent twice."""

import itertools
import json
import signal
import threading
import time

from tests.live.case import LiveCase
from tests.live.load import Load
from tests.live.process import wait_until
from tests.live.scripted import Call
from tests.live.servers import Gateway, Nginx, PythonOrigin, proxy
from tests.live.wire import Wire


class RestartTests(LiveCase):
    """Two endpoints behind the gateway, restarted in turn."""

    maxDiff = None

    def test_origins_restart(self) -> None:
        """10,000 GETs over keep-alive, the origins being stopped and killed meanwhile: all of them are answered."""
        origins = [self.serve(PythonOrigin(args=["--label", name])) for name in ("one", "two")]
        # An endpoint that was ejected would have no part in it for the next half a minute.
        gateway = self.serve(Gateway(proxy(*(origin.port() for origin in origins), upstream="outlier: false")))
        restarts = 0
        with Load(gateway.port(), ["/echo"], most=10_000) as load:
            for origin, number in itertools.cycle(zip(origins, (signal.SIGTERM, signal.SIGKILL), strict=True)):
                if not load.running:
                    break
                origin.signal(number)
                origin.wait_exit()
                origin.start()
                # Restarted in turn: the gateway has it back before the other one goes.
                wait_until(lambda back=origin: back.raw() or not load.running, "the origin serves again")  # type: ignore[misc]
                restarts += 1
            load.join()
        self.assertEqual((load.done, dict(load.failed), load.dropped), (10_000, {}, 0))
        # The connections lived as long as the cap on requests lets them, so it was keep-alive.
        self.assertLessEqual(load.connections, 16)
        self.assertGreater(restarts, 3, "the origins were not restarted often enough to mean anything")
        self.assertGreater(gateway.metric("edgegw_retries_total", upstream="origin"), 0)

    def test_nginx_closes_idle_connections(self) -> None:
        """An origin that closes idle connections after 1 s, and every fifth one after its answer (R3): nobody notices."""
        nginx = self.serve(
            Nginx("""
                server {
                    listen 127.0.0.1:@{web};
                    keepalive_timeout 1s;
                    keepalive_requests 50;
                    location / { return 200 "ok"; }
                }
            """)
        )
        gateway = self.serve(Gateway(proxy(nginx.port())))
        failed: list[str] = []

        def ask(number: int) -> None:
            with Wire(gateway.port()) as wire:
                # The gaps are spread about the second after which the origin closes, so that some requests meet the close.
                for gap in (0, 0.99, 0, 1.0, 0, 0, 1.01, 0):
                    time.sleep(gap and gap + (number - 10) * 0.001)
                    answer = wire.ask("/")
                    if (answer.status, answer.body) != (200, b"ok"):
                        failed.append(f"{answer.status} {answer.body!r}")

        threads = [threading.Thread(target=ask, args=(number,), daemon=True) for number in range(20)]
        for thread in threads:
            thread.start()
        with Load(gateway.port(), ["/"], most=2000, threads=2) as load:
            load.join()
        for thread in threads:
            thread.join(30)
        self.assertEqual(failed, [])
        self.assertEqual((load.done, dict(load.failed)), (2000, {}))


class AttemptTests(LiveCase):
    """Origins that take a request and die: what is tried again, and what never is (R2)."""

    def start(self, *, endpoints: int = 2, fail_first: int = 1000) -> Gateway:
        """The gateway before scripted origins that reset the first so many requests; `self.calls` are all of them."""
        self.calls: list[Call] = []

        def script(call: Call) -> None:
            length = next(
                (int(line[15:]) for line in call.head.split(b"\r\n") if line.startswith(b"Content-Length:")), 0
            )
            call.body(length)
            self.calls.append(call)
            if b"/die" in call.target and len(self.calls) <= fail_first:
                call.reset()
            else:
                call.ok()

        ports = [self.scripted(script).port for _ in range(endpoints)]
        return self.serve(Gateway(proxy(*ports)))

    def test_get_is_tried_elsewhere(self) -> None:
        """The other endpoint answers; the record says that there was a second attempt."""
        gateway = self.start(fail_first=1)
        answer = self.wire(gateway).ask("/die")
        self.assertEqual((answer.status, answer.body), (200, b"ok"))
        self.assertEqual(len(self.calls), 2)
        self.assertEqual(gateway.await_records(1)[0]["retries"], 1)

    def test_put_with_its_body_is_tried_elsewhere(self) -> None:
        """A small body is kept and sent again, whole."""
        bodies: list[bytes] = []

        def script(call: Call) -> None:
            bodies.append(call.body(5))
            call.reset() if len(bodies) == 1 else call.ok()

        gateway = self.serve(Gateway(proxy(*(self.scripted(script).port for _ in range(2)))))
        self.assertEqual(self.wire(gateway).ask("/", "PUT", b"hello").status, 200)
        self.assertEqual(bodies, [b"hello", b"hello"])

    def test_get_is_not_tried_for_ever(self) -> None:
        """When every endpoint dies the answer is 502, after a few attempts."""
        gateway = self.start()
        answer = self.wire(gateway).ask("/die")
        self.assertEqual((answer.status, json.loads(answer.body)["status"]), (502, 502))
        self.assertIn(len(self.calls), (2, 3))

    def test_post_has_one_attempt(self) -> None:
        """Nobody knows whether the origin did what it was asked: exactly one attempt, and 502."""
        gateway = self.start()
        answer = self.wire(gateway).ask("/die", "POST", b"once")
        self.assertEqual(answer.status, 502)
        self.assertEqual([call.method for call in self.calls], [b"POST"])
        self.assertEqual(gateway.await_records(1)[0]["flag"], "upstream_reset")

    def test_post_on_a_used_connection_has_one_attempt(self) -> None:
        """The same when the connection has served before."""
        gateway = self.start(endpoints=1)
        wire = self.wire(gateway)
        self.assertEqual(wire.ask("/").status, 200)
        self.assertEqual(wire.ask("/die", "POST", b"once").status, 502)
        self.assertEqual([(call.method, call.connection) for call in self.calls], [(b"GET", 1), (b"POST", 1)])

    def test_refused(self) -> None:
        """An endpoint that refuses connections is passed over within 10 ms (R5); POST too, because nothing was sent."""
        live = self.scripted(lambda call: call.ok(call.body(4) if call.method == b"POST" else b"ok"))
        dead = self.scripted(lambda call: None)
        dead.stop()
        gateway = self.serve(Gateway(proxy(dead.port, live.port)))
        wire = self.wire(gateway)

        def median() -> float:
            times = []
            for number in range(20):
                began = time.monotonic()
                answer = wire.ask("/", "POST", b"once") if number % 2 else wire.ask("/")
                times.append(time.monotonic() - began)
                self.assertEqual(answer.status, 200)
            return sorted(times)[10]

        self.within(0.010, median)
        alone = self.serve(Gateway(proxy(dead.port)))
        answer = self.wire(alone).ask("/")
        self.assertIn(answer.status, (502, 503))

    def test_slow_upstream(self) -> None:
        """504 at the head deadline (R4); the connection is closed, the slot is free again."""
        origin = self.serve(PythonOrigin())
        gateway = self.serve(Gateway(proxy(origin.port(), route="timeout: 500ms", upstream="pool: {max: 1}")))
        wire = self.wire(gateway)
        for _ in range(2):
            began = time.monotonic()
            self.assertEqual(wire.ask("/slow?s=5").status, 504)
            self.assertLess(time.monotonic() - began, 2.0)
        self.assertEqual(wire.ask("/echo").status, 200)
        self.assertEqual(gateway.metric("edgegw_upstream_attempts_total", outcome="upstream_head_timeout"), 2)

    def test_connection_cap_and_queue(self) -> None:
        """One connection to the endpoint serves everybody in turn; who waits too long is told 503 with Retry-After."""
        origin = self.serve(PythonOrigin())
        gateway = self.serve(Gateway(proxy(origin.port(), upstream="pool: {max: 1, queue: 2, queue_timeout: 1500ms}")))
        wires = [self.wire(gateway) for _ in range(4)]
        for wire in wires:
            wire.request("/slow?s=1")
        answers = [wire.read() for wire in wires]
        statuses = sorted(answer.status for answer in answers)
        # 1 s, 2 s, waited too long, found the queue full.
        self.assertEqual(statuses, [200, 200, 503, 503])
        refused = [answer for answer in answers if answer.status == 503]
        self.assertTrue(all(answer.header("retry-after") for answer in refused))
        self.assertEqual(
            {record["flag"] for record in gateway.await_records(4)}, {"", "pool_queue_full", "pool_queue_timeout"}
        )
