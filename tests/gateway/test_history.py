"""The history of configurations: numbers, files, and everything that a disk may do to them."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from unittest.mock import patch

from twisted.trial.unittest import SynchronousTestCase

from edgegw.config.problems import ConfigError
from edgegw.config.source import Document, load, loads
from edgegw.gateway import history
from edgegw.gateway.history import History, NoSuchNumber

NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


def made(text: str) -> Document:
    return loads(text, "/etc/shop.yaml", environ={"TOKEN": "s3cret-value"})


class HistoryTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.state = Path(self.mktemp())
        self.history = self.opened()

    def opened(self, kept: int = 200) -> History:
        return History(self.state, kept, now=lambda: NOON, pid=4242)

    def file(self, number: int) -> Path:
        return self.state / "history" / f"{number:06d}.json"

    def test_numbers_count_up(self) -> None:
        self.assertEqual([self.history.add(made(f"a: {n}"), "file") for n in range(3)], [1, 2, 3])
        self.assertEqual([entry.number for entry in self.history.entries()], [1, 2, 3])

    def test_the_same_as_the_newest_keeps_its_number(self) -> None:
        self.history.add(made("a: 1"), "start")
        self.assertEqual(self.history.add(made("a: 1"), "file"), 1)
        self.assertEqual(len(self.history.entries()), 1)

    def test_the_same_as_an_older_one_gets_a_new_number(self) -> None:
        for text in ("a: 1", "a: 2", "a: 1"):
            self.history.add(made(text), "file")
        self.assertEqual([entry.number for entry in self.history.entries()], [1, 2, 3])

    def test_another_process_goes_on_counting(self) -> None:
        self.history.add(made("a: 1"), "start")
        again = self.opened()
        self.assertEqual(again.add(made("a: 1"), "start"), 1)
        self.assertEqual(again.add(made("a: 2"), "signal"), 2)

    def test_entry_says_when_who_and_what(self) -> None:
        document = made("a: 1")
        self.history.add(document, "rollback 3")
        entry = self.opened().entries()[0]
        self.assertEqual((entry.number, entry.digest, entry.time), (1, document.digest, NOON))
        self.assertEqual((entry.source, entry.pid, entry.files), ("rollback 3", 4242, ("/etc/shop.yaml",)))
        self.assertEqual(entry.as_data()["time"], "2026-11-21T12:00:00+00:00")
        self.assertTrue(entry.saved)

    def test_document_comes_back_with_positions(self) -> None:
        document = made("# first\na:\n  b: 1\n")
        self.history.add(document, "file")
        back = self.opened().document(1, environ={})
        self.assertEqual(back.data, {"a": {"b": 1}})
        self.assertEqual(str(back.position(("a", "b"))), "/etc/shop.yaml:3:6")
        self.assertEqual(back.digest, document.digest)

    def test_every_file_of_a_folder_comes_back(self) -> None:
        folder = Path(self.mktemp())
        folder.mkdir()
        (folder / "a.yaml").write_text("a: 1\n")
        (folder / "b.yaml").write_text("b: file:secret\n")
        (folder / "secret").write_text("x")
        self.history.add(load(folder), "file")
        back = self.opened().document(1)
        self.assertEqual(back.data, {"a": 1, "b": "x"})
        self.assertEqual(list(back.files), [str(folder / "a.yaml"), str(folder / "b.yaml")])

    def test_any_text_comes_back_as_it_was(self) -> None:
        text = '# \u00fc\t\U0001f600\r\na: "\\x01"\r\n'
        self.history.add(made(text), "file")
        self.assertEqual(self.opened().texts(1), {"/etc/shop.yaml": text})

    def test_secrets_are_kept_as_references_only(self) -> None:
        self.history.add(made("a: ${TOKEN}"), "file")
        self.assertIn("${TOKEN}", self.file(1).read_text())
        self.assertNotIn("s3cret-value", self.file(1).read_text())
        self.assertEqual(self.history.document(1, environ={"TOKEN": "new"}).data, {"a": "new"})

    def test_another_value_of_a_secret_is_another_configuration(self) -> None:
        self.history.add(loads("a: ${TOKEN}", environ={"TOKEN": "one"}), "file")
        self.assertEqual(self.history.add(loads("a: ${TOKEN}", environ={"TOKEN": "two"}), "file"), 2)

    def test_nobody_else_may_read(self) -> None:
        old = os.umask(0)
        self.addCleanup(os.umask, old)
        self.history.add(made("a: 1"), "file")
        modes = [path.stat().st_mode & 0o777 for path in (self.state, self.state / "history", self.file(1))]
        self.assertEqual(modes, [0o700, 0o700, 0o600])

    def test_a_folder_that_was_there_keeps_its_mode(self) -> None:
        self.state.mkdir(mode=0o755)
        self.history.add(made("a: 1"), "file")
        self.assertEqual(self.state.stat().st_mode & 0o777, 0o755)

    def test_nothing_is_left_beside_the_files(self) -> None:
        self.history.add(made("a: 1"), "file")
        self.assertEqual(os.listdir(self.state / "history"), ["000001.json"])

    def test_is_on_the_disk_before_it_has_its_name(self) -> None:
        done: list[str] = []
        rename, fsync = os.rename, os.fsync
        with (
            patch.object(history.os, "fsync", lambda fd: (done.append("fsync"), fsync(fd))),
            patch.object(history.os, "rename", lambda a, b: (done.append("rename"), rename(a, b))),
        ):
            self.history.add(made("a: 1"), "file")
        self.assertEqual(done, ["fsync", "rename", "fsync"])

    def test_keeps_a_bounded_number(self) -> None:
        bounded = self.opened(kept=12)
        for number in range(20):
            bounded.add(made(f"a: {number}"), "file")
        self.assertEqual([entry.number for entry in bounded.entries()], list(range(9, 21)))

    def test_keeps_a_bounded_size_but_some_in_any_case(self) -> None:
        self.patch(history, "KEPT_BYTES", 20_000)
        for number in range(15):
            self.history.add(made(f"a: {number}  # {'x' * 4000}"), "file")
        self.assertEqual([entry.number for entry in self.history.entries()], list(range(6, 16)))

    def test_a_disk_that_is_full_stops_nothing(self) -> None:
        self.history.add(made("a: 1"), "start")
        with patch.object(history.os, "rename", side_effect=OSError(28, "No space left on device")):
            self.assertEqual(self.history.add(made("a: 2"), "file"), 2)
        self.assertEqual(self.history.failures, 1)
        self.assertEqual(os.listdir(self.state / "history"), ["000001.json"])
        entry = self.history.entries()[-1]
        self.assertEqual((entry.number, entry.saved), (2, False))
        self.assertEqual(self.history.document(2).data, {"a": 2})

    def test_what_could_not_be_kept_is_kept_with_the_next(self) -> None:
        with patch.object(history.os, "rename", side_effect=OSError(28, "No space left on device")):
            self.history.add(made("a: 1"), "start")
        self.history.add(made("a: 2"), "file")
        found = self.opened().entries()
        self.assertEqual([(entry.number, entry.source) for entry in found], [(1, "start"), (2, "file")])

    def test_a_folder_that_cannot_be_made_stops_nothing(self) -> None:
        self.state.write_text("a file")
        self.assertEqual([self.history.add(made(f"a: {n}"), "file") for n in (1, 2)], [1, 2])
        self.assertEqual(self.history.failures, 2)
        self.assertEqual(self.history.document(1).data, {"a": 1})

    def test_damaged_files_are_passed_over(self) -> None:
        for number in range(1, 7):
            self.history.add(made(f"a: {number}"), "file")
        self.file(2).write_bytes(b"\xff\x00")
        self.file(3).write_text('{"number": 3}')
        self.file(4).write_text("[" * 100_000)
        self.file(5).write_text(json.dumps(json.loads(self.file(1).read_text()) | {"files": {"a": 1}}))
        self.file(6).unlink()
        self.file(6).symlink_to(self.file(1))
        again = self.opened()
        self.assertEqual([entry.number for entry in again.entries()], [1])
        self.assertEqual(again.failures, 5)
        self.assertEqual(again.newest and again.newest.number, 1)

    def test_a_damaged_number_is_not_given_again(self) -> None:
        for number in (1, 2):
            self.history.add(made(f"a: {number}"), "file")
        self.file(2).write_text("")
        self.assertEqual(self.opened().add(made("a: 3"), "file"), 3)

    def test_strange_names_are_not_ours(self) -> None:
        self.history.add(made("a: 1"), "file")
        for name in ("000002.json.bak", "x.json", ".000003.json.1.tmp"):
            (self.state / "history" / name).write_text("{}")
        again = self.opened()
        self.assertEqual(again.add(made("a: 2"), "file"), 2)
        self.assertEqual(again.failures, 0)

    def test_no_such_number_says_what_there_is(self) -> None:
        self.assertIn("none is kept yet", str(self.assertRaises(NoSuchNumber, self.history.texts, 1)))
        for number in range(3):
            self.history.add(made(f"a: {number}"), "file")
        wrong = self.assertRaises(NoSuchNumber, self.history.document, 9)
        self.assertEqual(str(wrong), "there is no configuration 9; kept are 1 to 3")

    def test_damaged_text_is_told(self) -> None:
        self.history.add(made("a: 1"), "file")
        self.file(1).write_text("{}")
        self.assertIn("cannot be read", str(self.assertRaises(NoSuchNumber, self.opened().texts, 1)))

    def test_text_that_is_no_yaml_any_more(self) -> None:
        self.history.add(made("a: 1"), "file")
        record = json.loads(self.file(1).read_text())
        self.file(1).write_text(json.dumps(record | {"files": {"/etc/shop.yaml": "a: ["}}))
        self.assertRaises(ConfigError, self.opened().document, 1)

    def test_repr(self) -> None:
        self.history.add(made("a: 1"), "file")
        self.assertEqual(repr(self.history), f"<History {self.state}/history 1 kept, 0 in memory only>")
