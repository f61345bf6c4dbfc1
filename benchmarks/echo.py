"""The WebSocket origin: echoes messages below 126 bytes, on uvloop, doing nothing else: `python -m benchmarks.echo PORT`.

A GET that is no handshake is answered with the number of messages that were echoed so far.
"""

import asyncio
import base64
import hashlib
import sys
from typing import cast

import uvloop

from benchmarks.process import raise_file_limit

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_TEXT, _CLOSE, _PING = 0x81, 0x88, 0x89


class Count:
    """Messages echoed by all connections."""

    messages = 0


class Echo(asyncio.Protocol):
    """One connection: the handshake, then every message comes back."""

    transport: asyncio.Transport

    def __init__(self, count: Count) -> None:
        self._count = count
        self._open = False
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio: accepted."""
        # uvloop's transports are asyncio's by behaviour only.
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """asyncio: bytes came."""
        self._buffer += data
        if not self._open and not self._handshake():
            return
        self._echo()

    def _handshake(self) -> bool:
        head, found, rest = self._buffer.partition(b"\r\n\r\n")
        if not found:
            return False
        self._buffer = rest
        fields = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:] if b": " in line)
        key = {name.lower(): value for name, value in fields.items()}.get(b"sec-websocket-key")
        if key is None:
            said = b"%d" % self._count.messages
            self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(said), said))
            return False
        accept = base64.b64encode(hashlib.sha1(key.strip() + _GUID).digest())
        head = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        self.transport.write(head + b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n")
        self._open = True
        return True

    def _echo(self) -> None:
        data, at, answers = self._buffer, 0, []
        while len(data) - at >= 6:
            size = data[at + 1] & 0x7F
            end = at + 6 + size
            if len(data) < end:
                break
            kind, payload = data[at], unmasked(data[at + 2 : at + 6], data[at + 6 : end])
            at = end
            if kind == _CLOSE:
                self.transport.write(bytes((_CLOSE, len(payload))) + payload)
                self.transport.close()
            elif kind == _PING:
                answers.append(bytes((0x8A, len(payload))) + payload)
            else:
                self._count.messages += 1
                answers.append(bytes((kind, len(payload))) + payload)
        self._buffer = data[at:]
        if answers:
            self.transport.write(b"".join(answers))


def unmasked(mask: bytes, data: bytes) -> bytes:
    """Data with the mask taken off, or put on (RFC 6455 5.3)."""
    size = len(data)
    mask = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(data, "big") ^ int.from_bytes(mask, "big")).to_bytes(size, "big")


async def serve(port: int) -> None:
    """Listen until the process is ended."""
    count = Count()
    server = await asyncio.get_running_loop().create_server(lambda: Echo(count), "127.0.0.1", port, backlog=4096)
    await server.serve_forever()


if __name__ == "__main__":
    raise_file_limit()
    uvloop.run(serve(int(sys.argv[1])))
