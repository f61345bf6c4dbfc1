"""The event loop: which one runs, and the reactor over it.

The gateway wants Twisted's asyncio reactor over a uvloop loop, because the loop's own transports are what makes it fast
(`edgegw.net.transport`). Every other reactor serves too, on Twisted's stock transports. Nothing here, and nothing this
module imports, installs a reactor before `install` is called.
"""

import asyncio
import resource
import sys
import time
from typing import Any, Literal

from twisted.internet.asyncioreactor import AsyncioSelectorReactor
from twisted.internet.main import installReactor
from twisted.logger import Logger
from twisted.python.failure import Failure

try:
    import uvloop
except ImportError:  # An extra: without it the stdlib loop carries the same reactor.
    uvloop = None  # type: ignore[assignment]

try:
    from twisted.internet.epollreactor import EPollReactor
except ImportError:  # Only Linux has epoll.
    EPollReactor = None  # type: ignore[misc, assignment]

Choice = Literal["auto", "uvloop", "asyncio", "epoll"]
CHOICES: tuple[Choice, ...] = ("auto", "uvloop", "asyncio", "epoll")

_log = Logger()
_REACTOR = "twisted.internet.reactor"


class LoopUnavailable(Exception):
    """The loop that was asked for by name cannot run here; the message says what is missing."""


class LoopReactor(AsyncioSelectorReactor):
    """Twisted's asyncio reactor that names its loop, and whose `seconds` never jump with the wall clock.

    `loop` is the asyncio event loop underneath.
    """

    seconds = staticmethod(time.monotonic)  # noqa: TID251

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        super().__init__(loop)


def install(choice: str = "auto") -> str:
    """Install the reactor over the chosen loop and return what runs: `uvloop`, `asyncio` or `epoll`.

    `auto` takes uvloop where it is installed, asyncio elsewhere. A reactor that is already there is left alone; the
    answer is then its name as `name_of` gives it. Raises `LoopUnavailable` for a loop asked for by name that this
    machine does not have, ValueError for an unknown choice.
    """
    if choice not in CHOICES:
        raise ValueError(f"unknown loop {choice!r}, expected one of: {', '.join(CHOICES)}")
    if is_installed():
        return name_of(sys.modules[_REACTOR])
    if choice == "epoll":
        installReactor(_epoll_reactor())
        return "epoll"
    loop = _new_loop(choice)
    # For asyncio libraries that look the loop up before anything runs on it.
    asyncio.set_event_loop(loop)
    installReactor(LoopReactor(loop))
    return name_of(sys.modules[_REACTOR])


def is_installed() -> bool:
    """Whether this process has a reactor already; asking does not install one."""
    return _REACTOR in sys.modules


def is_native(reactor: object) -> bool:
    """Whether `reactor` runs on an asyncio loop, so that the loop's own transports can serve."""
    return _find_loop(reactor) is not None


def loop_of(reactor: object) -> asyncio.AbstractEventLoop:
    """The asyncio loop under `reactor`. Raises `LoopUnavailable` if it has none."""
    loop = _find_loop(reactor)
    if loop is None:
        raise LoopUnavailable(f"{name_of(reactor)} does not run on an asyncio loop")
    return loop


def reporting_loop(reactor: object) -> asyncio.AbstractEventLoop:
    """The same, after making sure that what goes wrong on the loop is told to Twisted's log (`report`)."""
    loop = loop_of(reactor)
    if loop.get_exception_handler() is None:
        loop.set_exception_handler(report)
    return loop


def name_of(reactor: object) -> str:
    """`uvloop`, `asyncio` or `epoll`; for any other reactor the name of its class."""
    loop = _find_loop(reactor)
    if loop is not None:
        return "uvloop" if type(loop).__module__.startswith("uvloop") else "asyncio"
    if EPollReactor is not None and isinstance(reactor, EPollReactor):
        return "epoll"
    return type(reactor).__name__


def raise_file_limit() -> int:
    """Raise the soft limit on open files to the hard one and return the soft limit that holds now.

    -1 means no limit. A system that refuses keeps the limit it had.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == hard:
        return soft
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (ValueError, OSError):  # macOS refuses RLIM_INFINITY here.
        return soft
    return hard


def report(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """An exception handler for the loop: what a callback raised goes to Twisted's log, with its traceback.

    What a connection's protocol raised is handed to its transport (`LoopTransport.broken_by`), which knows the protocol.
    """
    exc = context.get("exception")
    broken_by = getattr(context.get("protocol"), "broken_by", None)
    if exc is None:
        _log.error("The event loop says: {said}", said=context.get("message"))
    elif broken_by is not None:
        broken_by(exc)
    else:
        _log.failure(
            "The event loop says: {said}", Failure(exc, type(exc), exc.__traceback__), said=context.get("message")
        )


def _find_loop(reactor: object) -> asyncio.AbstractEventLoop | None:
    if isinstance(reactor, LoopReactor):
        return reactor.loop
    # `twistd --reactor asyncio` and `trial --reactor asyncio` install Twisted's own class, which has no public name
    # for its loop.
    if isinstance(reactor, AsyncioSelectorReactor):
        return reactor._asyncioEventloop
    return None


def _new_loop(choice: str) -> asyncio.AbstractEventLoop:
    if choice == "asyncio" or (choice == "auto" and uvloop is None):
        return asyncio.SelectorEventLoop()
    if uvloop is None:
        raise LoopUnavailable("the loop `uvloop` was asked for, but the package is missing: pip install uvloop")
    return uvloop.new_event_loop()


def _epoll_reactor() -> object:
    if EPollReactor is None:
        raise LoopUnavailable("the loop `epoll` was asked for, but only Linux has epoll")
    reactor = EPollReactor()
    reactor.seconds = time.monotonic  # noqa: TID251
    return reactor
