"""Builds the project's wheel from a copy of the sources, without a network and without leaving anything in the work tree."""

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ("pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE", "edgegw", "twisted")
BUILD = "import sys; from setuptools import build_meta; print(build_meta.build_wheel(sys.argv[1]))"


def build_wheel(folder: Path) -> Path:
    """Build the wheel into `folder` and return its path; raises AssertionError with setuptools' output.

    The running Python's own setuptools builds it (the `test` extra brings one): no isolated environment, no download.
    """
    source = folder / "source"
    source.mkdir(parents=True)
    for name in SOURCES:
        origin = ROOT / name
        if origin.is_dir():
            shutil.copytree(origin, source / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(origin, source / name)
    done = subprocess.run(
        [sys.executable, "-c", BUILD, str(folder)], cwd=source, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, f"the wheel was not built:\n{done.stdout}\n{done.stderr}"
    return folder / done.stdout.split()[-1]
