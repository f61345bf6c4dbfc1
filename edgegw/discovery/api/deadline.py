"""Work within a time."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any, TypeVar

from twisted.internet.defer import CancelledError, Deferred

from edgegw.discovery.api.errors import ApiError

Result = TypeVar("Result")


async def within(clock: Any, limit_s: float, work: Awaitable[Result], words: str = "") -> Result:
    """The work's result; it is cancelled when it takes longer.

    Args:
        words: what to say then; without them that there was no answer.

    Raises:
        ApiError: it took longer.
    """
    running = Deferred.fromCoroutine(_awaiting(work))
    expired = False

    def expire() -> None:
        nonlocal expired
        expired = True
        running.cancel()

    timer = clock.callLater(limit_s, expire)
    try:
        return await running
    except CancelledError:
        if expired:
            raise ApiError(words or f"no answer within {limit_s:g} s") from None
        raise
    finally:
        if timer.active():
            timer.cancel()


async def _awaiting(work: Awaitable[Result]) -> Result:
    return await work
