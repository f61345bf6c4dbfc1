"""Tests of edgegw.runtime.memory, over folders that look like procfs and cgroups."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from edgegw.runtime.memory import Memory

MIB = 1 << 20
PAGE = os.sysconf("SC_PAGE_SIZE")
ROOT = Path(__file__).resolve().parent.parent.parent
HOARDER = """
from edgegw.runtime.memory import Memory, give_back
memory, kept, junk = Memory(1 << 30), [], []
for number in range(40000):
    junk.append(bytes(1000))
    if number % 400 == 0:
        kept.append(bytes(1000))
full = memory.share()
del junk
freed = memory.share()
give_back()
print(full, freed, memory.share())
"""
V1_UNLIMITED = "9223372036854771712"


class Case(SynchronousTestCase):
    def setUp(self) -> None:
        self.root = Path(self.mktemp())
        self.proc, self.cgroups = self.root / "proc", self.root / "cgroup"
        self.address_space = -1
        self.uses(64 * MIB, 512 * MIB)

    def put(self, path: Path, text: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def uses(self, resident: int, virtual: int) -> None:
        self.put(self.proc / "statm", f"{virtual // PAGE} {resident // PAGE} 1000 1 0 5000 0\n")

    def member(self, *lines: str) -> None:
        self.put(self.proc / "cgroup", "".join(f"{line}\n" for line in lines))

    def limit(self, path: str, text: str | int) -> None:
        self.put(self.cgroups / path, f"{text}\n")

    def memory(self, limit: Any = "auto") -> Memory:
        return Memory(limit, self.proc, self.cgroups, lambda: self.address_space)


class LimitTests(Case):
    def test_cgroup_v2(self) -> None:
        self.member("0::/kubepods/pod1/c1")
        self.limit("kubepods/pod1/c1/memory.max", 256 * MIB)
        self.assertEqual(self.memory().resident_limit, 256 * MIB)
        self.assertAlmostEqual(self.memory().share(), 0.25)

    def test_the_narrowest_of_those_around_it(self) -> None:
        self.member("0::/kubepods/pod1/c1")
        self.limit("kubepods/pod1/c1/memory.max", "max")
        self.limit("kubepods/pod1/memory.max", 128 * MIB)
        self.limit("kubepods/memory.max", 512 * MIB)
        self.assertEqual(self.memory().resident_limit, 128 * MIB)

    def test_in_a_container_with_its_own_namespace(self) -> None:
        self.member("0::/")
        self.limit("memory.max", 256 * MIB)
        self.assertEqual(self.memory().resident_limit, 256 * MIB)

    def test_in_a_container_whose_path_is_of_the_host(self) -> None:
        self.member("0::/docker/0123", "4:memory:/docker/0123")
        self.limit("memory/memory.limit_in_bytes", 256 * MIB)
        self.assertEqual(self.memory().resident_limit, 256 * MIB)

    def test_cgroup_v1(self) -> None:
        self.member("9:name=systemd:/x", "4:cpu,memory:/app", "1:cpu:/app")
        self.limit("memory/app/memory.limit_in_bytes", 100 * MIB)
        self.limit("memory/memory.limit_in_bytes", V1_UNLIMITED)
        self.assertEqual(self.memory().resident_limit, 100 * MIB)

    def test_unlimited(self) -> None:
        self.member("0::/a", "4:memory:/a")
        self.limit("a/memory.max", "max")
        self.limit("memory/a/memory.limit_in_bytes", V1_UNLIMITED)
        memory = self.memory()
        self.assertEqual((memory.resident_limit, memory.virtual_limit, memory.share()), (None, None, 0.0))

    def test_address_space(self) -> None:
        """What that limit is about is not what is resident."""
        self.address_space = 1024 * MIB
        self.assertAlmostEqual(self.memory().share(), 0.5)
        self.member("0::/")
        self.limit("memory.max", 80 * MIB)
        self.assertAlmostEqual(self.memory().share(), 0.8)

    def test_said(self) -> None:
        self.member("0::/")
        self.limit("memory.max", 80 * MIB)
        self.address_space = 513 * MIB
        self.assertAlmostEqual(self.memory(640 * MIB).share(), 0.1)
        self.assertEqual(self.memory("off").share(), 0.0)

    def test_changed_while_it_runs(self) -> None:
        self.member("0::/")
        self.limit("memory.max", 128 * MIB)
        memory = self.memory()
        self.limit("memory.max", 640 * MIB)
        self.assertAlmostEqual(memory.share(), 0.5)
        memory.refresh()
        self.assertAlmostEqual(memory.share(), 0.1)
        said = self.memory(128 * MIB)
        said.refresh()
        self.assertAlmostEqual(said.share(), 0.5)

    def test_repr(self) -> None:
        self.assertEqual(repr(self.memory(640 * MIB)), "<Memory 10.0%, resident at most 640 MiB>")
        self.assertEqual(repr(self.memory()), "<Memory 0.0%, no limit>")


class UseTests(Case):
    """What counts as used of a cgroup's limit."""

    def v1(self, path: str, limit: int | str, usage: int, kernel: int = 0, **stat: int) -> None:
        self.limit(f"memory/{path}/memory.kmem.usage_in_bytes", kernel)
        self.limit(f"memory/{path}/memory.limit_in_bytes", limit)
        self.limit(f"memory/{path}/memory.usage_in_bytes", usage)
        # What is below it counts as well: the lines without `total_` leave it out.
        lines = [f"{name} 1\ntotal_{name} {value}" for name, value in stat.items()]
        self.limit(f"memory/{path}/memory.stat", "\n".join(["cache 1", *lines]))

    def v2(self, path: str, limit: int | str, usage: int, **stat: int) -> None:
        self.limit(f"{path}/memory.max", limit)
        self.limit(f"{path}/memory.current", usage)
        self.limit(f"{path}/memory.stat", "\n".join(f"{name} {value}" for name, value in stat.items()))

    def test_version_1(self) -> None:
        """All that the cgroup uses, and not what this process has resident."""
        self.member("4:memory:/app")
        self.v1("app", 200 * MIB, 150 * MIB)
        self.assertAlmostEqual(self.memory().share(), 0.75)
        self.assertAlmostEqual(self.memory().own_share(), 0.32)

    def test_version_2(self) -> None:
        self.member("0::/app")
        self.v2("app", 200 * MIB, 150 * MIB, anon=100 * MIB)
        self.assertAlmostEqual(self.memory().share(), 0.75)
        self.assertAlmostEqual(self.memory().own_share(), 0.32)

    def test_cached_files_are_free(self) -> None:
        """But not those that are mapped: programs run from them."""
        self.member("0::/a", "4:memory:/a")
        files = {"inactive_file": 60 * MIB, "active_file": 50 * MIB}
        self.v1("a", 200 * MIB, 190 * MIB, mapped_file=10 * MIB, **files)
        self.assertAlmostEqual(self.memory().share(), 0.45)
        self.v2("a", 200 * MIB, 190 * MIB, file_mapped=30 * MIB, **files)
        self.assertAlmostEqual(self.memory().share(), 0.55)

    def test_what_the_kernel_remembers_of_files_is_free(self) -> None:
        self.member("0::/a", "4:memory:/a")
        self.v1("a", 200 * MIB, 190 * MIB, kernel=40 * MIB, inactive_file=60 * MIB)
        self.assertAlmostEqual(self.memory().share(), 0.45)
        self.v2("a", 200 * MIB, 190 * MIB, slab_reclaimable=80 * MIB, slab_unreclaimable=50 * MIB)
        self.assertAlmostEqual(self.memory().share(), 0.55)

    def test_mapped_memory_that_is_no_file(self) -> None:
        """Shared memory is mapped too, and no cached file."""
        self.member("0::/a")
        self.v2("a", 200 * MIB, 100 * MIB, inactive_file=10 * MIB, file_mapped=70 * MIB)
        self.assertAlmostEqual(self.memory().share(), 0.5)

    def test_the_fullest_of_those_around_it(self) -> None:
        """Its own has room, the one around it has not: others use that too."""
        self.member("4:memory:/pod/c1")
        self.v1("pod/c1", 100 * MIB, 50 * MIB)
        self.v1("pod", 400 * MIB, 380 * MIB, inactive_file=20 * MIB)
        self.v1("", V1_UNLIMITED, 8000 * MIB)
        memory = self.memory()
        self.assertAlmostEqual(memory.share(), 0.9)
        self.assertEqual(memory.resident_limit, 100 * MIB)

    def test_no_limit(self) -> None:
        self.member("0::/a", "4:memory:/a")
        self.v1("a", V1_UNLIMITED, 8000 * MIB)
        self.v2("a", "max", 8000 * MIB)
        self.assertEqual((self.memory().share(), self.memory().own_share()), (0.0, 0.0))

    def test_version_2_beside_version_1(self) -> None:
        self.member("4:cpu:/", "0::/app")
        self.v2("unified/app", 200 * MIB, 150 * MIB)
        self.assertAlmostEqual(self.memory().share(), 0.75)

    def test_not_said(self) -> None:
        """Then what is resident counts."""
        self.member("0::/a")
        self.v2("a", 200 * MIB, 150 * MIB)
        memory = self.memory()
        (self.cgroups / "a/memory.current").unlink()
        self.assertAlmostEqual(memory.share(), 0.32)

    def test_a_limit_of_ones_own_is_for_the_process(self) -> None:
        self.member("0::/a")
        self.v2("a", 200 * MIB, 150 * MIB)
        self.assertAlmostEqual(self.memory(640 * MIB).share(), 0.1)

    def test_address_space_beside_it(self) -> None:
        self.address_space = 640 * MIB
        self.member("0::/a")
        self.v2("a", 200 * MIB, 100 * MIB)
        self.assertAlmostEqual(self.memory().share(), 0.8)


class ElsewhereTests(Case):
    def test_no_procfs(self) -> None:
        memory = Memory(128 * MIB, self.root / "none", self.cgroups, lambda: -1)
        self.assertEqual(memory.share(), 0.0)
        Memory("auto", self.root / "none", self.root / "none", lambda: -1)

    def test_nonsense(self) -> None:
        self.put(self.proc / "statm", "")
        self.member("what", "0::/a:b")
        self.limit("a:b/memory.max", "many")
        self.assertEqual(self.memory().resident_limit, None)
        self.assertEqual(self.memory(MIB).share(), 0.0)


class RealTests(SynchronousTestCase):
    def test_of_this_process(self) -> None:
        if not Path("/proc/self/statm").exists():
            return
        share = Memory(1 << 40).share()
        self.assertTrue(0 < share < 0.01, share)

    def test_address_space_of_this_process(self) -> None:
        # None, or a number that makes sense.
        limit = Memory().virtual_limit
        self.assertTrue(limit is None or limit > MIB, limit)

    def test_giving_back(self) -> None:
        """In a process of its own: in this one nobody knows what the heap looks like."""
        done = subprocess.run(
            [sys.executable, "-c", HOARDER], capture_output=True, text=True, timeout=60, check=True, cwd=os.getcwd(),
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        full, freed, given = map(float, done.stdout.split())
        if platform.libc_ver()[0] == "glibc":
            # Memory that was freed, but lies between what was not, stays with the process until it is asked for.
            self.assertLess(given, freed / 2)
        self.assertLessEqual(given, full)
