"""Idle connections: the probe, and the process that opens them (`python -m benchmarks.idle PORT COUNT KIND`)."""

import asyncio
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import sleep

from benchmarks.load import Target
from benchmarks.measure import Sample, rss_kib, rss_peak_kib
from benchmarks.process import PeerFailed, pinned, raise_file_limit
from benchmarks.websocket import HANDSHAKE

_AT_ONCE = 64
_REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
# Preface, empty SETTINGS, and a request of static table entries: GET, http, /, and `localhost` (RFC 9113, RFC 7541).
_HTTP2_BLOCK = b"\x82\x86\x84\x01\x09localhost"
_HTTP2_REQUEST = (
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(3) + b"\x04" + bytes(5)
    + len(_HTTP2_BLOCK).to_bytes(3, "big") + b"\x01\x05" + (1).to_bytes(4, "big") + _HTTP2_BLOCK
)  # fmt: skip
_SETTINGS_ACK = bytes(3) + b"\x04\x01" + bytes(4)
_DATA, _SETTINGS, _END_STREAM = 0, 4, 1


@dataclass(frozen=True)
class IdleConnections:
    """Connections that have each been answered once and then wait.

    kind: `http1`; `http2`, with prior knowledge; `websocket`, which are open and say nothing.
    """

    count: int = 9000
    kind: str = "http1"
    path: str = "/"
    warm_up: int = 200
    """Opened and closed before the first reading, so that lazy allocations of the peer are not counted."""
    settle_s: float = 1.0

    def __call__(self, target: Target) -> Sample:
        """`value` is KiB of resident memory for each open connection."""
        self._held(target, self.warm_up)
        sleep(self.settle_s)
        before = rss_kib(target.pid)
        after, peak = self._held(target, self.count)
        value = (after - before) / self.count
        return Sample(value, requests=self.count + self.warm_up, rss_kib=after, rss_peak_kib=peak)

    def _held(self, target: Target, count: int) -> tuple[int, int]:
        """Resident memory and its peak, KiB, while `count` connections are open; raises PeerFailed when one is not."""
        argv = [sys.executable, "-m", "benchmarks.idle", str(target.port), str(count), self.kind]
        opener = subprocess.Popen(
            pinned(argv, target.cores.load),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=Path(__file__).parents[1],
        )
        try:
            _expect(opener, count)
            sleep(self.settle_s)
            memory = rss_kib(target.pid), rss_peak_kib(target.pid)
            _expect(opener, count)
            return memory
        finally:
            opener.kill()
            opener.communicate()


def _expect(opener: subprocess.Popen[bytes], count: int) -> None:
    assert opener.stdin is not None and opener.stdout is not None
    with suppress(BrokenPipeError):
        opener.stdin.write(b"\n")
        opener.stdin.flush()
    said = opener.stdout.readline().decode().strip()
    if said != f"open {count}":
        opener.kill()
        raise PeerFailed(f"could not hold {count} connections: {said} {opener.stdout.read().decode()[-300:]}")


Held = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def hold(port: int, count: int, kind: str, patience_s: float = 60) -> None:
    """Open `count` connections, get one answer on each, keep them, and print how many are open at each line of input."""
    gate = asyncio.Semaphore(_AT_ONCE)
    async with asyncio.timeout(patience_s):
        held = await asyncio.gather(*(_open_one(port, gate, kind) for _ in range(count)))
    while await asyncio.to_thread(sys.stdin.readline):
        print(f"open {sum(not reader.at_eof() for reader, _ in held)}", flush=True)


async def _open_one(port: int, gate: asyncio.Semaphore, kind: str) -> Held:
    async with gate:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        if kind == "http2":
            await _http2(reader, writer)
        else:
            await _http1(reader, writer, HANDSHAKE if kind == "websocket" else _REQUEST)
        return reader, writer


async def _http1(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> None:
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    status = head.split(b" ", 2)[1]
    if status == b"200":
        await reader.readexactly(_content_length(head))
    elif status != b"101":
        raise RuntimeError(f"answered {head!r}")


async def _http2(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(_HTTP2_REQUEST)
    answered = False
    while not answered:
        head = await reader.readexactly(9)
        await reader.readexactly(int.from_bytes(head[:3], "big"))
        kind, flags = head[3], head[4]
        if kind == _SETTINGS and not flags:
            writer.write(_SETTINGS_ACK)
        answered = kind == _DATA and bool(flags & _END_STREAM)


def _content_length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line.split(b":")[1])
    raise RuntimeError(f"no Content-Length in {head!r}")


if __name__ == "__main__":
    raise_file_limit()
    asyncio.run(hold(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]))
