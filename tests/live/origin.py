"""An HTTP/1.1 origin for tests, in the standard library alone: it shows what it received and answers in every shape.

    python -m tests.live.origin --port 9000 [--unix PATH] [--cert CERT --key KEY [--client-ca CA]]

    /echo            JSON: method, target, headers as received (list of pairs), body (latin-1), trailers. Any unknown path too.
    /sha256          consumes the body; JSON: sha256, length, trailers
    /bytes/N         N bytes of a fixed pattern (`pattern`) with Content-Length; ?chunked=1, ?close=1 (ends with the connection);
                     If-Range and If-Match are ignored, a single `Range: bytes=a-b` is served with 206
    /status/N        that status, with a small body where one is allowed
    /slow?s=X        waits X seconds before the head;    /drip?n=N&s=X  N chunks, X seconds apart
    /trailers        chunked, with trailers X-Digest and X-Second
    /early           answers 200 before it reads the body, then reads it;  /early?close=1 closes without reading
    /hints           sends 103 with Link first
    /close           answers with Connection: close;     /cut?n=N  claims 1000 bytes, sends N, closes
    /header?NAME=VALUE&...   puts these header fields in the answer
    /_raw            JSON: the raw request heads received so far (latin-1), this one not counted;  /_reset forgets them
    /_whole          JSON: [method, target, body] of the requests to `echo` that arrived whole, forgotten by /_reset too

`Expect: 100-continue` is answered with 100 when the body is first read. Chunked and counted request bodies both work.
"""

import argparse
import collections
import hashlib
import json
import signal
import socket
import socketserver
import ssl
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote

BLOCK = bytes(range(251)) * 261  # 65,511 bytes: no power of two, so a shifted or repeated block cannot match.
RAW_KEPT = 20_000


def pattern(size: int, start: int = 0) -> Iterator[bytes]:
    """The bytes `start` to `start + size` of the endless pattern, in pieces of at most 64 KiB."""
    position, end = start, start + size
    while position < end:
        offset = position % len(BLOCK)
        piece = BLOCK[offset : offset + end - position]
        yield piece
        position += len(piece)


def pattern_sha256(size: int) -> str:
    """Hex digest of the first `size` bytes of the pattern."""
    digest = hashlib.sha256()
    for piece in pattern(size):
        digest.update(piece)
    return digest.hexdigest()


@dataclass
class Received:
    """One request: its line, its headers in order, and its body still to be read."""

    raw: bytes
    method: str
    target: str
    version: str
    headers: list[tuple[str, str]]
    trailers: list[tuple[str, str]] = field(default_factory=list)
    body_read: bool = False

    @property
    def path(self) -> str:
        return unquote(self.target.partition("?")[0])

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(self.target.partition("?")[2], keep_blank_values=True))

    def header(self, name: str, default: str = "") -> str:
        """The first value of the header, found without regard to case."""
        return next((value for key, value in self.headers if key.lower() == name), default)

    @property
    def keep_alive(self) -> bool:
        wish = self.header("connection").lower()
        return "close" not in wish and (self.version == "HTTP/1.1" or "keep-alive" in wish)


class Exchange(socketserver.StreamRequestHandler):
    """One connection: reads requests and answers them until either side closes."""

    rbufsize = 65536
    disable_nagle_algorithm = False
    request_: Received

    def handle(self) -> None:
        try:
            while (received := self.receive_head()) is not None:
                self.request_ = received
                answer = self.find(received.path)
                if answer(self, received) is False or not received.keep_alive:
                    return
                for _ in self.body(received):
                    pass
        except (ConnectionError, TimeoutError, ssl.SSLError):
            return

    def receive_head(self) -> Received | None:
        """The next request's head; None at the end of the connection or for bytes that are no head."""
        lines: list[bytes] = []
        while True:
            line = self.rfile.readline(65536)
            if not line:
                return None
            if line in (b"\r\n", b"\n"):
                if lines:
                    break
                continue
            lines.append(line)
        raw = b"".join(lines)
        parts = lines[0].decode("latin-1").rstrip("\r\n").split(" ")
        if len(parts) != 3:
            return None
        received = Received(raw, parts[0], parts[1], parts[2], _fields(lines[1:]))
        if not received.path.startswith("/_"):
            self.server.raw.append(raw.decode("latin-1"))  # type: ignore[attr-defined]
        return received

    def body(self, received: Received) -> Iterator[bytes]:
        """The request's body in pieces; the second time it is empty. Answers `Expect: 100-continue` first."""
        if received.body_read:
            return
        received.body_read = True
        chunked = "chunked" in received.header("transfer-encoding").lower()
        if not chunked and received.header("content-length", "0") == "0":
            return
        if received.header("expect").lower() == "100-continue":
            self.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        if chunked:
            yield from self.chunked_body(received)
        else:
            yield from self.counted(int(received.header("content-length")))

    def counted(self, left: int) -> Iterator[bytes]:
        while left:
            piece = self.rfile.read1(min(left, 65536))
            if not piece:
                raise ConnectionError("the body was cut")
            left -= len(piece)
            yield piece

    def chunked_body(self, received: Received) -> Iterator[bytes]:
        while size := int(self.rfile.readline().split(b";")[0], 16):
            yield from self.counted(size)
            self.rfile.readline()
        lines = list(iter(self.rfile.readline, b"\r\n"))
        received.trailers = _fields(lines)

    def send(self, data: bytes) -> None:
        self.connection.sendall(data)

    def head(self, status: int, *headers: tuple[str, str], reason: str = "Stated") -> None:
        """Send a response head."""
        lines = [f"HTTP/1.1 {status} {reason}", *(f"{name}: {value}" for name, value in headers)]
        self.send("\r\n".join([*lines, "", ""]).encode("latin-1"))

    def answer(self, body: bytes, *headers: tuple[str, str], status: int = 200) -> None:
        """Send a whole response with Content-Length; the body is left out for HEAD."""
        data = b"" if self.request_.method == "HEAD" else body
        lines = [f"HTTP/1.1 {status} Stated", f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in headers]
        self.send("\r\n".join([*lines, "", ""]).encode("latin-1") + data)

    def answer_json(self, value: object) -> None:
        self.answer(json.dumps(value).encode(), ("Content-Type", "application/json"))

    def chunk(self, data: bytes) -> None:
        self.send(b"%x\r\n%b\r\n" % (len(data), data))

    def find(self, path: str) -> "Answer":
        """The answer for a path: the first segment decides."""
        return ANSWERS.get(path.split("/")[1] if "/" in path else path, echo)


# What an answer returns: False closes the connection, anything else keeps it.
Answer = Callable[[Exchange, Received], bool | None]


def _fields(lines: list[bytes]) -> list[tuple[str, str]]:
    pairs = (line.decode("latin-1").rstrip("\r\n").partition(":") for line in lines)
    return [(name, value.strip()) for name, _, value in pairs]


def echo(exchange: Exchange, received: Received) -> None:
    body = b"".join(exchange.body(received))
    exchange.server.whole.append([received.method, received.target, body.decode("latin-1")])  # type: ignore[attr-defined]
    exchange.answer_json(
        {
            "method": received.method,
            "target": received.target,
            "version": received.version,
            "headers": received.headers,
            "body": body.decode("latin-1"),
            "trailers": received.trailers,
            "origin": exchange.server.label,  # type: ignore[attr-defined]
        }
    )


def sha256(exchange: Exchange, received: Received) -> None:
    digest, length = hashlib.sha256(), 0
    for piece in exchange.body(received):
        digest.update(piece)
        length += len(piece)
    exchange.answer_json({"sha256": digest.hexdigest(), "length": length, "trailers": received.trailers})


def some_bytes(exchange: Exchange, received: Received) -> bool:
    size, query = int(received.path.split("/")[2]), received.query
    start, status, extra = 0, 200, [("Content-Type", "application/octet-stream"), ("Accept-Ranges", "bytes")]
    span = received.header("range").removeprefix("bytes=")
    if span and "," not in span:
        first, _, last = span.partition("-")
        start, stop = int(first), min(int(last or size - 1), size - 1)
        extra.append(("Content-Range", f"bytes {start}-{stop}/{size}"))
        size, status = stop - start + 1, 206
    if "chunked" in query:
        exchange.head(status, ("Transfer-Encoding", "chunked"), *extra)
    elif "close" in query:
        exchange.head(status, ("Connection", "close"), *extra)
    else:
        exchange.head(status, ("Content-Length", str(size)), *extra)
    if received.method != "HEAD":
        send = exchange.chunk if "chunked" in query else exchange.send
        for piece in pattern(size, start):
            send(piece)
        if "chunked" in query:
            exchange.send(b"0\r\n\r\n")
    return "close" not in query


def status(exchange: Exchange, received: Received) -> None:
    code = int(received.path.split("/")[2])
    if code in (204, 304):
        exchange.head(code)
    else:
        exchange.answer(f"{code}\n".encode(), status=code)


def slow(exchange: Exchange, received: Received) -> None:
    time.sleep(float(received.query.get("s", "1")))
    echo(exchange, received)


def drip(exchange: Exchange, received: Received) -> None:
    exchange.head(200, ("Transfer-Encoding", "chunked"))
    for number in range(int(received.query.get("n", "3"))):
        exchange.chunk(f"drop {number}\n".encode())
        time.sleep(float(received.query.get("s", "0.1")))
    exchange.send(b"0\r\n\r\n")


def trailers(exchange: Exchange, received: Received) -> None:
    exchange.head(200, ("Transfer-Encoding", "chunked"), ("Trailer", "X-Digest, X-Second"))
    digest = hashlib.sha256()
    for piece in (b"one\n", b"two\n"):
        digest.update(piece)
        exchange.chunk(piece)
    exchange.send(f"0\r\nX-Digest: {digest.hexdigest()}\r\nX-Second: 2\r\n\r\n".encode())


def early(exchange: Exchange, received: Received) -> bool:
    closing = "close" in received.query
    exchange.answer(b"early\n", *([("Connection", "close")] if closing else []))
    if not closing:
        for _ in exchange.body(received):
            pass
    return not closing


def hints(exchange: Exchange, received: Received) -> None:
    exchange.head(103, ("Link", "</style.css>; rel=preload"), reason="Early Hints")
    echo(exchange, received)


def close(exchange: Exchange, received: Received) -> bool:
    exchange.answer(b"bye\n", ("Connection", "close"))
    return False


def cut(exchange: Exchange, received: Received) -> bool:
    exchange.head(200, ("Content-Length", "1000"))
    exchange.send(b"x" * int(received.query.get("n", "10")))
    return False


def header(exchange: Exchange, received: Received) -> None:
    pairs = parse_qsl(received.target.partition("?")[2], keep_blank_values=True)
    exchange.answer(b"headers\n", *pairs)


def raw(exchange: Exchange, received: Received) -> None:
    exchange.answer_json(list(exchange.server.raw))  # type: ignore[attr-defined]


def whole(exchange: Exchange, received: Received) -> None:
    exchange.answer_json(list(exchange.server.whole))  # type: ignore[attr-defined]


def reset(exchange: Exchange, received: Received) -> None:
    exchange.server.raw.clear()  # type: ignore[attr-defined]
    exchange.server.whole.clear()  # type: ignore[attr-defined]
    exchange.answer(b"")


ANSWERS: dict[str, Answer] = {
    "echo": echo, "sha256": sha256, "bytes": some_bytes, "status": status, "slow": slow, "drip": drip, "trailers": trailers,
    "early": early, "hints": hints, "close": close, "cut": cut, "header": header, "_raw": raw, "_whole": whole, "_reset": reset,
}  # fmt: skip


class Origin(socketserver.ThreadingTCPServer):
    """The origin, one thread a connection. label: put into every echo, to tell origins apart."""

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 1024

    def __init__(self, address: tuple[str, int] | str, label: str = "", tls: ssl.SSLContext | None = None) -> None:
        self.label = label
        self.tls = tls
        self.raw: collections.deque[str] = collections.deque(maxlen=RAW_KEPT)
        self.whole: collections.deque[list[str]] = collections.deque(maxlen=RAW_KEPT)
        self.address_family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        super().__init__(address, Exchange)  # type: ignore[arg-type]

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, peer = super().get_request()
        if self.address_family == socket.AF_INET:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection, peer

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Runs in the connection's own thread, so that a slow handshake holds up nobody."""
        try:
            connection = self.tls.wrap_socket(request, server_side=True) if self.tls else request
        except (OSError, ssl.SSLError):
            return
        try:
            super().finish_request(connection, client_address)
        finally:
            connection.close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--unix", help="path of a UNIX socket instead of a port")
    parser.add_argument("--label", default="")
    parser.add_argument("--cert")
    parser.add_argument("--key")
    parser.add_argument("--client-ca", help="ask for a client certificate of this authority")
    options = parser.parse_args()
    tls = None
    if options.cert:
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(options.cert, options.key)
        if options.client_ca:
            tls.load_verify_locations(options.client_ca)
            tls.verify_mode = ssl.CERT_REQUIRED
    origin = Origin(options.unix or ("127.0.0.1", options.port), options.label, tls)
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=origin.shutdown).start())
    print(f"origin on {origin.server_address}", flush=True)
    origin.serve_forever(poll_interval=0.05)


if __name__ == "__main__":
    main()
