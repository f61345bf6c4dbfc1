"""A TCP proxy of its own process that does to connections what networks and dying servers do: `FaultProxy`.

    proxy = self.serve(FaultProxy(origin.port()))        # Gateway(proxy(proxy.port()))
    proxy.set(cut=300_000, reset=True)                   # connections from now on
    proxy.set()                                          # passes everything again
    proxy.drop()                                         # RST to all that are there

What can be set (`Fault`); times in seconds:

    listen        "accept"; "refuse": nobody listens; "blackhole": SYNs are not answered
    silent        accepts and never says anything; nothing reaches the target
    frozen        what is there now stays open and passes nothing any more, as behind a pulled cable
    connect_s     before the target is connected to;  first_s  before the first bytes of answers;  delay_s  before each piece
    rate          bytes a second of the answer
    cut           after so many bytes of answers the connection ends;  refuse_at  the same of requests
    reset         ends are RSTs, not FINs
    stale_s       a request on a connection that was idle for so long is not read: the connection ends
    target        connections lead to this port, not to the one that it was started before
    garbage       in hexadecimal digits: sent for an answer, then the end

`stats()`: connections accepted, open, ended by a fault, bytes each way.
"""

import argparse
import asyncio
import json
import os
import signal
import socket
import struct
import sys
import time
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Self

from tests.live.process import Server, wait_until

ROOT = str(Path(__file__).resolve().parents[2])
PIECE = 65536
RST = struct.pack("ii", 1, 0)


@dataclass
class Fault:
    """What is done to connections."""

    listen: str = "accept"
    silent: bool = False
    frozen: bool = False
    connect_s: float = 0.0
    first_s: float = 0.0
    delay_s: float = 0.0
    rate: int = 0
    cut: int = -1
    refuse_at: int = -1
    reset: bool = False
    stale_s: float = 0.0
    garbage: str = ""
    target: int = 0


class Cutting(Exception):
    """The connection is to end here."""


class Proxied:
    """One connection from the gateway and, behind it, one to the target."""

    def __init__(self, front: "Front", reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.front = front
        self.reader = reader
        self.writer = writer
        self.behind: asyncio.StreamWriter | None = None
        self.asked = self.answered = 0
        self.last_s = time.monotonic()

    async def run(self) -> None:
        """Until it ends, in order or not."""
        fault = self.front.fault
        try:
            if fault.silent:
                await self.reader.read(-1)
                return
            if fault.garbage:
                await self.reader.read(PIECE)
                self.writer.write(bytes.fromhex(fault.garbage))
                await self.writer.drain()
                raise Cutting
            await asyncio.sleep(fault.connect_s)
            back, self.behind = await asyncio.open_connection("127.0.0.1", fault.target or self.front.target)
            await asyncio.gather(self.requests(), self.answers(back))
        except Cutting:
            self.front.counts["ended"] += 1
            self.end(reset=self.front.fault.reset)
        except OSError:
            self.end(reset=True)
        finally:
            self.end()

    async def requests(self) -> None:
        """What the gateway sends."""
        assert self.behind is not None
        while data := await self.reader.read(PIECE):
            fault = self.front.fault
            await self.front.thaw()
            if fault.stale_s and self.answered and time.monotonic() - self.last_s >= fault.stale_s:
                raise Cutting
            self.asked += len(data)
            self.front.counts["asked"] += len(data)
            if 0 <= fault.refuse_at <= self.asked:
                raise Cutting
            self.behind.write(data)
            await self.behind.drain()
        if self.behind.can_write_eof():
            self.behind.write_eof()

    async def answers(self, back: asyncio.StreamReader) -> None:
        """What the target sends."""
        while data := await back.read(self.piece()):
            fault = self.front.fault
            await self.front.thaw()
            await asyncio.sleep((0 if self.answered else fault.first_s) + fault.delay_s)
            if fault.rate:
                await asyncio.sleep(len(data) / fault.rate)
            left = fault.cut - self.answered if fault.cut >= 0 else len(data)
            self.writer.write(data[: max(left, 0)])
            await self.writer.drain()
            self.answered += len(data)
            self.front.counts["answered"] += len(data)
            self.last_s = time.monotonic()
            if left <= len(data) and fault.cut >= 0:
                # A RST takes away what its receiver has not read yet.
                await asyncio.sleep(0.2 if fault.reset and fault.cut else 0)
                raise Cutting
        self.writer.write_eof()

    def piece(self) -> int:
        """How much is read at once: a slow connection gets it in small pieces."""
        rate = self.front.fault.rate
        return max(min(rate // 20, PIECE), 1) if rate else PIECE

    def end(self, *, reset: bool = False) -> None:
        """Close both sides."""
        for writer in (self.writer, self.behind):
            if writer is None or writer.transport.is_closing():
                continue
            if reset and writer is self.writer:
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RST)
                writer.transport.abort()
            else:
                writer.close()


class Front:
    """The listening side. target: a port."""

    def __init__(self, port: int, target: int) -> None:
        self.port = port
        self.target = target
        self.fault = Fault()
        self.counts = {"accepted": 0, "ended": 0, "asked": 0, "answered": 0}
        self.open: set[Proxied] = set()
        self._server: asyncio.Server | None = None
        self._hole: list[socket.socket] = []
        self._thawed = asyncio.Event()

    async def thaw(self) -> None:
        """Wait until nothing is frozen."""
        if self.fault.frozen:
            await self._thawed.wait()

    async def apply(self, fault: Fault) -> None:
        """Do this from now on."""
        self.fault = fault
        self._thawed.set() if not fault.frozen else self._thawed.clear()
        if self._server is not None and fault.listen != "accept":
            self._server.close()
            self._server = None
        for each in self._hole:
            each.close()
        self._hole = self.hole() if fault.listen == "blackhole" else []
        if self._server is None and fault.listen == "accept":
            self._server = await asyncio.start_server(
                self.serve, "127.0.0.1", self.port, backlog=1024, reuse_address=True
            )

    def hole(self) -> list[socket.socket]:
        """A listening socket whose queue is full: the kernel answers no further SYN."""
        listening = socket.socket()
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("127.0.0.1", self.port))
        listening.listen(0)
        found = [listening]
        for _ in range(3):
            filling = socket.socket()
            filling.setblocking(False)
            filling.connect_ex(("127.0.0.1", self.port))
            found.append(filling)
        return found

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """A connection."""
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.counts["accepted"] += 1
        proxied = Proxied(self, reader, writer)
        self.open.add(proxied)
        try:
            await proxied.run()
        finally:
            self.open.discard(proxied)

    async def command(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One line of JSON, answered by one."""
        said = json.loads(await reader.readline() or b"{}")
        if "fault" in said:
            await self.apply(Fault(**said["fault"]))
        if said.get("drop"):
            for each in list(self.open):
                each.end(reset=True)
        writer.write(json.dumps({**self.counts, "open": len(self.open)}).encode() + b"\n")
        writer.close()


async def serve(port: int, control: int, target: int) -> None:
    """Run until a signal ends it."""
    front = Front(port, target)
    await front.apply(Fault())
    async with await asyncio.start_server(front.command, "127.0.0.1", control):
        stop = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
        await stop.wait()
    os._exit(0)


class FaultProxy(Server):
    """The process, in front of this port."""

    def __init__(self, target: int, **options: Any) -> None:
        super().__init__(**options)
        self.target = target
        self.port("web")
        self.port("control")

    def command(self) -> list[str]:
        ports = ["--port", str(self.port()), "--control", str(self.port("control")), "--target", str(self.target)]
        return [sys.executable, "-u", "-m", "tests.live.fault_proxy", *ports]

    def start(self) -> Self:
        self.env.setdefault("PYTHONPATH", ROOT)
        return super().start()

    def set(self, **fault: Any) -> None:
        """Do this, and nothing else, from now on."""
        known = {each.name for each in fields(Fault)}
        assert fault.keys() <= known, fault
        self._say(fault=asdict(Fault(**fault)))

    def drop(self) -> None:
        """Reset every connection."""
        self._say(drop=True)

    def stats(self) -> dict[str, int]:
        """accepted, ended, open: connections; asked, answered: bytes."""
        return self._say()

    def await_open(self, count: int, limit_s: float = 10.0) -> None:
        """Wait until it has so many connections."""
        wait_until(lambda: self.stats()["open"] == count, f"{count} open connections at {self!r}", limit_s)

    def _say(self, **said: Any) -> dict[str, int]:
        with socket.create_connection(("127.0.0.1", self.port("control")), timeout=10) as peer:
            peer.sendall(json.dumps(said).encode() + b"\n")
            answer: dict[str, int] = json.loads(peer.makefile("rb").readline())
        return answer


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    for name in ("--port", "--control", "--target"):
        parser.add_argument(name, type=int, required=True)
    chosen = parser.parse_args()
    asyncio.run(serve(chosen.port, chosen.control, chosen.target))
