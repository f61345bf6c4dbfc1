"""Golden files: a configuration, a line of dashes, and exactly what an operator reads about it.

`EDGEGW_GOLDEN_UPDATE=1` rewrites the second halves: look at the difference before you keep it.
"""

import os
import unittest
from pathlib import Path

from edgegw.config.problems import ConfigError
from edgegw.config.report import UNCHANGED, render
from edgegw.config.source import loads
from edgegw.config.validation import validate
from tests.config.sample import Config, check_names

FOLDER = Path(__file__).parent.parent / "golden" / "config"
DASHES = "----------\n"


def outcome(text: str) -> str:
    try:
        validate(Config, loads(text, "shop.yaml", environ={"HOST": "a.example.com"}, defer=True), checks=[check_names])
    except ConfigError as error:
        return render(error.problems, error.sources, closing=UNCHANGED) + "\n"
    return "ok\n"


class GoldenTests(unittest.TestCase):
    maxDiff = None

    def test_files(self) -> None:
        files = sorted(FOLDER.glob("*.txt"))
        self.assertGreaterEqual(len(files), 10)
        for path in files:
            text, _, expected = path.read_text().partition(DASHES)
            found = outcome(text)
            if os.environ.get("EDGEGW_GOLDEN_UPDATE") == "1":
                path.write_text(text + DASHES + found)
                continue
            with self.subTest(file=path.name):
                self.assertEqual(found, expected)
