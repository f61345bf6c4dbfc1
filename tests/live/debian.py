"""Packages of the Debian mirror that are not of this release: binary ones of an older one, and sources.

A scratch apt configuration in the cache asks the machine's own mirror for `bullseye` and for bookworm's sources; the system's own
sources and packages are left alone.
"""

import re
import shutil
from pathlib import Path

from tests.live.cache import CACHE, CannotHave, run

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
SYSTEM = ("/etc/apt/sources.list", "/etc/apt/sources.list.d/debian.sources")
OLD = "bullseye"


def mirror() -> str:
    """The address of the machine's own Debian mirror; raises CannotHave on another system."""
    for path in map(Path, SYSTEM):
        if path.exists():
            found = re.search(r"https?://\S+/debian/?(?=\s|$)", _uncommented(path.read_text()))
            if found is not None:
                return found[0]
    raise CannotHave("no Debian mirror in this machine's apt sources")


def apt(*words: str, cwd: Path | None = None, limit_s: float = 300) -> str:
    """Run apt-get with the scratch configuration; raises CannotHave."""
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        raise CannotHave("this is no Debian: there is no apt-get")
    return run("apt-get", "-c", _configuration(), "-q", *words, cwd=cwd, limit_s=limit_s)


def unpack_old(packages: tuple[str, ...], into: Path) -> None:
    """Download packages of the older release and unpack them into a folder, without installing; raises CannotHave."""
    scratch = into / "debs"
    scratch.mkdir(parents=True)
    apt("update")
    apt("download", *packages, cwd=scratch)
    for package in sorted(scratch.glob("*.deb")):
        run("dpkg-deb", "-x", package, into)
    shutil.rmtree(scratch)


def _configuration() -> Path:
    """Write the scratch configuration, absolute paths throughout, and return its file."""
    folder = CACHE / "apt"
    for name in ("lists/partial", "cache/archives/partial", "etc"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    address = mirror()
    (folder / "etc" / "sources.list").write_text(
        f"deb [signed-by={KEYRING}] {address} {OLD} main\ndeb-src [signed-by={KEYRING}] {address} bookworm main\n"
    )
    path = folder / "apt.conf"
    path.write_text(
        f'Dir::State::lists "{folder}/lists";\n'
        f'Dir::Cache "{folder}/cache";\n'
        f'Dir::Etc::sourcelist "{folder}/etc/sources.list";\n'
        'Dir::Etc::sourceparts "-";\n'
        'APT::Sandbox::User "root";\n'
    )
    return path


def _uncommented(text: str) -> str:
    return "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
