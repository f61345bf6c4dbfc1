"""The tree's nodes, and the search in them.

Entries are numbered by precedence once, at load, and every node knows the best number below it. A search is then: find the smallest
number that fits, and never look below a node that cannot beat what was found. Whatever order nodes are visited in, the answer is
the same, and `priority` needs no tree of its own.

The time of a search depends on the nodes that fit the path, not on how many there are. It is bounded: every node is visited at most
once for each segment of the path.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from edgegw.exchange.model import Exchange
from edgegw.exchange.predicates import Predicate
from edgegw.routing.match import EXACT_HOST, LABELS, ONE_LABEL, Host, Match
from edgegw.routing.segments import DEEP, LITERAL, PARAM, STAR, Segment

NEVER = 1 << 60
"""A place in the order of precedence behind everything."""


class Slot:
    """One entry in an index.

    order: its place in the order of precedence, 0 is first. methods: those it serves, None is any. allow: what a 405 names.
    """

    __slots__ = ("allow", "match", "methods", "order", "predicate", "value")

    def __init__(
        self, order: int, match: Match, methods: frozenset[str] | None, predicate: Predicate | None, value: Any
    ) -> None:
        self.order = order
        self.match = match
        self.methods = methods
        self.allow = match.methods + (("HEAD",) if "GET" in match.methods else ())
        self.predicate = predicate
        self.value = value


class Node:
    """What is behind a prefix of path patterns. slots: of the patterns that end here, best first. best: smallest order here and
    below. leaf: no pattern goes on from here.
    """

    __slots__ = ("best", "deep", "leaf", "literals", "param", "slots", "star", "typed")

    def __init__(self) -> None:
        self.literals: dict[str, Node] = {}
        self.typed: dict[str, tuple[Callable[[str], bool], Node]] = {}
        self.param: Node | None = None
        self.star: Node | None = None
        self.deep: Node | None = None
        self.slots: list[Slot] = []
        self.best = NEVER
        self.leaf = True

    def child(self, segment: Segment) -> Node:
        """The node behind one more segment, made when it is not there."""
        self.leaf = False
        kind = segment.kind
        if kind == LITERAL:
            return self.literals.setdefault(segment.key, Node())
        if kind == PARAM:
            self.param = self.param or Node()
            return self.param
        if kind == STAR:
            self.star = self.star or Node()
            return self.star
        if kind == DEEP:
            self.deep = self.deep or Node()
            return self.deep
        return self.typed.setdefault(segment.key, (segment.fits, Node()))[1]


class HostTree:
    """The path patterns of one host pattern. static: those without a parameter, by their path. root: the others."""

    __slots__ = ("best", "root", "static")

    def __init__(self) -> None:
        self.root = Node()
        self.static: dict[str, list[Slot]] = {}
        self.best = NEVER

    def add(self, slot: Slot) -> None:
        """Put one slot in. Slots come in order, so the first one at a node is its best."""
        self.best = min(self.best, slot.order)
        literal = slot.match.literal
        if literal is not None:
            self.static.setdefault(literal, []).append(slot)
            return
        node = self.root
        node.best = min(node.best, slot.order)
        for segment in slot.match.segments:
            node = node.child(segment)
            node.best = min(node.best, slot.order)
        node.slots.append(slot)


class Index:
    """Every host pattern's tree. Fill it with `add`, best first; it does not change after that."""

    __slots__ = ("_any", "_exact", "_labels", "_one_label")

    def __init__(self) -> None:
        self._exact: dict[str, HostTree] = {}
        self._one_label: dict[str, HostTree] = {}
        self._labels: dict[str, HostTree] = {}
        self._any = HostTree()

    def add(self, slot: Slot) -> None:
        """Put one slot in."""
        self._tree(slot.match.host).add(slot)

    def _tree(self, host: Host) -> HostTree:
        kinds = {EXACT_HOST: self._exact, ONE_LABEL: self._one_label, LABELS: self._labels}
        return kinds[host.kind].setdefault(host.name, HostTree()) if host.kind in kinds else self._any

    def search(self, exchange: Exchange) -> Search:
        """Look an exchange up; the result says what was found and what failed on its method."""
        request = exchange.request
        host = request.host
        search = Search(exchange, request.path, request.method)
        tree = self._exact.get(host)
        if tree is not None:
            search.visit(tree)
        if self._one_label or self._labels:
            for tree in self._wild(host):
                if tree.best < search.order:
                    search.visit(tree)
        if self._any.best < search.order:
            search.visit(self._any)
        return search

    def _wild(self, host: str) -> Iterator[HostTree]:
        """Trees of `*.` and `**.` patterns, the more specific ones first. A host has at most 127 labels."""
        rest = host.partition(".")[2]
        tree = self._one_label.get(rest)
        if tree is not None and rest and not host.startswith("."):
            yield tree
        while rest and self._labels:
            tree = self._labels.get(rest)
            if tree is not None:
                yield tree
            rest = rest.partition(".")[2]


class Search:
    """One look-up. slot: the best entry so far. order: its place in the order of precedence. missed: fits but for its method."""

    __slots__ = ("_bare", "_cut", "_deep", "_exchange", "_method", "_size", "missed", "order", "slot")

    def __init__(self, exchange: Exchange, path: str, method: str) -> None:
        self._exchange = exchange
        self._method = method
        self._bare = bare_path(path) if ";" in path else path
        self._cut: list[str] | None = None
        self._size = 0
        self._deep: dict[Node, int] | None = None
        self.order = NEVER
        self.slot: Slot | None = None
        self.missed: list[Slot] | None = None

    def visit(self, tree: HostTree) -> None:
        """Look into one host pattern's paths."""
        slots = tree.static.get(self._bare)
        if slots is not None:
            self._pick(slots)
        if tree.root.best < self.order:
            segments = self._cut
            if segments is None:
                segments = self._cut = self._bare.split("/")
                self._size = len(segments)
            self._deep = None
            self._walk(tree.root, segments, 1)

    def _walk(self, node: Node, segments: list[str], at: int) -> None:
        if at < self._size:
            segment = segments[at]
            child = node.literals.get(segment)
            if child is not None and child.best < self.order:
                self._walk(child, segments, at + 1)
            if segment:
                if node.typed:
                    for fits, child in node.typed.values():
                        if child.best < self.order and fits(segment):
                            self._walk(child, segments, at + 1)
                child = node.param
                if child is not None and child.best < self.order:
                    self._walk(child, segments, at + 1)
                child = node.star
                if child is not None and child.best < self.order:
                    self._walk(child, segments, at + 1)
        elif node.slots:
            self._pick(node.slots)
        child = node.deep
        if child is not None and child.best < self.order:
            if child.slots:
                self._pick(child.slots)
            if not child.leaf:
                self._walk_deep(child, segments, at)

    def _walk_deep(self, node: Node, segments: list[str], at: int) -> None:
        """Go on behind a `**` that stands for any number of segments. What was visited from further left is not visited again."""
        visited = self._deep
        if visited is None:
            visited = self._deep = {}
        end = visited.get(node, self._size + 1)
        visited[node] = min(at, end)
        for behind in range(at, end):
            self._walk_inner(node, segments, behind)

    def _walk_inner(self, node: Node, segments: list[str], at: int) -> None:
        """As `_walk`, without the patterns that end in this `**`: they were looked at, and cover the rest whatever it is."""
        if at >= self._size:
            return
        segment = segments[at]
        child = node.literals.get(segment)
        if child is not None and child.best < self.order:
            self._walk(child, segments, at + 1)
        if not segment:
            return
        for fits, child in node.typed.values():
            if child.best < self.order and fits(segment):
                self._walk(child, segments, at + 1)
        for child in (node.param, node.star):
            if child is not None and child.best < self.order:
                self._walk(child, segments, at + 1)

    def _pick(self, slots: list[Slot]) -> None:
        """Take the first slot that serves the method and whose predicates hold, if it beats what is there."""
        for slot in slots:
            if slot.order >= self.order:
                return
            methods = slot.methods
            if methods is not None and self._method not in methods:
                if self.missed is None:
                    self.missed = []
                self.missed.append(slot)
                continue
            predicate = slot.predicate
            if predicate is None or predicate(self._exchange):
                self.order = slot.order
                self.slot = slot
                return


def bare_path(path: str) -> str:
    """The path as routing compares it: each segment without what follows its first `;`."""
    return "/".join(segment.partition(";")[0] for segment in path.split("/"))
