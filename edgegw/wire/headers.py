"""An ordered header list that keeps order and spelling, and finds by lower-case name.

A field is a triple `(lower, name, value)`: the name in lower case (interned by the codec, so comparing is cheap), the name as it
came, and the value without surrounding white space. All three are bytes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Set

Field = tuple[bytes, bytes, bytes]


class Headers:
    """Header fields in wire order.

    Names given to its methods are lower-case bytes, except for `add` and `set`, which take the spelling to send.
    """

    __slots__ = ("_first", "fields")

    def __init__(self, fields: list[Field] | None = None) -> None:
        self.fields: list[Field] = fields if fields is not None else []
        self._first: dict[bytes, bytes] | None = None

    @classmethod
    def of(cls, pairs: Iterable[tuple[bytes, bytes]]) -> Headers:
        """Build from (name, value) pairs."""
        return cls([(name.lower(), name, value) for name, value in pairs])

    def _index(self) -> dict[bytes, bytes]:
        fields = self.fields
        first = {lower: value for lower, _, value in fields}
        if len(first) != len(fields):
            first = {lower: value for lower, _, value in reversed(fields)}
        self._first = first
        return first

    def first(self) -> dict[bytes, bytes]:
        """Lower-case name to first value, for many look-ups at once; shared, so read it only."""
        return self._first or self._index()

    def get(self, lower: bytes, default: bytes | None = None) -> bytes | None:
        """The first value of a name, or the default."""
        return (self._first or self._index()).get(lower, default)

    def get_all(self, lower: bytes) -> list[bytes]:
        """Every value of a name, in wire order."""
        first = self._first or self._index()
        if lower not in first:
            return []
        if len(first) == len(self.fields):
            return [first[lower]]
        return [field[2] for field in self.fields if field[0] == lower]

    def joined(self, lower: bytes) -> bytes | None:
        """All values of a name as one comma-separated list (RFC 9110 5.3), or None."""
        first = self._first or self._index()
        if len(first) == len(self.fields):
            return first.get(lower)
        values = self.get_all(lower)
        return b", ".join(values) if values else None

    def __contains__(self, lower: bytes) -> bool:
        return lower in (self._first or self._index())

    def __iter__(self) -> Iterator[tuple[bytes, bytes]]:
        return iter([(field[1], field[2]) for field in self.fields])

    def __len__(self) -> int:
        return len(self.fields)

    def add(self, name: bytes, value: bytes) -> None:
        """Append one field."""
        self.append((name.lower(), name, value))

    def append(self, field: Field) -> None:
        """Append a field that is ready."""
        self.fields.append(field)
        if self._first is not None:
            self._first.setdefault(field[0], field[2])

    def extend(self, fields: Collection[Field]) -> None:
        """Append fields that are ready."""
        self.fields.extend(fields)
        first = self._first
        if first is not None:
            for lower, _, value in fields:
                first.setdefault(lower, value)

    def replace(self, fields: list[Field]) -> None:
        """Put these fields in place of all."""
        self.fields = fields
        self._first = None

    def set(self, name: bytes, value: bytes) -> None:
        """Replace every field of this name by one, at the end."""
        lower = name.lower()
        if lower in (self._first or self._index()):
            self.fields = [field for field in self.fields if field[0] != lower]
        self.fields.append((lower, name, value))
        self._first = None

    def set_default(self, name: bytes, value: bytes) -> None:
        """Add the field unless one of this name is there."""
        if name.lower() not in self:
            self.add(name, value)

    def remove(self, lower: bytes) -> None:
        """Drop every field of this name."""
        first = self._first or self._index()
        if lower in first:
            self.fields = [field for field in self.fields if field[0] != lower]
            del first[lower]

    def remove_all(self, lowers: Set[bytes]) -> None:
        """Drop every field whose name is in the set."""
        first = self._first or self._index()
        gone = first.keys() & lowers
        if gone:
            self.fields = [field for field in self.fields if field[0] not in gone]
            for lower in gone:
                del first[lower]

    def copy(self) -> Headers:
        """A list of its own; the fields themselves are immutable."""
        return Headers(self.fields.copy())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Headers) and self.fields == other.fields

    __hash__ = None  # type: ignore[assignment]  # mutable

    def __repr__(self) -> str:
        return f"Headers({[(name, value) for _, name, value in self.fields]!r})"
