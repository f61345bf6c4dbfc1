"""Processes of a run: pinned to a core, on loopback, gone when the harness goes."""

import os
import resource
import signal
import socket
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import sleep
from types import TracebackType
from typing import Self


class PeerFailed(Exception):
    """A process did not start, did not answer, or died; the text says why, for the report."""


@dataclass(frozen=True)
class Command:
    """What to start: program and arguments, extra environment, and a file for its standard output."""

    argv: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)
    stdout: Path | None = None


@dataclass(frozen=True)
class Cores:
    """The two cores of a run: `load` for origin and load generator, `proxy` for the peer alone."""

    load: int
    proxy: int


def pick_cores() -> Cores:
    """The first and the last core this process may use; raises PeerFailed when there is only one."""
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) < 2:
        raise PeerFailed("a benchmark needs two cores: one for the load, one for the proxy")
    return Cores(load=allowed[0], proxy=allowed[-1])


def raise_file_limit() -> int:
    """Raise the soft limit of open files to the hard one, for this process and all it starts; returns it."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody holds now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def pinned(argv: Sequence[str], core: int) -> list[str]:
    """`argv` on one core, told to end (SIGTERM) when the harness dies by whatever cause."""
    return ["setpriv", "--pdeathsig", "TERM", "taskset", "-c", str(core), *argv]


class Child:
    """A started process in its own group; leaving the `with` block ends the whole group."""

    def __init__(self, command: Command, core: int, folder: Path) -> None:
        """Start it; its standard error goes to `folder/stderr.txt`, `folder` is its working directory."""
        self._errors = folder / "stderr.txt"
        self._output = command.stdout or folder / "stdout.txt"
        with self._output.open("ab") as out, self._errors.open("ab") as err:
            self._process = subprocess.Popen(
                pinned(command.argv, core),
                cwd=folder,
                env={**os.environ, **command.env},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.end()

    def __repr__(self) -> str:
        return f"<Child {self._process.args!r} pid={self.pid}>"

    @property
    def pid(self) -> int:
        """The process id: `setpriv` and `taskset` exec, so it is the program's own."""
        return self._process.pid

    def wait_until_listening(self, port: int, tries: int = 300, pause_s: float = 0.05) -> None:
        """Return once `port` of 127.0.0.1 accepts; raises PeerFailed when the process ends or time runs out."""
        for _ in range(tries):
            if self._process.poll() is not None:
                raise PeerFailed(f"ended with status {self._process.returncode}: {self.last_words()}")
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                return
            sleep(pause_s)
        raise PeerFailed(f"does not listen on port {port}: {self.last_words()}")

    def last_words(self, size: int = 400) -> str:
        """The tail of what it wrote on standard error and output, on one line."""
        tails = [path.read_bytes()[-size:].decode(errors="replace") for path in (self._errors, self._output)]
        return " ".join(" ".join(tails).split()) or "(it said nothing)"

    def end(self, grace_s: float = 5) -> None:
        """Ask the process to end, wait, then kill what is left of its group."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(grace_s)
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()
