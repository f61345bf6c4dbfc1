"""When another attempt is made, how many, how long after the last one, and how much of the traffic they may be."""

from __future__ import annotations

from datetime import UTC
from email.utils import parsedate_to_datetime
from random import Random
from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator, Field

from edgegw.config.model import Settings, ShortForm
from edgegw.config.problems import quoted
from edgegw.config.units import Duration, OptionalDuration, Percent, Rate, Size
from edgegw.upstream.budget import WINDOW_S, RetryBudget
from edgegw.upstream.conditions import Condition, Conditions
from edgegw.upstream.environment import Environment
from edgegw.wire.http1_limits import METHODS

IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE", "QUERY"})
"""Methods whose effect is the same done twice (RFC 9110 9.2.2, RFC 10008)."""


def _method(value: object) -> object:
    if isinstance(value, str) and value not in METHODS:
        tail = f"; write {value.upper()}" if value.upper() in METHODS else ""
        raise ValueError(f"{quoted(value)} is not a method{tail}")
    return value


class BackoffSettings(Settings):
    """The wait before another attempt: anything from nothing to `base`, doubled with each attempt."""

    base: Duration = Field(default=0.025, ge=0, description="The longest wait before the first; 0 is none.")
    most: Duration = Field(default=0.25, ge=0, description="The longest wait before any.")


class HedgeSettings(Settings):
    """Second attempts that do not wait for the first to fail; `hedge: 200ms` is short for `hedge: {after: 200ms}`."""

    SHORT: ClassVar[ShortForm | None] = ShortForm(lambda after: {"after": after}, "a duration")

    after: Duration = Field(
        gt=0, description="How long an attempt may be without the head of an answer before another is made beside it."
    )
    most: int = Field(default=1, ge=1, le=5, description="How many may be made beside the first.")


class RetrySettings(Settings):
    """Attempts after the first. Whatever it says, nothing is tried again once a byte of the answer went downstream."""

    attempts: int = Field(
        default=1,
        ge=0,
        le=10,
        description="How many more attempts an exchange may have; 0 is none. Endpoints that refuse the connection do not count: "
        "the next one is tried at once, up to three times.",
    )
    on: tuple[Condition, ...] = Field(
        default=("connect", "reset", "refused_stream"),
        description="On what. `connect`: no connection could be made, `refused`: the same if it was refused, `reset`: the "
        "connection ended before a byte of the answer came, `refused_stream`: HTTP/2, the request was not looked at, `timeout`: "
        "no head in time, `garbage`: what came is no HTTP, `gateway_error`: 502, 503 and 504; statuses (`503`, `5xx`, "
        "`500-504`), and codes of gRPC calls that ended without a message (`unavailable`).",
        examples=[["connect", "reset", "refused_stream", 503], ["unavailable"]],
    )
    methods: tuple[Annotated[str, BeforeValidator(_method)], ...] = Field(
        default=(),
        description="Methods that may be tried again beside GET, HEAD, OPTIONS, PUT, DELETE and QUERY. What was surely not "
        "processed (no connection, a stream that was refused) is tried again whatever the method is.",
        examples=[["POST"]],
    )
    budget: Percent = Field(
        default=0.2, description="Share of the upstream's exchanges within 10 s that added attempts may be."
    )
    budget_floor: Rate = Field(
        default=Rate(1, 1.0), description="So many may be added in any case, however few exchanges there are."
    )
    body: Size = Field(default=65536, description="Bytes of a request's body kept to be sent again; 0 is none.")
    backoff: BackoffSettings = Field(
        default=BackoffSettings(),
        description="The wait before another attempt; none where another endpoint is tried after a refused or lost connection.",
    )
    per_try: OptionalDuration = Field(
        default=None,
        gt=0,
        description="How long one attempt may take to the head of its answer, connecting included; then a 504, on which the "
        "condition `timeout` tries again.",
        examples=["1s"],
    )
    hedge: HedgeSettings | Literal[False] = Field(
        default=False,
        description="Attempts beside one that is slow, within the budget; false is off.",
        examples=["200ms"],
    )


class RetryRules:
    """What `RetrySettings` say, as the targets of one route ask it."""

    __slots__ = (
        "_backoff",
        "_chance",
        "attempts",
        "body",
        "conditions",
        "floor",
        "hedge",
        "methods",
        "per_try_s",
        "share",
    )

    def __init__(self, settings: RetrySettings, chance: Random) -> None:
        self.attempts = settings.attempts
        self.conditions = Conditions(settings.on if settings.attempts else ())
        self.methods = IDEMPOTENT.union(settings.methods)
        self.share = settings.budget
        self.floor = settings.budget_floor.count * WINDOW_S / settings.budget_floor.per_s
        self.body = settings.body
        self.per_try_s = settings.per_try
        self.hedge = settings.hedge or None
        self._backoff = settings.backoff
        self._chance = chance

    def wait_s(self, count: int) -> float:
        """How long to wait before the so manieth further attempt: any time up to a bound that doubles (full jitter)."""
        most_s = min(self._backoff.base * 2.0 ** (count - 1), self._backoff.most)
        return most_s * self._chance.random()

    def __repr__(self) -> str:
        return f"<RetryRules {self.attempts} more on {self.conditions!r}>"


class RetryPolicy:
    """What an upstream allows: one budget for all its exchanges.

    Args:
        settings: the upstream's own; a route may have others.
    """

    def __init__(self, settings: RetrySettings, environment: Environment) -> None:
        self.settings = settings
        self.budget = RetryBudget(environment.wheel)
        self._chance = environment.chance

    def rules(self, settings: RetrySettings | None = None) -> RetryRules:
        """The upstream's rules, or a route's. At assembly."""
        return RetryRules(settings if settings is not None else self.settings, self._chance)

    def __repr__(self) -> str:
        return f"<RetryPolicy {self.settings.attempts} more, {self.budget!r}>"


def retry_after_s(value: bytes | None, wall_s: float) -> float | None:
    """The seconds of a Retry-After (RFC 9110 10.2.3), which may be a date; None without one that can be read."""
    if value is None:
        return None
    text = value.strip()
    if text.isdigit():
        return float(text) if len(text) <= 9 else None
    try:
        date = parsedate_to_datetime(text.decode("ascii"))
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return max((date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - wall_s, 0.0)
