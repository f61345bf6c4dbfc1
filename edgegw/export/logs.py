"""The application log: `twisted.logger` events as JSON lines or for people, with a bounded rate of repetition.

An `ApplicationLog` replaces twistd's own observer by `application.setComponent(ILogObserver, observer)`, before the application
starts.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from typing import Any

import orjson
from twisted.logger import ILogObserver, LogEvent, LogLevel, formatEvent
from twisted.python.failure import Failure
from zope.interface import implementer

from edgegw.export.settings import LogSettings
from edgegw.observe.masking import visible
from edgegw.observe.records import Timestamps

MAX_MESSAGE = 8192
MAX_TRACEBACK = 16384
BURST = 10
WINDOW_S = 10.0
_MAX_KEYS = 1024
_MAX_EXTRA = 1024

_LEVELS = {level.name: index for index, level in enumerate(LogLevel.iterconstants())}
# What Twisted says about every factory, port and connection: of interest to who debugs it.
_CHATTY = ("twisted.internet.", "twisted.web.", "twisted.names.", "treq.", "autobahn.")


class Repetition:
    """Lets the first 10 of the same kind of event in 10 s through, and counts the rest.

    Args:
        clock: seconds.
    """

    def __init__(self, clock: Callable[[], float], burst: int = BURST, window_s: float = WINDOW_S) -> None:
        self._clock = clock
        self._burst = burst
        self._window_s = window_s
        self._windows: dict[tuple[str, ...], list[float]] = {}

    def admit(self, key: tuple[str, ...]) -> int:
        """How many of this kind were held back since the last one that passed; -1: hold this one back too."""
        now_s = self._clock()
        window = self._windows.get(key)
        if window is None:
            if len(self._windows) >= _MAX_KEYS:
                del self._windows[next(iter(self._windows))]
            self._windows[key] = [now_s, 1, 0]
            return 0
        if now_s - window[0] >= self._window_s:
            held = int(window[2])
            window[:] = [now_s, 1, 0]
            return held
        window[1] += 1
        if window[1] <= self._burst:
            return 0
        window[2] += 1
        return -1


@implementer(ILogObserver)
class ApplicationLog:
    """Writes events as lines; safe in any thread, never raises.

    Args:
        settings: level and format. write: takes one line with its line feed. wall: Unix time. clock: monotonic seconds.
    """

    def __init__(
        self,
        settings: LogSettings,
        write: Callable[[bytes], object],
        wall: Callable[[], float] = time.time,  # noqa: TID251 - the default of an injected clock.
        clock: Callable[[], float] = time.monotonic,  # noqa: TID251 - the default of an injected clock.
    ) -> None:
        self._write = write
        self._timestamps = Timestamps(wall)
        self._repetition = Repetition(clock)
        self._lock = threading.RLock()
        self.configure(settings)

    def configure(self, settings: LogSettings) -> None:
        """Take over other settings, while running."""
        self._level = _LEVELS[settings.level]
        self._encode = _json if settings.format == "json" else _console

    def __call__(self, event: LogEvent) -> None:
        """Twisted: something happened."""
        level = event.get("log_level") or LogLevel.info
        rank = _LEVELS.get(level.name, 1)
        namespace = str(event.get("log_namespace", "-"))
        if rank < self._level or (rank == 1 and self._level == 1 and namespace.startswith(_CHATTY)):
            return
        with self._lock:
            held = self._repetition.admit(_key(event, level.name, namespace)) if rank >= 2 else 0
            if held < 0:
                return
            try:
                line = self._encode(event, self._timestamps.now(), level.name, namespace, held)
            except Exception as wrong:
                # Logging must not fail, whatever object an event holds.
                line = f"{level.name} {visible(namespace)}: an event that cannot be written ({type(wrong).__name__})\n".encode()
            try:
                self._write(line)
            except (OSError, ValueError):
                # Nobody is left to tell.
                pass

    def __repr__(self) -> str:
        return f"<ApplicationLog level={list(_LEVELS)[self._level]}>"


def _key(event: LogEvent, level: str, namespace: str) -> tuple[str, ...]:
    """Events of the same kind: the same text before its values are put in, and the same type of failure."""
    failure = _failure(event)
    kind = getattr(failure.type, "__name__", "") if failure is not None else ""
    # Events of the old twisted.python.log all have the same format, and their text in `log_text`.
    return (level, namespace, str(event.get("log_text") or event.get("log_format") or "")[:200], kind)


def _failure(event: LogEvent) -> Failure | None:
    # `failure` is what the old twisted.python.log.err says.
    failure = event.get("log_failure") or event.get("failure")
    return failure if isinstance(failure, Failure) else None


def _message(event: LogEvent) -> str:
    failure = _failure(event)
    if failure is not None and "log_failure" not in event:
        # Its text is the whole traceback, which is shown apart.
        text = str(event.get("why") or "unhandled error")
    else:
        text = formatEvent(event) or (failure.getErrorMessage() if failure is not None else "")
    return text if len(text) <= MAX_MESSAGE else text[:MAX_MESSAGE] + "..."


def _traceback(failure: Failure) -> str:
    text = failure.getTraceback().rstrip()
    # The end says what happened.
    return text if len(text) <= MAX_TRACEBACK else "..." + text[-MAX_TRACEBACK:]


def _json(event: LogEvent, now: str, level: str, namespace: str, held: int) -> bytes:
    record: dict[str, Any] = {"time": now, "level": level, "logger": namespace, "message": _message(event)}
    for key, value in event.items():
        if not key.startswith("log_") and key not in _LEGACY and key not in record:
            record[key] = value if isinstance(value, int | float | bool | None) else str(value)[:_MAX_EXTRA]
    if held:
        record["held_back"] = held
    failure = _failure(event)
    if failure is not None:
        record["exception"] = {
            "type": getattr(failure.type, "__name__", str(failure.type)),
            "message": failure.getErrorMessage()[:MAX_MESSAGE],
            "traceback": _traceback(failure),
        }
    try:
        return orjson.dumps(record) + b"\n"
    except TypeError:
        # A lone surrogate, or a number beyond 64 bits.
        return orjson.dumps({key: visible(str(value)) for key, value in record.items()}) + b"\n"


_LEGACY = frozenset({"message", "time", "isError", "system", "format", "why", "failure", "eventSource"})


def _console(event: LogEvent, now: str, level: str, namespace: str, held: int) -> bytes:
    more = f" ({held} more like this were held back)" if held else ""
    # The problems of a configuration have lines of their own; the indent says that they begin no new record.
    first, *further = _message(event).split("\n")
    line = f"{now[11:-1]} {level:<8} {visible(namespace)}: {visible(first)}{more}\n"
    line += "".join(f"    {visible(each)}\n" for each in further)
    failure = _failure(event)
    if failure is not None:
        line += "".join(f"    {visible(each)}\n" for each in _traceback(failure).splitlines())
    return line.encode("utf-8", "backslashreplace")


def write_to(fd: int) -> Callable[[bytes], None]:
    """What writes whole lines to a descriptor, at once: the last words of a dying process must get out."""

    def write(line: bytes) -> None:
        view = memoryview(line)
        while view:
            view = view[os.write(fd, view) :]

    return write


def application_log(settings: LogSettings, fd: int = 2) -> ApplicationLog:
    """The observer for `application.setComponent(ILogObserver, observer)`.

    It writes to a descriptor and not to `sys.stderr`, which twistd replaces by a file that logs.
    """
    return ApplicationLog(settings, write_to(fd))
