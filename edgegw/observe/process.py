"""The process looks at itself: CPU, memory, descriptors, garbage collections, and how late its loop is."""

from __future__ import annotations

import gc
import os
import platform
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from edgegw.observe.metrics import Registry

_PROC = Path("/proc/self")
_TICKS = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100
_PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096


class ProcessStats:
    """Keeps the process families of a registry current: append `refresh` to `Registry.refresh` (about 60 us a scrape).

    Where there is no /proc (macOS, BSD): memory is the peak, descriptors are counted in /dev/fd, the start is when this was made.

    Args:
        proc: the process's folder of procfs; wall: Unix time.
    """

    def __init__(
        self,
        registry: Registry,
        proc: Path = _PROC,
        wall: Callable[[], float] = time.time,  # noqa: TID251 - the default of an injected clock.
    ) -> None:
        self._registry = registry
        self._proc = proc
        registry.process_start_time.only.set(_started_s(proc) or wall())

    def refresh(self) -> None:
        """Read everything anew; what cannot be read keeps its last value."""
        registry = self._registry
        used = resource.getrusage(resource.RUSAGE_SELF)
        registry.process_cpu.only.value = used.ru_utime + used.ru_stime
        registry.process_memory.only.set(self._resident_bytes(used.ru_maxrss))
        registry.process_max_fds.only.set(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
        for folder in (self._proc / "fd", Path("/dev/fd")):
            try:
                # Listing opens one more descriptor.
                registry.process_open_fds.only.set(len(os.listdir(folder)) - 1)
                return
            except OSError:
                continue

    def _resident_bytes(self, peak: int) -> int:
        try:
            return int((self._proc / "statm").read_bytes().split()[1]) * _PAGE
        except (OSError, ValueError, IndexError):
            return peak if sys.platform == "darwin" else peak * 1024

    def __repr__(self) -> str:
        return f"<ProcessStats from {self._proc}>"


def _started_s(proc: Path) -> float | None:
    """When the process started, as Unix time, from procfs (proc(5), field 22 of stat); None where there is none."""
    try:
        # The second field is the command's name in parentheses and may hold anything.
        since_boot = int((proc / "stat").read_bytes().rpartition(b")")[2].split()[19]) / _TICKS
        boot = next(
            int(line.split()[1])
            for line in (proc.parent / "stat").read_bytes().splitlines()
            if line.startswith(b"btime")
        )
    except (OSError, ValueError, IndexError, StopIteration):
        return None
    return boot + since_boot


class GarbagePauses:
    """Times Python's garbage collections (`edgegw_gc_pause_seconds`).

    Args:
        clock: seconds, fine-grained. callbacks: `gc.callbacks`.
    """

    def __init__(
        self,
        registry: Registry,
        clock: Callable[[], float] = time.perf_counter,  # noqa: TID251 - the default of an injected clock.
        callbacks: list[Callable[[Literal["start", "stop"], dict[str, int]], object]] = gc.callbacks,
    ) -> None:
        self._cells = [registry.gc_pause.child(generation=str(generation)) for generation in range(3)]
        self._clock = clock
        self._callbacks = callbacks
        self._began_s = -1.0

    def start(self) -> None:
        """Begin to listen."""
        if self._seen not in self._callbacks:
            self._callbacks.append(self._seen)

    def stop(self) -> None:
        """Listen no more."""
        if self._seen in self._callbacks:
            self._callbacks.remove(self._seen)

    def _seen(self, phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            self._began_s = self._clock()
        elif self._began_s >= 0:
            self._cells[info["generation"]].observe(self._clock() - self._began_s)
            self._began_s = -1.0


class LoopLag:
    """Measures how late a periodic timer runs (`edgegw_loop_lag_seconds`): the tick of a `Supervised` every `interval_s`.

    Args:
        clock: the loop's own monotonic seconds.
    """

    def __init__(self, registry: Registry, clock: Callable[[], float], interval_s: float = 1.0) -> None:
        self._cell = registry.loop_lag.only
        self._clock = clock
        self.interval_s = interval_s
        self._last_s: float | None = None

    def tick(self) -> None:
        """The timer ran."""
        now_s = self._clock()
        if self._last_s is not None:
            self._cell.observe(max(0.0, now_s - self._last_s - self.interval_s))
        self._last_s = now_s


def build_info(registry: Registry, version: str, loop: str) -> None:
    """Say once what is running: the gateway's version and the loop's name (`uvloop`, `asyncio`, `epoll`)."""
    registry.build_info.child(version=version, python=platform.python_version(), loop=loop).set(1)
