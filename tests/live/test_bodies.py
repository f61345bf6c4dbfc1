"""Bodies through the gateway: large ones unharmed and without memory, and every framing that HTTP/1.1 has."""

import functools
import hashlib
import json
import threading

from tests.live.case import LiveCase
from tests.live.origin import pattern, pattern_sha256
from tests.live.process import wait_until
from tests.live.scripted import Call
from tests.live.servers import Gateway, Nginx, PythonOrigin, proxy

GIB = 1 << 30
MIB = 1 << 20
GROWTH_KIB = 8 * 1024
gib_sha256 = functools.cache(lambda: pattern_sha256(GIB))
FILES = """
    server {
        listen 127.0.0.1:@{web};
        root @{dir}/www;
        client_max_body_size 0;
        location /up/ { dav_methods PUT; create_full_put_path on; client_body_temp_path @{dir}/up; }
    }
"""


class LargeTests(LiveCase):
    """1 GiB each way: every byte arrives, and the gateway holds next to none of it."""

    def gateway(self, *ports: int) -> Gateway:
        gateway = self.serve(Gateway(proxy(*ports, route="body_limit: 2GiB")))
        # The first exchange allocates what every later one uses again.
        with self.wire(gateway) as wire:
            wire.ask("/bytes/1000000")
        return gateway

    def test_down(self) -> None:
        """1 GiB from the Python origin."""
        gateway = self.gateway(self.serve(PythonOrigin()).port())
        wire = self.wire(gateway)
        with self.peak_growth_below(gateway, GROWTH_KIB):
            wire.request(f"/bytes/{GIB}")
            answer = wire.read(keep_body=False)
        self.assertEqual((answer.status, answer.length, answer.sha256), (200, GIB, gib_sha256()))

    def test_up(self) -> None:
        """1 GiB to the Python origin, with Content-Length."""
        gateway = self.gateway(self.serve(PythonOrigin()).port())
        wire = self.wire(gateway, timeout_s=60)
        with self.peak_growth_below(gateway, GROWTH_KIB):
            wire.send(b"PUT /sha256 HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % GIB)
            for piece in pattern(GIB):
                wire.send(piece)
            answer = wire.read("PUT")
        self.assertEqual(json.loads(answer.body), {"sha256": gib_sha256(), "length": GIB, "trailers": []})

    def test_nginx_down(self) -> None:
        """1 GiB from nginx with curl, which also says that the length is right."""
        nginx = Nginx(FILES, files={"www/pattern": b"".join(pattern(64 * MIB)), "www/zeros": b""})
        with open(nginx.folder / "www" / "zeros", "r+b") as zeros:
            zeros.truncate(GIB)
        gateway = self.gateway(self.serve(nginx).port())
        url = f"http://127.0.0.1:{gateway.port()}"
        target = gateway.folder / "got"
        with self.peak_growth_below(gateway, GROWTH_KIB):
            done = self.curl("-o", "/dev/null", "-w", "%{http_code} %{size_download}", f"{url}/zeros")
            self.assertEqual(done.stdout, b"200 %d" % GIB, done.stderr)
            done = self.curl("-o", str(target), f"{url}/pattern")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(hashlib.sha256(target.read_bytes()).hexdigest(), pattern_sha256(64 * MIB))

    def test_nginx_up(self) -> None:
        """A chunked upload with curl, which waits for 100 first; nginx stores it, and reads it back."""
        nginx = self.serve(Nginx(FILES, files={"www/up/.keep": b""}))
        gateway = self.gateway(nginx.port())
        source = gateway.folder / "source"
        source.write_bytes(b"".join(pattern(64 * MIB)))
        url = f"http://127.0.0.1:{gateway.port()}/up/x"
        with self.peak_growth_below(gateway, GROWTH_KIB):
            done = self.curl(
                "-v", "-T", str(source), "-H", "Transfer-Encoding: chunked", "-H", "Expect: 100-continue", url
            )
        self.assertIn(b"< HTTP/1.1 100", done.stderr)
        self.assertIn(b"< HTTP/1.1 201", done.stderr)
        stored = self.wire(gateway).ask("/up/x")
        self.assertEqual((stored.length, stored.sha256), (64 * MIB, pattern_sha256(64 * MIB)))

    def test_slow_reader(self) -> None:
        """A reader that takes 1 KiB now and then costs no memory (R17), and gets everything when it hurries up."""
        size = 100 * 1000 * 1000
        gateway = self.gateway(self.serve(PythonOrigin()).port())
        wire = self.wire(gateway, receive_buffer=4096, timeout_s=30)
        with self.peak_growth_below(gateway, 2048):
            wire.request(f"/bytes/{size}")
            first = b"".join(wire.receive(1024) for _ in range(50))
            # The origin is not slow: without backpressure it would have sent all of it within this time.
            quiet = threading.Event()
            for _ in range(20):
                quiet.wait(0.1)
                first += wire.receive(1024)
            wire.unread(first)
            answer = wire.read(keep_body=False)
        self.assertEqual((answer.length, answer.sha256), (size, pattern_sha256(size)))

    def test_slow_origin_reader(self) -> None:
        """An origin that does not read holds the downstream peer up, not the gateway's memory."""
        size = 100 * 1000 * 1000
        go, got = threading.Event(), hashlib.sha256()

        def script(call: Call) -> None:
            if call.method != b"PUT":
                return call.ok()
            go.wait(30)
            for _ in range(size // 100_000):
                got.update(call.body(100_000))
            return call.ok(got.hexdigest().encode())

        origin = self.scripted(script)
        gateway = self.gateway(origin.port)
        wire = self.wire(gateway)
        pieces = pattern(size)
        with self.peak_growth_below(gateway, 2048):
            wire.send(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size)
            wire.socket.settimeout(1.0)
            try:
                for piece in pieces:
                    left = memoryview(piece)
                    while left:
                        left = left[wire.socket.send(left) :]
                self.fail("100 MB were taken though nobody reads them")
            except TimeoutError:
                pass
            go.set()
            wire.socket.settimeout(30)
            wire.send(bytes(left))
            for piece in pieces:
                wire.send(piece)
            answer = wire.read("PUT")
        self.assertEqual(answer.body.decode(), pattern_sha256(size))


class FramingTests(LiveCase):
    """One gateway before one Python origin, every way a message can be framed."""

    def setUp(self) -> None:
        self.origin = self.serve(PythonOrigin())
        self.front = self.serve(Gateway(proxy(self.origin.port())))

    def test_chunked_both_ways(self) -> None:
        """A chunked upload arrives decoded; a chunked answer leaves chunked, with its trailers; the connection lives on."""
        wire = self.wire(self.front)
        wire.send(
            b"POST /sha256 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: X-Check\r\n\r\n"
            b"3;ext=1\r\nabc\r\n1\r\nd\r\n0\r\nX-Check: 1\r\nContent-Length: 9\r\n\r\n"
        )
        got = json.loads(wire.read("POST").body)
        self.assertEqual((got["sha256"], got["length"]), (hashlib.sha256(b"abcd").hexdigest(), 4))
        # Request trailers are dropped unless a route allows them: an upstream must not merge them into its header.
        self.assertEqual(got["trailers"], [])
        answer = wire.ask("/trailers", te="trailers")
        self.assertEqual(answer.header("transfer-encoding"), "chunked")
        self.assertEqual(answer.body, b"one\ntwo\n")
        self.assertEqual(
            answer.trailers, [("X-Digest", hashlib.sha256(b"one\ntwo\n").hexdigest()), ("X-Second", "2")], answer
        )
        self.assertEqual(wire.ask("/bytes/100000?chunked=1").sha256, pattern_sha256(100_000))

    def test_until_close(self) -> None:
        """An answer that ends with the origin's connection is chunked for 1.1 and its connection lives on."""
        wire = self.wire(self.front)
        answer = wire.ask("/bytes/300000?close=1")
        self.assertEqual((answer.header("transfer-encoding"), answer.sha256), ("chunked", pattern_sha256(300_000)))
        self.assertFalse(answer.closes)
        self.assertEqual(wire.ask("/echo").status, 200)

    def test_http10(self) -> None:
        """A peer of HTTP/1.0 gets no chunks and no 1xx: the end of the connection ends the body."""
        for target, size in (("/bytes/300000?chunked=1", 300_000), ("/bytes/1000", 1000)):
            wire = self.wire(self.front)
            wire.send(f"GET {target} HTTP/1.0\r\nHost: a\r\n\r\n".encode())
            answer = wire.read()
            self.assertEqual(answer.header("transfer-encoding"), "")
            self.assertEqual(answer.sha256, pattern_sha256(size))
            self.assertTrue(wire.at_end())
        wire = self.wire(self.front)
        wire.send(b"GET /hints HTTP/1.0\r\nHost: a\r\n\r\n")
        self.assertEqual(wire.read().informational, [])
        wire = self.wire(self.front)
        wire.send(b"GET /bytes/10 HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n")
        self.assertEqual(wire.read().header("connection").lower(), "keep-alive")
        self.assertEqual(wire.ask("/bytes/10").length, 10)

    def test_head_and_bodiless(self) -> None:
        """HEAD keeps the length and sends no body; 204 and 304 have none; the next answer starts where it should."""
        wire = self.wire(self.front)
        answer = wire.ask("/bytes/1000000", method="HEAD")
        self.assertEqual((answer.status, answer.header("content-length"), answer.body), (200, "1000000", b""))
        self.assertEqual(wire.ask("/status/204").status, 204)
        self.assertEqual(wire.ask("/status/304").status, 304)
        self.assertEqual(wire.ask("/bytes/5").length, 5)
        curl = self.curl("-I", f"http://127.0.0.1:{self.front.port()}/bytes/777")
        self.assertIn(b"Content-Length: 777", curl.stdout, curl.stderr)

    def test_early_hints(self) -> None:
        """103 comes before the answer, with its fields."""
        answer = self.wire(self.front).ask("/hints")
        self.assertEqual([status for status, _ in answer.informational], [103])
        self.assertIn(("Link", "</style.css>; rel=preload"), answer.informational[0][1])
        self.assertEqual(answer.status, 200)

    def test_early_answer(self) -> None:
        """The answer comes while the upload is still on; what is left of the upload is taken, and the connection lives on."""
        wire = self.wire(self.front)
        body = b"".join(pattern(100_000))
        wire.send(b"POST /early HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n" + body[:1000])
        answer = wire.read("POST")
        self.assertEqual((answer.status, answer.body, answer.closes), (200, b"early\n", False))
        wire.send(body[1000:])
        after = wire.ask("/bytes/7")
        self.assertEqual((after.status, after.length), (200, 7))

    def test_early_answer_to_a_large_upload(self) -> None:
        """More than is worth throwing away: the answer says that the connection ends, and arrives whole all the same."""
        wire = self.wire(self.front)
        wire.send(b"POST /early HTTP/1.1\r\nHost: a\r\nContent-Length: 9000000\r\n\r\n" + b"x" * 1000)
        answer = wire.read("POST")
        self.assertEqual((answer.status, answer.body, answer.closes), (200, b"early\n", True))

    def test_both_directions_at_once(self) -> None:
        """An answer that begins during the upload flows beside it, each way as the bytes come."""

        def script(call: Call) -> None:
            call.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            for number in range(1, 6):
                call.body(10_000)
                call.send(b"6\r\npart %d\r\n" % number)
            call.send(b"0\r\n\r\n")

        front = self.serve(Gateway(proxy(self.scripted(script).port)))
        wire = self.wire(front)
        wire.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 50000\r\n\r\n")
        self.assertEqual(wire.head()[0], 200)
        for number in range(1, 6):
            wire.send(b"x" * 10_000)
            self.assertEqual([wire.line() for _ in range(2)], ["6", f"part {number}"])
        self.assertEqual([wire.line() for _ in range(2)], ["0", ""])
        self.assertEqual(wire.ask("/", "POST", b"x" * 50_000).body.count(b"part"), 5)

    def test_early_answer_and_close(self) -> None:
        """An origin that answers and closes in the middle of an upload: the answer arrives whole."""
        wire = self.wire(self.front)
        wire.send(b"POST /early?close=1 HTTP/1.1\r\nHost: a\r\nContent-Length: 9000000\r\n\r\n" + b"x" * 70_000)
        answer = wire.read("POST")
        self.assertEqual((answer.status, answer.body), (200, b"early\n"))

    def test_expect_continue(self) -> None:
        """100 only when somebody wants the body: not before a 413, not without Expect."""
        wire = self.wire(self.front)
        head = b"PUT /sha256 HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n"
        wire.send(head % 3)
        self.assertEqual(wire.head()[0], 100)
        wire.send(b"abc")
        self.assertEqual(json.loads(wire.read("PUT").body)["length"], 3)
        wire = self.wire(self.front)
        wire.send(head % 11_000_000)
        answer = wire.read("PUT")
        self.assertEqual((answer.status, answer.informational), (413, []))
        self.assertTrue(wire.at_end(), "nobody could tell the body from the next request")
        self.assertEqual(self.wire(self.front).ask("/sha256", "PUT", b"abc").informational, [])

    def test_body_limit(self) -> None:
        """A chunked body that grows over the limit is cut off with 413."""
        wire = self.wire(self.front)
        wire.send(b"POST /sha256 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        chunk = b"10000\r\n" + b"x" * 65536 + b"\r\n"
        for _ in range(200):
            if not wire.try_send(chunk):
                break
        self.assertEqual(wire.read("POST").status, 413)

    def test_pipelined(self) -> None:
        """20 requests in one write are answered in order."""
        wire = self.wire(self.front)
        wire.send(b"".join(b"GET /bytes/%d HTTP/1.1\r\nHost: a\r\n\r\n" % number for number in range(1, 21)))
        self.assertEqual([wire.read().length for _ in range(20)], list(range(1, 21)))

    def test_client_leaves(self) -> None:
        """A peer that leaves in the middle of a download takes the upstream connection with it."""
        wire = self.wire(self.front)
        wire.request("/bytes/500000000")
        wire.receive(1000)
        self.assertEqual(self.front.metric("edgegw_requests_in_flight"), 1)
        wire.reset()
        wait_until(lambda: self.front.metric("edgegw_requests_in_flight") == 0, "the exchange ended")
        wait_until(lambda: self.front.metric("edgegw_upstream_connections") == 0, "its connection is closed")
        record = self.front.await_records(1)[-1]
        self.assertEqual((record["complete"], record["flag"]), (False, "downstream_left"))

    def test_head_and_body_in_one_read(self) -> None:
        """A small answer comes with its head in one segment: two would cost the peer a second wake-up."""
        wire = self.wire(self.front)
        wire.request("/echo")
        data = wire.receive(65536)
        self.assertTrue(data.startswith(b"HTTP/1.1 200") and data.endswith(b"}"), data)
