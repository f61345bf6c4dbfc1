"""Probes that others wrote: found by name, looked at before they are called."""

from __future__ import annotations

import inspect
import pkgutil
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from edgegw.config.problems import Problems, quoted
from edgegw.upstream.health.interfaces import ENTRY_POINTS, Factory

FOREIGN = (Exception, SystemExit)
"""What the code of others may raise on being imported or called; a gateway that runs is not ended by it."""

_KEYWORD = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


def find_factory(name: str, problems: Problems, found: Iterable[EntryPoint] | None = None) -> Factory | None:
    """What `custom: name` means; None after reporting why there is none.

    Args:
        problems: a view of `health`. found: the entry points there are, if not those installed.
    """
    try:
        factory = pkgutil.resolve_name(name) if ":" in name else _entry_point(name, problems, found)
    except FOREIGN as error:
        problems.add(("custom",), f"the health probe {quoted(name)} cannot be imported: {told(error)}")
        return None
    if factory is not None and not callable(factory):
        kind = type(factory).__name__
        problems.add(("custom",), f"the health probe {quoted(name)} is of type {kind}, which cannot be called")
        return None
    made: Factory | None = factory
    return made


def _entry_point(name: str, problems: Problems, found: Iterable[EntryPoint] | None) -> Any:
    points = list(entry_points(group=ENTRY_POINTS) if found is None else found)
    # A package may be found twice, installed and in the working folder.
    values = list(dict.fromkeys(point.value for point in points if point.name == name))
    if len(values) > 1:
        problems.add(("custom",), f"{' and '.join(values)} both bring a health probe {quoted(name)}")
        return None
    if not values:
        known = sorted({point.name for point in points})
        near = get_close_matches(name, known, 1)
        hint = f"did you mean {quoted(near[0])}?" if near else "write package.module:factory, or install its package"
        listed = f"; known: {', '.join(known)}" if known else "; no package brings any"
        problems.add(("custom",), f"the health probe {quoted(name)} is not known{listed}", hint)
        return None
    return next(point for point in points if point.name == name).load()


def check_options(factory: Factory, name: str, given: Mapping[str, Any], problems: Problems) -> bool:
    """Whether the factory can be called with these options; what is wrong with them is reported below `with`."""
    try:
        parameters = list(inspect.signature(factory).parameters.values())[1:]
    except (TypeError, ValueError):
        # Code that is not written in Python need not say what it takes.
        return True
    before = len(problems.errors)
    known = [each.name for each in parameters if each.kind in _KEYWORD]
    takes_any = any(each.kind is inspect.Parameter.VAR_KEYWORD for each in parameters)
    for key in given:
        if key not in known and not takes_any:
            near = get_close_matches(key, known, 1)
            hint = f"did you mean {quoted(near[0])}?" if near else f"known here: {', '.join(known) or 'no keys'}"
            problems.add(("with", key), f'unknown key "{key}" of the health probe {quoted(name)}', hint, at="key")
    for each in parameters:
        if each.kind in _KEYWORD and each.default is each.empty and each.name not in given:
            problems.add(("custom",), f'the health probe {quoted(name)} needs the key "{each.name}" in "with"')
    return len(problems.errors) == before


def told(error: BaseException) -> str:
    """What an error of foreign code is, in one line."""
    lines = str(error).splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
