"""Problems as an operator, a program or a GitHub check reads them."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Literal

from edgegw.config.problems import Position, Problem, dotted

Format = Literal["text", "json", "github"]

UNCHANGED = "The running configuration was not changed."

# The line breaks of YAML: positions count lines by them, so the lines shown must be cut by them too.
_BREAKS = re.compile(r"\r\n|[\n\r\x85\u2028\u2029]")
_GUTTER = " " * 6
_WINDOW = 150  # characters of a long source line that are shown around the caret


def render(
    problems: Sequence[Problem],
    sources: Mapping[str, str],
    form: Format = "text",
    closing: str | None = "",
) -> str:
    """All problems in one of three forms, without a line break at the end.

    `sources` holds the text of each file by name (`ConfigError.sources`). `closing` follows the count on the last line of the text
    form (`UNCHANGED` after a failed reload); None leaves the last line out.
    """
    if form == "json":
        return _json(problems)
    if form == "github":
        return "\n".join(_annotation(problem) for problem in problems)
    lines = {name: _BREAKS.split(text) for name, text in sources.items()}
    parts = [_text(problem, lines) for problem in problems]
    if closing is not None:
        parts.append(f"{count(problems)}. {closing}".rstrip())
    return "\n".join(parts)


def count(problems: Sequence[Problem]) -> str:
    """`2 errors`, `1 error, 3 warnings`, `1 warning`."""
    errors = sum(problem.severity == "error" for problem in problems)
    warnings = len(problems) - errors
    words = []
    if errors or not warnings:
        words.append(f"{errors} error{'' if errors == 1 else 's'}")
    if warnings:
        words.append(f"{warnings} warning{'' if warnings == 1 else 's'}")
    return ", ".join(words)


def _text(problem: Problem, lines: Mapping[str, Sequence[str]]) -> str:
    head = _plain(str(problem))
    advice = problem.hint or ""
    if problem.explain is not None:
        more = f"more: edgegw explain {problem.explain}".rstrip()
        advice = f"{advice}      {more}" if advice else more
    advice = _plain(advice)
    source = _source_line(problem.position, lines)
    if problem.position is None or source is None:
        return f"{head}\n{_GUTTER}{advice}" if advice else head
    shown, column = _window(source, problem.position)
    width = max(1, min(problem.position.width, len(shown) - column + 1))
    caret = " " * (column - 1) + "^" * width
    return f"{head}\n{problem.position.line:>5} | {shown}\n{_GUTTER}| {caret}{' ' + advice if advice else ''}"


def _source_line(place: Position | None, lines: Mapping[str, Sequence[str]]) -> str | None:
    if place is None or place.file not in lines or place.line > len(lines[place.file]):
        return None
    return "".join(char if char.isprintable() else " " for char in lines[place.file][place.line - 1])


def _window(source: str, place: Position) -> tuple[str, int]:
    """A long line cut to what is around the caret, and the column of the caret in it."""
    if len(source) <= _WINDOW:
        return source, place.column
    start = max(0, place.column - 1 - _WINDOW // 3)
    cut = source[start : start + _WINDOW]
    before, after = "..." if start else "", "..." if start + _WINDOW < len(source) else ""
    return before + cut + after, place.column - start + len(before)


def _plain(text: str) -> str:
    """One line, and nothing in it that a terminal would obey."""
    return "".join(char if char.isprintable() else " " for char in text)


def _json(problems: Sequence[Problem]) -> str:
    found = [
        {
            "file": problem.file,
            "line": problem.line,
            "column": problem.column,
            "width": problem.position.width if problem.position else None,
            "loc": list(problem.loc),
            "key": dotted(problem.loc),
            "severity": problem.severity,
            "message": problem.message,
            "hint": problem.hint,
            "explain": problem.explain,
        }
        for problem in problems
    ]
    errors = sum(problem.severity == "error" for problem in problems)
    return json.dumps({"problems": found, "errors": errors, "warnings": len(problems) - errors}, indent=2)


def _annotation(problem: Problem) -> str:
    """A GitHub Actions workflow command: `::error file=..,line=..,col=..::message`."""
    place = problem.position
    where = f" file={_property(place.file)},line={place.line},col={place.column}" if place else ""
    message = problem.message if problem.hint is None else f"{problem.message} ({problem.hint})"
    return f"::{problem.severity}{where}::{_escaped(message)}"


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _escaped(text).replace(":", "%3A").replace(",", "%2C")
