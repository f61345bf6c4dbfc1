"""The receiving half that both HTTP/2 roles share: bytes to frames to events (RFC 9113 4, 5.1, 6); no I/O, no clock.

One buffer per read, walked by offsets: payloads of DATA are sliced once, header blocks once, everything else is read in place.
What a role makes of header blocks is its own (`http2`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Generic, TypeVar

from edgegw.wire.events import END, End, RequestHead, ResponseHead, Violation
from edgegw.wire.http1_fields import Refused
from edgegw.wire.http1_limits import Http1Limits
from edgegw.wire.http2_control import Control
from edgegw.wire.http2_fields import FieldTable, Malformed
from edgegw.wire.http2_frames import (
    ACK,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADER,
    HEADERS,
    LAST_STREAM,
    PADDED,
    PRIORITY_FLAG,
    SETTINGS,
    ConnectionFault,
    StreamFault,
    goaway_frame,
    reset_frame,
    unpack_header,
)
from edgegw.wire.http2_head import read_trailers
from edgegw.wire.http2_hpack import BlockDecoder, Pair
from edgegw.wire.http2_limits import ErrorCode, Http2Limits
from edgegw.wire.http2_sending import Events, Stream

Head = TypeVar("Head", RequestHead, ResponseHead)

_NO_SETTINGS = -1  # A gate: the first frame has not come.
_KEPT_HEADS = 8
_LONGEST_KEPT = 1024
_LIST_FACTOR = 4


class Codec(Control, Generic[Head]):
    """One connection; `http2` derives the two roles there are."""

    __slots__ = ("_block", "_block_ends", "_block_size", "_decoder", "_gate", "_heads", "_http1", "_rest", "_stable")

    _STATUS: ClassVar[int]
    _TABLE: ClassVar[FieldTable]

    def __init__(self, limits: Http2Limits, http1: Http1Limits) -> None:
        super().__init__(limits)
        self._http1 = http1
        self._rest = b""
        self._gate = _NO_SETTINGS
        self._block: list[bytes] = []
        self._block_size = 0
        self._block_ends = False
        self._decoder: BlockDecoder | None = None
        self._heads: dict[bytes, Head] = {}
        self._stable = True

    @property
    def idle(self) -> bool:
        """No stream is open, no frame or header block half received."""
        return not self._streams and not self._rest and self._gate <= 0

    def receive(self, data: bytes, now_s: float) -> Events:
        """Take bytes from the peer; never raises. After a `Violation` of stream 0 the answer is always empty.

        Args:
            now_s: monotonic seconds; only differences count.
        """
        events: Events = []
        if self._dead:
            return events
        if self._rest:
            data = self._rest + data
            self._rest = b""
        self._glitches.now_s = now_s
        try:
            self._walk(data, self._opening(data), events)
        except ConnectionFault as error:
            self._die(error, events)
        return events

    # What a role says.

    def _opening(self, data: bytes) -> int:
        """Bytes before the first frame; negative while they are not all there."""
        return 0

    def _on_block(self, sid: int, ends: bool, block: bytes, events: Events) -> None:
        """A whole header block came."""
        raise NotImplementedError

    def _spoil(self, stream: Stream, error: Refused, events: Events) -> None:
        """The stream's message can't be read on."""
        raise NotImplementedError

    def _failed(self, sid: int, error: StreamFault, events: Events) -> None:
        """A stream was reset because of its frames; say so."""
        raise NotImplementedError

    # Frames.

    def _walk(self, data: bytes, at: int, events: Events) -> None:
        size = len(data)
        handlers = _HANDLERS
        most = self._limits.frame
        while at >= 0 and size - at >= HEADER:
            high, low, kind, flags, sid = unpack_header(data, at)
            length = high << 8 | low
            if length > most:
                raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "h2_frame_size", f"a frame of {length} bytes")
            start = at + HEADER
            stop = start + length
            if stop > size:
                break
            sid &= LAST_STREAM
            if self._gate:
                self._check_gate(kind, flags, sid)
            at = stop
            try:
                if kind == DATA:
                    at = self._data(flags, sid, data, start, stop, events)
                elif kind < len(handlers):
                    handlers[kind](self, flags, sid, data, start, stop, events)
                else:
                    self._glitches.noise(kind)
            except StreamFault as error:
                self._fail(sid, error, events)
        if at < 0:
            self._rest = data
        elif at < size:
            self._rest = data[at:] if at else data

    def _check_gate(self, kind: int, flags: int, sid: int) -> None:
        if self._gate == _NO_SETTINGS:
            if kind != SETTINGS or flags & ACK:
                raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "h2_bad_preface", "the first frame is not SETTINGS")
            self._gate = 0
        elif kind != CONTINUATION or sid != self._gate:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "h2_bad_continuation", "a frame inside a header block")

    def _fail(self, sid: int, error: StreamFault, events: Events) -> None:
        stream = self._streams.get(sid)
        if stream is None:
            self._out.append(reset_frame(sid, error.code))
            self._remember(sid)
        else:
            self._reset(stream, error.code)
            self._failed(sid, error, events)
        self._glitches.reset()

    def _die(self, error: ConnectionFault, events: Events) -> None:
        self._out.append(goaway_frame(self._last_stream(), error.code, error.reason.encode("ascii")))
        self._dead = True
        self._rest = b""
        self._block = []
        self._gate = 0
        self._heads = {}
        self._decoder = None
        self._streams.clear()
        self._blocked.clear()
        self._resets.clear()
        events.append((0, Violation(self._STATUS, error.reason, error.detail)))

    # DATA.

    def _data(self, flags: int, sid: int, data: bytes, start: int, stop: int, events: Events) -> int:
        """One DATA frame, and those right behind it that go on plainly; returns where they end."""
        after = stop
        self._receive_window -= stop - start
        if self._receive_window < 0:
            raise ConnectionFault(
                ErrorCode.FLOW_CONTROL_ERROR, "h2_window_exceeded", "DATA beyond the connection's window"
            )
        stream = self._streams.get(sid)
        if stream is None or stream.remote_closed or stream.verdict is not None:
            self._data_astray(stream, flags, sid, stop - start)
            return after
        stream.receive_window -= stop - start
        if stream.receive_window < 0:
            self._credit_connection(stop - start)
            raise StreamFault(ErrorCode.FLOW_CONTROL_ERROR, "h2_window_exceeded", "DATA beyond the stream's window")
        if flags & PADDED:
            size = stop - start
            start, stop = _strip(PADDED, data, start, stop)
            self._credit(stream, size - (stop - start))
        size = stop - start
        if not stream.head or (0 <= stream.left < size):
            self._credit_connection(size)
            self._spoil(stream, _unexpected_data(stream), events)
            return after
        if size:
            body = data[start:stop]
            if not flags and len(data) - after > HEADER:
                after, body = self._more_data(stream, data, after, body)
            stream.held += len(body)
            if stream.left > 0:
                stream.left -= len(body)
            events.append((sid, body))
        elif not flags & END_STREAM:
            self._glitches.noise(DATA)
        if flags & END_STREAM:
            self._finish(stream, END, events)
        return after

    def _more_data(self, stream: Stream, data: bytes, at: int, body: bytes) -> tuple[int, bytes]:
        """Join the plain DATA frames of the stream that follow; whatever is special about one leaves it to the loop."""
        parts = [body]
        size, sid = len(data), stream.sid
        most = min(stream.receive_window, self._receive_window)
        if stream.left > 0:
            most = min(most, stream.left - len(body))
        taken = 0
        while size - at >= HEADER:
            high, low, kind, flags, other = unpack_header(data, at)
            length = high << 8 | low
            stop = at + HEADER + length
            if kind or flags or other != sid or not length or stop > size or length > most - taken:
                break
            if length > self._limits.frame:
                break
            parts.append(data[at + HEADER : stop])
            taken += length
            at = stop
        if taken:
            stream.receive_window -= taken
            self._receive_window -= taken
            body = b"".join(parts)
        return at, body

    def _data_astray(self, stream: Stream | None, flags: int, sid: int, size: int) -> None:
        """DATA that no message takes: the connection's window must not suffer."""
        if stream is None:
            self._idle_or_closed(sid)
        self._credit_connection(size)
        if stream is None and sid in self._resets:
            self._glitches.noise(HEADERS) if not size else None
        elif stream is None or stream.remote_closed:
            raise StreamFault(ErrorCode.STREAM_CLOSED, "h2_closed_stream", f"DATA behind the end of stream {sid}")
        elif flags & END_STREAM:
            self._drained(stream)

    def _drained(self, stream: Stream) -> None:
        """The rest of a message that could not be read is over."""
        stream.remote_closed = True
        if stream.verdict == ErrorCode.NO_ERROR:
            stream.verdict = None
        if stream.local_closed:
            self._remove(stream)

    def _finish(self, stream: Stream, end: End, events: Events) -> None:
        """END_STREAM came."""
        stream.remote_closed = True
        if stream.left > 0:
            self._spoil(stream, _short_body(), events)
            return
        events.append((stream.sid, end))
        if stream.local_closed:
            self._remove(stream)

    # Header blocks.

    def _headers(self, flags: int, sid: int, data: bytes, start: int, stop: int, events: Events) -> None:
        if not sid & 1:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "h2_bad_stream_id", f"HEADERS on stream {sid}")
        if flags & (PADDED | PRIORITY_FLAG):
            start, stop = _strip(flags, data, start, stop)
        if flags & END_HEADERS:
            self._on_block(sid, bool(flags & END_STREAM), data[start:stop], events)
        else:
            self._gate = sid
            self._block = [data[start:stop]]
            self._block_size = stop - start
            self._block_ends = bool(flags & END_STREAM)

    def _continuation(self, flags: int, sid: int, data: bytes, start: int, stop: int, events: Events) -> None:
        if not self._gate:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "h2_bad_continuation", "CONTINUATION behind no HEADERS")
        self._block.append(data[start:stop])
        self._block_size += stop - start
        if len(self._block) - 1 > self._limits.continuation or self._block_size > self._limits.block:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "h2_continuation_flood", "a header block without end")
        if flags & END_HEADERS:
            block, self._block = b"".join(self._block), []
            self._gate = 0
            self._on_block(sid, self._block_ends, block, events)

    def _pairs(self, block: bytes) -> Sequence[Pair]:
        """Decode a block, which must be done for every one there is: the peer's table depends on it (RFC 9113 4.3)."""
        decoder = self._decoder
        if decoder is None:
            decoder = self._decoder = BlockDecoder(_LIST_FACTOR * self._limits.list)
        pairs, changed = decoder.decode(block)
        self._stable = not changed
        if changed and self._heads:
            self._heads = {}
        return pairs

    def _keep(self, block: bytes, head: Head) -> None:
        """Remember what a block means, until the table changes."""
        if self._stable and len(block) <= _LONGEST_KEPT:
            if len(self._heads) >= _KEPT_HEADS:
                self._heads = {}
            self._heads[block] = head

    def _trailers(self, stream: Stream, ends: bool, block: bytes, events: Events) -> None:
        """A block behind a final head."""
        pairs = self._pairs(block)
        if stream.verdict is not None and not stream.remote_closed:
            if ends:
                self._drained(stream)
            return
        if stream.remote_closed:
            raise StreamFault(
                ErrorCode.STREAM_CLOSED, "h2_closed_stream", f"HEADERS behind the end of stream {stream.sid}"
            )
        if not ends:
            self._spoil(stream, Malformed(400, "h2_bad_trailers", "trailers without END_STREAM"), events)
            return
        try:
            fields = read_trailers(pairs, self._http1, self._TABLE)
        except Refused as error:
            stream.remote_closed = True
            self._spoil(stream, error, events)
            return
        self._finish(stream, End(fields) if fields else END, events)

    def _late_block(self, sid: int, block: bytes) -> None:
        """A header block for a stream that is closed.

        Raises:
            ConnectionFault: the stream did not end by our reset, so the peer knows (RFC 9113 5.1).
        """
        self._pairs(block)
        if sid not in self._resets:
            raise ConnectionFault(ErrorCode.STREAM_CLOSED, "h2_closed_stream", f"HEADERS on closed stream {sid}")
        self._glitches.noise(HEADERS)

    def __repr__(self) -> str:
        state = "dead" if self._dead else "closing" if self.closing else "open"
        return (
            f"<{type(self).__name__} {state}, {len(self._streams)} streams, {self._opened} opened, "
            f"buffered={len(self._rest) + self._block_size * bool(self._block)}, window={self._send_window}, "
            f"glitches={self.glitches}>"
        )


_Handler = Callable[[Any, int, int, bytes, int, int, Events], None]
_HANDLERS: tuple[_Handler, ...] = (
    lambda *_: None,  # DATA is not dispatched.
    Codec._headers,
    Codec._priority,
    Codec._rst_stream,
    Codec._settings,
    Codec._push_promise,
    Codec._ping,
    Codec._goaway,
    Codec._window_update,
    Codec._continuation,
)
"""By frame type."""


def _strip(flags: int, data: bytes, start: int, stop: int) -> tuple[int, int]:
    """Where the payload is without padding and priority (RFC 9113 6.1, 6.2)."""
    least = bool(flags & PADDED) + 5 * bool(flags & PRIORITY_FLAG)
    if stop - start < least:
        raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "h2_frame_size", "no room for padding or priority")
    if flags & PADDED:
        stop -= data[start]
    start += least
    if stop < start:
        raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "h2_bad_padding", "more padding than payload")
    return start, stop


def _unexpected_data(stream: Stream) -> Malformed:
    if stream.head:
        return Malformed(400, "h2_length_mismatch", "more DATA than Content-Length says")
    return Malformed(400, "h2_data_before_head", "DATA before a final head")


def _short_body() -> Malformed:
    return Malformed(400, "h2_length_mismatch", "less DATA than Content-Length says")
