"""Tests of edgegw.discovery.file: what is read, and a file that changes."""

from __future__ import annotations

import os
from pathlib import Path

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from edgegw.config.problems import Problems
from edgegw.discovery import file as module
from edgegw.discovery.file import FileSource, FileWrong, build_file, read
from edgegw.discovery.interfaces import Surroundings
from edgegw.discovery.settings import DiscoverySettings
from tests.discovery.doubles import Heard, environment

RIGHT = {
    "list": '["http://h:1", "http://h:2"]',
    "map": '{"endpoints": ["http://h:1", {"url": "http://h:2"}]}',
    "YAML": "- http://h:1\n- url: http://h:2\n",
    "YAML map": "endpoints:\n  - http://h:1\n  - {url: 'http://h:2'}\n",
    "BOM": '\ufeff["http://h:1", "http://h:2"]',
}

WRONG = {
    "": "is empty",
    "http://h:1": "e.json:1:1: a list of endpoints stands here, not plain text",
    '["http://h:1",\n "ftp://h"]': 'e.json:2:2: error: .*scheme "ftp" is not known',
    '["http://h:1",': "e.json:2:1: error: this is not YAML",
    "- http://h:1\n- {url: 'http://h:2', wieght: 2}": 'e.json:2:23: error: unknown key "wieght".*',
    "a: 1": 'e.json:1:1: error: missing key "endpoints", and 1 more',
    "- 1\n- 2": "e.json:1:3: error: .*, and 1 more",
    "- ${HOME}": "e.json:1:3: error: the environment variable HOME is not set",
    "- file:/etc/passwd": "only the configuration itself may take values from files",
    "- \ud800": "not UTF-8",
    "[" * 5000: "nested deeper",
}


class ReadTests(SynchronousTestCase):
    """One file."""

    def setUp(self) -> None:
        self.path = Path(self.mktemp())
        self.path.mkdir()
        self.path /= "e.json"

    def write(self, text: str) -> None:
        self.path.write_bytes(text.encode("utf-8", "surrogatepass"))

    def test_right(self) -> None:
        for what, text in RIGHT.items():
            self.write(text)
            self.assertEqual([each.url for each in read(self.path)], ["http://h:1", "http://h:2"], what)

    def test_facts(self) -> None:
        self.write('[{"url": "http://h:1", "weight": 3, "zone": "z", "tier": 1, "meta": {"a": "b"}}]')
        found = read(self.path)[0]
        self.assertEqual((found.weight, found.zone, found.tier, found.meta), (3, "z", 1, {"a": "b"}))

    def test_nothing(self) -> None:
        self.write("[]")
        self.assertEqual(read(self.path), ())

    def test_wrong(self) -> None:
        for text, words in WRONG.items():
            self.write(text)
            error = self.assertRaises(FileWrong, read, self.path)
            self.assertRegex(str(error), words)

    def test_no_regular_file(self) -> None:
        self.assertRegex(str(self.assertRaises(FileWrong, read, self.path)), "no such file")
        os.mkfifo(self.path)
        self.assertRegex(str(self.assertRaises(FileWrong, read, self.path)), "not a regular file")

    def test_too_large(self) -> None:
        self.patch(module, "MAX_SIZE", 20)
        self.write(RIGHT["list"])
        self.assertRegex(str(self.assertRaises(FileWrong, read, self.path)), "larger than")

    def test_many(self) -> None:
        self.write(
            str([f"http://10.0.{number // 250}.{number % 250}:80" for number in range(10_000)]).replace("'", '"')
        )
        self.assertEqual(len(read(self.path)), 10_000)


class WatchTests(SynchronousTestCase):
    """A file that somebody else writes."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.path = self.folder / "e.json"
        self.heard = Heard()
        self.source = FileSource(self.path.absolute(), "e.json", environment(self.clock))
        self.addCleanup(self.ended)

    def ended(self) -> None:
        self.source.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def wait(self, seconds: float) -> None:
        self.clock.pump([0.1] * int(seconds * 10))

    def replace(self, text: str) -> None:
        fresh = self.folder / "fresh"
        fresh.write_text(text)
        fresh.replace(self.path)

    def test_replaced(self) -> None:
        self.replace('["http://h:1"]')
        self.source.start(self.heard)
        self.assertEqual(self.heard.urls, ["http://h:1"])
        self.replace('["http://h:2"]')
        self.wait(4)
        self.assertEqual(self.heard.urls, ["http://h:2"])

    def test_config_map(self) -> None:
        """Kubernetes swaps a link to a folder; the path itself stays."""
        for version, host in (("v1", "a"), ("v2", "b")):
            (self.folder / version).mkdir()
            (self.folder / version / "e.json").write_text(f'["http://{host}:1"]')
        (self.folder / "..data").symlink_to("v1")
        self.path.symlink_to("..data/e.json")
        self.source.start(self.heard)
        (self.folder / "..next").symlink_to("v2")
        (self.folder / "..next").rename(self.folder / "..data")
        self.wait(4)
        self.assertEqual(self.heard.urls, ["http://b:1"])

    def test_broken_and_mended(self) -> None:
        self.replace('["http://h:1"]')
        self.source.start(self.heard)
        self.replace('["http://h:2"\n  "x"]')
        self.wait(4)
        self.assertEqual(len(self.heard.found_), 1)
        self.assertRegex(self.heard.failures[-1], "e.json:1:1: error: .* is never closed")
        self.replace('["http://h:2"]')
        self.wait(4)
        self.assertEqual(self.heard.urls, ["http://h:2"])

    def test_confirms(self) -> None:
        """While nothing changes, that is said often enough for the source not to look stale."""
        self.replace('["http://h:1"]')
        self.source.start(self.heard)
        self.wait(60)
        self.assertGreaterEqual(self.heard.confirmations, 5)
        self.assertEqual(len(self.heard.found_), 1)

    def test_gone(self) -> None:
        self.replace('["http://h:1"]')
        self.source.start(self.heard)
        self.path.unlink()
        self.wait(30)
        self.assertRegex(self.heard.failures[-1], "e.json cannot be read: no such file")
        self.assertEqual((len(self.heard.found_), self.heard.confirmations), (1, 0))

    def test_comes_later(self) -> None:
        self.source.start(self.heard)
        self.assertEqual(len(self.heard.failures), 1)
        self.replace('["http://h:1"]')
        self.wait(15)
        self.assertEqual(self.heard.urls, ["http://h:1"])

    def test_folder(self) -> None:
        problems = Problems()
        query = DiscoverySettings.model_validate({"from": "file", "path": "."})
        around = Surroundings(environment(), self.folder, problems, problems)
        self.assertIsNone(build_file(query, None, around))
        self.assertIn("is a folder", str(problems.errors[0]))
