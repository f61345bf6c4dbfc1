"""How an upstream chooses among its endpoints."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from edgegw.config.model import Settings, ShortForm
from edgegw.config.units import Duration, Percent
from edgegw.upstream.sticky import StickySettings
from edgegw.upstream.tiers import TierSettings

Algorithm = Literal["round_robin", "weighted_round_robin"]


class BalanceSettings(Settings):
    """Tiers, then one algorithm, then stickiness; `balance: round_robin` is short for `balance: {by: round_robin}`."""

    SHORT: ClassVar[ShortForm | None] = ShortForm(lambda by: {"by": by}, "the name of an algorithm")

    by: Algorithm = Field(default="weighted_round_robin", description="Which endpoint gets the next exchange.")
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
