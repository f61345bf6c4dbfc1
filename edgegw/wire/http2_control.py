"""Frames that carry no message: SETTINGS, PING, GOAWAY, RST_STREAM, WINDOW_UPDATE, PRIORITY (RFC 9113 6).

Each handler gets a whole frame: flags, stream, the buffer and where the payload is in it.
"""

from __future__ import annotations

from typing import ClassVar, NoReturn

from edgegw.wire.events import GoAway, Pong, Reset, Settled
from edgegw.wire.http2_frames import (
    ACK,
    ENABLE_CONNECT_PROTOCOL,
    ENABLE_PUSH,
    GOAWAY,
    HEADERS,
    INITIAL_WINDOW_SIZE,
    LAST_STREAM,
    LEAST_FRAME,
    MAX_CONCURRENT_STREAMS,
    MAX_FRAME_SIZE,
    MOST_FRAME,
    MOST_WINDOW,
    NO_RFC7540_PRIORITIES,
    PING,
    PRIORITY,
    SETTINGS,
    SETTINGS_ACK,
    ConnectionFault,
    StreamFault,
    ping_frame,
    read_settings,
    unpack_long,
    unpack_two_longs,
)
from edgegw.wire.http2_limits import ErrorCode, Http2Limits
from edgegw.wire.http2_sending import LARGEST_SENT, Events, Sender

SETTLED = Settled()
PONG = Pong()

_SWITCHES = (ENABLE_CONNECT_PROTOCOL, NO_RFC7540_PRIORITIES)
_STREAMS_UNTIL_SAID = 100  # RFC 9113 6.5.2 recommends no fewer.


class Control(Sender):
    """Everything about a connection but its messages."""

    __slots__ = ("_acknowledged", "_peer_connect", "_peer_streams", "_settled")

    _PUSH: ClassVar[tuple[int, ...]] = (0, 1)
    """What the peer may say for ENABLE_PUSH (RFC 9113 6.5.2)."""

    def __init__(self, limits: Http2Limits) -> None:
        super().__init__(limits)
        self._acknowledged = self._peer_connect = self._settled = False
        self._peer_streams = _STREAMS_UNTIL_SAID

    def _idle_or_closed(self, sid: int) -> None:
        """A frame for a stream that is not open.

        Raises:
            ConnectionFault: it never was (RFC 9113 5.1). Else it may be late, which is let pass.
        """
        if sid > self._highest or not sid & 1:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "h2_idle_stream", f"a frame for idle stream {sid}")

    def _settings(self, flags: int, sid: int, data: bytes, start: int, stop: int, events: Events) -> None:
        if sid:
            _refuse_stream("SETTINGS", sid)
        if (stop - start) % 6 or (flags & ACK and stop > start):
            _refuse_size("SETTINGS", stop - start)
        if flags & ACK:
            self._settings_taken()
            return
        if self._settled:
            self._glitches.noise(SETTINGS)
        self._settled = True
        values = read_settings(data[start:stop])
        self._check_settings(values)
        self._out.append(SETTINGS_ACK)
        self._apply(values, events)
        events.append((0, SETTLED))

    def _settings_taken(self) -> None:
        """The peer knows our settings; a window smaller than the default counts from now on (RFC 9113 6.9.2)."""
        if self._acknowledged:
            self._glitches.noise(SETTINGS)
            return
        self._acknowledged = True
        less = self._initial_receive - self._limits.window
        self._initial_receive -= less
        for stream in self._streams.values():
            stream.receive_window -= less

    def _check_settings(self, values: dict[int, int]) -> None:
        if values.get(INITIAL_WINDOW_SIZE, 0) > MOST_WINDOW:
            raise ConnectionFault(ErrorCode.FLOW_CONTROL_ERROR, "h2_bad_settings", "INITIAL_WINDOW_SIZE above 2^31-1")
        wrong = values.get(ENABLE_PUSH, 0) not in self._PUSH
        wrong = wrong or not LEAST_FRAME <= values.get(MAX_FRAME_SIZE, LEAST_FRAME) <= MOST_FRAME
        wrong = wrong or any(values.get(switch, 0) > 1 for switch in _SWITCHES)
        wrong = wrong or (self._peer_connect and values.get(ENABLE_CONNECT_PROTOCOL) == 0)
        if wrong:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "h2_bad_settings", "a setting out of its range")

    def _apply(self, values: dict[int, int], events: Events) -> None:
        self._largest = min(values.get(MAX_FRAME_SIZE, self._largest), max(LARGEST_SENT, LEAST_FRAME))
        self._peer_streams = values.get(MAX_CONCURRENT_STREAMS, self._peer_streams)
        self._peer_connect = bool(values.get(ENABLE_CONNECT_PROTOCOL, self._peer_connect))
        more = values.get(INITIAL_WINDOW_SIZE, self._initial_send) - self._initial_send
        if not more:
            return
        self._initial_send += more
        for stream in self._streams.values():
            stream.send_window += more
            if stream.send_window > MOST_WINDOW:
                raise ConnectionFault(ErrorCode.FLOW_CONTROL_ERROR, "h2_window_overflow", "by INITIAL_WINDOW_SIZE")
        self._pump_all(events)

    def _ping(self, flags: int, sid: int, data: bytes, start: int, stop: int, events: Events) -> None:
        if sid:
            _refuse_stream("PING", sid)
        if stop - start != 8:
            _refuse_size("PING", stop - start)
        if not flags & ACK:
            self._glitches.ping(self._data_frames)
            self._out.append(ping_frame(data[start:stop], ACK))
        elif self._pings:
            self._pings -= 1
            events.append((0, PONG))
        else:
            self._glitches.noise(PING)

    def _goaway(self, flags: int, sid: int, data: bytes, start: int, stop: int, events: Events) -> None:
        if sid:
            _refuse_stream("GOAWAY", sid)
        if stop - start < 8:
            _refuse_size("GOAWAY", stop - start)
        if self._peer_gone:
            self._glitches.noise(GOAWAY)
        self._peer_gone = True
        last, code = unpack_two_longs(data, start)
        events.append((0, GoAway(last & LAST_STREAM, code)))
        self._left_behind(last & LAST_STREAM, events)

    def _left_behind(self, last: int, events: Events) -> None:
        """The peer serves no stream of ours above this one."""

    def _rst_stream(self, flags: int, sid: int, data: bytes, start: int, stop: int, events: Events) -> None:
        if not sid:
            _refuse_stream("RST_STREAM", sid)
        if stop - start != 4:
            _refuse_size("RST_STREAM", stop - start)
        stream = self._streams.get(sid)
        if stream is None:
            self._idle_or_closed(sid)
            self._glitches.noise(HEADERS)
            return
        code = unpack_long(data, start)[0]
        self._remove(stream)
        events.append((sid, Reset(code, code == ErrorCode.REFUSED_STREAM)))
        self._glitches.reset()

    def _window_update(self, flags: int, sid: int, data: bytes, start: int, stop: int, events: Events) -> None:
        if stop - start != 4:
            _refuse_size("WINDOW_UPDATE", stop - start)
        self._glitches.window_update(self._opened, self._data_frames)
        size = unpack_long(data, start)[0] & MOST_WINDOW
        if not sid:
            if not size:
                raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "h2_zero_increment", "WINDOW_UPDATE by 0")
            self._send_window += size
            if self._send_window > MOST_WINDOW:
                raise ConnectionFault(ErrorCode.FLOW_CONTROL_ERROR, "h2_window_overflow", "of the connection")
            if self._blocked:
                self._pump_all(events)
            return
        stream = self._streams.get(sid)
        if stream is None:
            self._idle_or_closed(sid)
            return
        if not size:
            raise StreamFault(ErrorCode.PROTOCOL_ERROR, "h2_zero_increment", f"WINDOW_UPDATE of stream {sid} by 0")
        stream.send_window += size
        if stream.send_window > MOST_WINDOW:
            raise StreamFault(ErrorCode.FLOW_CONTROL_ERROR, "h2_window_overflow", f"of stream {sid}")
        if stream.queued:
            self._pump(stream, events)

    def _priority(self, flags: int, sid: int, data: bytes, start: int, stop: int, events: Events) -> None:
        """Ignored (RFC 9113 5.3.2), self-dependency included; only its form is looked at."""
        if not sid:
            _refuse_stream("PRIORITY", sid)
        if stop - start != 5:
            if sid in self._streams:
                raise StreamFault(ErrorCode.FRAME_SIZE_ERROR, "h2_frame_size", "PRIORITY is not 5 bytes")
            _refuse_size("PRIORITY", stop - start)
        self._glitches.noise(PRIORITY)

    def _push_promise(self, flags: int, sid: int, data: bytes, start: int, stop: int, events: Events) -> None:
        """Clients never push, and servers were told not to (RFC 9113 8.4)."""
        raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "h2_push_promise", "PUSH_PROMISE")


def _refuse_stream(frame: str, sid: int) -> NoReturn:
    raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "h2_bad_stream_id", f"{frame} on stream {sid}")


def _refuse_size(frame: str, size: int) -> NoReturn:
    raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "h2_frame_size", f"{frame} of {size} bytes")
