"""A downstream peer that sends exactly the bytes it is told to and reads answers strictly: `Wire`.

with Wire(gateway.port()) as wire:
    wire.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    answer = wire.read()                 # Answer(status=200, ...); raises Cut when the message is not complete
    wire.at_end()                        # True when the gateway closed
"""

import hashlib
import socket
import ssl
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

LARGE = 262_144


@dataclass
class Answer:
    """One response. headers, trailers: pairs in order, names as received. informational: the 1xx heads before it."""

    status: int
    version: str = "HTTP/1.1"
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    length: int = 0
    sha256: str = ""
    trailers: list[tuple[str, str]] = field(default_factory=list)
    informational: list[tuple[int, list[tuple[str, str]]]] = field(default_factory=list)

    def header(self, name: str, default: str = "") -> str:
        """The first value of the header, found without regard to case."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), default)

    @property
    def closes(self) -> bool:
        """Whether the answer says that the connection ends with it."""
        return "close" in self.header("connection").lower()


class Cut(AssertionError):
    """The connection ended inside a message. answer: as much of it as came, None before the end of its head."""

    def __init__(self, what: str, answer: Answer | None = None) -> None:
        super().__init__(what)
        self.answer = answer


class Wire:
    """One connection to a loopback port.

    tls: speak TLS by this context, asking for `name`. receive_buffer: bytes the kernel may hold for us, for slow readers.
    """

    def __init__(
        self,
        port: int,
        *,
        tls: ssl.SSLContext | None = None,
        name: str | None = None,
        timeout_s: float = 15.0,
        receive_buffer: int = 0,
    ) -> None:
        plain = socket.socket()
        if receive_buffer:
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        plain.settimeout(timeout_s)
        plain.connect(("127.0.0.1", port))
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            self.socket: Any = tls.wrap_socket(plain, server_hostname=name) if tls is not None else plain
        except BaseException:
            plain.close()
            raise
        self._buffer = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the socket."""
        self.socket.close()

    def reset(self) -> None:
        """Close with a RST, as a peer that dies does."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    # Sending.

    def send(self, data: bytes) -> None:
        """Send exactly these bytes."""
        self.socket.sendall(data)

    def try_send(self, data: bytes) -> bool:
        """Send, if the other side still takes it: many refusals come before the message is whole."""
        try:
            self.socket.sendall(data)
        except OSError:
            return False
        return True

    def request(self, target: str, method: str = "GET", body: bytes | None = None, **headers: str) -> None:
        """Send a request; `x_name="v"` becomes `x-name: v`, Host is `localhost` unless given."""
        fields = {"host": "localhost", **{name.replace("_", "-"): value for name, value in headers.items()}}
        if body is not None:
            fields["content-length"] = str(len(body))
        lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
        self.send("\r\n".join([*lines, "", ""]).encode("latin-1") + (body or b""))

    def ask(self, target: str, method: str = "GET", body: bytes | None = None, **headers: str) -> Answer:
        """Send a request and read its answer."""
        self.request(target, method, body, **headers)
        return self.read(method)

    # Receiving.

    def read(self, method: str = "GET", *, keep_body: bool = True) -> Answer:
        """Read one whole response to a request of this method.

        keep_body: False only counts and hashes the body, for large ones.

        Raises:
            Cut: the connection ended before the message did.
        """
        informational: list[tuple[int, list[tuple[str, str]]]] = []
        while True:
            status, version, headers = self.head()
            if status >= 200 or status == 101:
                break
            informational.append((status, headers))
        answer = Answer(status, version, headers, informational=informational)
        digest, kept = hashlib.sha256(), []
        try:
            for piece in self._body(answer, method):
                digest.update(piece)
                answer.length += len(piece)
                if keep_body:
                    kept.append(piece)
        except Cut as cut:
            cut.answer = answer
            raise
        finally:
            answer.body = b"".join(kept)
        answer.sha256 = digest.hexdigest()
        return answer

    def head(self) -> tuple[int, str, list[tuple[str, str]]]:
        """Read one head, final or not: status, version, fields."""
        lines: list[str] = []
        while line := self.line():
            lines.append(line)
        version, status, _ = (lines[0] + "  ").split(" ", 2)
        return int(status), version, _pairs(lines[1:])

    def _body(self, answer: Answer, method: str) -> Iterator[bytes]:
        if method == "HEAD" or answer.status in (204, 304, 101):
            return
        if "chunked" in answer.header("transfer-encoding").lower():
            while size := int(self.line().split(";")[0], 16):
                yield from self._exactly(size)
                if self.line():
                    raise AssertionError("a chunk is longer than it says")
            lines = []
            while line := self.line():
                lines.append(line)
            answer.trailers = _pairs(lines)
        elif length := answer.header("content-length"):
            yield from self._exactly(int(length))
        else:
            while piece := self._piece():
                yield piece

    def _exactly(self, size: int) -> Iterator[bytes]:
        while size:
            piece = self._piece()
            if not piece:
                raise Cut(f"{size} bytes are missing")
            if len(piece) > size:
                piece, self._buffer = piece[:size], piece[size:]
            size -= len(piece)
            yield piece

    def line(self) -> str:
        """Read one line, without its end."""
        while (end := self._buffer.find(b"\r\n")) < 0:
            more = self.receive(65536)
            if not more:
                raise Cut(f"the connection ended inside a line: {self._buffer[:200]!r}")
            self._buffer += more
        line, self._buffer = self._buffer[:end], self._buffer[end + 2 :]
        return line.decode("latin-1")

    def unread(self, data: bytes) -> None:
        """Put bytes that were taken with `receive` back before everything else."""
        self._buffer = data + self._buffer

    def _piece(self) -> bytes:
        if self._buffer:
            piece, self._buffer = self._buffer, b""
            return piece
        return self.receive(LARGE)

    def receive(self, size: int) -> bytes:
        """At most so many bytes as they come; nothing at the end of the connection, an abrupt one included."""
        try:
            data: bytes = self.socket.recv(size)
        except (ConnectionError, ssl.SSLEOFError, ssl.SSLZeroReturnError):
            return b""
        return data

    def rest(self) -> bytes:
        """Everything until the other side closes; raises TimeoutError if it does not."""
        found, self._buffer = [self._buffer], b""
        while piece := self.receive(65536):
            found.append(piece)
        return b"".join(found)

    def at_end(self) -> bool:
        """Whether the other side closes without a further byte, waited for as long as the time limit of the connection."""
        try:
            return self.rest() == b""
        except TimeoutError:
            return False


def _pairs(lines: list[str]) -> list[tuple[str, str]]:
    parts = (line.partition(":") for line in lines)
    return [(name, value.strip()) for name, _, value in parts]


def words(text: str) -> list[str]:
    """The words of a text: tables of inputs without a line for each."""
    return text.split()
