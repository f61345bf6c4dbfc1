"""What every upstream of a process works with."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from edgegw.net.resolver import Resolver
from edgegw.observe.events import Events
from edgegw.runtime.wheel import Wheel


@dataclass(frozen=True, eq=False)
class Environment:
    """reactor: sockets and time. wheel: deadlines. resolver: names. events: where changes are told. chance: for choices and jitter.
    wall: Unix time. secret: by which sticky cookies are signed; the same after a restart.
    """

    reactor: Any
    wheel: Wheel
    resolver: Resolver
    events: Events = field(default_factory=Events)
    chance: random.Random = field(default_factory=random.Random)
    wall: Callable[[], float] = time.time  # noqa: TID251 - the default of an injected clock.
    secret: bytes = field(default_factory=lambda: os.urandom(32), repr=False)

    @property
    def seconds(self) -> Callable[[], float]:
        """The loop's clock, monotonic."""
        return self.wheel.seconds
