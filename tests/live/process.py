"""A real process on loopback ports of its own: started, awaited, measured, always killed.

In every configuration `@{name}` stands for a free port, the same one each time (`.port(name)`), and `@{dir}` for the process's own
folder. A process is ready when all of its named ports accept; it is killed with everything it started when its `with` block ends,
when the test ends (`tests.live.case`), and at the latest when Python exits. Its output goes to files (`.log()`), so a pipe never
fills up.
"""

import atexit
import contextlib
import itertools
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
POLL_S = 0.02
RUNNING: "set[Server]" = set()


class NotReady(AssertionError):
    """A server did not start, or did not stop; the text holds the end of its output."""


PORTS = range(20_000, 32_000)
"""Below the range that the kernel gives to outgoing connections."""
BLOCK = 500
"""How many of them a process of tests has for itself, so that nobody takes the port of a server that is being restarted."""
_claim = socket.socket(socket.AF_UNIX)


def _claimed() -> Iterator[int]:
    """The ports of the first block that no other process holds the name of, again and again; the name goes with the process."""
    for first in PORTS[::BLOCK]:
        with contextlib.suppress(OSError):
            _claim.bind(f"\0edgegw-live-ports-{first}")
            return itertools.cycle(range(first, first + BLOCK))
    raise NotReady("all ports are claimed by other tests that run")


_ports: Iterator[int] = iter(())


def free_port() -> int:
    """A TCP port that nothing listens on, IPv4 or IPv6, and that was not handed out shortly before."""
    global _ports
    if not _claim.getsockname():
        _ports = _claimed()
    for port in itertools.islice(_ports, BLOCK):
        with contextlib.ExitStack() as stack:
            try:
                for family, host in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::1")):
                    probe = stack.enter_context(socket.socket(family))
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    probe.bind((host, port))
            except OSError:
                continue
            return port
    raise NotReady("no free port in our block")


def wait_until(condition: Callable[[], Any], what: str, limit_s: float = 20.0) -> Any:
    """Poll until the condition is true and return its value; raises AssertionError that says what was waited for."""
    deadline = time.monotonic() + limit_s
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"after {limit_s:g} s still not so: {what}")
        time.sleep(POLL_S)
    return value


def accepts(port: int, host: str = "127.0.0.1") -> bool:
    """Whether a TCP connection to the port is accepted."""
    try:
        socket.create_connection((host, port), timeout=1).close()
        return True
    except OSError:
        return False


class Server:
    """A process in a folder of its own; a context manager that starts and stops it.

    text: the configuration, written to `config` in the folder after `@{...}` was filled in. files: more files for the folder, by
    relative path. env: added to the environment. args: added to the command.
    """

    config = "server.conf"
    ready_limit_s = 60.0

    def __init__(
        self,
        text: str = "",
        *,
        args: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
        files: Mapping[str, bytes | str] | None = None,
    ) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="edgegw-live-"))
        self.args = tuple(args)
        self.env = dict(env or {})
        self.ports: dict[str, int] = {}
        self.process: subprocess.Popen[bytes] | None = None
        for name, content in (files or {}).items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        self.write(text)

    def __repr__(self) -> str:
        state = "not started" if self.process is None else f"pid {self.process.pid}, exit {self.process.poll()}"
        return f"<{type(self).__name__} {state} ports {self.ports} in {self.folder}>"

    # What a subclass says.

    def command(self) -> list[str]:
        """The command line, without `args`."""
        raise NotImplementedError

    def is_ready(self) -> bool:
        """Whether the server serves; by default, whether every named port accepts."""
        return all(accepts(port) for port in self.ports.values())

    # Configuration.

    @property
    def config_path(self) -> Path:
        return self.folder / self.config

    def port(self, name: str = "web") -> int:
        """The port that `@{name}` stands for; a new free one the first time."""
        if name not in self.ports:
            self.ports[name] = free_port()
        return self.ports[name]

    def fill(self, text: str) -> str:
        """Put ports and the folder in for `@{name}` and `@{dir}`."""
        text = textwrap.dedent(text).lstrip("\n")
        text = text.replace("@{dir}", str(self.folder))
        return re.sub(r"@\{(\w+)\}", lambda match: str(self.port(match[1])), text)

    def write(self, text: str) -> None:
        """Replace the configuration file by an atomic rename, as an operator's tool does."""
        fresh = self.folder / f".{self.config}.new"
        fresh.write_text(self.fill(text))
        fresh.replace(self.config_path)

    # Life.

    def start(self) -> Self:
        """Start the process and wait until it is ready; raises NotReady with its output."""
        with open(self.folder / "stdout", "ab") as stdout, open(self.folder / "stderr", "ab") as stderr:
            self.process = subprocess.Popen(
                [*self.command(), *self.args],
                cwd=self.folder,
                env={**os.environ, **self.env},
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                start_new_session=True,
            )
        RUNNING.add(self)
        deadline = time.monotonic() + self.ready_limit_s
        while self.process.poll() is not None or not self.is_ready():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise NotReady(f"{self!r} did not become ready\n{self.tail()}")
            time.sleep(POLL_S)
        return self

    def signal(self, number: int) -> None:
        """Send a signal to the process itself."""
        assert self.process is not None
        self.process.send_signal(number)

    def wait_exit(self, limit_s: float = 30.0) -> int:
        """Wait for the process to end; returns its exit status, raises NotReady when it goes on."""
        assert self.process is not None
        try:
            return self.process.wait(limit_s)
        except subprocess.TimeoutExpired:
            raise NotReady(f"{self!r} still runs after {limit_s:g} s\n{self.tail()}") from None

    def stop(self, limit_s: float = 10.0) -> None:
        """SIGTERM, then SIGKILL to the whole group; the folder goes too."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(limit_s)
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def kill(self) -> None:
        """SIGKILL to the process and everything in its group."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        RUNNING.discard(self)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            print(f"\n--- {self!r}\n{self.tail()}", file=sys.stderr)
        self.stop()

    # What it says and what it costs.

    def log(self) -> str:
        """Everything it wrote, standard output first."""
        return "".join(
            (self.folder / name).read_text(errors="replace")
            for name in ("stdout", "stderr")
            if (self.folder / name).exists()
        )

    def tail(self, lines: int = 60) -> str:
        """The last lines of each output."""
        parts = []
        for name in ("stdout", "stderr"):
            path = self.folder / name
            found = path.read_text(errors="replace").splitlines()[-lines:] if path.exists() else []
            parts += [f"{name} | {line}" for line in found]
        return "\n".join(parts) or "(no output)"

    def pids(self) -> list[int]:
        """The process and its descendants."""
        assert self.process is not None
        found, queue = [], [self.process.pid]
        while queue:
            pid = queue.pop()
            found.append(pid)
            with contextlib.suppress(OSError):
                for children in Path(f"/proc/{pid}/task").glob("*/children"):
                    queue += [int(child) for child in children.read_text().split()]
        return found

    def rss_kib(self) -> int:
        """Resident memory of the process and its descendants, KiB."""
        texts = [Path(f"/proc/{pid}/status").read_text() for pid in self.pids()]
        return sum(int(match[1]) for text in texts for match in re.finditer(r"VmRSS:\s+(\d+) kB", text))

    def reset_peak(self) -> None:
        """Forget the highest resident memory so far."""
        for pid in self.pids():
            Path(f"/proc/{pid}/clear_refs").write_text("5")

    def peak_kib(self) -> int:
        """The highest resident memory since `reset_peak`, KiB: no sampling can miss it."""
        texts = [Path(f"/proc/{pid}/status").read_text() for pid in self.pids()]
        return sum(int(match[1]) for text in texts for match in re.finditer(r"VmHWM:\s+(\d+) kB", text))

    def cpu_s(self) -> float:
        """User and system time of the process and its descendants, seconds."""
        texts = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in self.pids()]
        return sum(int(fields[11]) + int(fields[12]) for fields in texts) / TICKS_PER_S

    def descriptors(self) -> int:
        """Open file descriptors of the process."""
        assert self.process is not None
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))


@atexit.register
def _kill_all() -> None:
    for server in list(RUNNING):
        server.kill()
        shutil.rmtree(server.folder, ignore_errors=True)
