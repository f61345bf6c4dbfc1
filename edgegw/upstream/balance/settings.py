"""How an upstream chooses among its endpoints."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from edgegw.config.model import Settings, ShortForm

Algorithm = Literal["round_robin", "weighted_round_robin"]


class BalanceSettings(Settings):
    """Tiers, then one algorithm, then stickiness; `balance: round_robin` is short for `balance: {by: round_robin}`."""

    SHORT: ClassVar[ShortForm | None] = ShortForm(lambda by: {"by": by}, "the name of an algorithm")

    by: Algorithm = Field(default="weighted_round_robin", description="Which endpoint gets the next exchange.")
