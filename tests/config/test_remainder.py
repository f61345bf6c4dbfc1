"""What is left of a document: its own data and secrets, positions of the whole, and what may have been meant."""

import unittest

from edgegw.config.problems import Problems
from edgegw.config.remainder import without
from edgegw.config.source import loads

TEXT = """\
up:
  a: {x: 1, y: "${TOKEN}"}
  b: {x: 2}
list:
  - {k: [1, 2, 3]}
  - {k: [4, 5, 6], m: "${TOKEN}"}
  - last
"""


class RemainderTests(unittest.TestCase):
    def setUp(self) -> None:
        self.whole = loads(TEXT, "x", environ={"TOKEN": "s3cret"})

    def test_without_anything(self) -> None:
        rest = without(self.whole, ())
        self.assertEqual((rest.data, rest.origins), (self.whole.data, self.whole.origins))
        self.assertIsNot(rest.data, self.whole.data)
        self.assertFalse(rest.lacks(()) or rest.lacks(("up", "a")))

    def test_what_comes_behind_moves_up_and_keeps_its_place(self) -> None:
        rest = without(self.whole, {("list", 0), ("list", 1, "k", 1), ("up", "a", "x")})
        self.assertEqual(rest.data["list"], [{"k": [4, 6], "m": "s3cret"}, "last"])
        self.assertEqual(rest.data["up"], {"a": {"y": "s3cret"}, "b": {"x": 2}})
        self.assertEqual(rest.written(("list", 0, "k", 1)), ("list", 1, "k", 2))
        self.assertEqual(rest.written(("list", 0, "new", 3)), ("list", 1, "new", 3))
        self.assertEqual(str(rest.position(("list", 0, "k", 1))), "x:6:16")
        self.assertEqual(str(rest.key_position(("list", 0, "m"))), "x:6:20")
        self.assertEqual(rest.secrets, {("list", 0, "m"), ("up", "a", "y")})
        self.assertEqual(len(self.whole.data["list"]), 3, "the whole is as it was")  # type: ignore[arg-type]

    def test_what_it_lacks(self) -> None:
        rest = without(self.whole, {("list", 0), ("up", "a", "x")}, doubtful=[("up", "c")])
        for loc in (("up", "a", "x"), ("up", "a"), ("up",), (), ("up", "a", "x", "below"), ("up", "c"), ("list",)):
            self.assertTrue(rest.lacks(loc), loc)
        for loc in (("up", "b"), ("up", "a", "y"), ("list", 0), ("list", 0, "k"), ("list", 1), ("other",)):
            self.assertFalse(rest.lacks(loc), loc)

    def test_names_are_those_that_were_written(self) -> None:
        rest = without(self.whole, {("up", "a"), ("list", 0)})
        self.assertEqual(rest.names(("up",)), ("a", "b"))
        self.assertEqual(rest.names(("list", 0)), ("k", "m"))
        self.assertEqual((rest.names(("up", "b", "x")), rest.names(("nothing",))), ((), ()))

    def test_standins_are_for_what_is_gone(self) -> None:
        standins = {"list": ["other"], "up": {}, "new": 1}
        rest = without(self.whole, {("list",), ("new",)}, standins=standins)
        self.assertEqual((rest.data["list"], rest.data["new"]), (["other"], 1))
        self.assertEqual(rest.data["up"], self.whole.data["up"])
        self.assertTrue(rest.lacks(("list", 0)))

    def test_what_only_follows_is_no_problem(self) -> None:
        rest = without(self.whole, {("list", 0), ("up", "a", "x")})
        problems = Problems()
        problems.add(("up", "a"), "has no x")
        problems.add(("list",), "is too short")
        problems.add(("list", 0, "k"), "wrong")
        problems.under("up").add(("b",), "refers to x of a", absent=("a", "x"))
        problems.under("up").add(("b",), "refers to z of a", absent=("a", "z"))
        problems.extend([each.located(self.whole) for each in Problems([*problems])])
        found = [(problem.loc, str(problem.position), problem.message) for problem in problems.located(rest)]
        self.assertIn((("list", 1, "k"), "x:6:9", "wrong"), found)
        self.assertEqual(len(found), 1 + 5, "what has its place already is not judged again")
