"""What others wrote: found by name, looked at before it is called. Health probes and balancers come this way.

`custom: NAME` is an entry point or `package.module:factory`; `with: {...}` is what the factory is called with, as keywords, behind
what the gateway gives it.
"""

from __future__ import annotations

import inspect
import pkgutil
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from importlib.metadata import EntryPoint, entry_points
from typing import Any, NamedTuple

from edgegw.config.problems import Problems, quoted

FOREIGN = (Exception, SystemExit)
"""What the code of others may raise on being imported or called; a gateway that runs is not ended by it."""

Factory = Callable[..., Any]

_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_KEYWORD = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


class PlugPoint(NamedTuple):
    """Where others come in.

    noun: what they bring, in messages. group: of their entry points. given: how many arguments the gateway itself gives a factory.
    """

    noun: str
    group: str
    given: int


def find_factory(
    point: PlugPoint, name: str, problems: Problems, found: Iterable[EntryPoint] | None = None
) -> Factory | None:
    """What `custom: name` means; None after reporting why there is none.

    Args:
        problems: a view of where `custom` stands. found: the entry points there are, if not those installed.
    """
    try:
        factory = pkgutil.resolve_name(name) if ":" in name else _entry_point(point, name, problems, found)
    except FOREIGN as error:
        problems.add(("custom",), f"the {point.noun} {quoted(name)} cannot be imported: {told(error)}")
        return None
    if factory is not None and not callable(factory):
        kind = type(factory).__name__
        problems.add(("custom",), f"the {point.noun} {quoted(name)} is of type {kind}, which cannot be called")
        return None
    made: Factory | None = factory
    return made


def _entry_point(point: PlugPoint, name: str, problems: Problems, found: Iterable[EntryPoint] | None) -> Any:
    entries = list(entry_points(group=point.group) if found is None else found)
    # A package may be found twice, installed and in the working folder.
    values = list(dict.fromkeys(entry.value for entry in entries if entry.name == name))
    if len(values) > 1:
        problems.add(("custom",), f"{' and '.join(values)} both bring a {point.noun} {quoted(name)}")
        return None
    if not values:
        known = sorted({entry.name for entry in entries})
        near = get_close_matches(name, known, 1)
        hint = f"did you mean {quoted(near[0])}?" if near else "write package.module:factory, or install its package"
        listed = f"; known: {', '.join(known)}" if known else "; no package brings any"
        problems.add(("custom",), f"the {point.noun} {quoted(name)} is not known{listed}", hint)
        return None
    return next(entry for entry in entries if entry.name == name).load()


def check_options(point: PlugPoint, factory: Factory, name: str, given: Mapping[str, Any], problems: Problems) -> bool:
    """Whether the factory can be called with these options; what is wrong with them is reported below `with`."""
    try:
        parameters = _own(point, inspect.signature(factory).parameters.values())
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
            problems.add(("with", key), f'unknown key "{key}" of the {point.noun} {quoted(name)}', hint, at="key")
    for each in parameters:
        if each.kind in _KEYWORD and each.default is each.empty and each.name not in given:
            problems.add(("custom",), f'the {point.noun} {quoted(name)} needs the key "{each.name}" in "with"')
    return len(problems.errors) == before


def _own(point: PlugPoint, parameters: Iterable[inspect.Parameter]) -> list[inspect.Parameter]:
    """Those that are not the gateway's to give."""
    listed = list(parameters)
    first = 0
    while first < min(point.given, len(listed)) and listed[first].kind in _POSITIONAL:
        first += 1
    return listed[first:]


def told(error: BaseException) -> str:
    """What an error of foreign code is, in one line."""
    lines = str(error).splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
