"""What a report concludes from samples."""

import json
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import TestCase

from benchmarks import report
from benchmarks.load import WrkLoad
from benchmarks.measure import Sample
from benchmarks.peers.debian import Nginx
from benchmarks.peers.interfaces import Setup
from benchmarks.rounds import Outcome, RowOutcome
from benchmarks.rows import Budget, Entrant, Row

FACTS = report.Facts("python -m benchmarks", datetime(2026, 1, 2, 3, 4, tzinfo=UTC), "3 rounds", {"nginx": "1"}, {})


def outcome(budget: Budget, failure: str | None = None, **values: list[float]) -> RowOutcome:
    """A measured row with one budget; `values` are the samples of each entrant."""
    entrants = tuple(Entrant(label, Nginx(), Setup(), WrkLoad()) for label in values)
    row = Row("r", "A row", entrants, "nginx", (budget,))
    outcomes = {label: Outcome(label, [Sample(value, 10) for value in samples]) for label, samples in values.items()}
    outcomes["edgegw"].failure = failure
    return RowOutcome(row, outcomes)


class VerdictTests(TestCase):
    """`judge`: the word for each case."""

    def test_words(self) -> None:
        """Goal, first landing and neither, each at its edge."""
        budget = Budget("p", "edgegw", "nginx", goal=3, first_landing=5)
        for cpu, word in ((30.0, report.GOAL_MET), (50.0, report.LANDED), (50.1, report.MISSED)):
            self.assertEqual(report.judge(budget, outcome(budget, edgegw=[cpu], nginx=[10.0])).word, word)

    def test_ratio_is_paired(self) -> None:
        """A round in which the machine was slow for everybody does not move the ratio; medians alone would say 1.0."""
        budget = Budget("p", "edgegw", "nginx", goal=3, first_landing=5)
        result = outcome(budget, edgegw=[20.0, 200.0, 22.0], nginx=[10.0, 100.0, 22.0])
        self.assertEqual(report.judge(budget, result).measured, 2.0)

    def test_failed_is_not_measured(self) -> None:
        """An entrant with errors gets no verdict, however good its samples look."""
        budget = Budget("p", "edgegw", "nginx", goal=3, first_landing=5)
        result = outcome(budget, failure="3 read", edgegw=[10.0], nginx=[10.0])
        verdict = report.judge(budget, result)
        self.assertEqual((verdict.measured, verdict.word), (None, report.NOT_MEASURED))
        self.assertEqual(report.failures([result]), ["r: edgegw: 3 read"])

    def test_absolute(self) -> None:
        """A budget against nobody is in the row's unit."""
        budget = Budget("p", "edgegw", None, goal=12, first_landing=20)
        verdict = report.judge(budget, outcome(budget, edgegw=[15.0], nginx=[1.0]))
        self.assertEqual((verdict.measured, verdict.word), (15.0, report.LANDED))

    def test_files(self) -> None:
        """Both files are written, name a miss plainly and hold every sample."""
        budget = Budget("p", "edgegw", "nginx", goal=3, first_landing=5)
        page = report.write(
            Path(self.enterContext(TemporaryDirectory())),
            "quick",
            FACTS,
            [outcome(budget, edgegw=[60.0, 62.0], nginx=[10.0, 10.0])],
        )
        self.assertEqual(page.name, "2026-01-02-0304-quick.md")
        self.assertIn("| p | 6.10x | 3.00x | 5.00x | MISSED |", page.read_text())
        rows = json.loads(page.with_suffix(".json").read_text())["rows"]
        self.assertEqual([sample["value"] for sample in rows[0]["peers"][0]["samples"]], [60.0, 62.0])
