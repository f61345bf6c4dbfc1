"""Maglev's look-up table (Eisenbud et al., "Maglev: A Fast and Reliable Software Network Load Balancer", 2016, section 3.4)."""

from __future__ import annotations

from array import array
from collections.abc import Generator, Iterator, Mapping, Sequence

from xxhash import xxh3_128_intdigest

from edgegw.upstream.balance.tables import POINTS, Building, weights_of
from edgegw.upstream.endpoint import Endpoint

SIZES = ((40, 4093), (6_500, 65_537), (1 << 32, 655_357))
"""Up to how many members, and the slots, which are a prime. Few steps: where the size changes every key moves."""

_PROBES_PER_STEP = 30_000
_TURNS_PER_STEP = 20_000


class Maglev:
    """Every slot belongs to a member, to each as many as its weight says, give or take one; a look-up is one step.

    Members take slots in turn, each by an order of its own, and so most slots stay whose they are when a member comes or goes.
    """

    def __init__(self, weights: Mapping[Endpoint, int], slots: Sequence[int]) -> None:
        self.weights = weights
        self.slots = array("L", slots)
        """The position of the owner in `weights`."""
        self._members = tuple(weights)

    def owners(self, point: int) -> Iterator[Endpoint]:
        """`Table`: from slot to slot, by steps that go by the key too, so that the keys of one who is gone go to all others."""
        slots, members = self.slots, self._members
        size = len(slots)
        at = point % size
        yield members[slots[at]]
        # The size is a prime: any step comes by every slot.
        by = 1 + (point >> 32) % (size - 1)
        while True:
            at = (at + by) % size
            yield members[slots[at]]

    def __repr__(self) -> str:
        return f"<Maglev {len(self._members)} in {len(self.slots)} slots>"


def build_maglev(members: Sequence[Endpoint]) -> Building:
    """A table for these members, at least one."""
    weights = weights_of(members)
    size = next(slots for most, slots in SIZES if len(weights) <= most)
    at, by = [], []
    for endpoint in weights:
        offset, skip = divmod(xxh3_128_intdigest(endpoint.name.encode("utf-8")), POINTS)
        at.append(offset % size)
        by.append(1 + skip % (size - 1))
    turns = yield from _turns(quotas(list(weights.values()), size))
    slots = [-1] * size
    begin = 0
    while begin < size:
        # A turn near the end looks at many slots before it finds a free one.
        end = begin + max(1, _PROBES_PER_STEP * (size - begin) // (2 * size))
        for member in turns[begin:end]:
            slot, skip = at[member], by[member]
            while slots[slot] >= 0:
                slot = (slot + skip) % size
            slots[slot] = member
            at[member] = slot
        begin = end
        yield
    return Maglev(weights, slots)


def quotas(weights: Sequence[int], size: int) -> list[int]:
    """How many slots each gets: its share, rounded so that all of them are given away, but at least one."""
    total = sum(weights)
    least = [max(1, weight * size // total) for weight in weights]
    left = size - sum(least)
    # To those who lose most by rounding; what the least of one cost is taken from the heaviest.
    order = sorted(range(len(weights)), key=lambda at: (-(weights[at] * size % total), at))
    for at in order[: max(0, left)]:
        least[at] += 1
    for _ in range(-left):
        least[max(range(len(least)), key=least.__getitem__)] -= 1
    return least


def _turns(quota: Sequence[int]) -> Generator[None, None, list[int]]:
    """Who takes a slot after whom: in as many rounds as the heaviest has turns, the turns of the others spread over them."""
    rounds: list[list[int]] = [[] for _ in range(max(quota))]
    made = 0
    for member, count in enumerate(quota):
        for turn in range(count):
            rounds[turn * len(rounds) // count].append(member)
        made += count
        if made > _TURNS_PER_STEP:
            made = 0
            yield
    return [member for each in rounds for member in each]
