"""The frame loop: what is joined, remembered, ignored, and how much is kept."""

from __future__ import annotations

import sys

from hpack import Encoder
from twisted.trial.unittest import SynchronousTestCase

from edgegw.wire import http2_codec
from edgegw.wire.events import End, RequestHead, Violation
from edgegw.wire.http1_limits import Http1Limits
from edgegw.wire.http2 import ServerCodec
from edgegw.wire.http2_limits import Http2Limits
from edgegw.wire.http2_sending import Events
from tests.wire import tables_http2 as t


def server(*behind: bytes, limits: Http2Limits = Http2Limits()) -> ServerCodec:
    codec = ServerCodec(limits, Http1Limits())
    codec.receive(t.OPENING + b"".join(behind), 0.0)
    codec.take()
    return codec


def heads(events: Events) -> list[RequestHead]:
    return [event for _, event in events if isinstance(event, RequestHead)]


def body(events: Events) -> list[bytes]:
    return [event for _, event in events if isinstance(event, bytes)]


class JoiningTests(SynchronousTestCase):
    """DATA of one stream in one read is one event."""

    def test_joined(self) -> None:
        codec = server(t.post(1), t.post(3))
        self.assertEqual(body(codec.receive(t.data(1, b"ab") + t.data(1, b"c") + t.data(1, b"d"), 0.0)), [b"abcd"])
        self.assertEqual(
            body(codec.receive(t.data(1, b"ab") + t.data(3, b"c") + t.data(1, b"d"), 0.0)), [b"ab", b"c", b"d"]
        )

    def test_what_is_special_goes_its_own_way(self) -> None:
        codec = server(t.post(1))
        events = codec.receive(
            t.data(1, b"a")
            + t.data(1, t.padded(b"b", 2), t.PAD)
            + t.data(1)
            + t.data(1, b"c")
            + t.data(1, b"d", t.END),
            0.0,
        )
        self.assertEqual((b"".join(body(events)), type(events[-1][1])), (b"abcd", End))
        self.assertEqual(codec.glitches, 1, "the empty one counts")

    def test_windows_and_lengths_count_every_frame(self) -> None:
        codec = server(t.post(1, (b"content-length", b"5")))
        events = codec.receive(t.data(1, b"ab") + t.data(1, b"cd") + t.data(1, b"ef"), 0.0)
        self.assertEqual(body(events), [b"abcd"])
        self.assertIsInstance(events[-1][1], Violation)
        codec = server(t.post(1))
        events = codec.receive(t.data(1, b"x" * 16000) * 5, 0.0)
        self.assertEqual([len(each) for each in body(events)], [64000])
        self.assertFalse(codec.is_open(1))
        self.assertEqual(codec._receive_window + codec._owed, 1048576, "nothing of the connection's window is lost")

    def test_the_connections_window(self) -> None:
        codec = server(t.post(1), t.post(3), limits=Http2Limits(connection_window=65535))
        self.assertEqual(len(codec.receive(t.data(1, b"x" * 16383) + t.data(3, b"x" * 16384) * 3, 0.0)), 2)
        events = codec.receive(t.data(3, b"x"), 0.0)
        self.assertEqual([(sid, event.reason) for sid, event in events], [(0, "h2_window_exceeded")])  # type: ignore[union-attr]
        self.assertEqual(t.frames_of(codec.take())[0][3][4:8], b"\0\0\0\x03")

    def test_half_frames_wait(self) -> None:
        codec = server(t.post(1))
        self.assertTrue(server().idle)
        whole = t.data(1, b"abc")
        self.assertEqual(codec.receive(whole[:-1], 0.0), [])
        self.assertEqual(body(codec.receive(whole[-1:] + whole, 0.0)), [b"abcabc"])
        codec = server(t.get(1)[:20])
        self.assertFalse(codec.idle)


class MemoTests(SynchronousTestCase):
    """A block is decoded once, while the peer's table does not change."""

    def test_the_same_block_twice(self) -> None:
        codec = server(t.get(1))
        first, second = heads(codec.receive(t.get(3) + t.get(5), 0.0))
        self.assertEqual(len(codec._heads), 1)
        self.assertEqual((first.path, first.headers), (second.path, second.headers))
        self.assertIsNot(first.headers.fields, second.headers.fields)
        self.assertEqual(
            [head.length for head in heads(codec.receive(t.headers(7, t.GET, t.LAST) + t.get(9), 0.0))], [None, 0]
        )

    def test_forgotten_when_the_table_changes(self) -> None:
        """The same bytes mean something else afterwards."""
        codec, indexed = server(), t.block(t.GET[:3]) + b"\xbe"
        change = t.block(t.GET) + t.literal(b"x", b"y", 0x40)

        def ask(sid: int, block: bytes) -> RequestHead | Violation:
            return codec.receive(t.frame(t.HEADERS, t.END | t.LAST, sid, block), 0.0)[0][1]  # type: ignore[return-value]

        ask(1, t.block(t.GET[:3]) + t.literal(b":path", b"/one", 0x40))
        for sid in (3, 5):
            head = ask(sid, indexed)
            assert isinstance(head, RequestHead)
            self.assertEqual(head.path, "/one")
        ask(7, t.block(t.GET[:3]) + t.literal(b":path", b"/two", 0x40))
        head = ask(9, indexed)
        assert isinstance(head, RequestHead)
        self.assertEqual(head.path, "/two")
        ask(11, change)
        self.assertIsInstance(ask(13, indexed), Violation)
        self.assertIsInstance(ask(15, indexed), Violation, "what was refused is not remembered as a head")

    def test_a_block_that_changes_the_table_is_not_remembered(self) -> None:
        """It changes it each time it comes."""
        codec, change = server(), t.block(t.GET[:3]) + t.literal(b":path", b"/a", 0x40)
        for sid, block in ((1, change), (3, change), (5, t.block(t.GET[:3]) + b"\xbf")):
            ((_, head), _) = codec.receive(t.frame(t.HEADERS, t.END | t.LAST, sid, block), 0.0)
            assert isinstance(head, RequestHead)
            self.assertEqual(head.path, "/a")

    def test_blocks_of_refused_and_late_streams_keep_the_table_right(self) -> None:
        encoder = Encoder()

        def ask(sid: int, *more: tuple[bytes, bytes]) -> bytes:
            return t.frame(t.HEADERS, t.END | t.LAST, sid, encoder.encode([*t.GET, *more]))

        codec = server(limits=Http2Limits(streams=1))
        codec.receive(ask(1) + ask(3, (b"a", b"one")), 0.0)
        codec.reset(1, 8)
        (head,) = heads(codec.receive(ask(1, (b"b", b"two")) + ask(5, (b"a", b"one"), (b"b", b"two")), 0.0))
        self.assertEqual(head.headers.fields[1:], [(b"a", b"a", b"one"), (b"b", b"b", b"two")])

    def test_bounded(self) -> None:
        codec = server(limits=Http2Limits(streams=10**6))
        for number in range(500):
            codec.receive(t.get(1 + 2 * number, (b"a", b"%d" % number)), 0.0)
            self.assertLessEqual(len(codec._heads), http2_codec._KEPT_HEADS)
        codec._heads = {}
        codec.receive(t.get(2001, (b"a", b"x" * 2000)), 0.0)
        self.assertEqual(len(codec._heads), 0, "large blocks are not kept")


class LateTests(SynchronousTestCase):
    """What the peer sent before it knew of our reset (RFC 9113 5.1)."""

    def test_frames_behind_our_reset_are_let_pass(self) -> None:
        codec = server(t.post(1), t.post(3))
        codec.reset(1, 8)
        codec.take()
        late = (
            t.data(1, b"abc")
            + t.update(1, 5)
            + t.headers(1, [(b"a", b"b")])
            + t.rst(1)
            + t.frame(t.PRIORITY, 0, 1, bytes(5))
        )
        self.assertEqual(codec.receive(late, 0.0), [])
        self.assertEqual(codec.take(), b"")
        self.assertEqual(len(codec.receive(t.data(3, b"x"), 0.0)), 1)

    def test_a_closed_stream_is_reset_once(self) -> None:
        codec = server(t.post(1), t.rst(1))
        codec.receive(t.data(1, b"x") * 3, 0.0)
        self.assertEqual([frame[0] for frame in t.frames_of(codec.take())], [t.RST])

    def test_malformed_messages_are_glitches_and_refused_ones_are_not(self) -> None:
        for name, value, dead in ((b"A", b"b", True), (b"expect", b"x", False)):
            codec = server(limits=Http2Limits(streams=1000))
            codec.receive(b"".join([t.get(sid, (name, value)) for sid in range(1, 403, 2)]), 0.0)
            self.assertEqual(codec.closing, dead)
            self.assertEqual(codec.glitches, 201 if dead else 0)

    def test_the_rest_of_a_spoilt_message_is_let_pass(self) -> None:
        codec = server(t.headers(1, [*t.POST[:3], (b":path", b"x")], t.LAST))
        codec.take()
        self.assertEqual(codec.receive(t.data(1, b"x" * 16000) * 10, 0.0), [], "its own window does not count")
        codec.receive(t.headers(1, [(b"a", b"b")]), 0.0)
        self.assertEqual(codec.take(), b"")
        codec.send_head(1, 400, [], True)
        self.assertEqual([frame[0] for frame in t.frames_of(codec.take())], [t.HEADERS], "it was complete")
        self.assertEqual(codec._receive_window + codec._owed, 1048576)

    def test_the_credit_of_late_data(self) -> None:
        codec = server(t.post(1))
        codec.reset(1, 8)
        for _ in range(200):
            codec.receive(t.data(1, b"x" * 16000), 0.0)
        self.assertEqual(codec._receive_window + codec._owed, 1048576)
        self.assertIn(t.UPDATE, [frame[0] for frame in t.frames_of(codec.take())])

    def test_the_memory_of_resets_is_bounded(self) -> None:
        codec = server(limits=Http2Limits(reset_burst=10**6))
        for sid in range(1, 4001, 2):
            codec.receive(t.post(sid), 0.0)
            codec.reset(sid, 8)
            codec.take()
        self.assertLessEqual(len(codec._resets), 512)
        self.assertEqual(codec.receive(t.data(3999, b"x"), 0.0), [])
        self.assertEqual(codec.take(), b"")


class SizeTests(SynchronousTestCase):
    """What a connection costs."""

    def test_an_idle_connection_has_no_decoder(self) -> None:
        codec = server()
        self.assertIsNone(codec._decoder)
        seen = [
            codec,
            codec._glitches,
            codec._streams,
            codec._blocked,
            codec._resets,
            codec._out,
            codec._heads,
            codec._block,
        ]
        self.assertLess(sum(sys.getsizeof(each) for each in seen), 1200)
        self.assertFalse(hasattr(codec, "__dict__"))

    def test_a_partial_block_is_bounded(self) -> None:
        codec = server(t.frame(t.HEADERS, 0, 1, bytes(16384)))
        for _ in range(3):
            self.assertEqual(codec.receive(t.frame(t.CONTINUATION, 0, 1, bytes(16384)), 0.0), [])
        self.assertIn("buffered=65536", repr(codec))
        self.assertFalse(codec.idle)
        codec.receive(t.frame(t.CONTINUATION, 0, 1, b"x"), 0.0)
        self.assertIn("buffered=0", repr(codec))

    def test_says_its_state(self) -> None:
        codec = server(t.get(1), t.data(1))
        self.assertEqual(repr(codec), "<ServerCodec open, 0 streams, 1 opened, buffered=0, window=65535, glitches=1>")
        codec.go_away()
        self.assertIn("closing", repr(codec))
        codec.receive(t.get(2), 0.0)
        self.assertIn("dead", repr(codec))
