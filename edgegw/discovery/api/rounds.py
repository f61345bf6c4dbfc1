"""One round after the other, whatever becomes of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from edgegw.discovery.api.errors import ApiError, Garbage

_log = Logger("edgegw.discovery.api")


class Rounds:
    """Runs from `start` to `stop`.

    Args:
        turn: one round; returns how long to pause then, and raises ApiError. setback: told of that, or of the Garbage that a bug of
            ours becomes; returns the same. what: is done, for people.
    """

    def __init__(
        self,
        clock: IReactorTime,
        turn: Callable[[], Awaitable[float]],
        setback: Callable[[ApiError], float],
        what: str,
    ) -> None:
        self._clock = clock
        self._turn = turn
        self._setback = setback
        self._what = what
        self._running: Deferred[None] | None = None
        self.is_on = False

    def start(self) -> None:
        """Begin."""
        self.is_on = True
        self._running = Deferred.fromCoroutine(self._run())

    def stop(self) -> None:
        """End: what is under way is cancelled. A round may call this too; it looks at `is_on` before it does more."""
        # Cancelling does nothing while a round runs, and it is running where it tells somebody something.
        self.is_on = False
        running, self._running = self._running, None
        if running is not None:
            running.addErrback(lambda _: None)
            running.cancel()

    async def _run(self) -> None:
        try:
            while self.is_on:
                pause_s = await self._round()
                if self.is_on and pause_s > 0.0:
                    await deferLater(self._clock, pause_s)
        except CancelledError:
            return

    async def _round(self) -> float:
        try:
            return await self._turn()
        except CancelledError:
            raise
        except ApiError as error:
            return self._setback(error)
        except Exception as error:
            _log.failure("Discovery: {what} failed", what=self._what)
            return self._setback(Garbage(f"{self._what} failed: {error!r}"[:300]))

    def __repr__(self) -> str:
        return f"<Rounds of {self._what}, {'on' if self.is_on else 'stopped'}>"
