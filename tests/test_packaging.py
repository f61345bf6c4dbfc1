"""What the wheel holds: all of edgegw, both plugin modules, and nothing of Twisted's own."""

import functools
import tempfile
import zipfile
from email.parser import Parser
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.wheel import ROOT, build_wheel


@functools.cache
def built() -> dict[str, str]:
    """Name -> text of the files in the wheel, built once for all of these tests."""
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(build_wheel(Path(folder))) as archive:
        return {name: archive.read(name).decode() for name in archive.namelist()}


class WheelTests(SynchronousTestCase):
    """Tests of the built wheel's contents."""

    def setUp(self) -> None:
        files = built()
        self.names = set(files)
        info = next(name.partition("/")[0] for name in files if ".dist-info/" in name)
        self.metadata = files[f"{info}/METADATA"]
        self.entry_points = files[f"{info}/entry_points.txt"]

    def test_plugins(self) -> None:
        """Both plugin modules are there, and no file that Twisted owns (its __init__.py, its cache)."""
        plugins = {name for name in self.names if name.startswith("twisted/")}
        self.assertEqual(plugins, {"twisted/plugins/edgegw_plugin.py", "twisted/plugins/edgegw_loop.py"})

    def test_every_module(self) -> None:
        """Every source file of edgegw is packed, and py.typed with them."""
        sources = {str(path.relative_to(ROOT)) for path in (ROOT / "edgegw").rglob("*.py")}
        self.assertEqual((sources | {"edgegw/py.typed"}) - self.names, set())

    def test_nothing_else(self) -> None:
        """No tests, scripts or examples end up in site-packages."""
        tops = {name.partition("/")[0] for name in self.names if ".dist-info/" not in name}
        self.assertEqual(tops, {"edgegw", "twisted"})

    def test_command(self) -> None:
        """The console script is declared."""
        self.assertIn("edgegw = edgegw.cli:main", self.entry_points)

    def test_metadata(self) -> None:
        """Name, Python and dependencies are what README promises."""
        metadata = Parser().parsestr(self.metadata)
        self.assertEqual((metadata["Name"], metadata["Requires-Python"]), ("edgegw", ">=3.11"))
        self.assertEqual(metadata["License-Expression"], "MIT")
        required = [line for line in metadata.get_all("Requires-Dist", []) if "extra ==" not in line]
        self.assertTrue(any(line.startswith("twisted[tls]") for line in required), required)
        self.assertTrue(any(line.startswith("uvloop") and "platform_system" in line for line in required), required)
