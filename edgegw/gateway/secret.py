"""The secret of the process, by which sticky cookies are signed. Kept in the state folder, so that they outlive a restart."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from twisted.logger import Logger

from edgegw.gateway.history import make_private

NAME = "secret"
SIZE = 32

_log = Logger("edgegw.gateway.secret")


def kept_secret(state_dir: Path, entropy: Callable[[int], bytes] = os.urandom) -> bytes:
    """What is kept there; made, readable for the owner alone, if there is nothing. Where it can't be kept it is a new one.

    Args:
        entropy: as `os.urandom`.
    """
    path = state_dir / NAME
    try:
        return _read(path) or _made(path, entropy(SIZE))
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        _log.warn("{path} cannot be kept ({why}): sticky cookies end with this process", path=str(path), why=why)
        return entropy(SIZE)


def _read(path: Path) -> bytes | None:
    try:
        found = path.read_bytes()
    except FileNotFoundError:
        return None
    if len(found) != SIZE:
        # Half written, or somebody's own file: cookies signed by a short secret could be forged.
        _log.warn("{path} is not a secret of {size} bytes; it is replaced", path=str(path), size=SIZE)
        path.unlink()
        return None
    return found


def _made(path: Path, secret: bytes) -> bytes:
    make_private(path.parent)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        # Another process was faster.
        return _read(path) or secret
    with os.fdopen(descriptor, "wb") as file:
        file.write(secret)
        file.flush()
        os.fsync(file.fileno())
    return secret
