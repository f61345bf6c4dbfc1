"""CI's last line: what `scripts/tally.py` makes of trial's closing lines and of exit statuses."""

import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from scripts.tally import Count, Step, count_line, verdict

ROOT = Path(__file__).resolve().parent.parent
LINES = [
    ("PASSED (successes=5)\n", Count(5, 0, 0)),
    ("PASSED (skips=1, successes=3)\n", Count(3, 0, 1)),
    ("PASSED (expectedFailures=2, successes=3)\n", Count(3, 0, 2)),
    ("FAILED (failures=1, errors=2, successes=7)\n", Count(7, 3, 0)),
    ("FAILED (skips=1, unexpectedSuccesses=1)\n", Count(0, 1, 1)),
    ("PASSED\n", Count()),
    ("PASSED (skips=1, successes=3) said a test\n", Count()),
    ("  PASSED (successes=3)\n", Count()),
    ("Ran 5 tests in 0.1s\n", Count()),
]
TESTS, CHECK = Step("tests", "t", "true"), Step("check", "c", "true")
VERDICTS = [
    (TESTS, Count(3, 0, 1), 0, Count(3, 0, 1)),
    (TESTS, Count(3, 1, 0), 1, Count(3, 1, 0)),
    (TESTS, Count(3, 0, 0), 1, Count(3, 1, 0)),  # crashed after its summary, or one of two runs did not start
    (TESTS, Count(), 0, Count(0, 1, 0)),  # ran no test
    (CHECK, Count(), 0, Count(1, 0, 0)),
    (CHECK, Count(), 7, Count(0, 1, 0)),
    (CHECK, Count(5, 0, 0), 0, Count(1, 0, 0)),
]


class TallyTests(SynchronousTestCase):
    """Tables of lines and verdicts, then the script as CI runs it."""

    def test_lines(self) -> None:
        for line, expected in LINES:
            self.assertEqual(count_line(line), expected, line)

    def test_verdicts(self) -> None:
        for step, counted, status, expected in VERDICTS:
            self.assertEqual(verdict(step, counted, status), expected, (step, counted, status))

    def test_every_step_runs_and_the_last_line_counts(self) -> None:
        """A failed and a hung step stop nothing; the last line is the tally and the status tells."""
        steps = [
            "tests:a=echo 'PASSED (skips=1, successes=4)'",
            "check:b=exit 3",
            "check:c=sleep 60",
            "tests:d=echo 'FAILED (errors=1, successes=2)'; exit 1",
            "check:e=true",
        ]
        done = self.tally("--limit", "1", *steps)
        self.assertEqual((done.stdout.splitlines()[-1], done.returncode), ("7 passed, 3 failed, 1 skipped", 1))

    def test_all_well(self) -> None:
        done = self.tally("check:one=true", "tests:two=echo 'PASSED (successes=2)'")
        self.assertEqual((done.stdout.splitlines()[-1], done.returncode), ("3 passed, 0 failed, 0 skipped", 0))

    def test_a_step_it_cannot_read(self) -> None:
        self.assertEqual(self.tally("nonsense").returncode, 2)

    def tally(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        script = [sys.executable, str(ROOT / "scripts/tally.py"), *arguments]
        return subprocess.run(script, capture_output=True, text=True, timeout=60, check=False)
