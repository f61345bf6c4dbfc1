"""What blocks, such as a disk, runs beside the loop where there is one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IReactorFromThreads
from twisted.internet.threads import deferToThreadPool

Result = TypeVar("Result")


def in_thread(reactor: Any, blocking: Callable[[], Result]) -> Deferred[Result]:
    """The result of a call in the reactor's own threads; of a call right here where `reactor` is a bare clock."""
    if not IReactorFromThreads.providedBy(reactor):
        return maybeDeferred(blocking)
    threads: Any = reactor
    return deferToThreadPool(threads, threads.getThreadPool(), blocking)
