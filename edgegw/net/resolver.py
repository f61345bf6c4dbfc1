"""Names to addresses: off the reactor's threads, remembered, refreshed in the background, never worse than the last good answer.

The data path asks `Resolver.addresses(name)`, which answers at once; only the first use of a name has to wait for `resolve`.
getaddrinfo can block for half a minute and the reactor's ten threads also serve everybody else, so look-ups have threads of
their own. A look-up that misses its deadline keeps its thread (nothing can stop it) and its late answer is still taken.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorFromThreads, IReactorTime
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool

from edgegw.net.addresses import canonical, ends_in_number

_NAME_MAX = 253


class ResolveError(Exception):
    """A name has no addresses now and had none before.

    Args:
        name: the name that was asked for.
        reason: `not_found`, `timeout`, `bad_name` or `table_full`.
        detail: one sentence for operators.
    """

    def __init__(self, name: str, reason: str, detail: str) -> None:
        super().__init__(name, reason, detail)
        self.name = name
        self.reason = reason
        self.detail = detail

    def __str__(self) -> str:
        return f"cannot resolve {self.name}: {self.detail}"


class Lookup(Protocol):
    """One question to the name service; fires with addresses in the order of preference, or fails with an OSError."""

    def __call__(self, name: str) -> Deferred[Sequence[str]]: ...


def getaddrinfo(name: str) -> list[str]:
    """The addresses of a name, blocking, in the order of RFC 6724 as the C library gives them."""
    found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(sockaddr[0]) for _, _, _, _, sockaddr in found))


class ThreadedLookup:
    """A blocking look-up run in a small pool of its own threads.

    Args:
        reactor: where answers are delivered.
        blocking: name -> addresses; raises OSError.
        threads: how many look-ups may run at a time; the others wait (and their deadline runs).
    """

    def __init__(
        self, reactor: IReactorFromThreads, blocking: Callable[[str], Sequence[str]] = getaddrinfo, threads: int = 4
    ) -> None:
        self._reactor = reactor
        self._blocking = blocking
        self._pool = ThreadPool(0, threads, "edgegw-resolver")
        self._pool.start()

    def __call__(self, name: str) -> Deferred[Sequence[str]]:
        return deferToThreadPool(self._reactor, self._pool, self._blocking, name)

    def stop(self) -> None:
        """Ends the threads; waits for look-ups that run."""
        self._pool.stop()


@dataclass(slots=True, eq=False)
class _Entry:
    """What is known about one name."""

    name: str
    addresses: tuple[str, ...] = ()
    fresh_until: float = 0.0
    error: ResolveError | None = None
    attempt: int = 0
    running: bool = False
    deadline: IDelayedCall | None = None
    waiting: list[Deferred[list[str]]] = field(default_factory=list)
    watchers: list[Callable[[tuple[str, ...]], None]] = field(default_factory=list)


class Resolver:
    """The table of names.

    Args:
        clock: for time and for the background tick.
        lookup: `ThreadedLookup(reactor)`, or a fake.
        ttl_s: how long an answer counts as fresh (getaddrinfo tells no TTL); older ones are still given while a refresh runs.
        retry_s: how long a failure is believed, so that a broken name is not asked for at every request.
        deadline_s: how long somebody who needs the first answer waits.
        max_names: bound of the table; the longest unused name nobody watches makes room.
    """

    _log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        lookup: Lookup,
        *,
        ttl_s: float = 30.0,
        retry_s: float = 5.0,
        deadline_s: float = 5.0,
        max_names: int = 1024,
    ) -> None:
        self._clock = clock
        self._lookup = lookup
        self._ttl_s = ttl_s
        self._retry_s = retry_s
        self._deadline_s = deadline_s
        self._max_names = max_names
        # Kept in order of last use: the first one goes first.
        self._table: dict[str, _Entry] = {}
        self._tick: IDelayedCall | None = None
        self._stopped = False

    def resolve(self, name: str) -> Deferred[list[str]]:
        """The addresses of a name: at once if anything is known, else after a look-up.

        Fails with ResolveError. Address literals are their own answer, in canonical form; hosts that end in a number but are
        not addresses (`0`, `2130706433`, `127.1`) are refused, because getaddrinfo reads them as IPv4 addresses.
        """
        literal = canonical(name)
        if literal is not None:
            return succeed([literal])
        entry = self._entry(name)
        if isinstance(entry, ResolveError):
            return fail(entry)
        self._refresh_if_stale(entry)
        if entry.addresses:
            return succeed(list(entry.addresses))
        if not entry.running or entry.deadline is None:
            return fail(entry.error or ResolveError(name, "timeout", "a look-up still runs past its deadline"))
        waiter: Deferred[list[str]] = Deferred(
            lambda gone: entry.waiting.remove(gone) if gone in entry.waiting else None
        )
        entry.waiting.append(waiter)
        return waiter

    def addresses(self, name: str) -> tuple[str, ...]:
        """The last good addresses, at once; empty if there never were any. A stale answer starts a refresh behind it."""
        if name not in self._table:
            literal = canonical(name)
            if literal is not None:
                return (literal,)
        entry = self._entry(name)
        if isinstance(entry, ResolveError):
            return ()
        self._refresh_if_stale(entry)
        return entry.addresses

    def watch(self, name: str, changed: Callable[[tuple[str, ...]], None]) -> Callable[[], None]:
        """Keeps a name fresh in the background and calls `changed(addresses)` when the set of them has changed.

        Returns: a callable that ends it. Literals never change and cost nothing. Raises ResolveError for an impossible name.
        """
        if canonical(name) is not None:
            return lambda: None
        entry = self._entry(name)
        if isinstance(entry, ResolveError):
            raise entry
        entry.watchers.append(changed)
        self._refresh_if_stale(entry)
        self._arm()

        def unwatch() -> None:
            if changed in entry.watchers:
                entry.watchers.remove(changed)

        return unwatch

    def stop(self) -> None:
        """Ends the background tick and fails who waits; the look-up's threads belong to who made them."""
        self._stopped = True
        if self._tick is not None and self._tick.active():
            self._tick.cancel()
        self._tick = None
        for entry in list(self._table.values()):
            entry.watchers.clear()
            self._end_wait(entry, ResolveError(entry.name, "timeout", "the gateway stops"))
        self._table.clear()

    def _entry(self, name: str) -> _Entry | ResolveError:
        entry = self._table.pop(name, None)
        if entry is None:
            problem = _bad_name(name)
            if problem is None and len(self._table) >= self._max_names and not self._make_room():
                problem = ResolveError(name, "table_full", f"all {self._max_names} names of the table are in use")
            if problem is not None:
                return problem
            entry = _Entry(name)
        self._table[name] = entry
        return entry

    def _make_room(self) -> bool:
        for name, entry in self._table.items():
            if not entry.watchers and not entry.running:
                del self._table[name]
                return True
        return False

    def _refresh_if_stale(self, entry: _Entry) -> None:
        if entry.running or self._stopped or self._clock.seconds() < entry.fresh_until:
            return
        entry.running = True
        entry.attempt += 1
        entry.deadline = self._clock.callLater(self._deadline_s, self._missed, entry)
        try:
            answer = self._lookup(entry.name)
        except Exception:
            # A pool that was stopped or a lookup that is broken must not break a request.
            answer = fail(Failure())
        answer.addCallbacks(self._answered, self._failed, callbackArgs=(entry,), errbackArgs=(entry,))
        answer.addErrback(self._broken, entry)

    def _answered(self, found: Sequence[str], entry: _Entry) -> None:
        addresses = tuple(dict.fromkeys(filter(None, map(canonical, found))))
        if not addresses:
            self._note_failure(entry, ResolveError(entry.name, "not_found", "the name has no addresses"))
            return
        # Name servers rotate their answers; only another set is a change, and the order that was there stays.
        changed = set(addresses) != set(entry.addresses)
        entry.running = False
        entry.error = None
        entry.fresh_until = self._clock.seconds() + self._ttl_s
        if changed:
            entry.addresses = addresses
        self._end_wait(entry, None)
        if changed:
            self._tell(entry)

    def _failed(self, failure: Failure, entry: _Entry) -> None:
        detail = failure.getErrorMessage()
        if not failure.check(OSError):
            self._log.failure("The look-up of {name} broke", failure=failure, name=entry.name)
        self._note_failure(entry, ResolveError(entry.name, "not_found", detail))

    def _note_failure(self, entry: _Entry, error: ResolveError) -> None:
        entry.running = False
        if entry.addresses and entry.error is None:
            self._log.warn("{error}; its last good addresses stay in use", error=error)
        entry.error = error
        entry.fresh_until = self._clock.seconds() + self._retry_s
        self._end_wait(entry, error)

    def _missed(self, entry: _Entry) -> None:
        """The deadline: who waits is told; the look-up itself goes on and its late answer counts."""
        entry.deadline = None
        error = ResolveError(entry.name, "timeout", f"no answer within {self._deadline_s:g} s")
        if entry.addresses and entry.error is None:
            self._log.warn("{error}; its last good addresses stay in use", error=error)
        entry.error = error
        self._end_wait(entry, error)

    def _end_wait(self, entry: _Entry, error: ResolveError | None) -> None:
        if entry.deadline is not None and entry.deadline.active():
            entry.deadline.cancel()
        entry.deadline = None
        waiting, entry.waiting = entry.waiting, []
        for waiter in waiting:
            if error is None:
                waiter.callback(list(entry.addresses))
            else:
                waiter.errback(error)

    def _tell(self, entry: _Entry) -> None:
        for changed in list(entry.watchers):
            try:
                changed(entry.addresses)
            except Exception:
                self._log.failure("A watcher of {name} failed", name=entry.name)

    def _broken(self, failure: Failure, entry: _Entry) -> None:
        entry.running = False
        self._log.failure("Resolving {name} failed in an unexpected way", failure=failure, name=entry.name)

    def _arm(self) -> None:
        if self._tick is None and not self._stopped:
            self._tick = self._clock.callLater(min(1.0, self._ttl_s), self._refresh_watched)

    def _refresh_watched(self) -> None:
        self._tick = None
        watched = [entry for entry in self._table.values() if entry.watchers]
        for entry in watched:
            self._refresh_if_stale(entry)
        if watched:
            self._arm()

    def __repr__(self) -> str:
        failing = sum(entry.error is not None for entry in self._table.values())
        return f"<Resolver {len(self._table)} names, {failing} failing>"


def _bad_name(name: str) -> ResolveError | None:
    if not name or len(name) > _NAME_MAX or any(c <= " " or c in "/\\:@[]%\x7f" for c in name):
        return ResolveError(name[:64], "bad_name", "this is not a host name")
    if ends_in_number(name):
        return ResolveError(name, "bad_name", "it ends in a number but is not an IPv4 address in four decimal parts")
    return None
