"""The fast origin behind every peer: nginx with a 125-byte JSON answer and a 10 MiB file, on the load core."""

import http.client
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.install import debian_program, output_of
from benchmarks.peers.interfaces import Certificate, ConfigText
from benchmarks.process import Child, Command, PeerFailed, free_port

JSON = json.dumps({"id": 42, "name": "a small answer", "tags": ["x", "y"], "padding": "." * 50}).ljust(125)
BIG_PATH = "/10m.bin"
BIG_SIZE = 10 * 1024 * 1024


@dataclass(frozen=True)
class Origin:
    """The running origin."""

    port: int

    def requests(self) -> int:
        """How many requests it has begun to answer since its start; asking counts as one."""
        status = self._get("/origin-status").decode("ascii").split()
        return int(status[status.index("requests") + 3])

    def expected_size(self, path: str) -> int:
        """The length in bytes of the body at `path`; raises PeerFailed when the origin is broken."""
        return len(self._get(path))

    def _get(self, path: str) -> bytes:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
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
    conf = folder / "origin.conf"
    text = ConfigText((Path(__file__).parent / "origin.conf").read_text())
    port = free_port()
    user = "user root;" if os.geteuid() == 0 else ""
    conf.write_text(text.substitute(user=user, folder=folder, port=port, json=JSON))
    nginx = debian_program("nginx")
    argv = [str(nginx), "-c", str(conf), "-p", str(folder), "-e", "stderr"]
    with Child(Command(argv), core, folder) as child:
        child.wait_until_listening(port)
        yield Origin(port)


def make_certificate(folder: Path) -> Certificate:
    """A self-signed P-256 certificate for `localhost`, good for two days."""
    made = Certificate(cert=folder / "cert.pem", key=folder / "key.pem")
    kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    output_of("openssl", "req", "-x509", *kind, *names, "-keyout", made.key, "-out", made.cert)
    return made
