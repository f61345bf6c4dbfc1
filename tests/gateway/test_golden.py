"""Golden files: a configuration, a line of dashes, and exactly what an operator reads about it before it could serve.

`EDGEGW_GOLDEN_UPDATE=1` rewrites the second halves: look at the difference before you keep it. `a.pem`, `a.key` are a certificate
and its key, `DIR` is the folder.
"""

import os
import shutil
import tempfile
import unittest
from pathlib import Path

from twisted.internet.task import Clock

from edgegw.config.problems import ConfigError, Problems
from edgegw.config.report import UNCHANGED, render
from edgegw.config.source import loads
from edgegw.gateway.assembly import Resources
from edgegw.gateway.builtins import Parts
from edgegw.gateway.loading import accept, provision
from edgegw.gateway.telemetry import Telemetry
from edgegw.net.resolver import Resolver
from edgegw.runtime.wheel import Wheel
from tests.certs import Authority
from tests.gateway.foreign import POINTS

FOLDER = Path(__file__).parent.parent / "golden" / "gateway"
DASHES = "----------\n"
ENVIRON = {"TOKEN": "s3cret-value", "HOST": "a.example.com"}


def resources() -> Resources:
    """As `edgegw check` uses them, with the middleware of strangers."""
    clock = Clock()

    def no_lookup(name: str) -> None:
        raise OSError(name)

    return Resources(clock, Wheel(clock), Resolver(clock, no_lookup), Telemetry(), Parts(POINTS))  # type: ignore[arg-type]


def outcome(text: str, folder: Path) -> str:
    problems = Problems()
    try:
        document = loads(text, "shop.yaml", environ=ENVIRON, base=folder, defer=True)
        provision(accept(document, folder, defer=True), resources(), into=problems)
    except ConfigError as error:
        return render(error.problems, error.sources, closing=UNCHANGED) + "\n"
    found = problems.located(document)
    return (render(found, document.files) if found else "ok") + "\n"


class GoldenTests(unittest.TestCase):
    maxDiff = None

    def test_files(self) -> None:
        folder = Path(tempfile.mkdtemp(prefix="edgegw-golden-"))
        self.addCleanup(shutil.rmtree, folder)
        Authority().issue("a.example.com").write(folder, "a")
        files = sorted(FOLDER.glob("*.txt"))
        self.assertGreaterEqual(len(files), 8)
        for path in files:
            text, _, expected = path.read_text().partition(DASHES)
            found = outcome(text, folder).replace(str(folder), "DIR")
            if os.environ.get("EDGEGW_GOLDEN_UPDATE") == "1":
                path.write_text(text + DASHES + found)
                continue
            with self.subTest(file=path.name):
                self.assertEqual(found, expected)
