"""Plain data -> settings: every problem of one run, each with its place, none twice."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Generic, NoReturn, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from edgegw.config.keys import Keys, keys_of
from edgegw.config.mask import Mask
from edgegw.config.problems import ConfigError, Loc, Problem, Problems, kind_of, quoted
from edgegw.config.remainder import Remainder, without
from edgegw.config.source import Document, at
from edgegw.config.wording import SHAPE, Names, advice, expected, predicate

__all__ = ["SHAPE", "Check", "Examined", "examine", "validate"]

M = TypeVar("M", bound=BaseModel)
Check = Callable[[M, Problems, Document], None]
"""Looks at the whole settings for what no single field can see, such as a name that is not defined.

The document is what the settings were made from: not all of what was written, if some of it is wrong. What is missed in the
settings may be there; `Document.lacks` and `Document.names` tell, and `absent` of a problem asks.
"""


@dataclass(frozen=True, eq=False, repr=False)
class Examined(Generic[M]):
    """What could be made of a document.

    settings: made from `document`, which is without what is wrong. problems: everything that was found, each with its position, in
    order.
    """

    settings: M
    document: Document
    problems: tuple[Problem, ...]

    @property
    def is_wrong(self) -> bool:
        """Whether the settings are only there to be looked at: something is wrong."""
        return any(problem.severity == "error" for problem in self.problems)

    def refuse(self) -> NoReturn:
        """Raise `ConfigError` with what is known to be wrong."""
        raise ConfigError(self.problems, self.document.files)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.document!r}, {len(self.problems)} problems>"


def validate(model: type[M], document: Document, *, checks: Sequence[Check[M]] = ()) -> M:
    """The settings of a document. Raises `ConfigError` with all problems, in the order of their places."""
    found = examine(model, document, checks=checks)
    if found.is_wrong:
        found.refuse()
    return found.settings


def examine(
    model: type[M],
    document: Document,
    *,
    checks: Sequence[Check[M]] = (),
    standins: Mapping[str, object] | None = None,
) -> Examined[M]:
    """The settings of as much of a document as is right, and everything that is wrong with the document.

    `checks` run even when some keys are wrong: on what is left without them, and of what they find only that counts which does not
    follow from what was left out. `standins`: by top-level key, what takes the place of a key that must be there and is wrong or
    missing. Raises `ConfigError` when too little is left.
    """
    problems = Problems()
    problems.extend(document.problems)
    doubtful = [problem.loc for problem in document.problems]
    rest: Document = without(document, (), doubtful) if doubtful else document
    try:
        settings = model.model_validate(document.data)
    except ValidationError as error:
        wrong = _wrong(error, document, keys_of(model))
        _report(model, document, wrong, problems)
        left = _remainder(model, document, wrong, doubtful, standins)
        if left is None:
            raise ConfigError(problems.located(document), document.files) from None
        settings, rest = left
    late, mask = Problems(), Mask(rest)
    for check in checks:
        check(settings, late, rest)
    problems.extend(replace(each, message=mask.text(each.loc, each.message)) for each in late)
    return Examined(settings, rest, problems.located(rest))


def _wrong(error: ValidationError, document: Document, keys: Keys) -> "list[_Found]":
    return _settle([_Found(each) for each in error.errors(include_url=False)], 0, (), document.data, keys)


@dataclass(frozen=True, slots=True)
class _Found:
    """One error, the place in the document that it leads to, and the names below it that the document does not have."""

    error: ErrorDetails
    loc: Loc = ()
    below: tuple[str, ...] = ()
    message: str | None = None

    @property
    def is_missing(self) -> bool:
        return self.error["type"] == "missing"


def _settle(errors: Sequence[_Found], depth: int, loc: Loc, data: object, keys: Keys) -> list[_Found]:
    """Follow the errors' locs through the data. What is not in the data are the branches of a union: one of them is chosen.

    All errors share the first `depth` parts of their pydantic locs, which lead to `data` at `loc`. Keys that a short form was
    expanded to are not in the data either; they become `below`.
    """
    here: list[_Found] = []
    steps: dict[str | int, list[_Found]] = {}
    branches: dict[str | int, list[_Found]] = {}
    inner = keys.properties(keys.place(loc).node)
    for found in errors:
        rest = found.error["loc"][depth:]
        if not rest or rest[0] == "[key]":
            here.append(replace(found, loc=loc))
        elif found.is_missing and len(rest) == 1:
            here.append(replace(found, loc=loc, below=(*found.below, str(rest[0]))))
        elif _has(data, rest[0]):
            steps.setdefault(rest[0], []).append(found)
        elif rest[0] in inner and not isinstance(data, (dict, list)):
            here.append(replace(found, loc=loc, below=(*found.below, *_names(rest))))
        else:
            branches.setdefault(rest[0], []).append(found)
    for part, group in steps.items():
        here.extend(_settle(group, depth + 1, (*loc, part), at(data, (part,)), keys))
    if branches:
        here.extend(_choose([_settle(group, depth + 1, loc, data, keys) for group in branches.values()], loc))
    return here


def _names(rest: Sequence[str | int]) -> list[str]:
    return [str(part) for part in rest if isinstance(part, str) and part.isidentifier()]


def _has(data: object, part: str | int) -> bool:
    if isinstance(data, list):
        return isinstance(part, int) and part < len(data)
    return isinstance(data, dict) and part in data


# How far a value is from a branch: a wrong word (`kind: cat`) tells maps apart, a missing key more than one too many.
_WEIGHTS = {"literal_error": 5, "enum": 5, "missing": 2}


def _is_choice(found: _Found) -> bool:
    return found.error["type"] in ("literal_error", "enum")


def _choose(branches: list[list[_Found]], loc: Loc) -> list[_Found]:
    """Of what each branch of a union says, what a person needs: one that fits the value's kind, or one line for all of them."""
    fitting = [branch for branch in branches if not any(found.loc == loc and expected(found.error) for found in branch)]
    if len(branches) == 1:
        return branches[0]
    kinds = [found for branch in branches for found in branch if found.loc == loc and expected(found.error)]
    if not fitting:
        words = list(dict.fromkeys(expected(found.error) or "" for found in kinds))
        return [replace(kinds[0], message=f"must be {' or '.join(words)}, not {kind_of(kinds[0].error['input'])}")]
    # A map that misses a key or has one too many is meant for the branch that it is nearest to.
    best = min(fitting, key=lambda branch: sum(_WEIGHTS.get(found.error["type"], 1) for found in branch))
    rivals = [found for branch in fitting for found in branch if len(branch) == len(best) == 1 and _is_choice(found)]
    if len(rivals) == len(fitting) > 1 and len({found.loc for found in rivals}) == 1:
        words = list(dict.fromkeys(expected(found.error) or "" for found in rivals))
        return [replace(rivals[0], message=f"must be {' or '.join(words)}, not {kind_of(rivals[0].error['input'])}")]
    at_once = all(found.loc == loc and not found.below for found in best)
    words = [expected(found.error) or "" for found in kinds if _is_choice(found)]
    if at_once and words and len(best) == 1:
        return [replace(best[0], message=f"{predicate(best[0].error)}; or {' or '.join(words)}")]
    return best


def _report(model: type[BaseModel], document: Document, found: Iterable[_Found], problems: Problems) -> None:
    keys, mask = keys_of(model), Mask(document)
    writer = _Writer(keys, Names(document.data, keys, mask), mask)
    known = {before.loc for before in document.problems if before.at == "value"}
    for each in found:
        problem = writer.problem(each)
        loc = problem.loc
        if not _is_echo(each, document.data) and not any(loc[:length] in known for length in range(len(loc) + 1)):
            problems.extend([problem.located(document)])


def _is_echo(found: _Found, data: object) -> bool:
    """pydantic leaves wrong items out of a list and then finds it too short: only those that were wrong are worth a line."""
    value = at(data, found.loc)
    return (
        found.error["type"] == "too_short"
        and isinstance(value, list)
        and len(value) >= found.error["ctx"]["min_length"]
    )


@dataclass(frozen=True, slots=True)
class _Writer:
    """Writes one problem for one error."""

    keys: Keys
    names: Names
    mask: Mask

    def problem(self, found: _Found) -> Problem:
        error, loc = found.error, found.loc
        if error["type"] == "extra_forbidden" and not found.below:
            return self._unknown(loc)
        if found.is_missing:
            return self._missing(found)
        return self._wrong(found)

    def _unknown(self, loc: Loc) -> Problem:
        """A key that is not known: the nearest one that is, or where it would belong, or those that there are."""
        key, around = str(loc[-1]), self.keys.place(loc[:-1])
        known = self.keys.properties(around.node)
        near = get_close_matches(key, known, 1)
        path = around.path
        if near:
            hint: str | None = f"did you mean {quoted(near[0])}?"
            path = (*path, near[0])
        else:
            homes = [name for name, node in known.items() if key in self.keys.properties(node)]
            listed = ", ".join(known)
            hint = (
                f"it belongs in {quoted(homes[0])}"
                if homes
                else f"known here: {listed}"
                if len(listed) <= 100
                else None
            )
        message = f"unknown key {quoted(key)}{self.names.within(loc[:-1])}"
        return Problem(loc, message, hint, at="key", explain=".".join(path))

    def _missing(self, found: _Found) -> Problem:
        name = found.below[-1]
        path = (*self.keys.place(found.loc).path, name)
        where = self.names.within(found.loc)
        is_in_list = bool(found.loc) and isinstance(found.loc[-1], int)
        return Problem(
            found.loc, f"missing key {quoted(name)}{where}", at="value" if is_in_list else "key", explain=".".join(path)
        )

    def _wrong(self, found: _Found) -> Problem:
        text = found.message or predicate(found.error, self.keys.place((*found.loc, *found.below)).node)
        inner = "".join(f"{quoted(name)} of " for name in reversed(found.below))
        between = " " if text.startswith(("must ", "is ", "has ")) else ": "
        message = f"{inner}{self.names.subject(found.loc)}{between}{text}"
        hint = advice(found.error) if found.message is None else None
        message = self.mask.text(found.loc, message)
        if self.mask.hides(found.loc):
            hint = None
        is_key = found.error["loc"][-1:] == ("[key]",)
        return Problem(
            found.loc, message, hint, at="key" if is_key else "value", explain=self.keys.place(found.loc).dotted
        )


_MOST_TRIES = 8
"""How often what is left may turn out to be wrong: a key that a map must have takes the map along, and so on outwards."""


def _remainder(
    model: type[M],
    document: Document,
    wrong: "Iterable[_Found]",
    doubtful: Iterable[Loc],
    standins: Mapping[str, object] | None,
) -> tuple[M, Remainder] | None:
    """What is left without the smallest pieces that are wrong, and its settings; None when that is nothing.

    A key that may be left out goes alone. One that its map must have makes that the map is wrong, and next time that goes: so it
    takes as many tries as there are such maps in one another.
    """
    keys = keys_of(model)
    rest: Document = document
    gone: set[Loc] = set()
    meant = {each for found in wrong for each in _meant(found, keys)}
    for _ in range(_MOST_TRIES):
        # Of the top level, a key that is missing; it can only be replaced.
        places = [found.loc or found.below[:1] for found in wrong if not _is_echo(found, rest.data)]
        more = {rest.written(loc) for loc in places}
        if more <= gone or () in more:
            return None
        gone |= more
        left = rest = without(document, gone, [*doubtful, *meant], standins)
        try:
            return model.model_validate(rest.data), left
        except ValidationError as error:
            wrong = _wrong(error, rest, keys)
    return None


def _meant(found: "_Found", keys: Keys) -> list[Loc]:
    """The key that an unknown one may be a slip of."""
    if found.error["type"] != "extra_forbidden" or found.below:
        return []
    known = keys.properties(keys.place(found.loc[:-1]).node)
    return [(*found.loc[:-1], near) for near in get_close_matches(str(found.loc[-1]), known, 1)]
