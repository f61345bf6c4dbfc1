"""HTTP/2 with real clients and servers: curl, nghttp, h2load before the gateway; nginx, nghttpd and the `h2` library behind it."""

import hashlib
import json
import re
import subprocess

from tests.live.http2_wire import REFUSED_STREAM, Stream
from tests.live.origin import pattern, pattern_sha256
from tests.live.protocols import NAME, Fronted, Http2Nginx, Http2Origin, Nghttpd
from tests.live.servers import Gateway, Nginx, PythonOrigin, installed

MIB = 1 << 20
TRAILING = ("x-digest", hashlib.sha256(b"one\ntwo\n").hexdigest())


def ran(*command: str, limit_s: float = 60.0) -> str:
    """Run a command that must succeed; everything it said."""
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=limit_s, check=False)
    assert done.returncode == 0, f"{command} ended with status {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


class ClientTests(Fronted):
    """Every client that people have, one listener, the same routes."""

    def setUp(self) -> None:
        super().setUp()
        self.origin = self.serve(PythonOrigin())
        self.site = self.before(f"http://127.0.0.1:{self.origin.port()}", route="body_limit: 100MiB")

    def curl_says(self, *arguments: str) -> tuple[str, str]:
        """HTTP version and status that curl saw."""
        done = self.curl("-o", "/dev/null", "-w", "%{http_version} %{http_code}", *arguments)
        self.assertEqual(done.returncode, 0, done.stderr)
        version, status = done.stdout.decode().split()
        return version, status

    def test_curl(self) -> None:
        """Prior knowledge, ALPN, and an `Upgrade: h2c`, which is answered over HTTP/1.1 and never passed on."""
        clear = f"http://127.0.0.1:{self.site.port('web')}/echo"
        secure = ["--cacert", str(self.ca), "--resolve", f"{NAME}:{self.site.port('tls')}:127.0.0.1"]
        over_tls = f"https://{NAME}:{self.site.port('tls')}/echo"
        self.assertEqual(self.curl_says("--http2-prior-knowledge", clear), ("2", "200"))
        self.assertEqual(self.curl_says("--http1.1", clear), ("1.1", "200"))
        self.assertEqual(self.curl_says("--http2", *secure, over_tls), ("2", "200"))
        self.assertEqual(self.curl_says("--http1.1", *secure, over_tls), ("1.1", "200"))
        self.origin.reset()
        self.assertEqual(self.curl_says("--http2", clear), ("1.1", "200"))
        received = self.origin.raw()[0].lower()
        self.assertNotIn("upgrade", received)
        self.assertNotIn("http2-settings", received)
        protocols = [record["protocol"] for record in self.site.await_records(5)]
        self.assertEqual(protocols, ["HTTP/2", "HTTP/1.1", "HTTP/2", "HTTP/1.1", "HTTP/1.1"])

    def test_methods_and_bodies(self) -> None:
        """What curl sends over HTTP/2 arrives as an HTTP/1.1 request that any origin understands."""
        url = f"http://127.0.0.1:{self.site.port('web')}"
        done = self.curl("--http2-prior-knowledge", "-X", "PUT", "-d", "some body", "-H", "X-One: 1", f"{url}/echo?a=b")
        echo = json.loads(done.stdout)
        self.assertEqual((echo["method"], echo["target"], echo["body"]), ("PUT", "/echo?a=b", "some body"))
        names = [name.lower() for name, _ in echo["headers"]]
        self.assertEqual(len(names), len(set(names)), names)
        headers = {name.lower(): value for name, value in echo["headers"]}
        self.assertEqual(headers["host"], f"127.0.0.1:{self.site.port('web')}")
        self.assertEqual((headers["x-one"], headers["content-length"]), ("1", "9"))
        head = self.curl("--http2-prior-knowledge", "-I", f"{url}/bytes/1000").stdout.decode().lower()
        self.assertIn("content-length: 1000", head)
        self.assertEqual(self.curl_says("--http2-prior-knowledge", f"{url}/status/204"), ("2", "204"))
        self.assertEqual(self.curl_says("--http2-prior-knowledge", f"{url}/status/503"), ("2", "503"))
        source = self.scratch / "body"
        source.write_bytes(b"".join(pattern(3 * MIB)))
        done = self.curl("--http2-prior-knowledge", "-T", str(source), f"{url}/sha256")
        self.assertEqual(json.loads(done.stdout)["sha256"], pattern_sha256(3 * MIB))
        # Of unknown length: chunked to the origin.
        done = self.curl("--http2-prior-knowledge", "-T", "-", f"{url}/sha256", "-H", "Expect:")
        self.assertEqual(json.loads(done.stdout)["length"], 0)

    def test_nghttp(self) -> None:
        """nghttp on both ports, many streams, and an upload of 10 MiB whose digest the origin tells."""
        body = self.scratch / "body"
        body.write_bytes(b"".join(pattern(10 * MIB)))
        for port, scheme in ((self.site.port("web"), "http"), (self.site.port("tls"), "https")):
            url = f"{scheme}://127.0.0.1:{port}"
            said = ran(
                installed("nghttp"), "-v", "--no-verify-peer", f"{url}/echo", f"{url}/bytes/100000", f"{url}/hints"
            )
            self.assertEqual(len(re.findall(r":status: 200", said)), 3, said)
            self.assertIn(":status: 103", said)
            self.assertIn("link: </style.css>; rel=preload", said)
            self.assertNotIn("RST_STREAM", said)
            said = ran(installed("nghttp"), "--no-verify-peer", "-d", str(body), f"{url}/sha256")
            self.assertIn(pattern_sha256(10 * MIB), said)
            many = ran(installed("nghttp"), "-n", "-s", "-m", "200", "--no-verify-peer", f"{url}/echo")
            self.assertIn("200", many)

    def h2load(self, url: str, count: int) -> None:
        """So many requests over 20 connections, 100 streams each: none fails."""
        command = [installed("h2load"), "-n", str(count), "-c", "20", "-m", "100", url]
        check_h2load(ran(*command, limit_s=280), count)

    def test_h2load(self) -> None:
        """100,000 requests to an origin that speaks HTTP/1.1: the 2,000 at a time wait for its 256 connections."""
        origin = self.serve(Nginx("server { listen 127.0.0.1:@{web} backlog=1024; location / { return 200 ok; } }"))
        gateway = self.before(f"http://127.0.0.1:{origin.port()}", upstream="pool: {queue: 4096, queue_timeout: 30s}")
        self.h2load(f"http://127.0.0.1:{gateway.port('web')}/", 100_000)

    def test_h2load_http2_behind(self) -> None:
        """To an HTTP/2 origin nobody has to wait, by the default settings."""
        origin = self.serve(Nghttpd(files={"www/x": b"x" * 125}))
        gateway = self.before(f"h2c://127.0.0.1:{origin.port()}")
        self.h2load(f"http://127.0.0.1:{gateway.port('web')}/x", 20_000)

    def test_h2load_tls(self) -> None:
        """Over TLS."""
        gateway = self.gateway({}, ["{match: /**, respond: {status: 200, body: ok}}"])
        self.h2load(f"https://127.0.0.1:{gateway.port('tls')}/", 20_000)

    def test_switched_off(self) -> None:
        """`protocols: [http1]`: no ALPN for it, and the preface is a bad request; `protocols: [http2]`: HTTP/1.1 is refused."""
        secure = ["--cacert", str(self.ca), "--resolve", f"{NAME}:@:127.0.0.1"]
        only1 = self.gateway({}, ["{match: /**, respond: {status: 200, body: ok}}"], "protocols: [http1]")
        port = only1.port("tls")
        options = [word.replace("@", str(port)) for word in secure]
        self.assertEqual(self.curl_says("--http2", *options, f"https://{NAME}:{port}/"), ("1.1", "200"))
        done = self.curl("--http2-prior-knowledge", f"http://127.0.0.1:{only1.port('web')}/")
        self.assertNotEqual(done.returncode, 0)
        only2 = self.gateway({}, ["{match: /**, respond: {status: 200, body: ok}}"], "protocols: [http2]")
        self.assertEqual(self.curl_says("--http2-prior-knowledge", f"http://127.0.0.1:{only2.port('web')}/")[0], "2")
        done = self.curl("--http1.1", "-i", f"http://127.0.0.1:{only2.port('web')}/")
        self.assertNotIn(b" 200 ", done.stdout)


def check_h2load(said: str, count: int) -> None:
    """h2load's summary says that all succeeded, with status 2xx."""
    assert f"{count} succeeded, 0 failed, 0 errored, 0 timeout" in said, said
    assert f"status codes: {count} 2xx, 0 3xx, 0 4xx, 0 5xx" in said, said


class ConversionTests(Fronted):
    """HTTP/1.1 and HTTP/2 before, HTTP/1.1, h2c and HTTP/2 by ALPN behind: the same bytes whatever the pair."""

    def each(self) -> dict[str, tuple[Gateway, str]]:
        """Upstream kind -> gateway, and whether it is said to be HTTP/2."""
        old = self.serve(PythonOrigin())
        clear = self.serve(Http2Origin())
        alpn = self.serve(Http2Origin(cert=self.pair.cert, key=self.pair.key))
        gateway = self.gateway(
            {
                "http1": f'{{endpoints: ["http://127.0.0.1:{old.port()}"]}}',
                "h2c": f'{{endpoints: ["h2c://127.0.0.1:{clear.port()}"]}}',
                "alpn": f'{{endpoints: ["https://localhost:{alpn.port()}"], tls: {{ca: {self.ca}}}}}',
            },
            [f"{{match: {kind}.example.com/**, to: {kind}, body_limit: 100MiB}}" for kind in ("http1", "h2c", "alpn")],
        )
        return {"http1": (gateway, "HTTP/1.1"), "h2c": (gateway, "HTTP/2"), "alpn": (gateway, "HTTP/2")}

    def both(self, gateway: Gateway, kind: str, path: str, *options: str) -> list[bytes]:
        """The bodies that curl gets over HTTP/1.1 and over HTTP/2."""
        host = ["-H", f"Host: {kind}.example.com"]
        url = f"http://127.0.0.1:{gateway.port('web')}{path}"
        answers = [self.curl(*host, version, *options, url) for version in ("--http1.1", "--http2-prior-knowledge")]
        self.assertEqual([done.returncode for done in answers], [0, 0], answers)
        return [done.stdout for done in answers]

    def test_all_pairs(self) -> None:
        """Requests, bodies both ways, statuses without a body; and what the origin saw of them."""
        source = self.scratch / "body"
        source.write_bytes(b"".join(pattern(2 * MIB)))
        for kind, (gateway, version) in self.each().items():
            for body in self.both(gateway, kind, "/echo?q=1", "-d", "hello", "-H", "X-A: 1", "-H", "Cookie: a=1; b=2"):
                echo = json.loads(body)
                self.assertEqual(
                    (echo["version"], echo["method"], echo["target"], echo["body"]),
                    (version, "POST", "/echo?q=1", "hello"),
                )
                headers = {name.lower(): value for name, value in echo["headers"]}
                self.assertEqual((headers["x-a"], headers["cookie"]), ("1", "a=1; b=2"))
                self.assertEqual(echo.get("authority", headers.get("host")), f"{kind}.example.com")
                self.assertEqual(
                    {"connection", "upgrade", "keep-alive", "transfer-encoding"} & set(headers), set(), kind
                )
            for body in self.both(gateway, kind, f"/bytes/{2 * MIB}"):
                self.assertEqual(hashlib.sha256(body).hexdigest(), pattern_sha256(2 * MIB))
            for body in self.both(gateway, kind, "/sha256", "-T", str(source), "-H", "Expect:"):
                self.assertEqual(json.loads(body)["sha256"], pattern_sha256(2 * MIB))
            for status in ("204", "304", "404", "500"):
                statuses = self.both(gateway, kind, f"/status/{status}", "-o", "/dev/null", "-w", "%{http_code}")
                self.assertEqual(statuses, [status.encode()] * 2)

    def test_trailers_and_hints(self) -> None:
        """Trailers and 103 cross every pair."""
        for kind, (gateway, _) in self.each().items():
            with self.wire(gateway) as wire:
                answer = wire.ask("/trailers", host=f"{kind}.example.com", te="trailers")
                trailers = [(name.lower(), value) for name, value in answer.trailers]
                self.assertEqual((answer.body, trailers), (b"one\ntwo\n", [TRAILING, ("x-second", "2")]), kind)
                answer = wire.ask("/hints", host=f"{kind}.example.com")
                self.assertEqual([status for status, _ in answer.informational], [103], kind)
            wire2 = self.http2(gateway)
            stream = wire2.next_stream()
            fields = wire2.fields("/trailers", headers=[("te", "trailers")], authority=f"{kind}.example.com")
            wire2.send(wire2.head(stream, fields))
            got: Stream = wire2.read(stream)
            self.assertEqual((got.body, got.trailers), (b"one\ntwo\n", [TRAILING, ("x-second", "2")]), kind)
            stream = wire2.next_stream()
            wire2.send(wire2.head(stream, wire2.fields("/hints", authority=f"{kind}.example.com")))
            self.assertEqual(wire2.read(stream).informational, [(103, [("link", "</style.css>; rel=preload")])], kind)

    def test_nginx_behind(self) -> None:
        """nginx by ALPN and with prior knowledge: both ways 10 MiB, and nginx says that it was HTTP/2."""
        content = b"".join(pattern(10 * MIB))
        nginx = self.serve(Http2Nginx(self.pair.cert, self.pair.key, files={"www/x": content, "www/up/.keep": b""}))
        gateway = self.gateway(
            {
                "alpn": f'{{endpoints: ["https://localhost:{nginx.port()}"], tls: {{ca: {self.ca}}}}}',
                "h2c": f'{{endpoints: ["h2c://127.0.0.1:{nginx.port("clear")}"]}}',
                "old": f'{{endpoints: ["https://localhost:{nginx.port()}"], protocol: http1, tls: {{ca: {self.ca}}}}}',
            },
            [f"{{match: {kind}.example.com/**, to: {kind}, body_limit: 100MiB}}" for kind in ("alpn", "h2c", "old")],
        )
        source = self.scratch / "body"
        source.write_bytes(content)
        for kind in ("alpn", "h2c", "old"):
            self.both(gateway, kind, f"/up/{kind}", "-T", str(source))
            for body in (*self.both(gateway, kind, f"/up/{kind}"), *self.both(gateway, kind, "/x")):
                self.assertEqual(hashlib.sha256(body).hexdigest(), pattern_sha256(10 * MIB))
        versions = {
            kind: {line.split()[0] for line in nginx.seen() if f"/up/{kind}" in line} for kind in ("alpn", "h2c", "old")
        }
        self.assertEqual(versions, {"alpn": {"HTTP/2.0"}, "h2c": {"HTTP/2.0"}, "old": {"HTTP/1.1"}})

    def test_nghttpd_behind(self) -> None:
        """nghttpd, with trailers of its own and a low cap on streams, which the gateway keeps to: nothing is refused."""
        origin = self.serve(
            Nghttpd("--trailer", "x-last: yes", "-m", "3", files={"www/x": b"x" * 100_000}),
        )
        gateway = self.before(f"h2c://127.0.0.1:{origin.port()}")
        wire = self.http2(gateway)
        streams = [wire.request("/x") for _ in range(60)]
        answers = [wire.read(stream) for stream in streams]
        self.assertEqual({(answer.status, answer.length, answer.reset) for answer in answers}, {(200, 100_000, None)})
        self.assertEqual({tuple(answer.trailers) for answer in answers}, {(("x-last", "yes"),)})

    def test_connections_are_reused(self) -> None:
        """100 requests at once over one downstream connection need one or two upstream, not a hundred."""
        origin = self.serve(Http2Origin())
        gateway = self.before(f"h2c://127.0.0.1:{origin.port()}")
        wire = self.http2(gateway)
        for _ in range(3):
            streams = [wire.request("/echo") for _ in range(100)]
            self.assertEqual({wire.read(stream).status for stream in streams}, {200})
        self.assertLessEqual(origin.facts()["connections"], 2)

    def test_upstream_goes_away(self) -> None:
        """An upstream that says GOAWAY after each answer costs no request."""
        origin = self.serve(Http2Origin())
        gateway = self.before(f"h2c://127.0.0.1:{origin.port()}")
        wire = self.http2(gateway)
        self.assertEqual([wire.ask("/goaway").status for _ in range(20)], [200] * 20)

    def test_upstream_refuses(self) -> None:
        """REFUSED_STREAM was not processed: it is an error of the upstream's, not of the connection's."""
        origin = self.serve(Http2Origin())
        gateway = self.before(f"h2c://127.0.0.1:{origin.port()}")
        wire = self.http2(gateway)
        self.assertEqual(wire.ask(f"/reset?code={REFUSED_STREAM}").status, 503)
        self.assertIn(wire.ask("/reset?code=2").status, (502, 503))
        self.assertEqual(wire.ask("/echo").status, 200)
