"""Where a proxy in Python spends its CPU: `python -m benchmarks.profile [--row ROW] [--seconds N] [--lines] [--native]`.

Runs one entrant of a row alone under its load with py-spy attached, and prints the hottest functions: `self` is the share of
samples with the function on top of the stack, `total` the share with it anywhere on the stack.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.load import Load, Pace, Target, finished, running
from benchmarks.origin import make_certificate, running_origin
from benchmarks.process import PeerFailed, pick_cores, pinned, raise_file_limit
from benchmarks.rounds import Contender, Ground
from benchmarks.rows import ROWS, Entrant

_SAMPLES_PER_S = 500
_WAITING = re.compile(r"\bwait \(threading\.py(:\d+)?\)$")
"""The top of a pool thread that has nothing to do; py-spy counts it as busy."""
_LINE_NUMBER = re.compile(r":\d+\)$")


@dataclass(frozen=True)
class Hot:
    """The samples of a profile, counted by function."""

    samples: int
    self_counts: Counter[str]
    total_counts: Counter[str]


def aggregate(stacks: Iterable[str], lines: bool = False) -> Hot:
    """Count py-spy's raw format, one `outer;inner;... COUNT` per line; `lines` keeps line numbers apart."""
    samples, own, total = 0, Counter[str](), Counter[str]()
    for stack in stacks:
        names, _, count = stack.rstrip().rpartition(" ")
        if not names or _WAITING.search(names):
            continue
        frames = [name if lines else _LINE_NUMBER.sub(")", name) for name in names.split(";")]
        samples += int(count)
        own[frames[-1]] += int(count)
        for frame in set(frames):
            total[frame] += int(count)
    return Hot(samples, own, total)


def table(hot: Hot, top: int) -> str:
    """The hottest functions by self time, then by total time."""
    parts = [f"{hot.samples} samples"]
    for title, counts in (("self", hot.self_counts), ("total", hot.total_counts)):
        parts.append(f"\nby {title}:\n   self  total  function")
        for name, _ in counts.most_common(top):
            shares = (100 * one[name] / max(hot.samples, 1) for one in (hot.self_counts, hot.total_counts))
            parts.append(" ".join(f"{share:5.1f}%" for share in shares) + f"  {name}")
    return "\n".join(parts)


def record(target: Target, load: Load, native: bool, stacks: Path) -> str:
    """Profile a running peer under load into `stacks`; returns one line about the load. Raises PeerFailed."""
    seconds = target.pace.seconds
    options = ["record", "--pid", str(target.pid), "--duration", str(seconds - 2), "--rate", str(_SAMPLES_PER_S)]
    options += ["--format", "raw", "--output", str(stacks), *(["--native"] if native else [])]
    with running(target, load) as process:
        # The profiler sits with the load, so that its own cost does not slow what it looks at.
        spy = subprocess.run(
            pinned([str(_py_spy()), *options], target.cores.load), capture_output=True, text=True, timeout=seconds + 30
        )
        if spy.returncode != 0 or not stacks.exists():
            raise PeerFailed(f"py-spy failed: {spy.stderr.strip()[-400:]}")
        summary = finished(load, process, target)
    return f"{summary.requests} requests in {seconds} s, errors: {', '.join(summary.errors) or 'none'}"


def main() -> int:
    """Profile and print; 1 when the peer does not run."""
    options = _arguments()
    entrant = _entrant(options.row, options.only)
    cores = pick_cores()
    raise_file_limit()
    os.sched_setaffinity(0, {cores.load})
    with tempfile.TemporaryDirectory(prefix="edgegw-bench-") as name:
        folder = Path(name)
        with running_origin(folder, cores.load) as origin:
            pace = Pace(rounds=1, seconds=options.seconds + 2)
            contender = Contender(entrant, Ground(folder, origin, make_certificate(folder), cores, pace))
            try:
                contender.make_ready()
                assert isinstance(entrant.probe, Load)
                print(record(contender.target, entrant.probe, options.native, folder / "stacks"))
                stacks = (folder / "stacks").read_text()
            except PeerFailed as error:
                print(f"{entrant.label}: {error}", file=sys.stderr)
                return 1
            finally:
                contender.stop()
    print(table(aggregate(stacks.splitlines(), options.lines), options.top))
    if options.raw is not None:
        options.raw.write_text(stacks)
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.profile", description=__doc__)
    parser.add_argument("--row", default="get", choices=[row.name for row in ROWS if _profiled(row.entrants)])
    parser.add_argument("--only", default="edgegw", help="the peer, or the entrant's label; it has to be Python")
    parser.add_argument("--seconds", type=int, default=8)
    parser.add_argument("--top", type=int, default=30)
    parser.add_argument("--lines", action="store_true", help="count lines instead of functions")
    parser.add_argument("--native", action="store_true", help="show C frames as well (slower)")
    parser.add_argument("--raw", type=Path, help="keep the stacks, for a flame graph")
    return parser.parse_args()


def _profiled(entrants: tuple[Entrant, ...]) -> bool:
    return all(isinstance(entrant.probe, Load) for entrant in entrants)


def _entrant(row_name: str, name: str) -> Entrant:
    row = next(row for row in ROWS if row.name == row_name)
    for entrant in reversed(row.entrants):
        if name in (entrant.label, entrant.peer.name):
            return entrant
    raise SystemExit(f"{name} takes no part in {row_name}: {', '.join(one.label for one in row.entrants)}")


def _py_spy() -> Path:
    program = Path(sys.executable).parent / "py-spy"
    if not program.exists():
        raise PeerFailed(f"{program} does not exist: pip install py-spy")
    return program


if __name__ == "__main__":
    sys.exit(main())
