"""Threads of our own for calls that may block on a disk: the reactor's pool also resolves names and must stay free for that."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeVar
from weakref import WeakKeyDictionary

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.threads import deferToThreadPool
from twisted.python.threadpool import ThreadPool

T = TypeVar("T")
SIZE = 4


class Threads(Protocol):
    """Runs a function elsewhere."""

    def __call__(self, function: Callable[..., T], *args: Any) -> Deferred[T]:
        """The Deferred fires with what the function returns, in the reactor's thread."""


_pools: WeakKeyDictionary[Any, ThreadPool] = WeakKeyDictionary()
# One pool for each reactor, not for each target: a reload builds new targets, and threads must not pile up.


def threads_of(reactor: Any) -> Threads:
    """Threads for a reactor, started when they are first needed and stopped with it. A clock without threads calls at once."""
    if not hasattr(reactor, "callFromThread"):
        return _at_once

    def run(function: Callable[..., T], *args: Any) -> Deferred[T]:
        return deferToThreadPool(reactor, _pool(reactor), function, *args)

    return run


def _at_once(function: Callable[..., T], *args: Any) -> Deferred[T]:
    return maybeDeferred(function, *args)


def _pool(reactor: Any) -> ThreadPool:
    pool = _pools.get(reactor)
    if pool is None:
        pool = _pools[reactor] = ThreadPool(0, SIZE, "edgegw-files")
        pool.start()
        reactor.addSystemEventTrigger("during", "shutdown", pool.stop)
    return pool
