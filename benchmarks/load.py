"""Probes: what is put on a running peer, and what is read off it meanwhile."""

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
    """One wrk run. CPU is read after `ramp_s` and again `tail_s` before its end."""
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
class WrkLoad:
    """Keep-alive GETs by wrk: CPU per request over a window in which every connection is already open.

    The requests of the window are counted by the origin, so that connecting, TLS handshakes and the first requests of a cold
    peer stay outside. Latency and errors are those of the whole wrk run.
    """

    path: str = "/"
    connections: int = 64
    paths: int = 1
    """With more than 1, `{}` in `path` runs through 0 to paths - 1."""

    def __call__(self, target: Target) -> Sample:
        """`value` is CPU microseconds per request."""
        pace = target.pace
        reset_peak(target.pid)
        with wrk(target, self, pace.seconds) as running:
            sleep(pace.ramp_s)
            requests, cpu = target.origin.requests(), cpu_s(target.pid)
            sleep(pace.seconds - pace.ramp_s - pace.tail_s)
            requests, cpu = target.origin.requests() - requests - 1, cpu_s(target.pid) - cpu
            memory = rss_kib(target.pid), rss_peak_kib(target.pid)
            summary = finished(running, pace.seconds)
        if requests < 1:
            raise PeerFailed(f"no request came through: {summary}")
        return Sample(
            value=cpu * 1e6 / requests,
            requests=summary["requests"],
            rps=summary["requests"] * 1e6 / summary["duration_us"],
            p50_ms=summary["p50_us"] / 1000,
            p99_ms=summary["p99_us"] / 1000,
            rss_kib=memory[0],
            rss_peak_kib=memory[1],
            errors=tuple(f"{count} {kind}" for kind, count in summary["errors"].items() if count),
        )


@contextmanager
def wrk(target: Target, load: WrkLoad, seconds: int) -> Iterator[subprocess.Popen[str]]:
    """A wrk run under way on the load core; killed when the block is left before its end."""
    options = [f"-t1 -c{load.connections} -d{seconds}s --timeout 10s --latency", f"-s {WRK_SCRIPT}"]
    argv = [str(debian_program("wrk")), *" ".join(options).split(), target.url]
    command = pinned([*argv, "--", load.path, str(load.paths)], target.cores.load)
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def finished(process: subprocess.Popen[str], seconds: int) -> dict[str, Any]:
    """Wait for a wrk run and return what `wrk.lua` reported; raises PeerFailed."""
    try:
        output, _ = process.communicate(timeout=seconds + 15)
    except subprocess.TimeoutExpired as error:
        raise PeerFailed("wrk did not end in time") from error
    for line in output.splitlines():
        if line.startswith("BENCH "):
            summary: dict[str, Any] = json.loads(line.removeprefix("BENCH "))
            return summary
    raise PeerFailed(f"wrk failed: {' '.join(output.split())[-400:]}")
