"""What a process tree used, read from /proc, and the sample that a probe returns."""

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_PROC = Path("/proc")


@dataclass(frozen=True)
class Sample:
    """One peer, one round. `value` is what the row compares: CPU microseconds per request, or KiB per connection."""

    value: float
    requests: int
    rps: float = 0.0
    p50_ms: float = 0.0
    p99_ms: float = 0.0
    rss_kib: int = 0
    rss_peak_kib: int = 0
    errors: tuple[str, ...] = ()


def tree(root: int) -> list[int]:
    """Process ids of `root` and all its living descendants."""
    children: dict[int, list[int]] = {}
    for entry in _PROC.iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                children.setdefault(int(_stat(int(entry.name))[1]), []).append(int(entry.name))
    found = [root]
    for pid in found:
        found.extend(children.get(pid, ()))
    return found


def cpu_s(root: int) -> float:
    """CPU seconds, user and system, that the tree has used since its start, children already reaped included."""
    ticks = 0
    for pid in tree(root):
        with suppress(OSError):
            # proc(5): utime, stime, cutime, cstime are fields 14 to 17; `_stat` starts at field 3.
            ticks += sum(int(field) for field in _stat(pid)[11:15])
    return ticks / _TICKS_PER_S


def rss_kib(root: int) -> int:
    """Resident memory of the tree now, KiB; pages that its processes share count once for each."""
    return _status_kib(root, "VmRSS:")


def rss_peak_kib(root: int) -> int:
    """The sum of each process's highest resident memory since `reset_peak`, KiB."""
    return _status_kib(root, "VmHWM:")


def reset_peak(root: int) -> None:
    """Let the peak start again from the present size (proc(5), /proc/PID/clear_refs, value 5)."""
    for pid in tree(root):
        with suppress(OSError):
            (_PROC / str(pid) / "clear_refs").write_text("5")


def _stat(pid: int) -> list[str]:
    # The name in field 2 may hold spaces and brackets, so the fields are counted from its last bracket: field 3 on.
    return (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()


def _status_kib(root: int, key: str) -> int:
    total = 0
    for pid in tree(root):
        with suppress(OSError):
            lines = (_PROC / str(pid) / "status").read_text().splitlines()
            total += sum(int(line.split()[1]) for line in lines if line.startswith(key))
    return total
