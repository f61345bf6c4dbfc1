"""The contracts of discovery: between a source and the feed that it tells, and what a kind of source is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from twisted.internet.defer import Deferred

from edgegw.config.model import Settings
from edgegw.config.problems import Problems
from edgegw.discovery.common import Common
from edgegw.upstream.address import Named
from edgegw.upstream.advice import Advice
from edgegw.upstream.environment import Environment

ENTRY_POINTS = "edgegw.discovery"
"""The group of entry points by which third parties bring a `DiscoveryPart`."""


class Listener(Protocol):
    """Whom a source tells. It keeps what was said last, whatever becomes of the source (`edgegw.discovery.feed`)."""

    def found(self, named: Sequence[Named], advice: Advice | None = None) -> None:
        """These are the endpoints now, all of them, in an order that is the same as long as they are; and what it advises for the
        upstream as a whole, if anything (`read_advice`).
        """

    def known(self) -> Sequence[Named]:
        """What it keeps now, also from an earlier life, for sources that hear of one endpoint at a time."""

    def confirmed(self) -> None:
        """The source answered: what was found last still holds. At least every 20 s while nothing changes: silence is staleness."""

    def failed(self, reason: str) -> None:
        """The source did not answer, in words for an operator. It goes on trying by itself, at growing intervals with jitter."""

    def refused(self, what: str, reason: str) -> None:
        """It named something that cannot be an endpoint (`candidate` says why); what is right is told by `found` all the same."""


class Source(Protocol):
    """Watches one service. Survives whatever the other side sends or does; bounds what it reads.

    name: what events and `edgegw upstreams` call it, such as `k8s shop/users`. Two sources of one name watch the same thing.
    """

    name: str

    def start(self, listener: Listener) -> None:
        """Begin to watch; what it finds is told from now on."""

    def stop(self) -> Deferred[None] | None:
        """Watch no more: connections close, timers end, nothing is told any more. Fires when all is gone, None: it is already."""


@dataclass(frozen=True, eq=False)
class Surroundings:
    """What a source may be built with.

    environment: reactor, chance, wall clock. base_dir: the folder that relative paths in the configuration start from.
    problems: where to report what can't work, its root being the upstream's `discovery`. about_connection: the same for the
    settings of the connection; its root is the map under `discovery.NAME.KIND`. common: what sources share, over reloads too.
    """

    environment: Environment
    base_dir: Path
    problems: Problems
    about_connection: Problems
    common: Common = field(default_factory=Common)


@dataclass(frozen=True)
class DiscoveryPart:
    """One kind of source.

    kind: what `from:` says. keys: the keys of `DiscoverySettings` it takes besides the common ones; needs: those it cannot do
    without. build: makes a source that does nothing before `start`, or reports problems and may return None; called at load with
    the upstream's `discovery`, the connection's settings and the surroundings. connection: the model of those; None: it has none.
    Of a third party's part it is the model of `with:`, and what `with:` says is handed over as the connection.
    """

    kind: str
    keys: frozenset[str]
    needs: frozenset[str]
    build: Callable[[Any, Any, Surroundings], Source | None]
    connection: type[Settings] | None = None
