"""Runs the command that tells credentials: when there are none, before they are over, and after they were refused."""

from __future__ import annotations

import os
import selectors
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from edgegw.discovery.api.errors import CredentialsError, one_line
from edgegw.discovery.kubernetes.exec_plan import ExecPlan, Shown, read_credential
from edgegw.discovery.threads import in_thread

LIMIT_S = 30.0
"""For one run."""
OUTPUT_MAX = 1024 * 1024
SOON_S = 60.0
"""So long before its end a credential is replaced; of a short-lived one after half of its life."""
_STDERR_KEPT = 4096
_ENDS_S = 1.0
"""How long the end of what was killed is waited for."""
_log = Logger("edgegw.discovery.kubernetes")


def check(plan: ExecPlan, environ: Mapping[str, str] = os.environ) -> None:
    """Whether there is such a command. Raises CredentialsError."""
    path = dict(plan.env).get("PATH", environ.get("PATH"))
    if shutil.which(plan.command, path=path) is None:
        hint = f": {plan.hint}" if plan.hint else ""
        raise CredentialsError(f"{plan.title} is not there, or not executable{hint}")


class Run:
    """One run of the command, in a thread; what it prints is bounded, and so is its time.

    Args:
        seconds: monotonic.
    """

    def __init__(
        self,
        plan: ExecPlan,
        limit_s: float = LIMIT_S,
        seconds: Callable[[], float] = time.monotonic,  # noqa: TID251
    ) -> None:
        self._plan = plan
        self._limit_s = limit_s
        self._seconds = seconds
        self._process: subprocess.Popen[bytes] | None = None
        self._stopped = False
        self._lock = threading.Lock()

    def output(self) -> bytes:
        """Blocks until it ends. Raises CredentialsError, in which the last line of its stderr may be."""
        process = self._begin()
        try:
            said, complained, words = self._read(process)
        finally:
            self._end(process)
        if not words and process.returncode:
            words = _ended(process.returncode)
        if words:
            lines = complained.decode("utf-8", "replace").strip().splitlines()
            last = f": {one_line(lines[-1])}" if lines else ""
            raise CredentialsError(f"{self._plan.title} {words}{last}")
        return said

    def stop(self) -> None:
        """It is not wanted any more; from any thread."""
        with self._lock:
            self._stopped = True
            if self._process is not None and self._process.returncode is None:
                _signal(self._process)

    def _begin(self) -> subprocess.Popen[bytes]:
        plan = self._plan
        with self._lock:
            if self._stopped:
                raise CredentialsError(f"{plan.title} was not run: nobody waits for it")
            try:
                # A session of its own, so that what it starts can be ended with it.
                self._process = subprocess.Popen(
                    [plan.command, *plan.args],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    env={**os.environ, **dict(plan.env)},
                    start_new_session=True,
                )
            except (OSError, ValueError) as error:
                words = getattr(error, "strerror", None) or "its name or its arguments cannot be"
                raise CredentialsError(f"{plan.title} cannot be run: {words}") from None
            return self._process

    def _read(self, process: subprocess.Popen[bytes]) -> tuple[bytes, bytes, str]:
        """Both outputs; and in words why it did not come to its end."""
        assert process.stdout is not None and process.stderr is not None
        out, err = process.stdout.fileno(), process.stderr.fileno()
        kept = {out: b"", err: b""}
        until_s = self._seconds() + self._limit_s
        with selectors.DefaultSelector() as selector:
            for each in kept:
                selector.register(each, selectors.EVENT_READ)
            while selector.get_map() and len(kept[out]) <= OUTPUT_MAX and self._seconds() < until_s:
                for key, _ in selector.select(until_s - self._seconds()):
                    data = os.read(key.fd, 65_536)
                    kept[key.fd] += data
                    if not data:
                        selector.unregister(key.fd)
                kept[err] = kept[err][-_STDERR_KEPT:]
            ended = not selector.get_map()
        if len(kept[out]) > OUTPUT_MAX:
            return b"", kept[err], f"printed more than {OUTPUT_MAX} bytes"
        # Who ended and left somebody behind at its outputs is not waited for here: its group has its number until then.
        with suppress(subprocess.TimeoutExpired):
            if ended:
                process.wait(max(until_s - self._seconds(), 0.0))
                return kept[out], kept[err], ""
        return b"", kept[err], f"did not end within {self._limit_s:g} s"

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        with self._lock:
            self._process = None
            if process.returncode is None:
                _signal(process)
        with suppress(subprocess.TimeoutExpired):
            # Another user's process, such as that of sudo, need not end.
            process.wait(_ENDS_S)
        for stream in (process.stdout, process.stderr):
            assert stream is not None
            stream.close()


class Plugin:
    """What the command told last, run again when that is needed; one run for all who wait.

    Args:
        reactor: threads; a bare clock runs it right here. wall: as `time.time`.
    """

    def __init__(self, plan: ExecPlan, reactor: Any, wall: Callable[[], float]) -> None:
        self.plan = plan
        self._reactor = reactor
        self._wall = wall
        self._shown: Shown | None = None
        self._renew_at = 0.0
        self._run: Run | None = None
        self._waiting: list[Deferred[Shown]] = []
        self._told = ""

    async def shown(self) -> Shown:
        """What to show now. When the last one who waits is cancelled, the command is ended.

        Raises:
            CredentialsError: there is nothing.
        """
        if self._shown is not None and self._wall() < self._renew_at:
            return self._shown
        waiting: Deferred[Shown] = Deferred(self._unwanted)
        self._waiting.append(waiting)
        if self._run is None:
            run = self._run = Run(self.plan)
            running = in_thread(self._reactor, lambda: read_credential(run.output(), self.plan.version))
            running.addCallbacks(self._renewed, self._failed, (run,), errbackArgs=(run,))
        return await waiting

    def forget(self, refused: Shown) -> None:
        """The API server does not accept this."""
        if self._shown is refused:
            self._shown = None

    def _unwanted(self, waiting: Deferred[Shown]) -> None:
        self._waiting.remove(waiting)
        if not self._waiting and self._run is not None:
            run, self._run = self._run, None
            run.stop()

    def _renewed(self, shown: Shown, run: Run) -> None:
        if run is not self._run:
            return
        now = self._wall()
        self._run, self._told = None, ""
        self._shown = shown
        self._renew_at = float("inf")
        if shown.until is not None:
            self._renew_at = shown.until - min(SOON_S, (shown.until - now) / 2)
        self._answer(lambda waiting: waiting.callback(shown))

    def _failed(self, failure: Failure, run: Run) -> None:
        if run is not self._run:
            return
        self._run = None
        error = failure.value
        if not isinstance(error, CredentialsError):
            _log.failure("Running {title} broke", failure, title=self.plan.title)
            error = CredentialsError(f"{self.plan.title} cannot be run: {type(error).__name__}")
        shown = self._shown
        if shown is None or (shown.until is not None and self._wall() >= shown.until):
            self._answer(lambda waiting: waiting.errback(error))
            return
        if str(error) != self._told:
            self._told = str(error)
            _log.warn("Kubernetes: {words}; what it told before stays in use while it counts", words=self._told)
        self._answer(lambda waiting: waiting.callback(shown))

    def _answer(self, tell: Callable[[Deferred[Shown]], None]) -> None:
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            tell(each)

    def __repr__(self) -> str:
        return f"<Plugin {self.plan.title}: {self._shown!r}{', running' if self._run is not None else ''}>"


def _signal(process: subprocess.Popen[bytes]) -> None:
    """The whole group: what it started holds its outputs, too."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def _ended(code: int) -> str:
    return f"was ended by signal {-code}" if code < 0 else f"failed with exit code {code}"
