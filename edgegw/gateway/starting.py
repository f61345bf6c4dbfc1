"""What a process makes once, before its first configuration serves. Whatever stands in the way is told in full, with status 1."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any, TextIO

from edgegw.config.problems import ConfigError, Problem, in_order
from edgegw.config.report import render
from edgegw.export.writer import STANDARD
from edgegw.gateway.assembly import Resources
from edgegw.gateway.builtins import Parts
from edgegw.gateway.loading import Loaded, read_to_serve
from edgegw.gateway.logplace import LogPlace
from edgegw.gateway.observation import Observation
from edgegw.gateway.secret import kept_secret
from edgegw.gateway.service import GatewayService
from edgegw.gateway.telemetry import Telemetry
from edgegw.net.loop import raise_file_limit
from edgegw.net.resolver import Resolver, ThreadedLookup
from edgegw.observe.metrics import Registry
from edgegw.runtime.overload import Overload
from edgegw.runtime.wheel import Wheel

RESERVED_DESCRIPTORS = 256
_PLENTY = 1_048_576
"""Descriptors, where the system sets no limit."""

DID_NOT_START = "edgegw did not start."


def read_or_exit(path: str, stderr: TextIO) -> Loaded:
    """Read a configuration; a wrong one is told in full and ends the process with status 1."""
    try:
        return read_to_serve(path)
    except ConfigError as error:
        raise _refused(error, stderr) from None


def prepare_or_exit(service: GatewayService, loaded: Loaded, stderr: TextIO, *, daemon: bool) -> None:
    """Build and open everything; what can't be is told in full and ends the process with status 1.

    A daemon's warnings are told too, for they will be in its log alone; what is to go to its standard streams is lost.
    """
    try:
        found = service.prepare()
    except ConfigError as error:
        raise _refused(error, stderr) from None
    document, path = loaded.document, loaded.settings.observe.access_log.path
    if daemon and path in STANDARD:
        text = f"a daemon has no {path}: access records are lost; name a file"
        lost = Problem(("observe", "access_log"), text, severity="warning").located(document)
        found = in_order([*found, lost], document.files)
    if daemon and found:
        stderr.write(render(found, document.files, closing=None) + "\n")


def open_log_or_exit(path: str, stderr: TextIO) -> LogPlace:
    """Where the application log goes; if it can't be opened, that is told and ends the process with status 1."""
    try:
        return LogPlace(path)
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        stderr.write(f"edgegw: the log file {path} cannot be opened: {why}\n{DID_NOT_START}\n")
        raise SystemExit(1) from None


def _refused(error: ConfigError, stderr: TextIO) -> SystemExit:
    stderr.write(f"{render(error.problems, error.sources)}\n{DID_NOT_START}\n")
    return SystemExit(1)


def build_service(config_path: str, loaded: Loaded, reactor: Any, log: LogPlace | None = None) -> GatewayService:
    """The gateway of this process, not prepared and not started.

    Args:
        log: where the whole process logs to; None leaves that to twistd.
    """
    limit = raise_file_limit()
    limit = _PLENTY if limit < 0 else limit
    # One descriptor downstream and one upstream for each exchange, a reserve for everything else.
    most = max((limit - RESERVED_DESCRIPTORS) // 2, 16)
    service = compose(Path(config_path), loaded, reactor, most, log)
    # What is here now lives as long as the process: the collector need not look at it again, and may look less often. Not too
    # seldom: connections that lived for a while and are gone wait for its third generation, a few KiB each.
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 10, 10)
    return service


def compose(
    config_path: Path, loaded: Loaded, reactor: Any, most_connections: int, log: LogPlace | None = None
) -> GatewayService:
    """The same, leaving the process as it is."""
    wheel = Wheel(reactor)
    registry = Registry()
    observation = Observation(reactor, registry, loaded.settings.observe, loaded.base_dir, log)
    telemetry = Telemetry(registry, observation.record)
    lookup = ThreadedLookup(reactor)
    secret = kept_secret(loaded.base_dir / loaded.settings.state)
    overload = Overload(reactor.seconds, registry, loaded.settings.overload)
    resources = Resources(
        reactor, wheel, Resolver(reactor, lookup), telemetry, Parts(), lookup, overload=overload, secret=secret
    )
    return GatewayService(config_path, loaded, resources, observation, most_connections, logs_all=log is not None)
