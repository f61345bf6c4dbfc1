"""The probes of one upstream: when they are made, what is learnt from them, and who is held for it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from twisted.application.service import MultiService
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.logger import Logger

from edgegw.errors import GatewayError
from edgegw.runtime.supervise import Pace, Supervised
from edgegw.upstream.endpoint import Endpoint, Probed
from edgegw.upstream.environment import Environment
from edgegw.upstream.health.interfaces import Probe, ProbeFailed
from edgegw.upstream.health.settings import HealthSettings
from edgegw.upstream.standing import Hold

SOURCE = "health"
"""Who holds and releases, in events."""
AT_ONCE = 64
"""Probes of one upstream under way at most; the others wait for their turn, and their time begins with it."""
STEP_S = 0.02
"""From the first probe of one new endpoint to that of the next, or less, so that all have begun within one interval."""
JITTER = 0.1
DETAIL = 120
"""Characters kept of what a probe says."""

_AGAIN_S = 1.0
"""A probe that goes on after it was cancelled is cancelled again."""

_log = Logger("edgegw.upstream.health.checks")


def uncounted(ok: bool) -> None:
    """No metric."""


def unheard(endpoint: Endpoint, began_s: float) -> None:
    """Nobody ejects."""


class HealthChecks(MultiService):
    """One supervised timer for each endpoint.

    What is known about an endpoint is on it (`streak`, `history`, `standing`), so it outlives these checks, as in a reload.

    Args:
        name: of the upstream. probe: asks one endpoint once. counted, passed: see `build.health_checks`.
    """

    def __init__(
        self,
        name: str,
        settings: HealthSettings,
        environment: Environment,
        probe: Probe,
        counted: Callable[[bool], object] = uncounted,
        passed: Callable[[Endpoint, float], object] = unheard,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.upstream = name
        self.settings = settings
        self._environment = environment
        self._probe = probe
        self._counted = counted
        self._passed = passed
        self._turns = Turns(AT_ONCE)
        self._watches: dict[Endpoint, Supervised] = {}
        self._odd: set[type[BaseException]] = set()

    def roster(self, members: Sequence[Endpoint]) -> None:
        """These are the endpoints from now on: probe those that are new, leave those that are gone."""
        stay = set(members)
        for endpoint in [each for each in self._watches if each not in stay]:
            # What is under way is cancelled; nobody waits for that.
            self.removeService(self._watches.pop(endpoint))  # type: ignore[no-untyped-call]
        new = [each for each in members if each not in self._watches]
        step_s = min(STEP_S, self.settings.every / max(len(new), 1))
        for number, endpoint in enumerate(new):
            self._watch(endpoint, number * step_s)

    def _watch(self, endpoint: Endpoint, delay_s: float) -> None:
        pace = self._pace(endpoint)
        if endpoint.history:
            # It was probed before a reload: no reason to hurry, however often there are reloads.
            since_s = self._environment.wall() - endpoint.history[-1].at_s
            delay_s = max(delay_s, min(pace.interval_s - since_s, pace.interval_s))
        watch = Supervised(
            f"health of {endpoint.name}",
            partial(self._check, endpoint),
            replace(pace, delay_s=delay_s),
            self._environment.reactor,
            self._environment.chance.random,
        )
        self._watches[endpoint] = watch
        watch.setServiceParent(self)  # type: ignore[no-untyped-call]

    def _pace(self, endpoint: Endpoint) -> Pace:
        every_s = self.settings.every
        if self.settings.unhealthy_every is not None and Hold.FAILING in endpoint.standing.reasons:
            every_s = self.settings.unhealthy_every
        return Pace(every_s, JITTER, stop_s=0.0)

    async def _check(self, endpoint: Endpoint) -> None:
        """One probe."""
        await self._turns.take()
        try:
            began_s, at_s = self._environment.seconds(), self._environment.wall()
            ok, said = await self._ask(endpoint)
        finally:
            self._turns.give()
        watch = self._watches.get(endpoint)
        if watch is None:
            return
        detail = "".join(char if char.isprintable() else " " for char in said[:DETAIL])
        endpoint.history.append(Probed(at_s, ok, self._environment.seconds() - began_s, detail))
        self._counted(ok)
        self._judge(endpoint, ok, detail)
        watch.set_pace(self._pace(endpoint))
        if ok and Hold.FAILING not in endpoint.standing.reasons:
            self._passed(endpoint, began_s)

    async def _ask(self, endpoint: Endpoint) -> tuple[bool, str]:
        """Whether it passed within the time it has, and what was said."""
        timeout_s = self.settings.timeout
        expired = False

        def expire() -> None:
            nonlocal expired
            expired = True
            deadline.set(_AGAIN_S)
            asking.cancel()

        deadline = self._environment.wheel.deadline(expire)
        try:
            asking = Deferred.fromCoroutine(self._probe.probe(endpoint, timeout_s))
            deadline.set(timeout_s)
            said = str(await asking)
        except ProbeFailed as failed:
            return False, self._late(timeout_s) if expired else failed.reason
        except GatewayError as error:
            return False, self._late(timeout_s) if expired else error.reason
        except CancelledError:
            if not expired:
                raise
            return False, self._late(timeout_s)
        except (Exception, SystemExit) as error:
            self._tell(endpoint, error)
            return False, f"{type(error).__name__}: {error}"
        finally:
            deadline.drop()
        return (False, self._late(timeout_s)) if expired else (True, said)

    @staticmethod
    def _late(timeout_s: float) -> str:
        return f"timeout after {timeout_s:g} s"

    def _tell(self, endpoint: Endpoint, error: BaseException) -> None:
        """A probe is broken, rather than the endpoint: said once for each kind of error."""
        if type(error) not in self._odd:
            self._odd.add(type(error))
            _log.failure(
                "the health probe of {upstream} failed for {endpoint} in a way of its own",
                upstream=self.upstream,
                endpoint=endpoint.name,
            )

    def _judge(self, endpoint: Endpoint, ok: bool, detail: str) -> None:
        """So many in a row count, one alone never does; but the first that passes ends `pending`."""
        endpoint.streak = max(endpoint.streak, 0) + 1 if ok else min(endpoint.streak, 0) - 1
        failing = Hold.FAILING in endpoint.standing.reasons
        if ok:
            if failing and endpoint.streak >= self.settings.rise:
                endpoint.release(Hold.FAILING, SOURCE)
        elif failing or -endpoint.streak >= self.settings.fall:
            endpoint.hold(Hold.FAILING, f"{detail} ({-endpoint.streak} in a row)", SOURCE)
        else:
            return
        # Known now, one way or the other.
        endpoint.release(Hold.PENDING, SOURCE)

    def __repr__(self) -> str:
        failing = sum(Hold.FAILING in endpoint.standing.reasons for endpoint in self._watches)
        return f"<HealthChecks of {self.upstream}: {len(self._watches)} endpoints, {failing} failing, {self._turns!r}>"


class Turns:
    """Lets so many in at once; the others wait in the order they came."""

    def __init__(self, most: int) -> None:
        self._free = most
        self._waiting: deque[Deferred[None]] = deque()
        self._handing = False

    def take(self) -> Deferred[None]:
        """Fires when it is your turn; `give` it back then. Cancel it to leave the queue."""
        if self._free:
            self._free -= 1
            return succeed(None)
        waiter: Deferred[None] = Deferred(self._waiting.remove)
        self._waiting.append(waiter)
        return waiter

    def give(self) -> None:
        """The turn is over."""
        self._free += 1
        if self._handing:
            # Who is let in may be done at once: a loop instead of a call in a call in a call.
            return
        self._handing = True
        while self._free and self._waiting:
            self._free -= 1
            self._waiting.popleft().callback(None)
        self._handing = False

    def __repr__(self) -> str:
        return f"<Turns {self._free} free, {len(self._waiting)} wait>"
