"""What a match captures from a host and a path that fit it."""

from __future__ import annotations

from edgegw.routing.index import bare_path
from edgegw.routing.match import Match
from edgegw.routing.segments import DEEP, LITERAL, REST, STAR, TYPED, Segment


def captures(match: Match, host: str, path: str) -> dict[str, str]:
    """The parameters, by name.

    Values stay as they are in the normalised path: escapes are not decoded, so a value can be put into another path as it is.
    `{name}` is captured without `;parameters` (as it was compared), `**` with them (it is forwarded, not compared).
    """
    params: dict[str, str] = {}
    if match.host.param:
        params[match.host.param] = host.partition(".")[0]
    segments = match.segments
    if match.literal is not None:
        return params
    raw = path.split("/")[1:]
    bare = bare_path(path).split("/")[1:] if ";" in path else raw
    spans = align(segments, bare)
    if spans is None:
        return params
    for segment, start in zip(segments, spans, strict=True):
        if segment.name:
            params[segment.name] = bare[start]
    last = _last_deep(segments)
    if last is not None:
        end = len(raw) if last + 1 == len(segments) else spans[last + 1]
        params[REST] = "/".join(raw[spans[last] : end])
    return params


def _last_deep(segments: tuple[Segment, ...]) -> int | None:
    found = [index for index, segment in enumerate(segments) if segment.kind == DEEP]
    return found[-1] if found else None


def align(segments: tuple[Segment, ...], cut: list[str]) -> list[int] | None:
    """Where each segment of a pattern begins in a path, or None when they do not fit; the first `**` takes as little as it can.

    A wrong guess for the last `**` is never undone by an earlier one (what fits behind it fits further right as well), so the
    time is at most the product of both lengths.
    """
    spans: list[int] = []
    at = index = 0
    retry: tuple[int, int] | None = None  # the last `**`: its index, and where the segment behind it is tried next
    while index < len(segments) or at < len(cut):
        if index < len(segments) and segments[index].kind == DEEP:
            if index + 1 == len(segments):
                return [*spans, at]
            retry = (index, at)
            spans = [*spans[:index], at]
            index += 1
        elif index < len(segments) and at < len(cut) and segment_fits(segments[index], cut[at]):
            spans = [*spans[:index], at]
            index, at = index + 1, at + 1
        elif retry is None or retry[1] >= len(cut):
            return None
        else:
            index, at = retry[0] + 1, retry[1] + 1
            spans = spans[:index]
            retry = (retry[0], at)
    return spans


def segment_fits(segment: Segment, text: str) -> bool:
    """Whether one segment of a path (without `;parameters`) fits one segment of a pattern that is not `**`."""
    if segment.kind == LITERAL:
        return text == segment.key
    if segment.kind == TYPED:
        return bool(text) and segment.fits(text)
    return bool(text)


_ = STAR
