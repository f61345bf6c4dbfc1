"""What the loads send, and what they make of what their generators said."""

import asyncio
import json
from pathlib import Path
from unittest import TestCase

from benchmarks.echo import Count, Echo, unmasked
from benchmarks.http2 import Http2Load, grpc_load
from benchmarks.load import Pace, Target, WrkLoad
from benchmarks.origin import Origin
from benchmarks.process import Cores, PeerFailed
from benchmarks.rows import ROWS
from benchmarks.websocket import ANSWER, CLOSE, HANDSHAKE, MESSAGE, Client, Run, WebSocketLoad

TARGET = Target(1, 65_001, False, Origin(1, 2, 3), Cores(0, 1), Pace(rounds=1, seconds=2))
H2LOAD = """
finished in 2.00s, 5.00 req/s, 1.00MB/s
requests: 10 total, 11 started, 10 done, 9 succeeded, 1 failed, 0 errored, 0 timeout
"""


class Pipe:
    """A transport that keeps what was written."""

    def __init__(self) -> None:
        self.data = b""
        self.closed = False

    def write(self, data: bytes) -> None:
        """Keep it."""
        self.data += data

    def close(self) -> None:
        """Note it."""
        self.closed = True

    def taken(self) -> bytes:
        """What was written since the last time."""
        data, self.data = self.data, b""
        return data


class WebSocketTests(TestCase):
    """The generator against the echo, without a network."""

    def test_client_and_echo(self) -> None:
        """Handshake, messages one at a time in whatever pieces, and a clean end; both count the same."""
        asyncio.run(self.talk())

    async def talk(self) -> None:
        """The conversation of the test above."""
        run, count = Run(1, clock=iter(range(100)).__next__), Count()
        client, echo = Client(run), Echo(count)
        near, far = Pipe(), Pipe()
        client.connection_made(near)  # type: ignore[arg-type]
        echo.connection_made(far)  # type: ignore[arg-type]
        self.assertEqual(near.data, HANDSHAKE)
        echo.data_received(near.data[:50])
        echo.data_received(near.taken()[50:])
        client.data_received(far.taken())
        for _ in range(3):
            self.assertEqual(near.data, MESSAGE)
            echo.data_received(near.data[:20])
            echo.data_received(near.taken()[20:])
            self.assertEqual(far.data, ANSWER)
            client.data_received(far.data[:100])
            client.data_received(far.taken()[100:])
        run.over = True
        echo.data_received(near.taken())
        client.data_received(far.taken())
        self.assertEqual(near.data, CLOSE)
        echo.data_received(near.taken())
        self.assertTrue(far.closed)
        client.connection_lost(None)
        self.assertEqual((len(run.times_s), count.messages, run.errors), (4, 4, []))
        self.assertTrue(run.everything_open.is_set() and run.everything_closed.is_set())

    def test_refused(self) -> None:
        """An answer that is no 101, a wrong echo and a lost connection are errors."""

        async def refused() -> list[str]:
            run = Run(1, clock=lambda: 0.0)
            client, pipe = Client(run), Pipe()
            client.connection_made(pipe)  # type: ignore[arg-type]
            client.data_received(b"HTTP/1.1 503 No\r\n\r\n")
            client.connection_lost(None)
            return run.errors

        self.assertEqual(asyncio.run(refused()), ["answered b'HTTP/1.1 503 No'", "a connection was lost"])

    def test_mask(self) -> None:
        """Masking twice is nothing."""
        self.assertEqual(unmasked(b"abcd", unmasked(b"abcd", b"hello")), b"hello")

    def test_summary(self) -> None:
        """A line of the log is a connection's, not a message's."""
        said = {"messages": 500, "duration_s": 2.0, "p50_ms": 1.0, "p99_ms": 2.0, "errors": []}
        summary = WebSocketLoad(connections=64).summary(f"noise\nBENCH {json.dumps(said)}\n", TARGET)
        self.assertEqual((summary.requests, summary.logged, summary.errors), (500, 64, ()))


class Http2Tests(TestCase):
    """h2load's command and its account."""

    def test_command(self) -> None:
        """A body makes it a POST with these headers; the target's root comes before the path."""
        command = grpc_load().command(TARGET)
        self.assertIn("--header=te: trailers", command)
        self.assertTrue(any(word.startswith("--data=") for word in command))
        self.assertEqual(command[-1], "http://localhost:65001/bench.Echo/Unary")

    def test_summary(self) -> None:
        """Failed requests are errors, named by their status; the percentiles are those of the log."""
        load = Http2Load()
        log = next(word for word in load.command(TARGET) if word.startswith("--log-file=")).removeprefix("--log-file=")
        Path(log).write_text("".join(f"1\t{502 if n == 9 else 200}\t{1000 * n}\n" for n in range(10)))
        summary = load.summary(H2LOAD, TARGET)
        self.assertEqual((summary.requests, summary.duration_s, summary.p50_ms), (9, 2.0, 4.5))
        self.assertEqual(summary.errors, ("1 failed", "1 of status 502"))
        self.assertFalse(Path(log).exists())

    def test_failed(self) -> None:
        """A run that said nothing is no measurement."""
        with self.assertRaises(PeerFailed):
            Http2Load().summary("could not connect", TARGET)
        with self.assertRaises(PeerFailed):
            WrkLoad().summary("unable to connect", TARGET)


class RowTests(TestCase):
    """The table of rows."""

    def test_budgets_name_entrants(self) -> None:
        """Every budget and baseline is about entrants of its own row, and no two entrants share a label."""
        for row in ROWS:
            labels = [entrant.label for entrant in row.entrants]
            self.assertEqual(len(labels), len(set(labels)), row.name)
            wanted = {row.baseline} | {name for one in row.budgets for name in (one.of, one.against) if name}
            self.assertLessEqual(wanted, set(labels), row.name)

    def test_every_protocol_is_measured_beside_the_others(self) -> None:
        """HTTP/2, gRPC and WebSocket beside Caddy and HAProxy, and nginx where it can do it; idle connections of every kind."""
        rows = {row.name: [entrant.label for entrant in row.entrants] for row in ROWS}
        for name, others in (
            ("h2", {"nginx", "haproxy", "caddy"}),
            ("grpc", {"haproxy", "caddy"}),
            ("websocket", {"nginx", "haproxy", "caddy"}),
            ("idle", {"nginx"}),
            ("idle-h2", {"nginx"}),
            ("idle-websocket", {"nginx"}),
        ):
            self.assertLessEqual(others, set(rows[name]), name)
            self.assertTrue(any(label.startswith("edgegw") for label in rows[name]), name)
