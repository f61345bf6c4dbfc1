"""Plain data -> settings: every problem of one run, each with its place, none twice."""

import copy
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from edgegw.config.keys import Keys, keys_of
from edgegw.config.mask import Mask
from edgegw.config.problems import Loc, Problem, Problems, kind_of, quoted
from edgegw.config.source import Document, at
from edgegw.config.wording import SHAPE, Names, advice, expected, predicate

__all__ = ["SHAPE", "Check", "validate"]

M = TypeVar("M", bound=BaseModel)
Check = Callable[[M, Problems], None]
"""Looks at the whole settings for what no single field can see, such as a name that is not defined."""


def validate(
    model: type[M],
    document: Document,
    *,
    checks: Sequence[Check[M]] = (),
    into: Problems | None = None,
) -> M:
    """The settings of a document. Raises `ConfigError` with all problems, in the order of their places.

    `checks` run even when some keys are wrong, as far as the rest can be made into settings, so that one run reports everything;
    what they find in places that were already reported is left out. `into` receives every problem, warnings of a configuration
    that is accepted included.
    """
    problems = Problems() if into is None else into
    problems.extend(document.problems)
    settings: M | None = None
    try:
        settings = model.model_validate(document.data)
    except ValidationError as error:
        errors = error.errors(include_url=False)
        found = _settle([_Found(each) for each in errors], 0, (), document.data, keys_of(model))
        _report(model, document, found, problems)
        settings = _salvage(model, document, found)
    if settings is not None:
        known = tuple(problems)
        late = Problems()
        for check in checks:
            check(settings, late)
        mask = Mask(document)
        fresh = (problem for problem in late if not _follows(problem, known))
        problems.extend(replace(problem, message=mask.text(problem.loc, problem.message)) for problem in fresh)
    problems.raise_if_errors(document)
    assert settings is not None  # Without settings there were errors, and they were raised.
    return settings


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
    known = tuple(document.problems)
    for each in found:
        problem = writer.problem(each)
        if not _is_echo(each, document.data) and not any(
            problem.loc[: len(before.loc)] == before.loc and before.at == "value" for before in known
        ):
            problems.extend([problem])


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
        text = found.message or predicate(found.error)
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


def _salvage(model: type[M], document: Document, found: Sequence[_Found]) -> M | None:
    """Settings made from what is right, for the checks; None when something is wrong that other things may need."""
    keys = keys_of(model)
    data: Any = copy.deepcopy(document.data)
    for each in found:
        kinds = keys.place(each.loc).kinds
        if each.is_missing or not kinds or kinds[-1] not in ("field", "unknown"):
            return None
        around = at(data, each.loc[:-1])
        if isinstance(around, dict):
            around.pop(each.loc[-1], None)
    try:
        return model.model_validate(data)
    except ValidationError:
        return None


def _follows(problem: Problem, known: Iterable[Problem]) -> bool:
    """Whether what a check found may only be there because of something already reported in the same place."""
    return any(
        problem.loc[: len(before.loc)] == before.loc or before.loc[: len(problem.loc)] == problem.loc
        for before in known
        if before.severity == "error"
    )
