"""gRPC's own interop suite, from Debian's source package of gRPC: `python -m tests.live.interop_install`.

Only its Python client and server and their protos are unpacked, into the cache; 8.5 MB are fetched the first time.
"""

import sys
import tarfile
from pathlib import Path

from tests.live.cache import CannotHave, make, run
from tests.live.debian import apt

SOURCE = "grpc"
VERSION = "1.51.1"
AUTH = ("google-auth==2.62.2", "requests")
"""The suite imports them, whatever the case."""
MADE_FROM = f"{SOURCE} {VERSION} {AUTH}"
PROTO = "src/proto/grpc/testing"
TESTS = "src/python/grpcio_tests/tests"
WANTED = (PROTO, f"{TESTS}/interop", f"{TESTS}/unit/test_common.py", f"{TESTS}/unit/resources.py")
PROTOS = ("test", "messages", "empty")


def install() -> Path:
    """The folder to run `python -m tests.interop.client` in, with `path()`; made if it is not there; raises CannotHave."""
    return make("interop", MADE_FROM, _make)


def path(folder: Path) -> str:
    """What PYTHONPATH has to be."""
    return f"{folder}:{folder / 'site'}"


def _make(folder: Path) -> None:
    download = folder / "download"
    download.mkdir()
    apt("update")
    apt("source", "--download-only", SOURCE, cwd=download)
    archives = list(download.glob(f"{SOURCE}_{VERSION}*.orig.tar.*"))
    if len(archives) != 1:
        raise CannotHave(
            f"the mirror has no source of {SOURCE} {VERSION}: {[path.name for path in download.iterdir()]}"
        )
    with tarfile.open(archives[0]) as archive:
        for member in archive:
            _, _, name = member.name.partition("/")
            if member.isfile() and any(name == wanted or name.startswith(f"{wanted}/") for wanted in WANTED):
                target = folder / name.removeprefix("src/python/grpcio_tests/")
                target.parent.mkdir(parents=True, exist_ok=True)
                opened = archive.extractfile(member)
                assert opened is not None
                target.write_bytes(opened.read())
    run(sys.executable, "-m", "pip", "-q", "--disable-pip-version-check", "install", "--target", folder / "site", *AUTH)
    protos = [f"{PROTO}/{name}.proto" for name in PROTOS]
    run(sys.executable, "-m", "grpc_tools.protoc", "-I.", "--python_out=.", "--grpc_python_out=.", *protos, cwd=folder)
    for name in ("src", "src/proto", "src/proto/grpc", PROTO, "tests", "tests/unit", "tests/interop"):
        (folder / name / "__init__.py").touch()


def main() -> int:
    try:
        install()
    except CannotHave as reason:
        print(f"gRPC's interop suite cannot be had: {reason}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
