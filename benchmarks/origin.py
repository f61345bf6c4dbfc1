"""The fast origins behind every peer, on the load core: nginx, with a 125-byte JSON answer, a 10 MiB file and a unary gRPC call

that it answers over HTTP/2 with a message of 125 bytes; and a WebSocket echo (`echo.py`).
"""

import http.client
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.install import debian_program, output_of
from benchmarks.peers.interfaces import Certificate, ConfigText
from benchmarks.process import Child, Command, PeerFailed, free_port

JSON = json.dumps({"id": 42, "name": "a small answer", "tags": ["x", "y"], "padding": "." * 50}).ljust(125)
GRPC_PATH = "/bench.Echo/Unary"
GRPC_MESSAGE = b"\0" + (127).to_bytes(4, "big") + b"\x0a\x7d" + b"." * 125
"""One message with one field of 125 bytes, framed as gRPC does."""
BIG_PATH = "/10m.bin"
BIG_SIZE = 10 * 1024 * 1024


@dataclass(frozen=True)
class Origin:
    """The running origin. grpc_port: HTTP/2 with prior knowledge; echo_port: WebSocket."""

    port: int
    grpc_port: int
    echo_port: int
    _asked: list[None] = field(default_factory=list, repr=False)

    def requests(self) -> int:
        """How many requests it has begun to answer since its start, without those that asked this."""
        status = self._get(self.port, "/origin-status").decode("ascii").split()
        self._asked.append(None)
        return int(status[status.index("requests") + 3]) - len(self._asked)

    def messages(self) -> int:
        """How many WebSocket messages it has echoed since its start."""
        return int(self._get(self.echo_port, "/count"))

    def expected_size(self, path: str, port: int) -> int:
        """The length in bytes of the body at `path`; raises PeerFailed when the origin is broken."""
        return len(self._get(port, path))

    def _get(self, port: int, path: str) -> bytes:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            if answer.status != 200:
                raise PeerFailed(f"the origin answered {answer.status} at {path}")
            return answer.read()
        finally:
            connection.close()


@contextmanager
def running_origin(folder: Path, core: int) -> Iterator[Origin]:
    """Start the origin with its files in `folder`, pinned to `core`; it ends with the block."""
    (folder / BIG_PATH[1:]).write_bytes(os.urandom(1024) * (BIG_SIZE // 1024))
    message = folder / GRPC_PATH[1:]
    message.parent.mkdir(exist_ok=True)
    message.write_bytes(GRPC_MESSAGE)
    conf = folder / "origin.conf"
    text = ConfigText((Path(__file__).parent / "origin.conf").read_text())
    port, grpc_port, echo_port = free_port(), free_port(), free_port()
    user = "user root;" if os.geteuid() == 0 else ""
    values = {
        "user": user,
        "folder": folder,
        "port": port,
        "grpc_port": grpc_port,
        "grpc_path": GRPC_PATH,
        "json": JSON,
    }
    conf.write_text(text.substitute(values))
    nginx = debian_program("nginx")
    argv = [str(nginx), "-c", str(conf), "-p", str(folder), "-e", "stderr"]
    echo = Command(
        [sys.executable, "-m", "benchmarks.echo", str(echo_port)], {"PYTHONPATH": str(Path(__file__).parents[1])}
    )
    with Child(Command(argv), core, folder) as child, Child(echo, core, folder) as echoing:
        child.wait_until_listening(port)
        echoing.wait_until_listening(echo_port)
        yield Origin(port, grpc_port, echo_port)


def make_certificate(folder: Path) -> Certificate:
    """A self-signed P-256 certificate for `localhost`, good for two days."""
    made = Certificate(cert=folder / "cert.pem", key=folder / "key.pem")
    kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    output_of("openssl", "req", "-x509", *kind, *names, "-keyout", made.key, "-out", made.cert)
    return made
