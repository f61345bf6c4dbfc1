"""A downstream HTTP/2 peer that sends exactly the frames it is told to and notes every frame it gets: `Http2Wire`.

    with Http2Wire(gateway.port()) as wire:
        stream = wire.request("/echo")
        answer = wire.read(stream)               # Stream(status=200, ...)
        wire.send(frame(PING, payload=bytes(8)))
        wire.until(lambda: wire.goaways)

Framing is its own (only `hpack` is borrowed), so that what is wrong on purpose can be sent and what is wrong by mistake is seen.
"""

import hashlib
import ssl
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import hpack

from tests.live.wire import Wire, words

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, ACK, END_HEADERS, PADDED = 0x1, 0x1, 0x4, 0x8
NO_ERROR, PROTOCOL_ERROR, REFUSED_STREAM, CANCEL, ENHANCE_YOUR_CALM = 0, 1, 7, 8, 11
HEADER_TABLE_SIZE, ENABLE_PUSH, MAX_CONCURRENT_STREAMS, INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE, MAX_HEADER_LIST_SIZE = (
    range(1, 7)
)
ENABLE_CONNECT_PROTOCOL = 8
NAMES = words("DATA HEADERS PRIORITY RST_STREAM SETTINGS PUSH_PROMISE PING GOAWAY WINDOW_UPDATE CONTINUATION")
Fields = Sequence[tuple[str, str]]


def frame(kind: int, flags: int = 0, stream: int = 0, payload: bytes = b"") -> bytes:
    """One frame (RFC 9113 4.1)."""
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


def settings_frame(values: dict[int, int]) -> bytes:
    """A SETTINGS frame."""
    payload = b"".join(key.to_bytes(2, "big") + value.to_bytes(4, "big") for key, value in values.items())
    return frame(SETTINGS, payload=payload)


def window_frame(stream: int, credit: int) -> bytes:
    """A WINDOW_UPDATE frame."""
    return frame(WINDOW_UPDATE, 0, stream, credit.to_bytes(4, "big"))


def reset_frame(stream: int, code: int = CANCEL) -> bytes:
    """A RST_STREAM frame."""
    return frame(RST_STREAM, 0, stream, code.to_bytes(4, "big"))


@dataclass
class Stream:
    """What came on one stream. length, sha256: of the body; body: empty unless kept. reset: the code of a RST_STREAM."""

    status: int = 0
    headers: list[tuple[str, str]] = field(default_factory=list)
    trailers: list[tuple[str, str]] = field(default_factory=list)
    informational: list[tuple[int, list[tuple[str, str]]]] = field(default_factory=list)
    body: bytearray = field(default_factory=bytearray)
    length: int = 0
    digest: Any = field(default_factory=hashlib.sha256)
    ended: bool = False
    reset: int | None = None
    ended_at: float = 0.0
    window: int = 65535
    pieces: list[tuple[float, bytes]] = field(default_factory=list)

    @property
    def over(self) -> bool:
        """Whether nothing more comes."""
        return self.ended or self.reset is not None

    @property
    def sha256(self) -> str:
        found: str = self.digest.hexdigest()
        return found

    def header(self, name: str, default: str = "") -> str:
        """The first value of a field of the head, or else of the trailers."""
        return next((value for key, value in [*self.headers, *self.trailers] if key == name), default)


class Http2Wire(Wire):
    """One HTTP/2 connection with prior knowledge, or with ALPN when `tls` is given.

    settings: ours. credit: give back what was received, at once. keep_body: False only counts and hashes bodies.
    """

    def __init__(
        self,
        port: int,
        *,
        settings: dict[int, int] | None = None,
        credit: bool = True,
        keep_body: bool = True,
        tls: ssl.SSLContext | None = None,
        **options: Any,
    ) -> None:
        if tls is not None:
            tls.set_alpn_protocols(["h2"])
        super().__init__(port, tls=tls, **options)
        self.scheme = "https" if tls is not None else "http"
        self.credit = credit
        self.keep_body = keep_body
        self.streams: dict[int, Stream] = {}
        self.settings: dict[int, int] = {}
        self.goaways: list[tuple[int, int, bytes]] = []
        self.frames: Counter[int] = Counter()
        self.pongs = 0
        self.closed = False
        self.window = 65535
        self.peer_frame = 16384
        self.encoder = hpack.Encoder()
        self._decoder = hpack.Decoder()
        self._block = b""
        self._next = 1
        self.send(PREFACE + settings_frame(settings or {ENABLE_PUSH: 0}))
        self.until(lambda: self.settings, "their SETTINGS")

    # Sending.

    def head(self, stream: int, fields: Fields, end: bool = True) -> bytes:  # type: ignore[override]
        """The HEADERS frame of these fields; the dynamic table is not used, so that frames can be repeated or left out."""
        block = self.encoder.encode([hpack.NeverIndexedHeaderTuple(name, value) for name, value in fields])
        return frame(HEADERS, END_HEADERS | (END_STREAM if end else 0), stream, block)

    def fields(self, path: str, method: str = "GET", headers: Fields = (), authority: str = "localhost") -> Fields:
        """A request's fields, pseudo fields first."""
        pseudo = [(":method", method), (":scheme", self.scheme), (":authority", authority), (":path", path)]
        return [*pseudo, *headers]

    def next_stream(self) -> int:
        """The identifier of a new stream, noted as open."""
        stream, self._next = self._next, self._next + 2
        self.streams[stream] = Stream(window=self.settings.get(INITIAL_WINDOW_SIZE, 65535))
        return stream

    def request(  # type: ignore[override]
        self, path: str, method: str = "GET", headers: Fields = (), *, end: bool = True, body: bytes = b""
    ) -> int:
        """Send a request; with `body`, all of it as windows allow. Returns its stream."""
        stream = self.next_stream()
        self.send(self.head(stream, self.fields(path, method, headers), end and not body))
        if body:
            self.upload(stream, [body], end=end)
        return stream

    def upload(self, stream: int, pieces: Iterable[bytes], *, end: bool = True) -> None:
        """Send a body, waiting for credit; stops when the stream is over."""
        state = self.streams[stream]
        for piece in pieces:
            view = memoryview(piece)
            while view and not state.over:
                self.until(lambda: state.over or min(self.window, state.window) > 0, "credit")
                size = max(0, min(self.window, state.window, self.peer_frame, len(view)))
                self.send(frame(DATA, 0, stream, bytes(view[:size])))
                view = view[size:]
                self.window -= size
                state.window -= size
        if end and not state.over:
            self.send(frame(DATA, END_STREAM, stream))

    # Receiving.

    def read(self, stream: int, limit_s: float = 30.0) -> Stream:  # type: ignore[override]
        """The stream when nothing more comes on it."""
        state = self.streams[stream]
        self.until(lambda: state.over or self.closed, f"the end of stream {stream}", limit_s)
        return state

    def ask(self, path: str, method: str = "GET", headers: Fields = (), **options: Any) -> Stream:  # type: ignore[override]
        """Send a request and read its answer."""
        return self.read(self.request(path, method, headers, **options))

    def until(self, condition: Callable[[], Any], what: str = "", limit_s: float = 15.0) -> Any:
        """Read frames until the condition holds; raises AssertionError when time is up or the connection ends before."""
        deadline = time.monotonic() + limit_s
        while not (value := condition()):
            if self.closed:
                raise AssertionError(f"the connection ended while waiting for {what}: {self!r}")
            left = deadline - time.monotonic()
            if left <= 0 or not self.step(left):
                if time.monotonic() >= deadline:
                    raise AssertionError(f"after {limit_s:g} s still not so: {what}: {self!r}")
        return value

    def settle(self, quiet_s: float = 0.3) -> None:
        """Read until nothing comes for so long, or the connection ends."""
        while not self.closed and self.step(quiet_s):
            pass

    def step(self, limit_s: float) -> bool:
        """Read once and handle whole frames; False when nothing came."""
        self.socket.settimeout(max(limit_s, 0.001))
        try:
            data = self.socket.recv(262_144)
        except TimeoutError:
            return False
        except OSError:
            data = b""
        finally:
            self.socket.settimeout(30)
        if not data:
            self.closed = True
            return False
        self._buffer += data
        while len(self._buffer) >= 9:
            size = int.from_bytes(self._buffer[:3], "big")
            if len(self._buffer) < 9 + size:
                break
            kind, flags = self._buffer[3], self._buffer[4]
            stream = int.from_bytes(self._buffer[5:9], "big") & 0x7FFFFFFF
            payload, self._buffer = self._buffer[9 : 9 + size], self._buffer[9 + size :]
            self.frames[kind] += 1
            self._handle(kind, flags, stream, payload)
        return True

    def _handle(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        state = self.streams.get(stream)
        if kind == DATA and state is not None:
            self._data(state, stream, payload)
        elif kind in (HEADERS, CONTINUATION):
            assert not flags & PADDED
            self._block += payload
            self._ends = flags & END_STREAM if kind == HEADERS else self._ends
            if flags & END_HEADERS:
                block, self._block = self._decoder.decode(self._block), b""
                if state is not None:
                    self._fields(state, [(str(name), str(value)) for name, value in block], bool(self._ends))
            return
        elif kind == RST_STREAM and state is not None:
            state.reset, state.ended_at = int.from_bytes(payload, "big"), time.monotonic()
        elif kind == SETTINGS and not flags & ACK:
            self._settings(payload)
        elif kind == PING:
            self.pongs += bool(flags & ACK)
            if not flags & ACK:
                self.try_send(frame(PING, ACK, 0, payload))
        elif kind == GOAWAY:
            last, code = int.from_bytes(payload[:4], "big"), int.from_bytes(payload[4:8], "big")
            self.goaways.append((last, code, payload[8:]))
        elif kind == WINDOW_UPDATE:
            credit = int.from_bytes(payload, "big")
            if stream == 0:
                self.window += credit
            elif state is not None:
                state.window += credit
        if kind == DATA and flags & END_STREAM and state is not None:
            state.ended, state.ended_at = True, time.monotonic()

    def _data(self, state: Stream, stream: int, payload: bytes) -> None:
        state.length += len(payload)
        state.digest.update(payload)
        if self.keep_body:
            state.body += payload
            state.pieces.append((time.monotonic(), payload))
        if self.credit and payload:
            self.try_send(window_frame(0, len(payload)) + window_frame(stream, len(payload)))

    def _fields(self, state: Stream, fields: list[tuple[str, str]], end: bool) -> None:
        if fields and fields[0][0] == ":status":
            status = int(fields[0][1])
            if status < 200:
                state.informational.append((status, fields[1:]))
            else:
                state.status, state.headers = status, fields[1:]
        else:
            state.trailers = fields
        if end:
            state.ended, state.ended_at = True, time.monotonic()

    def _settings(self, payload: bytes) -> None:
        before = self.settings.get(INITIAL_WINDOW_SIZE, 65535)
        for place in range(0, len(payload), 6):
            key = int.from_bytes(payload[place : place + 2], "big")
            self.settings[key] = int.from_bytes(payload[place + 2 : place + 6], "big")
        self.settings.setdefault(0, 0)
        self.peer_frame = self.settings.get(MAX_FRAME_SIZE, 16384)
        for state in self.streams.values():
            state.window += self.settings.get(INITIAL_WINDOW_SIZE, 65535) - before
        self.try_send(frame(SETTINGS, ACK))

    def __repr__(self) -> str:
        seen = {NAMES[kind] if kind < 10 else kind: count for kind, count in self.frames.items()}
        return f"<Http2Wire got {seen} goaways={self.goaways} closed={self.closed}>"

    def __enter__(self) -> Self:
        return self
