"""Brings the Debian packages that the live tests need and that are missing; does nothing when all are there.

python -m tests.live.install              for `make live`
python -m tests.live.install nginx wrk    only these commands
"""

import os
import shutil
import subprocess
import sys

# Command -> Debian package that brings it.
DEBIAN = {
    "nginx": "nginx-light",
    "haproxy": "haproxy",
    "curl": "curl",
    "openssl": "openssl",
    "wrk": "wrk",
    "promtool": "prometheus",
}
PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"
APT = ["apt-get", "-o", "DPkg::Lock::Timeout=300", "-q"]


def missing(commands: list[str]) -> list[str]:
    """The commands that are not installed."""
    return [command for command in commands if shutil.which(command, path=PATH) is None]


def main(arguments: list[str]) -> int:
    unknown = [command for command in arguments if command not in DEBIAN]
    if unknown:
        print(f"unknown: {', '.join(unknown)}; known: {', '.join(DEBIAN)}")
        return 2
    wanted = missing(arguments or list(DEBIAN))
    if not wanted:
        return 0
    packages = sorted({DEBIAN[command] for command in wanted})
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        print(f"the live tests need {', '.join(wanted)}, and only root on Debian can install them here.")
        print(f"Install them another way, or run: apt-get install {' '.join(packages)}")
        return 1
    print(f"installing {' '.join(packages)} ...", flush=True)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in ([*APT, "update"], [*APT, "install", "-y", "--no-install-recommends", *packages]):
        done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode != 0:
            print(f"{' '.join(command)} failed:\n{done.stdout}")
            return 1
    left = missing(wanted)
    if left:
        print(f"installed, and still not found: {', '.join(left)}")
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
