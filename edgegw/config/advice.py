"""What to tell a person whose YAML does not parse: where it went wrong, and what to write instead."""

import re
from dataclasses import dataclass

import yaml

from edgegw.config.problems import Position, Problem, quoted

_LINES = re.compile(r"\r\n|[\n\r\x85\u2028\u2029]")
_VARIABLE = re.compile(r"\$\{[^{}]*\}")
# The start of a value (after "key: ", "- ", "[" or ", ") whose first character YAML keeps for itself.
_RESERVED = re.compile(r"(?:(?<=: )|(?<=- )|(?<=[\[{,])|(?<=, )|^) *(?=(?P<value>[*{\[@`%!&|>]))")
_COLON = re.compile(r":\s+(?P<value>[^\"'\[{].*?:(?:\s.*)?)$")


def advise(error: yaml.MarkedYAMLError, text: str, file: str) -> Problem:
    """The problem for a syntax error: pointed at what a person must change, which is not always where libyaml noticed."""
    mark = error.problem_mark or error.context_mark
    lines = _LINES.split(text)
    line, column = (mark.line, mark.column) if mark else (0, 0)
    shown = lines[line] if line < len(lines) else ""
    for rule in (_tab, _variable, _escape, _unclosed, _needs_quotes, _second_colon):
        found = rule(error, shown, line, column)
        if found is not None:
            return found.problem(file)
    what = (error.problem or "it cannot be read").replace("did not find expected", "there is no")
    context = f" {error.context}" if error.context else ""
    if "simple key" in (error.context or "") and error.context_mark:
        return _Advice(
            'there is no ":" after this key', None, error.context_mark.line, error.context_mark.column
        ).problem(file)
    hint = "check the indentation of this line and the one above" if _looks_like_indentation(error) else None
    return _Advice(f"this is not YAML:{context} {what}".replace("  ", " "), hint, line, column).problem(file)


@dataclass(frozen=True, slots=True)
class _Advice:
    """A problem that only waits for the name of the file; line and column from 0."""

    message: str
    hint: str | None
    line: int
    column: int
    width: int = 1

    def problem(self, file: str) -> Problem:
        """The problem, in our counting."""
        return Problem(
            (), self.message, self.hint, position=Position(file, self.line + 1, self.column + 1, max(1, self.width))
        )


def _tab(error: yaml.MarkedYAMLError, shown: str, line: int, column: int) -> _Advice | None:
    indent = shown[: len(shown) - len(shown.lstrip())]
    if "\t" not in indent and shown[column : column + 1] != "\t":
        return None
    place = indent.index("\t") if "\t" in indent else column
    return _Advice("a tab stands where YAML wants spaces", "indent with spaces, not tabs", line, place)


def _variable(error: yaml.MarkedYAMLError, shown: str, line: int, column: int) -> _Advice | None:
    for found in _VARIABLE.finditer(shown):
        if found.start() <= column <= found.end() and not _inside_quotes(shown, found.start()):
            hint = f"put it in quotes: {quoted(found.group())}"
            return _Advice("YAML cannot read ${...} here without quotes", hint, line, found.start(), len(found.group()))
    return None


def _escape(error: yaml.MarkedYAMLError, shown: str, line: int, column: int) -> _Advice | None:
    if "escape" not in (error.problem or ""):
        return None
    return _Advice(
        f"{quoted(shown[column : column + 2])} means nothing inside double quotes",
        "use single quotes, or write \\\\ for a backslash",
        line,
        column,
        2,
    )


def _unclosed(error: yaml.MarkedYAMLError, shown: str, line: int, column: int) -> _Advice | None:
    """A quote or bracket that is never closed is shown where it was opened, not where the file ended."""
    context, opened = error.context or "", error.context_mark
    if opened is None or (opened.line == line and "end of stream" not in (error.problem or "")):
        return None
    if "quoted scalar" in context:
        return _Advice("this quote is never closed", None, opened.line, opened.column)
    if "flow" in context:
        what = "[" if "sequence" in context else "{"
        closing = "]" if what == "[" else "}"
        hint = f'the reading stopped at line {line + 1}: a comma or the closing "{closing}" is missing before it'
        return _Advice(f'this "{what}" is never closed', hint, opened.line, opened.column)
    return None


def _needs_quotes(error: yaml.MarkedYAMLError, shown: str, line: int, column: int) -> _Advice | None:
    in_flow = "flow" in (error.context or "") or bool(re.match(r"\s*(?:- )?[\[{]", shown))
    starts = [found.start("value") for found in _RESERVED.finditer(shown) if found.start("value") <= column]
    for start in reversed(starts):
        value = _value_at(shown, start, in_flow)
        if column > start + len(value) or _inside_quotes(shown, start):
            continue
        # A "{...}" is at fault only when something follows its end: otherwise it is a map, and the fault is in it.
        if value[0] not in "{[" or (start < column and _closed_before(value, column - start)):
            hint = f"put it in quotes: {_quote_for_yaml(value)}"
            return _Advice(
                f'a value that starts with "{value[0]}" must be put in quotes', hint, line, start, len(value)
            )
    for braces in re.finditer(r"[^\s,\[{]+\{[^{}]*\}[^\s,\]}]*", shown) if in_flow else ():
        if braces.start() <= column <= braces.end():
            hint = f"put it in quotes: {_quote_for_yaml(braces.group())}"
            message = 'a value that holds "{" must be put in quotes here'
            return _Advice(message, hint, line, braces.start(), len(braces.group()))
    return None


def _value_at(shown: str, start: int, in_flow: bool) -> str:
    """The value that a person meant: to the end of the line or, inside brackets, to the next comma or unmatched bracket."""
    depth = 0
    for index in range(start, len(shown)):
        char = shown[index]
        depth += (char in "{[") - (char in "}]")
        if (in_flow and (depth < 0 or (char == "," and depth == 0))) or shown[index : index + 2] == " #":
            return shown[start:index].rstrip()
    return shown[start:].rstrip()


def _closed_before(value: str, index: int) -> bool:
    """Whether the bracket that opens `value` is closed before `index`."""
    depth = 0
    for char in value[:index]:
        depth += (char in "{[") - (char in "}]")
        if depth == 0:
            return True
    return False


def _second_colon(error: yaml.MarkedYAMLError, shown: str, line: int, column: int) -> _Advice | None:
    if "mapping values are not allowed" not in (error.problem or ""):
        return None
    found = _COLON.search(shown)
    if found and found.start("value") <= column:
        value = found["value"].rstrip()
        hint = f"put it in quotes: {_quote_for_yaml(value)}"
        return _Advice('a value that holds ": " must be put in quotes', hint, line, found.start("value"), len(value))
    return _Advice("a key stands where none can", "check the indentation of this line and the one above", line, column)


def _looks_like_indentation(error: yaml.MarkedYAMLError) -> bool:
    return "block" in (error.context or "")


def _inside_quotes(shown: str, column: int) -> bool:
    before = shown[:column]
    return before.count('"') % 2 == 1 or before.count("'") % 2 == 1


def _quote_for_yaml(value: str) -> str:
    """The value as one could type it: double quotes unless it holds what they would change."""
    return f"'{value}'" if '"' in value or "\\" in value else f'"{value}"'
