"""What a process makes once, before its first configuration serves."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any, TextIO

from edgegw.config.problems import ConfigError
from edgegw.config.report import render
from edgegw.gateway.assembly import Resources
from edgegw.gateway.builtins import Parts
from edgegw.gateway.loading import Loaded, read
from edgegw.gateway.observation import Observation
from edgegw.gateway.service import GatewayService
from edgegw.gateway.telemetry import Telemetry
from edgegw.net.loop import raise_file_limit
from edgegw.net.resolver import Resolver, ThreadedLookup
from edgegw.observe.metrics import Registry
from edgegw.runtime.wheel import Wheel

RESERVED_DESCRIPTORS = 256


def read_or_exit(path: str, stderr: TextIO) -> Loaded:
    """Read a configuration; a wrong one is told in full and ends the process with status 1."""
    try:
        return read(path)
    except ConfigError as error:
        stderr.write(render(error.problems, error.sources) + "\nedgegw did not start.\n")
        raise SystemExit(1) from None


def build_service(config_path: str, loaded: Loaded, reactor: Any) -> GatewayService:
    """The gateway of this process, not started."""
    limit = raise_file_limit()
    # One descriptor downstream and one upstream for each exchange, a reserve for everything else.
    most = max((limit - RESERVED_DESCRIPTORS) // 2, 16)
    wheel = Wheel(reactor)
    registry = Registry()
    observation = Observation(reactor, registry, loaded.settings.observe, loaded.base_dir)
    telemetry = Telemetry(registry, observation.record)
    lookup = ThreadedLookup(reactor)
    resources = Resources(reactor, wheel, Resolver(reactor, lookup), telemetry, Parts(), lookup)
    # What is here now lives as long as the process: the collector need not look at it again, and may look less often.
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 100)
    return GatewayService(Path(config_path), loaded, resources, observation, most)
