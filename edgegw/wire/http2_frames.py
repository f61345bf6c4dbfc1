"""The frames of HTTP/2 as bytes (RFC 9113 4 and 6), and the two ways in which they can be wrong."""

from __future__ import annotations

from collections.abc import Iterable
from struct import Struct

from edgegw.wire.http2_limits import ErrorCode

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM = ACK = 0x01
END_HEADERS = 0x04
PADDED = 0x08
PRIORITY_FLAG = 0x20

HEADER_TABLE_SIZE, ENABLE_PUSH, MAX_CONCURRENT_STREAMS, INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE, MAX_HEADER_LIST_SIZE = (
    range(1, 7)
)
ENABLE_CONNECT_PROTOCOL = 0x08
NO_RFC7540_PRIORITIES = 0x09

LEAST_FRAME, MOST_FRAME = 16384, 2**24 - 1
DEFAULT_WINDOW = 65535
MOST_WINDOW = 2**31 - 1
LAST_STREAM = 2**31 - 1

_header = Struct(">HBBBL")
unpack_header = _header.unpack_from
"""`unpack_header(data, at)` to (length >> 8, length & 255, type, flags, stream with the reserved bit)."""
HEADER = _header.size

_setting = Struct(">HL")
_long = Struct(">L")
_two_longs = Struct(">LL")
unpack_long = _long.unpack_from
unpack_two_longs = _two_longs.unpack_from
_pack = _header.pack


class ConnectionFault(Exception):
    """The peer broke the connection's rules: GOAWAY with this code. reason: see `edgegw.wire.reasons`."""

    def __init__(self, code: ErrorCode, reason: str, detail: str = "") -> None:
        super().__init__(code, reason, detail)
        self.code = code
        self.reason = reason
        self.detail = detail


class StreamFault(ConnectionFault):
    """The peer broke the rules of one stream by its frames, not by its message: RST_STREAM with this code."""


def frame_header(kind: int, flags: int, sid: int, length: int) -> bytes:
    """The nine bytes before a payload."""
    return _pack(length >> 8, length & 255, kind, flags, sid)


def settings_frame(values: Iterable[tuple[int, int]]) -> bytes:
    """SETTINGS with these (identifier, value) pairs."""
    payload = b"".join([_setting.pack(*each) for each in values])
    return frame_header(SETTINGS, 0, 0, len(payload)) + payload


SETTINGS_ACK = frame_header(SETTINGS, ACK, 0, 0)


def read_settings(payload: bytes) -> dict[int, int]:
    """The pairs of a SETTINGS payload; the last of an identifier counts, as it does when they are applied in order."""
    return dict(_setting.iter_unpack(payload))


def window_update_frame(sid: int, size: int) -> bytes:
    """WINDOW_UPDATE."""
    return _pack(0, 4, WINDOW_UPDATE, 0, sid) + _long.pack(size)


def reset_frame(sid: int, code: int) -> bytes:
    """RST_STREAM."""
    return _pack(0, 4, RST_STREAM, 0, sid) + _long.pack(code)


def ping_frame(payload: bytes, flags: int = 0) -> bytes:
    """PING, or the answer to one; the payload has 8 bytes."""
    return _pack(0, 8, PING, flags, 0) + payload


def goaway_frame(last: int, code: int, debug: bytes = b"") -> bytes:
    """GOAWAY."""
    return frame_header(GOAWAY, 0, 0, 8 + len(debug)) + _two_longs.pack(last, code) + debug


def headers_frames(sid: int, block: bytes, end: bool, most: int) -> list[bytes]:
    """HEADERS, with CONTINUATION frames behind it if the block is longer than `most` bytes."""
    flags = END_STREAM if end else 0
    if len(block) <= most:
        return [frame_header(HEADERS, flags | END_HEADERS, sid, len(block)), block]
    out = [frame_header(HEADERS, flags, sid, most), block[:most]]
    for at in range(most, len(block), most):
        piece = block[at : at + most]
        out += [frame_header(CONTINUATION, END_HEADERS if at + most >= len(block) else 0, sid, len(piece)), piece]
    return out
