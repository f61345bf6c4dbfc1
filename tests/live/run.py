"""Runs the live tests, module by module, four at a time: most of their time is waiting for deadlines.

    python -m tests.live.run [tests.live | tests.live.test_x[.Class[.test]]] ...

Each module has a trial of its own, whose output is shown whole when it ends. The exit status is 1 if any of them failed.
"""

import concurrent.futures
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
AT_ONCE = 4
# What takes longest begins first, so that nothing is left alone at the end.
LONG = (
    "test_discovery_outage",
    "test_kubernetes",
    "test_consul",
    "test_lifecycle",
    "test_grpc",
    "test_websocket",
    "test_nats",
    "test_discovery_dns",
    "test_reload",
    "test_consul_agent",
    "test_middleware_wheel",
    "test_proxy_protocol",
    "test_nats_bucket",
    "test_http2",
    "test_bodies",
    "test_nats_login",
    "test_tls",
    "test_http2_abuse",
    "test_keepalive",
    "test_drills_matrix",
    "test_drills_failures",
    "test_drills_storm",
    "test_discovery_file",
    "test_health",
)


def modules(name: str) -> list[str]:
    """The test modules of a package; anything else is itself."""
    folder = ROOT.joinpath(*name.split("."))
    if not folder.is_dir():
        return [name]
    found = sorted(path.stem for path in folder.glob("test_*.py"))
    found.sort(key=lambda module: LONG.index(module) if module in LONG else len(LONG))
    return [f"{name}.{module}" for module in found]


def run(module: str) -> bool:
    """One trial; whether it passed."""
    folder = ROOT / ".build" / f"trial-{module}"
    folder.parent.mkdir(exist_ok=True)
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "twisted.trial", "--temp-directory", str(folder), module],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    sys.stdout.write(f"--- {module}: {time.monotonic() - started:.1f} s\n{done.stdout}\n")
    sys.stdout.flush()
    return done.returncode == 0


def main(names: list[str]) -> int:
    wanted = [module for name in names or ["tests.live"] for module in modules(name)]
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        return 0 if all(list(pool.map(run, wanted))) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
