"""The sending half of an HTTP/2 connection: streams, both directions' windows, and the queues of what waits for one.

Frames gather in a list until `take`. Body data that fits its windows is framed at once and never copied here; the rest waits per
stream, and streams are served in turn, a frame each, when the connection's window opens (RFC 9113 5.2).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from edgegw.wire.events import RELIEVED, StreamEvent
from edgegw.wire.headers import Field
from edgegw.wire.http2_fields import encode_fields
from edgegw.wire.http2_frames import (
    DATA,
    DEFAULT_WINDOW,
    END_STREAM,
    LEAST_FRAME,
    frame_header,
    goaway_frame,
    headers_frames,
    ping_frame,
    reset_frame,
    window_update_frame,
)
from edgegw.wire.http2_glitches import Glitches
from edgegw.wire.http2_limits import ErrorCode, Http2Limits

Events = list[tuple[int, StreamEvent]]

LENGTH_UNKNOWN = -1
LARGEST_SENT = 65536
"""DATA frames are no longer, whatever the peer would take: streams share a connection."""
_REMEMBERED = 512
_PING = b"edgegw\x00\x00"


class Stream:
    """One stream that is not closed both ways.

    send_window, receive_window: body bytes that we and the peer may still send. owed: credit gathered for the next WINDOW_UPDATE.
    held: bytes delivered and not consumed. left: bytes missing from the announced length, or `LENGTH_UNKNOWN`. queue, queued: what
    waits for a window, and its bytes. ending: the trailer block behind it, empty without trailers, None while no end was asked
    for. verdict: the message is spoilt, nothing more is read of it, and its stream is reset with this code after the answer.
    """

    __slots__ = (
        "bodiless", "ending", "head", "held", "informational", "left", "local_closed", "owed", "queue", "queued",
        "receive_window", "remote_closed", "send_window", "sid", "tunnel", "verdict",
    )  # fmt: skip

    def __init__(self, sid: int, send_window: int, receive_window: int) -> None:
        self.sid = sid
        self.send_window = send_window
        self.receive_window = receive_window
        self.owed = self.held = self.queued = self.informational = 0
        self.left = LENGTH_UNKNOWN
        self.queue: deque[bytes | memoryview] | None = None
        self.ending: bytes | None = None
        self.verdict: ErrorCode | None = None
        self.head = self.local_closed = self.remote_closed = self.bodiless = self.tunnel = False


class Sender:
    """What the two codecs send with. Everything about a stream that is not open is a no-op."""

    __slots__ = (
        "_blocked", "_data_frames", "_dead", "_final", "_glitches", "_highest", "_initial_receive", "_initial_send",
        "_largest", "_limits", "_opened", "_out", "_owed", "_peer_gone", "_pings", "_receive_window", "_resets",
        "_send_window", "_streams", "_tail", "_tail_at", "_went",
    )  # fmt: skip

    def __init__(self, limits: Http2Limits) -> None:
        self._limits = limits
        self._glitches = Glitches(limits)
        self._streams: dict[int, Stream] = {}
        self._blocked: dict[int, Stream] = {}
        self._resets: dict[int, None] = {}
        self._out: list[bytes | memoryview] = []
        self._tail = self._tail_at = 0
        self._highest = self._opened = self._data_frames = self._owed = self._pings = 0
        self._send_window = self._initial_send = DEFAULT_WINDOW
        self._receive_window = max(DEFAULT_WINDOW, limits.connection_window)
        self._initial_receive = max(DEFAULT_WINDOW, limits.window)
        self._largest = LEAST_FRAME
        self._dead = self._went = self._peer_gone = False
        self._final: int | None = None
        """The last stream that is served, once a GOAWAY of ours said so."""

    # What is asked.

    @property
    def streams(self) -> int:
        """Streams that are not closed both ways."""
        return len(self._streams)

    @property
    def closing(self) -> bool:
        """We or the peer said GOAWAY."""
        return self._went or self._peer_gone or self._dead

    @property
    def glitches(self) -> int:
        """Resets and noise so far, for metrics."""
        return self._glitches.total

    def is_open(self, sid: int) -> bool:
        """The stream is not closed both ways."""
        return sid in self._streams

    def waiting(self, sid: int) -> int:
        """Body bytes that wait for a window."""
        stream = self._streams.get(sid)
        return stream.queued if stream is not None else 0

    # What is sent.

    def take(self) -> bytes:
        """Everything that is to be written now."""
        out = self._out
        if not out:
            return b""
        self._out = []
        self._tail = 0
        return b"".join(out)

    def send_data(self, sid: int, data: bytes) -> None:
        """Frame as much as the windows allow; the rest waits."""
        stream = self._streams.get(sid)
        if stream is None or not data or stream.local_closed or stream.ending is not None:
            return
        size = len(data)
        if stream.queued:
            stream.queued += size
            stream.queue.append(data)  # type: ignore[union-attr]  # there is one if something waits
        elif size <= self._largest and size <= stream.send_window and size <= self._send_window:
            self._frame(stream, data, size)
        else:
            stream.queue = deque((data,))
            stream.queued = size
            while stream.queued and self._send_window > 0 and stream.send_window > 0:
                self._one_frame(stream)
            if stream.queued:
                self._blocked[sid] = stream

    def send_end(self, sid: int, trailers: Sequence[Field] = ()) -> None:
        """End the message behind everything that waits.

        Raises:
            GatewayError: 500 `unsafe_head` for a trailer that must not be sent; nothing was queued then.
        """
        stream = self._streams.get(sid)
        if stream is None or stream.local_closed or stream.ending is not None:
            return
        block = encode_fields(trailers) if trailers else b""
        if stream.queued:
            stream.ending = block
        else:
            self._end(stream, block)

    def consumed(self, sid: int, size: int) -> None:
        """Body bytes were passed on: the peer may send as many more."""
        stream = self._streams.get(sid)
        if stream is not None:
            size = min(size, stream.held)
            stream.held -= size
            self._credit(stream, size)

    def reset(self, sid: int, code: int) -> None:
        """End a stream by RST_STREAM, dropping what waits; late frames of the peer are ignored."""
        stream = self._streams.get(sid)
        if stream is not None:
            self._reset(stream, code)

    def ping(self) -> None:
        """Ask whether the peer is there; its answer is a `Pong`."""
        if not self._dead:
            self._pings += 1
            self._out.append(ping_frame(_PING))

    def go_away(self, code: int = 0, last: int | None = None, debug: bytes = b"") -> None:
        """Say GOAWAY. last: the last stream that is served, the highest seen by default; 2^31-1 refuses nothing yet."""
        if self._dead:
            return
        self._went = True
        last = self._last_stream() if last is None else last
        if self._final is not None:
            last = min(last, self._final)
        self._final = last
        self._out.append(goaway_frame(last, code, debug))

    # Inside.

    def _last_stream(self) -> int:
        """The highest stream of the peer."""
        return self._highest

    def _frame(self, stream: Stream, data: bytes | memoryview, size: int) -> None:
        out = self._out
        out.append(frame_header(DATA, 0, stream.sid, size))
        out.append(data)
        self._tail, self._tail_at = stream.sid, len(out)
        self._data_frames += 1
        stream.send_window -= size
        self._send_window -= size

    def _one_frame(self, stream: Stream) -> None:
        """Frame what waits first, as far as the windows go; the caller has seen that they are open."""
        queue = stream.queue
        assert queue is not None
        data = queue.popleft()
        size = min(len(data), stream.send_window, self._send_window, self._largest)
        if size < len(data):
            rest = memoryview(data)
            queue.appendleft(rest[size:])
            data = rest[:size]
        self._frame(stream, data, size)
        stream.queued -= size
        if not stream.queued:
            stream.queue = None

    def _end(self, stream: Stream, block: bytes) -> None:
        sid, out = stream.sid, self._out
        if block:
            out += headers_frames(sid, block, True, self._largest)
        elif self._tail == sid and self._tail_at == len(out):
            # The last thing to be written is data of this stream: it carries the end.
            out[-2] = frame_header(DATA, END_STREAM, sid, len(out[-1]))
        else:
            out.append(frame_header(DATA, END_STREAM, sid, 0))
        self._close_local(stream)

    def _close_local(self, stream: Stream) -> None:
        stream.local_closed = True
        if stream.verdict is not None:
            self._reset(stream, stream.verdict)
        elif stream.remote_closed:
            self._remove(stream)

    def _reset(self, stream: Stream, code: int) -> None:
        self._out.append(reset_frame(stream.sid, code))
        self._remember(stream.sid)
        self._remove(stream)

    def _remember(self, sid: int) -> None:
        """Frames that the peer sent before it knew of the reset are no fault of its own."""
        resets = self._resets
        if len(resets) >= _REMEMBERED:
            del resets[next(iter(resets))]
        resets[sid] = None

    def _remove(self, stream: Stream) -> None:
        """The stream is closed; what of its body nobody consumed is credited to the connection."""
        if self._streams.pop(stream.sid, None) is None:
            return
        self._blocked.pop(stream.sid, None)
        stream.queue = None
        stream.queued = 0
        held, stream.held = stream.held, 0
        self._credit_connection(held)

    def _credit(self, stream: Stream, size: int) -> None:
        self._credit_connection(size)
        if stream.remote_closed or not stream.left:
            return
        stream.owed += size
        if stream.owed * 2 >= self._limits.window:
            self._out.append(window_update_frame(stream.sid, stream.owed))
            stream.receive_window += stream.owed
            stream.owed = 0

    def _credit_connection(self, size: int) -> None:
        self._owed += size
        if self._owed and self._owed * 2 >= self._limits.connection_window:
            self._out.append(window_update_frame(0, self._owed))
            self._receive_window += self._owed
            self._owed = 0

    def _pump(self, stream: Stream, events: Events) -> None:
        """The stream's own window opened: send what it allows."""
        while stream.queued and stream.send_window > 0 and self._send_window > 0:
            self._one_frame(stream)
        if not stream.queued and stream.sid in self._blocked:
            self._relieve(stream, events)

    def _pump_all(self, events: Events) -> None:
        """The connection's window opened: a frame for each stream in turn, beginning where it was left."""
        blocked = self._blocked
        progress = True
        while progress and self._send_window > 0:
            progress = False
            for sid, stream in list(blocked.items()):
                if self._send_window <= 0:
                    return
                if stream.send_window <= 0:
                    continue
                progress = True
                self._one_frame(stream)
                if stream.queued:
                    blocked[sid] = blocked.pop(sid)
                else:
                    self._relieve(stream, events)

    def _relieve(self, stream: Stream, events: Events) -> None:
        del self._blocked[stream.sid]
        events.append((stream.sid, RELIEVED))
        if stream.ending is not None:
            self._end(stream, stream.ending)
