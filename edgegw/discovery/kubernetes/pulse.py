"""Asks while a watch is silent: an API server that stands still, or a connection that leads nowhere, says nothing either."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from edgegw.discovery.api.errors import ApiError

PERIOD_S = 15.0
_log = Logger("edgegw.discovery.kubernetes")


class Pulse:
    """Runs while a watch stands.

    Args:
        ask: makes a request; raises ApiError. failed: told of that, once; the pulse has stopped then.
    """

    def __init__(
        self,
        clock: IReactorTime,
        ask: Callable[[], Awaitable[None]],
        failed: Callable[[ApiError], None],
        period_s: float = PERIOD_S,
    ) -> None:
        self._clock = clock
        self._ask = ask
        self._failed = failed
        self._period_s = period_s
        self._heard_s = 0.0
        self._timer: IDelayedCall | None = None
        self._asking: Deferred[None] | None = None

    def start(self) -> None:
        """Something was heard; begin to listen for silence."""
        self.stop()
        self.heard()
        self._timer = self._clock.callLater(self._period_s, self._look)

    def heard(self) -> None:
        """The watch said something."""
        self._heard_s = self._clock.seconds()

    def stop(self) -> None:
        """Ask no more; a request that runs is cancelled."""
        timer, self._timer = self._timer, None
        asking, self._asking = self._asking, None
        if timer is not None and timer.active():
            timer.cancel()
        if asking is not None:
            asking.cancel()

    def _look(self) -> None:
        silent_s = self._clock.seconds() - self._heard_s
        if silent_s < self._period_s:
            self._timer = self._clock.callLater(self._period_s - silent_s, self._look)
            return
        self._timer = None
        asking = self._asking = Deferred.fromCoroutine(self._run())
        if asking.called:
            self._asking = None

    async def _run(self) -> None:
        try:
            await self._ask()
        except CancelledError:
            return
        except Exception as error:
            self._asking = None
            if not isinstance(error, ApiError):
                _log.failure("Kubernetes: asking while a watch is silent failed")
                error = ApiError(f"asking while the watch is silent failed: {error!r}"[:300])
            self._failed(error)
            return
        self._asking = None
        self.heard()
        self._timer = self._clock.callLater(self._period_s, self._look)
