"""Probes: what is put on a running peer, and what is read off it meanwhile.

A load is a program that runs for some seconds on the load core: wrk here, h2load in `http2.py`, our own in `websocket.py`.
"""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import sleep
from typing import Any, Protocol

from benchmarks.install import debian_program
from benchmarks.measure import Sample, cpu_s, reset_peak, rss_kib, rss_peak_kib
from benchmarks.origin import Origin
from benchmarks.process import Cores, PeerFailed, pinned

WRK_SCRIPT = Path(__file__).parent / "wrk.lua"


@dataclass(frozen=True)
class Pace:
    """How long and how often a row is measured."""

    rounds: int
    seconds: int
    """One run of the load generator. CPU is read after `ramp_s` and again `tail_s` before its end."""
    ramp_s: float = 0.5
    tail_s: float = 0.2


@dataclass(frozen=True)
class Target:
    """A peer that runs: its process tree and where it answers."""

    pid: int
    port: int
    tls: bool
    origin: Origin
    cores: Cores
    pace: Pace

    @property
    def url(self) -> str:
        """Its root. A name, not an address: TLS clients send it as SNI (RFC 6066 section 3 takes no address)."""
        return f"{'https' if self.tls else 'http'}://localhost:{self.port}"


class Probe(Protocol):
    """Load on one peer for one round."""

    @property
    def path(self) -> str:
        """A path that the peer must answer with the origin's bytes before anything is measured."""

    def __call__(self, target: Target) -> Sample:
        """Run once. Errors of the peer are in the sample; raises PeerFailed when there is nothing to measure."""


@dataclass(frozen=True)
class Summary:
    """A load generator's own account of its run. logged: how many lines it should have left in the peer's access log."""

    requests: int
    duration_s: float
    p50_ms: float
    p99_ms: float
    logged: int
    errors: tuple[str, ...] = ()


class Load:
    """A load generator's run: CPU per request over a window in which every connection is already open.

    The requests of the window are counted by the origin, so that connecting, TLS handshakes and the first requests of a cold
    peer stay outside. Latency and errors are those of the whole run.
    """

    def command(self, target: Target) -> list[str]:
        """The program and its arguments."""
        raise NotImplementedError

    def count(self, origin: Origin) -> int:
        """Requests that the origin has begun to answer so far."""
        return origin.requests()

    def summary(self, output: str, target: Target) -> Summary:
        """What the program said of its run; raises PeerFailed."""
        raise NotImplementedError

    def __call__(self, target: Target) -> Sample:
        """`value` is CPU microseconds per request."""
        pace = target.pace
        reset_peak(target.pid)
        with running(target, self) as process:
            sleep(pace.ramp_s)
            requests, cpu = self.count(target.origin), cpu_s(target.pid)
            sleep(pace.seconds - pace.ramp_s - pace.tail_s)
            requests, cpu = self.count(target.origin) - requests, cpu_s(target.pid) - cpu
            memory = rss_kib(target.pid), rss_peak_kib(target.pid)
            summary = finished(self, process, target)
        if requests < 1:
            raise PeerFailed(f"no request came through: {summary}")
        return Sample(
            value=cpu * 1e6 / requests,
            requests=summary.logged,
            rps=summary.requests / summary.duration_s,
            p50_ms=summary.p50_ms,
            p99_ms=summary.p99_ms,
            rss_kib=memory[0],
            rss_peak_kib=memory[1],
            errors=summary.errors,
        )


@dataclass(frozen=True)
class WrkLoad(Load):
    """Keep-alive GETs by wrk."""

    path: str = "/"
    connections: int = 64
    paths: int = 1
    """With more than 1, `{}` in `path` runs through 0 to paths - 1."""

    def command(self, target: Target) -> list[str]:
        """wrk with the script that reports in JSON."""
        options = [f"-t1 -c{self.connections} -d{target.pace.seconds}s --timeout 10s --latency", f"-s {WRK_SCRIPT}"]
        argv = [str(debian_program("wrk")), *" ".join(options).split(), target.url]
        return [*argv, "--", self.path, str(self.paths)]

    def summary(self, output: str, target: Target) -> Summary:
        """From the line that `wrk.lua` prints."""
        said = bench_line(output)
        return Summary(
            requests=said["requests"],
            duration_s=said["duration_us"] / 1e6,
            p50_ms=said["p50_us"] / 1000,
            p99_ms=said["p99_us"] / 1000,
            logged=said["requests"],
            errors=tuple(f"{count} {kind}" for kind, count in said["errors"].items() if count),
        )


@contextmanager
def running(target: Target, load: Load) -> Iterator[subprocess.Popen[str]]:
    """A load under way on the load core; killed when the block is left before its end."""
    command = pinned(load.command(target), target.cores.load)
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=Path(__file__).parents[1]
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def finished(load: Load, process: subprocess.Popen[str], target: Target) -> Summary:
    """Wait for a load's end and return its account; raises PeerFailed."""
    try:
        output, _ = process.communicate(timeout=target.pace.seconds + 15)
    except subprocess.TimeoutExpired as error:
        raise PeerFailed("the load did not end in time") from error
    return load.summary(output, target)


def bench_line(output: str) -> dict[str, Any]:
    """The JSON behind `BENCH ` in what a load generator printed; raises PeerFailed."""
    for line in output.splitlines():
        if line.startswith("BENCH "):
            said: dict[str, Any] = json.loads(line.removeprefix("BENCH "))
            return said
    raise PeerFailed(f"the load failed: {' '.join(output.split())[-400:]}")
