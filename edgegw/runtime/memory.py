"""How much of the memory that it may use the process uses.

The limit is what would end the process: the cgroup's (v2 `memory.max`, v1 `memory.limit_in_bytes`; each level up to the root
counts), against what is resident; and RLIMIT_AS, against the address space, which is what that limit is about.

Sources: cgroups(7), proc(5), getrlimit(2); malloc_trim(3) of glibc.
"""

from __future__ import annotations

import ctypes
import gc
import os
import resource
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

Limit = Literal["auto", "off"] | int
"""`auto`: what would end the process. `off`: none. Bytes."""

_PROC = Path("/proc/self")
_CGROUPS = Path("/sys/fs/cgroup")
_PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096
# cgroup v1 says "unlimited" as the largest number of whole pages; nobody has that much.
_UNLIMITED = 1 << 60


def _address_space() -> int:
    """RLIMIT_AS in bytes, negative if there is none."""
    return resource.getrlimit(resource.RLIMIT_AS)[0]


class Memory:
    """The process's memory against its limit.

    Where there is no /proc (macOS, BSD) nobody says what is resident now: `share` is 0.

    Args:
        limit: see `Limit`. proc: the process's folder of procfs. cgroups: where cgroups are mounted. address_space: RLIMIT_AS.
    """

    def __init__(
        self,
        limit: Limit = "auto",
        proc: Path = _PROC,
        cgroups: Path = _CGROUPS,
        address_space: Callable[[], int] = _address_space,
    ) -> None:
        self._limit = limit
        self._proc = proc
        self._cgroups = cgroups
        self._address_space = address_space
        self.resident_limit: int | None = None
        """Bytes that may be resident; None is no limit."""
        self.virtual_limit: int | None = None
        """Bytes of address space; None is no limit."""
        self.refresh()

    def refresh(self) -> None:
        """Look for the limits again: a container may be given more while it runs (about 50 us)."""
        if self._limit == "auto":
            found = [each for each in self._of_cgroups() if each < _UNLIMITED]
            virtual = self._address_space()
            self.resident_limit = min(found, default=None)
            self.virtual_limit = virtual if 0 < virtual < _UNLIMITED else None
        else:
            self.resident_limit = self._limit if isinstance(self._limit, int) else None

    def share(self) -> float:
        """What is used of the limit, 1.0 being all of it; 0 without a limit (about 15 us with one)."""
        if self.resident_limit is None and self.virtual_limit is None:
            return 0.0
        try:
            fields = (self._proc / "statm").read_bytes().split()
            virtual, resident = int(fields[0]) * _PAGE, int(fields[1]) * _PAGE
        except (OSError, ValueError, IndexError):
            return 0.0
        of_resident = resident / self.resident_limit if self.resident_limit else 0.0
        return max(of_resident, virtual / self.virtual_limit if self.virtual_limit else 0.0)

    def _of_cgroups(self) -> Iterator[int]:
        """The limits of the cgroup that the process is in, and of those around it."""
        for place, name in self._places():
            try:
                text = (place / name).read_text().strip()
            except OSError:
                continue
            if text.isdigit():
                yield int(text)

    def _places(self) -> Iterator[tuple[Path, str]]:
        """Each folder that may hold a limit, and the name of the file.

        In a container the path is often that of the host, and what is mounted is only the container's part of it: then its root
        is the right folder.
        """
        try:
            lines = (self._proc / "cgroup").read_text().splitlines()
        except OSError:
            return
        for line in lines:
            _, _, rest = line.partition(":")
            controllers, _, path = rest.partition(":")
            if controllers == "":
                yield from ((place, "memory.max") for place in _upwards(self._cgroups, path))
            elif "memory" in controllers.split(","):
                root = self._cgroups / "memory"
                yield from ((place, "memory.limit_in_bytes") for place in _upwards(root, path))

    def __repr__(self) -> str:
        limits = (("resident", self.resident_limit), ("virtual", self.virtual_limit))
        said = ", ".join(f"{name} at most {bytes_ >> 20} MiB" for name, bytes_ in limits if bytes_ is not None)
        return f"<Memory {self.share():.1%}, {said or 'no limit'}>"


def _upwards(root: Path, path: str) -> Iterator[Path]:
    parts = [part for part in path.split("/") if part not in ("", "..")]
    for count in range(len(parts), -1, -1):
        yield root.joinpath(*parts[:count])


def give_back() -> None:
    """Collect garbage and return to the kernel what the allocator keeps, so that freed memory counts as free.

    Takes milliseconds, with a big heap a good part of a second: for when memory is short.
    """
    gc.collect()
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError):
        # Not glibc.
        return
    trim(0)
