"""Where the application log goes: standard error in the foreground, a file where twistd was told of one or has become a daemon."""

from __future__ import annotations

import os
from pathlib import Path

from edgegw.export.writer import STANDARD, open_for_append

TWISTD_LOG = "twistd.log"
"""What twistd calls the log of a daemon that was given no other name."""


class LogPlace:
    """A descriptor to write to.

    Args:
        path: a file, which is appended to and made if need be; `stdout` or `stderr`.

    Raises:
        OSError: the file cannot be opened.
    """

    def __init__(self, path: str = "stderr") -> None:
        self.path = path if path in STANDARD else str(Path(path).absolute())
        self.fd = open_for_append(self.path)

    def reopen(self) -> None:
        """The file was rotated away: write to a new one under the same descriptor. Standard streams stay as they are.

        Raises:
            OSError: it cannot be opened; the old one is kept.
        """
        if self.path in STANDARD:
            return
        fresh = open_for_append(self.path)
        try:
            os.dup2(fresh, self.fd, inheritable=False)
        finally:
            os.close(fresh)

    def __repr__(self) -> str:
        return f"<LogPlace {self.path}>"
