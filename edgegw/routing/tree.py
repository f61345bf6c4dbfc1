"""Many entries, one look-up: which entry an exchange belongs to, by the precedence of design/config.md "Match".

The order is fixed when the tree is built: `priority`; then the host pattern (exact, `*`, `**` with the longer name first, any);
then the path pattern, segment by segment from the left (literal, typed or regex parameter, plain parameter, `*`, its end, `**`);
then a named method before any; then more predicates; then the order in the file. For HEAD, an entry that names HEAD comes before
one that only names GET, and that before one for any method.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from edgegw.config.problems import Problems, dotted
from edgegw.exchange.model import Exchange
from edgegw.routing.captures import Captures, align
from edgegw.routing.entries import Entry, Place, Rank, methods_served, rank, report_conflicts
from edgegw.routing.index import Index, Slot, bare_path

_KINDS = ("literal", "typed parameter", "plain parameter", "`*`", "end of the pattern", "`**`")
_HOSTS = ("exact", "`*`", "`**`", "any")


class Found(NamedTuple):
    """value: of the entry. params: what host and path captured (`edgegw.routing.captures`)."""

    value: Any
    params: dict[str, str]


class Refused(NamedTuple):
    """Some entry failed on the method alone. allow: the methods that would have been served, sorted."""

    allow: tuple[str, ...]


class Candidate(NamedTuple):
    """An entry whose host and path fit. lost_because: why it is not the one, or None for the one that is."""

    value: Any
    lost_because: str | None


class Tree:
    """Immutable; `Tree.build` makes it, `find` asks it."""

    __slots__ = ("_entries", "_head", "_main")

    def __init__(self, entries: Sequence[Entry]) -> None:
        self._entries = tuple(entries)
        self._main = _index(self._entries, False)
        self._head = _index(self._entries, True)

    @classmethod
    def build(cls, entries: Sequence[Entry], problems: Problems, place: Place = dotted) -> Tree:
        """Build a tree; entries that can never be told apart are reported.

        Args:
            place: words for the place of the other entry of a pair, such as its file and line.
        """
        report_conflicts(entries, problems, place)
        return cls(entries)

    def find(self, exchange: Exchange) -> Found | Refused | None:
        """The entry for an exchange; None when nothing fits, whatever the method."""
        request = exchange.request
        search = (self._head if request.method == "HEAD" else self._main).search(exchange)
        slot = search.slot
        if slot is not None:
            value, capture = slot.value
            return Found(value, capture(request.host, request.path) if capture else {})
        if search.missed:
            missed = [slot for slot in search.missed if slot.predicate is None or slot.predicate(exchange)]
            if missed:
                return Refused(tuple(sorted({method for slot in missed for method in slot.allow})))
        return None

    def explain(self, exchange: Exchange) -> list[Candidate]:
        """Every entry whose host and path fit, in the order of precedence, with the reason why it is not the one.

        For people: its time grows with the number of entries.
        """
        head = exchange.request.method == "HEAD"
        ranked = sorted(
            ((rank(entry, number, head), entry) for number, entry in enumerate(self._entries)), key=lambda pair: pair[0]
        )
        fitting = [(key, entry) for key, entry in ranked if _place_fits(entry, exchange)]
        winner: Rank | None = None
        found: list[Candidate] = []
        for key, entry in fitting:
            reason = _failure(entry, exchange, head)
            if reason is None and winner is not None:
                reason = _difference(winner, key)
            elif reason is None:
                winner = key
            found.append(Candidate(entry.value, reason))
        return found

    def __len__(self) -> int:
        return len(self._entries)

    def __repr__(self) -> str:
        return f"<Tree of {len(self._entries)} entries>"


def _index(entries: Sequence[Entry], head: bool) -> Index:
    index = Index()
    ranked = sorted(range(len(entries)), key=lambda number: rank(entries[number], number, head))
    for order, number in enumerate(ranked):
        entry = entries[number]
        capture = Captures(entry.match) if entry.match.parameters else None
        methods = methods_served(entry.match, head)
        index.add(Slot(order, entry.match, methods, entry.predicate, (entry.value, capture)))
    return index


def _place_fits(entry: Entry, exchange: Exchange) -> bool:
    request = exchange.request
    if not entry.match.host.fits(request.host):
        return False
    return align(entry.match.segments, bare_path(request.path).split("/")[1:]) is not None


def _failure(entry: Entry, exchange: Exchange, head: bool) -> str | None:
    method = exchange.request.method
    methods = methods_served(entry.match, head)
    if methods is not None and method not in methods:
        return f"the method is {method}, not {' or '.join(entry.match.methods)}"
    failing = entry.predicate.failing(exchange) if entry.predicate else None
    return f"when: {failing} does not hold" if failing else None


def _difference(winner: Rank, loser: Rank) -> str:
    """Why one that fits as well comes later."""
    if winner[0] != loser[0]:
        return f"its priority is {-loser[0]}, less than {-winner[0]}"
    if winner[1] != loser[1]:
        return f"its host is {_HOSTS[loser[1]]}, which comes after {_HOSTS[winner[1]]}"
    if winner[2] != loser[2]:
        return "its host pattern is shorter"
    if winner[3] != loser[3]:
        at = next(index for index, (one, two) in enumerate(zip(winner[3], loser[3], strict=False)) if one != two)
        return f"segment {at + 1} is a {_KINDS[loser[3][at]]}, which comes after a {_KINDS[winner[3][at]]}"
    if winner[4] != loser[4]:
        return "it does not name the method"
    if winner[5] != loser[5]:
        return f"it has fewer predicates: {-loser[5]}, not {-winner[5]}"
    return "it stands later in the file"
