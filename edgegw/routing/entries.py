"""What a tree is built from, its place in the order of precedence, and which entries can never be told apart."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from edgegw.config.problems import Loc, Problems
from edgegw.exchange.predicates import Predicate
from edgegw.routing.match import Match

Place = Callable[[Loc], str]
"""Words for a place in the configuration, for messages about another place: `shop.yaml:12:5`, or `routes[3]`."""


@dataclass(frozen=True, slots=True)
class Entry:
    """match, predicate, priority (larger is first): when it is found. value: what a tree's `find` gives. loc: where it stands in
    the configuration.
    """

    match: Match
    predicate: Predicate | None = None
    priority: int = 0
    value: Any = None
    loc: Loc = field(default=(), compare=False)


Rank = tuple[int, int, int, tuple[int, ...], int, int, int]


def rank(entry: Entry, number: int, head: bool = False) -> Rank:
    """The sort key of precedence, smaller is first: see `edgegw.routing.tree`.

    Args:
        number: the entry's place in the file. head: for requests whose method is HEAD.
    """
    match = entry.match
    named = 0 if match.methods else 2
    if head and match.methods and "HEAD" not in match.methods:
        named = 1
    count = entry.predicate.count if entry.predicate else 0
    return (-entry.priority, match.host.kind, -match.host.name.count("."), match.ranks, named, -count, number)


def methods_served(match: Match, head: bool) -> frozenset[str] | None:
    """Methods that a match serves, None for any; GET serves HEAD as well, as far as the order of precedence lets it."""
    if not match.methods:
        return None
    return frozenset(match.methods) | ({"HEAD"} if head and "GET" in match.methods else frozenset())


def conflicts(entries: Iterable[Entry]) -> Iterator[tuple[Entry, Entry]]:
    """Pairs (earlier, later) of entries that can never be told apart: the same host, path, predicates and priority, and a method
    that both name (or none at all). Names of parameters make no difference. Each entry comes at most once as the later one.
    """
    seen: dict[object, dict[str, Entry]] = {}
    for entry in entries:
        match = entry.match
        key = (entry.priority, match.host, match.segments, entry.predicate.key if entry.predicate else ())
        taken = seen.setdefault(key, {})
        methods = match.methods or ("",)
        earlier = next((taken[method] for method in methods if method in taken), None)
        for method in methods:
            taken.setdefault(method, entry)
        if earlier is not None:
            yield earlier, entry


def report_conflicts(entries: Iterable[Entry], problems: Problems, place: Place) -> None:
    """One problem per pair: at the later entry, naming the place of the earlier one."""
    for earlier, later in conflicts(entries):
        both = sorted(set(earlier.match.methods) & set(later.match.methods))
        same = f'route "{later.match}" can never be told apart from "{earlier.match}" at {place(earlier.loc)}'
        detail = f" for {', '.join(both)}" if both and earlier.match.methods != later.match.methods else ""
        problems.add(later.loc, same + detail, hint="remove one, or tell them apart with when: or priority:")
