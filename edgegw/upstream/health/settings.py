"""How endpoints are probed."""

from __future__ import annotations

from pydantic import Field

from edgegw.config.model import Settings
from edgegw.config.units import Duration


class HealthSettings(Settings):
    """Active probes of every endpoint."""

    every: Duration = Field(default=5.0, gt=0, description="From probe to probe; a tenth is added by chance.")
