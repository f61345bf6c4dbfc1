"""When another attempt is made, how many, and how much of the traffic they may be."""

from __future__ import annotations

from pydantic import Field

from edgegw.config.model import Settings
from edgegw.upstream.environment import Environment


class RetrySettings(Settings):
    """Attempts after the first."""

    attempts: int = Field(default=1, ge=0, le=10, description="How many more attempts an exchange may have.")


class RetryPolicy:
    """What an upstream allows: one budget for all its exchanges."""

    def __init__(self, settings: RetrySettings, environment: Environment) -> None:
        self.settings = settings
