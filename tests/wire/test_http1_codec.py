"""What both codecs inherit, by the smallest codec there is: how a head is collected and a body counted off.

The real ones are in test_http1 and test_http1_tables.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from edgegw.wire.events import END, UNTIL_CLOSE, Event, Violation
from edgegw.wire.http1_codec import CHUNKED, DEAF, HEAD, HELD, IDLE, LENGTH, TO_CLOSE, Codec
from edgegw.wire.http1_fields import REQUEST_FIELDS, Refused
from edgegw.wire.http1_limits import Http1Limits

LIMITS = Http1Limits(head=120, target=16, held=8)  # A start line has at most 80 bytes.


class Lines(Codec):
    """Heads come out as their bytes; after each a body of `length` follows. A start line `bad...` is refused."""

    __slots__ = ("length", "seen")
    _table = REQUEST_FIELDS

    def __init__(self, length: int | None = 0, state: int = HEAD) -> None:
        super().__init__(LIMITS, state)
        self.length = length
        self.seen: list[bytes] = []

    def _advance(self, data: bytes, events: list[Event]) -> None:
        start = 0
        while start < len(data):
            if self._state == HEAD:
                found = self._split_head(data, start)
                if found is None:
                    return
                start, lines = found
                events.append(b"|".join(lines))
                self._start_body(self.length, events)
            elif self._state == LENGTH:
                start = self._length_body(data, start, events)
            elif self._state == CHUNKED:
                start = self._chunked_body(data, start, events)
            else:
                start = self._hold(data, start)

    def _finish(self) -> None:
        self._state = HEAD

    def _check_line(self, line: bytes) -> None:
        self.seen.append(line)
        if line.startswith(b"bad"):
            raise Refused(400, "bad_method")


def reason(events: list[Event]) -> str:
    event = events[-1]
    assert isinstance(event, Violation), events
    return event.reason


class HeadTests(SynchronousTestCase):
    """Collecting a head under its caps."""

    def test_the_head_ends_with_an_empty_line(self) -> None:
        codec = Lines()
        self.assertEqual(codec.receive(b"a\r\nb: c\r\n"), [])
        self.assertEqual(codec.receive(b"\r\nd\r\n\r\ne"), [b"a|b: c", END, b"d", END])
        self.assertEqual(repr(codec), "<Lines head left=0 buffered=1>")

    def test_the_longest_head(self) -> None:
        for size, accepted in ((120, True), (121, False)):
            data = b"a\r\nb: " + b"c" * (size - 10) + b"\r\n\r\n"
            self.assertEqual(len(data), size)
            events = Lines().receive(data)
            if accepted:
                self.assertEqual(events[1:], [END])
            else:
                self.assertEqual(reason(events), "head_too_large")

    def test_a_head_that_can_no_longer_end_in_time_is_refused_at_once(self) -> None:
        codec = Lines()
        self.assertEqual(codec.receive(b"a\r\n" + b"b" * 116), [])
        self.assertEqual(reason(codec.receive(b"b")), "head_too_large")

    def test_the_longest_start_line(self) -> None:
        self.assertEqual(LIMITS.start_line, 80)
        self.assertEqual(Lines().receive(b"a" * 80 + b"\r\n\r\n"), [b"a" * 80, END])
        self.assertEqual(reason(Lines().receive(b"a" * 81 + b"\r\n\r\n")), "target_too_long")
        codec = Lines()
        self.assertEqual(codec.receive(b"a" * 81), [])
        self.assertEqual(reason(codec.receive(b"a")), "target_too_long")

    def test_the_start_line_is_judged_before_the_rest_comes(self) -> None:
        codec = Lines()
        self.assertEqual(codec.receive(b"bad"), [])
        self.assertEqual(reason(codec.receive(b"\r\n")), "bad_method")

    def test_a_start_line_is_judged_once(self) -> None:
        codec = Lines()
        for byte in b"a\r\nb: c\r\nd: e\r\n":
            codec.receive(bytes([byte]))
        self.assertEqual(codec.seen, [b"a"])
        codec.receive(b"\r\nz\r\n")
        self.assertEqual(codec.seen, [b"a", b"z"])

    def test_bad_bytes_are_met_as_soon_as_they_are_certain(self) -> None:
        for before, data, wanted in (
            (b"", b"a\n", "bare_lf"),
            (b"a\r", b"b", "bare_cr"),
            (b"a\r\nb", b"\x00", "nul_byte"),
            (b"a\r\nb\r", b"\r", "bare_cr"),
            (b"a\r\nb", b"\x7f", "control_byte"),
        ):
            codec = Lines()
            self.assertEqual(codec.receive(before), [])
            self.assertEqual(reason(codec.receive(data)), wanted, (before, data))

    def test_bytes_behind_the_head_are_not_its_bytes(self) -> None:
        self.assertEqual(Lines(3).receive(b"a\r\n\r\n\x00\n\r"), [b"a", b"\x00\n\r", END])

    @given(
        st.lists(
            st.sampled_from([b"a", b"bad", b"\r", b"\n", b"\r\n", b"\r\n\r\n", b": ", b"\x00", b"x" * 50]), max_size=9
        )
    )
    def test_how_reads_are_cut_makes_no_difference_to_what_is_accepted(self, pieces: list[bytes]) -> None:
        data = b"".join(pieces)
        whole, cut = Lines(), Lines()
        events = [whole.receive(data), [event for byte in data for event in cut.receive(bytes([byte]))]]
        heads = [[event for event in each if isinstance(event, bytes)] for each in events]
        ended = [bool(each) and isinstance(each[-1], Violation) for each in events]
        # This codec judges a start line while it waits for the rest only, so a whole head in one read is not judged.
        if b"bad" not in data and not any(map(_hostile, heads[0])):
            self.assertEqual((heads[0], ended[0]), (heads[1], ended[1]))


def _hostile(head: bytes) -> bool:
    return any(mark in head for mark in (b"\r", b"\n", b"\x00"))


class BodyTests(SynchronousTestCase):
    """Counting off what follows."""

    def test_a_length(self) -> None:
        codec = Lines(5)
        self.assertEqual(codec.receive(b"a\r\n\r\n12"), [b"a", b"12"])
        self.assertEqual(codec.receive(b"34"), [b"34"])
        self.assertEqual(codec.receive(b""), [])
        self.assertEqual(codec.receive(b"5b\r\n\r\n"), [b"5", END, b"b"])

    def test_chunks_wait_until_they_can_be_read(self) -> None:
        codec = Lines(None)
        self.assertEqual(codec.receive(b"a\r\n\r\n3\r"), [b"a"])
        self.assertEqual(codec.receive(b"\nabc"), [b"abc"])
        self.assertEqual(codec.receive(b"\r\n1\r\nd\r\n1\r\ne\r\n0\r\n\r\nb\r\n\r\n"), [b"de", END, b"b"])

    def test_chunks_before_a_refusal_are_delivered(self) -> None:
        events = Lines(None).receive(b"a\r\n\r\n1\r\nb\r\nzz\r\n")
        self.assertEqual((events[:2], reason(events)), ([b"a", b"b"], "bad_chunk_size"))

    def test_which_state_a_length_leads_to(self) -> None:
        for length, state, events in (
            (0, HEAD, [END]),
            (1, LENGTH, []),
            (None, CHUNKED, []),
            (UNTIL_CLOSE, TO_CLOSE, []),
        ):
            codec = Lines()
            found: list[Event] = []
            codec._start_body(length, found)
            self.assertEqual((codec._state, found), (state, events), length)


class StateTests(SynchronousTestCase):
    """Held and deaf."""

    def test_held_bytes_are_kept_up_to_the_cap(self) -> None:
        codec = Lines(state=HELD)
        self.assertEqual([codec.receive(b"1234"), codec.receive(b"5678")], [[], []])
        self.assertEqual(codec._buffer, b"12345678")
        self.assertEqual(reason(codec.receive(b"9")), "held_overflow")

    def test_deaf_after_a_refusal_and_nothing_is_kept(self) -> None:
        for codec, data in ((Lines(), b"bad\r\n"), (Lines(None), b"a\r\n\r\nzz\r\n")):
            self.assertTrue(reason(codec.receive(data)))
            self.assertEqual(codec.receive(b"a\r\n\r\n"), [])
            self.assertEqual((codec._buffer, codec._decoder), (b"", None))
            self.assertEqual(repr(codec), f"<Lines deaf left={codec._left} buffered=0>")

    def test_every_state_has_a_name(self) -> None:
        names = {repr(Lines(state=state)) for state in (IDLE, HEAD, LENGTH, CHUNKED, TO_CLOSE, HELD, DEAF)}
        self.assertEqual(len(names), 7)
