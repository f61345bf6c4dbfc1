"""Garbage from both sides: nothing of it is passed on, nothing breaks, and no connection that saw it is used again."""

import json
import random
import threading
from collections import Counter

from tests.live.case import LiveCase
from tests.live.origin import pattern
from tests.live.process import wait_until
from tests.live.scripted import Call
from tests.live.servers import Gateway, PythonOrigin, proxy
from tests.live.wire import Cut, Wire
from tests.wire import tables

GOOD = b"POST /echo?x=1 HTTP/1.1\r\nHost: a\r\nX-Y: z\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"


class UpstreamGarbageTests(LiveCase):
    """What an origin may do wrong (trust.md A3.3, R19)."""

    def test_every_row(self) -> None:
        """502 with the row's reason, or the answer cut before its end; the connection is never used again."""
        rows = {f"/{number}".encode(): row for number, row in enumerate(tables.UPSTREAM)}

        def script(call: Call) -> None:
            row = rows.get(call.target)
            if row is None:
                return call.ok()
            call.send(row.data)
            return None

        origin = self.scripted(script)
        front = self.serve(Gateway(proxy(origin.port, upstream="breaker: false")))
        for target, row in rows.items():
            before = len(origin.calls)
            status = self.status_of(front, target.decode())
            if not row.status:
                self.assertEqual(status, 200, row.name)
                continue
            self.assertIn(status, (502, None), row.name)
            self.assertEqual(len(origin.calls), before + 1, f"{row.name}: garbage is no reason to ask again")
            used = origin.calls[-1].connection
            self.assertEqual(self.status_of(front, "/good"), 200, row.name)
            self.assertNotEqual(
                origin.calls[-1].connection, used, f"{row.name}: a connection that sent garbage was used again"
            )
        wanted = Counter(row.reason for row in rows.values() if row.status)
        records = front.await_records(len(rows) + sum(wanted.values()))
        got = Counter(record["flag"] for record in records if record["path"].encode() in rows and record["flag"])
        self.assertEqual(got, wanted)
        self.assertNotIn("Traceback", front.log())

    def status_of(self, front: Gateway, target: str) -> int | None:
        """The status of an answer that came whole; None for one that was cut after its head."""
        with Wire(front.port()) as wire:
            wire.request(target)
            try:
                answer = wire.read()
            except Cut as cut:
                self.assertIsNotNone(cut.answer, f"{target}: no answer at all")
                return None
            if answer.status == 502:
                self.assertEqual(json.loads(answer.body)["status"], 502)
            return answer.status

    def test_bytes_behind_an_answer(self) -> None:
        """A second response that nobody asked for is never given to the next request."""

        def script(call: Call) -> None:
            if call.target == b"/poison":
                call.send(
                    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"
                )
            else:
                call.ok(call.target)

        origin = self.scripted(script)
        front = self.serve(Gateway(proxy(origin.port, upstream="breaker: false")))
        wire = self.wire(front)
        for _ in range(5):
            self.assertEqual(wire.ask("/poison").body, b"ok")
            self.assertEqual(wire.ask("/next").body, b"/next")
        poisoned = {call.connection for call in origin.calls if call.target == b"/poison"}
        self.assertEqual(len(poisoned), 5, "a poisoned connection was used again")

    def test_late_bytes_on_an_idle_connection(self) -> None:
        """The same when the bytes come while the connection rests in the pool."""
        calls: list[Call] = []

        def script(call: Call) -> None:
            calls.append(call)
            call.ok()

        origin = self.scripted(script)
        front = self.serve(Gateway(proxy(origin.port, upstream="breaker: false")))
        wire = self.wire(front)
        self.assertEqual(wire.ask("/one").body, b"ok")
        wait_until(lambda: front.metric("edgegw_upstream_connections", state="idle") == 1, "the connection rests")
        calls[0].send(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison")
        wait_until(lambda: front.metric("edgegw_upstream_connections") == 0, "the connection is thrown away")
        self.assertEqual(wire.ask("/two").body, b"ok")
        self.assertEqual([call.connection for call in calls], [1, 2])

    def test_killed_in_the_middle(self) -> None:
        """R1: 1 MB is announced, 300 KB come, then a RST: the client never sees a complete message; the log has the reason."""
        half = b"".join(pattern(300_000))
        shapes = {
            b"/length": b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + half,
            b"/chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n493e0\r\n" + half + b"\r\n",
        }

        def script(call: Call) -> None:
            call.send(shapes[call.target])
            # The gateway must have read it all: a RST would take it away.
            threading.Event().wait(0.3)
            call.reset()

        origin = self.scripted(script)
        front = self.serve(Gateway(proxy(origin.port, upstream="breaker: false")))
        for target in shapes:
            for version in (b"1.1", b"1.0"):
                if (target, version) == (b"/chunks", b"1.0"):
                    continue
                wire = self.wire(front)
                wire.send(b"GET " + target + b" HTTP/" + version + b"\r\nHost: a\r\n\r\n")
                cut = self.assertRaises(Cut, wire.read)
                assert cut.answer is not None
                self.assertEqual((cut.answer.status, cut.answer.body), (200, half))
        record = front.await_records(3)
        self.assertEqual({each["flag"] for each in record}, {"upstream_aborted"})
        self.assertEqual({each["complete"] for each in record}, {False})
        self.assertEqual(len(origin.calls), 3, "half an answer is no reason to ask again")

    def test_random_answers(self) -> None:
        """200 answers of noise: 502 each, and the gateway lives."""
        noise = random.Random(7)

        def script(call: Call) -> None:
            call.send(noise.randbytes(noise.randint(1, 400)))
            call.close()

        origin = self.scripted(script)
        front = self.serve(Gateway(proxy(origin.port, upstream="breaker: false")))
        wire = self.wire(front)
        for _ in range(200):
            self.assertEqual(wire.ask("/", "POST", b"x").status, 502)
        self.assertNotIn("Traceback", front.log())


class DownstreamGarbageTests(LiveCase):
    """What a peer may do wrong, beside the rows of test_trust."""

    def setUp(self) -> None:
        self.origin = self.serve(PythonOrigin())
        self.front = self.serve(Gateway(proxy(self.origin.port(), listen="caps: {head_deadline: 1s, idle: 2s}")))

    def check_alive(self) -> None:
        """The gateway serves, remembers nobody, and logged no traceback."""
        self.assertEqual(self.wire(self.front).ask("/echo").status, 200)
        self.assertNotIn("Traceback", self.front.log())
        self.assertNotIn("Unhandled", self.front.log())

    def test_noise(self) -> None:
        """500 connections of random bytes: an error or a close for each; none reaches the origin."""
        noise = random.Random(11)
        for number in range(500):
            data = noise.randbytes(noise.randint(1, 600)) + b"\r\n\r\n"
            with Wire(self.front.port()) as wire:
                wire.try_send(data)
                got = wire.rest()
            self.assertRegex(got, rb"\A(HTTP/1\.1 [45]\d\d |\Z)", f"{number}: {data!r}")
        self.assertEqual(self.origin.raw(), [])
        self.check_alive()

    def test_truncated_at_every_byte(self) -> None:
        """A good request cut anywhere, and the peer gone: the origin never gets it whole."""
        for end in range(1, len(GOOD)):
            with Wire(self.front.port()) as wire:
                wire.send(GOOD[:end])
                if end % 2:
                    wire.reset()
        wait_until(lambda: self.front.metric("edgegw_connections") == 0, "every connection is gone")
        self.assertEqual(self.origin.whole(), [])
        wait_until(lambda: self.front.metric("edgegw_requests_in_flight") == 0, "every exchange ended")
        self.check_alive()

    def test_one_flipped_byte(self) -> None:
        """1,000 requests with one byte changed: whatever reaches the origin is one request, answered once."""
        flip = random.Random(13)
        for _ in range(1000):
            at = flip.randrange(len(GOOD))
            data = GOOD[:at] + bytes([flip.randrange(256)]) + GOOD[at + 1 :]
            with Wire(self.front.port()) as wire:
                wire.try_send(data + b"GET /end HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
                got = wire.rest()
            self.assertRegex(got, rb"\AHTTP/1\.1 \d\d\d ", data)
            self.assertLessEqual(got.count(b"HTTP/1.1 2"), 2, data)
        self.check_alive()

    def test_byte_by_byte(self) -> None:
        """A good request in single bytes is a good request."""
        wire = self.wire(self.front)
        for byte in GOOD:
            wire.send(bytes([byte]))
        self.assertEqual(json.loads(wire.read("POST").body)["body"], "hello")
        self.assertEqual(wire.ask("/echo").status, 200)
