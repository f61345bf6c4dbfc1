"""Walks a schema by the keys of the configuration: which keys are known where, and what they are called in `edgegw explain`."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from typing import Any, Literal

from pydantic import BaseModel

from edgegw.config.problems import Loc
from edgegw.config.schema import raw_schema

Node = dict[str, Any]
StepKind = Literal["field", "name", "item", "unknown"]


@dataclass(frozen=True, slots=True)
class Place:
    """A key of the configuration language: its path without names and indexes, and its schema (None where it is unknown)."""

    path: tuple[str, ...]
    node: Node | None
    kinds: tuple[StepKind, ...] = ()

    @property
    def dotted(self) -> str:
        """As `edgegw explain` takes it: `upstreams.pool.max`."""
        return ".".join(self.path)


class Keys:
    """The keys of one root model."""

    def __init__(self, root: Node) -> None:
        self.root = root
        self._definitions: Node = root.get("$defs", {})

    def alternatives(self, node: Node) -> Iterator[Node]:
        """The concrete schemas behind references and alternatives."""
        pending, seen = [node], set()
        while pending:
            each = pending.pop(0)
            reference = each.get("$ref")
            if reference is not None:
                if reference in seen:
                    continue
                seen.add(reference)
                pending.insert(0, self._definitions[reference.rsplit("/", 1)[1]])
            elif "anyOf" in each or "oneOf" in each or "allOf" in each:
                pending[:0] = [*each.get("anyOf", ()), *each.get("oneOf", ()), *each.get("allOf", ())]
            else:
                yield each

    def definition(self, node: Node) -> list[Node]:
        """What the `$ref` of a node refers to."""
        return [self._definitions[node["$ref"].rsplit("/", 1)[1]]]

    def reference(self, node: Node) -> str | None:
        """The name of the definition that `node` is, as an item, a value or itself; None for a schema of its own."""
        names = [each["$ref"].rsplit("/", 1)[1] for each in (node, *node.get("anyOf", ())) if "$ref" in each]
        return names[0] if len(names) == 1 else None

    def properties(self, node: Node | None) -> dict[str, Node]:
        """The known keys of a map; empty for anything else."""
        found: dict[str, Node] = {}
        for each in self.alternatives(node) if node is not None else ():
            for key, value in each.get("properties", {}).items():
                found.setdefault(key, value)
        return found

    def required(self, node: Node) -> set[str]:
        """The keys that a map must have."""
        return {key for each in self.alternatives(node) for key in each.get("required", ())}

    def values(self, node: Node | None) -> Node | None:
        """What a map with free names holds under each of them; None for other things."""
        for each in self.alternatives(node) if node is not None else ():
            if isinstance(each.get("additionalProperties"), dict):
                found: Node = each["additionalProperties"]
                return found
        return None

    def items(self, node: Node | None) -> Node | None:
        """What a list holds; None for other things."""
        for each in self.alternatives(node) if node is not None else ():
            if isinstance(each.get("items"), dict):
                found: Node = each["items"]
                return found
        return None

    def inner(self, node: Node) -> Node:
        """What a collection is a collection of, through all its levels; the node itself when it is none."""
        for _ in range(8):
            below = None if self.properties(node) else self.values(node) or self.items(node)
            if below is None:
                break
            node = below
        return node

    def place(self, loc: Loc) -> Place:
        """Where a loc of the document leads."""
        node: Node | None = self.root
        path: list[str] = []
        kinds: list[StepKind] = []
        for part in loc:
            if isinstance(part, int):
                node, kind = self.items(node), "item"
            elif part in self.properties(node):
                node, kind = self.properties(node)[part], "field"
            elif self.values(node) is not None:
                node, kind = self.values(node), "name"
            else:
                node, kind = None, "unknown"
            kinds.append(kind)  # type: ignore[arg-type]
            if kind in ("field", "unknown"):
                path.append(str(part))
        return Place(tuple(path), node, tuple(kinds))

    def children(self, node: Node) -> dict[str, Node]:
        """The keys below a node, seen through lists and maps of named things."""
        return self.properties(self.inner(node))

    def find(self, path: Sequence[str]) -> Place | str:
        """Where the dotted key of a person leads (`upstreams.*.pool`, `upstreams.users.pool`), or the part that is unknown."""
        node, known, index = self.root, list[str](), 0
        while index < len(path):
            part = path[index]
            children = self.children(node)
            named = self.properties(node) == {} and self.inner(node) is not node
            if part in children:
                node = children[part]
                known.append(part)
            elif not (named and self._is_name(part, path[index + 1 :], node)):
                return ".".join([*known, part])
            index += 1
        return Place(tuple(known), node)

    def _is_name(self, part: str, rest: Sequence[str], node: Node) -> bool:
        """Whether `part` is the name of one of the things in a collection, not a key that they have."""
        children = self.children(node)
        if part in ("*", "[]", "<name>") or part.isdigit() or (rest and rest[0] in children):
            return True
        return not rest and self.values(node) is not None and not get_close_matches(part, children)


@cache
def keys_of(model: type[BaseModel]) -> Keys:
    """The keys of a root model; made once."""
    return Keys(raw_schema(model))
