"""Several destinations behind one route: canaries first, then a draw by weight that may stick to the client.

A destination with `when` takes every exchange that fits it, in the order of the list. The others share what is left by their
weights: by chance, by chance once and a cookie from then on, or by a key of the client's, which needs no memory at all.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Awaitable, Callable, Sequence
from itertools import accumulate
from random import Random
from typing import Annotated, Any, ClassVar, NamedTuple

from pydantic import AfterValidator, Field, model_validator
from xxhash import xxh3_64_intdigest

from edgegw.config.model import Settings, ShortForm
from edgegw.config.problems import quoted
from edgegw.exchange.interfaces import Responder
from edgegw.exchange.model import Exchange, Response
from edgegw.exchange.predicates import Predicate, WhenSettings
from edgegw.upstream.sticky import Sticky, StickySettings

KeyReader = Callable[[Exchange], bytes | None]

_is_token = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+").fullmatch


class DestinationSettings(Settings):
    """An upstream, or a part of it, that a route may go to."""

    SHORT: ClassVar[ShortForm | None] = ShortForm(lambda name: {"upstream": name}, "the name of an upstream")

    upstream: str = Field(description="The upstream to proxy to.", examples=["users"])
    weight: int = Field(
        default=1,
        ge=0,
        le=1000,
        description="Share of what no `when` takes, relative to the others; 0 is nothing, for clients that were there before too.",
    )
    when: WhenSettings | None = Field(
        default=None, description="Takes every exchange that fits, before any draw; the first that fits has it."
    )
    meta: dict[str, str] = Field(
        default_factory=dict,
        max_length=8,
        description="Only endpoints that have these facts in their `meta`.",
        examples=[{"version": "2"}],
    )

    @model_validator(mode="after")
    def _drawn_or_chosen(self) -> Any:
        if self.when is not None and "weight" in self.model_fields_set:
            raise ValueError("has a `when`, which takes all that fits: a weight would mean nothing")
        if self.when is not None and not self.when.model_fields_set:
            raise ValueError("has a `when` that asks nothing")
        return self

    @property
    def part(self) -> tuple[str, frozenset[tuple[str, str]]]:
        """Which endpoints these are."""
        return self.upstream, frozenset(self.meta.items())

    def __str__(self) -> str:
        facts = ", ".join(f"{name}={value}" for name, value in sorted(self.meta.items()))
        return f"{self.upstream} ({facts})" if facts else self.upstream


class ComeBackSettings(StickySettings):
    """A cookie that brings a client back to where it was drawn to; `sticky: NAME` is short for `sticky: {cookie: NAME}`."""

    cookie: str = Field(default="edgegw_split", description="Name of the cookie.", examples=["edgegw_split"])


def _check_key(text: str) -> str:
    kind, colon, name = text.partition(":")
    if text != "client_ip" and not (kind in ("header", "cookie") and colon and _is_token(name)):
        raise ValueError(f"{quoted(text)} is not a key; write client_ip, header:NAME or cookie:NAME")
    return text


class SplitSettings(Settings):
    """How a client that was drawn to one destination stays with it."""

    sticky: ComeBackSettings | None = Field(default=None, description="By a cookie of the gateway's.")
    key: Annotated[str, AfterValidator(_check_key)] | None = Field(
        default=None,
        description="By a hash of `client_ip`, `header:NAME` or `cookie:NAME`: the same value always goes the same way, without a "
        "cookie. Exchanges that have none are drawn by chance.",
        examples=["header:X-User"],
    )

    @model_validator(mode="after")
    def _one_way(self) -> Any:
        if self.sticky is not None and self.key is not None:
            raise ValueError("has either a cookie (`sticky`) or a `key`, not both")
        return self


class Destination(NamedTuple):
    """One of several. name: what is the same as long as it is the same destination."""

    name: str
    responder: Responder
    weight: int = 1
    when: Predicate | None = None


class Draw:
    """Shares by weight: exact over all points of the interval.

    Args:
        weights: 0 is never drawn; not all are.
    """

    __slots__ = ("_bounds", "_chance", "_total")

    def __init__(self, weights: Sequence[int], chance: Random) -> None:
        self._bounds = list(accumulate(weights))
        self._total = self._bounds[-1]
        self._chance = chance
        if not self._total:
            raise ValueError("nothing to draw from")

    def by_chance(self) -> int:
        """Index of the one drawn."""
        return bisect_right(self._bounds, int(self._chance.random() * self._total))

    def by_key(self, key: bytes) -> int:
        """Index of the one that this key always draws, as long as the weights are what they are; if one grows at the cost of its
        neighbour, only what it gains moves.
        """
        return bisect_right(self._bounds, xxh3_64_intdigest(key) * self._total >> 64)


def cookies(exchange: Exchange, name: bytes) -> list[bytes]:
    """The values of all cookies of this name."""
    found = []
    for line in exchange.request.headers.get_all(b"cookie"):
        for pair in line.split(b";"):
            key, equals, value = pair.strip(b" \t").partition(b"=")
            if equals and key == name:
                found.append(value.strip(b'"'))
    return found


def key_reader(text: str) -> KeyReader:
    """What reads `client_ip`, `header:NAME` or `cookie:NAME` of an exchange; empty values are none."""
    kind, _, name = text.partition(":")
    if kind == "client_ip":
        return lambda exchange: exchange.client.encode("ascii", "replace")
    if kind == "header":
        lower = name.lower().encode("ascii")
        return lambda exchange: exchange.request.headers.get(lower)
    wanted = name.encode("ascii")
    return lambda exchange: next(iter(cookies(exchange, wanted)), None)


class Split:
    """Chooses among destinations, for WebSockets as for everything else.

    Args:
        destinations: at least one without `when` has a weight. chance: draws. secret: signs cookies.
    """

    __slots__ = ("_chosen", "_draw", "_drawn", "_key", "_sticky", "_texts")

    def __init__(
        self, destinations: Sequence[Destination], settings: SplitSettings, chance: Random, secret: bytes = b""
    ) -> None:
        self._chosen = [(each.when, each.responder) for each in destinations if each.when is not None]
        # Who has no share gets nobody back either: that is how a canary is taken down.
        self._drawn = [each for each in destinations if each.when is None and each.weight]
        self._draw = Draw([each.weight for each in self._drawn], chance)
        self._key = key_reader(settings.key) if settings.key is not None else None
        self._sticky: Sticky[Destination] | None = None
        if settings.sticky is not None:
            self._sticky = Sticky(settings.sticky, "split", secret)
            self._sticky.roster(self._drawn)
        self._texts = [
            f"{each.weight if each.when is None else each.when!r} {each.responder!r}" for each in destinations
        ]

    def __call__(self, exchange: Exchange) -> Awaitable[Response]:
        """Hand the exchange on."""
        for when, responder in self._chosen:
            if when(exchange):
                return responder(exchange)
        if self._sticky is not None:
            destination = self._sticky.named(exchange)
            return destination.responder(exchange) if destination is not None else self._stick(exchange, self._sticky)
        key = self._key(exchange) if self._key is not None else None
        at = self._draw.by_key(key) if key else self._draw.by_chance()
        return self._drawn[at].responder(exchange)

    async def _stick(self, exchange: Exchange, sticky: Sticky[Destination]) -> Response:
        """Draw, and have the client come back."""
        destination = self._drawn[self._draw.by_chance()]
        response = await destination.responder(exchange)
        sticky.remember(exchange, destination, response)
        return response

    def __repr__(self) -> str:
        return f"<Split {'; '.join(self._texts)}>"
