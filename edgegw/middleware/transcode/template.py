"""The path of a google.api.http rule, as google/api/http.proto defines it: `/v1/{name=shops/*}/orders/{id}:cancel`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote

from edgegw.wire.path import PathError, normalise

ONE = "*"
MANY = "**"
MAX_SEGMENTS = 64

_piece = re.compile(r"\{([^{}=]*)(?:=([^{}]*))?\}|([^/{}]+)")
_is_field_path = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*").fullmatch


class TemplateError(ValueError):
    """What is wrong with a path, in words for who wrote it."""


@dataclass(frozen=True, slots=True)
class Variable:
    """field: names of the field it binds, from the request message down. start, stop: the segments; stop is None behind a `**`."""

    field: tuple[str, ...]
    start: int
    stop: int | None

    @property
    def single(self) -> bool:
        """It captures exactly one segment."""
        return self.stop is not None and self.stop - self.start == 1


@dataclass(frozen=True, slots=True)
class Template:
    """segments: literals in their normal form (`edgegw.wire.path`), `*`, or `**` at the end. verb: without its colon, or empty."""

    segments: tuple[str, ...]
    verb: str
    variables: tuple[Variable, ...]


def parse(text: str) -> Template:
    """Read a path.

    Raises:
        TemplateError: it is none.
    """
    if not text.startswith("/"):
        raise TemplateError("does not start with `/`")
    path, verb = _split_verb(text)
    segments: list[str] = []
    variables: list[Variable] = []
    at = 1
    while True:
        found = _piece.match(path, at)
        if found is None:
            raise TemplateError("has an empty segment, or braces that do not pair")
        name, inner, plain = found.groups()
        if plain is not None:
            segments.append(_segment(plain))
        else:
            variables.append(_variable(name, inner, segments))
        at = found.end()
        if at == len(path):
            break
        if path[at] != "/":
            raise TemplateError("has a variable that is only a part of its segment")
        at += 1
    _check(segments, variables)
    return Template(tuple(segments), verb, tuple(variables))


def _split_verb(text: str) -> tuple[str, str]:
    path, colon, verb = text.rpartition(":")
    if not colon or "/" in verb or "}" in verb:
        return text, ""
    if not verb:
        raise TemplateError("ends with a colon")
    return path, _literal(verb)


def _variable(name: str, inner: str | None, segments: list[str]) -> Variable:
    if not _is_field_path(name):
        raise TemplateError(f"binds {{{name}}}, which is not the name of a field")
    start = len(segments)
    pieces = ["*"] if inner is None else inner.split("/")
    segments.extend(map(_segment, pieces))
    return Variable(tuple(name.split(".")), start, None if segments[-1] == MANY else len(segments))


def _segment(text: str) -> str:
    return text if text in (ONE, MANY) else _literal(text)


def _literal(text: str) -> str:
    if not text or "*" in text or "=" in text:
        raise TemplateError(f"has `{text}` as a segment")
    try:
        path = normalise("/" + quote(text, safe="%!$&'()+,=:@~#\\"), "keep").path
    except PathError as error:
        raise TemplateError(f"has `{text}` as a segment: {error.detail or error.reason}") from None
    if path == "/":
        raise TemplateError(f"has `{text}` as a segment, which request paths never have")
    return path[1:]


def _check(segments: list[str], variables: list[Variable]) -> None:
    if len(segments) > MAX_SEGMENTS:
        raise TemplateError(f"has more than {MAX_SEGMENTS} segments")
    if MANY in segments[:-1]:
        raise TemplateError("has a `**` that is not at its end")
    names = [variable.field for variable in variables]
    if len(set(names)) != len(names):
        raise TemplateError("binds a field twice")
