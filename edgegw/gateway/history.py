"""Every configuration that was accepted, by number, kept in the state folder.

One file each, `history/NNNNNN.json`: the texts as they were written (a secret is there as its reference, never as its value), with
digest, time, source and process. A file is written beside its place and renamed, so there is never half of one. Whatever the disk
does, the gateway goes on: what could not be kept is held in memory, logged and counted.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from twisted.logger import Logger

from edgegw.config.source import Document, restore

KEPT = 200
"""How many configurations are kept; the oldest go first."""
KEPT_BYTES = 64 * 1024 * 1024
"""How large all of them together may be. The newest ten stay in any case."""
_AT_LEAST = 10
_LARGEST = 48 * 1024 * 1024  # A file beyond this is not one of ours: a configuration has 10 MiB at most.

_NAME = re.compile(r"([0-9]{6,9})\.json")
_log = Logger("edgegw.gateway.history")


class NoSuchNumber(LookupError):
    """No configuration of that number is kept, or it cannot be read any more. The text says which."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One accepted configuration. files: the names its texts had. source: `start`, `file`, `signal`, `control`, `rollback 3`.

    base: the folder that `file:` and other relative paths in it start from. saved: whether it is on the disk.
    """

    number: int
    digest: str
    time: datetime
    source: str
    pid: int
    files: tuple[str, ...]
    base: str
    saved: bool = True

    def as_data(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        return {
            "number": self.number,
            "digest": self.digest,
            "time": self.time.isoformat(timespec="seconds"),
            "source": self.source,
            "pid": self.pid,
            "files": list(self.files),
            "saved": self.saved,
        }


class History:
    """The configurations of one state folder.

    Args:
        state_dir: made with mode 0700 when the first configuration comes. kept: how many stay.
        now: the wall clock, for the record. pid: of this process.

    `failures` counts what could not be written or read.
    """

    def __init__(
        self,
        state_dir: str | Path,
        kept: int = KEPT,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        pid: int | None = None,
    ) -> None:
        self.folder = Path(state_dir) / "history"
        self.failures = 0
        self._kept = kept
        self._now = now
        self._pid = os.getpid() if pid is None else pid
        self._known: dict[int, Entry] = {}  # Files never change, so each is read once.
        self._unsaved: dict[int, tuple[Entry, Mapping[str, str]]] = {}

    def add(self, document: Document, source: str) -> int:
        """Keep an accepted configuration and return its number. One that is the same as the newest keeps that number.

        Never raises for what the disk does.
        """
        newest = self.newest
        if newest is not None and newest.digest == document.digest:
            self._save_all()
            return newest.number
        number = max(newest.number if newest else 0, max(self._numbers(), default=0)) + 1
        names = tuple(document.files)
        base = Path(names[0]).absolute().parent if names else Path.cwd()
        entry = Entry(number, document.digest, self._now(), source, self._pid, names, str(base), saved=False)
        self._unsaved[number] = (entry, dict(document.files))
        self._save_all()
        return number

    @property
    def newest(self) -> Entry | None:
        """The latest accepted configuration that can be read."""
        for number in sorted({*self._numbers(), *self._unsaved}, reverse=True):
            entry = self._entry(number)
            if entry is not None:
                return entry
        return None

    def entries(self) -> list[Entry]:
        """All that can be read, the oldest first."""
        found = (self._entry(number) for number in sorted({*self._numbers(), *self._unsaved}))
        return [entry for entry in found if entry is not None]

    def texts(self, number: int) -> Mapping[str, str]:
        """The texts of a configuration by the names of its files.

        Raises:
            NoSuchNumber: it is not kept or cannot be read.
        """
        if number in self._unsaved:
            return self._unsaved[number][1]
        try:
            return _texts(self._read(number))
        except FileNotFoundError:
            kept = sorted({*self._numbers(), *self._unsaved})
            known = f"kept are {kept[0]} to {kept[-1]}" if kept else "none is kept yet"
            raise NoSuchNumber(f"there is no configuration {number}; {known}") from None
        except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
            self._failed(f"cannot read {self._path(number)}", error)
            raise NoSuchNumber(f"configuration {number} cannot be read: {error}") from None

    def document(
        self, number: int, *, base_dir: str | Path | None = None, environ: Mapping[str, str] | None = None
    ) -> Document:
        """A configuration as it was written then, with the secrets of now, not checked yet.

        Args:
            base_dir: what `file:` starts from; by default the folder of then.

        Raises:
            NoSuchNumber: it is not kept or cannot be read. ConfigError: its texts are not YAML (any more).
        """
        texts = self.texts(number)
        entry = self._entry(number)
        base = base_dir if base_dir is not None else entry.base if entry is not None else "."
        return restore(texts, environ=environ, base=base, defer=True)

    def _numbers(self) -> list[int]:
        try:
            found = [_NAME.fullmatch(name) for name in os.listdir(self.folder)]
        except OSError:
            return []
        return sorted(int(match[1]) for match in found if match)

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:06d}.json"

    def _entry(self, number: int) -> Entry | None:
        if number in self._unsaved:
            return self._unsaved[number][0]
        if number not in self._known:
            try:
                self._known[number] = _entry(self._read(number), number)
            except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
                self._failed(f"cannot read {self._path(number)}", error)
                return None
        return self._known[number]

    def _read(self, number: int) -> Any:
        handle = os.open(self._path(number), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW)
        with os.fdopen(handle, "rb") as stream:
            if os.fstat(handle).st_size > _LARGEST:
                raise ValueError("it is too large")
            return json.loads(stream.read())

    def _save_all(self) -> None:
        """Write what is not written yet; what fails is tried again when the next one comes."""
        for number in sorted(self._unsaved):
            entry, texts = self._unsaved[number]
            try:
                self._write(entry, texts)
            except OSError as error:
                self._failed(f"cannot keep configuration {number} in {self.folder}", error)
                break
            self._known[number] = _entry(_record(entry, texts), number)
            del self._unsaved[number]
        for number in sorted(self._unsaved)[: -self._kept]:
            del self._unsaved[number]
        self._prune()

    def _write(self, entry: Entry, texts: Mapping[str, str]) -> None:
        make_private(self.folder.parent)
        make_private(self.folder)
        content = json.dumps(_record(entry, texts), indent=1).encode()
        path = self._path(entry.number)
        scratch = path.with_name(f".{path.name}.{self._pid}.tmp")
        try:
            with suppress(FileNotFoundError):
                scratch.unlink()
            handle = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            with os.fdopen(handle, "wb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(handle)
            os.rename(scratch, path)
        except OSError:
            with suppress(OSError):
                scratch.unlink()
            raise
        _sync(self.folder)

    def _prune(self) -> None:
        numbers = self._numbers()
        surplus = max(0, len(numbers) - self._kept)
        with suppress(OSError):
            sizes = [self._path(number).stat().st_size for number in numbers]
            while surplus < len(numbers) - _AT_LEAST and sum(sizes[surplus:]) > KEPT_BYTES:
                surplus += 1
        for number in numbers[:surplus]:
            self._known.pop(number, None)
            with suppress(OSError):
                self._path(number).unlink()

    def _failed(self, what: str, error: Exception) -> None:
        self.failures += 1
        _log.error("{what}: {reason}", what=what, reason=getattr(error, "strerror", None) or str(error))

    def __repr__(self) -> str:
        return f"<History {self.folder} {len(self._numbers())} kept, {len(self._unsaved)} in memory only>"


def make_private(folder: Path) -> None:
    """Make a folder that only its owner may enter; one that is there stays as it is."""
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)


def _sync(folder: Path) -> None:
    """Make a rename last (fsync of the folder)."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _record(entry: Entry, texts: Mapping[str, str]) -> dict[str, Any]:
    return {
        "edgegw": 1,
        "number": entry.number,
        "digest": entry.digest,
        "time": entry.time.isoformat(),
        "source": entry.source,
        "pid": entry.pid,
        "base": entry.base,
        "files": dict(texts),
    }


def _entry(record: Any, number: int) -> Entry:
    """Raises ValueError, LookupError or TypeError for what is not a record."""
    time = datetime.fromisoformat(record["time"])
    source, digest, base = str(record["source"]), str(record["digest"]), str(record["base"])
    return Entry(number, digest, time, source, int(record["pid"]), tuple(_texts(record)), base)


def _texts(record: Any) -> dict[str, str]:
    texts = record["files"]
    if not isinstance(texts, dict) or not all(isinstance(text, str) for text in texts.values()) or not texts:
        raise ValueError("it holds no texts")
    return texts
