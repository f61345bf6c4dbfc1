"""Feed a codec the same bytes in different pieces and compare what it says.

After h11's `tests/test_io.py`: whatever a codec makes of a message, it makes of it whole, byte by byte, and with bytes behind.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Protocol

from edgegw.wire.events import End, Event, RequestHead, ResponseHead, Violation

TRAILING = b"\x01\x02 not a message"
"""What follows a message in the third way."""


class Codec(Protocol):
    """Anything that turns bytes into events."""

    def receive(self, data: bytes) -> list[Event]:
        """Take bytes."""


def describe(event: Event) -> tuple[object, ...]:
    """An event as a tuple that can be compared; a violation without its detail, which may count bytes."""
    if isinstance(event, bytes):
        return ("data", event)
    if isinstance(event, End):
        return ("end", event.trailers)
    if isinstance(event, Violation):
        return ("violation", event.status, event.reason)
    slots = event.__slots__ if isinstance(event, RequestHead | ResponseHead) else ()
    return (type(event).__name__, *((name, getattr(event, name)) for name in slots))


def merged(events: Iterable[Event]) -> list[Event]:
    """The same events with neighbouring body data joined."""
    out: list[Event] = []
    for event in events:
        if isinstance(event, bytes) and out and isinstance(out[-1], bytes):
            out[-1] += event
        else:
            out.append(event)
    return out


def feed(codec: Codec, pieces: Iterable[bytes]) -> list[Event]:
    """All events of all pieces, body data joined."""
    return merged([event for piece in pieces for event in codec.receive(piece)])


def cut(data: bytes, points: Iterable[int]) -> list[bytes]:
    """Pieces of data cut at the points (taken modulo its length)."""
    marks = sorted({point % len(data) for point in points} | {0, len(data)}) if data else []
    return [data[start:stop] for start, stop in pairwise(marks)]


def feed_three_ways(make_codec: Callable[[], Codec], data: bytes, trailing: bytes = TRAILING) -> list[Event]:
    """The events of `data`, after checking that they are the same whole, byte by byte, and as the start of more.

    Raises:
        AssertionError: the three ways differ.
    """
    whole = feed(make_codec(), [data])
    expected = [describe(event) for event in whole]
    bytewise = [describe(event) for event in feed(make_codec(), [data[i : i + 1] for i in range(len(data))])]
    assert bytewise == expected, f"byte by byte: {bytewise}\nwhole: {expected}"
    more = [describe(event) for event in feed(make_codec(), [data + trailing])]
    if expected and expected[-1][0] == "data":
        return whole  # The message is not complete, so what follows is part of it.
    assert more[: len(expected)] == expected, f"with trailing bytes: {more}\nwhole: {expected}"
    return whole
