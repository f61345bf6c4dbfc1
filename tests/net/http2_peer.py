"""A raw HTTP/2 client on a desk: it says any frame in any state, and checks only what no client lets pass.

The `h2` library (`edgegw.testing.http2`) is the better peer for a conversation; it ends a connection at its own first mistake.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import hpack

from edgegw.net.http2_downstream import Http2Downstream
from edgegw.testing.downstream import Desk
from edgegw.testing.memory import MemoryTransport

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE = range(9)
ACK = END_STREAM = 1
END_HEADERS = 4
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def frame(kind: int, flags: int, sid: int, payload: bytes = b"") -> bytes:
    """One frame."""
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + sid.to_bytes(4, "big") + payload


@dataclass
class Got:
    """One stream, as the peer sees it. send, receive: what either side may still send."""

    send: int
    receive: int
    status: int = 0
    body: bytes = b""
    ended: bool = False
    over: bool = False
    """The peer's own side."""
    reset: int | None = None
    left: bool = False
    """The peer reset it."""


class RawDesk(Desk):
    """A desk whose first connection is spoken to frame by frame.

    Attributes:
        said: frames that have not been delivered yet. streams: by number. goaways: last streams named.
    """

    def __init__(self, *steps: Any, window: int = 65535, **terms: Any) -> None:
        self.streams: dict[int, Got] = {}
        self.goaways: list[int] = []
        self.send = self.receive = 65535
        self.initial_send, self.initial_receive = 65535, window
        self._unacknowledged = [window]
        self._encoder, self._decoder = hpack.Encoder(), hpack.Decoder()
        self._read = 0
        self.said = PREFACE + frame(SETTINGS, 0, 0, b"\0\4" + window.to_bytes(4, "big"))
        super().__init__(*steps, **terms)
        self.pump()

    def connect(self, peer: str = "192.0.2.1") -> tuple[Any, MemoryTransport]:
        connection = Http2Downstream(self.listener, peer, 50000, 80)
        transport = MemoryTransport(connection, peer)
        transport.connect()
        return connection, transport

    def pump(self) -> None:
        """Carry bytes both ways until neither side has any."""
        while True:
            said, self.said = self.said, b""
            if said:
                self.transport.deliver(said)
            data = self.transport.written[self._read :]
            self._read += len(data)
            while data:
                stop = 9 + int.from_bytes(data[:3], "big")
                self._hear(data[3], data[4], int.from_bytes(data[5:9], "big"), data[9:stop])
                data = data[stop:]
            if not self.said:
                return

    # What it says.

    def asks(self, fields: list[tuple[str, str]], end: bool) -> int:
        sid = 2 * len(self.streams) + 1
        self.streams[sid] = Got(self.initial_send, self.initial_receive, over=end)
        self.said += frame(HEADERS, END_HEADERS | end, sid, self._encoder.encode(fields))
        return sid

    def room(self, sid: int) -> int:
        """Body bytes that it may send."""
        return max(min(self.send, self.streams[sid].send, 16384), 0)

    def sends(self, sid: int, size: int, end: bool = False) -> None:
        self.send -= size
        self.streams[sid].send -= size
        self.streams[sid].over = end
        self.said += frame(DATA, int(end), sid, b"u" * size)

    def resets(self, sid: int, code: int) -> None:
        self.streams[sid].left = self.streams[sid].over = True
        self.said += frame(RST_STREAM, 0, sid, code.to_bytes(4, "big"))

    def credits(self, sid: int, size: int) -> None:
        if sid:
            self.streams[sid].receive += size
        else:
            self.receive += size
        self.said += frame(WINDOW_UPDATE, 0, sid, size.to_bytes(4, "big"))

    def sets(self, window: int) -> None:
        self._unacknowledged.append(window)
        self.said += frame(SETTINGS, 0, 0, b"\0\4" + window.to_bytes(4, "big"))

    # What it hears.

    def _hear(self, kind: int, flags: int, sid: int, payload: bytes) -> None:
        got: Any = self.streams.get(sid)
        if kind == DATA:
            self.receive -= len(payload)
            got.receive -= len(payload)
            assert self.receive >= 0 and (not payload or got.receive >= 0), "more than the window"
            assert got.status and not got.ended and got.reset is None, (sid, got)
            got.body += payload
            got.ended = bool(flags & END_STREAM)
        elif kind == HEADERS:
            assert not got.ended and got.reset is None and flags & END_HEADERS, (sid, got)
            # Trailers have none.
            got.status = int(dict(self._decoder.decode(payload)).get(":status", got.status))
            got.ended = bool(flags & END_STREAM)
        elif kind == RST_STREAM:
            got.reset = int.from_bytes(payload, "big")
        elif kind == SETTINGS and flags & ACK:
            window = self._unacknowledged.pop(0)
            for each in self.streams.values():
                each.receive += window - self.initial_receive
            self.initial_receive = window
        elif kind == SETTINGS:
            self.said += frame(SETTINGS, ACK, 0)
        elif kind == PING and not flags & ACK:
            self.said += frame(PING, ACK, 0, payload)
        elif kind == GOAWAY:
            self.goaways.append(int.from_bytes(payload[:4], "big"))
        elif kind == WINDOW_UPDATE and sid:
            got.send += int.from_bytes(payload, "big")
        elif kind == WINDOW_UPDATE:
            self.send += int.from_bytes(payload, "big")
