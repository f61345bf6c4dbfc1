"""Regular expressions of the configuration: google-re2, compiled at load, linear in the text they read.

Text is matched as bytes: that is what requests are made of, and it is the fastest way into the library.
"""

from __future__ import annotations

from typing import Any

import re2  # type: ignore[import-untyped]

from edgegw.config.problems import Loc, Problems, quoted

MAX_SOURCE = 1024
"""Characters in one expression."""
MAX_PROGRAM = 2000
"""Instructions of the compiled expression: time per request is at most this times the length of the text."""
MAX_MEMORY = 1 << 20
"""Bytes that one compiled expression may use."""


class Pattern:
    """One compiled expression.

    Args:
        source: the expression as it was written. compiled: what re2 made of it.
    """

    __slots__ = ("compiled", "groups", "source")

    def __init__(self, source: str, compiled: Any) -> None:
        self.source = source
        self.compiled = compiled
        self.groups: int = compiled.groups

    def full(self, data: bytes) -> bool:
        """Whether the whole of `data` matches."""
        return self.compiled.fullmatch(data) is not None

    def replace_once(self, template: bytes, data: bytes) -> bytes | None:
        """`data` with its first match replaced, or None without a match. `\\1` stands for a group in the template."""
        replaced, count = self.compiled.subn(template, data, 1)
        result: bytes = replaced
        return result if count else None

    def __repr__(self) -> str:
        return f"<Pattern {self.source}>"


def compile_pattern(source: str, problems: Problems, loc: Loc = ()) -> Pattern | None:
    """Compile one expression; what is wrong with it is reported at `loc` and None returned."""
    if len(source) > MAX_SOURCE:
        problems.add(loc, f"the regex is longer than {MAX_SOURCE} characters", hint="split it over several routes")
        return None
    options = re2.Options()
    options.log_errors = False
    options.max_mem = MAX_MEMORY
    try:
        compiled = re2.compile(source.encode("utf-8"), options)
    except re2.error as error:
        problems.add(loc, f"the regex {quoted(source)} does not compile: {_reason(error)}", hint=_advice(source))
        return None
    if compiled.programsize > MAX_PROGRAM:
        size = compiled.programsize
        message = f"the regex {quoted(source)} is too large: {size} instructions, at most {MAX_PROGRAM}"
        problems.add(loc, message, hint="repeat less: {1000} copies what stands before it a thousand times")
        return None
    return Pattern(source, compiled)


def _reason(error: Exception) -> str:
    raw = error.args[0] if error.args else b""
    return raw.decode("utf-8", "replace") if isinstance(raw, bytes) else str(raw)


def _advice(source: str) -> str | None:
    if any(mark in source for mark in ("(?=", "(?!", "(?<=", "(?<!")):
        return "regexes are RE2: there is no lookahead and no lookbehind"
    return "regexes are RE2: https://github.com/google/re2/wiki/Syntax"
