"""Windows, queues and turns: what leaves when, and what waits (RFC 9113 5.2, 6.9; trust.md H16)."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from edgegw.errors import GatewayError
from edgegw.wire.events import End, Relieved
from edgegw.wire.http1_limits import Http1Limits
from edgegw.wire.http2 import ServerCodec
from edgegw.wire.http2_limits import Http2Limits
from tests.wire import tables_http2 as t

Frame = tuple[int, int, int, bytes]
X = (b"x", b"X", b"y")


def server(*requests: bytes, limits: Http2Limits = Http2Limits()) -> ServerCodec:
    codec = ServerCodec(limits, Http1Limits())
    codec.receive(t.OPENING + b"".join(requests), 0.0)
    codec.take()
    return codec


def taken(codec: ServerCodec) -> list[Frame]:
    return t.frames_of(codec.take())


def sizes(codec: ServerCodec) -> list[tuple[int, int]]:
    """(stream, bytes) of each DATA frame to be written."""
    return [(sid, len(payload)) for kind, _, sid, payload in taken(codec) if kind == t.DATA]


class DataTests(SynchronousTestCase):
    """One stream."""

    def test_within_the_windows(self) -> None:
        codec = server(t.get(1))
        codec.send_head(1, 200, [X])
        codec.send_data(1, b"abc")
        codec.send_end(1)
        head, data = taken(codec)
        self.assertEqual(head[:3], (t.HEADERS, t.LAST, 1))
        self.assertEqual(data, (t.DATA, t.END, 1, b"abc"), "the end travels with the data")
        self.assertEqual((codec.streams, codec.take()), (0, b""))

    def test_the_end_alone(self) -> None:
        codec = server(t.get(1), t.get(3))
        codec.send_data(1, b"abc")
        codec.take()
        codec.send_end(1)
        self.assertEqual(taken(codec), [(t.DATA, t.END, 1, b"")])
        codec.send_data(3, b"abc")
        codec.ping()
        codec.send_end(3)
        self.assertEqual([frame[:3] for frame in taken(codec)], [(t.DATA, 0, 3), (t.PING, 0, 0), (t.DATA, t.END, 3)])

    def test_the_end_is_not_put_on_what_came_to_stand_there(self) -> None:
        codec = server(t.post(1))
        codec.send_data(1, b"abc")
        codec.take()
        codec.ping()
        codec.ping()
        codec.send_end(1)
        self.assertEqual([frame[0] for frame in taken(codec)], [t.PING, t.PING, t.DATA])

    def test_the_end_is_not_put_on_the_data_of_another_stream(self) -> None:
        codec = server(t.get(1), t.get(3))
        codec.send_data(3, b"c")
        codec.take()
        codec.send_data(1, b"a")
        codec.send_end(3)
        self.assertEqual(taken(codec), [(t.DATA, 0, 1, b"a"), (t.DATA, t.END, 3, b"")])

    def test_frames_are_no_longer_than_the_peer_takes(self) -> None:
        codec = server(t.get(1))
        codec.send_data(1, b"x" * 40000)
        self.assertEqual(sizes(codec), [(1, 16384), (1, 16384), (1, 7232)])
        codec = server(t.settings((5, 30000)), t.get(1))
        codec.send_data(1, b"x" * 40000)
        self.assertEqual(sizes(codec), [(1, 30000), (1, 10000)])

    def test_waits_and_is_relieved(self) -> None:
        codec = server(t.get(1))
        payload = bytes(range(256)) * 300
        codec.send_data(1, payload)
        codec.send_data(1, b"tail")
        codec.send_end(1)
        self.assertEqual(codec.waiting(1), len(payload) + 4 - 65535)
        sent = b"".join(frame[3] for frame in taken(codec))
        self.assertEqual(codec.receive(t.update(1, 5), 0.0), [], "the connection's window is shut")
        self.assertEqual(codec.receive(t.update(0, 5), 0.0), [])
        self.assertEqual(codec.waiting(1), len(payload) + 4 - 65540)
        events = codec.receive(t.update(0, 100000) + t.update(1, 100000), 0.0)
        self.assertEqual([(sid, type(event)) for sid, event in events], [(1, Relieved)])
        frames = taken(codec)
        self.assertEqual(sent + b"".join(frame[3] for frame in frames), payload + b"tail")
        self.assertEqual([bool(frame[1] & t.END) for frame in frames], [False] * (len(frames) - 1) + [True])
        self.assertEqual(codec.streams, 0)

    def test_a_slow_reader_gets_what_it_asks_for(self) -> None:
        """H16: with a window of nothing nothing leaves, with one of 1 byte one byte does."""
        codec = server(t.settings((4, 0)), t.get(1))
        codec.send_data(1, b"abc")
        codec.send_end(1)
        self.assertEqual((codec.take(), codec.waiting(1)), (b"", 3))
        for left in (2, 1, 0):
            codec.receive(t.update(1, 1), 0.0)
            self.assertEqual((sizes(codec), codec.waiting(1)), ([(1, 1)], left))
        self.assertFalse(codec.is_open(1))

    def test_nothing_to_say_needs_no_window(self) -> None:
        codec = server(t.settings((4, 0)), t.get(1))
        codec.send_data(1, b"")
        codec.send_end(1)
        self.assertEqual(taken(codec), [(t.DATA, t.END, 1, b"")])

    def test_trailers_behind_what_waits(self) -> None:
        codec = server(t.settings((4, 1)), t.get(1))
        codec.send_data(1, b"ab")
        codec.send_end(1, [X])
        codec.take()
        codec.receive(t.update(1, 1), 0.0)
        self.assertEqual([frame[:3] for frame in taken(codec)], [(t.DATA, 0, 1), (t.HEADERS, t.END | t.LAST, 1)])

    def test_an_unsafe_trailer_ends_nothing(self) -> None:
        codec = server(t.get(1))
        self.assertRaises(GatewayError, codec.send_end, 1, [X, (b"a", b"a", b"\r\n")])
        self.assertEqual((codec.take(), codec.is_open(1)), (b"", True))

    def test_after_the_end_nothing(self) -> None:
        codec = server(t.settings((4, 1)), t.post(1))
        codec.send_data(1, b"ab")
        codec.send_end(1)
        codec.send_data(1, b"c")
        codec.send_end(1)
        codec.receive(t.update(1, 9), 0.0)
        self.assertEqual(b"".join(frame[3] for frame in taken(codec) if frame[0] == t.DATA), b"ab")
        codec.send_data(1, b"c")
        codec.send_end(1, [X])
        codec.send_head(1, 200, [])
        self.assertEqual((codec.take(), codec.is_open(1)), (b"", True))


class TurnTests(SynchronousTestCase):
    """Streams share the connection's window."""

    def test_round_robin(self) -> None:
        codec = server(t.get(1), t.get(3), t.get(5))
        codec.send_data(1, b"x" * 65535)
        for sid in (1, 3, 5):
            codec.send_data(sid, b"x" * 40000)
        codec.take()
        codec.receive(t.update(1, 50000), 0.0)
        self.assertEqual(codec.take(), b"")
        codec.receive(t.update(0, 50000), 0.0)
        self.assertEqual(sizes(codec), [(1, 16384), (3, 16384), (5, 16384), (1, 848)])
        codec.receive(t.update(0, 20000), 0.0)
        self.assertEqual(sizes(codec), [(3, 16384), (5, 3616)], "the turn goes on where it was")
        events = codec.receive(t.update(0, 100000), 0.0)
        self.assertEqual(sorted(sid for sid, _ in events), [1, 3, 5])

    def test_a_shut_stream_does_not_stop_the_others(self) -> None:
        codec = server(t.settings((4, 10)), t.get(1), t.get(3))
        codec.send_data(1, b"x" * 20)
        codec.send_data(3, b"y" * 5)
        self.assertEqual(sizes(codec), [(1, 10), (3, 5)])

    def test_reset_drops_what_waits(self) -> None:
        codec = server(t.settings((4, 1)), t.get(1), t.get(3))
        codec.send_data(1, b"ab")
        codec.send_data(3, b"cd")
        codec.take()
        codec.reset(1, 8)
        self.assertEqual(taken(codec), [(t.RST, 0, 1, b"\0\0\0\x08")])
        self.assertEqual((codec.waiting(1), codec.is_open(1)), (0, False))
        codec.reset(1, 8)
        self.assertEqual(codec.take(), b"")
        events = codec.receive(t.update(1, 9) + t.update(3, 9), 0.0)
        self.assertEqual([sid for sid, _ in events], [3])

    def test_a_smaller_initial_window_goes_below_zero(self) -> None:
        """RFC 9113 6.9.2."""
        codec = server(t.get(1))
        codec.send_data(1, b"x" * 60000)
        codec.take()
        codec.receive(t.settings((4, 50000)), 0.0)
        codec.take()
        codec.send_data(1, b"abc")
        codec.receive(t.update(1, 10000), 0.0)
        self.assertEqual(codec.take(), b"")
        codec.receive(t.update(1, 2), 0.0)
        self.assertEqual(sizes(codec), [(1, 2)])
        codec.receive(t.settings((4, 50001)), 0.0)
        self.assertEqual(sizes(codec), [(1, 1)])


class CreditTests(SynchronousTestCase):
    """What the peer gets back."""

    LIMITS = Http2Limits(window=70000, connection_window=100000)

    def updates(self, codec: ServerCodec) -> list[tuple[int, int]]:
        return [(sid, int.from_bytes(payload, "big")) for kind, _, sid, payload in taken(codec) if kind == t.UPDATE]

    def test_for_what_was_consumed_when_it_is_half_a_window(self) -> None:
        codec = server(t.post(1), t.data(1, b"x" * 16000) * 4, limits=self.LIMITS)
        codec.consumed(1, 34999)
        self.assertEqual(self.updates(codec), [])
        codec.consumed(1, 1)
        self.assertEqual(self.updates(codec), [(1, 35000)])
        codec.consumed(1, 15000)
        self.assertEqual(self.updates(codec), [(0, 50000)])
        codec.consumed(1, 10**9)
        self.assertEqual(codec._streams[1].held, 0, "no more than was delivered")
        self.assertEqual(codec._owed, 14000)

    def test_nothing_for_a_stream_that_is_complete(self) -> None:
        codec = server(t.post(1), t.data(1, b"x" * 16000) * 3, t.data(1, b"x" * 16000, t.END), limits=self.LIMITS)
        codec.consumed(1, 64000)
        self.assertEqual(self.updates(codec), [(0, 64000)])

    def test_the_connection_gets_back_what_a_closed_stream_held(self) -> None:
        codec = server(t.post(1), t.data(1, b"x" * 16000) * 4, limits=self.LIMITS)
        codec.reset(1, 0)
        self.assertEqual(self.updates(codec), [(0, 64000)])
        codec.consumed(1, 64000)
        self.assertEqual(codec.take(), b"")
        codec = server(t.post(1), t.data(1, b"x" * 16000) * 4, t.rst(1), limits=self.LIMITS)
        self.assertEqual(codec._receive_window, 100000)

    def test_padding_is_credited_at_once(self) -> None:
        codec = server(t.post(1), limits=self.LIMITS)
        for _ in range(200):
            codec.receive(t.data(1, t.padded(b"", 250), t.PAD), 0.0)
        updates = self.updates(codec)
        self.assertIn((0, 50200), updates)
        self.assertEqual([size for sid, size in updates if sid], [35140])

    def test_a_small_window_counts_once_the_peer_knows(self) -> None:
        limits = Http2Limits(window=1000)
        codec = server(t.post(1), t.data(1, b"x" * 900), limits=limits)
        codec.consumed(1, 900)
        codec.receive(t.frame(t.SETTINGS, t.ACK, 0), 0.0)
        self.assertEqual([event for _, event in codec.receive(t.data(1, b"x" * 1000), 0.0)], [b"x" * 1000])
        codec.take()
        codec.receive(t.data(1, b"x"), 0.0)
        self.assertEqual(taken(codec), [(t.RST, 0, 1, b"\0\0\0\x03")])


class GoAwayTests(SynchronousTestCase):
    """Two steps."""

    def test_two_steps(self) -> None:
        codec = server(t.get(1))
        self.assertFalse(codec.closing)
        codec.go_away(0, 2**31 - 1)
        self.assertTrue(codec.closing)
        self.assertEqual(taken(codec), [(t.GOAWAY, 0, 0, b"\x7f\xff\xff\xff\0\0\0\0")])
        self.assertEqual(len(codec.receive(t.get(3), 0.0)), 2, "still served")
        codec.go_away()
        self.assertEqual(taken(codec), [(t.GOAWAY, 0, 0, b"\0\0\0\x03\0\0\0\0")])
        self.assertEqual(codec.receive(t.get(5), 0.0), [])
        self.assertEqual(taken(codec), [(t.RST, 0, 5, b"\0\0\0\x07")])
        self.assertEqual(codec.streams, 2)
        codec.go_away(2, debug=b"why")
        self.assertEqual(taken(codec), [(t.GOAWAY, 0, 0, b"\0\0\0\x03\0\0\0\x02why")], "never higher than said")

    def test_bodies_go_on(self) -> None:
        codec = server(t.post(1))
        codec.go_away()
        events = codec.receive(t.data(1, b"a", t.END), 0.0)
        self.assertEqual([type(event) for _, event in events], [bytes, End])
