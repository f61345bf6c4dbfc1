"""Checks of where routes lead: the upstreams that `to`, `mirror` and `fallback` name, the parts of them, and who gets a share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches

from edgegw.config.problems import Loc, Problems, quoted
from edgegw.gateway.settings import GatewaySettings, RouteSettings

_SHOWN = 10


def check_destinations(route: RouteSettings, settings: GatewaySettings, problems: Problems) -> None:
    """Report what a route refers to and does not exist, and a list of destinations that cannot work.

    Args:
        problems: a view of the route.
    """
    for index, each in enumerate(route.destinations):
        at: Loc = ("to", index) if isinstance(route.to, tuple) else ("to",)
        _check_part(each.upstream, each.meta, settings, problems, (*at, "upstream"), (*at, "meta"))
    for index, mirror in enumerate(route.mirrors):
        at = ("mirror", index) if isinstance(route.mirror, tuple) else ("mirror",)
        _check_part(mirror.to, mirror.meta, settings, problems, (*at, "to"), (*at, "meta"))
    fallback = route.fallback
    if fallback is not None and fallback.to is not None:
        _check_part(fallback.to, fallback.meta, settings, problems, ("fallback", "to"), ("fallback", "meta"))
        part = fallback.to, frozenset(fallback.meta.items())
        if route.to is not None and all(each.part == part for each in route.destinations):
            problems.add(("fallback", "to"), f"{quoted(fallback.to)} is where this route leads already")
    if route.to is not None:
        _check_shares(route, problems)


def _check_part(
    upstream: str, meta: Mapping[str, str], settings: GatewaySettings, problems: Problems, at: Loc, at_meta: Loc
) -> None:
    """Names that are used must be defined; facts may be those of endpoints that come later."""
    found = settings.upstreams.get(upstream)
    if found is None:
        near = get_close_matches(upstream, settings.upstreams, 1)
        problems.add(
            at,
            f"upstream {quoted(upstream)} is not defined; defined: {listed(settings.upstreams)}",
            f"did you mean {quoted(near[0])}?" if near else None,
        )
    elif meta and getattr(found, "discovery", None) is None:
        if not any(meta.items() <= endpoint.meta.items() for endpoint in found.endpoints):
            words = ", ".join(f"{name}: {value}" for name, value in meta.items())
            problems.warn(at_meta, f"no endpoint of upstream {quoted(upstream)} has {words}")


def _check_shares(route: RouteSettings, problems: Problems) -> None:
    seen: dict[object, int] = {}
    for index, each in enumerate(route.destinations):
        first = seen.setdefault((each.part, each.when.model_dump_json() if each.when is not None else ""), index)
        if first != index:
            problems.add(("to", index), f"{each} is to[{first}] already", "give one of them the whole weight")
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
