"""Balancers that others wrote. Whatever they raise harms the exchange that it happens to, and no other.

A third party ships a factory as an entry point of the group `edgegw.balancers`, or names it `package.module:factory`. It is called
with the members of a group, an `Environment` and what stands below `with`, as keywords: once for every group, whenever the members
change, and with no members when the configuration is read.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from typing import Any

from twisted.logger import Logger

from edgegw.config.problems import Problems, quoted
from edgegw.errors import GatewayError
from edgegw.exchange.model import Exchange
from edgegw.upstream.balance.interfaces import Balancer, Succeeding
from edgegw.upstream.balance.settings import BalanceSettings
from edgegw.upstream.endpoint import Endpoint, Observer
from edgegw.upstream.environment import Environment
from edgegw.upstream.foreign import FOREIGN, Factory, PlugPoint, check_options, find_factory, told

PLUG_POINT = PlugPoint("balancer", "edgegw.balancers", given=2)

_METHODS = ("allow", "reweigh", "choose")
_log = Logger("edgegw.upstream.balance.custom")


def custom_balancer(
    name: str, options: Mapping[str, Any], environment: Environment, problems: Problems
) -> CustomBuilder | None:
    """What builds the balancers that `custom: name`, `with: options` ask for; None after reporting why it cannot be.

    Args:
        problems: a view of `balance`.
    """
    factory = find_factory(PLUG_POINT, name, problems)
    if factory is None or not check_options(PLUG_POINT, factory, name, options, problems):
        return None
    builder = CustomBuilder(name, factory, options)
    return builder if builder.check((), environment, problems) else None


def check_settings(settings: BalanceSettings, problems: Problems) -> bool:
    """Whether what the defaults add goes with the rest; reported if not."""
    wrong = settings.contradiction()
    if wrong is not None:
        hint = "what stands under defaults.upstream.balance counts, too; choose there or in each upstream"
        problems.add((), wrong, hint)
    return wrong is None


class CustomBuilder:
    """A `BuildBalancer` by the factory of a third party.

    Args:
        name: as the configuration says it. options: keywords for the factory.
    """

    def __init__(self, name: str, factory: Factory, options: Mapping[str, Any]) -> None:
        self._name = name
        self._factory = factory
        self._options = dict(options)

    def __call__(self, members: Sequence[Endpoint], settings: BalanceSettings, environment: Environment) -> Balancer:
        """A balancer in any case: one that cannot be built goes on with the one before, and chooses nobody if there is none."""
        try:
            made = self._make(members, environment)
        except FOREIGN:
            _log.failure(
                "the balancer {name} cannot be built for {count} endpoints; the one before goes on, if there is one",
                name=self._name,
                count=len(members),
            )
            return CustomBalancer(self._name, (), None)
        return CustomBalancer(self._name, members, made)

    def check(self, members: Sequence[Endpoint], environment: Environment, problems: Problems) -> bool:
        """Whether it can be built for these; reported if not."""
        try:
            self._make(members, environment)
        except _NoBalancer as error:
            problems.add(("custom",), f"the balancer {quoted(self._name)} {error}")
        except FOREIGN as error:
            over = f"{len(members) or 'no'} endpoint{'s' if len(members) != 1 else ''}"
            problems.add(("custom",), f"the balancer {quoted(self._name)} cannot be built for {over}: {told(error)}")
        else:
            return True
        return False

    def _make(self, members: Sequence[Endpoint], environment: Environment) -> Balancer:
        # Theirs to keep, and to sort.
        made: Balancer = self._factory(list(members), environment, **self._options)
        for method in _METHODS:
            if not callable(getattr(made, method, None)):
                raise _NoBalancer(f"makes a {type(made).__name__}, which has no method {method}")
        getattr(made, "observer", None)
        return made

    def __repr__(self) -> str:
        return f"<CustomBuilder {self._name}>"


class _NoBalancer(TypeError):
    """The factory made something else."""


class CustomBalancer:
    """Between an upstream and what a third party's factory made.

    It lets no endpoint through that may not be chosen now.

    Args:
        name: as the configuration says it. members: that it was made for. made: None if it could not be.
    """

    observer: Observer
    """Only there if what was made has one."""

    def __init__(self, name: str, members: Sequence[Endpoint], made: Balancer | None) -> None:
        self._name = name
        self._made = made
        # A dict, for its order.
        self._members = dict.fromkeys(members)
        self._eligible: frozenset[Endpoint] = frozenset()
        self._guard = _Guard(name)
        observer = getattr(made, "observer", None)
        if observer is not None:
            self.observer = _Heard(observer, self._guard)

    def succeed(self, before: Balancer) -> None:
        """`Succeeding`: with what `before` goes on if there is nothing else, though it knows its own members only."""
        former: Balancer | None = before._made if isinstance(before, CustomBalancer) else before
        if self._made is None:
            if isinstance(before, CustomBalancer):
                self._made, self._members = former, before._members
        elif former is not None and isinstance(self._made, Succeeding):
            self._guard.call("succeed", self._made.succeed, former)

    def allow(self, eligible: Sequence[Endpoint]) -> None:
        """Choose among those of these that are its members."""
        self._eligible = frozenset(eligible).intersection(self._members)
        if self._made is not None:
            among = [each for each in self._members if each in self._eligible]
            self._guard.call("allow", self._made.allow, among)

    def reweigh(self, endpoint: Endpoint) -> None:
        """Its share is another one."""
        if self._made is not None and endpoint in self._members:
            self._guard.call("reweigh", self._made.reweigh, endpoint)

    def choose(self, exchange: Exchange, tried: Container[Endpoint]) -> Endpoint | None:
        """As the third party's code chooses.

        Raises:
            GatewayError: raised there. RuntimeError: anything else was, or what it chose may not be chosen.
        """
        made = self._made
        if made is None or not self._eligible:
            return None
        try:
            found = made.choose(exchange, tried)
        except GatewayError:
            raise
        except FOREIGN as error:
            # Not as it is: there are exceptions that mean something to those who called.
            raise RuntimeError(f"the balancer {quoted(self._name)} failed: {told(error)}") from error
        if found is None or (isinstance(found, Endpoint) and found in self._eligible):
            return found
        what = (
            f"{found.name}, which may not be chosen now" if isinstance(found, Endpoint) else f"a {type(found).__name__}"
        )
        raise RuntimeError(f"the balancer {quoted(self._name)} chose {what}")

    def __repr__(self) -> str:
        return (
            f"<CustomBalancer {self._name} of {len(self._eligible)}{'' if self._made is not None else ', not built'}>"
        )


class _Heard:
    """An `Observer` of a third party."""

    def __init__(self, observer: Observer, guard: _Guard) -> None:
        self._observer = observer
        self._guard = guard

    def answered(self, endpoint: Endpoint, status: int, took_s: float, whole: bool = True) -> None:
        """Tells it."""
        self._guard.call("answered", self._observer.answered, endpoint, status, took_s)

    def ended(self, endpoint: Endpoint, began: int, status: int, lasted_s: float) -> None:
        """Tells it, if it wants to know."""
        tell = getattr(self._observer, "ended", None)
        if tell is not None:
            self._guard.call("ended", tell, endpoint, began, status, lasted_s)

    def failed(self, endpoint: Endpoint, error: GatewayError, lasted_s: float = 0.0, began: int = 200) -> None:
        """Tells it."""
        self._guard.call("failed", self._observer.failed, endpoint, error)


class _Guard:
    """Calls what no exchange waits for. What goes wrong is logged once for each method, for it may go wrong at every exchange."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._told: set[str] = set()

    def call(self, what: str, method: Callable[..., object], *given: Any) -> None:
        try:
            method(*given)
        except FOREIGN:
            if what not in self._told:
                self._told.add(what)
                _log.failure("the balancer {name} failed in {what}", name=self._name, what=what)
