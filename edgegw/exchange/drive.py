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
        done: gets the result. failed: gets the exception. Exactly one of them is called, once, unless the drive is cancelled first.
    """

    __slots__ = ("_coroutine", "_done", "_failed", "_instead", "_waiting")

    def __init__(
        self, coroutine: Coroutine[Any, Any, T], done: Callable[[T], None], failed: Callable[[BaseException], None]
    ) -> None:
        self._coroutine = coroutine
        self._done = done
        self._failed = failed
        self._waiting: Deferred[Any] | None = None
        self._instead: BaseException | None = None

    def start(self) -> None:
        """Run to the first Deferred that has no result yet."""
        self._advance(None)

    def cancel(self) -> None:
        """Cancel what the coroutine waits for (it sees `CancelledError` or what the canceller makes of it); nobody is told the result."""
        self._done = self._failed = _ignore
        waiting = self._waiting
        if waiting is not None:
            waiting.cancel()

    def interrupt(self, error: BaseException) -> None:
        """Cancel what the coroutine waits for and raise this error in its place; the drive goes on from there."""
        waiting = self._waiting
        if waiting is not None:
            self._instead = error
            waiting.cancel()

    def _advance(self, result: Any) -> None:
        self._waiting = None
        if self._instead is not None:
            result, self._instead = Failure(self._instead), None
        coroutine = self._coroutine
        while True:
            try:
                if result.__class__ is Failure:
                    waiting = coroutine.throw(result.value)
                else:
                    waiting = coroutine.send(result)
            except StopIteration as stop:
                self._done(stop.value)
                return
            except Exception as error:
                self._failed(error)
                return
            if not isinstance(waiting, Deferred):
                result = Failure(TypeError(f"a responder awaited {waiting!r}; wrap asyncio objects with edgegw.runtime.bridge"))
                continue
            self._waiting = waiting
            waiting.addBoth(self._advance)
            return


def _ignore(_: object) -> None:
    """Nobody waits any more."""
