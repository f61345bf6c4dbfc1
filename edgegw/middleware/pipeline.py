"""Folds middleware around a target. The order is `gateway.assembly`'s; how a route changes it is here."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import Any, NamedTuple

from pydantic import Field

from edgegw.config.model import Settings
from edgegw.exchange.interfaces import Middleware, Responder
from edgegw.exchange.model import Exchange, Response
from edgegw.exchange.predicates import Predicate, WhenSettings


class MiddlewareUse(Settings):
    """One entry of a route's `middleware:` list."""

    use: str = Field(
        description="Name of the middleware; `edgegw explain middleware` lists them.", examples=["headers"]
    )
    with_: dict[str, Any] = Field(default_factory=dict, alias="with", description="Its settings.")
    when: WhenSettings | None = Field(default=None, description="Only for exchanges that fit; others pass it by.")


class Step(NamedTuple):
    """One middleware in a pipeline. when: None is always."""

    name: str
    middleware: Middleware
    when: Predicate | None = None


def fold(canonical: Sequence[Step], own: Sequence[Step], target: Responder) -> Responder:
    """Put the steps around a target, the first one outermost.

    Args:
        canonical: the fixed order. own: the route's list; a step that stands in both moves to its place in the route's list.
    """
    moved = {step.name for step in own}
    responder = target
    for step in reversed([*(step for step in canonical if step.name not in moved), *own]):
        inner = responder
        responder = step.middleware(inner)
        if step.when is not None:
            responder = Conditional(step.when, responder, inner)
    return responder


class Conditional:
    """A middleware that some exchanges pass by."""

    __slots__ = ("_otherwise", "_then", "_when")

    def __init__(self, when: Predicate, then: Responder, otherwise: Responder) -> None:
        self._when = when
        self._then = then
        self._otherwise = otherwise

    def __call__(self, exchange: Exchange) -> Awaitable[Response]:
        """Go in or past."""
        return (self._then if self._when(exchange) else self._otherwise)(exchange)

    def __repr__(self) -> str:
        return f"<Conditional {self._then!r}>"
