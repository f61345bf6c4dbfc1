"""How reloads come one after the other: what becomes of one, turns, and reading files without stopping the loop."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, DeferredLock
from twisted.logger import Logger
from twisted.python.failure import Failure

from edgegw.config.diff import Change
from edgegw.config.problems import ConfigError, Problem
from edgegw.config.report import render
from edgegw.config.source import Document

T = TypeVar("T")

_log = Logger("edgegw.gateway.reloading")

_TOLD = 50
"""How many problems of one configuration the log names; the rest is counted."""

READ_S = 30.0
"""How long reading a configuration may take; a network mount can take for ever."""


@dataclass(frozen=True)
class Verdict:
    """What became of a reload.

    ok: it serves (or would, for a dry run). number: of the configuration that serves now. problems: errors and warnings. sources:
    the texts they are in. changes: against what served before.
    """

    ok: bool
    number: int
    problems: tuple[Problem, ...] = ()
    sources: Mapping[str, str] = field(default_factory=dict)
    changes: tuple[Change, ...] = ()


def tell(problems: Sequence[Problem], sources: Mapping[str, str]) -> None:
    """Log what is wrong with a configuration: place, line and caret of each problem, as the commands show them."""
    for problem in problems[:_TOLD]:
        # Its own format, so that none is taken for a repetition of the one before.
        text = render([problem], sources, closing=None).replace("{", "{{").replace("}", "}}")
        (_log.warn if problem.severity == "warning" else _log.error)(text)
    if len(problems) > _TOLD:
        _log.error("and {count} more", count=len(problems) - _TOLD)


Run = Callable[[str, "Document | None", bool], Awaitable[Verdict]]
"""source, document, dry_run -> verdict: one reload."""


class Turns:
    """One reload at a time. Those that are asked for while one runs share the next: it sees everything they were asked for.

    Args:
        run: does one.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._lock = DeferredLock()
        self._waiting: dict[bool, list[Deferred[Verdict]]] = {}

    @property
    def awaited(self) -> bool:
        """Whether a reload of the file waits for its turn already."""
        return False in self._waiting

    async def take(self, source: str, document: Document | None = None, dry_run: bool = False) -> Verdict:
        """Reload when it is our turn. A given document has a turn of its own."""
        if document is not None:
            return await self._locked(lambda: self._run(source, document, dry_run))
        promise: Deferred[Verdict] = Deferred()
        waiting = self._waiting.setdefault(dry_run, [])
        waiting.append(promise)
        if len(waiting) == 1:
            Deferred.fromCoroutine(self._locked(lambda: self._shared(source, dry_run)))
        return await promise

    async def _shared(self, source: str, dry_run: bool) -> None:
        # Who asks from here on may have changed the file after it was read, and waits for the next turn.
        promises = self._waiting.pop(dry_run)
        try:
            verdict = await self._run(source, None, dry_run)
        except GeneratorExit:
            # Collected as garbage, with everybody who waited.
            raise
        except BaseException:
            # Whatever it is: nobody may wait for ever.
            failure = Failure()
            for promise in promises:
                promise.errback(failure)
            return
        for promise in promises:
            promise.callback(verdict)

    async def _locked(self, work: Callable[[], Awaitable[T]]) -> T:
        await self._lock.acquire()
        try:
            return await work()
        finally:
            self._lock.release()

    def __repr__(self) -> str:
        waiting = sum(len(each) for each in self._waiting.values())
        return f"<Turns {'running' if self._lock.locked else 'at rest'}, {waiting} wait>"


class Reader:
    """Runs blocking work in a thread of its own, one at a time, each within a time.

    A daemon thread and no pool: work that hangs for ever holds up neither the process's end nor what else needs a thread.

    Args:
        reactor: time, and where answers are delivered.
    """

    def __init__(self, reactor: Any, limit_s: float = READ_S) -> None:
        self._reactor = reactor
        self._limit_s = limit_s
        self._busy = False

    def __call__(self, work: Callable[[], T]) -> Deferred[T]:
        """What `work` returns or raises.

        Raises (through the Deferred):
            ConfigError: it takes too long, or earlier work still hangs.
        """
        done: Deferred[T] = Deferred()
        if self._busy:
            done.errback(
                _told("an earlier attempt to read the configuration still hangs; is it on a mount that is gone?")
            )
            return done
        self._busy = True
        deadline = self._reactor.callLater(self._limit_s, self._give_up, done)

        def deliver(result: Any) -> None:
            self._busy = False
            if deadline.active():
                deadline.cancel()
                done.callback(result)

        def body() -> None:
            try:
                result: Any = work()
            except Exception:
                result = Failure()
            self._reactor.callFromThread(deliver, result)

        threading.Thread(target=body, name="edgegw-config", daemon=True).start()
        return done

    def _give_up(self, done: Deferred[Any]) -> None:
        done.errback(_told(f"the configuration could not be read within {self._limit_s:g} s"))

    def __repr__(self) -> str:
        return f"<Reader {'reading' if self._busy else 'at rest'}>"


def _told(text: str) -> ConfigError:
    return ConfigError([Problem((), text)])
