"""What is left of a document without what is wrong in it, so that the rest can be looked at in the same run."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from edgegw.config.problems import Loc, Position
from edgegw.config.source import Document


@dataclass(frozen=True, eq=False)
class Remainder(Document):
    """A document without some of its pieces. Locs count as in its own data; positions are those in the files, as ever."""

    whole: Document = field(repr=False)
    _moved: Mapping[Loc, Loc] = field(repr=False)
    _gone: frozenset[Loc] = field(repr=False)
    _around: frozenset[Loc] = field(repr=False)

    def written(self, loc: Loc) -> Loc:
        """Where it stands in the whole: what comes behind a missing list item has moved up."""
        for length in range(len(loc), 0, -1):
            found = self._moved.get(loc[:length])
            if found is not None:
                return (*found, *loc[length:])
        return loc

    def position(self, loc: Loc) -> Position:
        """As in the whole."""
        return self.whole.position(self.written(loc))

    def key_position(self, loc: Loc) -> Position:
        """As in the whole."""
        return self.whole.key_position(self.written(loc))

    def lacks(self, loc: Loc) -> bool:
        """Whether something was left out there, in it or around it."""
        place = self.written(loc)
        return place in self._around or any(place[:length] in self._gone for length in range(len(place)))

    def names(self, loc: Loc) -> tuple[str, ...]:
        """As in the whole: a thing that is wrong has a name all the same."""
        return self.whole.names(self.written(loc))

    __repr__ = Document.__repr__


def without(
    whole: Document, gone: Collection[Loc], doubtful: Iterable[Loc] = (), standins: Mapping[str, object] | None = None
) -> Remainder:
    """The document without the pieces at `gone`.

    Args:
        doubtful: places that are as good as left out: what stands there is not what was meant. standins: by top-level key, what
            takes the place of one that is gone.
    """
    moved: dict[Loc, Loc] = {}
    data: Any = _copied(whole.data, (), (), gone, moved)
    data.update({key: value for key, value in (standins or {}).items() if (key,) in gone})
    missing = frozenset([*gone, *doubtful])
    own = {each.name: getattr(whole, each.name) for each in fields(Document)}
    own["data"] = data
    own["origins"] = {new: whole.origins[old] for new, old in moved.items() if old in whole.origins}
    around = frozenset(loc[:length] for loc in missing for length in range(len(loc) + 1))
    return Remainder(**own, whole=whole, _moved=moved, _gone=missing, _around=around)


def _copied(value: object, old: Loc, new: Loc, gone: Collection[Loc], moved: dict[Loc, Loc]) -> object:
    """Without what is gone. moved: receives, by its new place, the old one of everything that stays."""
    moved[new] = old
    if isinstance(value, dict):
        return {
            key: _copied(each, (*old, key), (*new, key), gone, moved)
            for key, each in value.items()
            if (*old, key) not in gone
        }
    if isinstance(value, list):
        kept = [index for index in range(len(value)) if (*old, index) not in gone]
        return [_copied(value[index], (*old, index), (*new, at), gone, moved) for at, index in enumerate(kept)]
    return value
