"""YAML 1.2 core types, and what is put in from elsewhere."""

import math
import os
import tempfile
import unittest
from pathlib import Path

from edgegw.config.scalars import MAX_SECRET, Resolved, Substitution, core_type, read_secret


class CoreTypeTests(unittest.TestCase):
    def test_the_traps_of_yaml_1_1_are_gone(self) -> None:
        for text in (
            "yes",
            "no",
            "on",
            "off",
            "y",
            "12:30:45",
            "1_000",
            "0b11",
            "2026-11-21",
            "=",
            "<<",
            "0o8",
            "1e",
            "-",
            "+.e1",
        ):
            with self.subTest(text=text):
                self.assertEqual(core_type(text), text)

    def test_numbers(self) -> None:
        table = {
            "017": 17,
            "0o17": 15,
            "0x1F": 31,
            "-5": -5,
            "+5": 5,
            "1.5": 1.5,
            ".5": 0.5,
            "1e3": 1000.0,
            "5.": 5.0,
            "-.inf": -math.inf,
        }
        for text, value in table.items():
            with self.subTest(text=text):
                self.assertEqual(core_type(text), value)
                self.assertIs(type(core_type(text)), type(value))
        self.assertTrue(math.isnan(core_type(".nan")))  # type: ignore[arg-type]

    def test_words(self) -> None:
        table: dict[str, object] = {"": None, "~": None, "null": None, "True": True, "false": False, "tRue": "tRue"}
        for text, value in table.items():
            self.assertIs(core_type(text) if value is None or isinstance(value, bool) else value, value)

    def test_a_number_too_long_is_a_clear_error(self) -> None:
        with self.assertRaisesRegex(ValueError, "400 digits"):
            core_type("9" * 5000)


class SubstitutionTests(unittest.TestCase):
    def setUp(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.environ = {"A": "alpha", "EMPTY": ""}
        self.substitution = Substitution(self.environ, self.folder)

    def test_variables(self) -> None:
        table = {
            "${A}": Resolved("alpha", True),
            "x${A}y${A}": Resolved("xalphayalpha", True),
            "${NOPE:-d}": Resolved("d", False),
            "${NOPE:-}": Resolved("", False),
            "${EMPTY:-d}": Resolved("d", False),
            "${EMPTY}": Resolved("", True),
            "${A:-d}": Resolved("alpha", True),
            "$${A}": Resolved("${A}"),
            "$A $ {": Resolved("$A $ {"),
            "$$file:x": Resolved("file:x"),
        }
        for text, found in table.items():
            with self.subTest(text=text):
                self.assertEqual(self.substitution.resolve(text), found)

    def test_what_a_variable_holds_is_not_resolved_again(self) -> None:
        self.environ["A"] = "${EMPTY}"
        self.assertEqual(self.substitution.resolve("${A}").text, "${EMPTY}")

    def test_faults(self) -> None:
        for text, words in {
            "${NOPE}": "NOPE is not set",
            "${A": "not followed",
            "${1A}": "not followed",
            "file:": "path",
        }.items():
            with self.subTest(text=text):
                faults = self.substitution.resolve(text).faults
                self.assertEqual(len(faults), 1)
                self.assertIn(words, faults[0][0])

    def test_files(self) -> None:
        (self.folder / "token").write_text("  sesame\n")
        self.assertEqual(self.substitution.resolve("file:token"), Resolved("sesame", True))
        self.assertEqual(self.substitution.resolve(f"file:{self.folder}/token"), Resolved("sesame", True))
        self.environ["DIR"] = str(self.folder)
        self.assertEqual(self.substitution.resolve("file:${DIR}/token"), Resolved("sesame", True))
        self.assertEqual(set(self.substitution.paths), {self.folder / "token"})
        self.assertEqual(self.substitution.resolve("not file:token"), Resolved("not file:token"))

    def test_files_that_are_no_secrets(self) -> None:
        (self.folder / "empty").write_text(" \n")
        (self.folder / "binary").write_bytes(b"\xff\xfe\x00")
        (self.folder / "big").write_bytes(b"x" * (MAX_SECRET + 1))
        os.mkfifo(self.folder / "fifo")
        table = {
            "empty": "is empty",
            "binary": "not UTF-8",
            "big": "1 MiB",
            "fifo": "regular",
            ".": "directory",
            "nope": "no such file",
        }
        for name, words in table.items():
            with self.subTest(name=name):
                found = self.substitution.resolve(f"file:{name}")
                self.assertIn(words, found.faults[0][0])
                self.assertFalse(found.secret)

    def test_exactly_one_mebibyte_is_read(self) -> None:
        (self.folder / "full").write_bytes(b"x" * MAX_SECRET)
        self.assertEqual(len(read_secret(self.folder / "full")), MAX_SECRET)
