"""The plug point of middleware: a contract, a settings model, a factory, a name.

A third party ships one as an entry point of the group `edgegw.middleware` whose object is a `MiddlewarePart`:

    part = MiddlewarePart("stamp", StampSettings, lambda settings, around: lambda next: Stamp(next, settings.text))
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twisted.internet.interfaces import IReactorTime

from edgegw.config.model import Settings
from edgegw.config.problems import Problems
from edgegw.exchange.interfaces import Middleware, Responder
from edgegw.runtime.overload import Overload
from edgegw.runtime.wheel import Wheel

__all__ = ["Middleware", "MiddlewarePart", "Responder", "Surroundings"]

ENTRY_POINTS = "edgegw.middleware"


@dataclass(frozen=True)
class Surroundings:
    """What a factory may build with.

    clock: monotonic time. wheel: deadlines. base_dir: the folder that relative paths in the configuration start from.
    problems: where to report settings that can't work, its root being the entry's `with`. overload: what the process is short of;
    None where nothing is served.
    """

    clock: IReactorTime
    wheel: Wheel
    base_dir: Path
    problems: Problems
    overload: Overload | None = None


@dataclass(frozen=True)
class MiddlewarePart:
    """One kind of middleware.

    name: what `use:` says. settings: the model of `with:`. build: makes the middleware of one route; called at assembly, once per
    use; what it returns is called once with the next responder.
    """

    name: str
    settings: type[Settings]
    build: Callable[[Any, Surroundings], Middleware]
