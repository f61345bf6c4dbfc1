"""The contract of a discovery source."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from twisted.internet.defer import Deferred

from edgegw.upstream.address import Named


class Listener(Protocol):
    """Whom a source tells. It keeps what was said last, whatever becomes of the source (`edgegw.discovery.feed`)."""

    def found(self, named: Sequence[Named]) -> None:
        """These are the endpoints now, all of them; in an order that is the same as long as they are."""

    def confirmed(self) -> None:
        """The source answered: what was found last still holds."""

    def failed(self, reason: str) -> None:
        """The source did not answer, in words for an operator. It goes on trying by itself, at growing intervals with jitter."""


class Source(Protocol):
    """Watches one service. Survives whatever the other side sends or does; bounds what it reads.

    name: what events and `edgegw upstreams` call it, such as `k8s shop/users`.
    """

    name: str

    def start(self, listener: Listener) -> None:
        """Begin to watch; what it finds is told from now on."""

    def stop(self) -> Deferred[None] | None:
        """Watch no more: connections close, timers end, nothing is told any more. Fires when all is gone, None: it is already."""
