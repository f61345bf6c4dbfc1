"""The probe of balancers, in this process."""

from unittest import TestCase

from benchmarks.balance import Choices, measured
from benchmarks.rows import ROWS
from edgegw.upstream.balance.settings import BalanceSettings


class ChoicesTests(TestCase):
    """Every entrant of the row can be measured."""

    def test_every_algorithm(self) -> None:
        """With few endpoints, and as many as make a table that is built in steps."""
        (row,) = [row for row in ROWS if row.name == "balance"]
        for entrant in row.entrants:
            assert isinstance(entrant.probe, Choices)
            settings = BalanceSettings.model_validate_json(entrant.probe.settings)
            for count in (3, 60):
                said = measured(settings, count, cpu_s=0.001)
                self.assertGreater(said["us"], 0)
                self.assertGreaterEqual(said["choices"], 1000)
