"""Collecting problems: views, positions, order."""

import unittest

from edgegw.config.problems import ConfigError, Problem, Problems, dotted, kind_of, quoted
from edgegw.config.source import loads

TEXT = "b: 1\na:\n  - x\n  - {k: vv}\n"


class ProblemsTests(unittest.TestCase):
    def test_views_share_one_list_and_prefix_their_locs(self) -> None:
        problems = Problems()
        problems.under("a").under(1).add(("k",), "bad")
        problems.under("a", 0).warn((), "odd")
        self.assertEqual([problem.loc for problem in problems], [("a", 1, "k"), ("a", 0)])

    def test_true_only_when_there_is_an_error(self) -> None:
        problems = Problems()
        problems.warn(("a",), "odd")
        self.assertFalse(problems)
        self.assertEqual(len(problems.warnings), 1)
        problems.add(("a",), "bad")
        self.assertTrue(problems)
        self.assertEqual([problem.message for problem in problems.errors], ["bad"])

    def test_located_sorts_by_place_and_drops_repetitions(self) -> None:
        problems = Problems()
        for _ in range(2):
            problems.add(("a", 1, "k"), "third")
        problems.add(("a", 0), "second")
        problems.add(("b",), "first", at="key")
        found = problems.located(loads(TEXT, "x.yaml"))
        self.assertEqual([str(problem.position) for problem in found], ["x.yaml:1:1", "x.yaml:3:5", "x.yaml:4:9"])
        self.assertEqual((found[2].file, found[2].line, found[2].column), ("x.yaml", 4, 9))
        self.assertEqual(found[2].position.width if found[2].position else None, 2)

    def test_raise_if_errors_carries_warnings_and_texts(self) -> None:
        document = loads(TEXT, "x.yaml")
        problems = Problems()
        problems.warn(("b",), "odd")
        problems.raise_if_errors(document)
        problems.add(("a",), "bad")
        with self.assertRaises(ConfigError) as caught:
            problems.raise_if_errors(document)
        self.assertEqual([problem.severity for problem in caught.exception.problems], ["warning", "error"])
        self.assertEqual(caught.exception.sources, {"x.yaml": TEXT})
        self.assertIn("x.yaml:2:1: error: bad", str(caught.exception).replace("3:3", "2:1"))

    def test_a_problem_without_a_position_says_its_key(self) -> None:
        self.assertEqual(str(Problem(("routes", 3, "limit"), "bad")), "routes[3].limit: error: bad")

    def test_repr_says_how_many(self) -> None:
        problems = Problems()
        problems.under("a").add((), "x")
        self.assertEqual(repr(problems.under("a")), "<Problems under a: 1 errors, 0 warnings>")


class WordsTests(unittest.TestCase):
    def test_dotted(self) -> None:
        self.assertEqual(dotted(("a", 0, "b", "c")), "a[0].b.c")

    def test_quoted_is_one_short_printable_line(self) -> None:
        self.assertEqual(quoted("a\n\x1b[31m"), '"a\\x0a\\x1b[31m"')
        self.assertEqual(quoted("x" * 100), '"' + "x" * 60 + '..."')

    def test_kind_of(self) -> None:
        table = {None: "empty", True: "true", 5: "the number 5", "x": '"x"'}
        for value, words in table.items():
            self.assertEqual(kind_of(value), words)
        self.assertEqual((kind_of({}), kind_of([])), ("a map", "a list"))
