"""The read-only site serves three paths and holds on to nobody."""

import json

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from edgegw.export.prometheus import Exposition
from edgegw.export.scrape import LIFETIME_S, MAX_CONNECTIONS, ScrapeSite
from edgegw.observe.metrics import Registry


class Transport(StringTransport):
    aborted = False

    def abortConnection(self) -> None:
        self.aborted = True
        self.disconnecting = True


class ScrapeTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.registry = Registry()
        self.reasons: list[str] = []
        self.exposition = Exposition(self.registry, self.clock.seconds)
        self.site = ScrapeSite(self.exposition, lambda: self.reasons, self.clock)

    def connect(self) -> tuple[object, Transport]:
        channel = self.site.buildProtocol(None)
        transport = Transport()
        channel.makeConnection(transport)
        return channel, transport

    def ask(
        self, path: str, method: str = "GET", headers: str = "", body: bytes = b""
    ) -> tuple[int, dict[str, str], bytes]:
        channel, transport = self.connect()
        channel.dataReceived(f"{method} {path} HTTP/1.1\r\nHost: x\r\n{headers}\r\n".encode() + body)  # type: ignore[attr-defined]
        head, _, content = transport.value().partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        self.assertTrue(transport.disconnecting, "the connection stayed open")
        channel.connectionLost(Failure(ConnectionDone()))  # type: ignore[attr-defined]
        return int(first.split()[1]), {k.lower(): v for k, v in (line.split(": ", 1) for line in lines)}, content

    def test_metrics(self) -> None:
        self.registry.rejected("both_te_cl")
        status, headers, body = self.ask("/metrics")
        self.assertEqual(status, 200)
        self.assertEqual(headers["content-type"], "text/plain; version=0.0.4; charset=utf-8")
        self.assertEqual(int(headers["content-length"]), len(body))
        self.assertIn(b'edgegw_rejections_total{reason="both_te_cl"} 1.0\n', body)
        self.assertNotIn("server", headers)

    def test_openmetrics_when_asked_for(self) -> None:
        _, headers, body = self.ask(
            "/metrics", headers="Accept: application/openmetrics-text;version=1.0.0,text/plain;q=0.5\r\n"
        )
        self.assertTrue(headers["content-type"].startswith("application/openmetrics-text; version=1.0.0"))
        self.assertTrue(body.endswith(b"# EOF\n"))

    def test_a_query_does_not_matter(self) -> None:
        self.assertEqual(self.ask("/livez?verbose=1")[0], 200)

    def test_live_always_and_ready_with_its_reasons(self) -> None:
        self.assertEqual(self.ask("/livez")[::2], (200, b"ok\n"))
        status, headers, body = self.ask("/readyz")
        self.assertEqual(
            (status, headers["content-type"], json.loads(body)),
            (200, "application/json", {"ready": True, "reasons": []}),
        )
        self.reasons = ["draining"]
        status, _, body = self.ask("/readyz")
        self.assertEqual((status, json.loads(body)), (503, {"ready": False, "reasons": ["draining"]}))
        self.assertEqual(self.ask("/livez")[0], 200)

    def test_nothing_else(self) -> None:
        for path in (
            "/",
            "/metrics/",
            "/metrics/x",
            "//metrics",
            "/METRICS",
            "/%6detrics",
            "/livez/..",
            "/admin",
            "/readyz;x",
        ):
            self.assertEqual(self.ask(path)[0], 404, path)

    def test_reading_only(self) -> None:
        for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"):
            status, headers, _ = self.ask("/metrics", method)
            self.assertEqual((status, headers["allow"]), (405, "GET, HEAD"), method)
        status, headers, body = self.ask("/livez", "HEAD")
        self.assertEqual((status, headers["content-length"], body), (200, "3", b""))

    def test_a_body_is_not_kept(self) -> None:
        status, _, _ = self.ask("/metrics", "POST", "Content-Length: 300000\r\n", b"x" * 300_000)
        self.assertEqual(status, 405)
        content = self.site.getContentFile(None)
        content.write(b"x" * 1000)
        self.assertEqual(content.getvalue(), b"")

    def test_a_head_that_is_too_large_is_refused(self) -> None:
        channel, transport = self.connect()
        channel.dataReceived(b"GET /livez HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 9000 + b"\r\n\r\n")  # type: ignore[attr-defined]
        self.assertTrue(transport.value().startswith(b"HTTP/1.1 400"))

    def test_who_drips_is_cut_off(self) -> None:
        channel, transport = self.connect()
        for _ in range(int(LIFETIME_S) - 1):
            channel.dataReceived(b"G")  # type: ignore[attr-defined]
            self.clock.advance(1)
        self.assertFalse(transport.aborted)
        self.clock.advance(1)
        self.assertTrue(transport.aborted)

    def test_a_connection_that_ended_leaves_no_timer_behind(self) -> None:
        self.ask("/livez")
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.site.open, 0)

    def test_few_connections_at_a_time(self) -> None:
        channels = [self.connect()[0] for _ in range(MAX_CONNECTIONS)]
        self.assertIsNone(self.site.buildProtocol(None))
        channels[0].connectionLost(Failure(ConnectionDone()))  # type: ignore[attr-defined]
        self.assertIsNotNone(self.site.buildProtocol(None))

    def test_a_ready_check_that_fails_is_a_500_without_a_traceback(self) -> None:
        def broken() -> list[str]:
            raise ZeroDivisionError("secret detail")

        self.site = ScrapeSite(self.exposition, broken, self.clock)
        status, _, body = self.ask("/readyz")
        self.assertEqual(status, 500)
        self.assertNotIn(b"secret detail", body)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_a_rendering_that_fails_is_a_500_without_a_traceback(self) -> None:
        pending: list[Deferred[object]] = []
        self.patch(self.exposition, "render", lambda _accept: pending.append(Deferred()) or pending[-1])
        channel, transport = self.connect()
        channel.dataReceived(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")  # type: ignore[attr-defined]
        pending[0].errback(ZeroDivisionError("secret detail"))
        self.assertTrue(transport.value().startswith(b"HTTP/1.1 500"))
        self.assertNotIn(b"secret detail", transport.value())
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_who_left_before_the_rendering_was_done_is_forgotten(self) -> None:
        pending: list[Deferred[object]] = []
        self.patch(self.exposition, "render", lambda _accept: pending.append(Deferred()) or pending[-1])
        channel, transport = self.connect()
        channel.dataReceived(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")  # type: ignore[attr-defined]
        channel.connectionLost(Failure(ConnectionDone()))  # type: ignore[attr-defined]
        pending[0].errback(ZeroDivisionError())
        self.assertEqual(transport.value(), b"")
        self.flushLoggedErrors(ZeroDivisionError)
