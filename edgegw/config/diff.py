"""What differs between two configurations, in their own terms: a route is itself wherever it stands in the file."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel

from edgegw.config.mask import STARS, Mask
from edgegw.config.naming import NAMING_KEYS, name_of
from edgegw.config.plain import plain
from edgegw.config.problems import Loc
from edgegw.config.source import Document
from edgegw.config.yamltext import scalar

Kind = Literal["added", "removed", "changed"]
_SIGNS: dict[Kind, str] = {"added": "+", "removed": "-", "changed": "~"}
_MISSING = object()


@dataclass(frozen=True, slots=True)
class Change:
    """One difference. `loc` counts from the root; things in lists are called by their name or match, not by their index.

    `old` and `new` are plain data as they would be written, secrets as stars; None on the side where there is nothing.
    """

    loc: Loc
    kind: Kind
    old: Any = None
    new: Any = None

    def __str__(self) -> str:
        if self.kind == "changed":
            return f"~ {path_text(self.loc)}: {scalar(self.old)} -> {scalar(self.new)}"
        value = self.new if self.kind == "added" else self.old
        return f"{_SIGNS[self.kind]} {path_text(self.loc)}: {scalar(value)}"


def diff(
    old: BaseModel, new: BaseModel, old_document: Document | None = None, new_document: Document | None = None
) -> list[Change]:
    """All differences, in the order of the keys. With the documents at hand, values from the environment and files are hidden."""
    walk = _Walk(Mask(old_document), Mask(new_document))
    return list(walk.maps(plain(old), plain(new), (), _At((), ())))


def render(changes: Sequence[Change], form: Literal["text", "json"] = "text") -> str:
    """Changes as lines of text (`~ upstreams.users.pool.max: 256 -> 512`) or as JSON, without a line break at the end."""
    if form == "json":
        return json.dumps(
            [{"loc": list(each.loc), "kind": each.kind, "old": each.old, "new": each.new} for each in changes], indent=2
        )
    return "\n".join(str(each) for each in changes) if changes else "no difference"


def path_text(loc: Loc) -> str:
    """`routes["GET /x"].timeout.head`."""
    text = ""
    for part in loc:
        word = str(part)
        if word.replace("_", "").replace("-", "").isalnum() and not word.isdigit():
            text += f".{word}" if text else word
        else:
            text += f"[{part}]" if isinstance(part, int) else f"[{json.dumps(word, ensure_ascii=False)}]"
    return text


@dataclass(frozen=True, slots=True)
class _At:
    """Where a pair of values stands in the two documents."""

    old: Loc
    new: Loc

    def down(self, old: str | int, new: str | int) -> "_At":
        return _At((*self.old, old), (*self.new, new))


@dataclass(frozen=True, slots=True)
class _Walk:
    """Compares plain data, two of the same place at a time."""

    old_mask: Mask
    new_mask: Mask

    def values(self, old: object, new: object, loc: Loc, at: _At) -> Iterator[Change]:
        if isinstance(old, dict) and isinstance(new, dict):
            yield from self.maps(old, new, loc, at)
        elif _is_named(old) and _is_named(new) and isinstance(old, list) and isinstance(new, list):
            yield from self.named_lists(old, new, loc, at)
        elif old is _MISSING:
            yield Change(loc, "added", None, _shown(new, at.new, self.new_mask))
        elif new is _MISSING:
            yield Change(loc, "removed", _shown(old, at.old, self.old_mask), None)
        elif type(old) is not type(new) or old != new:
            yield Change(loc, "changed", _shown(old, at.old, self.old_mask), _shown(new, at.new, self.new_mask))

    def maps(self, old: Mapping[str, Any], new: Mapping[str, Any], loc: Loc, at: _At) -> Iterator[Change]:
        for key in dict.fromkeys([*old, *new]):
            yield from self.values(old.get(key, _MISSING), new.get(key, _MISSING), (*loc, key), at.down(key, key))

    def named_lists(self, old: list[Any], new: list[Any], loc: Loc, at: _At) -> Iterator[Change]:
        """Things with names: matched by them. An order that changed is one change, told by the names."""
        before, after = _by_name(old), _by_name(new)
        for name in dict.fromkeys([*before, *after]):
            old_index, old_value = before.get(name, (-1, _MISSING))
            new_index, new_value = after.get(name, (-1, _MISSING))
            here = at.down(old_index, new_index)
            yield from self.values(old_value, new_value, (*loc, self._shown_name(name, here)), here)
        kept_before = [name for name in before if name in after]
        kept_after = [name for name in after if name in before]
        if kept_before != kept_after:
            moved = [index for index, name in enumerate(kept_before) if kept_after[index] != name]
            span = slice(moved[0], moved[-1] + 1)
            yield Change(
                (*loc, "order"),
                "changed",
                [self._shown_name(name, at.down(before[name][0], after[name][0])) for name in kept_before[span]],
                [self._shown_name(name, at.down(before[name][0], after[name][0])) for name in kept_after[span]],
            )

    def _shown_name(self, name: str, at: _At) -> str:
        """The name, or its number in the list where the name is made of something secret."""
        sides = ((self.old_mask, at.old), (self.new_mask, at.new))
        hidden = any(mask.hides((*loc, key), name) for mask, loc in sides for key in NAMING_KEYS if loc[-1] != -1)
        return f"#{max(int(at.old[-1]), int(at.new[-1])) + 1}" if hidden else name


def _shown(value: object, loc: Loc, mask: Mask) -> object:
    """Plain data with what is secret as stars."""
    if isinstance(value, dict):
        return {key: _shown(each, (*loc, key), mask) for key, each in value.items()}
    if isinstance(value, list):
        return [_shown(each, (*loc, index), mask) for index, each in enumerate(value)]
    return STARS if mask.hides(loc, value) else value


def _is_named(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(each, dict) and name_of(each) is not None for each in value)


def _by_name(items: list[Any]) -> dict[str, tuple[int, Any]]:
    """Items by name, with their indexes; a name that comes again is counted: `a`, `a #2`."""
    found: dict[str, tuple[int, Any]] = {}
    for index, item in enumerate(items):
        name, again = str(name_of(item)), 2
        while (name if again == 2 else f"{name} #{again - 1}") in found:
            again += 1
        found[name if again == 2 else f"{name} #{again - 1}"] = (index, item)
    return found
