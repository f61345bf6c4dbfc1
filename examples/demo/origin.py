"""The demo's origin: an HTTP/1.1 server of the standard library that says what it received.

python examples/demo/origin.py [PORT]
"""

import json
import signal
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Demo(BaseHTTPRequestHandler):
    """Answers every request with its own line, headers and body length, and keeps the connection."""

    protocol_version = "HTTP/1.1"

    def answer(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        received = {
            "message": "hello from the demo origin, through edgegw",
            "request": f"{self.command} {self.path}",
            "headers": dict(self.headers),
            "body_bytes": len(self.rfile.read(length)),
        }
        body = (json.dumps(received, indent=2) + "\n").encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = answer

    def log_message(self, format: str, *arguments: object) -> None:
        """The gateway's access log says it already."""


def main() -> None:
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 9000
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    ThreadingHTTPServer(("127.0.0.1", port), Demo).serve_forever()


if __name__ == "__main__":
    main()
