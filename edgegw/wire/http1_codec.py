"""What the HTTP/1.x codecs of both directions share: the buffer, the collecting of heads, the body, the end."""

from __future__ import annotations

from edgegw.wire.events import END, UNTIL_CLOSE, End, Event, Violation
from edgegw.wire.http1_chunked import ChunkedDecoder
from edgegw.wire.http1_fields import FieldTable, Refused, refuse_bad_bytes
from edgegw.wire.http1_limits import Http1Limits

IDLE, HEAD, LENGTH, CHUNKED, TO_CLOSE, HELD, DEAF = range(7)
_STATES = ("idle", "head", "length body", "chunked body", "body until close", "held", "deaf")


class Codec:
    """One direction of one connection; `http1` derives the two there are."""

    __slots__ = ("_buffer", "_decoder", "_left", "_limits", "_line_read", "_longest_line", "_scanned", "_state")

    _table: FieldTable

    def __init__(self, limits: Http1Limits, state: int) -> None:
        self._limits = limits
        self._longest_line = limits.start_line
        self._state = state
        self._buffer = b""
        self._scanned = 0
        self._line_read = False
        self._left = 0
        self._decoder: ChunkedDecoder | None = None

    def receive(self, data: bytes) -> list[Event]:
        """Take bytes from the peer; never raises. After a `Violation` the answer is always empty."""
        if self._state == LENGTH and len(data) < self._left:
            self._left -= len(data)
            return [data] if data else []
        if self._state == DEAF:
            return []
        if self._buffer:
            data = self._buffer + data
            self._buffer = b""
        events: list[Event] = []
        try:
            self._advance(data, events)
        except Refused as error:
            events.append(self._violation(error))
        return events

    def _advance(self, data: bytes, events: list[Event]) -> None:
        raise NotImplementedError

    def _finish(self) -> None:
        """A message is complete: choose the next state."""
        raise NotImplementedError

    def _check_line(self, line: bytes) -> None:
        """Raise `Refused` for a start line that no head can follow."""
        raise NotImplementedError

    def _violation(self, error: Refused) -> Violation:
        self._deafen()
        return Violation(error.status, error.reason, error.detail)

    def _deafen(self) -> None:
        self._state = DEAF
        self._buffer = b""
        self._decoder = None

    def _start_body(self, length: int | None, events: list[Event]) -> None:
        if length == 0:
            events.append(END)
            self._finish()
        elif length is None:
            self._state = CHUNKED
            self._decoder = ChunkedDecoder(self._limits, self._table)
        elif length == UNTIL_CLOSE:
            self._state = TO_CLOSE
        else:
            self._state = LENGTH
            self._left = length

    def _length_body(self, data: bytes, start: int, events: list[Event]) -> int:
        stop = start + self._left
        if stop > len(data):
            stop = len(data)
        events.append(data[start:stop])
        self._left -= stop - start
        if not self._left:
            events.append(END)
            self._finish()
        return stop

    def _chunked_body(self, data: bytes, start: int, events: list[Event]) -> int:
        """Many small chunks of one read leave as one event: their framing must not multiply work behind the codec."""
        decoder = self._decoder
        assert decoder is not None
        parts: list[bytes] = []
        try:
            stop = decoder.feed(data, start, parts)
        finally:
            if parts:
                events.append(parts[0] if len(parts) == 1 else b"".join(parts))
        if decoder.done:
            self._decoder = None
            events.append(End(decoder.trailers) if decoder.trailers else END)
            self._finish()
            return stop
        self._buffer = data[stop:]
        return len(data)

    def _hold(self, data: bytes, start: int) -> int:
        self._buffer = data[start:] if start else data
        if len(self._buffer) > self._limits.held:
            raise Refused(400, "held_overflow", "too many bytes behind a request to switch protocols")
        return len(data)

    def _split_head(self, data: bytes, start: int) -> tuple[int, list[bytes]] | None:
        """The position behind a complete head and its lines, or None with the rest buffered.

        Raises:
            Refused: the head can no longer become acceptable.
        """
        stop = data.find(b"\r\n\r\n", start, start + self._limits.head)
        if stop < 0:
            self._partial_head(data, start)
            return None
        self._scanned = 0
        self._line_read = False
        lines = data[start:stop].split(b"\r\n")
        if len(lines[0]) > self._longest_line:
            self._refuse_start_line(data, start)
        return stop + 4, lines

    def _partial_head(self, data: bytes, start: int) -> None:
        """Keep the beginning of a head, unless it is hopeless: every byte is looked at once, however small the reads."""
        limits = self._limits
        line_end = data.find(b"\r\n", start, start + limits.start_line + 2)
        try:
            if line_end < 0 and len(data) - start > limits.start_line + 1:
                self._refuse_start_line(data, start)
            if line_end >= 0 and not self._line_read:
                self._scan(data, start, line_end + 1)
                self._check_line(data[start:line_end])
                self._line_read = True
            self._scan(data, start, start + limits.head)
            if len(data) - start >= limits.head:
                raise Refused(431, "head_too_large", f"no end of the head within {limits.head} bytes")
        except Refused as error:
            error.line = data[start : line_end if line_end >= 0 else len(data)]
            raise
        self._buffer = data[start:] if start else data
        self._scanned = len(self._buffer)

    def _first_fault(self, error: Refused, line: bytes, data: bytes, start: int, after: int) -> Refused:
        """What reading the head byte by byte would have met first, so that the answer does not depend on how reads were cut."""
        try:
            refuse_bad_bytes(data, start, start + len(line) + 1)
            self._check_line(line)
            refuse_bad_bytes(data, start, after)
        except Refused as fault:
            error = fault
        error.line = line
        return error

    def _scan(self, data: bytes, start: int, stop: int) -> None:
        refuse_bad_bytes(data, start + max(0, self._scanned - 1), min(len(data), stop))

    def _refuse_start_line(self, data: bytes, start: int) -> None:
        refuse_bad_bytes(data, start, start + self._limits.start_line + 2)
        raise Refused(414, "target_too_long", f"a start line above {self._limits.start_line} bytes")

    def __repr__(self) -> str:
        waiting = len(self._buffer)
        return f"<{type(self).__name__} {_STATES[self._state]} left={self._left} buffered={waiting}>"
