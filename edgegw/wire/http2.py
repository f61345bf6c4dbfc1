"""The HTTP/2 codecs of both roles: bytes in, events per stream out; no I/O, no clock (RFC 9113, RFC 8441).

`receive` gives (stream, event) pairs; stream 0 is the connection. `take` gives what is to be written. Between them stand
`http2_codec` (frames in), `http2_control` (frames without messages), `http2_sending` (frames out, windows, queues), `http2_hpack`,
`http2_fields` (header blocks), `http2_head` (pseudo fields to heads), `http2_glitches` (floods), `http2_limits`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from edgegw.wire.events import END, RequestHead, Reset, ResponseHead, Violation
from edgegw.wire.headers import Field
from edgegw.wire.http1_fields import Refused
from edgegw.wire.http1_limits import RESPONSE_LIMITS, Http1Limits
from edgegw.wire.http2_codec import Codec
from edgegw.wire.http2_fields import (
    REQUEST_FIELDS,
    RESPONSE_FIELDS,
    Malformed,
    encode_fields,
    encode_pseudo,
    unsafe,
)
from edgegw.wire.http2_frames import (
    DEFAULT_WINDOW,
    ENABLE_CONNECT_PROTOCOL,
    ENABLE_PUSH,
    INITIAL_WINDOW_SIZE,
    LAST_STREAM,
    LEAST_FRAME,
    MAX_CONCURRENT_STREAMS,
    MAX_FRAME_SIZE,
    MAX_HEADER_LIST_SIZE,
    NO_RFC7540_PRIORITIES,
    PREFACE,
    ConnectionFault,
    StreamFault,
    headers_frames,
    settings_frame,
    window_update_frame,
)
from edgegw.wire.http2_head import copy_request, copy_response, read_request, read_response
from edgegw.wire.http2_hpack import Pair
from edgegw.wire.http2_limits import CLIENT_LIMITS, ErrorCode, Http2Limits
from edgegw.wire.http2_sending import Events, Stream

__all__ = ["ClientCodec", "ServerCodec"]

_FIELD_OVERHEAD = 32  # What RFC 9113 6.5.2 adds for each field, and our cap does not.
_TLS_HANDSHAKE = 0x16

_is_method = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+").fullmatch
_is_target = re.compile(rb"(?:/[!-~]*|\*)").fullmatch
_is_authority = re.compile(rb"[!-~]+").fullmatch
_STATUSES: dict[int, bytes] = {}


def _opening_frames(limits: Http2Limits, own: list[tuple[int, int]]) -> list[bytes]:
    """Our SETTINGS, and the connection's window."""
    values = [*own, (MAX_HEADER_LIST_SIZE, limits.list + _FIELD_OVERHEAD * limits.fields), (NO_RFC7540_PRIORITIES, 1)]
    if limits.window != DEFAULT_WINDOW:
        values.append((INITIAL_WINDOW_SIZE, limits.window))
    if limits.frame != LEAST_FRAME:
        values.append((MAX_FRAME_SIZE, limits.frame))
    out = [settings_frame(values)]
    if limits.connection_window > DEFAULT_WINDOW:
        out.append(window_update_frame(0, limits.connection_window - DEFAULT_WINDOW))
    return out


class ServerCodec(Codec[RequestHead]):
    """The downstream side.

    Args:
        limits: caps of HTTP/2. http1: methods, slashes, trailers and caps that do not depend on the version.
        secure: the bytes came through TLS (a TLS handshake inside is then plain rubbish).
    """

    __slots__ = ("_preface_read", "_secure")

    _STATUS = 400
    _TABLE = REQUEST_FIELDS

    def __init__(self, limits: Http2Limits, http1: Http1Limits, secure: bool = False) -> None:
        super().__init__(limits, http1)
        self._secure = secure
        self._preface_read = False
        own = [(MAX_CONCURRENT_STREAMS, limits.streams)]
        if limits.extended_connect:
            own.append((ENABLE_CONNECT_PROTOCOL, 1))
        self._out += _opening_frames(limits, own)

    def send_head(self, sid: int, status: int, fields: Sequence[Field], end: bool = False) -> None:
        """A final response head. end: without a body.

        Raises:
            GatewayError: 500 `unsafe_head`; nothing was queued then.
        """
        if status < 200:
            raise unsafe(f"final status {status}")
        self._send_block(sid, status, fields, end)

    def send_informational(self, sid: int, status: int, fields: Sequence[Field]) -> None:
        """A 1xx head other than 101, which HTTP/2 does not have.

        Raises:
            GatewayError: 500 `unsafe_head`.
        """
        if not 100 <= status < 200 or status == 101:
            raise unsafe(f"informational status {status}")
        self._send_block(sid, status, fields, False)

    def _send_block(self, sid: int, status: int, fields: Sequence[Field], end: bool) -> None:
        block = (_STATUSES.get(status) or _spell_status(status)) + encode_fields(fields)
        stream = self._streams.get(sid)
        if stream is None or stream.local_closed:
            return
        self._out += headers_frames(sid, block, end, self._largest)
        if end:
            self._close_local(stream)

    def _opening(self, data: bytes) -> int:
        if self._preface_read:
            return 0
        if not data.startswith(PREFACE):
            if PREFACE.startswith(data):
                return -1
            if data[0] == _TLS_HANDSHAKE and not self._secure:
                raise ConnectionFault(
                    ErrorCode.PROTOCOL_ERROR, "tls_on_plain_port", "the first byte of a TLS handshake"
                )
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "h2_bad_preface", "not the preface of HTTP/2")
        self._preface_read = True
        return len(PREFACE)

    def _on_block(self, sid: int, ends: bool, block: bytes, events: Events) -> None:
        stream = self._streams.get(sid)
        if stream is not None:
            self._trailers(stream, ends, block, events)
        elif sid <= self._highest:
            self._late_block(sid, block)
        else:
            self._highest = sid
            self._opened += 1
            if len(self._streams) >= self._limits.streams or (self._final is not None and sid > self._final):
                self._pairs(block)
                raise StreamFault(ErrorCode.REFUSED_STREAM, "h2_stream_refused", f"stream {sid} is one too many")
            self._open(sid, ends, block, events)

    def _open(self, sid: int, ends: bool, block: bytes, events: Events) -> None:
        stream = self._streams[sid] = Stream(sid, self._initial_send, self._initial_receive)
        stream.head = True
        pairs: Sequence[Pair] = ()
        try:
            known = self._heads.get(block)
            if known is None:
                pairs = self._pairs(block)
                known = read_request(pairs, self._limits, self._http1)
                self._keep(block, known)
            head = copy_request(known, ends)
        except Refused as error:
            stream.remote_closed = ends
            self._spoil(stream, error, events, pairs)
            return
        events.append((sid, head))
        if ends:
            stream.remote_closed = True
            events.append((sid, END))
        elif head.length is not None:
            stream.left = head.length

    def _spoil(self, stream: Stream, error: Refused, events: Events, pairs: Sequence[Pair] = ()) -> None:
        malformed = isinstance(error, Malformed)
        if malformed:
            stream.verdict = ErrorCode.PROTOCOL_ERROR
        elif not stream.remote_closed:
            stream.verdict = ErrorCode.NO_ERROR
        shown = dict(pairs)
        method = shown.get(b":method", b"")[:32].decode("latin-1")
        target = shown.get(b":path", b"")[: self._http1.target].decode("latin-1")
        events.append((stream.sid, Violation(error.status, error.reason, error.detail, method, target, malformed)))
        if stream.local_closed and stream.verdict is not None:
            self._reset(stream, stream.verdict)
        if malformed:
            self._glitches.reset()

    def _failed(self, sid: int, error: StreamFault, events: Events) -> None:
        events.append((sid, Reset(error.code)))


def _spell_status(status: int) -> bytes:
    if not 100 <= status <= 599:
        raise unsafe(f"status {status}")
    spelt = _STATUSES[status] = encode_pseudo(b":status", b"%d" % status)
    return spelt


class ClientCodec(Codec[ResponseHead]):
    """The upstream side.

    Args:
        limits: caps of HTTP/2. http1: what a response may be, whatever the version.
    """

    __slots__ = ("_next",)

    _STATUS = 502
    _TABLE = RESPONSE_FIELDS
    _PUSH = (0,)

    def __init__(self, limits: Http2Limits = CLIENT_LIMITS, http1: Http1Limits = RESPONSE_LIMITS) -> None:
        super().__init__(limits, http1)
        self._next = 1
        self._out += [PREFACE, *_opening_frames(limits, [(ENABLE_PUSH, 0)])]

    @property
    def capacity(self) -> int:
        """Streams that may be opened now."""
        if self.closing:
            return 0
        left = (LAST_STREAM - self._next) // 2 + 1
        return max(0, min(self._peer_streams - len(self._streams), left))

    @property
    def extended_connect(self) -> bool:
        """The peer takes extended CONNECT (RFC 8441)."""
        return self._peer_connect

    def open(
        self,
        method: str | bytes,
        scheme: str | bytes,
        authority: str | bytes,
        path: str | bytes,
        fields: Sequence[Field],
        end: bool = False,
        protocol: str | bytes | None = None,
    ) -> int:
        """Send a request head; returns its stream. end: without a body. protocol: extended CONNECT for it, whatever the method.

        Raises:
            GatewayError: 500 `unsafe_head`; nothing was queued then. RuntimeError: there is no capacity.
        """
        if not self.capacity:
            raise RuntimeError(f"no stream can be opened: {self!r}")
        block = _request_pseudo(
            b"CONNECT" if protocol is not None else _ascii(method), _ascii(scheme), _ascii(authority), _ascii(path)
        )
        if protocol is not None:
            block += encode_pseudo(b":protocol", _ascii(protocol))
        block += encode_fields([field for field in fields if field[0] != b"host"])
        sid = self._highest = self._next
        self._next += 2
        self._opened += 1
        stream = self._streams[sid] = Stream(sid, self._initial_send, self._initial_receive)
        stream.bodiless = method in ("HEAD", b"HEAD") and protocol is None
        stream.tunnel = protocol is not None
        self._out += headers_frames(sid, block, end, self._largest)
        stream.local_closed = end
        return sid

    def _last_stream(self) -> int:
        return 0

    def _left_behind(self, last: int, events: Events) -> None:
        for sid in [sid for sid in self._streams if sid > last]:
            self._remove(self._streams[sid])
            self._remember(sid)
            events.append((sid, Reset(ErrorCode.REFUSED_STREAM, True)))

    def _on_block(self, sid: int, ends: bool, block: bytes, events: Events) -> None:
        stream = self._streams.get(sid)
        if stream is None:
            self._idle_or_closed(sid)
            self._late_block(sid, block)
        elif stream.head or stream.remote_closed:
            self._trailers(stream, ends, block, events)
        else:
            self._response(stream, ends, block, events)

    def _response(self, stream: Stream, ends: bool, block: bytes, events: Events) -> None:
        try:
            head = self._heads.get(block)
            if head is None:
                head = read_response(self._pairs(block), self._limits, self._http1)
                self._keep(block, head)
            if head.status < 200:
                self._check_informational(stream, ends)
                events.append((stream.sid, copy_response(head, 0)))
                return
            length = self._length_of(stream, head, ends)
        except Refused as error:
            self._spoil(stream, error, events)
            return
        stream.head = True
        if length is not None:
            stream.left = length
        events.append((stream.sid, copy_response(head, length)))
        if ends:
            self._finish(stream, END, events)

    def _check_informational(self, stream: Stream, ends: bool) -> None:
        if ends:
            raise Malformed(400, "h2_bad_informational", "an informational response with END_STREAM")
        stream.informational += 1
        if stream.informational > self._http1.informational:
            raise Refused(502, "too_many_informational", f"{stream.informational} informational responses")

    def _length_of(self, stream: Stream, head: ResponseHead, ends: bool) -> int | None:
        if stream.bodiless or head.status in (204, 304):
            return 0
        if stream.tunnel and head.status < 300:
            return None
        if ends and head.length:
            raise Malformed(400, "h2_length_mismatch", "Content-Length, and no body")
        return 0 if ends else head.length

    def _spoil(self, stream: Stream, error: Refused, events: Events) -> None:
        self._reset(stream, ErrorCode.PROTOCOL_ERROR)
        events.append((stream.sid, Violation(502, error.reason, error.detail, malformed=isinstance(error, Malformed))))
        self._glitches.reset()

    def _failed(self, sid: int, error: StreamFault, events: Events) -> None:
        events.append((sid, Violation(502, error.reason, error.detail)))


def _request_pseudo(method: bytes, scheme: bytes, authority: bytes, path: bytes) -> bytes:
    """The pseudo fields of a request: the same lock that the HTTP/1 writer is."""
    if not _is_method(method) or not _is_target(path) or not _is_authority(authority):
        raise unsafe("method, target or authority")
    if scheme not in (b"http", b"https"):
        raise unsafe("scheme")
    return b"".join(
        [
            encode_pseudo(b":method", method),
            encode_pseudo(b":scheme", scheme),
            encode_pseudo(b":authority", authority),
            encode_pseudo(b":path", path),
        ]
    )


def _ascii(text: str | bytes) -> bytes:
    if isinstance(text, bytes):
        return text
    try:
        return text.encode("ascii")
    except UnicodeEncodeError:
        raise unsafe("not ASCII") from None
