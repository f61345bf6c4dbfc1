"""How an upstream chooses among its endpoints."""

from __future__ import annotations

import re
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, PlainSerializer, WithJsonSchema, model_validator

from edgegw.config.model import Settings, ShortForm
from edgegw.config.problems import kind_of, quoted
from edgegw.config.units import TYPE_KEY, Duration, Percent, format_percent
from edgegw.upstream.balance.keys import KeyText
from edgegw.upstream.sticky import StickySettings
from edgegw.upstream.tiers import TierSettings

Algorithm = Literal[
    "round_robin",
    "weighted_round_robin",
    "least_connections",
    "random",
    "two_choices",
    "peak_ewma",
    "consistent_hash",
]

_FACTOR = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*%")
_OF_HASHING = ("key", "table", "factor")


def read_factor(value: object) -> object:
    """`125%` as 1.25. Raises ValueError."""
    if isinstance(value, str) and (found := _FACTOR.fullmatch(value.strip())) and len(value) <= 40:
        factor = round(float(found[1]) / 100, 9)
        if factor and not 1.0 < factor <= 100.0:
            raise ValueError(f"must be above 100% and at most 10000%, or 0% for no bound, not {quoted(value)}")
        return factor
    raise ValueError(f"must be a share of the mean such as 125%, not {kind_of(value)}")


Factor = Annotated[
    float,
    BeforeValidator(read_factor),
    PlainSerializer(format_percent, when_used="json"),
    WithJsonSchema(
        {"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?\s*%$", TYPE_KEY: "percent", "examples": ["125%"]}
    ),
]
"""1.25, from `125%`; 0 is off."""


class BalanceSettings(Settings):
    """Tiers, then one algorithm, then stickiness; `balance: round_robin` is short for `balance: {by: round_robin}`."""

    SHORT: ClassVar[ShortForm | None] = ShortForm(lambda by: {"by": by}, "the name of an algorithm")

    by: Algorithm = Field(
        default="weighted_round_robin",
        description="Which endpoint gets the next exchange. `weighted_round_robin`, in turn, by weight; `round_robin`, the same by "
        "its short name; `least_connections`, the one with the fewest exchanges for its weight; `random`, by weight; "
        "`two_choices`, the less busy of two drawn; `peak_ewma`, of two drawn the one that should answer sooner, by its latency "
        "and what it has to do; `consistent_hash`, the same one for the same `key`.",
    )
    key: KeyText = Field(
        default="client_ip",
        description="With consistent_hash: what decides. client_ip, path, header:NAME, cookie:NAME or query:NAME; a request "
        "without it goes anywhere.",
        examples=["header:X-User"],
    )
    table: Literal["maglev", "ring"] = Field(
        default="maglev",
        description="With consistent_hash: `maglev` spreads keys evenly, and a few more than needed move when endpoints come or "
        "go; `ring` spreads them less evenly, and none move but those of whoever came or went.",
    )
    factor: Factor | None = Field(
        default=None,
        description="With consistent_hash: an endpoint that has more than this of its share of the exchanges in flight is passed "
        "over; above 100%, and 0% is no bound. If not said, 125% with `table: ring` and none with maglev.",
        examples=["125%"],
    )
    custom: str | None = Field(
        default=None,
        min_length=1,
        description="Choose with Python code instead of `by`: an entry point of `edgegw.balancers`, or `package.module:factory`.",
        examples=["spare", "shop.balancers:Spare"],
    )
    with_: dict[str, Any] = Field(
        default_factory=dict, alias="with", description="What the code of `custom` is built with."
    )
    tiers: TierSettings = Field(
        default=TierSettings(), description="The order in which tiers and zones are used.", examples=[{"zone": "eu-1a"}]
    )
    sticky: StickySettings | None = Field(
        default=None, description="Brings a client back to the endpoint that answered it.", examples=["edgegw"]
    )
    slow_start: Duration = Field(
        default=0.0,
        description="Time in which an endpoint that comes back or joins later grows from a tenth of its share to all of it; 0 is "
        "off.",
        examples=["30s"],
    )
    panic: Percent = Field(
        default=0.5,
        description="When fewer of the endpoints than this are free, all are used whatever probes and answers say; 0% is never.",
        examples=["0%"],
    )

    @model_validator(mode="after")
    def _one_algorithm(self) -> BalanceSettings:
        wrong = self.contradiction()
        if wrong is not None:
            raise ValueError(wrong)
        return self

    def contradiction(self) -> str | None:
        """What does not go with `custom`, in words; what was taken over from the defaults of upstreams counts, too."""
        if self.custom is None:
            return 'has "with", which is for custom balancers only: say "custom", too' if self.with_ else None
        said = [f'"{name}"' for name in ("by", *_OF_HASHING) if name in self.model_fields_set]
        if not said:
            return None
        return (
            f'has "custom" and {" and ".join(said)}: leave one or the other out, for the code of "custom" chooses alone'
        )

    @model_validator(mode="after")
    def _only_for_hashing(self) -> BalanceSettings:
        said = [name for name in _OF_HASHING if name in self.model_fields_set]
        if said and self.by != "consistent_hash":
            verb = "goes" if len(said) == 1 else "go"
            raise ValueError(f'{" and ".join(said)} {verb} with "by: consistent_hash", not with {self.by}')
        return self

    @property
    def bound(self) -> float:
        """Times its share of the exchanges in flight that an endpoint may have, with consistent_hash; 0 is no bound."""
        if self.factor is not None:
            return self.factor
        return 1.25 if self.table == "ring" else 0.0
