"""Checks of where routes lead: the upstreams that `to`, `mirror` and `fallback` name, the parts of them, and who gets a share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from edgegw.config.problems import Loc, Problems, quoted
from edgegw.config.source import Document
from edgegw.gateway.settings import GatewaySettings, RouteSettings

_SHOWN = 10
_GUESSES, _COMPARED = 32, 1000
"""A guess takes a comparison with each name: nobody waits for that ten thousand times."""


class Defined:
    """The names of the upstreams that there are, for those who look for another one."""

    def __init__(self, document: Document) -> None:
        self._names = document.names(("upstreams",))
        self.words = listed(self._names)
        self._guesses = _GUESSES

    def guess(self, name: str) -> str | None:
        """Which one may be meant, as a hint."""
        if not self._guesses:
            return None
        self._guesses -= 1
        near = get_close_matches(name, self._names[:_COMPARED], 1)
        return f"did you mean {quoted(near[0])}?" if near else None


def check_destinations(
    number: int, settings: GatewaySettings, problems: Problems, document: Document, defined: Defined
) -> None:
    """Report what a route refers to and does not exist, and a list of destinations that cannot work.

    Args:
        number: of the route, from 0. problems: a view of the route. document: what the settings were made from. defined: in it.
    """
    route, parts = settings.routes[number], _Parts(settings, document, problems, defined)
    for index, each in enumerate(route.destinations):
        at: Loc = ("to", index) if isinstance(route.to, tuple) else ("to",)
        parts.check(each.upstream, each.meta, (*at, "upstream"), (*at, "meta"))
    for index, mirror in enumerate(route.mirrors):
        at = ("mirror", index) if isinstance(route.mirror, tuple) else ("mirror",)
        parts.check(mirror.to, mirror.meta, (*at, "to"), (*at, "meta"))
    fallback = route.fallback
    if fallback is not None and fallback.to is not None:
        parts.check(fallback.to, fallback.meta, ("fallback", "to"), ("fallback", "meta"))
    if route.to is None or document.lacks(("routes", number, "to")):
        return
    if fallback is not None and fallback.to is not None:
        part = fallback.to, frozenset(fallback.meta.items())
        if all(each.part == part for each in route.destinations):
            problems.add(("fallback", "to"), f"{quoted(fallback.to)} is where this route leads already")
    _check_shares(route, problems)


@dataclass(frozen=True, slots=True)
class _Parts:
    """Names that are used must be defined; facts may be those of endpoints that come later."""

    settings: GatewaySettings
    document: Document
    problems: Problems
    defined: Defined

    def check(self, upstream: str, meta: Mapping[str, str], at: Loc, at_meta: Loc) -> None:
        here = ("upstreams", upstream)
        found = self.settings.upstreams.get(upstream)
        if found is None and not self.document.lacks(here):
            words = f"upstream {quoted(upstream)} is not defined; defined: {self.defined.words}"
            self.problems.add(at, words, self.defined.guess(upstream))
        elif found is not None and meta and found.discovery is None and not self.document.lacks(here):
            if not any(meta.items() <= endpoint.meta.items() for endpoint in found.endpoints):
                words = ", ".join(f"{name}: {value}" for name, value in meta.items())
                self.problems.warn(at_meta, f"no endpoint of upstream {quoted(upstream)} has {words}")


def _check_shares(route: RouteSettings, problems: Problems) -> None:
    seen: dict[object, int] = {}
    for index, each in enumerate(route.destinations):
        first = seen.setdefault((each.part, each.when.model_dump_json() if each.when is not None else ""), index)
        if first != index:
            problems.add(("to", index), f"{each} is in this list already", "give one of them the whole weight")
    drawn = [each for each in route.destinations if each.when is None]
    if not drawn:
        hint = "add one without `when`"
        problems.add(("to",), "nothing takes what fits no `when`", hint)
    elif not any(each.weight for each in drawn):
        problems.add(("to",), "all weights are 0: nothing takes what fits no `when`", "give one of them a weight")
    if "split" in route.model_fields_set and len(drawn) < 2:
        problems.add(("split",), "split is for a `to` of several upstreams by weight; this one has nothing to draw")


def listed(names: Iterable[str]) -> str:
    """The first few names, and how many more there are."""
    known = list(names)
    more = f" and {len(known) - _SHOWN} more" if len(known) > _SHOWN else ""
    return ", ".join(known[:_SHOWN]) + more or "none"
