"""What a source named last, on disk: a gateway that starts while the source is down serves at once.

One file each, `discovery/UPSTREAM.json` in the state folder, mode 0600, written beside its place and renamed. Whatever is wrong
with it, the gateway starts without it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from edgegw.upstream.address import EndpointSettings, Named
from edgegw.upstream.advice import Advice, read_advice

VERSION = 1
KEPT_S = 7 * 86400.0
"""Older ones are not used: addresses go to other owners."""
_LARGEST = 32 * 1024 * 1024

InThread = Callable[[Callable[[], None]], Deferred[None]]

_log = Logger("edgegw.discovery.snapshots")


class Snapshot(NamedTuple):
    """What was named and advised. source: its name. confirmed_at: Unix time of the source's last answer."""

    source: str
    confirmed_at: float
    named: tuple[Named, ...]
    advice: Advice | None = None


class SnapshotFile:
    """The snapshot of one upstream.

    Args:
        folder: `STATE/discovery`, made with mode 0700 when it is first needed. upstream: a name, as the configuration allows it.
        in_thread: runs what blocks somewhere else; None: here.
    """

    def __init__(self, folder: Path, upstream: str, in_thread: InThread | None = None) -> None:
        self.path = folder / f"{upstream}.json"
        self._in_thread = in_thread
        self._complained = False

    def load(self, source: str, wall_s: float) -> Snapshot | None:
        """What this source named last, unless that is too long ago. Never raises for what the disk holds."""
        try:
            with open(self.path, "rb") as file:
                data = file.read(_LARGEST + 1)
            found = _read(data)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError) as error:
            _log.warn("{path} is no snapshot and is not used: {error}", path=str(self.path), error=_line(error))
            return None
        if found.source != source or wall_s - found.confirmed_at > KEPT_S:
            return None
        return found

    def save(self, snapshot: Snapshot) -> Deferred[None]:
        """Write it. Fires when that is done, also when it failed: the disk is not what the gateway lives by."""

        def write() -> None:
            _write(self.path, _text(snapshot))

        done: Deferred[Any] = maybeDeferred(write) if self._in_thread is None else self._in_thread(write)
        return done.addCallbacks(self._saved, self._failed)

    def _saved(self, _: None) -> None:
        self._complained = False

    def _failed(self, failure: Failure) -> None:
        if not self._complained:
            self._complained = True
            _log.warn("{path} cannot be written: {error}", path=str(self.path), error=failure.getErrorMessage())

    def __repr__(self) -> str:
        return f"<SnapshotFile {self.path}>"


def _text(snapshot: Snapshot) -> bytes:
    data = {
        "version": VERSION,
        "source": snapshot.source,
        "confirmed_at": round(snapshot.confirmed_at, 3),
        "endpoints": [_plain(each) for each in snapshot.named],
        "advice": snapshot.advice.plain() if snapshot.advice is not None else {},
    }
    return json.dumps(data, separators=(",", ":")).encode()


def _plain(named: Named) -> dict[str, object]:
    data = named.settings.model_dump(mode="json", exclude_defaults=True)
    return {**data, "held": named.held} if named.held else data


def _read(text: bytes) -> Snapshot:
    if len(text) > _LARGEST:
        raise ValueError("it is too large")
    data = json.loads(text)
    if data["version"] != VERSION:
        raise ValueError(f"its version is {data['version']!r}, not {VERSION}")
    # As with endpoints: what is not understood is left out.
    advice, _ = read_advice(dict(data.get("advice", {})))
    return Snapshot(str(data["source"]), float(data["confirmed_at"]), tuple(_named(data["endpoints"])), advice)


def _named(entries: Sequence[dict[str, Any]]) -> list[Named]:
    found = []
    for entry in entries:
        held = str(entry.pop("held", ""))
        # One that a newer or older version wrote and this one does not understand is left out.
        with suppress(ValidationError):
            found.append(Named(EndpointSettings.model_validate(entry), held))
    return found


def _write(path: Path, text: bytes) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.new")
    with suppress(FileNotFoundError):
        fresh.unlink()
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(text)
        file.flush()
        os.fsync(handle)
    os.replace(fresh, path)


def _line(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0][:200] or type(error).__name__
