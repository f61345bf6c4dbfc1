"""The three forms of a report."""

import json
import unittest

from edgegw.config.problems import Position, Problem
from edgegw.config.report import UNCHANGED, count, render

SOURCES = {"shop.yaml": "routes:\n  - match: GET /x\n    limt: 100/s per ip\n"}
LIMT = Problem(
    ("routes", 0, "limt"),
    'unknown key "limt" in route "GET /x"',
    'did you mean "limit"?',
    explain="routes.limit",
    position=Position("shop.yaml", 3, 5, 4),
)


class TextTests(unittest.TestCase):
    def test_the_form_of_the_design(self) -> None:
        self.assertEqual(
            render([LIMT, LIMT], SOURCES, closing=UNCHANGED).split("\n")[3:],
            [
                'shop.yaml:3:5: error: unknown key "limt" in route "GET /x"',
                "    3 |     limt: 100/s per ip",
                '      |     ^^^^ did you mean "limit"?      more: edgegw explain routes.limit',
                "2 errors. The running configuration was not changed.",
            ],
        )

    def test_closing_is_optional(self) -> None:
        self.assertTrue(render([LIMT], SOURCES).endswith("\n1 error."))
        self.assertTrue(render([LIMT], SOURCES, closing=None).endswith("explain routes.limit"))

    def test_without_a_source_the_hint_still_shows(self) -> None:
        self.assertEqual(
            render([Problem((), "bad", "do this")], {}, closing=None),
            "error: bad\n      do this",
        )

    def test_a_long_line_is_cut_around_the_caret(self) -> None:
        line = "a: [" + "1, " * 200 + "BAD]"
        column = line.index("BAD") + 1
        lines = render([Problem((), "bad", position=Position("x", 1, column, 3))], {"x": line}, closing=None).split(
            "\n"
        )
        self.assertLess(len(lines[1]), 170)
        self.assertEqual(lines[1][lines[2].index("^") :][:3], "BAD")
        self.assertEqual(lines[2].count("^"), 3)

    def test_nothing_a_terminal_would_obey_comes_through(self) -> None:
        problem = Problem((), "bad \x1b[31m\nx", position=Position("x", 1, 1))
        text = render([problem], {"x": "a\x1b[2Jb\tc"}, closing=None)
        self.assertNotIn("\x1b", text)
        self.assertEqual(len(text.split("\n")), 3)

    def test_lines_are_those_of_yaml(self) -> None:
        problem = Problem((), "bad", position=Position("x", 3, 1))
        self.assertIn("    3 | c", render([problem], {"x": "a\r\nb\u2028c"}))

    def test_count(self) -> None:
        warning = Problem((), "odd", severity="warning")
        self.assertEqual(count([]), "0 errors")
        self.assertEqual(count([warning]), "1 warning")
        self.assertEqual(count([LIMT, warning, warning]), "1 error, 2 warnings")


class MachineTests(unittest.TestCase):
    def test_json(self) -> None:
        made = json.loads(render([LIMT], SOURCES, "json"))
        self.assertEqual((made["errors"], made["warnings"]), (1, 0))
        self.assertEqual(made["problems"][0]["loc"], ["routes", 0, "limt"])
        self.assertEqual(
            [made["problems"][0][key] for key in ("file", "line", "column", "width")], ["shop.yaml", 3, 5, 4]
        )

    def test_github_escapes_what_would_end_the_command(self) -> None:
        problem = Problem((), "50% of a\nb", severity="warning", position=Position("a,b:c.yaml", 2, 7))
        self.assertEqual(
            render([problem], {}, "github"),
            "::warning file=a%2Cb%3Ac.yaml,line=2,col=7::50%25 of a%0Ab",
        )

    def test_github_hint_and_no_position(self) -> None:
        self.assertEqual(render([Problem((), "bad", "do this")], {}, "github"), "::error::bad (do this)")
