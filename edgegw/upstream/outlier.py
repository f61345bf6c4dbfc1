"""Ejects endpoints that do badly with real exchanges (passive health)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pydantic import Field

from edgegw.config.model import Settings
from edgegw.errors import GatewayError
from edgegw.upstream.endpoint import Endpoint
from edgegw.upstream.environment import Environment


class OutlierSettings(Settings):
    """When an endpoint is ejected, and for how long."""

    consecutive: int = Field(default=5, ge=0, description="Failures one after the other; 0 is off.")


class Outliers:
    """Observes the endpoints of one upstream.

    Args:
        members: the endpoints of the upstream now, for the share that may be ejected.
    """

    def __init__(
        self, settings: OutlierSettings, environment: Environment, members: Callable[[], Sequence[Endpoint]]
    ) -> None:
        self.settings = settings

    def answered(self, endpoint: Endpoint, status: int, took_s: float) -> None:
        """`Observer`."""

    def failed(self, endpoint: Endpoint, error: GatewayError) -> None:
        """`Observer`."""

    def tick(self) -> None:
        """Once a second: whose time is over comes back."""

    def forget(self, endpoint: Endpoint) -> None:
        """It left the upstream."""
