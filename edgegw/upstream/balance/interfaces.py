"""The contract of a balancer. How third parties bring one: `custom`."""

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import Protocol, runtime_checkable

from edgegw.exchange.model import Exchange
from edgegw.upstream.endpoint import Endpoint, Observer


class Balancer(Protocol):
    """Chooses among the members of one group, who are fixed for its life; which of them may be chosen is not.

    A choice is O(1) or O(log n). Shares (`Endpoint.share`) are floats above 0, relative to each other.
    """

    def allow(self, eligible: Sequence[Endpoint]) -> None:
        """From now on choose among these members only, which come in the order of the members. Called once before the first
        choice, then whenever it changes. May be O(n); whoever builds tables goes by the members, so that it is cheap.
        """

    def reweigh(self, endpoint: Endpoint) -> None:
        """The share of this member is another one: O(log n), or O(n) at the next choice at most."""

    def choose(self, exchange: Exchange, tried: Container[Endpoint]) -> Endpoint | None:
        """The endpoint for the next attempt; one that was tried only if the algorithm finds no other; None if none is eligible."""


@runtime_checkable
class Succeeding(Protocol):
    """A balancer that can go on where another one ended, when the members change."""

    def succeed(self, before: Balancer) -> None:
        """Called at most once, before `allow` and the first choice, with the one that the group had, of whatever kind."""


@runtime_checkable
class Observing(Protocol):
    """A balancer that goes by what becomes of attempts."""

    @property
    def observer(self) -> Observer:
        """To be told of every attempt on any endpoint of the upstream. It keeps what it learns on the endpoint itself, so that one
        will do for all groups, whichever balancer it comes from.
        """


def hand_over(before: Balancer, to: Balancer) -> None:
    """Members changed: let `to` begin where `before` ended, if it can."""
    if isinstance(to, Succeeding):
        to.succeed(before)


def observers_of(balancer: Balancer) -> tuple[Observer, ...]:
    """Who wants to be told of attempts."""
    return (balancer.observer,) if isinstance(balancer, Observing) else ()
