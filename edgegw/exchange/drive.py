"""Runs a responder's coroutine on Deferreds.

`Deferred.fromCoroutine` copies a context and builds a Deferred and a status object per call; an exchange has one coroutine and its
connection waits for it, so two callbacks are enough.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

T = TypeVar("T")


class Drive(Generic[T]):
    """One running coroutine that awaits Deferreds.

    Args:
        coroutine: what to run; it may finish inside `start`.
        done: gets the result. failed: gets the exception, of whatever kind. Exactly one of them is called, once, unless the drive
            is cancelled first. Neither may raise.
    """

    __slots__ = ("_coroutine", "_disturbed", "_done", "_failed", "_instead", "_waiting")

    def __init__(
        self, coroutine: Coroutine[Any, Any, T], done: Callable[[T], None], failed: Callable[[BaseException], None]
    ) -> None:
        self._coroutine = coroutine
        self._done = done
        self._failed = failed
        self._waiting: Deferred[Any] | None = None
        self._instead: BaseException | None = None
        self._disturbed = False

    def start(self) -> None:
        """Run to the first Deferred that has no result yet."""
        self._advance(None)

    def cancel(self, late: Callable[[T], None] | None = None) -> None:
        """Cancel what the coroutine waits for, or will wait for next: it sees `CancelledError` or what the canceller makes of it.

        Args:
            late: gets the result of a coroutine that goes on to have one all the same; its error is told to nobody.
        """
        self._done = late or _ignore
        self._failed = _ignore
        self._disturb()

    def interrupt(self, error: BaseException) -> None:
        """Cancel what the coroutine waits for, or will wait for next, and raise this error in its place; it goes on from there."""
        self._instead = error
        self._disturb()

    def _disturb(self) -> None:
        waiting = self._waiting
        if waiting is not None:
            waiting.cancel()
        else:
            self._disturbed = True

    def _advance(self, result: Any) -> None:
        self._waiting = None
        if self._instead is not None:
            result, self._instead = Failure(self._instead), None
        coroutine = self._coroutine
        while True:
            try:
                if result.__class__ is Failure:
                    waiting = coroutine.throw(result.value)  # type: ignore[arg-type]
                else:
                    waiting = coroutine.send(result)
            except StopIteration as stop:
                finished = stop.value
                break
            except BaseException as error:
                # Also what is no Exception: the exchange must end, and the process live on.
                self._failed(error)
                return
            if isinstance(waiting, Deferred):
                self._wait(waiting)
                return
            result = Failure(
                TypeError(f"a responder awaited {waiting!r}; wrap asyncio objects with edgegw.runtime.bridge")
            )
        self._done(finished)

    def _wait(self, waiting: Deferred[Any]) -> None:
        self._waiting = waiting
        waiting.addBoth(self._advance)
        if self._disturbed and self._waiting is waiting:
            # Told once: what the coroutine awaits while it cleans up is its own affair.
            self._disturbed = False
            waiting.cancel()


def _ignore(_: object) -> None:
    """Nobody waits any more."""
