"""Files that credentials are in: small, and replaced now and then."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from edgegw.discovery.api.errors import CredentialsError

_FILE_MAX = 1024 * 1024

Signature = tuple[tuple[str, int, int, int], ...]


def read_text(path: Path) -> str:
    """What a file holds. Raises CredentialsError."""
    try:
        with path.open("rb") as file:
            data = file.read(_FILE_MAX + 1)
        if len(data) > _FILE_MAX:
            raise CredentialsError(f"{path} is larger than 1 MiB")
        return data.decode()
    except (OSError, ValueError) as error:
        words = error.strerror if isinstance(error, OSError) and error.strerror else "it is not text"
        raise CredentialsError(f"{path} cannot be read: {words}") from None


def signature(files: Iterable[Path]) -> Signature:
    """What is the same as long as the files are; symbolic links are followed, which Kubernetes swaps."""
    found = []
    for path in files:
        try:
            stat = path.stat()
        except OSError:
            found.append((str(path), 0, 0, 0))
        else:
            found.append((str(path), stat.st_mtime_ns, stat.st_size, stat.st_ino))
    return tuple(found)
