"""Frames in, messages out: autobahn's parser, with this against it as it comes.

- A message in one whole plain frame, which is what most are, is taken before the parser sees it.
- The parser is given one frame at a time: it copies what is left for each frame, which is quadratic in small ones.
- It starts open, without a handshake, without the options that autobahn copies to each connection, and with no timers.
- What it finds it reports; it answers nothing by itself.
"""

from __future__ import annotations

import zlib
from functools import cached_property
from types import SimpleNamespace
from typing import Any, ClassVar

from autobahn.websocket.protocol import TrafficStats, WebSocketProtocol
from autobahn.websocket.utf8validator import Utf8Validator

from edgegw.net.websocket.deflate import RATIO, Codec, allowed
from edgegw.net.websocket.ending import INVALID_PAYLOAD, PROTOCOL_ERROR, TOO_BIG
from edgegw.net.websocket.frames import BINARY, CONTROL_LIMIT, FIN, TEXT, header_size, mask, may_be_sent, span

OPEN = WebSocketProtocol.STATE_OPEN
CLOSING = WebSocketProtocol.STATE_CLOSING
"""We said Close; the peer's is still to come, and messages before it."""
CLOSED = WebSocketProtocol.STATE_CLOSED
"""Nothing is read any more."""

_WHOLE_TEXT = FIN | TEXT
_WHOLE_BINARY = FIN | BINARY
_NOT_UTF8 = "a text that is not UTF-8"
_NOT_DEFLATE = "a message that cannot be inflated"


class _Mute:
    """autobahn's log: what it would say is reported in other ways."""

    def debug(self, *args: object, **kwargs: object) -> None: ...

    info = warn = error = debug


class FrameParser(WebSocketProtocol):
    """Reads one direction of a connection. What it finds goes to `found_message`, `found_ping`, `found_close` and `found_fault`.

    Attributes:
        message_limit, frame_limit: bytes; a message's count inflated. deflate: the codec, or None. halted: read nothing for now.
    """

    # What autobahn reads of its options and its state, once for all connections.
    log = _Mute()
    trafficStats = TrafficStats()
    websocket_version = 13
    failByDrop = logOctets = logFrames = False
    utf8validateIncoming = applyMask = requireMaskedClientFrames = True
    acceptMaskedServerFrames = False
    trackedTimings: Any = None
    autoPingPending = None
    state = OPEN
    data = b""
    current_frame: Any = None
    current_frame_masker: Any = None
    _perMessageCompress: Any = None
    inside_message = failedByMe = utf8validateIncomingCurrentMessage = _isMessageCompressed = False

    factory: ClassVar[SimpleNamespace]
    """`isServer`: whether the peer is a client, whose frames are masked."""
    masked: ClassVar[bool]
    """The same."""

    message_limit = frame_limit = 0
    halted = _complained = False
    _held = b""
    _message: bytes | bytearray = b""
    _opcode = _wire = 0

    def __init__(self, message_limit: int, frame_limit: int, deflate: Codec | None) -> None:
        # Not autobahn's, which makes two Deferreds and more that nobody here asks for.
        self.message_limit = message_limit
        self.frame_limit = frame_limit
        if deflate is not None:
            self._perMessageCompress = deflate

    def found_message(self, opcode: int, payload: bytes) -> None:
        """A whole message, as the rules want it."""
        raise NotImplementedError

    def found_ping(self, payload: bytes) -> None:
        """A ping."""
        raise NotImplementedError

    def found_close(self, code: int | None, reason: bytes) -> None:
        """A Close; nothing behind it is read."""
        raise NotImplementedError

    def found_fault(self, code: int, reason: str, *, final: bool) -> None:
        """The peer broke a rule; nothing but its Close is looked for any more, if `final` nothing at all."""
        raise NotImplementedError

    def read(self, data: bytes) -> None:
        """Bytes from the peer. What is left when somebody sets `halted` is kept in front of what comes."""
        offset, size = 0, len(data)
        while offset < size:
            if self.state == CLOSED:
                return
            if self.halted:
                self._held += data[offset:]
                return
            if self.current_frame is not None:
                rest = self.current_frame.length - self.current_frame_masker.pointer()
                offset = self._parse(data, offset, rest)
            elif self.data:
                offset = self._complete_header(data, offset)
            else:
                start = offset
                offset = self._take_whole(data, start, size)
                if offset == start:
                    length = span(data, start)
                    if not length:
                        self.data = data[start:]
                        return
                    offset = self._parse(data, start, length)

    def take_held(self) -> bytes:
        """What was kept, and is not any more."""
        held, self._held = self._held, b""
        return held

    def forget(self) -> None:
        """Read nothing any more."""
        # The parser, which may be the caller, still looks into `data`.
        self.state = CLOSED
        self._held = b""

    def _take_whole(self, data: bytes, offset: int, size: int) -> int:
        """Pass on the message at `offset` if it is one plain whole frame without a fault; where the next one is."""
        first = data[offset]
        if (first != _WHOLE_TEXT and first != _WHOLE_BINARY) or self.inside_message or self.failedByMe:
            return offset
        start = offset + 2
        if start > size or (data[offset + 1] >= 0x80) is not self.masked:
            return offset
        length = data[offset + 1] & 0x7F
        if length > CONTROL_LIMIT:
            # Of a length that is cut off, too little is left to reach `end`.
            length = int.from_bytes(data[start : start + 2], "big") if length == 126 else 0
            start += 2
            if length <= CONTROL_LIMIT:
                return offset
        if self.masked:
            start += 4
        end = start + length
        if end > size or length > self.frame_limit:
            return offset
        payload = data[start:end]
        if self.masked:
            payload = mask(payload, data[start - 4 : start])
        if first == _WHOLE_TEXT and not payload.isascii() and not _is_utf8(payload):
            self._invalid_payload(_NOT_UTF8)
        else:
            self.found_message(first & 0x0F, payload)
        return end

    def _parse(self, data: bytes, offset: int, size: int) -> int:
        """Give autobahn the next bytes, at most `size`; where they end."""
        end = offset + size
        self.data += data[offset:end]
        self._consume()
        return end

    def _complete_header(self, data: bytes, offset: int) -> int:
        # Autobahn would look at an incomplete one time and again, and find its faults as often.
        end = offset + header_size(self.data) - len(self.data)
        self.data += data[offset:end]
        if len(self.data) >= header_size(self.data):
            self._consume()
        return end

    def _consume(self) -> None:
        self._complained = False
        self.consumeData()
        if self.state == CLOSED:
            self.data = b""

    # What autobahn's parser calls.

    @cached_property
    def utf8validator(self) -> Any:  # type: ignore[override]
        """Made for the first text that does not come in one whole frame."""
        return Utf8Validator()

    def onFrameData(self, payload: bytes) -> None:
        current = self.current_frame
        if current.opcode > 7:
            # A longer one was reported already, and is only skipped.
            if current.length <= CONTROL_LIMIT:
                self.control_frame_data.append(payload)
            return
        if self.failedByMe:
            return
        if self._isMessageCompressed:
            inflated = self._inflate(payload)
            if inflated is None:
                return
            payload = inflated
        if self.utf8validateIncomingCurrentMessage:
            self.utf8validateLast = self.utf8validator.validate(payload)
            if not self.utf8validateLast[0]:
                self._invalid_payload(_NOT_UTF8)
                return
        self._message += payload

    def onFrameEnd(self) -> None:
        current = self.current_frame
        if current.opcode > 7:
            self.processControlFrame()
        elif current.fin:
            self.inside_message = False
            self._end_message()
        self.current_frame = None

    def _onMessageBegin(self, binary: bool) -> None:
        self._opcode = BINARY if binary else TEXT
        self._message = bytearray()
        self._wire = 0

    def _onMessageFrameBegin(self, length: int) -> None:
        if self.failedByMe:
            return
        self._wire += length
        limit = self.frame_limit
        if self._isMessageCompressed:
            # What cannot be compressed becomes a little larger.
            limit += (limit >> 9) + 64
        if length > limit:
            self._fail_connection(TOO_BIG, f"a frame of more than {self.frame_limit} bytes")
        elif len(self._message) + length > self.message_limit and not self._isMessageCompressed:
            self._too_big()

    def _end_message(self) -> None:
        if self.failedByMe:
            return
        if self._isMessageCompressed:
            try:
                self._perMessageCompress.end()
            except zlib.error:
                self._invalid_payload(_NOT_DEFLATE)
                return
        if self.utf8validateIncomingCurrentMessage and not self.utf8validateLast[1]:
            self._invalid_payload("a text that ends within a character")
            return
        payload, self._message = bytes(self._message), b""
        self.found_message(self._opcode, payload)

    def _inflate(self, payload: bytes) -> bytes | None:
        """None if the message is refused."""
        # The frame's whole length counts already, so that how it was cut into reads makes no difference.
        left = allowed(self.message_limit, self._wire) - len(self._message)
        try:
            inflated: bytes = self._perMessageCompress.inflate(payload, left)
        except zlib.error:
            self._invalid_payload(_NOT_DEFLATE)
            return None
        if len(inflated) > left:
            if left + len(self._message) < self.message_limit:
                self._fail_connection(TOO_BIG, f"a message that inflates to more than {RATIO} times its size")
            else:
                self._too_big()
            return None
        return inflated

    def _too_big(self) -> None:
        self._fail_connection(TOO_BIG, f"a message of more than {self.message_limit} bytes")

    def onCloseFrame(self, code: int | None, reasonRaw: bytes | None) -> bool:
        reason = reasonRaw or b""
        if code is not None and not may_be_sent(code):
            self._fail(PROTOCOL_ERROR, f"a Close with the code {code}", final=True)
        elif not _is_utf8(reason):
            self._fail(INVALID_PAYLOAD, "a Close with a reason that is not UTF-8", final=True)
        else:
            self.forget()
            self.found_close(code, reason)
        return True

    def _onPing(self, payload: bytes) -> None:
        if self.state != CLOSED and not self.failedByMe:
            self.found_ping(payload)

    def _onPong(self, payload: bytes) -> None:
        """That something came counts, not what."""

    def _fail_connection(self, code: int = PROTOCOL_ERROR, reason: str = "") -> None:
        # One frame may break several rules. Who goes on with the next will not send the Close that we wait for.
        if not self._complained:
            self._complained = True
            self._fail(code, reason, final=self.failedByMe)

    def _fail(self, code: int, reason: str, *, final: bool) -> None:
        if self.state == CLOSED:
            return
        self.failedByMe = True
        self._message = b""
        if final:
            self.forget()
        self.found_fault(code, reason, final=final)


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
