"""The discovery of one configuration after another. What a reload did not change is taken over by identity and goes on watching."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from edgegw.config.problems import Problems
from edgegw.discovery.feed import Feed
from edgegw.discovery.parts import Feeds, Kinds
from edgegw.discovery.policy import Own
from edgegw.gateway.settings import GatewaySettings
from edgegw.observe.metrics import Registry
from edgegw.upstream.address import Named
from edgegw.upstream.advice import Advice
from edgegw.upstream.environment import Environment

Update = Callable[[str, str, Sequence[Named], Advice | None], None]
"""(upstream, source, endpoints, advice): where feeds lead."""


def nobody(upstream: str, source: str, named: Sequence[Named], advice: Advice | None) -> None:
    """Where feeds lead that will never run: of a configuration that is only checked."""


class Feeding:
    """Builds feeds.

    Args:
        environment: as of the upstreams. registry: of metrics. update: where feeds lead. own: the gateway's listeners.
    """

    def __init__(self, environment: Environment, registry: Registry, update: Update, own: Own) -> None:
        self._environment = environment
        self._registry = registry
        self._update = update
        self._own = own
        self._kinds = Kinds()

    def build(
        self,
        settings: GatewaySettings,
        base_dir: Path,
        problems: Problems,
        old: tuple[GatewaySettings, Mapping[str, Feed]] | None = None,
    ) -> dict[str, Feed]:
        """Feeds by the upstream's name; those of `old` that are the same come again."""
        feeds = Feeds(self._environment, base_dir / settings.state, base_dir, self._own, self._kinds)
        made: dict[str, Feed] = {}
        for name, upstream in settings.upstreams.items():
            wanted = upstream.discovery
            if wanted is None:
                continue
            if old is not None and name in old[1] and _words(old[0], name) == _words(settings, name):
                made[name] = old[1][name]
                continue
            feed = feeds.build(
                name, wanted, settings.discovery, partial(self._update, name), partial(self._count, name), problems
            )
            if feed is not None:
                made[name] = feed
        return made

    def _count(self, name: str, outcome: str) -> None:
        self._registry.discovery_updates.child(upstream=name, outcome=outcome).inc()


def _words(settings: GatewaySettings, name: str) -> object:
    """What is equal as long as the discovery of an upstream is the same."""
    wanted = settings.upstreams[name].discovery if name in settings.upstreams else None
    return wanted, settings.discovery.get(wanted.from_) if wanted is not None else None
