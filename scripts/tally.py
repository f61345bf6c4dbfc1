"""Runs steps one after the other, all of them, and ends with one line: `N passed, N failed, N skipped`.

    python3 scripts/tally.py [--limit SECONDS] KIND:NAME=COMMAND ...

KIND `tests`: a command that runs trial. Its output is streamed and its closing lines are added up ("PASSED (skips=1,
successes=7)"). A run that executed no test, or that ended badly with no failed test to show for it (a crash, a time limit),
counts as one failure. KIND `check`: any other command; it is one item, passed if it exits with 0.

COMMAND is a shell command. The exit status is 1 if anything failed, 2 for a step that cannot be understood.
"""

import argparse
import os
import re
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass

SUMMARY = re.compile(r"^(?:PASSED|FAILED)(?: \((?P<parts>[a-zA-Z]+=\d+(?:, [a-zA-Z]+=\d+)*)\))?\s*$")
PASSED, FAILED, SKIPPED = {"successes"}, {"failures", "errors", "unexpectedSuccesses"}, {"skips", "expectedFailures"}


@dataclass(frozen=True)
class Count:
    """How many items passed, failed and were skipped."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0

    def __add__(self, other: "Count") -> "Count":
        return Count(self.passed + other.passed, self.failed + other.failed, self.skipped + other.skipped)

    def __str__(self) -> str:
        return f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"


@dataclass(frozen=True)
class Step:
    """One command to run. kind: `tests` or `check`."""

    kind: str
    name: str
    command: str

    @classmethod
    def parse(cls, text: str) -> "Step":
        """Read `KIND:NAME=COMMAND`; raises ValueError."""
        match = re.fullmatch(r"(tests|check):([^=]+)=(.+)", text, re.DOTALL)
        if match is None:
            raise ValueError(f"not KIND:NAME=COMMAND with KIND tests or check: {text!r}")
        return cls(*match.groups())


def count_line(line: str) -> Count:
    """What one line of output says, if it is trial's closing line."""
    match = SUMMARY.match(line)
    if match is None or match["parts"] is None:
        return Count()
    numbers = {name: int(number) for name, _, number in (part.partition("=") for part in match["parts"].split(", "))}
    return Count(*(sum(numbers.get(name, 0) for name in names) for names in (PASSED, FAILED, SKIPPED)))


def verdict(step: Step, counted: Count, status: int) -> Count:
    """Turn what was counted and the exit status into what the step adds to the tally."""
    if step.kind == "check":
        return Count(passed=1) if status == 0 else Count(failed=1)
    ran_nothing = counted == Count()
    failed_silently = status != 0 and counted.failed == 0
    return counted + Count(failed=1) if ran_nothing or failed_silently else counted


def end(process: "subprocess.Popen[str]", limit_s: float) -> None:
    """Kill the step and everything it started."""
    print(f"the time limit of {limit_s:g} s is over: killed", flush=True)
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def run(step: Step, limit_s: float) -> tuple[Count, float]:
    """Run the step with its output shown as it comes; returns its count and the seconds it took."""
    print(f"\n===== {step.name}: {step.command}", flush=True)
    started, counted = time.monotonic(), Count()
    process = subprocess.Popen(
        step.command,
        shell=True,
        text=True,
        errors="replace",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    watch = threading.Timer(limit_s, end, (process, limit_s))
    watch.start()
    try:
        assert process.stdout is not None
        for line in process.stdout:
            sys.stdout.write(line)
            sys.stdout.flush()
            counted += count_line(line)
        status = process.wait()
    finally:
        watch.cancel()
    return verdict(step, counted, status), time.monotonic() - started


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--limit", type=float, default=900.0, help="seconds a step may take (%(default)g)")
    parser.add_argument("steps", nargs="+", metavar="KIND:NAME=COMMAND")
    options = parser.parse_args(arguments)
    try:
        steps = [Step.parse(text) for text in options.steps]
    except ValueError as error:
        parser.error(str(error))
    total, lines = Count(), []
    for step in steps:
        count, took_s = run(step, options.limit)
        total += count
        lines.append(f"{'FAILED' if count.failed else 'ok':6}  {took_s:6.1f} s  {step.name}: {count}")
    print("\n" + "\n".join(lines), flush=True)
    print(total, flush=True)
    return 1 if total.failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
