"""Nodes to data: duplicate keys, merge keys, aliases that multiply, tags."""

import unittest

from edgegw.config.problems import ConfigError
from edgegw.config.source import loads

BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{name}: &{name} [{','.join(['*' + before] * 9)}]\n" for before, name in zip("abcdefg", "bcdefgh", strict=True)
)


def errors(text: str) -> list[str]:
    try:
        loads(text, "x", environ={})
    except ConfigError as error:
        return [str(problem) for problem in error.problems]
    return []


class WalkTests(unittest.TestCase):
    def test_keys_are_text_whatever_they_look_like(self) -> None:
        self.assertEqual(loads("on: 1\n200: 2\ntrue: 3\n~: 4\n").data, {"on": 1, "200": 2, "true": 3, "~": 4})

    def test_duplicate_keys_name_both_places(self) -> None:
        self.assertEqual(
            errors("r:\n  - {a: 1}\n  - b: 1\n    c: 2\n    b: 3\n"),
            ['x:5:5: error: "b" is defined twice; the first is at x:3:5'],
        )

    def test_keys_of_the_same_spelling_in_other_quotes_are_the_same(self) -> None:
        self.assertEqual(len(errors("a: 1\n'a': 2\n")), 1)

    def test_merge_keys(self) -> None:
        text = "base: &b {x: 1, y: 2}\nmore: &m {y: 3, z: 4}\na: {<<: *b, y: 9}\nb: {<<: [*b, *m]}\nc: {y: 5, <<: *b}\n"
        data = loads(text).data
        self.assertEqual(data["a"], {"x": 1, "y": 9})
        self.assertEqual(data["b"], {"x": 1, "y": 2, "z": 4})
        self.assertEqual(data["c"], {"x": 1, "y": 5})

    def test_a_quoted_merge_key_is_a_key(self) -> None:
        self.assertEqual(loads("a: {'<<': 1}\n").data, {"a": {"<<": 1}})

    def test_aliases_are_allowed(self) -> None:
        document = loads("a: &x {k: [1, 2]}\nb: *x\n")
        self.assertEqual(document.data["b"], {"k": [1, 2]})
        self.assertEqual(str(document.position(("b", "k", 1))), "configuration:1:15")

    def test_bombs_are_refused(self) -> None:
        self.assertIn("too many values", errors(BOMB)[0])
        merge = "a: &a {x: 1}\n" + "".join(
            f"{name}: &{name} {{<<: [{', '.join(['*' + before] * 9)}]}}\n"
            for before, name in zip("abcdefg", "bcdefgh", strict=True)
        )
        self.assertIn("too many values", errors(merge)[0])

    def test_an_anchor_inside_itself(self) -> None:
        for text in ("a: &a [*a]\n", "a: &a {k: *a}\n", "a: &a {<<: *a}\n"):
            with self.subTest(text=text):
                self.assertIn("contains itself", errors(text)[0])

    def test_tags(self) -> None:
        self.assertEqual(loads("a: !!str 5\nb: !!int '5'\nc: !!map {}\n").data, {"a": "5", "b": 5, "c": {}})
        for text in (
            "a: !foo 5\n",
            "a: !!binary aGk=\n",
            "a: !!set {x}\n",
            "a: !!python/name:os.system x\n",
            "!!omap {a: 1}\n",
        ):
            with self.subTest(text=text):
                self.assertIn("is not supported", errors(text)[0])
        self.assertIn("is not what !!int says", errors("a: !!int x\n")[0])

    def test_keys_that_are_no_text(self) -> None:
        self.assertIn("a key must be text", errors("? [a]\n: 1\n")[0])
        self.assertIn("not replaced in a key", errors('"${A}": 1\n')[0])
