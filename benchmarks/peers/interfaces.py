"""The contract of a peer, what a row asks of it, and where it runs."""

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from string import Template
from typing import Protocol

from benchmarks.process import Command

CONF = Path(__file__).parent / "conf"


@dataclass(frozen=True)
class Setup:
    """What a row asks of the peers it compares."""

    tls: bool = False
    routes: int = 0
    """0: everything goes to the origin. N: the routes /service0/** to /service<N-1>/**, the first one listed last."""
    connections: int = 1024
    """How many connections the peer must be able to hold."""
    http2: bool = False
    """Offer HTTP/2: by ALPN over TLS, with prior knowledge in clear text."""
    grpc: bool = False
    """The origin is the one that speaks HTTP/2 with prior knowledge, and what is proxied are gRPC calls."""
    alone: bool = False
    """No proxy is started: the probe itself runs the part of edgegw that is measured."""
    websocket: str = ""
    """The origin is the WebSocket echo; for edgegw the `mode` that it is proxied in, for the others anything."""


@dataclass(frozen=True)
class Certificate:
    """A self-signed certificate for `localhost`, PEM files."""

    cert: Path
    key: Path


@dataclass(frozen=True)
class Site:
    """Where one peer runs in one row: its folder, ports on 127.0.0.1, and the port of the origin that the setup names."""

    folder: Path
    port: int
    metrics_port: int
    origin_port: int
    certificate: Certificate
    setup: Setup = field(default_factory=Setup)

    @property
    def log(self) -> Path:
        """The file that the peer's access log goes to."""
        return self.folder / "access.log"

    def log_lines(self) -> int:
        """How many lines the access log holds, in the file and in those it was rotated into."""
        lines = 0
        for path in self.folder.glob(f"{self.log.name}*"):
            with path.open("rb") as log:
                lines += sum(block.count(b"\n") for block in iter(partial(log.read, 1 << 20), b""))
        return lines

    def write(self, name: str, **values: object) -> Path:
        """Fill the configuration text `conf/<name>` and put it into the folder; returns its path there."""
        known = {
            "port": self.port,
            "metrics_port": self.metrics_port,
            "origin_port": self.origin_port,
            "cert": self.certificate.cert,
            "key": self.certificate.key,
            "log": self.log,
            "folder": self.folder,
        }
        target = self.folder / name
        target.write_text(ConfigText((CONF / name).read_text()).substitute({**known, **values}))
        return target


class Peer(Protocol):
    """A proxy under test."""

    @property
    def name(self) -> str:
        """The word of `--only` and of the tables."""

    def version(self) -> str:
        """Which release is measured; installs it when it is missing. Raises PeerFailed."""

    def prepare(self, site: Site) -> Command:
        """Write its configuration into the site's folder and say how it starts, in the foreground."""


class ConfigText(Template):
    """A configuration text with placeholders `@@{name}`."""

    # A plain `$` is nginx's own, `@` Envoy's, `%` HAProxy's.
    delimiter = "@@"
