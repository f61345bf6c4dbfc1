"""The proxies in Python: aiohttp on uvloop, Twisted the obvious way, and edgegw itself."""

import sys
from importlib.metadata import version
from pathlib import Path

from benchmarks.install import output_of, wheel_program
from benchmarks.peers.interfaces import Setup, Site
from benchmarks.process import Command, PeerFailed

REPOSITORY = Path(__file__).parents[2]
_SCRIPTS = Path(__file__).parent


class Aiohttp:
    """aiohttp server and client on uvloop, in the wheels' environment."""

    name = "aiohttp"

    def version(self) -> str:
        """Of aiohttp and uvloop."""
        code = "import aiohttp, uvloop; print(aiohttp.__version__, 'uvloop', uvloop.__version__)"
        return output_of(wheel_program("python"), "-c", code)

    def prepare(self, site: Site) -> Command:
        """`aiohttp_proxy.py PORT ORIGIN LOG`."""
        return _script(wheel_program("python"), "aiohttp_proxy.py", site)


class NaiveTwisted:
    """twisted.web Site and Agent on the stock epoll reactor, as the documentation would have one write it."""

    name = "twisted"

    def version(self) -> str:
        """The Twisted that edgegw runs on too."""
        return version("Twisted")

    def prepare(self, site: Site) -> Command:
        """`twisted_proxy.py PORT ORIGIN LOG`."""
        return _script(Path(sys.executable), "twisted_proxy.py", site)


class Edgegw:
    """This repository, by twistd, in the environment that runs the benchmark."""

    name = "edgegw"

    def version(self) -> str:
        """The commit, with `-dirty` when the working tree differs from it."""
        _twistd()
        try:
            return output_of("git", "describe", "--always", "--dirty", cwd=REPOSITORY)
        except PeerFailed:
            return "not a git checkout"

    def prepare(self, site: Site) -> Command:
        """One listener, one upstream, the default pipeline with access log and metrics."""
        certificate = f"{{cert: {site.certificate.cert}, key: {site.certificate.key}}}"
        site.write(
            "edgegw.yaml",
            tls=f", tls: {certificate}" if site.setup.tls else "",
            # h2load does not come back when a connection was ended, and the others end none.
            caps=", caps: {requests: 1000000}" if site.setup.http2 else "",
            scheme="grpc" if site.setup.grpc else "http",
            # A WebSocket has its upstream connection for itself.
            pool=f", pool: {{max: {site.setup.connections}}}" if site.setup.websocket else "",
            routes="\n".join(_routes(site.setup)),
        )
        argv = [_twistd(), "-n", "--pidfile=", "edgegw", "--config", str(site.folder / "edgegw.yaml")]
        return Command([str(word) for word in argv], env={"PYTHONPATH": str(REPOSITORY)})


def _routes(setup: Setup) -> list[str]:
    count = setup.routes
    if count == 0:
        websocket = f", websocket: {setup.websocket}" if setup.websocket else ""
        return [f'  - {{match: "/**", to: o{websocket}}}']
    # The first service comes last, so that a search from the top would show.
    return [f'  - {{match: "/service{number}/**", to: o}}' for number in reversed(range(count))]


def _twistd() -> Path:
    plugin = REPOSITORY / "twisted" / "plugins" / "edgegw_plugin.py"
    program = Path(sys.executable).parent / "twistd"
    for needed in (plugin, program):
        if not needed.exists():
            raise PeerFailed(f"{needed} does not exist")
    return program


def _script(python: Path, name: str, site: Site) -> Command:
    arguments = [str(site.port), str(site.origin_port), str(site.log)]
    return Command([str(python), "-u", str(_SCRIPTS / name), *arguments])
