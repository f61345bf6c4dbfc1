"""SETTINGS, PING, GOAWAY and what they change. Their faults stand in `tables_http2`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from edgegw.wire.events import GoAway, Pong, Reset, Settled
from edgegw.wire.http1_limits import Http1Limits
from edgegw.wire.http2 import ClientCodec, ServerCodec
from edgegw.wire.http2_limits import Http2Limits
from tests.wire import tables_http2 as t


def server(*behind: bytes) -> ServerCodec:
    codec = ServerCodec(Http2Limits(), Http1Limits())
    codec.receive(t.OPENING + b"".join(behind), 0.0)
    codec.take()
    return codec


def client(*pairs: tuple[int, int]) -> ClientCodec:
    codec = ClientCodec()
    codec.receive(t.settings(*pairs), 0.0)
    codec.take()
    return codec


def names(codec: ServerCodec | ClientCodec, data: bytes) -> list[tuple[int, str]]:
    return [(sid, type(event).__name__) for sid, event in codec.receive(data, 0.0)]


class SettingsTests(SynchronousTestCase):
    """Said, taken, answered."""

    def test_ours(self) -> None:
        codec = ServerCodec(Http2Limits(streams=7, window=70000, frame=20000, list=100, fields=10), Http1Limits())
        (kind, _, sid, payload), update = t.frames_of(codec.take())
        self.assertEqual((kind, sid), (t.SETTINGS, 0))
        said = {
            int.from_bytes(payload[at : at + 2], "big"): int.from_bytes(payload[at + 2 : at + 6], "big")
            for at in range(0, len(payload), 6)
        }
        self.assertEqual(said, {3: 7, 8: 1, 6: 420, 9: 1, 4: 70000, 5: 20000})
        self.assertEqual(update, (t.UPDATE, 0, 0, (1048576 - 65535).to_bytes(4, "big")))

    def test_extended_connect_is_not_offered_unless_wanted(self) -> None:
        codec = ServerCodec(Http2Limits(extended_connect=False, connection_window=1), Http1Limits())
        (frame,) = t.frames_of(codec.take())
        self.assertNotIn(b"\0\x08\0\0\0\x01", frame[3])

    def test_the_clients(self) -> None:
        wire = ClientCodec().take()
        self.assertTrue(wire.startswith(t.PREFACE))
        self.assertIn(b"\0\x02\0\0\0\0", t.frames_of(wire)[0][3], "no push")

    def test_answered_and_told(self) -> None:
        codec = ServerCodec(Http2Limits(), Http1Limits())
        codec.take()
        (event,) = codec.receive(t.OPENING, 0.0)
        self.assertEqual(event[0], 0)
        self.assertIsInstance(event[1], Settled)
        self.assertEqual(t.frames_of(codec.take()), [(t.SETTINGS, t.ACK, 0, b"")])
        self.assertEqual(codec.receive(t.frame(t.SETTINGS, t.ACK, 0), 0.0), [])
        self.assertEqual(codec.take(), b"")

    def test_the_first_ones_are_no_glitch(self) -> None:
        codec = server(t.frame(t.SETTINGS, t.ACK, 0))
        self.assertEqual(codec.glitches, 0)
        codec.receive(t.settings(), 0.0)
        self.assertEqual(codec.glitches, 1)

    def test_streams_of_the_peer(self) -> None:
        self.assertEqual(ClientCodec().capacity, 100)
        self.assertEqual(client((3, 2)).capacity, 2)
        codec = client((3, 2))
        codec.open("GET", "http", b"a", "/", [])
        self.assertEqual(codec.capacity, 1)
        codec.receive(t.settings((3, 0)), 0.0)
        self.assertEqual(codec.capacity, 0)

    def test_extended_connect(self) -> None:
        self.assertFalse(client().extended_connect)
        codec = client((8, 1))
        self.assertTrue(codec.extended_connect)
        codec.receive(t.settings((3, 5)), 0.0)
        self.assertTrue(codec.extended_connect, "what is not said stays")

    def test_a_server_that_pushes_is_refused(self) -> None:
        codec = ClientCodec()
        ((sid, event),) = codec.receive(t.settings((2, 1)), 0.0)
        self.assertEqual((sid, event.status, event.reason), (0, 502, "h2_bad_settings"))  # type: ignore[union-attr]
        self.assertEqual(
            names(ServerCodec(Http2Limits(), Http1Limits()), t.PREFACE + t.settings((2, 1))), [(0, "Settled")]
        )

    def test_new_streams_have_the_new_window(self) -> None:
        codec = server(t.settings((4, 3)), t.get(1))
        codec.send_data(1, b"abcd")
        self.assertEqual(codec.waiting(1), 1)

    def test_a_larger_window_lets_out_what_waits(self) -> None:
        codec = server(t.settings((4, 3)), t.get(1), t.get(3))
        codec.send_data(1, b"abcd")
        codec.send_data(3, b"abc")
        codec.take()
        self.assertEqual(names(codec, t.settings((4, 4))), [(1, "Relieved"), (0, "Settled")])


class PingTests(SynchronousTestCase):
    """Asked and answered."""

    def test_answered(self) -> None:
        codec = server(t.get(1))
        codec.receive(t.PINGS, 0.0)
        self.assertEqual(t.frames_of(codec.take()), [(t.PING, t.ACK, 0, b"12345678")])

    def test_ours(self) -> None:
        codec = server()
        codec.ping()
        ((kind, flags, _, payload),) = t.frames_of(codec.take())
        self.assertEqual((kind, flags), (t.PING, 0))
        ((sid, event),) = codec.receive(t.frame(t.PING, t.ACK, 0, payload), 0.0)
        self.assertEqual(sid, 0)
        self.assertIsInstance(event, Pong)
        self.assertEqual(codec.receive(t.frame(t.PING, t.ACK, 0, payload), 0.0), [], "nobody asked")

    def test_a_grpc_client_may_measure(self) -> None:
        """A PING for each frame of data it gets is no flood (see `http2_glitches`)."""
        codec = server(t.get(1), t.update(0, 10**6), t.update(1, 10**6))
        for _ in range(5000):
            codec.send_data(1, b"message")
            codec.receive(t.PINGS, 0.0)
            self.assertEqual(len(t.frames_of(codec.take())), 2)
        self.assertEqual(codec.glitches, 0)


class GoAwayTests(SynchronousTestCase):
    """The peer leaves."""

    def test_told(self) -> None:
        codec = server(t.get(1))
        ((sid, event),) = codec.receive(t.goaway(0, 2), 0.0)
        assert isinstance(event, GoAway)
        self.assertEqual((sid, event.last, event.code, codec.closing), (0, 0, 2, True))
        self.assertEqual(len(codec.receive(t.get(3), 0.0)), 2, "a client that says it may still ask")

    def test_streams_left_behind_were_not_looked_at(self) -> None:
        codec = client()
        for _ in range(3):
            codec.open("GET", "http", b"a", "/", [])
        events = codec.receive(t.goaway(3), 0.0)
        self.assertEqual([sid for sid, _ in events], [0, 5])
        reset = events[1][1]
        assert isinstance(reset, Reset)
        self.assertEqual((reset.code, reset.unprocessed), (7, True))
        self.assertEqual((codec.capacity, codec.streams), (0, 2))
        self.assertRaises(RuntimeError, codec.open, "GET", "http", b"a", "/", [])
        self.assertEqual(names(codec, t.headers(5, t.OK)), [], "late, and let pass")
        self.assertEqual(names(codec, t.headers(3, t.OK)), [(3, "ResponseHead"), (3, "End")])


class ResetTests(SynchronousTestCase):
    """The peer gives a stream up."""

    def test_told(self) -> None:
        for code, unprocessed in ((8, False), (7, True), (0, False)):
            codec = client()
            sid = codec.open("POST", "http", b"a", "/", [])
            ((_, event),) = codec.receive(t.rst(sid, code), 0.0)
            assert isinstance(event, Reset)
            self.assertEqual((event.code, event.unprocessed, codec.is_open(sid)), (code, unprocessed, False))

    def test_our_own_faults_of_streams_are_told_as_resets(self) -> None:
        for row in t.STREAMS:
            if row.reset >= 0 and row.name not in ("H8", "5.1 DATA on a reset stream"):
                codec = server()
                last = codec.receive(row.data, 0.0)[-1]
                self.assertEqual((last[0], last[1].code), (1, row.reset), row.name)  # type: ignore[union-attr]
                self.assertFalse(codec.is_open(1))
