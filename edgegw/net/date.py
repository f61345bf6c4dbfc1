"""The Date field, made once a second."""

from __future__ import annotations

import time
from collections.abc import Callable
from email.utils import formatdate

from edgegw.runtime.wheel import Wheel
from edgegw.wire.headers import Field


class HttpDate:
    """Calling it gives the Date field of now (RFC 9110 5.6.7).

    Args:
        wheel: says cheaply whether a second went by. wall_clock: seconds since 1970.
    """

    def __init__(self, wheel: Wheel, wall_clock: Callable[[], float] = time.time) -> None:  # noqa: TID251
        self._wheel = wheel
        self._wall_clock = wall_clock
        self._until_s = float("-inf")
        self._field: Field = (b"date", b"Date", b"")

    def __call__(self) -> Field:
        if self._wheel.now_s >= self._until_s:
            now = self._wall_clock()
            self._until_s = self._wheel.now_s + 1.0 - now % 1.0
            self._field = (b"date", b"Date", formatdate(now, usegmt=True).encode("ascii"))
        return self._field
