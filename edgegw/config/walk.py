"""Nodes -> plain data: duplicate keys, merge keys, aliases, and where each piece of the data stands."""

from collections.abc import Iterator

from edgegw.config.problems import At, Loc, Position, Problem, quoted
from edgegw.config.scalars import Scalar, Substitution, core_type
from edgegw.config.tree import MAX_DEPTH, Node

MAX_EXPANSION = 100_000
"""How many values aliases and merge keys may add to those that were written."""

_CORE_TAGS = {"scalar": ("str", "int", "float", "bool", "null"), "list": ("seq",), "map": ("map",)}


class TooMuch(Exception):
    """Aliases multiply beyond `MAX_EXPANSION`."""

    def __init__(self, node: Node) -> None:
        self.position = node.position
        super().__init__("aliases expand to too many values")


class Walk:
    """Builds the data of one configuration, file after file, into `data`.

    `places` has the key's node (None for list items) and the value's node of everything in it; `origins` the text as written of
    every value that came from the environment or a file. What is wrong lands in `problems`, positions included.
    """

    def __init__(self, substitution: Substitution) -> None:
        self.data: dict[str, object] = {}
        self.places: dict[Loc, tuple[Node | None, Node]] = {}
        self.origins: dict[Loc, str] = {}
        self.problems: list[Problem] = []
        self._substitution = substitution
        self._budget = MAX_EXPANSION
        self._active: set[int] = set()

    def add(self, root: Node, count: int) -> None:
        """Take in the root map of a file that has `count` nodes. Raises `TooMuch`."""
        self._budget += count
        self._check_tag(root, ())
        self.places.setdefault((), (None, root))
        for key, node in self._pairs(root, ()):
            before = self.data.get(key.text)
            same_file = key.text not in self.data or self._key_node((key.text,)).file == key.file
            if isinstance(before, dict) and node.pairs is not None and not same_file:
                self._into_map(node, (key.text,), before)
            elif isinstance(before, list) and node.items is not None and not same_file:
                self._into_list(node, (key.text,), before)
            else:
                self._entry(key, node, (), self.data)

    def _key_node(self, loc: Loc) -> Node:
        key, value = self.places[loc]
        return key or value

    def _value(self, node: Node, loc: Loc) -> object:
        self._budget -= 1
        if self._budget < 0:
            raise TooMuch(node)
        if node.tag is not None:
            self._check_tag(node, loc)
        if node.kind == "scalar":
            return self._scalar(node, loc)
        if id(node) in self._active or len(loc) > MAX_DEPTH:
            self._problem(loc, "this anchor contains itself, or aliases nest too deeply", None, node.position)
            return None
        self._active.add(id(node))
        try:
            return self._into_map(node, loc, {}) if node.pairs is not None else self._into_list(node, loc, [])
        finally:
            self._active.discard(id(node))

    def _into_map(self, node: Node, loc: Loc, data: dict[str, object]) -> dict[str, object]:
        for key, value in self._pairs(node, loc):
            self._entry(key, value, loc, data)
        return data

    def _entry(self, key: Node, value: Node, loc: Loc, data: dict[str, object]) -> None:
        here = (*loc, key.text)
        if key.text in data:
            self._twice(key, self._key_node(here), here)
            return
        if "${" in key.text:
            self._problem(here, "${...} is not replaced in a key, only in values", None, key.position, "key")
        self.places[here] = (key, value)
        data[key.text] = self._value(value, here)

    def _into_list(self, node: Node, loc: Loc, data: list[object]) -> list[object]:
        for item in node.items or ():
            here = (*loc, len(data))
            self.places[here] = (None, item)
            data.append(self._value(item, here))
        return data

    def _pairs(self, node: Node, loc: Loc) -> Iterator[tuple[Node, Node]]:
        """The entries of a map; those of `<<` come last and only where the map does not say otherwise."""
        own: set[str] = set()
        merges: list[Node] = []
        for key, value in node.pairs or ():
            if key.kind != "scalar":
                self._problem(
                    loc,
                    "a key must be text, not a list or a map",
                    'a key that starts with "{" or "[" needs quotes',
                    key.position,
                )
            elif key.plain and key.text == "<<":
                merges.append(value)
            else:
                own.add(key.text)
                yield key, value
        for merge in merges:
            for key, value in self._merged(merge, loc):
                if key.text not in own:
                    own.add(key.text)
                    yield key, value

    def _merged(self, node: Node, loc: Loc) -> Iterator[tuple[Node, Node]]:
        """What `<<: *a` or `<<: [*a, *b]` brings (yaml.org/type/merge.html): the first to have a key wins."""
        for source in node.items if node.items is not None else [node]:
            self._budget -= 1
            if self._budget < 0:
                raise TooMuch(node)
            if source.pairs is None:
                self._problem(loc, '"<<" merges a map, or a list of maps', None, node.position)
            elif id(source) in self._active:
                self._problem(loc, "this anchor contains itself", None, node.position)
            else:
                self._active.add(id(source))
                yield from self._pairs(source, loc)
                self._active.discard(id(source))

    def _scalar(self, node: Node, loc: Loc) -> Scalar:
        text = node.text
        if self._substitution.concerns(text):
            return self._substituted(node, loc)
        if node.tag in (None, "str"):
            if not node.plain:
                return text
        elif node.tag in ("int", "float", "bool", "null"):
            return self._tagged(node, loc)
        try:
            return core_type(text)
        except ValueError as error:
            self._problem(loc, str(error), None, node.position)
            return text

    def _tagged(self, node: Node, loc: Loc) -> Scalar:
        wanted: dict[str, tuple[type, ...]] = {
            "int": (int,),
            "float": (float, int),
            "bool": (bool,),
            "null": (type(None),),
        }
        kinds = wanted[node.tag or "null"]
        value = core_type(node.text) if len(node.text) < MAX_DEPTH else node.text
        if not isinstance(value, kinds) or (isinstance(value, bool) and node.tag != "bool"):
            self._problem(loc, f"{quoted(node.text)} is not what !!{node.tag} says it is", None, node.position)
        return value

    def _substituted(self, node: Node, loc: Loc) -> str:
        found = self._substitution.resolve(node.text)
        for message, hint in found.faults:
            self._problem(loc, message, hint, node.position)
        if found.secret:
            self.origins[loc] = node.text
        return found.text

    def _check_tag(self, node: Node, loc: Loc) -> None:
        if node.tag is not None and node.tag not in _CORE_TAGS[node.kind]:
            name = node.tag if node.tag.startswith("!") else f"!!{node.tag}"
            self._problem(
                loc, f"the tag {name} is not supported", 'text that starts with "!" needs quotes', node.position
            )

    def _twice(self, key: Node, first: Node, loc: Loc) -> None:
        # The key named in the other file is what a person looks for, so the message says both places.
        self._problem(
            loc, f"{quoted(key.text)} is defined twice; the first is at {first.position}", None, key.position, "key"
        )

    def _problem(self, loc: Loc, message: str, hint: str | None, position: Position, at: At = "value") -> None:
        self.problems.append(Problem(loc, message, hint, at=at, position=position))
