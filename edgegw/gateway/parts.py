"""One entry of a `middleware:` list becomes a step of a pipeline, or a problem that names its place, whatever foreign code does."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any

from pydantic import ValidationError

from edgegw.config.model import Settings
from edgegw.config.problems import Problems, quoted
from edgegw.config.source import at
from edgegw.config.wording import advice, predicate
from edgegw.exchange.interfaces import Middleware, Responder
from edgegw.exchange.predicates import compile_when
from edgegw.gateway.builtins import Parts
from edgegw.middleware.interfaces import MiddlewarePart, Surroundings
from edgegw.middleware.pipeline import MiddlewareUse, Step

FOREIGN = (Exception, SystemExit)
"""What the code of others may raise on being imported or called; a gateway that runs is not ended by it."""


def own_step(use: MiddlewareUse, parts: Parts, around: Surroundings, problems: Problems) -> Step | None:
    """One entry of a `middleware:` list; None after reporting why it can't be.

    Args:
        around: its problems are a view of the entry's `with`. problems: a view of the entry.
    """
    try:
        part = parts.middleware(use.use)
    except LookupError:
        near = get_close_matches(use.use, parts.names, 1)
        known = ", ".join(parts.names)
        hint = f"did you mean {quoted(near[0])}?" if near else None
        problems.add(("use",), f"middleware {quoted(use.use)} is not known; known: {known}", hint)
        return None
    except TypeError as error:
        problems.add(("use",), f"middleware {quoted(use.use)} cannot be used: {error}")
        return None
    except FOREIGN as error:
        problems.add(("use",), f"middleware {quoted(use.use)} cannot be imported: {told(error)}")
        return None
    when = compile_when(use.when, problems.under("when")) if use.when is not None else None
    settings = validate_part(part, use.with_, around.problems)
    if settings is None:
        return None
    try:
        made = part.build(settings, around)
    except FOREIGN as error:
        problems.add(("use",), f"middleware {quoted(use.use)} cannot be built: {told(error)}")
        return None
    return Step(part.name, _guarded(made, use.use, problems), when)


def _guarded(made: Middleware, name: str, problems: Problems) -> Middleware:
    """Folding calls foreign code once more; what goes wrong there is a problem of this entry."""

    def fold(following: Responder) -> Responder:
        try:
            responder = made(following)
        except FOREIGN as error:
            problems.add(("use",), f"middleware {quoted(name)} cannot be built: {told(error)}")
            return following
        if not callable(responder):
            kind = type(responder).__name__
            problems.add(("use",), f"middleware {quoted(name)} makes a {kind}, which is no responder")
            return following
        return responder

    return fold


def validate_part(part: MiddlewarePart, given: dict[str, Any], problems: Problems) -> Settings | None:
    """The settings of a middleware; None after reporting what is wrong with them.

    Args:
        problems: a view of the entry's `with`.
    """
    try:
        return part.settings.model_validate(given)
    except ValidationError as error:
        known = list(part.settings.model_fields)
        for each in error.errors(include_url=False):
            loc = _loc(each["loc"], given)
            key = ".".join(str(piece) for piece in each["loc"])
            if each["type"] == "extra_forbidden":
                near = get_close_matches(str(each["loc"][-1]), known, 1)
                hint = f"did you mean {quoted(near[0])}?" if near else f"known here: {', '.join(known) or 'no keys'}"
                problems.add(loc, f'unknown key "{key}" of middleware "{part.name}"', hint, at="key")
            elif each["type"] == "missing":
                problems.add(loc, f'middleware "{part.name}" needs the key "{key}"')
            else:
                problems.add(loc, f'"{key}" of middleware "{part.name}" {predicate(each)}', advice(each))
        return None


def _loc(loc: tuple[int | str, ...], given: Any) -> tuple[int | str, ...]:
    """As much of pydantic's loc as was written; it also names branches of unions and keys that are missing."""
    found: list[int | str] = []
    for piece in loc:
        inner = at(given, (piece,))
        if inner is not None:
            given = inner
            found.append(piece)
    return tuple(found)


def told(error: BaseException) -> str:
    """What an error of foreign code is, in one line."""
    lines = str(error).splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
