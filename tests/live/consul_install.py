"""Fetches Consul's agent from Debian's older release, unpacked into the cache.

python -m tests.live.consul_install
"""

import sys
from pathlib import Path

from tests.live.cache import CannotHave, make
from tests.live.debian import unpack_old

PACKAGE = "consul"


def consul() -> Path:
    """The program, fetched if it is not there; raises CannotHave."""
    return make("consul", PACKAGE, lambda folder: unpack_old((PACKAGE,), folder)) / "usr" / "bin" / "consul"


def main() -> int:
    """Fetch it; says why if it cannot be had, which is no failure: its tests are then counted as skipped."""
    try:
        print(consul())
    except CannotHave as reason:
        print(f"no Consul agent: {reason}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
