"""The HTTP/1.x codecs of both sides: bytes in, events out; no I/O, no clock (RFC 9112).

A head is collected under byte caps, then read strictly (`http1_request`, `http1_response`); body bytes pass by untouched where a
length frames them. Nothing is parsed behind a request to switch protocols until somebody decided about it, so the bytes of
another protocol, or a body, can never be taken for a request.
"""

from __future__ import annotations

from edgegw.wire.events import END, Event, ResponseHead, Violation
from edgegw.wire.http1_codec import CHUNKED, DEAF, HEAD, HELD, IDLE, LENGTH, TO_CLOSE, Codec
from edgegw.wire.http1_fields import REQUEST_FIELDS, RESPONSE_FIELDS, Refused
from edgegw.wire.http1_limits import METHODS, RESPONSE_LIMITS, Http1Limits
from edgegw.wire.http1_request import build_request, parse_request_line
from edgegw.wire.http1_response import build_response, parse_status_line

__all__ = ["METHODS", "RESPONSE_LIMITS", "Http1Limits", "RequestCodec", "ResponseCodec"]

_LF, _CR, _TLS_HANDSHAKE = 0x0A, 0x0D, 0x16
_HIGHEST_ODD_START = _TLS_HANDSHAKE

PIPELINED = 16
"""Requests of one read that are parsed at once (trust.md F29); the bytes behind them wait as they are."""

_EVENTS_AT_ONCE = 2 * PIPELINED  # A request is a head and an end at least.


class RequestCodec(Codec):
    """The downstream side: requests in order, pipelined ones too.

    At most `PIPELINED` requests come out of one `receive`; what is behind them is parsed by the next one, which may be
    `receive(b"")`.

    Args:
        limits: caps and policy.
        secure: the bytes came through TLS already (a TLS handshake inside is then plain rubbish).
    """

    __slots__ = ("_blank_line", "_keep_alive", "_secure", "_switches")

    _table = REQUEST_FIELDS

    def __init__(self, limits: Http1Limits, secure: bool = False) -> None:
        super().__init__(limits, HEAD)
        self._secure = secure
        self._keep_alive = True
        self._switches = False
        self._blank_line = False

    @property
    def head_bytes_pending(self) -> int:
        """Bytes of a head that is not complete yet; 0 between messages and inside bodies."""
        return len(self._buffer) if self._state == HEAD else 0

    @property
    def idle(self) -> bool:
        """Between messages, with nothing received of the next one."""
        return self._state == HEAD and not self._buffer

    @property
    def held(self) -> bool:
        """A request to switch protocols is complete; nothing behind it is parsed until `decline_upgrade` or `release`."""
        return self._state == HELD

    def decline_upgrade(self) -> list[Event]:
        """The protocol stays: parse on what was held."""
        if self._state != HELD:
            return []
        self._state = HEAD if self._keep_alive else DEAF
        return self.receive(b"")

    def release(self) -> bytes:
        """The protocol was switched: hand over the bytes behind the request; the codec reads nothing more.

        Raises:
            RuntimeError: no request to switch protocols is waiting.
        """
        if self._state != HELD:
            raise RuntimeError(f"no switch of protocols is pending: {self!r}")
        data = self._buffer
        self._deafen()
        return data

    def receive_eof(self) -> list[Event]:
        """The peer sends nothing more: a message that is not complete is a violation."""
        state = self._state
        pending = self.head_bytes_pending
        if state == HELD:
            return []
        self._deafen()
        if state == HEAD and pending:
            return [Violation(400, "truncated_head", "the connection ended inside a request head")]
        if state in (LENGTH, CHUNKED):
            return [Violation(400, "truncated_body", "the connection ended inside a request body")]
        return []

    def _advance(self, data: bytes, events: list[Event]) -> None:
        start, size = 0, len(data)
        while start < size:
            state = self._state
            if state == HEAD:
                if len(events) >= _EVENTS_AT_ONCE:
                    self._buffer = data[start:]
                    return
                start = self._head(data, start, events)
            elif state == LENGTH:
                start = self._length_body(data, start, events)
            elif state == CHUNKED:
                start = self._chunked_body(data, start, events)
            elif state == HELD:
                start = self._hold(data, start)
            else:
                return  # After `Connection: close` whatever follows is ignored (RFC 9112 9.6).

    def _head(self, data: bytes, start: int, events: list[Event]) -> int:
        if data[start] <= _HIGHEST_ODD_START and self._odd_start(data, start):
            return start + 2
        found = self._split_head(data, start)
        if found is None:
            return len(data)
        after, lines = found
        line = lines.pop(0)
        try:
            head = build_request(line, lines, after - start, self._limits)
        except Refused as error:
            raise self._first_fault(error, line, data, start, after) from None
        self._blank_line = False
        self._keep_alive = head.keep_alive
        self._switches = head.upgrade != () or head.method == "CONNECT"
        events.append(head)
        self._start_body(head.length, events)
        return after

    def _odd_start(self, data: bytes, start: int) -> bool:
        """Whether an empty line is to be skipped; one before a request is tolerated (RFC 9112 2.2)."""
        first = data[start]
        if first == _CR and not self._blank_line and data.startswith(b"\r\n", start):
            self._blank_line = True
            self._scanned = 0
            return True
        if first == _LF:
            raise Refused(400, "bare_lf", "a request starts with LF")
        if first == _TLS_HANDSHAKE and not self._secure:
            raise Refused(400, "tls_on_plain_port", "the first byte is that of a TLS handshake")
        return False

    def _finish(self) -> None:
        if self._switches:
            self._state = HELD
        else:
            self._state = HEAD if self._keep_alive else DEAF

    def _check_line(self, line: bytes) -> None:
        parse_request_line(line, self._limits)

    def _violation(self, error: Refused) -> Violation:
        self._deafen()
        words = error.line[: self._limits.target].decode("latin-1").split(" ")
        target = words[1] if len(words) > 1 else ""
        return Violation(error.status, error.reason, error.detail, words[0][:32], target)


class ResponseCodec(Codec):
    """The upstream side: one response per `expect`, informational ones before it."""

    __slots__ = ("_informational", "_keep_alive", "_method", "_upgrade", "extra_data")

    _table = RESPONSE_FIELDS

    def __init__(self, limits: Http1Limits = RESPONSE_LIMITS) -> None:
        super().__init__(limits, IDLE)
        self._method = "GET"
        self._upgrade = False
        self._informational = 0
        self._keep_alive = True
        self.extra_data = False
        """Bytes came behind a complete response; they were thrown away and the connection must be, too."""

    def expect(self, method: str, upgrade: bool = False) -> None:
        """A request is being sent: read one response for this method, a 101 only if `upgrade` was asked for.

        Raises:
            RuntimeError: another response is not finished, or the connection can't be used again.
        """
        if not self.reusable:
            raise RuntimeError(f"no response can be expected: {self!r}")
        self._state = HEAD
        self._method = method
        self._upgrade = upgrade
        self._informational = 0

    @property
    def reusable(self) -> bool:
        """Nothing is awaited or left over, and the peer keeps the connection: `expect` may be called."""
        return self._state == IDLE and self._keep_alive and not self.extra_data

    @property
    def idle(self) -> bool:
        """No response is awaited."""
        return self._state == IDLE

    def release(self) -> bytes:
        """After a 101, or a 2xx to CONNECT: the bytes behind the head; the codec reads nothing more.

        Raises:
            RuntimeError: the protocol was not switched.
        """
        if self._state != HELD:
            raise RuntimeError(f"the protocol was not switched: {self!r}")
        data = self._buffer
        self._deafen()
        return data

    def receive_eof(self) -> list[Event]:
        """The upstream sends nothing more: the end of a body without a length, else a violation unless nothing is awaited."""
        state = self._state
        if state == HELD:
            return []
        begun = bool(self._buffer) or self._informational > 0
        self._keep_alive = False
        if state == TO_CLOSE:
            self._finish()
            return [END]
        if state in (IDLE, DEAF):
            return []
        self._deafen()
        if state in (LENGTH, CHUNKED):
            return [Violation(502, "truncated_body", "the upstream closed inside a response body")]
        if begun:
            return [Violation(502, "truncated_head", "the upstream closed inside a response head")]
        return [Violation(502, "closed_before_response", "the upstream closed without a response")]

    def _advance(self, data: bytes, events: list[Event]) -> None:
        start, size = 0, len(data)
        while start < size:
            state = self._state
            if state == HEAD:
                start = self._head(data, start, events)
            elif state == LENGTH:
                start = self._length_body(data, start, events)
            elif state == CHUNKED:
                start = self._chunked_body(data, start, events)
            elif state == TO_CLOSE:
                events.append(data[start:] if start else data)
                return
            elif state == HELD:
                start = self._hold(data, start)
            elif events:
                self.extra_data = True
                return
            else:
                raise Refused(502, "unsolicited_data", "bytes while no response was awaited")

    def _head(self, data: bytes, start: int, events: list[Event]) -> int:
        found = self._split_head(data, start)
        if found is None:
            return len(data)
        after, lines = found
        line = lines.pop(0)
        try:
            head = build_response(line, lines, after - start, self._limits, self._method)
            if head.status < 200:
                self._check_informational(head)
        except Refused as error:
            raise self._first_fault(error, line, data, start, after) from None
        events.append(head)
        if head.status >= 200:
            self._final(head, events)
        return after

    def _check_informational(self, head: ResponseHead) -> None:
        if head.status == 101:
            if not self._upgrade:
                raise Refused(502, "unasked_101", "101 that nobody asked for")
            self._state = HELD
            return
        self._informational += 1
        if self._informational > self._limits.informational:
            raise Refused(502, "too_many_informational", f"{self._informational} informational responses")

    def _final(self, head: ResponseHead, events: list[Event]) -> None:
        self._keep_alive = head.keep_alive
        if self._method == "CONNECT" and head.status < 300:
            self._state = HELD
        else:
            self._start_body(head.length, events)

    def _finish(self) -> None:
        self._state = IDLE

    def _check_line(self, line: bytes) -> None:
        parse_status_line(line)

    def _violation(self, error: Refused) -> Violation:
        self._deafen()
        return Violation(502, error.reason, error.detail)
