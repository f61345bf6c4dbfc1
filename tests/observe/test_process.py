"""The process's own figures."""

import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from edgegw.observe.metrics import Registry
from edgegw.observe.process import GarbagePauses, LoopLag, ProcessStats, build_info


class ProcessStatsTests(SynchronousTestCase):
    def test_figures_are_those_of_this_process(self) -> None:
        registry = Registry()
        stats = ProcessStats(registry)
        stats.refresh()
        before = registry.process_open_fds.only.value
        self.assertGreater(registry.process_cpu.only.value, 0)
        self.assertGreater(registry.process_memory.only.value, 5_000_000)
        self.assertGreaterEqual(registry.process_max_fds.only.value, before)
        fd = os.open("/dev/null", os.O_RDONLY)
        self.addCleanup(os.close, fd)
        stats.refresh()
        self.assertEqual(registry.process_open_fds.only.value, before + 1)

    def test_start_time_comes_from_procfs_even_with_a_strange_command_name(self) -> None:
        proc = Path(self.mktemp())
        (proc / "self").mkdir(parents=True)
        ticks = os.sysconf("SC_CLK_TCK")
        (proc / "self" / "stat").write_text(f"1 (a) b (c) S {'0 ' * 18}{5 * ticks} 0 0")
        (proc / "stat").write_text("cpu 1 2 3\nbtime 1000\n")
        registry = Registry()
        ProcessStats(registry, proc / "self")
        self.assertEqual(registry.process_start_time.only.value, 1005)

    def test_without_procfs_it_falls_back(self) -> None:
        registry = Registry()
        stats = ProcessStats(registry, Path(self.mktemp()), lambda: 77.0)
        stats.refresh()
        self.assertEqual(registry.process_start_time.only.value, 77.0)
        self.assertGreater(registry.process_memory.only.value, 5_000_000)
        self.assertGreater(registry.process_open_fds.only.value, 0)


class GarbagePausesTests(SynchronousTestCase):
    def test_times_each_collection_by_generation(self) -> None:
        registry = Registry()
        times = iter([10.0, 10.25, 20.0, 20.5])
        callbacks: list[object] = []
        pauses = GarbagePauses(registry, lambda: next(times), callbacks)  # type: ignore[arg-type]
        pauses.start()
        pauses.start()
        (seen,) = callbacks
        # One that had begun before we listened.
        seen("stop", {"generation": 1})  # type: ignore[operator]
        for generation in (0, 2):
            seen("start", {"generation": generation})  # type: ignore[operator]
            seen("stop", {"generation": generation})  # type: ignore[operator]
        sums = {key[0]: (cell.count, cell.sum) for key, cell in registry.gc_pause}
        self.assertEqual(sums, {"0": (1, 0.25), "1": (0, 0), "2": (1, 0.5)})
        pauses.stop()
        self.assertEqual(callbacks, [])


class LoopLagTests(SynchronousTestCase):
    def test_lag_is_what_a_tick_is_late(self) -> None:
        registry = Registry()
        times = iter([0.0, 1.0, 2.25, 3.0])
        lag = LoopLag(registry, lambda: next(times), interval_s=1.0)
        for _ in range(4):
            lag.tick()
        cell = registry.loop_lag.only
        self.assertEqual((cell.count, cell.sum), (3, 0.25))


class BuildInfoTests(SynchronousTestCase):
    def test_says_what_runs(self) -> None:
        registry = Registry()
        build_info(registry, "0.1.0", "uvloop")
        ((labels, cell),) = registry.build_info
        self.assertEqual((labels[0], labels[2], cell.value), ("0.1.0", "uvloop", 1))
