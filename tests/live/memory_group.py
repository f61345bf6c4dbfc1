"""A memory cgroup of its own for a server, version 1 or 2: `MemoryGroup`, and `GroupedGateway` in it. Where none can be made,
`ToldLimit`: the gateway is told its limit and looks at its own memory, and nobody could kill it.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from tests.live.process import wait_until
from tests.live.servers import Gateway

ROOT = Path("/sys/fs/cgroup")
NEEDS = """\
no memory cgroup can be made, which needs root, and /sys/fs/cgroup/memory (version 1) or /sys/fs/cgroup (version
2, with `memory` in cgroup.subtree_control or to be put there) mounted writable; in a container --privileged --cgroupns=host.
Here: """


class MemoryGroup:
    """Its folder is made at once; `remove` takes it away when what was in it has ended.

    Raises:
        AssertionError: it cannot be made; says what it takes.
    """

    setting = "auto"

    def __init__(self) -> None:
        name = f"edgegw-test-{os.getpid()}"
        self.old = (ROOT / "memory" / "memory.limit_in_bytes").exists()
        self.folder = (ROOT / "memory" if self.old else ROOT) / name
        try:
            if not self.old and "memory" not in (ROOT / "cgroup.subtree_control").read_text().split():
                (ROOT / "cgroup.subtree_control").write_text("+memory")
            self.folder.mkdir()
            self.limit(1 << 40)
        except OSError as error:
            raise AssertionError(f"{NEEDS}{error}") from None

    def limit(self, size: int) -> None:
        """Bytes from now on; swap does not help."""
        names = ("memory.limit_in_bytes", "memory.swappiness") if self.old else ("memory.max", "memory.swap.max")
        (self.folder / names[0]).write_text(str(size))
        if (self.folder / names[1]).exists():
            (self.folder / names[1]).write_text("0")

    def used(self) -> int:
        """Bytes that the kernel can't have back by forgetting files; what is mapped of them is not counted here."""
        usage = int((self.folder / ("memory.usage_in_bytes" if self.old else "memory.current")).read_text())
        figures = dict(line.split() for line in (self.folder / "memory.stat").read_text().splitlines())
        kernels = int(
            (self.folder / "memory.kmem.usage_in_bytes").read_text() if self.old else figures["slab_reclaimable"]
        )
        return usage - int(figures["inactive_file"]) - int(figures["active_file"]) - kernels

    def killed(self) -> int:
        """How many processes the kernel ended for want of memory."""
        said = (self.folder / ("memory.oom_control" if self.old else "memory.events")).read_text()
        return int(dict(line.split() for line in said.splitlines())["oom_kill"])

    def remove(self) -> None:
        """Whoever was in it was killed before."""
        procs = self.folder / "cgroup.procs"
        wait_until(lambda: not procs.read_text().split(), "nobody is in the cgroup any more")
        self.folder.rmdir()


class ToldLimit:
    """In place of a cgroup."""

    setting = ""

    def __init__(self) -> None:
        self.gateway: Gateway | None = None

    def limit(self, size: int) -> None:
        """`MemoryGroup`."""
        self.setting = f"{size >> 20}MiB"

    def used(self) -> int:
        """What of the gateway is resident."""
        assert self.gateway is not None
        statm = Path(f"/proc/{self.gateway.pids()[0]}/statm")
        return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def killed(self) -> int:
        """`MemoryGroup`: nobody is."""
        return 0

    def remove(self) -> None:
        """`MemoryGroup`."""


def memory_group() -> MemoryGroup | ToldLimit:
    """A cgroup; where none can be made, what stands in for it, and a line that says so."""
    try:
        return MemoryGroup()
    except AssertionError as error:
        print(f"{error}\nwithout it the gateway is told its limit")
        return ToldLimit()


class GroupedGateway(Gateway):
    """A gateway that is in the group before it is a gateway."""

    def __init__(self, text: str, group: MemoryGroup | ToldLimit, **options: Any) -> None:
        super().__init__(text.replace("@MEMORY", group.setting), **options)
        self.group = group
        if isinstance(group, ToldLimit):
            group.gateway = self

    def command(self) -> list[str]:
        if isinstance(self.group, ToldLimit):
            return super().command()
        enter = 'echo $$ > "$0/cgroup.procs" && exec "$@"'
        return ["sh", "-c", enter, str(self.group.folder), *super().command()]
