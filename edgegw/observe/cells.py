"""Where numbers are counted: plain objects that cost an attribute add, and families that hold one of them per label set.

prometheus_client's own metrics cost 0.7-1.4 us per touch (locks, multiprocess hooks); a cell costs 0.05-0.3 us. Cells belong to the
loop's thread: others only read them.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

OTHER = "other"
"""The label value of everything that came after a family was full."""

UNROUTED = "-"
"""The `route` of exchanges that no route took: 404s and heads that the codec rejected."""

DEFAULT_LIMIT = 1000
"""How many label sets a metric keeps apart unless its row says otherwise."""

Kind = Literal["counter", "gauge", "histogram"]


@dataclass(frozen=True, slots=True)
class MetricSpec:
    """One row of the table of metrics.

    name: as exposed, with prefix and unit. labels: in the order in which they are shown; the first is the one that folds. help: one
    sentence. unit: base unit (`seconds`, `bytes`) or empty. buckets: upper bounds of a histogram, ascending, without +Inf.
    limit: how many label sets are kept apart.
    """

    name: str
    kind: Kind
    labels: tuple[str, ...]
    help: str
    unit: str = ""
    buckets: tuple[float, ...] = ()
    limit: int = DEFAULT_LIMIT


class Counter:
    """A number that only grows. `value` may be added to directly."""

    __slots__ = ("value",)

    def __init__(self, spec: MetricSpec | None = None) -> None:
        self.value: float = 0

    def inc(self, by: float = 1) -> None:
        """Add, never a negative number."""
        self.value += by

    def __repr__(self) -> str:
        return f"<Counter {self.value:g}>"


class Gauge:
    """A number that goes up and down. `value` may be written directly."""

    __slots__ = ("_read", "_value")

    def __init__(self, spec: MetricSpec | None = None) -> None:
        self._value: float = 0
        self._read: Callable[[], float] | None = None

    @property
    def value(self) -> float:
        """What it stands at."""
        return self._value if self._read is None else self._read()

    def inc(self, by: float = 1) -> None:
        """Add."""
        self._value += by

    def dec(self, by: float = 1) -> None:
        """Subtract."""
        self._value -= by

    def set(self, value: float) -> None:
        """Set."""
        self._value = value

    def follow(self, read: Callable[[], float]) -> None:
        """From now on, ask `read` at each scrape instead of being told; for counts that somebody keeps anyway."""
        self._read = read

    def __repr__(self) -> str:
        return f"<Gauge {self.value:g}>"


class Histogram:
    """Observations counted by bucket. `counts[i]` holds those at most `bounds[i]`, the last one all above."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, spec: MetricSpec) -> None:
        self.bounds = spec.buckets
        self.counts = [0] * (len(spec.buckets) + 1)
        self.sum: float = 0

    def observe(self, value: float) -> None:
        """Count one observation."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value

    @property
    def count(self) -> int:
        """All observations."""
        return sum(self.counts)

    def __repr__(self) -> str:
        return f"<Histogram {self.count} observations, sum {self.sum:g}>"


Cell = TypeVar("Cell", bound=Counter | Gauge | Histogram)


class Family(Generic[Cell]):
    """All cells of one metric, at most `spec.limit` label sets of them.

    Once it is full, a new label set is counted under the first label `other` (the rest, bounded by nature, stay as they are; should
    they turn out not to be, everything folds), and `folded` is called with the metric's name.

    Args:
        spec: its row. make: builds one cell.
    """

    def __init__(self, spec: MetricSpec, make: Callable[[MetricSpec], Cell], folded: Callable[[str], None]) -> None:
        self.spec = spec
        self._make = make
        self._folded = folded
        self._cells: dict[tuple[str, ...], Cell] = {}
        if not spec.labels:
            self._cells[()] = make(spec)

    def child(self, **labels: str) -> Cell:
        """The cell of a label set, made if need be. Ask once, at assembly, and keep it.

        Raises:
            KeyError: a label is missing. ValueError: one does not belong to this metric.
        """
        names = self.spec.labels
        if len(labels) > len(names):
            raise ValueError(f"{self.spec.name} has the labels {', '.join(names) or 'none'}, not {', '.join(labels)}")
        return self.at(tuple([labels[name] for name in names]))

    def at(self, key: tuple[str, ...]) -> Cell:
        """The same by label values in the order of `spec.labels`."""
        cell = self._cells.get(key)
        return cell if cell is not None else self._admit(key)

    @property
    def only(self) -> Cell:
        """The cell of a metric without labels."""
        return self._cells[()]

    def retain(self, label: str, values: Collection[str]) -> None:
        """Forget the cells whose `label` is none of these; who still holds one counts into the void."""
        if label not in self.spec.labels:
            return
        index = self.spec.labels.index(label)
        kept = {*values, OTHER, UNROUTED}
        self._cells = {key: cell for key, cell in self._cells.items() if key[index] in kept}

    def _admit(self, key: tuple[str, ...]) -> Cell:
        if len(self._cells) >= self.spec.limit:
            self._folded(self.spec.name)
            key = (OTHER, *key[1:]) if len(self._cells) < 2 * self.spec.limit else (OTHER,) * len(key)
        return self._cells.setdefault(key, self._make(self.spec))

    def __iter__(self) -> Iterator[tuple[tuple[str, ...], Cell]]:
        """Label values and cell of each label set; safe from another thread."""
        return iter(list(self._cells.items()))

    def __len__(self) -> int:
        return len(self._cells)

    def __repr__(self) -> str:
        return f"<Family {self.spec.name} {len(self)} of {self.spec.limit} label sets>"
