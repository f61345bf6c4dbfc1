"""What is wrong with a configuration, and where: the one shape every check reports in."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal, Protocol

Loc = tuple[str | int, ...]
"""A place in the configuration: keys and list indexes (from 0) from its root."""

Severity = Literal["error", "warning"]
At = Literal["value", "key"]


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a file: line and column count from 1, in characters; `width` is how many characters the caret underlines."""

    file: str
    line: int
    column: int
    width: int = 1

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


class Located(Protocol):
    """Whatever knows where a piece of the configuration stands in its files (`source.Document` does)."""

    @property
    def files(self) -> Mapping[str, str]:
        """The text of each file, by the name that positions use."""
        ...

    def position(self, loc: Loc) -> Position:
        """Where the value at `loc` stands, or the nearest thing around it that was written."""
        ...

    def key_position(self, loc: Loc) -> Position:
        """Where the key of `loc` stands; the value's place where there is no key."""
        ...

    def written(self, loc: Loc) -> Loc:
        """The same place, counted as in the files."""
        ...

    def lacks(self, loc: Loc) -> bool:
        """Whether something was left out at `loc`, in it or around it, because it is wrong (and told elsewhere)."""
        ...


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong.

    `hint` is advice shown next to the caret, `at` says whether the caret goes under the key or the value of `loc`, `explain` is the
    key that `edgegw explain` tells more about ("" is the whole configuration). `absent` is where something else would have to be:
    if it was left out there, this is no problem. `position` is None until it is looked up.
    """

    loc: Loc
    message: str
    hint: str | None = None
    severity: Severity = "error"
    at: At = "value"
    explain: str | None = None
    absent: Loc | None = None
    position: Position | None = None

    @property
    def file(self) -> str | None:
        """The file's name, as far as it is known."""
        return self.position.file if self.position else None

    @property
    def line(self) -> int | None:
        """The line, from 1, as far as it is known."""
        return self.position.line if self.position else None

    @property
    def column(self) -> int | None:
        """The column in characters, from 1, as far as it is known."""
        return self.position.column if self.position else None

    def located(self, where: Located) -> "Problem":
        """The same problem with its place looked up in `where`; one that has a position keeps it."""
        if self.position is not None:
            return self
        find = where.key_position if self.at == "key" else where.position
        return replace(self, loc=where.written(self.loc), absent=None, position=find(self.loc))

    def __str__(self) -> str:
        place = str(self.position) if self.position else dotted(self.loc)
        return f"{place + ': ' if place else ''}{self.severity}: {self.message}"


class ConfigError(Exception):
    """A configuration that cannot be used. Carries every problem of the run and the texts they are in.

    `report.render(error.problems, error.sources)` shows it to people.
    """

    def __init__(self, problems: Iterable[Problem], sources: Mapping[str, str] | None = None) -> None:
        self.problems: tuple[Problem, ...] = tuple(problems)
        self.sources: Mapping[str, str] = dict(sources or {})
        super().__init__("\n".join(str(problem) for problem in self.problems))


class Problems:
    """Collects problems; views made by `under` share one list with it.

    True when there is at least one error: warnings do not stop a configuration.
    """

    def __init__(self, found: list[Problem] | None = None, prefix: Loc = ()) -> None:
        self._found: list[Problem] = [] if found is None else found
        self._prefix = prefix

    def add(
        self,
        loc: Iterable[str | int],
        message: str,
        hint: str | None = None,
        severity: Severity = "error",
        *,
        at: At = "value",
        explain: str | None = None,
        absent: Iterable[str | int] | None = None,
    ) -> None:
        """Record one problem at `loc` (relative to this view, as `absent`)."""
        gap = (*self._prefix, *absent) if absent is not None else None
        self._found.append(Problem((*self._prefix, *loc), message, hint, severity, at, explain, gap))

    def warn(self, loc: Iterable[str | int], message: str, hint: str | None = None) -> None:
        """Record something that is odd but does not stop the configuration."""
        self.add(loc, message, hint, "warning")

    def extend(self, problems: Iterable[Problem]) -> None:
        """Take problems over as they are: their locs count from the root, not from this view."""
        self._found.extend(problems)

    def under(self, *prefix: str | int) -> "Problems":
        """A view that puts `prefix` before every loc it is given."""
        return Problems(self._found, (*self._prefix, *prefix))

    @property
    def errors(self) -> tuple[Problem, ...]:
        """The problems that stop the configuration, in the order they were found."""
        return tuple(problem for problem in self._found if problem.severity == "error")

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """The problems that do not stop it, in the order they were found."""
        return tuple(problem for problem in self._found if problem.severity == "warning")

    def located(self, where: Located) -> tuple[Problem, ...]:
        """All problems with their positions, each once, in the order of the files, then of lines and columns.

        What may only be there because something was left out is no problem: that something was wrong has been told.
        """
        told = (problem for problem in self._found if problem.position is not None or not _follows(problem, where))
        unique = dict.fromkeys(problem.located(where) for problem in told)
        return in_order(unique, where.files)

    def raise_if_errors(self, where: Located) -> None:
        """Raise `ConfigError` with everything found, warnings too, if there is an error among it."""
        if self:
            raise ConfigError(self.located(where), where.files)

    def __bool__(self) -> bool:
        return any(problem.severity == "error" for problem in self._found)

    def __iter__(self) -> Iterator[Problem]:
        return iter(self._found)

    def __repr__(self) -> str:
        return f"<Problems under {dotted(self._prefix) or 'the root'}: {len(self.errors)} errors, {len(self.warnings)} warnings>"


def _follows(problem: Problem, where: Located) -> bool:
    return where.lacks(problem.loc) or (problem.absent is not None and where.lacks(problem.absent))


def in_order(problems: Iterable[Problem], files: Iterable[str]) -> tuple[Problem, ...]:
    """Problems sorted by position; files in the order given, those without a position first."""
    rank = {name: number for number, name in enumerate(files)}

    def key(problem: Problem) -> tuple[int, int, int]:
        place = problem.position
        return (rank.get(place.file, len(rank)), place.line, place.column) if place else (-1, 0, 0)

    return tuple(sorted(problems, key=key))


def dotted(loc: Loc) -> str:
    """`("routes", 3, "limit")` as `routes[3].limit`."""
    text = ""
    for part in loc:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{part}" if text else part
    return text


SHOWN = 60


def quoted(value: str) -> str:
    """A value as messages show it: in double quotes, on one line, cut after 60 characters."""
    cut = value if len(value) <= SHOWN else value[:SHOWN] + "..."
    return '"' + "".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in cut) + '"'


def kind_of(value: object) -> str:
    """What a value of the configuration is, in words, with the value itself where it is short."""
    if value is None:
        return "empty"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return f"the number {value}"
    if isinstance(value, str):
        return quoted(value)
    return "a map" if isinstance(value, dict) else "a list"
