"""run, init and proxy: in this process as far as they start nothing, in processes of their own beyond that."""

import io
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

from edgegw.cli import main, starting
from tests.cli.case import CliCase, Terminal
from tests.live.process import free_port, wait_until

ROOT = Path(__file__).resolve().parent.parent.parent


class InitTests(CliCase):
    def test_what_it_writes_is_right(self) -> None:
        self.assertEqual(self.run_edgegw("init").status, 0)
        # The ports it names may be in use here, which is a warning.
        free = Path("edgegw.yaml").read_text().replace("8080", str(free_port())).replace("9902", str(free_port()))
        Path("free.yaml").write_text(free)
        self.assertEqual(self.run_edgegw("check free.yaml --strict").status, 0)
        self.assertEqual(self.run_edgegw("match /hello").status, 0)
        self.assertLessEqual(len(Path("edgegw.yaml").read_text().splitlines()), 12)

    def test_nothing_is_overwritten(self) -> None:
        Path("edgegw.yaml").write_text("mine")
        self.assertEqual(self.run_edgegw("init").status, 1)
        self.assertEqual(Path("edgegw.yaml").read_text(), "mine")

    def test_schema_for_editors(self) -> None:
        self.assertEqual(self.run_edgegw("init --schema").status, 0)
        first = Path("edgegw.yaml").read_text().splitlines()[0]
        self.assertEqual(first, "# yaml-language-server: $schema=./edgegw.schema.json")
        self.assertEqual(Path("edgegw.schema.json").read_text(), self.run_edgegw("schema").out)
        self.assertEqual(self.run_edgegw("check").status, 0)


class RunTests(CliCase):
    """Without starting anything."""

    def test_a_wrong_configuration_is_told_before_anything_starts(self) -> None:
        Path("edgegw.yaml").write_text("edgegw: 1\nlisten: [80800]\n")
        with patch.object(starting.twistd, "runApp") as run:
            done = self.run_edgegw("run")
        self.assertEqual((done.status, done.out, run.called), (1, "", False))
        self.assertIn("edgegw.yaml:2:10: error:", done.err)

    def test_proxy_leaves_nothing_behind(self) -> None:
        made: list[Path] = []

        def run(path: str, loop: str) -> int:
            made.append(Path(path))
            self.assertEqual(made[0].parent.stat().st_mode & 0o777, 0o700)
            self.assertIn("http://localhost:3000", made[0].read_text())
            return 0

        with patch.object(starting, "_twistd", run):
            self.assertEqual(self.run_edgegw("proxy :8080 :3000").status, 0)
        self.assertFalse(made[0].parent.exists())

    def offered(self, answer: str, stream: type[io.StringIO]) -> bool:
        """Whether there is a configuration after `run` in an empty folder."""
        out, stdin = stream(), stream(f"{answer}\n")
        with patch.object(starting.sys, "stdin", stdin), patch("builtins.input", lambda _: stdin.readline()):
            main(["run"], stdout=out, stderr=out, environ={})
        return Path("edgegw.yaml").exists()

    def test_an_empty_folder_at_a_terminal_offers_init(self) -> None:
        self.assertFalse(self.offered("n", Terminal))
        self.assertTrue(self.offered("y", Terminal))

    def test_an_empty_folder_elsewhere_asks_nothing(self) -> None:
        self.assertFalse(self.offered("y", io.StringIO))


class ProcessTests(CliCase):
    """Real gateways."""

    def edgegw(self, *words: str) -> "subprocess.Popen[str]":
        environ = {"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]}
        command = [sys.executable, "-m", "edgegw.cli", *words]
        process = subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.addCleanup(process.stdout.close if process.stdout else print)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def until(self, ready: Callable[[], bool], process: "subprocess.Popen[str]") -> None:
        """Wait for the process to be ready; one that ends instead is a failure that shows what it said."""
        wait_until(lambda: ready() or process.poll() is not None, "the gateway is ready or ended", 20)
        if process.poll() is not None:
            self.fail(process.stdout.read() if process.stdout else "")

    def test_from_start_to_stop(self) -> None:
        port = free_port()
        text = (
            f"edgegw: 1\nlisten:\n  - {{port: {port}, interface: 127.0.0.1}}\n"
            "shutdown: {lame_duck: 0s, grace: 1s}\nroutes:\n  - {match: /a, respond: {status: 200, body: one}}\n"
        )
        Path("edgegw.yaml").write_text(text)
        gateway = self.edgegw("run")
        self.until(lambda: self.run_edgegw("status").status == 0, gateway)
        Path("edgegw.yaml").write_text(text.replace("one", "two"))
        self.assertEqual(self.run_edgegw("reload").status, 0)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/a", timeout=10) as answer:
            self.assertEqual(answer.read(), b"two")
        self.assertEqual(self.run_edgegw("rollback 1").status, 0)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/a", timeout=10) as answer:
            self.assertEqual(answer.read(), b"one")
        second = self.edgegw("run")
        self.assertEqual(second.wait(20), 1)
        self.assertEqual(self.run_edgegw("stop").status, 0)
        self.assertEqual(gateway.wait(20), 0)
        said = gateway.stdout.read() if gateway.stdout else ""
        self.assertIn(f"  http   127.0.0.1:{port}  http://127.0.0.1:{port}/\n", said)
        self.assertEqual(self.run_edgegw("status").status, 1)
        self.assertFalse(Path("edgegw-state/control.sock").exists())

    def test_proxy(self) -> None:
        port, behind = free_port(), free_port()
        process = self.edgegw("proxy", f"127.0.0.1:{port}", str(behind))
        self.until(lambda: self.answers(port), process)
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(20), 0)
        self.assertEqual(sorted(os.listdir(self.folder)), [])

    def answers(self, port: int) -> bool:
        """Whether the gateway serves, its handlers of signals in place: the kernel alone accepts before that."""
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10).close()
        except urllib.error.HTTPError:
            return True  # Nobody listens behind it.
        except OSError:
            return False
        return True
