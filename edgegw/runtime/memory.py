"""How much of the memory that it may use the process uses.

The limit is what would end the process: the cgroup's, of each level up to the root, against what that cgroup uses, other processes
included; and RLIMIT_AS, against the address space, which is what that limit is about.

    cgroup v2    memory.max             memory.current         memory.stat
    cgroup v1    memory.limit_in_bytes  memory.usage_in_bytes  memory.stat

What the kernel drops before it ends anybody counts as free: cached files that nobody maps, and what it remembers of folders and
files. Version 1 does not say how much of its own memory that is: all of it counts as free.

Sources: cgroups(7), cgroup-v2.rst and cgroup-v1/memory.rst of the kernel, proc(5), getrlimit(2); malloc_trim(3) of glibc.
"""

from __future__ import annotations

import ctypes
import gc
import os
import resource
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal, NamedTuple

Limit = Literal["auto", "off"] | int
"""`auto`: what would end the process. `off`: none. Bytes."""

_PROC = Path("/proc/self")
_CGROUPS = Path("/sys/fs/cgroup")
_PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096
# cgroup v1 says "unlimited" as the largest number of whole pages; nobody has that much.
_UNLIMITED = 1 << 60


class _Files(NamedTuple):
    """Where a version of cgroups says what. cached, mapped, slabs: lines of memory.stat, of the cgroup and those below it."""

    limit: str
    usage: str
    cached: tuple[bytes, bytes]
    mapped: bytes
    slabs: bytes = b""
    kernel: str = ""


_V1 = _Files(
    "memory.limit_in_bytes",
    "memory.usage_in_bytes",
    (b"total_inactive_file", b"total_active_file"),
    b"total_mapped_file",
    kernel="memory.kmem.usage_in_bytes",
)
_V2 = _Files(
    "memory.max", "memory.current", (b"inactive_file", b"active_file"), b"file_mapped", slabs=b"slab_reclaimable"
)


class _Group(NamedTuple):
    """A cgroup with a limit, in bytes."""

    limit: int
    folder: Path
    files: _Files

    def used(self) -> int:
        """Bytes that cannot be had back from it.

        Raises:
            OSError, ValueError: it is not said.
        """
        files = self.files
        words = (self.folder / "memory.stat").read_bytes().split()
        figures = dict(zip(words[::2], words[1::2], strict=False))
        cached = sum(int(figures.get(name, 0)) for name in files.cached) - int(figures.get(files.mapped, 0))
        kernels = self._read(files.kernel) if files.kernel else int(figures.get(files.slabs, 0))
        return max(0, self._read(files.usage) - max(0, cached) - kernels)

    def _read(self, name: str) -> int:
        return int((self.folder / name).read_bytes())


def _address_space() -> int:
    """RLIMIT_AS in bytes, negative if there is none."""
    return resource.getrlimit(resource.RLIMIT_AS)[0]


class Memory:
    """The process's memory against its limit.

    A limit of an operator's own is one for this process: what is resident of it. So is a cgroup's where its use is not said. Where
    there is no /proc (macOS, BSD) nobody says what is resident now: `share` is 0.

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
        self._groups: list[_Group] = []
        self.refresh()

    def refresh(self) -> None:
        """Look for the limits again: a container may be given more while it runs (about 150 us)."""
        if self._limit == "auto":
            self._groups = [each for each in self._found() if 0 < each.limit < _UNLIMITED]
            virtual = self._address_space()
            self.resident_limit = min((each.limit for each in self._groups), default=None)
            self.virtual_limit = virtual if 0 < virtual < _UNLIMITED else None
        else:
            self.resident_limit = self._limit if isinstance(self._limit, int) else None

    def share(self) -> float:
        """What is used of the limit, by whomever, 1.0 being all of it; 0 without a limit (about 100 us with that of one cgroup)."""
        of_groups, unsaid = 0.0, not self._groups
        for group in self._groups:
            try:
                of_groups = max(of_groups, group.used() / group.limit)
            except (OSError, ValueError):
                unsaid = True
        resident, virtual = self._own()
        return max(of_groups, virtual, resident if unsaid else 0.0)

    def own_share(self) -> float:
        """What this process alone uses of the limit; 0 without one (about 15 us with one)."""
        return max(self._own())

    def _own(self) -> tuple[float, float]:
        """The shares of what may be resident, and of the address space."""
        if self.resident_limit is None and self.virtual_limit is None:
            return 0.0, 0.0
        try:
            fields = (self._proc / "statm").read_bytes().split()
            virtual, resident = int(fields[0]) * _PAGE, int(fields[1]) * _PAGE
        except (OSError, ValueError, IndexError):
            return 0.0, 0.0
        of_resident = resident / self.resident_limit if self.resident_limit else 0.0
        return of_resident, virtual / self.virtual_limit if self.virtual_limit else 0.0

    def _found(self) -> Iterator[_Group]:
        """The cgroup that the process is in, and those around it, as far as they have a limit."""
        for folder, files in self._places():
            try:
                text = (folder / files.limit).read_text().strip()
            except OSError:
                continue
            if text.isdigit():
                yield _Group(int(text), folder, files)

    def _places(self) -> Iterator[tuple[Path, _Files]]:
        """Each folder that may hold a limit, and the names of its files.

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
                # Where versions are mixed, version 2 has a folder of its own.
                for root in (self._cgroups, self._cgroups / "unified"):
                    yield from ((folder, _V2) for folder in _upwards(root, path))
            elif "memory" in controllers.split(","):
                yield from ((folder, _V1) for folder in _upwards(self._cgroups / "memory", path))

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
