"""What one side of an HTTP/2 connection accepts, and the error codes both sides speak."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class ErrorCode(IntEnum):
    """RFC 9113 7."""

    NO_ERROR = 0
    PROTOCOL_ERROR = 1
    INTERNAL_ERROR = 2
    FLOW_CONTROL_ERROR = 3
    SETTINGS_TIMEOUT = 4
    STREAM_CLOSED = 5
    FRAME_SIZE_ERROR = 6
    REFUSED_STREAM = 7
    CANCEL = 8
    COMPRESSION_ERROR = 9
    CONNECT_ERROR = 10
    ENHANCE_YOUR_CALM = 11
    INADEQUATE_SECURITY = 12
    HTTP_1_1_REQUIRED = 13


@dataclass(frozen=True, slots=True)
class Http2Limits:
    """Caps of one side, in bytes unless said otherwise.

    streams: that the peer may have open at once. window, connection_window: body bytes that may be under way unconsumed, per
    stream and in all. frame: the largest frame taken, 16384 to 2^24-1. list: names and values of one head together; four times
    as much (as RFC 9113 6.5.2 counts) ends the connection. fields: their number. continuation: CONTINUATION frames of one head.
    block: one header block as it is on the wire. reset_burst, reset_rate (per second), noise (per minute): see `http2_glitches`.
    requests: streams per connection before a graceful end (done by `net`). extended_connect: offer RFC 8441.
    """

    streams: int = 100
    window: int = 65535
    connection_window: int = 1048576
    frame: int = 16384
    list: int = 16384
    fields: int = 100
    continuation: int = 64
    block: int = 65536
    reset_burst: int = 200
    reset_rate: float = 33.0
    noise: int = 1000
    requests: int = 10_000
    extended_connect: bool = True


CLIENT_LIMITS = Http2Limits(list=32768, fields=200, reset_burst=10_000, reset_rate=1000.0, noise=10_000)
"""What an upstream may send: it was chosen by the operator, and gRPC servers reset many a stream they have answered."""
