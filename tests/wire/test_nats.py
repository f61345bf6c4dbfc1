"""Tests of edgegw.wire.nats."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from edgegw.testing.feeding import cut
from edgegw.wire import nats
from edgegw.wire.nats import MAX_INFO, MAX_LINE, Decoder, Err, Garbage, Info, Message, Ok, Ping, Pong

TABLE: list[tuple[bytes, list[nats.Event]]] = [
    (b'INFO {"server_id":"x","headers":true}\r\n', [Info({"server_id": "x", "headers": True})]),
    (b"info {}\r\n", [Info({})]),
    (b"PING\r\nPONG\r\n+OK\r\n", [Ping(), Pong(), Ok()]),
    (b"-ERR 'Authorization Violation'\r\n", [Err("Authorization Violation")]),
    (b"-ERR 'a\x1b[2Jb'\r\n", [Err("a?[2Jb")]),
    (b"MSG a.b 9 5\r\nhello\r\n", [Message("a.b", 9, "", b"hello")]),
    (b"MSG a.b 9 r.1 0\r\n\r\n", [Message("a.b", 9, "r.1", b"")]),
    (b"MSG\ta.b\t9 \t 2\r\n\r\n\r\n", [Message("a.b", 9, "", b"\r\n")]),
    (b"MSG a 1 7\r\nPING\r\n\x00\r\nPING\r\n", [Message("a", 1, "", b"PING\r\n\x00"), Ping()]),
    (
        b"HMSG a 1 r 23 25\r\nNATS/1.0\r\nK: v\r\nX:y\r\n\r\nhi\r\n",
        [Message("a", 1, "r", b"hi", (("K", "v"), ("X", "y")))],
    ),
    (
        b"HMSG a 1 31 31\r\nNATS/1.0 100 Idle Heartbeat\r\n\r\n\r\n",
        [Message("a", 1, status=100, description="Idle Heartbeat")],
    ),
    (b"HMSG a 1 16 16\r\nNATS/1.0 503\r\n\r\n\r\n", [Message("a", 1, "", b"", (), 503)]),
    # Headers that others made up are none; the message stands.
    (b"HMSG a 1 4 6\r\n\xff\r\n:hi\r\n", [Message("a", 1, "", b"hi")]),
    (b"HMSG a 1 13 13\r\nNATS/1.0 \xc2\xb2\r\n\r\n", [Message("a", 1)]),
]
WRONG = [
    (b"HTTP/1.1 400 Bad Request\r\n", "not a line of a NATS server: HTTP/1.1 400"),
    (b"PING me\r\n", "not a line of a NATS server"),
    (b" PING\r\n", "not a line of a NATS server"),
    (b"\r\n", "not a line of a NATS server"),
    (b"INFO []\r\n", "INFO without a JSON object"),
    (b"INFO {\r\n", "INFO without a JSON object"),
    (b"INFO " + b"[" * 30000 + b"\r\n", "INFO without a JSON object"),
    (b"INFO " + b"x" * MAX_INFO + b"\r\n", "a line of more than 32768 bytes"),
    (b"-ERR " + b"x" * MAX_LINE, "a line of more than 4096 bytes"),
    (b"MSG a 1\r\n", "a message with 2 words"),
    (b"MSG a b c d 1\r\n", "a message with 5 words"),
    (b"MSG a x 1\r\n", "not a number: x"),
    (b"MSG a 1 -1\r\n", "not a number: -1"),
    (b"MSG a 1 9999999999\r\n", "not a number"),
    (b"MSG a 1 1048577\r\n", "a message of more than 1048576 bytes"),
    (b"MSG a 1 2\r\nhello\r\n", "a message that does not end where it should"),
    (b"HMSG a 1 3 2\r\n", "headers are longer than itself"),
]


class DecoderTests(SynchronousTestCase):
    """What a server sends."""

    def test_table(self) -> None:
        """Whole, and byte by byte."""
        for data, events in TABLE:
            decoder = Decoder()
            self.assertEqual(decoder.receive(data), events, data)
            self.assertEqual(decoder.held, 0)
            decoder = Decoder()
            said = [event for at in range(len(data)) for event in decoder.receive(data[at : at + 1])]
            self.assertEqual(said, events, data)

    def test_wrong(self) -> None:
        """Garbage is told once, and nothing after it is looked at."""
        for data, words in WRONG:
            for pieces in ([data], [data[at : at + 1] for at in range(len(data))] if len(data) < 5000 else [data]):
                decoder = Decoder()
                events = [event for piece in pieces for event in decoder.receive(piece)]
                self.assertEqual(len(events), 1, data[:60])
                event = events[0]
                assert isinstance(event, Garbage)
                self.assertIn(words, event.reason)
                self.assertEqual((decoder.receive(b"PING\r\n"), decoder.held), ([], 0))

    def test_what_came_before(self) -> None:
        self.assertEqual(Decoder().receive(b"PING\r\nbad\r\nPING\r\n")[0], Ping())

    def test_limits_are_exact(self) -> None:
        line = b"-ERR " + b"x" * (MAX_LINE - 5)
        self.assertEqual(Decoder().receive(line + b"\r\n"), [Err("x" * (MAX_LINE - 5))])
        self.assertEqual(Decoder().receive(line + b"\r"), [])
        self.assertIsInstance(Decoder().receive(line + b"x")[0], Garbage)
        self.assertEqual(len(Decoder(5).receive(b"MSG a 1 5\r\nhello\r\n")), 1)
        self.assertIsInstance(Decoder(4).receive(b"MSG a 1 5\r\n")[0], Garbage)

    def test_subject_survives(self) -> None:
        """A reply subject that is not UTF-8 goes back as it came."""
        (message,) = Decoder().receive(b"MSG a\xff 1 r\xfe 0\r\n\r\n")
        assert isinstance(message, Message)
        self.assertEqual(nats.publish(message.reply), b"PUB r\xfe 0\r\n\r\n")

    def test_header(self) -> None:
        message = Message("a", 1, headers=(("KV-Operation", "DEL"), ("kv-operation", "PURGE")))
        self.assertEqual((message.header("kv-OPERATION"), message.header("x")), ("DEL", ""))


FRAMES = st.one_of(
    st.sampled_from([data for data, _ in TABLE] + [data for data, _ in WRONG if len(data) < 5000]),
    st.binary(max_size=30),
    st.tuples(st.binary(max_size=60), st.integers(0, 99)).map(
        lambda each: b"MSG s.%d %d %d\r\n%b\r\n" % (each[1], each[1], len(each[0]), each[0])
    ),
)


class SplitTests(SynchronousTestCase):
    """Pieces do not matter."""

    @settings(max_examples=400, deadline=None)
    @given(st.lists(FRAMES, max_size=8).map(b"".join), st.lists(st.integers(0, 2000), max_size=20))
    def test_any_split(self, data: bytes, points: list[int]) -> None:
        whole = Decoder()
        events = whole.receive(data)
        pieces = Decoder()
        self.assertEqual([event for piece in cut(data, points) for event in pieces.receive(piece)], events)
        self.assertEqual(pieces.held, whole.held)
        self.assertTrue(all(not isinstance(event, Garbage) for event in events[:-1]))

    @settings(max_examples=200, deadline=None)
    @given(
        st.lists(st.tuples(st.sampled_from(["A", "b-C"]), st.text("xyz :ü", max_size=5).map(str.strip)), max_size=3),
        st.binary(max_size=50),
        st.sampled_from(["", "re.ply"]),
    )
    def test_round_trip(self, headers: list[tuple[str, str]], payload: bytes, reply: str) -> None:
        """What we publish is what somebody gets: a server turns PUB into MSG and puts the number in."""
        sent = nats.publish("sub.ject", payload, reply, headers)
        came = sent.replace(b"PUB sub.ject", b"MSG sub.ject 7", 1)
        self.assertEqual(Decoder().receive(came), [Message("sub.ject", 7, reply, payload, tuple(headers))])


class EncoderTests(SynchronousTestCase):
    """What we send."""

    def test_lines(self) -> None:
        self.assertEqual(nats.connect({"verbose": False}), b'CONNECT {"verbose":false}\r\n')
        self.assertEqual(nats.subscribe("a.*.>", 3), b"SUB a.*.> 3\r\n")
        self.assertEqual(nats.subscribe("a", 3, "q"), b"SUB a q 3\r\n")
        self.assertEqual(nats.unsubscribe(3), b"UNSUB 3\r\n")
        self.assertEqual(nats.publish("a", b"x", "r"), b"PUB a r 1\r\nx\r\n")
        self.assertEqual(
            nats.publish("a", b"x", headers=[("K", "v")]), b"HPUB a 18 19\r\nNATS/1.0\r\nK: v\r\n\r\nx\r\n"
        )

    def test_nothing_can_be_smuggled(self) -> None:
        for bad in ("", "a b", "a\r\nPUB", "a\tb", ".a", "a..b", "a.", "a\x00b", "a\u2028b", "*", "a.>", "a\x7f"):
            self.assertRaises(ValueError, nats.publish, bad)
            if bad:
                self.assertRaises(ValueError, nats.publish, "a", b"", bad)
        for bad in ("", "a b", "a\r\nb", "a.>.b", "a..b"):
            self.assertRaises(ValueError, nats.subscribe, bad, 1)
        self.assertRaises(ValueError, nats.subscribe, "a", 1, "q q")
        for name, value in (("", "x"), ("a:b", "x"), ("a b", "x"), ("a", "x\r\ny"), ("a", "x\n")):
            self.assertRaises(ValueError, nats.publish, "a", b"", "", [(name, value)])
