"""One path segment of a match, and how the text of a path pattern is cut into them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from urllib.parse import quote, unquote

from edgegw.config.problems import Loc, Problems, quoted
from edgegw.exchange.patterns import compile_pattern
from edgegw.wire.path import PathError, normalise

LITERAL, TYPED, PARAM, STAR, END, DEEP = range(6)
"""What a segment is, in the order of precedence. END is the end of the pattern: `/a` before `/a/**`, `/**/a` before `/**`."""

REST = "path"
"""The parameter that holds what `**` captured."""

MAX_SEGMENTS = 64
MAX_INT_DIGITS = 19

_is_identifier = re.compile(r"[A-Za-z_][A-Za-z0-9_]*").fullmatch
_is_word = re.compile(r"[A-Za-z_]+").fullmatch


@dataclass(frozen=True, slots=True)
class Segment:
    """kind: LITERAL, TYPED, PARAM, STAR or DEEP. key: what makes two of a kind the same (literal text, type). name: of the
    parameter, or empty. fits: the test of a TYPED one, on a segment of a normalised path without `;parameters`.
    """

    kind: int
    key: str = ""
    name: str = field(default="", compare=False)
    fits: Callable[[str], bool] = field(default=bool, compare=False, repr=False)

    def __str__(self) -> str:
        if self.kind == TYPED:
            return "{%s:%s}" % (self.name, self.key)  # noqa: UP031 # braces in an f-string would be harder to read
        return {LITERAL: self.key, PARAM: "{" + self.name + "}", STAR: "*"}.get(self.kind, "**")


def parse_path(text: str, problems: Problems, loc: Loc) -> tuple[Segment, ...] | None:
    """Cut a path pattern into segments; what is wrong is reported at `loc` and None returned.

    `/` is one empty literal; a trailing slash is an empty literal at the end, which is how it distinguishes.
    """
    pieces = split_outside_braces(text, "/")
    if pieces is None:
        problems.add(loc, f"the braces in {quoted(text)} do not pair", hint="a parameter is {name} or {name:regex}")
        return None
    if len(pieces) - 1 > MAX_SEGMENTS:
        problems.add(loc, f"a match has at most {MAX_SEGMENTS} segments, not {len(pieces) - 1}")
        return None
    segments: list[Segment] = []
    last = len(pieces) - 1
    for position, piece in enumerate(pieces[1:], 1):
        if not piece and position < last:
            problems.add(
                loc, f"{quoted(text)} has an empty segment", hint="`//` never matches: request paths are merged"
            )
            return None
        segment = _parse_segment(piece, problems, loc)
        if segment is None:
            return None
        segments.append(segment)
    return tuple(segments) if _is_sound(segments, text, problems, loc) else None


def _is_sound(segments: list[Segment], text: str, problems: Problems, loc: Loc) -> bool:
    for one, other in pairwise(segments):
        if one.kind == DEEP and other.kind == DEEP:
            problems.add(loc, f"{quoted(text)} has `**` twice in a row", hint="one `**` is any number of segments")
            return False
    deep = any(segment.kind == DEEP for segment in segments)
    names = [segment.name for segment in segments if segment.name] + ([REST] if deep else [])
    for name in names:
        if names.count(name) > 1:
            taken = " (what `**` captures has this name)" if deep and name == REST else ""
            problems.add(
                loc, f"the parameter {{{name}}} stands twice in {quoted(text)}{taken}", hint="give each its own name"
            )
            return False
    return True


def _parse_segment(piece: str, problems: Problems, loc: Loc) -> Segment | None:
    if piece == "*":
        return Segment(STAR)
    if piece == "**":
        return Segment(DEEP)
    if "{" in piece or "}" in piece:
        return _parse_parameter(piece, problems, loc)
    if "*" in piece:
        hint = "`*` is one whole segment and `**` any number; part of one is {name:regex}"
        problems.add(loc, f"{quoted(piece)}: `*` cannot stand for part of a segment", hint=hint)
        return None
    return _parse_literal(piece, problems, loc)


def _parse_literal(piece: str, problems: Problems, loc: Loc) -> Segment | None:
    for mark, advice in (
        ("?", "ask for query parameters with when: {query: ...}"),
        (";", "routing ignores `;parameters`"),
    ):
        if mark in piece:
            problems.add(loc, f"{quoted(piece)}: `{mark}` cannot stand in a path pattern", hint=advice)
            return None
    if unquote(piece) in (".", ".."):
        problems.add(
            loc, f"{quoted(piece)} never matches: request paths have no dot segments", hint="write the path without it"
        )
        return None
    text = "/" + quote(piece, safe="/%!$&'()+,=:@~#\\")
    try:
        path = normalise(text, "keep").path
    except PathError as error:
        problems.add(loc, f"{quoted(piece)} never matches: {error.detail or error.reason}")
        return None
    return Segment(LITERAL, path[1:])


def _parse_parameter(piece: str, problems: Problems, loc: Loc) -> Segment | None:
    inner = piece[1:-1]
    parts = split_outside_braces(inner, "}") if piece.startswith("{") and piece.endswith("}") else None
    if parts is None or len(parts) != 1:
        hint = "a parameter fills its segment; part of one is {name:regex}, such as {file:[a-z]+\\.json}"
        problems.add(loc, f"{quoted(piece)} is not a parameter", hint=hint)
        return None
    name, colon, kind = inner.partition(":")
    if not _is_identifier(name):
        hint = "letters, digits and `_`, not a digit first; any segment is `*`"
        problems.add(loc, f"{quoted(name)} is not a parameter's name", hint=hint)
        return None
    if not colon:
        return Segment(PARAM, "", name)
    return _parse_typed(name, kind, problems, loc)


def _parse_typed(name: str, kind: str, problems: Problems, loc: Loc) -> Segment | None:
    if kind == "int":
        return Segment(TYPED, "int", name, _is_int)
    if not kind or _is_word(kind):
        hint = (
            f"write {{{name}:int}}, or a regex; a regex that is only a word is ({kind})"
            if kind
            else f"write {{{name}}}"
        )
        problems.add(loc, f"{quoted(kind)} is not a type of parameter; there is int", hint=hint)
        return None
    if "/" in kind:
        problems.add(loc, f"the regex of {{{name}}} holds a `/`, but a parameter is one segment", hint="take `**`")
        return None
    pattern = compile_pattern(kind, problems, loc)
    if pattern is None:
        return None
    full = pattern.full
    return Segment(TYPED, kind, name, lambda segment: full(segment.encode("ascii")))


def _is_int(segment: str) -> bool:
    return segment.isdigit() and len(segment) <= MAX_INT_DIGITS  # paths are ASCII, so isdigit is 0-9


def split_outside_braces(text: str, mark: str) -> list[str] | None:
    """Split at a character that stands outside `{...}`; None when braces do not pair. A backslash hides a brace."""
    pieces: list[str] = []
    depth = start = 0
    for index, char in _unescaped(text):
        if char == mark and depth == 0:
            pieces.append(text[start:index])
            start = index + 1
        elif char == "{":
            depth += 1
        elif char == "}":
            depth -= 1
            if depth < 0:
                return None
    pieces.append(text[start:])
    return pieces if depth == 0 else None


def _unescaped(text: str) -> Iterator[tuple[int, str]]:
    skip = False
    for index, char in enumerate(text):
        if skip:
            skip = False
        elif char == "\\":
            skip = True
        else:
            yield index, char
