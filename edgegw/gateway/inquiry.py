"""Questions to a snapshot, answered as plain data: what `edgegw routes` and `match` print."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote, urlsplit

from edgegw.exchange.body import EMPTY
from edgegw.exchange.model import Exchange, Request
from edgegw.gateway.settings import RouteSettings
from edgegw.gateway.snapshot import Snapshot
from edgegw.net.settings import ListenSettings
from edgegw.routing.router import Route
from edgegw.routing.tree import Found, Refused
from edgegw.wire.events import RequestHead, ResponseHead, Violation
from edgegw.wire.http1 import RequestCodec
from edgegw.wire.http1_limits import Http1Limits

_SAFE = "".join(map(chr, range(0x21, 0x7F)))  # What a URL shows as it is; a person's spaces and umlauts are escaped.


class BadQuestion(ValueError):
    """The request that was asked about cannot be understood. The text says what to write instead."""


@dataclass(frozen=True, slots=True)
class Question:
    """A request that somebody asks about. scheme and authority are empty where none was given."""

    method: str
    scheme: str
    authority: str
    target: str
    headers: tuple[tuple[str, str], ...] = ()
    client: str = ""

    @classmethod
    def parse(cls, text: str, headers: Sequence[tuple[str, str]] = (), client: str = "") -> Question:
        """Read `GET https://host/path`, `https://host/path`, `host/path` or `/path`.

        Raises:
            BadQuestion: it is none of these.
        """
        first, _, rest = text.strip().partition(" ")
        method, url = (first, rest.strip()) if rest and "/" not in first else ("GET", text.strip())
        scheme, mark, _ = url.partition("://")
        if mark and scheme.lower() not in ("http", "https"):
            raise BadQuestion(f'the scheme is http or https, not "{scheme}"')
        parts = _split(url if mark or url.startswith("/") else f"//{url}")
        path = quote(parts.path or "/", _SAFE)
        target = f"{path}?{quote(parts.query, _SAFE)}" if parts.query or url.partition("#")[0].endswith("?") else path
        for name, value in headers:
            if any(ord(char) < 0x20 for char in name + value) or not name:
                raise BadQuestion(f"a header is `Name: value` on one line, not {name + ': ' + value!r}")
        return cls(method, parts.scheme.lower(), parts.netloc.rpartition("@")[2], target, tuple(headers), client)

    @property
    def url(self) -> str:
        """As it was asked."""
        scheme = f"{self.scheme}://" if self.scheme else ""
        return f"{scheme}{self.authority}{self.target}"


def _split(url: str) -> Any:
    try:
        return urlsplit(url)
    except ValueError as error:
        raise BadQuestion(f'"{url}" is not a URL: {error}') from None


def match(snapshot: Snapshot, question: Question) -> dict[str, Any]:
    """Which route takes a request and why, which do not and why not.

    `status` is what the gateway itself would answer (404, 405, 307, 400 ...), None when a route takes it.
    """
    listen = _listener(snapshot.settings.listen, question)
    secure = listen.tls is not None
    scheme = question.scheme or ("https" if secure else "http")
    answer: dict[str, Any] = {
        "request": f"{question.method} {question.url}", "listener": listen.name, "status": None, "reason": None,
        "route": None, "params": {}, "candidates": [],
    }  # fmt: skip
    head = _head(question, listen)
    if isinstance(head, Violation):
        return answer | {"status": head.status, "reason": f"{head.reason}: {head.detail}"}
    if listen.redirect == "https":
        return answer | {"status": 308, "reason": f"the listener {listen.name} redirects everything to https"}
    if head.redirect is not None:
        return answer | {"status": 307, "reason": f"the path is redirected to {head.redirect}"}
    if head.path == "*":
        return answer | {"status": 204, "reason": "`OPTIONS *` asks about the gateway itself"}
    exchange = _exchange(head, scheme, question.client, snapshot)
    found = snapshot.tree.find(exchange)
    if isinstance(found, Found):
        answer |= {"route": route_data(snapshot, found.value), "params": found.params}
    elif isinstance(found, Refused):
        answer |= {
            "status": 405,
            "reason": f"no route has the method {head.method} here; Allow: {', '.join(found.allow)}",
        }
    else:
        answer |= {"status": 404, "reason": "no route fits"}
    lost = [each for each in snapshot.tree.explain(exchange) if each.lost_because is not None]
    answer["candidates"] = [route_data(snapshot, each.value) | {"lost_because": each.lost_because} for each in lost]
    return answer


def _listener(listeners: Sequence[ListenSettings], question: Question) -> ListenSettings:
    """The listener that the request would come to: the one of its port, else of its scheme, one that redirects last."""
    try:
        port = _split(f"//{question.authority}").port
    except ValueError:
        port = None  # The codec has better words for it.
    wanted = port or {"http": 80, "https": 443}.get(question.scheme)

    def unfit(listen: ListenSettings) -> tuple[bool, bool, bool]:
        other_scheme = bool(question.scheme) and (listen.tls is not None) != (question.scheme == "https")
        return other_scheme, listen.port != wanted, listen.redirect is not None

    return min(listeners, key=unfit)


def _head(question: Question, listen: ListenSettings) -> RequestHead | Violation:
    """The request as the listener's codec would read it."""
    caps = listen.caps
    limits = Http1Limits(head=caps.head, target=caps.target, fields=caps.fields, escaped_slashes=listen.escaped_slashes)
    target = "*" if question.target == "/*" and question.method == "OPTIONS" else question.target
    lines = [f"{question.method} {target} HTTP/1.1"]
    if not any(name.lower() == "host" for name, _ in question.headers):
        lines.append(f"Host: {question.authority or 'localhost'}")
    lines += [f"{name}: {value}" for name, value in question.headers]
    received = RequestCodec(limits).receive("".join(f"{line}\r\n" for line in [*lines, ""]).encode())
    for event in received:
        if isinstance(event, RequestHead | Violation):
            return event
    raise BadQuestion("this is not a complete request")


class _Asked:
    """The connection of a request that nobody sent."""

    peer_port = local_port = 0
    local_host = ""
    listener = None

    def __init__(self, client: str, server_name: str | None) -> None:
        self.peer = client
        self.tls = SimpleNamespace(server_name=server_name, identity=None) if server_name is not None else None

    def informational(self, exchange: Exchange, head: ResponseHead) -> None:
        """Nobody is there to be told."""

    def fail(self, exchange: Exchange, error: Exception) -> None:
        """Nobody is there to be told."""


def _exchange(head: RequestHead, scheme: str, client: str, snapshot: Snapshot) -> Exchange:
    connection = _Asked(client, head.host if scheme == "https" else None)
    return Exchange(head, Request(head, scheme, EMPTY), connection, snapshot, 0.0)


def routes(snapshot: Snapshot) -> list[dict[str, Any]]:
    """Every route, in the order of the file."""
    return [route_data(snapshot, route) for route in snapshot.routes]


def route_data(snapshot: Snapshot, route: Route) -> dict[str, Any]:
    """One route: name, match, what it does, its own middleware, and where it stands."""
    settings = snapshot.settings.routes[int(route.loc[1])]
    return {
        "name": route.name,
        "match": route.match,
        "target": target_text(settings),
        "middleware": [use.use for use in settings.middleware],
        "when": settings.when is not None,
        "place": str(snapshot.document.position(route.loc)),
    }


def target_text(route: RouteSettings) -> str:
    """What a route does, in two words."""
    if route.to is not None:
        return _ways(route)
    if route.respond is not None:
        return f"respond {route.respond.status}"
    if route.redirect is not None:
        return f"redirect {route.redirect.to}"
    if route.files is not None:
        return f"files {route.files.root}"
    return f"resource {route.resource}"


def _ways(route: RouteSettings) -> str:
    """Where a route with upstreams leads: `to a 95, b 5, c when it fits; else d; copied to e`."""
    several = len(route.destinations) > 1
    shares = [f"{each} when it fits" if each.when else f"{each} {each.weight}" for each in route.destinations]
    text = f"to {', '.join(shares)}" if several else f"to {route.destinations[0]}"
    if route.fallback is not None:
        text += f"; else {route.fallback.to or 'a fixed answer'}"
    return text + (f"; copied to {', '.join(each.to for each in route.mirrors)}" if route.mirrors else "")
