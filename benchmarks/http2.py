"""HTTP/2 loads by h2load: GETs, and unary gRPC calls."""

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles
from tempfile import gettempdir

from benchmarks.install import debian_program
from benchmarks.load import Load, Summary, Target
from benchmarks.origin import GRPC_MESSAGE, GRPC_PATH
from benchmarks.process import PeerFailed


@dataclass(frozen=True)
class Http2Load(Load):
    """Requests by h2load over `connections`, with at most `streams` at a time on each.

    body: sent with each request, which is then a POST. headers: `name: value`.
    """

    path: str = "/"
    connections: int = 8
    streams: int = 8
    body: bytes = b""
    headers: tuple[str, ...] = ()

    def command(self, target: Target) -> list[str]:
        """h2load for so many seconds, each request noted in a file."""
        log, body = _files(target)
        log.unlink(missing_ok=True)
        options = [f"-t1 -c{self.connections} -m{self.streams} -D{target.pace.seconds}", f"--log-file={log}"]
        argv = [str(debian_program("h2load", "nghttp2-client")), *" ".join(options).split()]
        if self.body:
            body.write_bytes(self.body)
            argv.append(f"--data={body}")
        for header in self.headers:
            argv.append(f"--header={header}")
        return [*argv, target.url + self.path]

    def summary(self, output: str, target: Target) -> Summary:
        """From h2load's last lines and its log."""
        counts = re.search(
            r"requests: (\d+) total, .* (\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout", output
        )
        log, _ = _files(target)
        if counts is None or not log.exists():
            raise PeerFailed(f"h2load failed: {' '.join(output.split())[-400:]}")
        rows = [line.split("\t") for line in log.read_text().splitlines()]
        times_us = [int(row[2]) for row in rows]
        statuses = Counter(row[1] for row in rows if row[1] != "200")
        log.unlink(missing_ok=True)
        cuts = quantiles(times_us, n=100) if len(times_us) > 1 else [0.0] * 99
        done = int(counts[2])
        bad = {"failed": int(counts[3]), "errored": int(counts[4]), "timeout": int(counts[5])}
        return Summary(
            requests=done,
            duration_s=float(target.pace.seconds),
            p50_ms=cuts[49] / 1000,
            p99_ms=cuts[98] / 1000,
            logged=done,
            errors=tuple(f"{count} {kind}" for kind, count in bad.items() if count)
            + tuple(f"{count} of status {status}" for status, count in statuses.items()),
        )


def grpc_load() -> Http2Load:
    """Unary calls with a message of 125 bytes each way."""
    headers = ("content-type: application/grpc", "te: trailers", "grpc-timeout: 10S")
    return Http2Load(path=GRPC_PATH, body=GRPC_MESSAGE, headers=headers)


def _files(target: Target) -> tuple[Path, Path]:
    """Where h2load writes its log and reads a body."""
    stem = Path(gettempdir()) / f"edgegw-bench-h2load-{target.port}"
    return stem.with_suffix(".log"), stem.with_suffix(".body")
