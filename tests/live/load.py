"""Steady load in threads, which notices every lost request and every dropped connection: `Load`."""

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Self

from tests.live.wire import Answer, Cut, Wire


class Load:
    """Threads that each send GET after GET on one keep-alive connection, while the `with` block runs or until `most` were sent.

    targets: taken in turn. check: what a good answer is; by default one of status 200.

    After the block: `done` requests that succeeded, `failed` what went wrong with the others, `connections` how many it took.
    """

    def __init__(
        self,
        port: int,
        targets: Sequence[str] = ("/echo",),
        *,
        threads: int = 4,
        most: int = 0,
        check: Callable[[Answer], bool] = lambda answer: answer.status == 200,
    ) -> None:
        self._port = port
        self._targets = tuple(targets)
        self._check = check
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(-(-most // threads),), daemon=True) for _ in range(threads)
        ]
        self._lock = threading.Lock()
        self.done = 0
        self.connections = 0
        self.dropped = 0
        """Connections that ended without an answer having said so."""
        self.failed: Counter[str] = Counter()

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self.join()

    def join(self, limit_s: float = 120.0) -> None:
        """Wait until every thread has sent what it should."""
        for thread in self._threads:
            thread.join(limit_s)

    @property
    def running(self) -> bool:
        """Whether requests are still sent."""
        return any(thread.is_alive() for thread in self._threads)

    def _run(self, most: int) -> None:
        wire: Wire | None = None
        sent = 0
        while not self._stop.is_set() and (not most or sent < most):
            target = self._targets[sent % len(self._targets)]
            sent += 1
            try:
                if wire is None:
                    wire = Wire(self._port, timeout_s=60.0)
                    with self._lock:
                        self.connections += 1
                answer = wire.ask(target)
            except (OSError, Cut) as error:
                with self._lock:
                    self.failed[f"{type(error).__name__}: {error}"] += 1
                    self.dropped += wire is not None
                if wire is not None:
                    wire.close()
                wire = None
                continue
            with self._lock:
                if self._check(answer):
                    self.done += 1
                else:
                    self.failed[f"{answer.status} {answer.body[:300]!r}"] += 1
            if answer.closes:
                wire.close()
                wire = None
        if wire is not None:
            wire.close()
