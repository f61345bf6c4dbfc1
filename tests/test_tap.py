"""`twistd edgegw`, as a process: the loop, what stands in the way of a start, daemons, signals.

Each test is a process or two of its own, because a process chooses its reactor once.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import unittest
import urllib.request
from pathlib import Path

from tests.live.process import free_port, wait_until

ROOT = Path(__file__).resolve().parent.parent
LIMIT_S = 30
TWISTD = ("-c", "from twisted.scripts.twistd import run; run()")

# Fails on the first import of the reactor that comes before it was chosen.
GUARD = """
import sys, traceback

class Guard:
    def find_spec(self, name, path=None, target=None):
        if name == "twisted.internet.reactor":
            traceback.print_stack()
            raise SystemExit("the reactor was imported before it was chosen")

sys.meta_path.insert(0, Guard())
from twisted.scripts.twistd import ServerOptions
options = ServerOptions()
options.parseOptions(sys.argv[1:])
print("chosen:", options.subOptions["loop_installed"])
"""


class TapCase(unittest.TestCase):
    def setUp(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="edgegw-tap-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.port = free_port()
        self.config = self.folder / "gw.yaml"
        self.write()

    def write(self, more: str = "", listen: str = "", body: str = "hello") -> None:
        """`PORT` stands for the port."""
        text = f"""\
            edgegw: 1
            listen: [{listen or "{port: PORT, interface: 127.0.0.1}"}]
            shutdown: {{lame_duck: 0s, grace: 5s}}
            routes: [{{match: "/**", respond: {{status: 200, body: {body}}}}}]
            {more}
            """
        self.config.write_text(textwrap.dedent(text).replace("PORT", str(self.port)))

    def environment(self) -> dict[str, str]:
        return {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}

    def run_python(self, *args: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *args],
            cwd=self.folder,
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )

    def twistd(self, *args: str) -> subprocess.CompletedProcess[str]:
        return self.run_python(*TWISTD, *args)

    def start(self, *args: str, command: tuple[str, ...] = ()) -> subprocess.Popen[str]:
        """In the foreground; serves when this returns."""
        process = subprocess.Popen(
            [*command, sys.executable, *TWISTD, "--nodaemon", "--pidfile=", *args, "edgegw", "--config", "gw.yaml"],
            cwd=self.folder,
            env=self.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            pass_fds=self.passed(),
        )
        self.addCleanup(self.kill, process)
        wait_until(lambda: process.poll() is not None or self.serves(), "it serves")
        return process

    def passed(self) -> tuple[int, ...]:
        return ()

    def kill(self, process: "subprocess.Popen[str]") -> None:
        process.kill()
        process.communicate()

    def serves(self) -> bool:
        return self.get() is not None

    def get(self) -> str | None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/", timeout=2) as answer:
                return str(answer.read().decode())
        except OSError:
            return None


class LoopTests(TapCase):
    def chosen(self, *args: str, before: str = "") -> subprocess.CompletedProcess[str]:
        return self.run_python("-c", before + GUARD, "--nodaemon", "--pidfile=", *args)

    def test_nothing_imports_the_reactor_before_it_is_chosen(self) -> None:
        """With every plugin there is, and all loops."""
        for loop, found in (("auto", "uvloop"), ("uvloop", "uvloop"), ("asyncio", "asyncio"), ("epoll", "epoll")):
            with self.subTest(loop=loop):
                done = self.chosen("edgegw", "--config", "gw.yaml", "--loop", loop)
                self.assertEqual((done.stdout.strip(), done.stderr), (f"chosen: {found}", ""))

    def test_unknown_loop(self) -> None:
        done = self.twistd("-n", "edgegw", "--loop", "fast")
        self.assertEqual(done.returncode, 1)
        self.assertIn("--loop fast: known are auto, uvloop, asyncio, epoll", done.stdout)

    def test_a_loop_that_is_not_there(self) -> None:
        block = "import sys; sys.modules['uvloop'] = None\n"
        done = self.run_python("-c", block + TWISTD[1], "-n", "edgegw", "--loop", "uvloop")
        self.assertEqual(done.returncode, 1)
        self.assertIn("pip install uvloop", done.stdout)
        self.assertNotIn("Traceback", done.stdout + done.stderr)

    def test_a_reactor_that_was_asked_for(self) -> None:
        """It is respected, without a word; only a loop that was asked for too is told to be of no use."""
        script = GUARD.replace("sys.meta_path.insert(0, Guard())", "")
        done = self.run_python("-c", script, "-n", "--reactor", "poll", "edgegw", "--config", "gw.yaml")
        self.assertEqual((done.stdout.strip(), done.stderr), ("chosen: PollReactor", ""))
        done = self.run_python(
            "-c", script, "-n", "--reactor", "poll", "edgegw", "--config", "gw.yaml", "--loop", "epoll"
        )
        self.assertEqual(done.stdout.strip(), "chosen: PollReactor")
        self.assertIn("--loop epoll has no effect: twistd --reactor poll was asked for", done.stderr)

    def test_a_reactor_that_nobody_asked_for(self) -> None:
        script = "import twisted.internet.reactor\n" + GUARD.replace("sys.meta_path.insert(0, Guard())", "")
        done = self.run_python("-c", script, "-n", "edgegw", "--config", "gw.yaml")
        self.assertEqual(done.stdout.strip(), "chosen: epoll")
        self.assertIn("warning: a reactor (epoll) was there before --loop auto could take effect", done.stderr)

    def test_serves_on_a_stock_reactor(self) -> None:
        process = self.start("--reactor", "poll")
        self.assertEqual(self.get(), "hello")
        process.terminate()
        out, err = process.communicate(timeout=LIMIT_S)
        self.assertEqual(process.returncode, 0, out + err)


class CommandTests(TapCase):
    def test_help_and_version(self) -> None:
        done = self.twistd("edgegw", "--help")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("--config=", done.stdout)
        done = self.twistd("edgegw", "--version")
        self.assertRegex(done.stdout, r"^edgegw \d")

    def test_listed(self) -> None:
        self.assertRegex(self.twistd("--help").stdout, r"(?m)^\s+edgegw\s+An edge gateway")


class RefusalTests(TapCase):
    """What stands in the way of a start: told in full with its place, status 1, no traceback; for a daemon just so."""

    def refused(self, *said: str, args: tuple[str, ...] = (), daemon: bool = False) -> None:
        for mode in (("--nodaemon",), ())[: 1 + daemon]:
            with self.subTest(daemon=not mode):
                done = self.twistd(*mode, "--pidfile=x.pid", *args, "edgegw", "--config", "gw.yaml")
                shown = done.stdout + done.stderr
                self.assertEqual(done.returncode, 1, shown)
                for each in said:
                    self.assertIn(each, done.stderr)
                self.assertNotIn("Traceback", shown)
                self.assertFalse((self.folder / "x.pid").exists())

    def test_no_file(self) -> None:
        self.config.unlink()
        self.refused("gw.yaml:1:1: error: the configuration cannot be read: no such file or directory", "did not start")

    def test_bad_configuration(self) -> None:
        self.write("rutes: []")
        self.refused('gw.yaml:5:1: error: unknown key "rutes"', 'did you mean "routes"?', daemon=True)

    def test_port_in_use(self) -> None:
        with socket.create_server(("127.0.0.1", self.port)):
            self.refused(
                f"gw.yaml:2:10: error: cannot listen on 127.0.0.1:{self.port}: address already in use", daemon=True
            )

    def test_state_folder(self) -> None:
        (self.folder / "file").write_text("")
        self.write("state: file/x")
        self.refused("gw.yaml:5:8: error: cannot open the control socket", "file exists")

    def test_access_log(self) -> None:
        self.write("observe: {access_log: no/such/folder/a.log}")
        self.refused("gw.yaml:5:23: error: the access log", "cannot be opened: no such file or directory")

    def test_log_file(self) -> None:
        self.refused("the log file", "cannot be opened", "did not start", args=("--logfile", "no/such/x.log"))

    def test_another_gateway(self) -> None:
        self.start()
        self.refused("another gateway runs with this state folder", "1 error", "did not start", daemon=True)
        self.assertEqual(self.get(), "hello", "the one that runs is not disturbed")


class SignalTests(TapCase):
    def ended(self, process: "subprocess.Popen[str]") -> str:
        out, err = process.communicate(timeout=LIMIT_S)
        self.assertEqual(process.returncode, 0, out + err)
        self.assertNotIn("Traceback", err)
        return err

    def test_terminate_and_interrupt_drain(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            with self.subTest(signal=number.name):
                process = self.start()
                process.send_signal(number)
                self.assertIn("draining: lame duck 0.0 s, grace 5.0 s", self.ended(process))

    def test_a_second_signal_ends_at_once(self) -> None:
        self.write(body="x")
        self.config.write_text(self.config.read_text().replace("lame_duck: 0s", "lame_duck: 60s"))
        process = self.start()
        process.terminate()
        log = self.lines(process, "draining")
        process.terminate()
        self.assertIn("ending at once", log + self.ended(process))

    def lines(self, process: "subprocess.Popen[str]", until: str) -> str:
        assert process.stderr is not None
        found = ""
        while until not in found:
            line = process.stderr.readline()
            self.assertTrue(line, found)
            found += line
        return found

    def test_hang_up_reloads(self) -> None:
        process = self.start()
        # The watch might be faster; what counts is that the signal neither kills nor is lost.
        self.write(body="other")
        process.send_signal(signal.SIGHUP)
        wait_until(lambda: self.get() == "other", "the new configuration is served")
        process.terminate()
        self.assertIn("reload (signal) done", self.ended(process))


class DaemonTests(TapCase):
    def daemon(self, *args: str) -> int:
        done = self.twistd("--pidfile=gw.pid", *args, "edgegw", "--config", "gw.yaml")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.said = done.stderr
        pid = wait_until(lambda: (self.folder / "gw.pid").exists() and (self.folder / "gw.pid").read_text(), "a pid")
        self.addCleanup(self.kill_pid, int(pid))
        wait_until(self.serves, "it serves")
        return int(pid)

    def kill_pid(self, pid: int) -> None:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass

    def gone(self, pid: int) -> bool:
        try:
            return Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z"
        except OSError:
            return True

    def test_a_life(self) -> None:
        """Its log is twistd's, SIGUSR1 opens both logs anew, the history knows its number, SIGTERM ends it."""
        self.write("observe: {access_log: access.log}")
        pid = self.daemon()
        log, access = self.folder / "twistd.log", self.folder / "access.log"
        wait_until(lambda: "serves" in log.read_text(), "the log is written")
        wait_until(lambda: '"path":"/"' in access.read_text(), "the access log is written")
        self.assertIn(f'"pid": {pid}', (self.folder / "edgegw-state/history/000001.json").read_text())
        log.rename(self.folder / "old.log")
        access.rename(self.folder / "old-access.log")
        os.kill(pid, signal.SIGUSR1)
        wait_until(lambda: log.exists() and "anew" in log.read_text(), "the log is opened anew")
        wait_until(lambda: access.exists(), "the access log is opened anew")
        os.kill(pid, signal.SIGTERM)
        wait_until(lambda: self.gone(pid), "it ends")
        self.assertIn("draining", log.read_text())
        self.assertFalse((self.folder / "gw.pid").exists())

    def test_warnings_are_told(self) -> None:
        """A daemon has no standard output; what is odd is said while somebody listens."""
        self.write(listen="{port: PORT, interface: 127.0.0.1}, {unix: x.sock, redirect: https}")
        self.daemon("--logfile", "own.log")
        self.assertIn("gw.yaml:1:1: warning: a daemon has no stdout: access records are lost", self.said)
        self.assertIn("warning: no listener here speaks TLS", self.said)
        self.assertFalse((self.folder / "twistd.log").exists())
        self.assertIn("warning: no listener here speaks TLS", (self.folder / "own.log").read_text())

    def test_no_log_on_standard_output(self) -> None:
        done = self.twistd("--pidfile=", "--logfile", "-", "edgegw", "--config", "gw.yaml")
        self.assertEqual(done.returncode, 1)
        self.assertIn("a daemon cannot log to standard output", done.stderr)


class SystemdTests(TapCase):
    """A socket that systemd passes."""

    def setUp(self) -> None:
        super().setUp()
        self.socket = socket.create_server(("127.0.0.1", self.port))
        self.addCleanup(self.socket.close)
        self.write(listen="{systemd: web}")

    def passed(self) -> tuple[int, ...]:
        return (self.socket.fileno(),)

    def shell(self, names: str = "web") -> tuple[str, ...]:
        text = f'LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES={names} exec "$@" 3<&{self.socket.fileno()}'
        return ("bash", "-c", text, "sh")

    def test_serves_on_it(self) -> None:
        process = self.start(command=self.shell())
        self.assertEqual(self.get(), "hello")
        process.terminate()
        process.communicate(timeout=LIMIT_S)
        self.assertEqual(process.returncode, 0)

    def test_another_name(self) -> None:
        process = self.start(command=self.shell("other"))
        _, err = process.communicate(timeout=LIMIT_S)
        self.assertEqual(process.returncode, 1)
        self.assertIn('cannot listen on systemd:web: systemd passed no socket named "web"; passed: other', err)
