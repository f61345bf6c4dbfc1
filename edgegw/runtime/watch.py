"""Watching files: configuration, certificates, discovery files. Says "these changed" once they have stopped changing.

inotify on the folders tells at once (a file replaced by rename has another inode, so a watch on the file itself would go blind); a
poll of stat results finds what inotify cannot see: network mounts, a folder that was deleted and made again, an overflowed queue.
Both only raise a suspicion. After `debounce_s` of quiet the content decides, so a `touch`, a neighbour's log file or a file that is
still being written never reach the caller. A ConfigMap swaps its `..data` link: the content behind the path differs, that is all.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorFDSet, IReactorTime
from twisted.internet.main import CONNECTION_DONE
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.python.filepath import FilePath

try:
    from twisted.internet import inotify
except ImportError:  # Not Linux: the poll alone has to do.
    inotify = None  # type: ignore[assignment]

_DIGEST_MAX = 16 * 1024 * 1024
_PATIENCE = 10  # Debounce periods after which a path that never rests is looked at all the same.

Signature = tuple[tuple[str, int, int, int, int, int], ...]
"""Of each file behind a path: name, device, inode, size, mtime and ctime in nanoseconds."""


class Folders(Protocol):
    """Tells about events in folders; the inotify one is the real one."""

    def follow(self, folders: Iterable[str]) -> None:
        """Watches exactly these folders from now on."""

    def close(self) -> None: ...


class Watch:
    """Watches a set of files and folders (a folder stands for the files directly in it).

    Args:
        reactor: IReactorTime, and IReactorFDSet for inotify; a bare clock makes a watch that only polls.
        paths: what to watch; a path need not exist yet.
        on_change: called with the changed paths, made absolute, sorted. An exception is logged and ends nothing.
        debounce_s: quiet time after the last event before the content is looked at.
        poll_s: time between two looks at the stat results.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: IReactorTime,
        paths: Iterable[str | os.PathLike[str]],
        on_change: Callable[[list[str]], object],
        debounce_s: float = 0.3,
        poll_s: float = 2.0,
    ) -> None:
        self._reactor = reactor
        self._paths = _texts(paths)
        self._on_change = on_change
        self._debounce_s = debounce_s
        self._poll_s = poll_s
        self._running = False
        self._signatures: dict[str, Signature] = {}
        self._digests: dict[str, bytes] = {}
        self._folders: Folders | None = None
        self._poll: IDelayedCall | None = None
        self._quiet: IDelayedCall | None = None
        self._suspected_at: float | None = None
        self._by_event = False

    def start(self) -> None:
        """Remembers how things are now and watches from here on."""
        if self._running:
            return
        self._running = True
        self._remember(self._paths)
        self._folders = _folders_of(self._reactor, self._suspect)
        self._follow()
        self._poll = self._reactor.callLater(self._poll_s, self._tick)

    def stop(self) -> None:
        """Stops at once; nothing is called afterwards, and no descriptor or timer stays behind."""
        self._running = False
        for call in (self._poll, self._quiet):
            if call is not None and call.active():
                call.cancel()
        self._poll = self._quiet = self._suspected_at = None
        if self._folders is not None:
            self._folders.close()
            self._folders = None

    def repaths(self, paths: Iterable[str | os.PathLike[str]]) -> None:
        """Watches another set. Paths that stay keep what is known of them, so a change in between is still told."""
        before = set(self._paths)
        self._paths = _texts(paths)
        for gone in before.difference(self._paths):
            self._signatures.pop(gone, None)
            self._digests.pop(gone, None)
        if self._running:
            self._remember([path for path in self._paths if path not in before])
            self._follow()

    def _remember(self, paths: Iterable[str]) -> None:
        for path in paths:
            self._signatures[path] = _signature(path)
            self._digests[path] = _digest(path)

    def _follow(self) -> None:
        if self._folders is not None:
            self._folders.follow(_parents(self._paths))

    def _tick(self) -> None:
        self._poll = None
        try:
            # Folders may have appeared, and links may lead to other folders now.
            self._follow()
            if any(_signature(path) != self._signatures.get(path) for path in self._paths):
                self._suspect(by_event=False)
        except Exception:
            self._log.failure("Looking at the watched files failed; it goes on with the next tick")
        finally:
            if self._running and self._poll is None:
                self._poll = self._reactor.callLater(self._poll_s, self._tick)

    def _suspect(self, by_event: bool = True) -> None:
        """Something moved: wait until it has been quiet for a while, but not for ever."""
        if not self._running:
            return
        now = self._reactor.seconds()
        if self._suspected_at is None:
            self._suspected_at = now
            self._by_event = False
        self._by_event |= by_event
        latest = self._suspected_at + _PATIENCE * self._debounce_s
        delay = max(0.0, min(self._debounce_s, latest - now))
        if self._quiet is None:
            self._quiet = self._reactor.callLater(delay, self._settle, self._stats())
        elif by_event:
            self._quiet.reset(delay)

    def _stats(self) -> dict[str, Signature]:
        return {path: _signature(path) for path in self._paths}

    def _settle(self, before: dict[str, Signature]) -> None:
        """The quiet time is over: unless stat says it is still moving, compare contents and tell."""
        self._quiet = None
        try:
            now = self._stats()
            patient = self._reactor.seconds() - (self._suspected_at or 0.0) < _PATIENCE * self._debounce_s
            if now != before and patient and not self._by_event:
                # Events would have told that somebody still writes; a poll has only this sign of it.
                self._quiet = self._reactor.callLater(self._debounce_s, self._settle, now)
                return
            self._suspected_at = None
            self._tell(now)
        except Exception:
            self._suspected_at = None
            self._log.failure("Comparing the watched files failed; it goes on with the next change")

    def _tell(self, now: dict[str, Signature]) -> None:
        changed = []
        for path in self._paths:
            digest = _digest(path)
            if digest != self._digests.get(path):
                changed.append(path)
            self._digests[path] = digest
            self._signatures[path] = now.get(path, ())
        if not changed:
            return
        self._follow()
        try:
            self._on_change(sorted(changed))
        except Exception:
            self._log.failure("What was to happen on a change of {paths} failed", paths=changed)

    def __repr__(self) -> str:
        state = "running" if self._running else "stopped"
        return f"<Watch {state} {', '.join(self._paths)}>"


def _texts(paths: Iterable[str | os.PathLike[str]]) -> list[str]:
    return list(dict.fromkeys(os.path.abspath(path) for path in paths))


def _parents(paths: Iterable[str]) -> set[str]:
    """The folders whose events matter: of each path, of each link on the way to its content, and a watched folder itself."""
    folders = set()
    for path in paths:
        step = path
        for _ in range(8):
            folders.add(os.path.dirname(step))
            try:
                step = os.path.join(os.path.dirname(step), os.readlink(step))
            except OSError:
                break
        real = os.path.realpath(path)
        folders.add(real if os.path.isdir(real) else os.path.dirname(real))
    return folders


def _members(path: str) -> list[str]:
    """The files that a path stands for: itself, or the files directly in a folder (hidden ones left out, they are editors' own)."""
    try:
        return sorted(os.path.join(path, name) for name in os.listdir(path) if not name.startswith("."))
    except NotADirectoryError:
        return [path]
    except OSError:
        return []


def _signature(path: str) -> Signature:
    """What stat says of each file behind a path, links followed; empty if there is nothing."""
    found = []
    for member in _members(path):
        with suppress(OSError):
            stat = os.stat(member)
            found.append((member, stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns))
    return tuple(found)


def _digest(path: str) -> bytes:
    """A digest of the names and contents behind a path; of very large files only size and time count."""
    digest = hashlib.blake2b(digest_size=16)
    for member in _members(path):
        digest.update(os.fsencode(member) + b"\0")
        try:
            stat = os.stat(member)
            if stat.st_size > _DIGEST_MAX or not os.path.isfile(member):
                digest.update(f"{stat.st_ino}:{stat.st_size}:{stat.st_mtime_ns}".encode())
                continue
            with open(member, "rb") as file:
                digest.update(hashlib.blake2b(file.read()).digest())
        except OSError as error:
            digest.update(f"errno {error.errno}".encode())
    return digest.digest()


def _folders_of(reactor: IReactorTime, told: Callable[[], None]) -> Folders | None:
    if inotify is None or not IReactorFDSet.providedBy(reactor):
        return None
    return InotifyFolders(reactor, told)


class InotifyFolders:
    """Folders by inotify.

    Twisted's INotify closes itself altogether when one watched folder is deleted; then the next `follow` makes a new one.

    Args:
        reactor: IReactorTime and IReactorFDSet.
        told: called without arguments on every event in one of the folders.
    """

    _log = Logger()
    _MASK = 0 if inotify is None else inotify.IN_WATCH_MASK | inotify.IN_CLOSE_WRITE | inotify.IN_ONLYDIR

    def __init__(self, reactor: IReactorTime, told: Callable[[], None]) -> None:
        self._reactor = reactor
        self._told = told
        self._notifier: inotify.INotify | None = None
        self._followed: dict[str, int] = {}
        self._complained = False

    def follow(self, folders: Iterable[str]) -> None:
        """Watches exactly these folders; one that does not exist is tried again at the next call."""
        if self._notifier is None or not self._notifier.connected:
            self.close()
            self._open()
        notifier = self._notifier
        if notifier is None:
            return
        wanted = {folder: _inode(folder) for folder in folders}
        for folder in [folder for folder, inode in self._followed.items() if wanted.get(folder) != inode]:
            del self._followed[folder]
            with suppress(KeyError):
                notifier.ignore(FilePath(folder))
        for folder, inode in wanted.items():
            if inode and folder not in self._followed:
                with suppress(inotify.INotifyError):
                    notifier.watch(FilePath(folder), mask=self._MASK, callbacks=[self._event])
                    self._followed[folder] = inode

    def close(self) -> None:
        """Releases the descriptor at once."""
        notifier, self._notifier = self._notifier, None
        self._followed.clear()
        if notifier is not None and notifier.connected:
            notifier.stopReading()
            notifier.connectionLost(Failure(CONNECTION_DONE))

    def _open(self) -> None:
        try:
            notifier = inotify.INotify(self._reactor)
            notifier.startReading()
        except Exception as error:
            # The limit fs.inotify.max_user_instances is the usual reason; polling goes on.
            if not self._complained:
                self._complained = True
                self._log.warn("inotify is not available ({error}); files are only polled", error=error)
            return
        self._notifier = notifier

    def _event(self, _: object, path: object, mask: int) -> None:
        self._told()


def _inode(folder: str) -> int:
    try:
        return os.stat(folder).st_ino
    except OSError:
        return 0
