"""Files and folders: what is read, what is refused, and where everything stands."""

import os
import tempfile
import unittest
from pathlib import Path

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from edgegw.config import source
from edgegw.config.problems import ConfigError, Loc
from edgegw.config.scalars import core_type
from edgegw.config.source import at, load, loads


def is_same_text(text: str) -> bool:
    """safe_dump quotes what YAML 1.1 would misread; what only YAML 1.2 reads as a number it leaves bare."""
    return (
        isinstance(core_type(text) if len(text) < 100 else text, str)
        and "${" not in text
        and not text.startswith(("file:", "$$file:"))
    )


texts = st.text(
    st.characters(exclude_categories=("Cs", "Cc", "Cn", "Co"), include_characters="\n\t"), max_size=20
).filter(is_same_text)
keys = texts.filter(lambda text: text != "<<")
scalars = st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.floats(allow_nan=False) | texts
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4), max_leaves=20
)
configurations = st.dictionaries(keys, values, min_size=1, max_size=5)


def locs(data: object, loc: Loc = ()) -> list[Loc]:
    found = [loc]
    if isinstance(data, dict):
        for key, value in data.items():
            found += locs(value, (*loc, key))
    elif isinstance(data, list):
        for index, value in enumerate(data):
            found += locs(value, (*loc, index))
    return found


class RoundTripTests(unittest.TestCase):
    @settings(max_examples=150, deadline=None)
    @given(configurations, st.booleans(), st.booleans())
    def test_what_yaml_writes_is_read_as_it_was(self, data: dict[str, object], flow: bool, wide: bool) -> None:
        text = yaml.safe_dump(data, default_flow_style=flow, allow_unicode=wide, sort_keys=False)
        self.assertEqual(loads(text, environ={}).data, data)

    @settings(max_examples=100, deadline=None)
    @given(configurations, st.booleans())
    def test_positions_point_at_the_text(self, data: dict[str, object], flow: bool) -> None:
        text = yaml.safe_dump(data, default_flow_style=flow, allow_unicode=False, sort_keys=False)
        document = loads(text, "x", environ={})
        lines = text.split("\n")
        for loc in locs(data):
            if not loc:
                continue
            place = document.position(loc)
            written = lines[place.line - 1][place.column - 1 :][: place.width]
            value = at(data, loc)
            if isinstance(value, str) and place.width > 1 and not written.startswith(("|", ">")):
                self.assertEqual(
                    yaml.load(f"- {written}" if flow else written, yaml.BaseLoader), [value] if flow else value
                )
            elif isinstance(value, bool):
                self.assertEqual(written, str(value).lower())
            elif isinstance(value, int):
                self.assertEqual(int(written), value)

    @settings(max_examples=200, deadline=None)
    @given(st.text(max_size=60) | st.text("{}[]:-,*&!|>'\"%@`#? \n\tab1$", max_size=60))
    def test_any_text_is_read_or_refused_with_a_place(self, text: str) -> None:
        try:
            loads(text, "x", environ={})
        except ConfigError as error:
            self.assertTrue(error.problems)
            for problem in error.problems:
                self.assertEqual(problem.file, "x")
                self.assertGreaterEqual(problem.line or 0, 1)
                self.assertGreaterEqual(problem.column or 0, 1)


class LoadsTests(unittest.TestCase):
    def refusal(self, text: str) -> str:
        with self.assertRaises(ConfigError) as caught:
            loads(text, "x", environ={})
        return str(caught.exception.problems[0])

    def test_what_is_no_configuration(self) -> None:
        self.assertIn("the file is empty", self.refusal(""))
        self.assertIn("the file is empty", self.refusal("# only a comment\n"))
        self.assertIn("not a list", self.refusal("- a\n"))
        self.assertIn("not plain text", self.refusal("a:b\n"))

    def test_several_problems_come_together_and_in_order(self) -> None:
        with self.assertRaises(ConfigError) as caught:
            loads("a: ${NOPE}\na: 1\nb: file:/nope\n", "x", environ={})
        self.assertEqual([problem.line for problem in caught.exception.problems], [1, 2, 3])

    def test_deferred_problems_stay_with_the_document(self) -> None:
        document = loads("a: ${NOPE}\n", "x", environ={}, defer=True)
        self.assertEqual([str(problem.position) for problem in document.problems], ["x:1:4"])
        self.assertEqual(document.data, {"a": "${NOPE}"})
        self.assertEqual(document.secrets, set())

    def test_secrets_are_marked(self) -> None:
        document = loads("a: [x, '${A}']\nb: ${B:-d}\nc: pre-${A}\n", environ={"A": "1"})
        self.assertEqual(document.secrets, {("a", 1), ("c",)})
        self.assertEqual(document.origins[("c",)], "pre-${A}")
        self.assertEqual(document.data, {"a": ["x", "1"], "b": "d", "c": "pre-1"})

    def test_what_is_put_in_stays_text(self) -> None:
        self.assertEqual(loads("a: ${A}\n", environ={"A": "true"}).data, {"a": "true"})

    def test_the_digest_is_of_text_and_secrets(self) -> None:
        one = loads("a: ${A}\n", environ={"A": "1"}).digest
        self.assertEqual(one, loads("a: ${A}\n", environ={"A": "1"}).digest)
        self.assertNotEqual(one, loads("a: ${A}\n", environ={"A": "2"}).digest)
        self.assertNotEqual(one, loads("a:  ${A}\n", environ={"A": "1"}).digest)

    def test_positions_of_what_was_not_written_are_the_nearest_around(self) -> None:
        document = loads("a:\n  - {b: 1}\n", "x")
        self.assertEqual(str(document.position(("a", 0, "nope", "deeper"))), "x:2:5")
        self.assertEqual(str(document.key_position(("a", 0, "b"))), "x:2:6")
        self.assertEqual(str(document.position(("a", 0, "b"))), "x:2:9")
        self.assertEqual(str(document.position(())), "x:1:1")

    def test_too_large(self) -> None:
        self.assertIn("10 MiB", self.refusal("a" * (source.MAX_SIZE + 1)))


class LoadTests(unittest.TestCase):
    def setUp(self) -> None:
        self.folder = Path(tempfile.mkdtemp())

    def write(self, name: str, content: str | bytes) -> Path:
        path = self.folder / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    def refusal(self, path: Path) -> list[str]:
        with self.assertRaises(ConfigError) as caught:
            load(path, environ={})
        return [str(problem).replace(str(self.folder), "DIR") for problem in caught.exception.problems]

    def test_a_file(self) -> None:
        self.write("token", "sesame\n")
        path = self.write("a.yaml", "\ufeffa: file:token\n")
        document = load(path)
        self.assertEqual(document.data, {"a": "sesame"})
        self.assertEqual(document.watched_paths, (path, self.folder / "token"))
        self.assertEqual(str(document.position(("a",))), f"{path}:1:4")

    def test_files_that_cannot_be_read(self) -> None:
        os.mkfifo(self.folder / "fifo")
        table: dict[str, tuple[bytes | None, str]] = {
            "latin.yaml": (b"a: 1\nb: caf\xe9\n", "DIR/latin.yaml:2:7: error: this is not UTF-8: byte 0xE9"),
            "utf16.yaml": ("a: 1\n".encode("utf-16"), "UTF-16"),
            "big.yaml": (b"#" * (source.MAX_SIZE + 1), "10 MiB"),
            "nope.yaml": (None, "no such file"),
            "fifo": (None, "not a regular file"),
        }
        for name, (content, words) in table.items():
            with self.subTest(name=name):
                if content is not None:
                    self.write(name, content)
                self.assertIn(words, self.refusal(self.folder / name)[0])

    def test_a_folder_is_merged_in_the_order_of_names(self) -> None:
        self.write("20.yml", "upstreams: {b: {x: 1}}\nroutes: [r3]\n")
        first = self.write("10.yaml", "edgegw: 1\nupstreams: {a: {x: 1}}\nroutes: [r1, r2]\n")
        self.write("30.yaml", "# nothing yet\n")
        self.write(".hidden.yaml", "routes: [no]\n")
        self.write("notes.txt", "routes: [no]\n")
        document = load(self.folder)
        self.assertEqual(
            document.data, {"edgegw": 1, "upstreams": {"a": {"x": 1}, "b": {"x": 1}}, "routes": ["r1", "r2", "r3"]}
        )
        self.assertEqual(str(document.position(("routes", 2))), f"{self.folder / '20.yml'}:2:10")
        self.assertEqual(str(document.position(("routes", 1))), f"{first}:3:14")
        self.assertIn(self.folder, document.watched_paths)
        self.assertEqual(len(document.watched_paths), 4)

    def test_a_key_defined_in_two_files_names_both_places(self) -> None:
        self.write("1.yaml", "workers: 1\nupstreams:\n  a: {x: 1}\n")
        self.write("2.yaml", "workers: 1\nupstreams:\n  a: {y: 1}\nroutes: []\n")
        self.write("3.yaml", "routes: {}\n")
        self.assertEqual(
            self.refusal(self.folder),
            [
                'DIR/2.yaml:1:1: error: "workers" is defined twice; the first is at DIR/1.yaml:1:1',
                'DIR/2.yaml:3:3: error: "a" is defined twice; the first is at DIR/1.yaml:3:3',
                'DIR/3.yaml:1:1: error: "routes" is defined twice; the first is at DIR/2.yaml:4:1',
            ],
        )

    def test_a_key_defined_twice_in_one_of_the_files(self) -> None:
        self.write("1.yaml", "routes: [a]\nroutes: [b]\n")
        self.write("2.yaml", "routes: [c]\n")
        self.assertEqual(len(self.refusal(self.folder)), 1)

    def test_syntax_errors_of_all_files_come_together(self) -> None:
        self.write("1.yaml", "a: [\n")
        self.write("2.yaml", "a: @\n")
        self.assertEqual(len(self.refusal(self.folder)), 2)

    def test_a_folder_without_files(self) -> None:
        self.assertIn("no *.yaml or *.yml file", self.refusal(self.folder)[0])

    def test_a_mounted_config_map(self) -> None:
        version = self.folder / "..2026"
        version.mkdir()
        (version / "edge.yaml").write_text("a: 1\n")
        (self.folder / "..data").symlink_to("..2026")
        (self.folder / "edge.yaml").symlink_to("..data/edge.yaml")
        self.assertEqual(load(self.folder).data, {"a": 1})
