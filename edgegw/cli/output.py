"""What the command prints: text for people, JSON for programs, annotations for GitHub."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, TextIO

from edgegw.config.diff import Change, path_text
from edgegw.config.problems import Problem
from edgegw.config.report import Format, render

FORMATS: tuple[Format, ...] = ("text", "json", "github")

Paint = Literal["red", "yellow", "green", "bold", "dim"]
_CODES: Mapping[Paint, str] = {"red": "31;1", "yellow": "33;1", "green": "32", "bold": "1", "dim": "2"}
_WIDTH = 180  # characters of a difference
_HEAD = re.compile(r"(.*?)\b(error|warning): ")
_CARET = re.compile(r"( +\| *)(\^+)(.*)")
_SIGNS: Mapping[str, Paint] = {"+ ": "green", "- ": "red", "~ ": "yellow"}


class Output:
    """Where a verb prints.

    Args:
        form: `text`, `json` or `github`; the last is for problems, everything else is then printed as text.
        environ: NO_COLOR in it turns colour off. Only terminals get colour.
    """

    def __init__(self, stdout: TextIO, stderr: TextIO, form: Format, environ: Mapping[str, str]) -> None:
        self.stdout = stdout
        self.stderr = stderr
        self.form = form
        wanted = not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"
        self.colour = wanted and stdout.isatty()
        self._colour_notes = wanted and stderr.isatty()

    @property
    def is_json(self) -> bool:
        """Whether a program reads this."""
        return self.form == "json"

    def line(self, text: str = "") -> None:
        """One line of the verb's product."""
        print(text, file=self.stdout)

    def data(self, data: Any) -> None:
        """The verb's product as JSON."""
        print(json.dumps(data, indent=2), file=self.stdout)

    def note(self, text: str) -> None:
        """For the person at the terminal: not part of the product."""
        print(text, file=self.stderr)

    def failure(self, text: str, status: int, advice: str = "") -> None:
        """Why the verb did nothing."""
        if self.is_json:
            self.data({"ok": False, "error": text, "status": status})
            return
        self.note(f"{paint('edgegw:', 'red', self._colour_notes)} {text}")
        if advice:
            self.note(advice)

    def problems(
        self, problems: Sequence[Problem], sources: Mapping[str, str], closing: str | None = "", *, product: bool = True
    ) -> None:
        """Problems in the chosen form. product: they are what the verb was asked for, so they go to the standard output."""
        if self.form != "text":
            print(render(problems, sources, self.form), file=self.stdout)
            return
        colour = self.colour if product else self._colour_notes
        text = render(problems, sources, "text", closing)
        painted = "\n".join(_painted(line) for line in text.split("\n")) if colour else text
        print(painted, file=self.stdout if product else self.stderr)

    def changes(self, changes: Sequence[Change]) -> None:
        """Differences, one a line. A thing that came or went as a whole is named; `--json` has all its keys."""
        for line in map(_change_text, changes):
            shade = _SIGNS.get(line[:2])
            self.line(paint(line, shade, self.colour) if shade else line)
        if not changes:
            self.line("no difference")

    def table(self, heads: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Columns as wide as what is in them."""
        cells = [[plain(str(cell)) for cell in row] for row in rows]
        widths = [max(len(row[column]) for row in [list(heads), *cells]) for column in range(len(heads))]
        self.line(paint(_row(heads, widths), "bold", self.colour))
        for row in cells:
            self.line(_row(row, widths))

    def paint(self, text: str, shade: Paint) -> str:
        """Text in colour, if this is a terminal."""
        return paint(text, shade, self.colour)


def _change_text(change: Change) -> str:
    whole = change.kind != "changed" and isinstance(change.old or change.new, dict)
    line = plain(str(change))
    return f"{line[:2]}{path_text(change.loc)}" if whole else line if len(line) <= _WIDTH else f"{line[:_WIDTH]}..."


def paint(text: str, shade: Paint, wanted: bool) -> str:
    """Text in colour, if wanted."""
    return f"\x1b[{_CODES[shade]}m{text}\x1b[0m" if wanted else text


def plural(number: int, name: str) -> str:
    """`1 route`, `2 routes`."""
    return f"{number} {name}{'' if number == 1 else 's'}"


def plain(text: str) -> str:
    """One line, and nothing in it that a terminal would obey."""
    return "".join(char if char.isprintable() else " " for char in text)


def _row(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(f"{cell:<{width}}" for cell, width in zip(cells, widths, strict=True)).rstrip()


def _painted(line: str) -> str:
    caret = _CARET.fullmatch(line)
    if caret:
        return caret[1] + paint(caret[2], "green", True) + caret[3]
    head = _HEAD.match(line)
    if head and not line.startswith(" "):
        shade: Paint = "red" if head[2] == "error" else "yellow"
        return paint(head[1], "bold", True) + paint(f"{head[2]}:", shade, True) + line[head.end() - 1 :]
    return line
