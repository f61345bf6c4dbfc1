"""The WebSocket load, a probe and its generator: `python -m benchmarks.websocket PORT CONNECTIONS SECONDS`.

wrk knows no WebSocket. The generator has its discipline: every connection has one message under way at any time, frames are made
beforehand, nothing is parsed that need not be. It and the echo on the same core are several times as fast as what is measured.
"""

import asyncio
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import quantiles
from typing import cast

import uvloop

from benchmarks.echo import unmasked
from benchmarks.load import Load, Summary, Target, bench_line
from benchmarks.origin import Origin

SIZE = 125
HANDSHAKE = (
    b"GET /echo HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
_PAYLOAD = bytes(ord("a") + number % 26 for number in range(SIZE))
_MASK = b"\x12\x34\x56\x78"
MESSAGE = bytes((0x81, 0x80 | SIZE)) + _MASK + unmasked(_MASK, _PAYLOAD)
ANSWER = bytes((0x81, SIZE)) + _PAYLOAD
CLOSE = bytes((0x88, 0x82)) + _MASK + unmasked(_MASK, (1000).to_bytes(2, "big"))


@dataclass(frozen=True)
class WebSocketLoad(Load):
    """Text messages of 125 bytes, echoed one at a time on each connection. `value` is CPU microseconds per message and echo."""

    path: str = "/count"
    connections: int = 64

    def command(self, target: Target) -> list[str]:
        """This module as a program."""
        return [
            sys.executable,
            "-m",
            "benchmarks.websocket",
            str(target.port),
            str(self.connections),
            str(target.pace.seconds),
        ]

    def count(self, origin: Origin) -> int:
        """Messages that the origin has echoed."""
        return origin.messages()

    def summary(self, output: str, target: Target) -> Summary:
        """From the line that the program prints."""
        said = bench_line(output)
        return Summary(
            requests=said["messages"],
            duration_s=said["duration_s"],
            p50_ms=said["p50_ms"],
            p99_ms=said["p99_ms"],
            logged=self.connections,
            errors=tuple(said["errors"]),
        )


class Client(asyncio.Protocol):
    """One connection that sends a message, waits for its echo, and sends the next."""

    transport: asyncio.Transport

    def __init__(self, run: "Run") -> None:
        self._run = run
        self._buffer = b""
        self._open = False
        self._sent_s = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio: connected."""
        # uvloop's transports are asyncio's by behaviour only.
        self.transport = cast(asyncio.Transport, transport)
        self.transport.write(HANDSHAKE)

    def data_received(self, data: bytes) -> None:
        """asyncio: bytes came."""
        if self._buffer:
            data = self._buffer + data
            self._buffer = b""
        if data == ANSWER and self._open:
            self._answered()
        elif not self._open:
            self._begin(data)
        elif len(data) < len(ANSWER):
            self._buffer = data
        elif not self._run.over:
            self._run.fail(f"an echo of {len(data)} bytes that is no echo")

    def _begin(self, data: bytes) -> None:
        head, found, _ = data.partition(b"\r\n\r\n")
        if not found:
            self._buffer = data
        elif not head.startswith(b"HTTP/1.1 101"):
            self._run.fail(f"answered {head[:60]!r}")
        else:
            self._open = True
            self._run.opened()
            self._send()

    def _answered(self) -> None:
        run = self._run
        now_s = run.clock()
        run.times_s.append(now_s - self._sent_s)
        if run.over:
            self.transport.write(CLOSE)
        else:
            self._sent_s = now_s
            self.transport.write(MESSAGE)

    def _send(self) -> None:
        self._sent_s = self._run.clock()
        self.transport.write(MESSAGE)

    def connection_lost(self, exc: Exception | None) -> None:
        """asyncio: closed."""
        self._run.lost()


class Run:
    """What the connections of a run share. times_s: of every echo."""

    def __init__(self, connections: int, clock: Callable[[], float] = time.perf_counter) -> None:
        self.clock = clock
        self.times_s: list[float] = []
        self.errors: list[str] = []
        self.over = False
        self.everything_open = asyncio.Event()
        self.everything_closed = asyncio.Event()
        self._to_open = self._to_close = connections

    def opened(self) -> None:
        """One more connection is open."""
        self._to_open -= 1
        if not self._to_open:
            self.everything_open.set()

    def lost(self) -> None:
        """One less is."""
        self._to_close -= 1
        if not self.over:
            self.fail("a connection was lost")
        if not self._to_close:
            self.everything_closed.set()

    def fail(self, what: str) -> None:
        """Note an error; the run goes on."""
        if what not in self.errors:
            self.errors.append(what)


async def generate(port: int, connections: int, seconds: float) -> dict[str, object]:
    """Put the load on a port of 127.0.0.1 and return the account of it."""
    run, loop = Run(connections), asyncio.get_running_loop()
    begun_s = run.clock()
    for _ in range(connections):
        await loop.create_connection(lambda: Client(run), "127.0.0.1", port)
    await asyncio.wait_for(run.everything_open.wait(), 10)
    await asyncio.sleep(max(0.1, seconds - (run.clock() - begun_s)))
    run.over, duration_s = True, run.clock() - begun_s
    try:
        await asyncio.wait_for(run.everything_closed.wait(), 5)
    except TimeoutError:
        run.fail("connections stay open after the close handshake")
    cuts = quantiles(run.times_s, n=100) if len(run.times_s) > 1 else [0.0] * 99
    times = {"p50_ms": cuts[49] * 1000, "p99_ms": cuts[98] * 1000}
    return {"messages": len(run.times_s), "duration_s": duration_s, "errors": run.errors, **times}


if __name__ == "__main__":
    print("BENCH " + json.dumps(uvloop.run(generate(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))))
