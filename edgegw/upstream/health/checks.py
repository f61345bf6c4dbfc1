"""The probes of one upstream."""

from __future__ import annotations

from collections.abc import Sequence

from twisted.application.service import MultiService

from edgegw.upstream.endpoint import Endpoint
from edgegw.upstream.environment import Environment
from edgegw.upstream.health.settings import HealthSettings


class HealthChecks(MultiService):
    """One supervised timer for each endpoint."""

    def __init__(self, settings: HealthSettings, environment: Environment) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.settings = settings

    def roster(self, members: Sequence[Endpoint]) -> None:
        """These are the endpoints from now on: probe those that are new, leave those that are gone."""
