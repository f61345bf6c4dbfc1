"""Autobahn|Testsuite, the WebSocket conformance suite, on the Python 2.7 that it needs: `python -m tests.live.autobahn_install`.

Python 2.7 comes from Debian's previous release and is unpacked into the cache, never installed; the suite and its dependencies
come from PyPI. Half a minute the first time. Ends with status 1 and the reason when Python 2.7 cannot be had; `make live` then
goes on, and the tests that need it are counted as skipped.
"""

import os
import sys
import zipfile
from pathlib import Path

from tests.live.cache import CannotHave, kept, make, run
from tests.live.debian import unpack_old

SUITE = "autobahntestsuite==25.10.1"
PYTHON = (
    "python2.7", "python2.7-minimal", "libpython2.7-stdlib", "libpython2.7-minimal", "libpython2.7-dev", "libssl1.1", "libffi7",
)  # fmt: skip
BOOTSTRAP = ("pip==20.3.4", "setuptools==44.1.1", "wheel==0.37.1")
MADE_FROM = "\n".join((SUITE, *PYTHON, *BOOTSTRAP))
NAME = "autobahn"


def wstest() -> tuple[list[str], dict[str, str]]:
    """The command `wstest` and the environment it needs; raises CannotHave when the suite was not installed."""
    folder = kept(NAME, MADE_FROM)
    if folder is None:
        raise CannotHave("Autobahn|Testsuite is not here: run python -m tests.live.autobahn_install, which says why")
    command = [str(folder / "root/usr/bin/python2.7"), "-m", "autobahntestsuite.wstest"]
    return command, {**_python(folder), "PYTHONPATH": str(folder / "app")}


def install() -> Path:
    """The suite's folder, made if it is not there; raises CannotHave."""
    return make(NAME, MADE_FROM, _make)


def _make(folder: Path) -> None:
    root, site, app = folder / "root", folder / "site", folder / "app"
    unpack_old(PYTHON, root)
    site.mkdir()
    wheels = folder / "wheels"
    pip = [sys.executable, "-m", "pip", "-q", "--disable-pip-version-check"]
    only = ["--no-deps", "--python-version", "2.7", "--only-binary=:all:"]
    run(*pip, "download", *only, "--dest", wheels, *BOOTSTRAP)
    for path in wheels.glob("*.whl"):
        zipfile.ZipFile(path).extractall(site)
    include = f"{root}/usr/include/python2.7:{root}/usr/include"
    environment = {**_python(folder), "PIP_CONFIG_FILE": os.devnull, "CPATH": include, "PYTHONPATH": str(site)}
    environment |= {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_FIND_LINKS": ""}
    run(
        root / "usr/bin/python2.7", "-m", "pip", "-q", "install", "--target", app, "--prefer-binary", SUITE,
        env=environment,
    )  # fmt: skip
    # Namespace packages that pip --target lays out without an __init__.py are no packages to Python 2.
    (app / "zope" / "__init__.py").touch()
    run(
        root / "usr/bin/python2.7",
        "-c",
        "import autobahntestsuite.wstest",
        env={**_python(folder), "PYTHONPATH": str(app)},
    )


def _python(folder: Path) -> dict[str, str]:
    root = folder / "root"
    return {
        "LD_LIBRARY_PATH": f"{root}/usr/lib/x86_64-linux-gnu:{root}/lib/x86_64-linux-gnu",
        "PYTHONHOME": f"{root}/usr",
    }


def main() -> int:
    try:
        install()
    except CannotHave as reason:
        print(f"Autobahn|Testsuite cannot be had, its tests will be skipped: {reason}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
