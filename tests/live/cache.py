"""Where the parts that no system package brings are kept: outside the repository, so that a clean checkout finds them again."""

import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

CACHE = Path(os.environ.get("EDGEGW_LIVE_CACHE", Path.home() / ".cache" / "edgegw-live"))
STAMP = "edgegw-stamp.txt"


class CannotHave(Exception):
    """A part cannot be had on this machine; the text says why, for the person who reads the skipped test."""


def kept(name: str, made_from: str) -> Path | None:
    """The folder of a part that was made whole, from exactly this; None when it has to be made."""
    folder = CACHE / name
    try:
        return folder if (folder / STAMP).read_text() == made_from else None
    except OSError:
        return None


def make(name: str, made_from: str, maker: Callable[[Path], None]) -> Path:
    """The part's folder, made afresh by `maker` unless it is there; raises CannotHave, and leaves no half of it behind.

    made_from: what decides its content (versions); another text makes it again.
    """
    found = kept(name, made_from)
    if found is not None:
        return found
    print(f"making {CACHE / name} ...", flush=True)
    folder = CACHE / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    maker(folder)
    (folder / STAMP).write_text(made_from)
    return folder


def run(
    *command: str | Path, cwd: Path | None = None, env: Mapping[str, str] | None = None, limit_s: float = 600
) -> str:
    """Run a command to its end and return what it said; raises CannotHave with the end of that when it fails."""
    words = [str(word) for word in command]
    try:
        done = subprocess.run(
            words,
            cwd=cwd,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=limit_s,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CannotHave(f"{' '.join(words[:4])}: {error}") from error
    if done.returncode != 0:
        raise CannotHave(f"{' '.join(words[:6])} ended with status {done.returncode}: {done.stdout.strip()[-600:]}")
    return done.stdout
