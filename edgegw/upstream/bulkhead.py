"""How many exchanges an upstream may have at once; the rest waits, a bounded number for a bounded time."""

from __future__ import annotations

from pydantic import Field
from twisted.internet.defer import Deferred, succeed

from edgegw.config.model import Settings
from edgegw.upstream.environment import Environment


class BulkheadSettings(Settings):
    """Caps of one upstream, all its endpoints together."""

    requests: int | None = Field(default=None, ge=1, description="Exchanges at once; none is no limit.")


class Bulkhead:
    """Of one upstream."""

    def __init__(self, settings: BulkheadSettings, environment: Environment) -> None:
        self.settings = settings

    def enter(self) -> Deferred[None]:
        """Fires when there is room. Cancelling it leaves the queue.

        Raises (through the Deferred):
            GatewayError: 503 `bulkhead_full`, `bulkhead_timeout`, with Retry-After.
        """
        return succeed(None)

    def leave(self) -> None:
        """The exchange is over: once for each `enter` that fired."""
