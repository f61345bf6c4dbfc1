"""What discovery is tried with: a DNS server whose records change, and origins that say who they are."""

import http.server
import json
import sys
import threading
from typing import Any

from tests.live.process import Server, free_port


class DnsServer(Server):
    """`tests.live.dns_server`; `records(...)` changes what it says, from the next question on."""

    config = "zone.json"

    def __init__(self, **names: Any) -> None:
        super().__init__(json.dumps(names))
        self.port("dns")

    def command(self) -> list[str]:
        command = [sys.executable, "-u", "-m", "tests.live.dns_server", "--port", str(self.port("dns"))]
        return [*command, "--zone", str(self.config_path)]

    def start(self) -> "DnsServer":
        from tests.live.servers import ROOT

        self.env.setdefault("PYTHONPATH", str(ROOT))
        return super().start()

    def records(self, **names: Any) -> None:
        """Say these from now on; nothing else is there."""
        self.write(json.dumps(names))


class Named:
    """An origin in this process that answers every request with its name; at any loopback address."""

    def __init__(self, name: str, host: str = "127.0.0.1", port: int = 0) -> None:
        said = name.encode()

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Length", str(len(said)))
                self.end_headers()
                self.wfile.write(said)

            def log_message(self, *_: object) -> None:
                pass

        self.name = name
        self.host = host
        self.port = port or free_port()
        self._server = http.server.ThreadingHTTPServer((host, self.port), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
