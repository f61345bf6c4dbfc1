"""`observe.listen` and the access log of a gateway that has been used: every family is there, every number is right."""

import json
import re
import signal
import tempfile
from pathlib import Path

from edgegw.observe.table import METRICS
from tests.certs import Authority
from tests.live.case import LiveCase
from tests.live.process import wait_until
from tests.live.servers import ROOT, Gateway, PythonOrigin, fetch, proxy
from tests.live.wire import Wire

REQUIRED = {
    "time", "request_id", "client", "peer", "method", "scheme", "host", "path", "protocol", "status", "bytes_in", "bytes_out",
    "duration_ms", "gateway_ms", "complete", "flag", "route",
}  # fmt: skip
UPSTREAM = {"upstream", "endpoint", "connect_ms", "upstream_head_ms", "upstream_ms", "retries"}


class MetricsTests(LiveCase):
    """What Prometheus sees."""

    def setUp(self) -> None:
        self.origin = self.serve(PythonOrigin())
        self.front = self.serve(Gateway(proxy(self.origin.port())))

    def test_every_documented_family(self) -> None:
        """Once everything has happened, every row of docs/reference/metrics.md is exposed with its type and help, and no other."""
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        paths = Authority().issue("a.example.com").write(Path(scratch.name), "a")
        dead = self.scripted(lambda call: None)
        dead.stop()
        tls = f"listen:\n  - {{port: @{{tls}}, interface: 127.0.0.1, tls: {{cert: {paths.cert}, key: {paths.key}}}}}\n"
        named = Path(scratch.name) / "endpoints.yaml"
        named.write_text(f'["http://127.0.0.1:{self.origin.port()}"]')
        more = """
            {match: /fall/**, to: gone, fallback: origin, rewrite: {strip_prefix: /fall}}
            {match: /copied/**, to: origin, mirror: origin, rewrite: {strip_prefix: /copied}}
            {match: /hedged/**, to: origin, retry: {hedge: 10ms}, rewrite: {strip_prefix: /hedged}}
            {match: /again/**, to: found, retry: {on: [404]}, rewrite: {strip_prefix: /again}}
        """
        found = (
            f"endpoints: [], discovery: {{from: file, path: {named}, allow: [127.0.0.0/8]}}, health: {{path: /echo}}"
        )
        text = proxy(dead.port, self.origin.port(), listen="caps: {per_client: 2}", more=more)
        text = text.replace("listen:\n", tls).replace(
            "upstreams: {", f'upstreams: {{gone: {{endpoints: ["http://127.0.0.1:{dead.port}"]}}, found: {{{found}}}, '
        )
        front = self.serve(Gateway(text))
        for target in ("/fall/echo", "/copied/echo", "/hedged/slow?s=0.2", "/again/status/404"):
            with Wire(front.port()) as wire:
                self.assertLess(wire.ask(target).status, 500, target)
        wait_until(lambda: front.metric("edgegw_mirrored_total"), "the copy went out")
        wait_until(lambda: front.metric("edgegw_connections", listener=f"127.0.0.1:{front.port()}") == 0, "room")
        wires = [self.wire(front) for _ in range(2)]
        for wire in wires:
            self.assertEqual(wire.ask("/echo").status, 200)
        self.assertTrue(self.wire(front).at_end())
        wires[0].send(b"GET / HTTP/1.1\r\n\r\n")
        self.assertEqual(wires[0].read().status, 400)
        self.wire(front, "tls").send(b"no handshake\r\n\r\n")
        wires[1].close()
        wait_until(lambda: front.metric("edgegw_connections", listener=f"127.0.0.1:{front.port()}") == 0, "room")
        self.wire(front).send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nno frames")
        wait_until(lambda: front.metric("edgegw_http2_errors_total") == 1, "the end of HTTP/2 was counted")
        wait_until(lambda: "edgegw_tls_handshakes_total{" in front.observe("/metrics")[1], "the handshake was counted")
        text = front.observe("/metrics")[1]
        documented = dict(
            re.findall(r"^\| `(edgegw_\w+)` \| (\w+) \|", (ROOT / "docs/reference/metrics.md").read_text(), re.M)
        )
        self.assertEqual(documented, {spec.name: spec.kind for spec in METRICS})
        exposed = dict(re.findall(r"^# TYPE (\w+) (\w+)$", text, re.M))
        # Nothing folds before a thousand label sets.
        del documented["edgegw_metric_label_sets_folded_total"]
        self.assertEqual(set(exposed.items()) ^ set(documented.items()), set())
        self.assertEqual(set(re.findall(r"^# HELP (\w+) .", text, re.M)), set(documented))

    def test_numbers(self) -> None:
        """Counts, sizes and outcomes of a handful of known requests."""
        wire = self.wire(self.front)
        for _ in range(3):
            wire.ask("/bytes/1000")
        wire.ask("/sha256", "PUT", b"x" * 500)
        wire.ask("/status/404")
        self.wire(self.front).send(b"GET / HTTP/1.1\r\n\r\n")
        self.front.await_records(6)
        metric = self.front.metric
        self.assertEqual(metric("edgegw_requests_total", route="all", method="GET", code="200"), 3)
        self.assertEqual(metric("edgegw_requests_total", route="all", method="PUT", code="200"), 1)
        self.assertEqual(metric("edgegw_requests_total", route="all", code="404"), 1)
        self.assertEqual(metric("edgegw_requests_total", route="-", code="400"), 1)
        self.assertEqual(metric("edgegw_rejections_total", reason="missing_host"), 1)
        self.assertEqual(metric("edgegw_request_size_bytes_sum", route="all"), 500)
        self.assertGreaterEqual(metric("edgegw_response_size_bytes_sum", route="all"), 3000)
        self.assertEqual(metric("edgegw_request_duration_seconds_count", route="all"), 5)
        self.assertGreater(metric("edgegw_request_duration_seconds_sum", route="all"), 0)
        self.assertEqual(metric("edgegw_upstream_attempts_total", upstream="origin", outcome="2xx"), 4)
        self.assertEqual(metric("edgegw_upstream_attempts_total", upstream="origin", outcome="4xx"), 1)
        self.assertEqual(metric("edgegw_upstream_connect_seconds_count", upstream="origin"), 1)
        self.assertEqual(metric("edgegw_upstream_response_seconds_count", upstream="origin"), 5)
        self.assertEqual(metric("edgegw_upstream_connections", upstream="origin", state="idle"), 1)
        self.assertEqual(metric("edgegw_requests_in_flight"), 0)
        self.assertEqual(metric("edgegw_config_reloads_total", outcome="ok"), 1)
        self.assertEqual(metric("edgegw_config_last_reload_successful"), 1)

    def test_process(self) -> None:
        """The process's own numbers agree with what the kernel says."""
        metric = self.front.metric
        self.assertLess(abs(metric("edgegw_process_resident_memory_bytes") / 1024 - self.front.rss_kib()), 4096)
        self.assertLess(abs(metric("edgegw_process_open_fds") - self.front.descriptors()), 6)
        self.assertLess(abs(metric("edgegw_process_cpu_seconds_total") - self.front.cpu_s()), 0.5)
        self.assertEqual(metric("edgegw_build_info"), 1)

    def test_nothing_else_is_served(self) -> None:
        """Three paths, two methods; no traversal, no request bodies, no reflection."""
        for path in ("/", "/metrics/", "/metrics/x", "/livez/..", "/debug", "/../etc/passwd", "//metrics", "/<script>"):
            status, body = fetch(self.front.port("observe"), path)
            self.assertEqual(status, 404, path)
            self.assertNotIn(b"<script>", body)
        self.assertEqual(fetch(self.front.port("observe"), "/metrics", "POST", b"x")[0], 405)
        self.assertEqual(fetch(self.front.port("observe"), "/livez", "HEAD"), (200, b""))
        wire = self.wire(self.front, "observe")
        wire.request("/metrics", accept="application/openmetrics-text; version=1.0.0")
        answer = wire.read()
        self.assertIn("openmetrics", answer.header("content-type"))
        self.assertTrue(answer.body.endswith(b"# EOF\n"))


class AccessLogTests(LiveCase):
    """One line for each exchange, whatever became of it."""

    def test_fields(self) -> None:
        """Everything a proxied request's record has, and what times mean."""
        origin = self.serve(PythonOrigin())
        front = self.serve(Gateway(proxy(origin.port())))
        wire = self.wire(front)
        wire.ask(
            "/slow?s=0.2&token=SECRET",
            user_agent="test/1",
            referer="https://a.example/?password=SECRET",
            authorization="SECRET",
        )
        wire.ask("/sha256", "PUT", b"x" * 500)
        slow, put = front.await_records(2)
        self.assertEqual(REQUIRED | UPSTREAM | {"query", "user_agent", "referer"}, set(slow))
        self.assertEqual((slow["status"], slow["method"], slow["path"], slow["route"]), (200, "GET", "/slow", "all"))
        self.assertEqual((slow["upstream"], slow["endpoint"]), ("origin", f"http://127.0.0.1:{origin.port()}"))
        self.assertGreaterEqual(slow["upstream_ms"], 200)
        self.assertLess(slow["gateway_ms"], 100)
        self.assertLess(abs(slow["duration_ms"] - slow["gateway_ms"] - slow["upstream_ms"]), 0.01)
        self.assertEqual((put["bytes_in"], put["retries"], put["flag"], put["complete"]), (500, 0, "", True))
        self.assertNotIn("SECRET", json.dumps([slow, put]))

    def test_refusals_are_recorded(self) -> None:
        """404, 405 and heads the codec rejects have a record like any other, with the reason."""
        front = self.serve(Gateway(proxy(more="{match: GET /only, respond: {body: x}}")))
        for data in (
            b"GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n",
            b"POST /only HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
            b"GET /only HTTP/1.1\r\nHost: a\r\nX y: z\r\n\r\n",
        ):
            wire = self.wire(front)
            wire.send(data)
            answer = wire.read()
            self.assertEqual(json.loads(answer.body)["status"], answer.status)
            self.assertEqual(answer.header("content-type"), "application/problem+json")
            if answer.status == 405:
                self.assertEqual(answer.header("allow"), "GET, HEAD")
        records = front.await_records(3)
        self.assertEqual([record["status"] for record in records], [404, 405, 400])
        self.assertEqual([bool(record["flag"]) for record in records], [True] * 3)
        self.assertEqual(len({record["request_id"] for record in records}), 3)
        self.assertEqual(len([record for record in records if record["request_id"]]), 3)

    def test_forged_lines(self) -> None:
        """A path cannot start a new line, and bytes that are no text do not break the record."""
        origin = self.serve(PythonOrigin())
        front = self.serve(Gateway(proxy(origin.port())))
        wire = self.wire(front)
        wire.send(
            b'GET /%7b?%0a{"status":200} HTTP/1.1\r\nHost: a\r\nUser-Agent: \xff\xfe"},{"\r\nReferer: \xe2\x80\xa8x\r\n\r\n'
        )
        wire.read()
        front.await_records(1)
        lines = (front.folder / "access.log").read_bytes().splitlines()
        self.assertEqual(len(lines), 1)
        json.loads(lines[0])

    def test_rotation(self) -> None:
        """SIGUSR1 after the file was moved away: the next record is in a new one, none is lost."""
        front = self.serve(Gateway(proxy(more="{match: /**, respond: {body: x}}")))
        wire = self.wire(front)
        for number in range(200):
            if number == 100:
                (front.folder / "access.log").rename(front.folder / "access.log.1")
                front.signal(signal.SIGUSR1)
            wire.ask(f"/{number}")
        wire.ask("/last")
        self.wait_for_last(front)
        both = front.access_records("access.log.1") + front.access_records("access.log")
        self.assertEqual([record["path"] for record in both], [*(f"/{number}" for number in range(200)), "/last"])

    def wait_for_last(self, front: Gateway) -> None:
        def there() -> bool:
            path = front.folder / "access.log"
            return path.exists() and any(record["path"] == "/last" for record in front.access_records("access.log"))

        wait_until(there, "the last record is in the new file")
