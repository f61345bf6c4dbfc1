"""Finds a file below a root by the path of a request: no traversal, no way out through a symbolic link, no hidden files."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

MAX_NAME = 255
WELL_KNOWN = ".well-known"
"""The one name with a dot in front that is served, and only directly below the root (RFC 8615)."""

_is_hostile = re.compile(rb"[\x00-\x1f\x7f/\\]").search
_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


class OpenFile(NamedTuple):
    """An open regular file; who gets it closes it. modified_ns: nanoseconds since the epoch. name: for the content type."""

    descriptor: int
    size: int
    modified_ns: int
    name: str


class IsFolder(NamedTuple):
    """The path names a folder but does not end with a slash."""


class Folder:
    """A root of files.

    Args:
        root: absolute. It may itself be a symbolic link that is changed while we run. index: what a folder shows.
    """

    __slots__ = ("_index", "root")

    def __init__(self, root: Path, index: str) -> None:
        self.root = root
        self._index = index

    def open(self, path: str) -> OpenFile | IsFolder | None:
        """Open what a path names.

        Args:
            path: relative to the root, normalised, percent-encoded; empty or ending with a slash for a folder.

        Returns:
            None when there is nothing that may be served: what is refused is not told from what is not there.
        """
        names = _names(path)
        if names is None:
            return None
        folder = not names[-1]
        try:
            root = os.path.realpath(self.root)
            wanted = os.path.join(root, *(os.fsdecode(name) for name in names if name))
            if folder:
                return _open(root, os.path.join(wanted, self._index))
            found = _open(root, wanted)
            return IsFolder() if found is None and _is_folder(root, wanted) else found
        except (OSError, ValueError):
            return None


def _names(path: str) -> list[bytes] | None:
    """The decoded names, the last one empty for a folder; None if one of them may not be served."""
    pieces = path.split("/")
    names = [unquote_to_bytes(piece) for piece in pieces]
    for position, name in enumerate(names):
        if not name and position < len(names) - 1:
            return None
        if _is_hostile(name) or len(name) > MAX_NAME:
            return None
        if name.startswith(b".") and not (position == 0 and pieces[0] == WELL_KNOWN):
            return None
    return names


def _inside(root: str, path: str) -> str | None:
    """The path with its symbolic links resolved, if that is still below the root."""
    real = os.path.realpath(path)
    return real if real == root or real.startswith(root.rstrip("/") + "/") else None


def _is_folder(root: str, path: str) -> bool:
    real = _inside(root, path)
    return real is not None and os.path.isdir(real)


def _open(root: str, path: str) -> OpenFile | None:
    """Open a regular file below the root. Not blocking, so that a FIFO can't stop us."""
    real = _inside(root, path)
    if real is None:
        return None
    descriptor = os.open(real, _FLAGS)
    facts = os.fstat(descriptor)
    if not stat.S_ISREG(facts.st_mode):
        os.close(descriptor)
        return None
    return OpenFile(descriptor, facts.st_size, facts.st_mtime_ns, os.path.basename(path))
