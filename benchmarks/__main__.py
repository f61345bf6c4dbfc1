"""`python -m benchmarks [--quick] [--only PEER,...] [--rows ROW,...] [--out FOLDER] [--gate]`."""

import argparse
import os
import shlex
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

from benchmarks.load import Pace
from benchmarks.origin import make_certificate, running_origin
from benchmarks.process import PeerFailed, pick_cores, raise_file_limit
from benchmarks.report import MISSED, Facts, failures, machine_facts, verdicts, write
from benchmarks.rounds import Ground, RowOutcome, run_row
from benchmarks.rows import PEERS, ROWS, Entrant, Row

FULL = Pace(rounds=5, seconds=4)
QUICK = Pace(rounds=3, seconds=2)
LIMIT_S = {FULL: 1200, QUICK: 360}


class TimeUp(Exception):
    """The run has used the time it may take."""


def arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line; ends the process with status 2 on a word that is no peer or row."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="shorter and fewer rounds: under 6 minutes instead of 20")
    parser.add_argument("--only", type=_names(peer.name for peer in PEERS), help="peers, separated by commas")
    parser.add_argument("--rows", type=_names(row.name for row in ROWS), help="rows, separated by commas")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"), help="folder of the report")
    parser.add_argument("--gate", action="store_true", help="end with status 1 when a first landing is missed")
    return parser.parse_args(words)


def main() -> int:
    """Run and write the report; 0 when everything that was asked for was measured, else 1."""
    options = arguments()
    pace = QUICK if options.quick else FULL
    started = datetime.now(UTC)
    machine, versions = machine_facts(), _versions(options.only)
    with _time_limit(LIMIT_S[pace]):
        results, late = _measure(pace, options.rows, options.only)
    facts = Facts(
        command=shlex.join(["python", "-m", "benchmarks", *sys.argv[1:]]),
        started=started,
        pace=f"{pace.rounds} rounds of {pace.seconds} s",
        versions=versions,
        machine=machine,
    )
    page = write(options.out, "quick" if options.quick else "full", facts, results)
    print(page.read_text())
    print(f"written to {page} and .json", flush=True)
    bad = failures(results) + late
    if options.gate:
        bad += [f"budget missed: {verdict.path}" for verdict in verdicts(results) if verdict.word == MISSED]
    for line in bad:
        print(line, file=sys.stderr)
    return 1 if bad else 0


def _measure(pace: Pace, rows: list[str] | None, peers: list[str] | None) -> tuple[list[RowOutcome], list[str]]:
    chosen = [
        (row, taking_part) for row in ROWS if rows is None or row.name in rows if (taking_part := _of(row, peers))
    ]
    results: list[RowOutcome] = []
    cores = pick_cores()
    raise_file_limit()
    os.sched_setaffinity(0, {cores.load})
    with tempfile.TemporaryDirectory(prefix="edgegw-bench-") as name:
        folder = Path(name)
        try:
            certificate = make_certificate(folder)
            with running_origin(folder, cores.load) as origin:
                ground = Ground(folder, origin, certificate, cores, pace)
                for row, entrants in chosen:
                    print(f"{row.name}: {row.title}: {', '.join(one.label for one in entrants)}", flush=True)
                    results.append(run_row(row, entrants, ground))
        except TimeUp:
            return results, [f"{row.name}: not measured, the time was up" for row, _ in chosen[len(results) :]]
    return results, []


def _of(row: Row, peers: list[str] | None) -> tuple[Entrant, ...]:
    return tuple(entrant for entrant in row.entrants if peers is None or entrant.peer.name in peers)


def _versions(only: list[str] | None) -> dict[str, str]:
    found = {}
    for peer in PEERS:
        if only is None or peer.name in only:
            try:
                found[peer.name] = peer.version()
            except PeerFailed as error:
                found[peer.name] = f"not available: {error}"
    return found


def _names(known: Iterator[str]) -> Callable[[str], list[str]]:
    words = list(known)

    def parse(text: str) -> list[str]:
        unknown = [word for word in text.split(",") if word not in words]
        if unknown:
            raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: not one of {', '.join(words)}")
        return text.split(",")

    return parse


@contextmanager
def _time_limit(seconds: int) -> Iterator[None]:
    """Raise TimeUp in the block after `seconds`, and turn SIGTERM into an ordinary end, so that everything started is ended."""

    def time_up(number: int, frame: FrameType | None) -> None:
        raise TimeUp

    def terminated(number: int, frame: FrameType | None) -> None:
        sys.exit(128 + number)

    signal.signal(signal.SIGALRM, time_up)
    signal.signal(signal.SIGTERM, terminated)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)


if __name__ == "__main__":
    sys.exit(main())
