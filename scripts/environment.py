"""Makes `.venv` and installs the project with the extras asked for; does nothing when that was done already.

    python3 scripts/environment.py                 what `make run` needs
    python3 scripts/environment.py test            and what the tests need
    python3 scripts/environment.py test dev        and the linters and the builder

Needs nothing but Python. The project is installed editable in the compat mode: setuptools' default mode maps `edgegw` alone
and hides `twisted/plugins` from twistd. The stamp holds a digest of what decides the install, so an unchanged project costs
one file comparison.
"""

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MINIMUM = (3, 11)
DECIDES = ("pyproject.toml", "setup.py", "scripts/environment.py")


def fingerprint() -> str:
    """Digest of the files that decide what gets installed."""
    digest = hashlib.sha256()
    for name in DECIDES:
        digest.update((ROOT / name).read_bytes())
    return digest.hexdigest()


@dataclass(frozen=True)
class Stamp:
    """What the last complete install was made from and of."""

    python: str = ""
    fingerprint: str = ""
    extras: frozenset[str] = frozenset()

    @classmethod
    def read(cls, path: Path) -> "Stamp":
        """The stamp in the environment; an empty one if there is none that can be read."""
        try:
            found = json.loads(path.read_text())
            return cls(str(found["python"]), str(found["fingerprint"]), frozenset(found["extras"]))
        except (OSError, ValueError, KeyError, TypeError):
            return cls()

    def write(self, path: Path) -> None:
        facts = {"python": self.python, "fingerprint": self.fingerprint, "extras": sorted(self.extras)}
        path.write_text(json.dumps(facts))


def install(folder: Path, extras: frozenset[str]) -> None:
    """Install the project into the environment; raises CalledProcessError with pip's own output on the screen."""
    wanted = f".[{','.join(sorted(extras))}]" if extras else "."
    command = [str(folder / "bin" / "python"), "-m", "pip", "install", "--disable-pip-version-check", "-qq"]
    subprocess.run([*command, "--config-settings", "editable_mode=compat", "--editable", wanted], cwd=ROOT, check=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("extras", nargs="*", help="extras of pyproject.toml")
    parser.add_argument("--folder", type=Path, default=ROOT / ".venv")
    arguments = parser.parse_args()
    if sys.version_info < MINIMUM:
        print(
            f"edgegw needs Python {MINIMUM[0]}.{MINIMUM[1]} or newer; this is {sys.version.split()[0]}. Try: make PYTHON=python3.11"
        )
        return 2
    path = arguments.folder / "edgegw-stamp.json"
    have, python = Stamp.read(path), f"{sys.version} {sys.base_prefix}"
    wanted = Stamp(python, fingerprint(), frozenset(arguments.extras) | have.extras)
    if wanted == have:
        return 0
    print(f"making {arguments.folder} ({' '.join(['edgegw', *sorted(wanted.extras)])}) ...", flush=True)
    if have.python != python:
        shutil.rmtree(arguments.folder, ignore_errors=True)
        venv.create(arguments.folder, with_pip=True, symlinks=True)
    path.unlink(missing_ok=True)
    install(arguments.folder, wanted.extras)
    wanted.write(path)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except subprocess.CalledProcessError as error:
        print(f"the installation failed: {' '.join(map(str, error.cmd))}", file=sys.stderr)
        sys.exit(1)
