"""Values as YAML: whatever reads it, reads the same."""

import unittest

import yaml
from hypothesis import given
from hypothesis import strategies as st

from edgegw.config.source import loads
from edgegw.config.yamltext import key_text, scalar

texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=30) | st.text(
    "0123456789.:-+eExo_ ${}file", max_size=12
)
leaves = st.none() | st.booleans() | st.integers() | texts
keys = texts.filter(lambda key: "${" not in key)
values = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=8,
)


class YamlTextTests(unittest.TestCase):
    @given(values)
    def test_it_comes_back(self, value: object) -> None:
        self.assertEqual(loads(f"a: {scalar(value)}\n", environ={}).data, {"a": value})

    @given(texts.filter(lambda text: "${" not in text and not text.startswith("file:")))
    def test_readers_of_yaml_1_1_agree(self, text: str) -> None:
        self.assertEqual(yaml.safe_load(f"a: {scalar(text)}\n"), {"a": text})

    def test_what_needs_no_quotes_has_none(self) -> None:
        for text in ("15s", "10MiB", "100/s", "50%", "api.example.com/users", "GET /x"):
            self.assertEqual(scalar(text), text)
        for text in ("yes", "017", "12:30", "*", "{x}", "", " x", "null", "1e3", "2026-11-21", "a: b", "x #y"):
            self.assertTrue(scalar(text).startswith('"'), text)
        self.assertEqual((key_text("a-b"), key_text("a: b")), ("a-b", '"a: b"'))
