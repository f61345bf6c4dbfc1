"""What a match captures from a host and a path that fit it, and whether they fit: for one pattern, without the index."""

from __future__ import annotations

from edgegw.routing.index import bare_path
from edgegw.routing.match import Match
from edgegw.routing.segments import DEEP, LITERAL, REST, TYPED, Segment


class Captures:
    """The parameters of one match.

    Values stay as they are in the normalised path: escapes are not decoded, so that a value can be put into another path as it is.
    `{name}` is captured without `;parameters` (as it was compared), `**` with them (it is forwarded, not compared).
    """

    __slots__ = ("_deep", "_host", "_inner", "_names", "_segments", "_tail")

    def __init__(self, match: Match) -> None:
        self._segments = segments = match.segments
        self._host = match.host.param
        self._names = [(segment.name, index) for index, segment in enumerate(segments) if segment.name]
        deep = [index for index, segment in enumerate(segments) if segment.kind == DEEP]
        self._deep = deep[-1] if deep else -1
        self._inner = bool(deep) and deep != [len(segments) - 1]
        # The most common pattern captures nothing but its end: how many segments that is behind, the empty one before the first
        # slash counted; 0 for any other pattern.
        self._tail = self._deep + 1 if deep and not (self._inner or self._names or self._host) else 0

    def __call__(self, host: str, path: str) -> dict[str, str]:
        """Read the parameters from a host and a path that are known to fit."""
        if self._tail:
            cut = path.split("/", self._tail)
            return {REST: cut[-1] if len(cut) > self._tail else ""}
        params: dict[str, str] = {}
        if self._host:
            params[self._host] = host.partition(".")[0]
        if not self._names and self._deep < 0:
            return params
        raw = path.split("/")[1:]
        bare = bare_path(path).split("/")[1:] if ";" in path else raw
        begins = align(self._segments, bare) if self._inner else None
        for name, index in self._names:
            params[name] = bare[begins[index] if begins else index]
        if self._deep >= 0:
            begin, end = self._deep, len(raw)
            if begins:
                begin, end = begins[self._deep], begins[self._deep + 1] if self._deep + 1 < len(begins) else len(raw)
            params[REST] = "/".join(raw[begin:end])
        return params


def align(segments: tuple[Segment, ...], cut: list[str]) -> list[int] | None:
    """Where each segment of a pattern begins in a path, or None when they do not fit; each `**` takes as little as it can.

    Only the last `**` is ever widened: what fits behind an earlier one with less taken also fits with the later one taking more.
    The time is at most the product of both lengths.
    """
    begins: list[int] = []
    retry: tuple[int, int] | None = None  # the last `**`: its place in the pattern, and where what is behind it begins
    at = 0
    while len(begins) < len(segments) or at < len(cut):
        index = len(begins)
        if index < len(segments) and segments[index].kind == DEEP:
            begins.append(at)
            retry = (index, at)
            if index + 1 == len(segments):
                return begins
        elif index < len(segments) and at < len(cut) and _fits(segments[index], cut[at]):
            begins.append(at)
            at += 1
        elif retry is None or retry[1] >= len(cut):
            return None
        else:
            at = retry[1] + 1
            retry = (retry[0], at)
            del begins[retry[0] + 1 :]
    return begins


def _fits(segment: Segment, text: str) -> bool:
    """Whether one segment of a path (without `;parameters`) fits one segment of a pattern that is not `**`."""
    if segment.kind == LITERAL:
        return text == segment.key
    if segment.kind == TYPED:
        return bool(text) and segment.fits(text)
    return bool(text)
