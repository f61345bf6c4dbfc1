"""Refuses exchanges for an upstream that fails, and tries it again with a few: admitting, refusing, probing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from pydantic import Field

from edgegw.config.model import Settings
from edgegw.upstream.environment import Environment

State = Literal["admitting", "refusing", "probing"]


class BreakerSettings(Settings):
    """When an upstream is taken for broken."""

    failures: int = Field(default=5, ge=1, description="Failures one after the other.")


class Breaker:
    """Of one upstream. told: (state, reason) on each change."""

    def __init__(self, settings: BreakerSettings, environment: Environment, told: Callable[[State, str], None]) -> None:
        self.settings = settings
        self.told = told
        self.state: State = "admitting"

    def admit(self) -> int:
        """An attempt is to be made. Returns: a token for `settle`.

        Raises:
            GatewayError: 503 `breaker_refuses` with Retry-After.
        """
        return 0

    def settle(self, token: int, ok: bool | None) -> None:
        """What became of the attempt: None if nothing can be learnt from it. Called once for each `admit`."""

    def broke(self) -> None:
        """A body broke off behind an answer that was settled as good."""

    def nudge(self) -> None:
        """Something got better (a probe passes again): whoever refuses may try at once."""
