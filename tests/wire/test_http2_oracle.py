"""Frames of every kind, also mutilated, to our server and to h2's: who refuses what the other takes, and why that is right.

Both get one frame at a time until one of them gives the connection up. Every difference must be in one of the three lists.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from h2 import events as h2e
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.exceptions import ProtocolError
from hypothesis import given, settings
from twisted.trial.unittest import SynchronousTestCase

from edgegw.wire.events import RequestHead, Reset, Violation
from edgegw.wire.http1_limits import Http1Limits
from edgegw.wire.http2 import ServerCodec
from edgegw.wire.http2_limits import Http2Limits
from tests.wire import tables_http2 as t
from tests.wire.test_http2_fuzz import rubbish

_INJECTION = (
    "h2 hands it on, and it would be written into an HTTP/1.1 request line or read as another target (H10, H11, H14)"
)
_POLICY = "a listener's policy or cap, which h2 leaves to its user"
_LENGTH = "h2 counts DATA late or not at all: H2.CL smuggling on downgrade (H12, H13)"

REFUSED_BY_US_ONLY = {
    "bad_host": _INJECTION,
    "bad_method": _INJECTION,
    "bad_query": _INJECTION,
    "bad_target": _INJECTION,
    "control_in_target": _INJECTION,
    "escaped_slash": _INJECTION,
    "fragment_in_target": _INJECTION,
    "h2_bad_scheme": _INJECTION,
    "path_escapes_root": _INJECTION,
    "content_length_too_large": _LENGTH,
    "duplicate_content_length": _LENGTH,
    "h2_length_mismatch": _LENGTH,
    "connect_method_refused": _POLICY,
    "field_too_large": _POLICY,
    "head_too_large": _POLICY,
    "target_too_long": _POLICY,
    "too_many_fields": _POLICY,
    "trace_refused": _POLICY,
    "underscore_in_name": _POLICY,
    "unknown_expectation": _POLICY,
    "unknown_method": _POLICY,
    "control_byte": "h2 looks for NUL, CR and LF only; HTTP/1.1 must not carry the others either",
    "h2_connection_field": "h2 lets HTTP2-Settings through (RFC 9113 8.2.2, H17)",
    "missing_host": "h2 takes an empty authority",
}
"""Reasons of streams whose head h2 delivers."""

_FLOOD = "h2 has no budget for it (H5, H6)"

FATAL_FOR_US_ONLY = {
    "h2_empty_data_flood": _FLOOD,
    "h2_ping_flood": _FLOOD,
    "h2_priority_flood": _FLOOD,
    "h2_settings_flood": _FLOOD,
    "h2_unknown_frame_flood": _FLOOD,
    "h2_window_update_flood": _FLOOD,
    "h2_continuation_flood": "h2 counts frames, not bytes (H3)",
    "h2_bad_settings": "h2 lets ENABLE_CONNECT_PROTOCOL be taken back (RFC 8441 3)",
    "h2_bad_stream_id": "h2 waits for the end of the block before it looks at the stream",
    "h2_push_promise": "h2 waits for the end of the block",
    "h2_frame_size": "h2 waits for the whole of a frame that is too long",
    "h2_idle_stream": "h2 lets RST_STREAM on an idle stream of its own side pass (RFC 9113 6.4)",
}
"""Reasons of connections that h2 goes on with."""

FATAL_FOR_H2_ONLY = {
    "FrameDataMissingError": "h2 reads ALTSVC, which we ignore as any unknown frame",
    "ProtocolError: Received frame with non-compliant data": "h2 minds the reserved bit of WINDOW_UPDATE (RFC 9113 6.9: ignored)",
    "ProtocolError: Request header block has mismatched": "h2 compares bytes, we compare host and port",
    "ProtocolError: Stream 1 may not depend on itself": "RFC 9113 5.3 does away with priorities",
    "in state ConnectionState.CLOSED": "h2 stops at a client's GOAWAY, which is about streams of ours (RFC 9113 6.8)",
    "ProtocolError: Too many continuation frames": "h2 counts HEADERS too",
}
"""What h2's exception says, in part, while we go on, though no head of ours was refused."""

LISTS = {
    "REFUSED_BY_US_ONLY": REFUSED_BY_US_ONLY,
    "FATAL_FOR_US_ONLY": FATAL_FOR_US_ONLY,
    "FATAL_FOR_H2_ONLY": FATAL_FOR_H2_ONLY,
}

SAMPLES = (
    t.frame(t.HEADERS, t.END, 2, t.block(t.GET)),
    t.frame(t.PUSH, 0, 1, b"\0\0\0\x02" + t.block(t.GET)),
    t.get(1) + t.rst(2),
    b"\x00\x40\x01\x00\x00\x00\x00\x00\x01" + bytes(10),
    t.frame(10, 0, 3, b"\xd5\x8e\x9f\xfa"),
    t.update(0, 2**31 + 5),
    t.goaway(0) + t.get(1),
)
"""What the tables do not have of the three lists."""


class Verdict(NamedTuple):
    """What one side made of one frame. fatal: why it gave up, else empty. taken: streams with a head. refused: stream to reason."""

    fatal: str
    taken: set[int]
    refused: dict[int, str]
    body: bytes


def whole_frames(data: bytes) -> list[bytes]:
    """Cut where frames end; what is left over is left out."""
    out, at = [], 0
    while len(data) - at >= 9:
        stop = at + 9 + int.from_bytes(data[at : at + 3], "big")
        if stop > len(data):
            if stop - at > 16393:
                out.append(data[at:])
            break
        out.append(data[at:stop])
        at = stop
    return out


class Ours:
    """Our server."""

    def __init__(self) -> None:
        self.codec = ServerCodec(Http2Limits(), Http1Limits(trailers_allowed=None))
        self.codec.receive(t.OPENING, 0.0)

    def judge(self, frame: bytes) -> Verdict:
        fatal, taken, refused, body = "", set(), {}, b""
        for sid, event in self.codec.receive(frame, 0.0):
            if isinstance(event, Violation) and not sid:
                fatal = event.reason
            elif isinstance(event, Violation):
                refused[sid] = event.reason
            elif isinstance(event, Reset):
                refused[sid] = "reset"
            elif isinstance(event, RequestHead):
                taken.add(sid)
            elif isinstance(event, bytes):
                body += event
        for kind, _, sid, _ in t.frames_of(self.codec.take()):
            if kind == t.RST:
                refused.setdefault(sid, "reset")
        return Verdict(fatal, taken, refused, body)


class Theirs:
    """h2's."""

    def __init__(self) -> None:
        self.connection = H2Connection(H2Configuration(client_side=False, header_encoding=False))
        self.connection.initiate_connection()
        self.connection.receive_data(t.OPENING)
        self.connection.data_to_send()

    def judge(self, frame: bytes) -> Verdict:
        taken, refused, body = set(), {}, b""
        try:
            events: list[Any] = self.connection.receive_data(frame)
        except ProtocolError as error:
            return Verdict(f"{type(error).__name__}: {error}", set(), {}, b"")
        for event in events:
            if isinstance(event, h2e.RequestReceived):
                taken.add(event.stream_id)
            elif isinstance(event, h2e.DataReceived):
                body += event.data
            elif isinstance(event, h2e.StreamReset):
                refused[event.stream_id] = "reset"
        return Verdict("", taken, refused, body)


def differences(frames: list[bytes]) -> list[tuple[str, str, str]]:
    """(list, entry, frame) of each difference."""
    ours, theirs, out = Ours(), Theirs(), []
    spoilt: set[int] = set()
    for frame in frames:
        mine, other = ours.judge(frame), theirs.judge(frame)
        spoilt |= mine.refused.keys()
        if mine.fatal or other.fatal:
            if not other.fatal:
                out.append(("FATAL_FOR_US_ONLY", mine.fatal, frame.hex()))
            elif not mine.fatal and not mine.refused:
                out.append(("FATAL_FOR_H2_ONLY", other.fatal, frame.hex()))
            return out
        for sid in other.taken - mine.taken:
            out.append(("REFUSED_BY_US_ONLY", mine.refused.get(sid, "silently"), frame.hex()))
        for sid in mine.taken - other.taken:
            out.append(("TAKEN_BY_US_ONLY", str(sid), frame.hex()))
        if mine.body != other.body and not spoilt:
            out.append(("BODIES", f"{mine.body!r} {other.body!r}", frame.hex()))
        if mine.refused:
            return out  # From here on the two know of different streams.
    return out


def explained(found: tuple[str, str, str]) -> str:
    """The entry of a list that explains a difference, or nothing."""
    name, what, _ = found
    return next((entry for entry in LISTS.get(name, {}) if entry in what), "")


class OracleTests(SynchronousTestCase):
    """h2 beside us."""

    @given(rubbish())
    @settings(max_examples=700, deadline=None)
    def test_every_difference_is_explained(self, pieces: list[bytes]) -> None:
        for found in differences(whole_frames(b"".join(pieces))):
            self.assertTrue(explained(found), found)

    def test_rows(self) -> None:
        """The tables too; and whatever is explained really happens."""
        seen = set()
        rows = [row.data for row in t.HEADS + t.STREAMS + t.CONNECTION + t.ACCEPTED]
        for data in [*rows, *SAMPLES]:
            for found in differences(whole_frames(data)):
                self.assertTrue(explained(found), found)
                seen.add((found[0], explained(found)))
        self.assertEqual(seen, {(name, entry) for name, entries in LISTS.items() for entry in entries})

    def test_the_comparison_can_fail(self) -> None:
        self.assertEqual(differences([t.get(1), t.get(3)]), [])
        self.assertEqual(
            differences([t.headers(1, [*t.GET[:3], (b":path", b"x")])])[0][:2], ("REFUSED_BY_US_ONLY", "bad_target")
        )
        self.assertFalse(explained(("REFUSED_BY_US_ONLY", "silently", "")))
