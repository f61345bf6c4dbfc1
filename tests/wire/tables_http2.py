"""reference/trust.md A4 and RFC 9113 as data: what a peer sends behind preface and SETTINGS, and what comes of it.

Frames and blocks are built here by hand, without the product's encoder.
"""

from __future__ import annotations

from struct import pack
from typing import NamedTuple

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST, SETTINGS, PUSH, PING, GOAWAY, UPDATE, CONTINUATION = range(10)
END, ACK, LAST, PAD, PRIO = 1, 1, 4, 8, 32

Pairs = list[tuple[bytes, bytes]]


def frame(kind: int, flags: int, sid: int, payload: bytes = b"") -> bytes:
    return pack(">HBBBL", len(payload) >> 8, len(payload) & 255, kind, flags, sid) + payload


def frames_of(data: bytes) -> list[tuple[int, int, int, bytes]]:
    """(type, flags, stream, payload) of whole frames; a client's preface in front is skipped."""
    at = len(PREFACE) if data.startswith(PREFACE) else 0
    out = []
    while at < len(data):
        length = int.from_bytes(data[at : at + 3], "big")
        payload = data[at + 9 : at + 9 + length]
        assert len(payload) == length, "half a frame"
        out.append((data[at + 3], data[at + 4], int.from_bytes(data[at + 5 : at + 9], "big"), payload))
        at += 9 + length
    return out


def number(value: int, bits: int, first: int = 0) -> bytes:
    most = (1 << bits) - 1
    if value < most:
        return bytes([first | value])
    out, value = [first | most], value - most
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def literal(name: bytes, value: bytes, kind: int = 0) -> bytes:
    """kind: 0 without indexing, 0x10 never indexed, 0x40 with indexing; plain text."""
    return bytes([kind]) + number(len(name), 7) + name + number(len(value), 7) + value


def block(pairs: Pairs) -> bytes:
    return b"".join([literal(name, value) for name, value in pairs])


GET: Pairs = [(b":method", b"GET"), (b":scheme", b"https"), (b":authority", b"a.example"), (b":path", b"/")]
POST: Pairs = [(b":method", b"POST"), *GET[1:]]
OK: Pairs = [(b":status", b"200")]


def headers(sid: int, pairs: Pairs, flags: int = END | LAST) -> bytes:
    whole = block(pairs)
    if len(whole) <= 16384:
        return frame(HEADERS, flags, sid, whole)
    first, rest = whole[:16384], whole[16384:]
    return frame(HEADERS, flags & ~LAST, sid, first) + frame(CONTINUATION, LAST, sid, rest)


def get(sid: int, *more: tuple[bytes, bytes]) -> bytes:
    return headers(sid, [*GET, *more])


def post(sid: int, *more: tuple[bytes, bytes]) -> bytes:
    """A request whose body follows."""
    return headers(sid, [*POST, *more], LAST)


def data(sid: int, payload: bytes = b"", flags: int = 0) -> bytes:
    return frame(DATA, flags, sid, payload)


def padded(payload: bytes, padding: int) -> bytes:
    return bytes([padding]) + payload + bytes(padding)


def update(sid: int, size: int) -> bytes:
    return frame(UPDATE, 0, sid, pack(">L", size))


def rst(sid: int, code: int = 8) -> bytes:
    return frame(RST, 0, sid, pack(">L", code))


def settings(*pairs: tuple[int, int]) -> bytes:
    return frame(SETTINGS, 0, 0, b"".join([pack(">HL", *each) for each in pairs]))


def goaway(last: int, code: int = 0) -> bytes:
    return frame(GOAWAY, 0, 0, pack(">LL", last, code))


PINGS = frame(PING, 0, 0, b"12345678")
OPENING = PREFACE + settings()


class Row(NamedTuple):
    """One hostile or harmless thing.

    name: row of the table. data: what a downstream peer sends behind `OPENING`. status, reason: of the violation of a stream,
    status 0 is none. malformed: it is reset after the answer. goaway: the code of the GOAWAY (with `reason`). reset: that of the
    RST_STREAM which the codec sends by itself.
    """

    name: str
    data: bytes
    status: int = 0
    reason: str = ""
    malformed: bool = False
    goaway: int = -1
    reset: int = -1


def _bad(name: str, pairs: Pairs, reason: str, status: int = 400, malformed: bool = True) -> Row:
    return Row(name, headers(1, pairs), status, reason, malformed)


def _replaced(name: bytes, value: bytes | None) -> Pairs:
    return [(each, old if each != name else value) for each, old in GET if each != name or value is not None]  # type: ignore[misc]


def _field(name: str, field: bytes, value: bytes, reason: str) -> Row:
    return _bad(name, [*GET, (field, value)], reason)


CONNECT: Pairs = [(b":method", b"CONNECT"), *GET[1:], (b":protocol", b"websocket")]

HEADS = (
    _field("H9 CRLF in value", b"a", b"x\r\ny: z", "bare_cr"),
    _field("H9 LF in value", b"a", b"x\ny", "bare_lf"),
    _field("H9 NUL in value", b"a", b"x\x00y", "nul_byte"),
    _field("H9 control in value", b"a", b"x\x01y", "control_byte"),
    _field("H9 CRLF in name", b"a\r\nb", b"x", "bad_field_name"),
    _field("H9 space in name", b"a b", b"x", "bad_field_name"),
    _field("H9 colon in name", b"a:b", b"x", "bad_field_name"),
    _field("H9 empty name", b"", b"x", "bad_field_name"),
    _field("H9 high byte in name", b"a\xe4", b"x", "bad_field_name"),
    _field("H9 upper case", b"Accept", b"x", "h2_uppercase_name"),
    _field("H9 connection", b"connection", b"close", "h2_connection_field"),
    _field("H9 connection, empty", b"connection", b"", "h2_connection_field"),
    _field("H9 transfer-encoding", b"transfer-encoding", b"chunked", "h2_connection_field"),
    _field("H9 keep-alive", b"keep-alive", b"1", "h2_connection_field"),
    _field("H9 proxy-connection", b"proxy-connection", b"close", "h2_connection_field"),
    _field("H9 te: gzip", b"te", b"gzip", "h2_connection_field"),
    _field("H9 te: trailers, gzip", b"te", b"trailers, gzip", "h2_connection_field"),
    _field("H17 upgrade: h2c", b"upgrade", b"h2c", "h2_connection_field"),
    _field("H17 http2-settings", b"http2-settings", b"AAMAAABk", "h2_connection_field"),
    _field("8.2.1 space before value", b"a", b" x", "h2_space_around_value"),
    _field("8.2.1 tab behind value", b"a", b"x\t", "h2_space_around_value"),
    _field("H9 late pseudo", b":path", b"/y", "h2_bad_pseudo"),
    _bad("H9 pseudo behind a field", [*GET[:3], (b"a", b"b"), GET[3]], "h2_bad_pseudo"),
    _bad("H9 duplicate :path", [*GET, (b":path", b"/")], "h2_bad_pseudo"),
    _bad("H9 duplicate :method", [*GET, (b":method", b"GET")], "h2_bad_pseudo"),
    _bad("H9 duplicate :scheme", [*GET, (b":scheme", b"https")], "h2_bad_pseudo"),
    _bad("H9 duplicate :authority", [*GET, (b":authority", b"a.example")], "h2_bad_pseudo"),
    _bad("H9 unknown pseudo", [*GET, (b":x", b"1")], "h2_bad_pseudo"),
    _bad("H9 response pseudo", [*GET, (b":status", b"200")], "h2_bad_pseudo"),
    _bad("H9 upper-case pseudo", [(b":Method", b"GET"), *GET[1:]], "h2_bad_pseudo"),
    _bad("H9 no :path", _replaced(b":path", None), "h2_missing_pseudo"),
    _bad("H9 empty :path", _replaced(b":path", b""), "h2_missing_pseudo"),
    _bad("H9 no :method", _replaced(b":method", None), "h2_missing_pseudo"),
    _bad("H9 no :scheme", _replaced(b":scheme", None), "h2_missing_pseudo"),
    _bad("H9 no authority", _replaced(b":authority", None), "missing_host"),
    _bad("H9 empty authority", _replaced(b":authority", b""), "missing_host"),
    _bad("H9 empty authority beside host", [*_replaced(b":authority", b""), (b"host", b"a.example")], "missing_host"),
    _bad("H9 empty host", [*_replaced(b":authority", None), (b"host", b"")], "missing_host"),
    _bad("H9 host != authority", [*GET, (b"host", b"b.example")], "host_mismatch"),
    _bad("H9 host of another port", [*GET, (b"host", b"a.example:80")], "host_mismatch"),
    _bad("H9 two hosts", [*GET, (b"host", b"a.example"), (b"host", b"a.example")], "duplicate_host"),
    _bad("H9 CRLF in :path", _replaced(b":path", b"/\r\nx"), "bare_cr"),
    _bad("H9 NUL in :authority", _replaced(b":authority", b"a\x00"), "nul_byte"),
    _bad("H9 LF in :method", _replaced(b":method", b"GET\n"), "bare_lf"),
    _bad("H10 request line", _replaced(b":path", b"/x HTTP/1.1"), "control_in_target", malformed=False),
    _bad("H10 TAB", _replaced(b":path", b"/x\ty"), "control_in_target", malformed=False),
    _bad("H10 space in query", _replaced(b":path", b"/x?a b"), "bad_query", malformed=False),
    _bad("H10 relative", _replaced(b":path", b"x"), "bad_target", malformed=False),
    _bad("H10 absolute", _replaced(b":path", b"http://evil/x"), "bad_target", malformed=False),
    _bad("H10 fragment", _replaced(b":path", b"/x#y"), "fragment_in_target", malformed=False),
    _bad("H10 * for GET", _replaced(b":path", b"*"), "bad_target", malformed=False),
    _bad("H10 root escape", _replaced(b":path", b"/../x"), "path_escapes_root", malformed=False),
    _bad("H10 escaped slash", _replaced(b":path", b"/a%2fb"), "escaped_slash", malformed=False),
    _bad("H10 too long", _replaced(b":path", b"/" + b"x" * 8192), "target_too_long", 414, malformed=False),
    _bad("H11 method injection", _replaced(b":method", b"GET /admin HTTP/1.1"), "bad_method", malformed=False),
    _bad("H11 empty method", _replaced(b":method", b""), "bad_method", malformed=False),
    _bad("H11 lower case", _replaced(b":method", b"get"), "unknown_method", 501, malformed=False),
    _bad("H11 TRACE", _replaced(b":method", b"TRACE"), "trace_refused", 405, malformed=False),
    _bad("H12", [*POST, (b"content-length", b"5")], "h2_length_mismatch"),
    _bad("H12 not digits", [*POST, (b"content-length", b"+5")], "bad_content_length"),
    _bad("H12 too large", [*POST, (b"content-length", b"9" * 30)], "content_length_too_large"),
    _bad(
        "H13 differing", [*POST, (b"content-length", b"0"), (b"content-length", b"00")], "duplicate_content_length"
    ),
    _bad("H14 user info", _replaced(b":authority", b"u:p@a"), "bad_host", malformed=False),
    _bad("H14 slash", _replaced(b":authority", b"a/b"), "bad_host", malformed=False),
    _bad("H14 space", _replaced(b":authority", b"a b"), "bad_host", malformed=False),
    _bad("H14 scheme", _replaced(b":scheme", b"https://evil/?"), "h2_bad_scheme", malformed=False),
    _bad("H14 ftp", _replaced(b":scheme", b"ftp"), "h2_bad_scheme", malformed=False),
    _bad("H15 plain CONNECT", [(b":method", b"CONNECT"), GET[2]], "connect_method_refused", 405, malformed=False),
    _bad("8.5 CONNECT with :path", [(b":method", b"CONNECT"), *GET[1:]], "h2_bad_pseudo"),
    _bad("8441 :protocol without CONNECT", [*GET, (b":protocol", b"websocket")], "h2_bad_pseudo"),
    _bad("8441 another protocol", [*CONNECT[:4], (b":protocol", b"connect-udp")], "unknown_method", 501, malformed=False),
    _bad("8441 with a length", [*CONNECT, (b"content-length", b"0")], "h2_length_mismatch"),
    _bad("underscore", [*GET, (b"x_y", b"1")], "underscore_in_name", malformed=False),
    _bad("expectation", [*GET, (b"expect", b"200-ok")], "unknown_expectation", 417, malformed=False),
    _bad("H4 fields", [*GET, *[(b"a", b"")] * 101], "too_many_fields", 431, malformed=False),
    _bad("H4 1500 fields", [*GET, *[(b"a", b"")] * 1500], "too_many_fields", 431, malformed=False),
    _bad("H4 list", [*GET, *[(b"a", b"x" * 6000)] * 3], "head_too_large", 431, malformed=False),
    _bad("H4 field", [*GET, (b"a", b"x" * 8191)], "field_too_large", 431, malformed=False),
)  # fmt: skip

_TINY = b"".join([get(sid) for sid in range(1, 201, 2)])

STREAMS = (
    Row("H2 overflow", post(1) + update(1, 2**31 - 1), reset=3, reason="h2_window_overflow"),
    Row("H2 zero increment", post(1) + update(1, 0), reset=1, reason="h2_zero_increment"),
    Row("H2 DATA behind the end", get(1) + data(1, b"x"), reset=5, reason="h2_closed_stream"),
    Row("H2 HEADERS behind the end", get(1) + get(1), reset=5, reason="h2_closed_stream"),
    Row("H8", _TINY + get(201), reset=7),
    Row("5.1 DATA on a reset stream", post(1) + rst(1) + data(1, b"x"), reset=5),
    Row("6.3 length of PRIORITY", post(1) + frame(PRIORITY, 0, 1, b"1234"), reset=6, reason="h2_frame_size"),
    Row("6.9.1 DATA beyond the stream's window", post(1) + data(1, b"x" * 16384) * 4, reset=3, reason="h2_window_exceeded"),
    Row("8.1.1 long body", post(1, (b"content-length", b"2")) + data(1, b"xyz"), 400, "h2_length_mismatch", True),
    Row("8.1.1 long body in two",
        post(1, (b"content-length", b"2")) + data(1, b"xy") + data(1, b"z"),
        400, "h2_length_mismatch", True),
    Row("8.1.1 short body", post(1, (b"content-length", b"2")) + data(1, b"x", END), 400, "h2_length_mismatch", True),
    Row("8.1.1 short body, trailers",
        post(1, (b"content-length", b"2")) + data(1, b"x") + headers(1, [(b"a", b"b")]),
        400, "h2_length_mismatch", True),
    Row("8.1 trailers without END_STREAM", post(1) + headers(1, [(b"a", b"b")], LAST), 400, "h2_bad_trailers", True),
    Row("8.1 pseudo in trailers", post(1) + headers(1, [(b":path", b"/")]), 400, "h2_bad_pseudo", True),
    Row("8.1 upper case in trailers", post(1) + headers(1, [(b"A", b"/")]), 400, "h2_uppercase_name", True),
    Row("trailers too large", post(1) + headers(1, [(b"a", b"x" * 8192)]), 400, "trailer_too_large"),
    Row("too many trailers", post(1) + headers(1, [(b"a", b"")] * 101), 400, "trailer_too_large"),
)  # fmt: skip

_BOMB = literal(b"x", b"y" * 4000, 0x40) + b"\xbe" * 8000
_CLOSED = get(1) + rst(1)

CONNECTION = (
    Row("H1", b"".join([get(sid) + rst(sid) for sid in range(1, 403, 2)]), reason="h2_reset_flood", goaway=11),
    Row("H2 by overflow",
        b"".join([post(sid) + update(sid, 2**31 - 1) for sid in range(1, 403, 2)]),
        reason="h2_reset_flood", goaway=11),
    Row("H2 by DATA", b"".join([get(sid) + data(sid) for sid in range(1, 403, 2)]), reason="h2_reset_flood", goaway=11),
    Row("H2 by HEADERS", b"".join([get(sid) + get(sid) for sid in range(1, 403, 2)]), reason="h2_reset_flood", goaway=11),
    Row("H8 again and again", b"".join([get(sid) for sid in range(1, 603, 2)]), reason="h2_reset_flood", goaway=11),
    Row("H3 frames",
        frame(HEADERS, 0, 1, b"") + frame(CONTINUATION, 0, 1, b"") * 65,
        reason="h2_continuation_flood", goaway=1),
    Row("H3 bytes",
        frame(HEADERS, 0, 1, bytes(16384)) + frame(CONTINUATION, 0, 1, bytes(16384)) * 4,
        reason="h2_continuation_flood", goaway=1),
    Row("H4 bomb", frame(HEADERS, LAST | END, 1, block(GET) + _BOMB), reason="h2_header_list_too_large", goaway=11),
    Row("H5 PING", PINGS * 1001, reason="h2_ping_flood", goaway=11),
    Row("H5 PING answers", frame(PING, ACK, 0, b"12345678") * 1001, reason="h2_ping_flood", goaway=11),
    Row("H5 SETTINGS", settings() * 1001, reason="h2_settings_flood", goaway=11),
    Row("H5 SETTINGS answers", frame(SETTINGS, ACK, 0) * 1002, reason="h2_settings_flood", goaway=11),
    Row("H6 empty DATA", post(1) + data(1) * 1001, reason="h2_empty_data_flood", goaway=11),
    Row("H6 padded-empty DATA", post(1) + data(1, padded(b"", 3), PAD) * 1001, reason="h2_empty_data_flood", goaway=11),
    Row("H6 1-byte WINDOW_UPDATE", get(1) + update(1, 1) * 1008, reason="h2_window_update_flood", goaway=11),
    Row("H6 WINDOW_UPDATE of the connection", update(0, 1) * 1006, reason="h2_window_update_flood", goaway=11),
    Row("H6 PRIORITY", get(1) + frame(PRIORITY, 0, 1, bytes(5)) * 1001, reason="h2_priority_flood", goaway=11),
    Row("H7 PRIORITY on idle streams",
        b"".join([frame(PRIORITY, 0, sid, bytes(5)) for sid in range(1, 2004, 2)]),
        reason="h2_priority_flood", goaway=11),
    Row("H6 unknown frames", frame(0xBA, 0, 0, b"x") * 1001, reason="h2_unknown_frame_flood", goaway=11),
    Row("H6 GOAWAY", goaway(0) * 1002, reason="h2_unknown_frame_flood", goaway=11),
    Row("frames on a closed stream", _CLOSED + rst(1) * 1001, reason="h2_closed_stream_flood", goaway=11),
    Row("3.4 first frame", b"", reason="h2_bad_preface", goaway=1),
    Row("4.2 frame too large", frame(DATA, 0, 1, bytes(16385)), reason="h2_frame_size", goaway=6),
    Row("4.3 bad block", frame(HEADERS, LAST | END, 1, b"\xff\xff\xff\xff\xff\xff\xff"), reason="h2_compression", goaway=9),
    Row("4.3 index 0", frame(HEADERS, LAST | END, 1, b"\x80"), reason="h2_compression", goaway=9),
    Row("4.3 index beyond the table", frame(HEADERS, LAST | END, 1, b"\xbe"), reason="h2_compression", goaway=9),
    Row("4.3 truncated block", frame(HEADERS, LAST | END, 1, block(GET)[:-3]), reason="h2_compression", goaway=9),
    Row("4.3 table too large",
        frame(HEADERS, LAST | END, 1, number(4097, 5, 0x20) + block(GET)),
        reason="h2_compression", goaway=9),
    Row("4.3 resize behind a field", frame(HEADERS, LAST | END, 1, block(GET) + b"\x20"), reason="h2_compression", goaway=9),
    Row("4.3 bad block of a refused stream",
        _TINY + frame(HEADERS, LAST | END, 201, b"\x80"),
        reason="h2_compression", goaway=9),
    Row("5.1 DATA on an idle stream", data(1, b"x"), reason="h2_idle_stream", goaway=1),
    Row("5.1 RST_STREAM on an idle stream", rst(1), reason="h2_idle_stream", goaway=1),
    Row("5.1 WINDOW_UPDATE on an idle stream", update(1, 1), reason="h2_idle_stream", goaway=1),
    Row("5.1 WINDOW_UPDATE on a stream of ours", update(2, 1), reason="h2_idle_stream", goaway=1),
    Row("5.1 CONTINUATION on an idle stream", frame(CONTINUATION, LAST, 1, block(GET)), reason="h2_bad_continuation", goaway=1),
    Row("5.1 HEADERS on a reset stream", post(1) + rst(1) + get(1), reason="h2_closed_stream", goaway=5),
    Row("5.1.1 even stream", get(2), reason="h2_bad_stream_id", goaway=1),
    Row("5.1.1 stream 0", get(0), reason="h2_bad_stream_id", goaway=1),
    Row("5.1.1 lower than before", get(5) + get(3), reason="h2_closed_stream", goaway=5),
    Row("6.1 DATA on stream 0", data(0, b"x"), reason="h2_idle_stream", goaway=1),
    Row("6.1 padding of DATA", post(1) + data(1, b"\x05abcd", PAD), reason="h2_bad_padding", goaway=1),
    Row("6.1 no room for padding", post(1) + data(1, b"", PAD), reason="h2_frame_size", goaway=6),
    Row("6.2 padding of HEADERS", frame(HEADERS, END | LAST | PAD, 1, b"\xff" + block(GET)), reason="h2_bad_padding", goaway=1),
    Row("6.2 no room for priority", frame(HEADERS, END | LAST | PRIO, 1, b"abcd"), reason="h2_frame_size", goaway=6),
    Row("6.2 HEADERS within a block", frame(HEADERS, 0, 1, block(GET)) + get(3), reason="h2_bad_continuation", goaway=1),
    Row("6.2 DATA within a block", frame(HEADERS, 0, 1, block(GET)) + data(1, b"x"), reason="h2_bad_continuation", goaway=1),
    Row("5.5 unknown frame within a block",
        frame(HEADERS, 0, 1, block(GET)) + frame(0x16, 0, 0),
        reason="h2_bad_continuation", goaway=1),
    Row("6.3 PRIORITY on stream 0", frame(PRIORITY, 0, 0, bytes(5)), reason="h2_bad_stream_id", goaway=1),
    Row("6.4 RST_STREAM on stream 0", rst(0), reason="h2_bad_stream_id", goaway=1),
    Row("6.4 length of RST_STREAM", get(1) + frame(RST, 0, 1, b"123"), reason="h2_frame_size", goaway=6),
    Row("6.5 SETTINGS answer with payload", frame(SETTINGS, ACK, 0, bytes(6)), reason="h2_frame_size", goaway=6),
    Row("6.5 SETTINGS on a stream", frame(SETTINGS, 0, 1, bytes(6)), reason="h2_bad_stream_id", goaway=1),
    Row("6.5 length of SETTINGS", frame(SETTINGS, 0, 0, bytes(5)), reason="h2_frame_size", goaway=6),
    Row("6.5.2 ENABLE_PUSH", settings((2, 2)), reason="h2_bad_settings", goaway=1),
    Row("6.5.2 INITIAL_WINDOW_SIZE", settings((4, 2**31)), reason="h2_bad_settings", goaway=3),
    Row("6.5.2 MAX_FRAME_SIZE, small", settings((5, 16383)), reason="h2_bad_settings", goaway=1),
    Row("6.5.2 MAX_FRAME_SIZE, large", settings((5, 2**24)), reason="h2_bad_settings", goaway=1),
    Row("8441 ENABLE_CONNECT_PROTOCOL", settings((8, 2)), reason="h2_bad_settings", goaway=1),
    Row("8441 taken back", settings((8, 1)) + settings((8, 0)), reason="h2_bad_settings", goaway=1),
    Row("9218 NO_RFC7540_PRIORITIES", settings((9, 2)), reason="h2_bad_settings", goaway=1),
    Row("6.6 PUSH_PROMISE", frame(PUSH, LAST, 1, pack(">L", 2) + block(GET)), reason="h2_push_promise", goaway=1),
    Row("6.7 PING on a stream", frame(PING, 0, 1, bytes(8)), reason="h2_bad_stream_id", goaway=1),
    Row("6.7 length of PING", frame(PING, 0, 0, bytes(7)), reason="h2_frame_size", goaway=6),
    Row("6.8 GOAWAY on a stream", frame(GOAWAY, 0, 1, bytes(8)), reason="h2_bad_stream_id", goaway=1),
    Row("6.8 length of GOAWAY", frame(GOAWAY, 0, 0, bytes(7)), reason="h2_frame_size", goaway=6),
    Row("6.9 zero increment", update(0, 0), reason="h2_zero_increment", goaway=1),
    Row("6.9 length of WINDOW_UPDATE", frame(UPDATE, 0, 0, bytes(3)), reason="h2_frame_size", goaway=6),
    Row("6.9.1 overflow", update(0, 2**31 - 1), reason="h2_window_overflow", goaway=3),
    Row("6.9.2 overflow by SETTINGS", post(1) + update(1, 1) + settings((4, 2**31 - 1)), reason="h2_window_overflow", goaway=3),
    Row("6.10 CONTINUATION behind an end",
        frame(HEADERS, LAST | END, 1, block(GET)) + frame(CONTINUATION, LAST, 1, b""),
        reason="h2_bad_continuation", goaway=1),
    Row("6.10 CONTINUATION of another stream",
        frame(HEADERS, 0, 1, block(GET)) + frame(CONTINUATION, LAST, 3, b""),
        reason="h2_bad_continuation", goaway=1),
)  # fmt: skip

_SELF = pack(">LB", 1, 16)

ACCEPTED = (
    Row("plain", get(1)),
    Row("H1 within the burst", b"".join([get(sid) + rst(sid) for sid in range(1, 401, 2)])),
    Row("H3 within the cap",
        frame(HEADERS, END, 1, block(GET)) + frame(CONTINUATION, 0, 1) * 63
        + frame(CONTINUATION, LAST, 1)),
    Row("H3 byte by byte",
        frame(HEADERS, END, 1) + b"".join([frame(CONTINUATION, 0, 1, block(GET)[i : i
        + 2]) for i in range(0, 60, 2)]) + frame(CONTINUATION, LAST, 1, block(GET)[60:])),
    Row("H5 within the budget", PINGS * 1000 + get(1)),
    Row("H7 within the budget", b"".join([frame(PRIORITY, 0, sid, bytes(5)) for sid in range(1, 1001, 2)]) + get(1)),
    Row("H6 updates explained", update(0, 1) * 5 + get(1) + update(1, 1) * 2),
    Row("H13 equal lengths", headers(1, [*POST, (b"content-length", b"0"), (b"content-length", b"0")])),
    Row("H13 equal host", get(1, (b"host", b"a.example"))),
    Row("H13 host with the default port", get(1, (b"host", b"A.example:443"))),
    Row("H13 host alone", headers(1, [*_replaced(b":authority", None), (b"host", b"a.example")])),
    Row("te: trailers", get(1, (b"te", b"trailers"))),
    Row("OPTIONS *", headers(1, [(b":method", b"OPTIONS"), *GET[1:3], (b":path", b"*")])),
    Row("extended CONNECT", headers(1, CONNECT, LAST)),
    Row("5.3.1 depends on itself", frame(HEADERS, END | LAST | PRIO, 1, _SELF + block(GET)) + frame(PRIORITY, 0, 1, _SELF)),
    Row("5.5 unknown frame and flags", frame(0x16, 0xFF, 7, b"xyz") + frame(HEADERS, END | LAST | 0xC2, 1, block(GET))),
    Row("reserved bit", frame(HEADERS, END | LAST, 1 | 2**31, block(GET))),
    Row("6.2 padded", frame(HEADERS, END | LAST | PAD, 1, padded(block(GET), 200))),
    Row("6.2 padded, with priority", frame(HEADERS, END | LAST | PAD | PRIO, 1, b"\x03" + bytes(5) + block(GET) + bytes(3))),
    Row("6.1 body", post(1) + data(1, b"abc") + data(1, b"def") + data(1, b"", END)),
    Row("6.1 padded body", post(1) + data(1, padded(b"abc", 9), PAD) + data(1, padded(b"def", 0), PAD | END)),
    Row("8.1 trailers", post(1) + data(1, b"abc") + headers(1, [(b"a", b"b")])),
    Row("content-length", post(1, (b"content-length", b"6")) + data(1, b"abc") + data(1, b"def", END)),
    Row("6.5.2 unknown setting", settings((0xABC, 1)) + get(1)),
    Row("6.4 RST_STREAM behind the end", get(1) + rst(1) + rst(1)),
    Row("6.9 WINDOW_UPDATE on a closed stream", get(1) + rst(1) + update(1, 5)),
    Row("6.5 SETTINGS answer", frame(SETTINGS, ACK, 0) + get(1)),
    Row("table resized", frame(HEADERS, END | LAST, 1, b"\x20" + number(4096, 5, 0x20) + block(GET))),
)  # fmt: skip
