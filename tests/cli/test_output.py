"""Output: three forms, two streams, colour for terminals only."""

import io
import json
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from edgegw.cli.output import Output, paint, plain, plural
from edgegw.config.diff import Change
from edgegw.config.problems import Position, Problem
from edgegw.config.report import Format
from tests.cli.case import CliCase, Terminal

GOOD = "edgegw: 1\nlisten: [8080]\n"
BAD = "edgegw: 1\nlisten: [8080]\nrutes: []\n"
PROBLEM = Problem(("a",), "no such thing", hint="try b", position=Position("x.yaml", 1, 1, 1))
SOURCES = {"x.yaml": "a: 1\n"}


class Printed:
    """An output and what it printed."""

    def __init__(self, form: Format = "text", stream: type[io.StringIO] = io.StringIO, **environ: str) -> None:
        self._out, self._err = stream(), stream()
        self.output = Output(self._out, self._err, form, environ)

    @property
    def out(self) -> str:
        return self._out.getvalue()

    @property
    def err(self) -> str:
        return self._err.getvalue()


class WordsTests(SynchronousTestCase):
    def test_plural(self) -> None:
        self.assertEqual([plural(n, "route") for n in (0, 1, 2)], ["0 routes", "1 route", "2 routes"])

    def test_plain(self) -> None:
        self.assertEqual(plain("a\x1b[2J\r\nb\u202eü"), "a [2J  b ü")

    def test_paint(self) -> None:
        self.assertEqual(paint("x", "red", True), "\x1b[31;1mx\x1b[0m")
        self.assertEqual(paint("x", "red", False), "x")


class OutputTests(SynchronousTestCase):
    def test_product_and_notes_go_different_ways(self) -> None:
        printed = Printed()
        printed.output.line("product")
        printed.output.line()
        printed.output.note("note")
        self.assertEqual((printed.out, printed.err), ("product\n\n", "note\n"))

    def test_failure(self) -> None:
        printed = Printed()
        printed.output.failure("it broke", 2, "Usage: so")
        self.assertEqual((printed.out, printed.err), ("", "edgegw: it broke\nUsage: so\n"))

    def test_failure_for_programs(self) -> None:
        printed = Printed("json")
        printed.output.failure("it broke", 2, "Usage: so")
        self.assertEqual(json.loads(printed.out), {"ok": False, "error": "it broke", "status": 2})
        self.assertEqual(printed.err, "")

    def test_problems_of_the_verb_are_its_product(self) -> None:
        text = "x.yaml:1:1: error: no such thing\n    1 | a: 1\n      | ^ try b\n1 error.\n"
        for product, streams in ((True, (text, "")), (False, ("", text))):
            printed = Printed()
            printed.output.problems([PROBLEM], SOURCES, product=product)
            self.assertEqual((printed.out, printed.err), streams)

    def test_problems_for_machines_are_always_product(self) -> None:
        printed = Printed("github")
        printed.output.problems([PROBLEM], SOURCES, product=False)
        self.assertEqual(printed.out, "::error file=x.yaml,line=1,col=1::no such thing (try b)\n")
        self.assertEqual(printed.err, "")
        printed = Printed("json")
        printed.output.problems([PROBLEM], SOURCES)
        self.assertEqual(json.loads(printed.out)["errors"], 1)

    def test_closing(self) -> None:
        printed = Printed()
        printed.output.problems([PROBLEM], SOURCES, "Nothing was changed.")
        self.assertTrue(printed.out.endswith("\n1 error. Nothing was changed.\n"))
        printed = Printed()
        printed.output.problems([PROBLEM], SOURCES, None)
        self.assertTrue(printed.out.endswith("^ try b\n"))

    def test_table(self) -> None:
        printed = Printed()
        printed.output.table(("NAME", "N"), [("a-long-name", 1), ("b\x1b", 22)])
        self.assertEqual(printed.out, "NAME         N\na-long-name  1\nb            22\n")

    def test_a_table_may_be_empty(self) -> None:
        printed = Printed()
        printed.output.table(("NAME", "N"), [])
        self.assertEqual(printed.out, "NAME  N\n")

    def test_changes(self) -> None:
        printed = Printed()
        printed.output.changes(
            [
                Change(("a", "b"), "changed", 1, 2),
                Change(("upstreams", "x"), "added", None, {"endpoints": []}),
                Change(("upstreams", "y"), "removed", {"endpoints": []}, None),
                Change(("c",), "added", None, 3),
                Change(("d",), "changed", "e" * 300, "f"),
            ]
        )
        *lines, long = printed.out.splitlines()
        self.assertEqual(lines, ["~ a.b: 1 -> 2", "+ upstreams.x", "- upstreams.y", "+ c: 3"])
        self.assertEqual((len(long), long[-4:]), (183, "e..."))

    def test_no_changes(self) -> None:
        printed = Printed()
        printed.output.changes([])
        self.assertEqual(printed.out, "no difference\n")

    def test_shades(self) -> None:
        printed = Printed(stream=Terminal)
        printed.output.changes([Change(("a",), "added", None, 1), Change(("a",), "removed", 1, None)])
        printed.output.problems([PROBLEM], SOURCES, None)
        added, removed, head, _, caret = printed.out.splitlines()
        self.assertEqual((added, removed), ("\x1b[32m+ a: 1\x1b[0m", "\x1b[31;1m- a: 1\x1b[0m"))
        self.assertEqual(head, "\x1b[1mx.yaml:1:1: \x1b[0m\x1b[31;1merror:\x1b[0m no such thing")
        self.assertEqual(caret, "      | \x1b[32m^\x1b[0m try b")

    def test_each_stream_decides_for_itself(self) -> None:
        """`edgegw show > file` keeps the colour of what goes wrong."""
        out, err = io.StringIO(), Terminal()
        output = Output(out, err, "text", {})
        output.line(output.paint("x", "red"))
        output.failure("y", 1)
        self.assertEqual((out.getvalue(), err.getvalue()), ("x\n", "\x1b[31;1medgegw:\x1b[0m y\n"))


class ColourTests(CliCase):
    def painted(self, line: str, environ: dict[str, str] | None = None) -> bool:
        done = self.run_edgegw(line, environ, Terminal)
        return "\x1b[" in done.out + done.err

    def test_only_terminals_get_colour(self) -> None:
        Path("bad.yaml").write_text(BAD)
        Path("good.yaml").write_text(GOOD)
        for line in ("check bad.yaml", "check good.yaml", "show bad.yaml", "show good.yaml", "chekc", "help"):
            with self.subTest(line=line):
                self.assertTrue(self.painted(line))
                self.assertFalse(self.painted(line, {"NO_COLOR": "1"}))
                self.assertFalse(self.painted(line, {"TERM": "dumb"}))
                done = self.run_edgegw(line)
                self.assertNotIn("\x1b", done.out + done.err)

    def test_json_is_never_painted(self) -> None:
        Path("bad.yaml").write_text(BAD)
        self.assertFalse(self.painted("check bad.yaml --json"))

    def test_colour_adds_nothing_else(self) -> None:
        Path("bad.yaml").write_text(BAD)
        painted = self.run_edgegw("check bad.yaml", {}, Terminal).out
        for code in ("\x1b[0m", "\x1b[1m", "\x1b[31;1m", "\x1b[32m"):
            painted = painted.replace(code, "")
        self.assertEqual(painted, self.run_edgegw("check bad.yaml").out)
