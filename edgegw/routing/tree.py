"""Many entries, one look-up: which entry an exchange belongs to, by the precedence of design/config.md "Match".

The order is fixed when the tree is built: `priority`; then the host pattern (exact, `*`, `**` with the longer name first, any); then
the path pattern, segment by segment from the left (literal, typed or regex parameter, plain parameter, `*`, its end, `**`); then a
named method before any; then more predicates; then the order in the file. For HEAD a route that names HEAD comes before one that
only names GET, and that before one for any method.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from edgegw.config.problems import Loc, Problems, dotted
from edgegw.exchange.model import Exchange
from edgegw.exchange.predicates import Predicate
from edgegw.routing.captures import captures
from edgegw.routing.conflicts import report_conflicts
from edgegw.routing.index import Index, Slot
from edgegw.routing.match import Match
from edgegw.routing.ranking import Candidate, rank


@dataclass(frozen=True, slots=True)
class Entry:
    """What a tree is built from.

    match, predicate, priority (larger is first): when it is found. value: what `find` gives. loc: where it stands in the
    configuration.
    """

    match: Match
    predicate: Predicate | None = None
    priority: int = 0
    value: Any = None
    loc: Loc = field(default=(), compare=False)


class Found(NamedTuple):
    """value: of the entry. params: what host and path captured, as in the normalised path (escapes are kept)."""

    value: Any
    params: dict[str, str]


class Refused(NamedTuple):
    """Some entry failed on the method alone; allow: the methods that would have been served, sorted."""

    allow: tuple[str, ...]
