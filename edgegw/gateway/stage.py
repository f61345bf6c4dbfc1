"""The next configuration, made ready beside the one that serves: all of it is built and bound before anything is taken."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgegw.config.problems import Problems
from edgegw.gateway.assembly import Assembly
from edgegw.gateway.entrances import Entrances
from edgegw.gateway.loading import Loaded, build, check_ports
from edgegw.gateway.observation import Observation
from edgegw.gateway.settings import GatewaySettings
from edgegw.gateway.snapshot import Snapshot
from edgegw.gateway.upkeep import Upkeep
from edgegw.gateway.upstreams import begin
from edgegw.net.listener import Listener


@dataclass(frozen=True, eq=False)
class Ready:
    """A snapshot that can serve, and the listeners that were opened for it."""

    snapshot: Snapshot
    opened: list[Listener]


class Stage:
    """Builds, and either takes or discards.

    Args:
        assembly: builds snapshots. entrances: the listening sockets. observation: logs, metrics and probes. upkeep: what runs in
        time for upstreams.
    """

    def __init__(self, assembly: Assembly, entrances: Entrances, observation: Observation, upkeep: Upkeep) -> None:
        self._assembly = assembly
        self._entrances = entrances
        self._observation = observation
        self._upkeep = upkeep
        self._held_state: str | None = None

    def build(self, loaded: Loaded, problems: Problems, old: Snapshot | None) -> Snapshot:
        """Everything but sockets and log files. What can't be built is in `problems`, with what was found in `loaded` before.

        Raises:
            ConfigError: as `loading.build`.
        """
        self._check_restart(loaded.settings, loaded.base_dir, problems)
        return build(self._assembly, loaded, problems, old)

    def prepare(self, loaded: Loaded, problems: Problems, old: Snapshot | None) -> Ready:
        """The same, sockets and log files included; they are opened last and change nothing yet.

        Raises:
            ConfigError: with everything that can't be built or opened. Then nothing stays open.
        """
        snapshot = self.build(loaded, problems, old)
        if problems:
            self._check_ports(loaded, problems, old)
            problems.raise_if_errors(loaded.document)
        ready = Ready(snapshot, self._entrances.open_new(loaded.settings, snapshot.terms, problems, loaded.base_dir))
        try:
            self._observation.prepare(loaded.settings.observe, loaded.base_dir, problems.under("observe"))
            problems.raise_if_errors(loaded.document)
        except BaseException:
            self.discard(ready)
            raise
        return ready

    def rehearse(self, loaded: Loaded, problems: Problems, old: Snapshot) -> None:
        """As `prepare`, for a dry run: opens nothing.

        Raises:
            ConfigError: with everything that can't be built or opened.
        """
        self.build(loaded, problems, old)
        self._check_ports(loaded, problems, old)
        problems.raise_if_errors(loaded.document)

    def _check_ports(self, loaded: Loaded, problems: Problems, old: Snapshot | None) -> None:
        observe = old.settings.observe.listen if old is not None else None
        held = {*self._entrances.listeners, *([observe] if observe is not None else ())}
        check_ports(loaded, problems, held, at_once=True)

    def discard(self, ready: Ready) -> None:
        """The configuration is not taken: close what was opened for it."""
        self._entrances.discard(ready.opened)
        self._observation.discard()

    def take(self, ready: Ready, old: Snapshot | None) -> None:
        """Swap: from here on nothing can fail. The caller's snapshot has to be the new one already."""
        snapshot = ready.snapshot
        self._entrances.swap(ready.opened, snapshot.terms, snapshot.settings)
        self._observation.swap()
        begin(snapshot.clusters, old.clusters if old is not None else {})
        self._upkeep.take(snapshot.clusters, snapshot.feeds)
        if old is None:
            self._held_state = snapshot.settings.state

    def settle(self, snapshot: Snapshot) -> None:
        """A reload is over, one way or the other: forget the metrics of what does not serve."""
        self._observation.retain(snapshot, self._entrances.names)

    def _check_restart(self, settings: GatewaySettings, base_dir: Path, problems: Problems) -> None:
        """Keys that hold from start to end of a process are compared with what holds, not with what was asked for last."""
        held = self._held_state
        if held is not None and base_dir / held != base_dir / settings.state:
            problems.warn(("state",), f'"state" takes a restart; until then it is {held}')
