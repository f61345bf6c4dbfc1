"""Checks that need to see all of a configuration: names that are used and not defined, places that are taken twice."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

from edgegw.config.problems import Problem, Problems, quoted
from edgegw.config.source import Document
from edgegw.export.settings import parse_listen
from edgegw.gateway.destinations import Defined, check_destinations
from edgegw.gateway.settings import GatewaySettings
from edgegw.net.settings import ListenSettings

_ROUTE = frozenset({"auth", "roles", "limit", "cors", "cache", "compress", "validate", "transform", "handler"})
LATER: Mapping[str, frozenset[str]] = {
    "": frozenset({"workers", "auth", "limits", "middleware", "handlers", "services", "admin"}),
    "routes": _ROUTE,
    "defaults": _ROUTE,
}
"""Keys of the language whose parts are not built yet. They are unknown like any other; a guess at another key would mislead."""

_OF_UPSTREAMS = ("grpc", "websocket", "retry", "split", "mirror", "fallback")
"""Route keys that mean nothing without `to`."""


def check_references(settings: GatewaySettings, problems: Problems, document: Document) -> None:
    """Names that are used must be defined, names that must differ must differ, and no place is listened on twice."""
    names: dict[str, int] = {}
    defined = Defined(document)
    for index, route in enumerate(settings.routes):
        check_destinations(index, settings, problems.under("routes", index), document, defined)
        for key in _OF_UPSTREAMS:
            if route.to is None and key in route.model_fields_set:
                words = f"{key} is for routes with an upstream; this one has no `to`"
                problems.add(("routes", index, key), words, absent=("routes", index, "to"))
        if route.name is not None and names.setdefault(route.name, index) != index:
            first = document.position(("routes", names[route.name], "name"))
            problems.add(("routes", index, "name"), f'the route at {first} is called "{route.name}" already')
    _check_places(settings, problems, document)
    for index, listen in enumerate(settings.listen):
        if listen.redirect == "https" and not any(other.tls for other in settings.listen):
            words = "no listener here speaks TLS; the redirect leads out of this gateway"
            problems.add(("listen", index, "redirect"), words, severity="warning", absent=("listen",))


class _Tcp(NamedTuple):
    """host: an address, or empty for every IPv6 and IPv4 address."""

    host: str
    port: int

    def meets(self, other: _Tcp) -> bool:
        """Whether one socket can't listen on the one while another listens on the other."""
        if self.port != other.port:
            return False
        if self.host == other.host or not self.host or not other.host:
            return True
        wild = {"0.0.0.0", "::"}
        return bool({self.host, other.host} & wild) and (":" in self.host) == (":" in other.host)


def _check_places(settings: GatewaySettings, problems: Problems, document: Document) -> None:
    names: dict[str, int] = {}
    places: list[tuple[_Tcp, str]] = []
    for index, listen in enumerate(settings.listen):
        place = _place(listen, problems.under("listen", index)) if listen.port is not None else None
        if document.lacks(("listen", index)):
            # It may be meant for another place.
            continue
        if names.setdefault(listen.name, index) != index:
            first = document.position(("listen", names[listen.name]))
            problems.add(("listen", index), f"the listener at {first} listens on {listen.name} already")
        elif place is not None:
            taken = next((words for other, words in places if other.meets(place)), None)
            if taken is not None:
                problems.add(("listen", index), f"{listen.name} is taken: {taken}")
            places.append((place, f"the listener at {document.position(('listen', index))} listens on {listen.name}"))
    observe = settings.observe.listen
    if observe is not None:
        host, port = parse_listen(observe)
        place = _Tcp("" if host == "::" else host, port)
        taken = next((words for other, words in places if port and other.meets(place)), None)
        if taken is not None:
            problems.add(("observe", "listen"), f"{observe} is taken: {taken}")


def _place(listen: ListenSettings, problems: Problems) -> _Tcp | None:
    host = listen.interface or ""
    if not host:
        return _Tcp("", listen.port or 0)
    if host == "localhost":
        return _Tcp("127.0.0.1", listen.port or 0)
    try:
        return _Tcp(str(ipaddress.ip_address(host)), listen.port or 0)
    except ValueError:
        hint = "leave it out for every address" if host == "*" else "an IP address of this machine, such as 127.0.0.1"
        problems.add(("interface",), f"{quoted(host)} is not an IP address", hint)
        return None


def without_guess(problem: Problem) -> Problem:
    """The same problem; where a key belongs to a later part, no other key is proposed in its place."""
    place = _later_place(problem)
    if place is None:
        return problem
    return replace(problem, hint="this version does not have it", explain=place)


def _later_place(problem: Problem) -> str | None:
    """The key that holds the unknown key of a later part; None for any other problem."""
    if problem.at != "key" or not problem.loc or not problem.message.startswith("unknown key "):
        return None
    around = [part for part in problem.loc[:-1] if isinstance(part, str)]
    if around[:1] == ["upstreams"]:
        del around[1:2]
    place = ".".join(around)
    return place if problem.loc[-1] in LATER.get(place, ()) else None
