"""Reading a process tree."""

import os
import subprocess
import sys
from unittest import TestCase

from benchmarks.measure import cpu_s, rss_kib, rss_peak_kib, tree

BURN = "import os\nwhile sum(os.times()[:2]) < 0.3: pass"
HOLD = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {BURN!r}]); print('done', flush=True); input()"


class TreeTests(TestCase):
    """`tree`, `cpu_s`, `rss_kib` on a process of our own."""

    def test_reaped_children_count(self) -> None:
        """CPU that an ended child has used is still the tree's; the child itself is not in the tree any more."""
        with subprocess.Popen(
            [sys.executable, "-c", HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None and process.stdin is not None
            process.stdout.readline()
            self.assertGreaterEqual(cpu_s(process.pid), 0.3)
            self.assertEqual(tree(process.pid), [process.pid])
            self.assertIn(process.pid, tree(os.getpid()))
            self.assertGreater(rss_kib(process.pid), 1000)
            self.assertGreaterEqual(rss_peak_kib(process.pid), rss_kib(process.pid))
            process.stdin.write("\n")
