"""The end of the edge stage: which route, or which refusal. Everything it says is recorded and rendered like any answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from edgegw.config.problems import Loc
from edgegw.errors import GatewayError, Phase, Side
from edgegw.exchange.interfaces import Responder
from edgegw.exchange.model import Exchange, Response
from edgegw.routing.tree import Found, Refused
from edgegw.wire.headers import Headers


@dataclass(frozen=True, slots=True)
class Route:
    """One route as it runs.

    name: for metrics and logs. responder: its middleware folded around its target. match: what it answers, in words.
    attributes: what middleware of the edge stage wants to know about it, by name. preflight: answers the CORS preflights of
    requests that this route would get, those it wants to; None if it answers none.
    """

    name: str
    responder: Responder = field(repr=False)
    match: str = ""
    loc: Loc = ()
    attributes: Mapping[str, Any] = field(default_factory=dict, repr=False)
    preflight: Callable[[Exchange], Response | None] | None = field(default=None, repr=False)


class Router:
    """A responder: asks the exchange's own snapshot, so that a reload never changes a request in flight.

    Raises:
        GatewayError: what the codec refused (`exchange.refused`); 404 `no_route`; 405 `method_not_allowed` with Allow.
    """

    __slots__ = ()

    def __call__(self, exchange: Exchange) -> Awaitable[Response]:
        if exchange.refused is not None:
            raise exchange.refused
        head = exchange.head
        if head.path == "*":
            return _at_once(_about_the_gateway(exchange))
        if head.redirect is not None:
            return _at_once(_to_normal_path(head.redirect, head.query))
        if head.method == "OPTIONS" and (asked := head.headers.get(b"access-control-request-method")) is not None:
            permit = _preflight(exchange, asked)
            if permit is not None:
                return _at_once(permit)
        found = exchange.snapshot.tree.find(exchange)
        if found.__class__ is not Found:
            raise _refusal(found)
        exchange.route = route = found.value
        exchange.request.params = found.params
        answer: Awaitable[Response] = route.responder(exchange)
        return answer


async def _at_once(response: Response) -> Response:
    """What a responder returns that need not wait."""
    return response


def _refusal(found: Refused | None) -> GatewayError:
    if found is None:
        return GatewayError(404, "no_route", side=Side.DOWNSTREAM, phase=Phase.ROUTE)
    allow = ", ".join(found.allow).encode("ascii")
    return GatewayError(405, "method_not_allowed", side=Side.DOWNSTREAM, phase=Phase.ROUTE, headers=[(b"Allow", allow)])


def _preflight(exchange: Exchange, asked: bytes) -> Response | None:
    """The answer to a CORS preflight by the route that the request behind it would get to (Fetch 3.2.2), if that route has one."""
    request = exchange.request
    request.method = asked.decode("latin-1")
    try:
        found = exchange.snapshot.tree.find(exchange)
    finally:
        request.method = "OPTIONS"
    if found.__class__ is not Found or found.value.preflight is None:
        return None
    answer: Response | None = found.value.preflight(exchange)
    if answer is not None:
        exchange.route = found.value
    return answer


def _about_the_gateway(exchange: Exchange) -> Response:
    """`OPTIONS *` asks about the gateway itself (RFC 9110 9.3.7); no other method has this target."""
    if exchange.request.method != "OPTIONS":
        raise GatewayError(400, "bad_target", side=Side.DOWNSTREAM, phase=Phase.ROUTE)
    return Response(204)


def _to_normal_path(path: str, query: str | None) -> Response:
    """307, for method and body stay as they are. The path is the codec's normal form, so it holds no control characters."""
    location = path if query is None else f"{path}?{query}"
    return Response(307, Headers.of([(b"Location", location.encode("ascii")), (b"Content-Length", b"0")]))
