"""Which endpoints an upstream is to have, by who says so: the configuration, discovery."""

from __future__ import annotations

from collections.abc import Iterable

from edgegw.upstream.address import Named

CONFIG = "config"
"""The source of the endpoints that the configuration names."""


class Names:
    """What each source said last. Of two that name the same address, the one that was asked first holds."""

    def __init__(self) -> None:
        self._said: dict[str, dict[str, Named]] = {}

    @property
    def sources(self) -> tuple[str, ...]:
        """Who named endpoints, the first first."""
        return tuple(self._said)

    def say(self, source: str, named: Iterable[Named]) -> None:
        """These, and no others."""
        self._said[source] = {each.settings.url: each for each in named}

    def forget(self, source: str) -> None:
        """It is no source any more."""
        self._said.pop(source, None)

    def wanted(self) -> dict[str, tuple[str, Named]]:
        """Every endpoint by its address, with the source that holds for it, in the order of sources and of what they said."""
        found: dict[str, tuple[str, Named]] = {}
        for source, named in self._said.items():
            for address, each in named.items():
                found.setdefault(address, (source, each))
        return found

    def weight(self, address: str) -> int:
        """The weight that an endpoint has by its source. Raises KeyError: nobody names it."""
        for named in self._said.values():
            if address in named:
                return named[address].settings.weight
        raise KeyError(address)

    def discovered(self) -> dict[str, tuple[Named, ...]]:
        """What the sources other than the configuration said."""
        return {source: tuple(named.values()) for source, named in self._said.items() if source != CONFIG}

    def take_over(self, before: Names) -> None:
        """After a reload: the configuration says what it says now, the others hold as they were, in their order."""
        self._said = {**before._said, CONFIG: self._said[CONFIG]}

    def __repr__(self) -> str:
        said = ", ".join(f"{source} {len(named)}" for source, named in self._said.items())
        return f"<Names {said or 'none'}>"
