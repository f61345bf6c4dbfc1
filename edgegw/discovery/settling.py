"""What is heard in one moment is told together: a rollout brings many events."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime

SETTLE_S = 0.05


class Settling:
    """Of one source.

    Args:
        tell: called `SETTLE_S` after the first of what is heard.
    """

    def __init__(self, clock: IReactorTime, tell: Callable[[], None]) -> None:
        self._clock = clock
        self._tell = tell
        self._call: IDelayedCall | None = None

    @property
    def is_due(self) -> bool:
        """Whether something is about to be told."""
        return self._call is not None

    def begin(self) -> None:
        """Something was heard."""
        if self._call is None:
            self._call = self._clock.callLater(SETTLE_S, self._settle)

    def stop(self) -> None:
        """What was heard is not told any more."""
        call, self._call = self._call, None
        if call is not None:
            call.cancel()

    def _settle(self) -> None:
        self._call = None
        self._tell()

    def __repr__(self) -> str:
        return f"<Settling, {'something is due' if self.is_due else 'idle'}>"
