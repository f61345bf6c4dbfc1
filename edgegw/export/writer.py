"""A thread that writes bytes to a file or stream.

A thread, because nothing else keeps a stalled disk away from the loop: regular files ignore O_NONBLOCK, and on standard output the
flag would belong to every process that shares the stream. It is a daemon, so that a write that never returns cannot hold up the
process's end.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from pathlib import Path
from queue import SimpleQueue
from typing import Final, Literal

STANDARD: Final[dict[str, int]] = {"stdout": 1, "stderr": 2}
"""Paths that are streams of the process, and their descriptors."""

Reason = Literal["write", "reopen"]


def open_for_append(path: str) -> int:
    """The descriptor to append to: of a standard stream, or of a file, made with mode 0640 if need be.

    Raises:
        OSError: it cannot be opened; among others a FIFO that nobody reads.
    """
    if path in STANDARD:
        return STANDARD[path]
    # O_NONBLOCK, because opening a FIFO without a reader would wait for one.
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK, 0o640)
    os.set_blocking(fd, True)
    return fd


class Batch:
    """Lines that are written with one call, and how many they are."""

    __slots__ = ("lines", "size")

    def __init__(self, lines: list[bytes], size: int) -> None:
        self.lines = lines
        self.size = size


class Writer:
    """Writes batches in their order. What cannot be written is dropped and counted; then it goes on with the next batch.

    The counters are written by one thread each, so they need no lock: `handed_*` by the caller's, `done_*` and `lost` by its own.

    `complaints` says what failed and why, once per run of failures; whoever reads it takes it away.

    Args:
        path: as `open_for_append` takes it.

    Raises:
        OSError: the path cannot be opened.
    """

    def __init__(self, path: str) -> None:
        self.path = path if path in STANDARD else str(Path(path).absolute())
        self._fd = open_for_append(self.path)
        self.complaints: deque[tuple[Reason, OSError]] = deque(maxlen=8)
        self._queue: SimpleQueue[Batch | Literal["reopen", "stop"]] = SimpleQueue()
        self._failing = False
        self._cut = False
        self.handed_lines = 0
        self.handed_bytes = 0
        self.done_lines = 0
        self.done_bytes = 0
        self.lost = 0
        self._thread: threading.Thread | None = None

    @property
    def waiting_lines(self) -> int:
        """Lines handed over and not written yet."""
        return self.handed_lines - self.done_lines

    @property
    def waiting_bytes(self) -> int:
        """Their bytes."""
        return self.handed_bytes - self.done_bytes

    def write(self, lines: list[bytes], size: int) -> None:
        """Hand over lines, each with its line feed, of `size` bytes together; never blocks. The list is no longer the caller's."""
        self.handed_lines += len(lines)
        self.handed_bytes += size
        self._order(Batch(lines, size))

    def reopen(self) -> None:
        """Open the path anew after what was handed over so far (rotation); a standard stream stays as it is. Never blocks."""
        if self.path not in STANDARD:
            self._order("reopen")

    def stop(self) -> None:
        """End after what was handed over so far; `alive` tells when. Never blocks."""
        self._order("stop")

    @property
    def alive(self) -> bool:
        """Whether the thread still runs."""
        return self._thread is not None and self._thread.is_alive()

    def join(self, timeout_s: float) -> bool:
        """Wait for the end, blocking; whether it came. For tests and the very end of a process."""
        if self._thread is not None:
            self._thread.join(timeout_s)
        return not self.alive

    def _order(self, order: Batch | Literal["reopen", "stop"]) -> None:
        self._queue.put(order)
        if self._thread is None:
            # Not before there is work: twistd makes the service, and then forks to become a daemon; threads do not follow.
            self._thread = threading.Thread(target=self._run, name=f"edgegw-writer {self.path}", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while True:
            order = self._queue.get()
            if isinstance(order, Batch):
                self._write(order)
            elif order == "reopen":
                self._reopen()
            else:
                if self.path not in STANDARD:
                    os.close(self._fd)
                return

    def _write(self, batch: Batch) -> None:
        data = memoryview(b"".join(batch.lines))
        if self._cut:
            # The last batch broke off within a line; this one must not continue it.
            data = memoryview(b"\n" + data)
        written = 0
        try:
            while written < len(data):
                written += os.write(self._fd, data[written:])
            self._failing = False
            self._cut = False
        except OSError as error:
            lost = data[written:].tobytes().count(b"\n")
            self.lost += min(lost, len(batch.lines))
            if written:
                self._cut = data[written - 1] != ord("\n")
            self._failed("write", error)
        finally:
            self.done_lines += len(batch.lines)
            self.done_bytes += batch.size

    def _reopen(self) -> None:
        try:
            fd = open_for_append(self.path)
        except OSError as error:
            # The old file is better than none.
            self._failing = False
            self._failed("reopen", error)
            return
        os.close(self._fd)
        self._fd = fd
        self._cut = False

    def _failed(self, reason: Reason, error: OSError) -> None:
        if not self._failing:
            self._failing = True
            self.complaints.append((reason, error))

    def __repr__(self) -> str:
        state = "failing" if self._failing else "writing" if self.alive else "at rest"
        return f"<Writer {self.path} {state}, {self.waiting_lines} lines wait, {self.lost} lost>"
