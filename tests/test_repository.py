"""Promises of the repository itself that no linter can see."""

import ast
import os
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

ROOT = Path(__file__).resolve().parent.parent

# Source files without a test file of their own name, each with the reason. Keep this short.
WITHOUT_TWIN: dict[str, str] = {}
NO_TWIN_NEEDED = {"__init__.py", "__main__.py", "interfaces.py"}
MAY_IMPORT_REACTOR = {"edgegw/tap.py"}
LONGEST_FILE = 400
NEWS_NAME = re.compile(r"\+?[\w-]+\.(feature|bugfix|security|removal|doc|misc)(\.\d+)?\.md")


def sources() -> Iterator[str]:
    """Every source file of the product, as a path from the root."""
    return (path.relative_to(ROOT).as_posix() for path in sorted((ROOT / "edgegw").rglob("*.py")))


def twin(source: str) -> str:
    """The test file of a source file: the same folder under tests/, `test_` before the name."""
    path = Path(source).relative_to("edgegw")
    return (Path("tests") / path.parent / f"test_{path.name}").as_posix()


def imports_reactor(text: str) -> bool:
    """Whether a module's text imports the global reactor, in any spelling, at any depth."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import) and any(name.name == "twisted.internet.reactor" for name in node.names):
            return True
        if isinstance(node, ast.ImportFrom) and node.module == "twisted.internet.reactor":
            return True
        if isinstance(node, ast.ImportFrom) and node.module == "twisted.internet":
            if any(name.name == "reactor" for name in node.names):
                return True
    return False


class SourceTests(SynchronousTestCase):
    """The product's files."""

    maxDiff = None

    def test_every_source_has_its_test_file(self) -> None:
        """edgegw/a/b.py is tested by tests/a/test_b.py."""
        needed = [
            path
            for path in sources()
            if Path(path).name not in NO_TWIN_NEEDED and not path.startswith("edgegw/testing/")
        ]
        missing = [f"{path} -> {twin(path)}" for path in needed if not (ROOT / twin(path)).exists()]
        self.assertEqual([line for line in missing if line.split(" ")[0] not in WITHOUT_TWIN], [])

    def test_every_test_folder_is_found(self) -> None:
        """trial and the Makefile see packages only: a folder with tests and no __init__.py would never run."""
        folders = {path.parent for path in (ROOT / "tests").rglob("test_*.py")}
        lost = {
            parent.relative_to(ROOT).as_posix()
            for folder in folders
            for parent in (folder, *folder.parents)
            if parent.is_relative_to(ROOT / "tests") and not (parent / "__init__.py").exists()
        }
        self.assertEqual(lost, set())

    def test_exemptions_are_needed(self) -> None:
        """An exemption goes when its file goes or gets a test file."""
        stale = [path for path in WITHOUT_TWIN if not (ROOT / path).exists() or (ROOT / twin(path)).exists()]
        self.assertEqual(stale, [])

    def test_no_file_outgrows_one_idea(self) -> None:
        """No source file is longer than 400 lines."""
        lengths = {path: len((ROOT / path).read_text().splitlines()) for path in sources()}
        self.assertEqual({path: length for path, length in lengths.items() if length > LONGEST_FILE}, {})

    def test_one_importer_of_the_reactor(self) -> None:
        """Only edgegw/tap.py imports the global reactor (import-linter cannot tell it from the rest of Twisted)."""
        found = {path for path in sources() if imports_reactor((ROOT / path).read_text())}
        self.assertEqual(found - MAY_IMPORT_REACTOR, set())

    def test_every_spelling_of_the_reactor_is_seen(self) -> None:
        """The check above can fail."""
        for text in (
            "from twisted.internet import reactor",
            "from twisted.internet import defer, reactor as r",
            "import twisted.internet.reactor",
            "def f():\n    from twisted.internet.reactor import callLater",
        ):
            self.assertTrue(imports_reactor(text), text)
        self.assertFalse(imports_reactor("from twisted.internet import defer"))


class PluginTests(SynchronousTestCase):
    """twisted/plugins belongs to Twisted."""

    def test_no_init(self) -> None:
        """No __init__.py of ours: it would shadow Twisted's own package."""
        self.assertFalse((ROOT / "twisted/plugins/__init__.py").exists())
        self.assertFalse((ROOT / "twisted/__init__.py").exists())

    def test_the_plugin_imports_nothing_of_ours(self) -> None:
        """twistd imports this module before a loop is chosen, so it names edgegw by a string only."""
        tree = ast.parse((ROOT / "twisted/plugins/edgegw_plugin.py").read_text())
        modules = [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
        self.assertEqual(modules, ["twisted.application.service"])


class PaperTests(SynchronousTestCase):
    """README and its neighbours."""

    def test_make_targets_exist(self) -> None:
        """Every `make X` that the documents name is a target."""
        targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
        for name in ("README.md", "CONTRIBUTING.md"):
            named = set(re.findall(r"`?\bmake ([a-z-]+)`", (ROOT / name).read_text()))
            self.assertEqual(named - targets, set(), name)

    def test_everything_that_is_run_by_name(self) -> None:
        """What people and CI type: targets that do what they are called, environments of tox, folders of documents."""
        makefile = (ROOT / "Makefile").read_text()
        recipes = dict(re.findall(r"^([a-z-]+):[^\n]*\n((?:\t[^\n]*\n)*)", makefile, re.MULTILINE))
        for target, run in (
            ("run", "examples/demo/run.py"),
            ("test", "twisted.trial"),
            ("live", "tests.live.install"),
            ("bench", "-m benchmarks"),
            ("lint", "ruff check"),
            ("types", "mypy"),
            ("contracts", "lint-imports"),
            ("docs", "scripts/check_docs.py"),
        ):
            self.assertIn(run, recipes[target], target)
        tox = re.search(r"^envlist = (.+)$", (ROOT / "tox.ini").read_text(), re.MULTILINE)
        assert tox is not None
        self.assertEqual(tox[1].split(", "), ["py311", "py312", "py313", "lint", "types", "contracts", "docs"])
        for folder in ("tutorials", "how-to", "reference", "explanation", "adr"):
            self.assertTrue(list((ROOT / "docs" / folder).glob("*.md")), folder)
        for name in ("README", "CONTRIBUTING", "SECURITY", "CHANGELOG"):
            self.assertTrue((ROOT / f"{name}.md").exists(), name)
        self.assertIn("MIT License", (ROOT / "LICENSE").read_text())

    def test_readme_promises(self) -> None:
        """The two commands that a newcomer types are in README."""
        text = (ROOT / "README.md").read_text()
        for promise in ("make run", "make test", "curl http://127.0.0.1:8080/", "SECURITY.md", "CONTRIBUTING.md"):
            self.assertIn(promise, text)

    def test_news(self) -> None:
        """There is news to tell, and towncrier will understand each file's name."""
        names = [
            path.name for path in (ROOT / "newsfragments").iterdir() if path.name not in ("README.md", ".gitignore")
        ]
        self.assertEqual([name for name in names if not NEWS_NAME.fullmatch(name)], [])
        released = re.search(r"^## \d", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
        self.assertTrue(names or released)

    def test_ci_is_executable(self) -> None:
        """.ci/run can be run, and ends with the tally."""
        self.assertTrue(os.access(ROOT / ".ci/run", os.X_OK))
        self.assertIn("scripts/tally.py", (ROOT / ".ci/run").read_text())

    def test_every_extra_of_tox_exists(self) -> None:
        """tox asks for extras that pyproject.toml declares."""
        extras = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"])
        asked = re.findall(r"^extras = (.+)$", (ROOT / "tox.ini").read_text(), re.MULTILINE)
        self.assertEqual({name.strip() for line in asked for name in line.split(",")} - extras, set())
