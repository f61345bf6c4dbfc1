"""What a route answers: method, host and path, read from `GET api.example.com/users/{id}/**` or its long form."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from edgegw.config.model import Settings, ShortForm
from edgegw.config.problems import Loc, Problems, quoted
from edgegw.routing.segments import DEEP, END, PARAM, Segment, parse_path, split_outside_braces
from edgegw.wire.authority import AuthorityError, parse_authority

EXACT_HOST, ONE_LABEL, LABELS, ANY_HOST = range(4)
"""What a host pattern is, in the order of precedence."""

_METHODS = re.compile(r"([A-Za-z|!#$%&'+\-.^_`~0-9]+)\s+(.*)", re.DOTALL)
_is_method = re.compile(r"[A-Z][A-Z0-9_-]*").fullmatch


def _long_form(text: str) -> Mapping[str, object]:
    """Take the short form apart; `compile_match` judges the pieces.

    Raises:
        ValueError: there is no path in it.
    """
    rest = text.strip()
    methods = ""
    found = _METHODS.fullmatch(rest)
    if found:
        methods, rest = found[1], found[2].strip()
    scheme, mark, address = rest.partition("://")
    if mark and scheme.isalpha():
        raise ValueError(f'{quoted(text)} has a scheme; write "{address}"')
    pieces = split_outside_braces(rest, "/")
    if pieces is not None and len(pieces) == 1:
        if rest.upper() == rest and _is_method(rest) and not methods:
            raise ValueError(f'{quoted(text)} is a method without a path; write "{rest} /**" for all of them')
        raise ValueError(f'{quoted(text)} has no path; write "{text.strip()}/**" for everything on that host')
    host = pieces[0] if pieces is not None else rest.partition("/")[0]
    return {"host": host or None, "path": rest[len(host) :], "methods": methods.split("|") if methods else []}


class MatchSettings(Settings):
    """The requests a route answers."""

    SHORT: ClassVar[ShortForm | None] = ShortForm(_long_form, "[METHOD|METHOD ][HOST]/PATH in one text")

    host: str | None = None
    """`api.example.com`, `*.example.com` (one label), `**.example.com` (one or more), `{tenant}.example.com`; none is any host."""
    path: str = "/**"
    """Literal segments, `{name}`, `{name:int}`, `{name:regex}`, `*` (one segment), `**` (zero or more)."""
    methods: list[str] = []
    """Upper-case methods; none is any. GET also serves HEAD unless HEAD is routed."""


@dataclass(frozen=True, slots=True)
class Host:
    """kind: EXACT_HOST, ONE_LABEL, LABELS or ANY_HOST. name: the host, or what follows the first label; lower case, no port.
    param: what the first label is captured as, or empty.
    """

    kind: int = ANY_HOST
    name: str = ""
    param: str = field(default="", compare=False)

    def fits(self, host: str) -> bool:
        """Whether a request's host (lower case, no port, no trailing dot) matches."""
        if self.kind == EXACT_HOST:
            return host == self.name
        if self.kind == ONE_LABEL:
            label, _, rest = host.partition(".")
            return bool(label) and rest == self.name
        return self.kind == ANY_HOST or host.endswith("." + self.name)

    def __str__(self) -> str:
        first = "{" + self.param + "}" if self.param else "*"
        return {EXACT_HOST: self.name, ONE_LABEL: f"{first}.{self.name}", LABELS: f"**.{self.name}"}.get(self.kind, "")


@dataclass(frozen=True, slots=True)
class Match:
    """A compiled match. methods: sorted, empty is any."""

    methods: tuple[str, ...]
    host: Host
    segments: tuple[Segment, ...]

    @property
    def ranks(self) -> tuple[int, ...]:
        """The path's place in the order of precedence: smaller is more specific."""
        return (*(segment.kind for segment in self.segments), END)

    @property
    def literal(self) -> str | None:
        """The one path that matches, when every segment is literal."""
        if any(segment.kind for segment in self.segments):
            return None
        return "/" + "/".join(segment.key for segment in self.segments)

    @property
    def parameters(self) -> frozenset[str]:
        """Names of everything that is captured."""
        names = {segment.name for segment in self.segments if segment.name}
        names.update({self.host.param} if self.host.param else ())
        names.update({"path"} if any(segment.kind == DEEP for segment in self.segments) else ())
        return frozenset(names)

    def __str__(self) -> str:
        methods = "|".join(self.methods) + " " if self.methods else ""
        return f"{methods}{self.host}/{'/'.join(map(str, self.segments))}"


def compile_match(settings: MatchSettings, problems: Problems) -> Match | None:
    """Compile a match.

    Args:
        problems: gets what is wrong; hand in `problems.under(..., "match")`. In the short form all of it stands at that one value.

    Returns:
        the match, or None if something is wrong with it.
    """
    methods = _methods(settings.methods, problems)
    host = _host(settings.host, problems, ("host",))
    if not settings.path.startswith("/"):
        problems.add(
            ("path",), f"the path {quoted(settings.path)} does not start with `/`", hint=f'write "/{settings.path}"'
        )
        return None
    segments = parse_path(settings.path, problems, ("path",))
    if methods is None or host is None or segments is None:
        return None
    match = Match(methods, host, segments)
    if host.param and any(segment.name == host.param for segment in segments):
        problems.add(
            ("path",), f"the parameter {{{host.param}}} stands in host and path", hint="give each its own name"
        )
        return None
    return match


def parse_match(text: str, problems: Problems) -> Match | None:
    """Compile the short form."""
    try:
        long_form = _long_form(text)
    except ValueError as error:
        problems.add((), str(error))
        return None
    return compile_match(MatchSettings.model_validate(dict(long_form)), problems)


def _methods(names: list[str], problems: Problems) -> tuple[str, ...] | None:
    for index, name in enumerate(names):
        if not _is_method(name):
            upper = name.upper()
            hint = f"methods are upper-case: {upper}" if _is_method(upper) else "GET, or GET|POST"
            problems.add(("methods", index), f"{quoted(name)} is not a method", hint=hint)
            return None
    return tuple(sorted(set(names)))


def _host(text: str | None, problems: Problems, loc: Loc) -> Host | None:
    if not text:
        return Host()
    first, _, rest = text.partition(".")
    if text in ("*", "**"):
        problems.add(loc, f"{quoted(text)} is not a host pattern", hint="leave the host out for any host")
        return None
    if first.startswith("{") and first.endswith("}"):
        one = parse_path("/" + first, problems, loc)
        if one is None:
            return None
        if one[0].kind != PARAM:
            problems.add(loc, f"a parameter of a host has no type: {quoted(first)}", hint="{tenant}.example.com")
            return None
        return _wild(ONE_LABEL, rest, one[0].name, problems, loc)
    if first in ("*", "**"):
        return _wild(ONE_LABEL if first == "*" else LABELS, rest, "", problems, loc)
    name = _name(text, problems, loc)
    return Host(EXACT_HOST, name) if name else None


def _wild(kind: int, rest: str, param: str, problems: Problems, loc: Loc) -> Host | None:
    if not rest:
        problems.add(
            loc, "a host pattern needs a domain behind its first label", hint="*.example.com; no host is any host"
        )
        return None
    name = _name(rest, problems, loc)
    return Host(kind, name, param) if name else None


def _name(text: str, problems: Problems, loc: Loc) -> str | None:
    """A host name as requests carry it: lower case, A-labels, no port, no trailing dot."""
    if "*" in text or "{" in text:
        problems.add(
            loc, f"{quoted(text)}: only the first label of a host may be *, ** or {{name}}", hint="*.example.com"
        )
        return None
    try:
        raw = text.encode("ascii") if text.isascii() else text.encode("idna")
        return parse_authority(raw)[0]
    except (AuthorityError, UnicodeError) as error:
        problems.add(
            loc, f"{quoted(text)} is not a host: {error}", hint="api.example.com/path; the path starts with `/`"
        )
        return None
