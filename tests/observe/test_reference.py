"""The pages of the docs are those of the code."""

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from edgegw.observe.metrics import METRICS
from edgegw.observe.reference import access_log_markdown, metrics_markdown

_DOCS = Path(__file__).parents[2] / "docs" / "reference"


class ReferenceTests(SynchronousTestCase):
    def test_every_metric_has_a_row(self) -> None:
        rows = [line for line in metrics_markdown().splitlines() if line.startswith("| `")]
        self.assertEqual([row.split("`")[1] for row in rows], [spec.name for spec in METRICS])
        self.assertTrue(all(row.count("|") == 5 for row in rows))

    def test_the_committed_pages_are_current(self) -> None:
        for name, page in (("metrics", metrics_markdown()), ("access-log", access_log_markdown())):
            hint = f"run: python -m edgegw.observe.reference {name} > docs/reference/{name}.md"
            self.assertEqual((_DOCS / f"{name}.md").read_text(), page, hint)
