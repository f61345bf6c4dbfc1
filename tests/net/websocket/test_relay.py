"""The relay between two peers: messages, limits, keepalive, backpressure. How it ends is in `test_relay_ending`."""

from __future__ import annotations

import zlib

from hypothesis import given, settings
from hypothesis import strategies as st

from edgegw.net.websocket.deflate import Codec, Deflate
from edgegw.net.websocket.frames import COMPRESSED, FIN, TEXT
from edgegw.net.websocket.relay import Relay
from edgegw.net.websocket.settings import WebSocketSettings
from tests.net.websocket.pair import Frame, PairCase, Peer, binary, close, more, ping, pong, text

AGREED = Deflate(True, True, 12, 15)


class MessageTests(PairCase):
    def test_both_ways(self) -> None:
        relay = self.relay()
        self.client.send(text("héllo"), binary(b"\x00\xff"))
        self.server.send(text("wörld"))
        self.assertEqual(relay.carried, (8, 6))
        self.assertEqual(self.server.got(), [text("héllo"), binary(b"\x00\xff")])
        self.assertEqual(self.client.got(), [text("wörld")])

    def test_large_and_fragmented_messages_leave_whole(self) -> None:
        self.relay()
        self.client.send(text("a" * 1000, False), more(b"b" * 70000), ping(b"between"), more(b"c", True))
        self.assertEqual(self.server.got(), [text("a" * 1000 + "b" * 70000 + "c")])
        self.assertEqual(self.client.got(), [pong(b"between")])

    def test_what_came_behind_the_handshakes(self) -> None:
        """A server that greets at once, a client that talks as soon as it may."""
        self.relay(self.client.encoded(text("from the client")), self.server.encoded(text("greetings"))[:5])
        self.server.transport.deliver(self.server.encoded(text("greetings"))[5:])
        self.assertEqual(self.server.got(), [text("from the client")])
        self.assertEqual(self.client.got(), [text("greetings")])

    def test_the_upstream_waits_for_the_downstream(self) -> None:
        relay = Relay(WebSocketSettings(), self.wheel)
        self.server.transport.protocol = relay.connect_upstream(self.server.transport, b"")
        self.assertFalse(self.server.transport.reading)
        # One read was on its way before the pause.
        self.server.transport.protocol.dataReceived(self.server.encoded(text("early")))
        self.client.transport.protocol = relay.connect(self.client.transport, b"")
        self.assertTrue(self.server.transport.reading)
        self.assertEqual(self.client.got(), [text("early")])

    def test_pings_are_answered_here(self) -> None:
        """By the side they came to, in order, and the other side hears of none of them."""
        self.relay()
        self.client.send(*[ping(bytes([at])) for at in range(10)], pong(b"unasked"))
        self.server.send(ping(b"s"))
        self.assertEqual(self.client.got(), [pong(bytes([at])) for at in range(10)])
        self.assertEqual(self.server.got(), [pong(b"s")])

    def test_repr(self) -> None:
        relay = self.relay()
        self.client.send(text("hi"))
        self.assertEqual(
            repr(relay), "<Relay open <Downstream open messages=1 bytes=2> <Upstream open messages=0 bytes=0>>"
        )
        self.server.transport.congest()
        self.assertIn("<Downstream paused", repr(relay))
        self.server.lose()
        self.assertIn("<Relay ending (lost by upstream) <Downstream closing", repr(relay))
        self.assertIn("<Upstream gone", repr(relay))


class LimitTests(PairCase):
    """What the downstream peer gets and what the upstream, and the other way round."""

    faults: list[tuple[list[Frame], int]] = [
        ([(FIN | 3, b"")], 1002),
        ([(FIN | TEXT, b"\xff")], 1007),
        ([binary(b"x" * 1001)], 1009),
        ([binary(b"x" * 600, False), more(b"x" * 401, True)], 1009),
        ([(FIN | 8, b"\x03\xed")], 1002),
    ]

    def test_faults_from_downstream(self) -> None:
        for frames, code in self.faults:
            self.setUp()
            self.relay(max_message=1000)
            self.client.send(*frames)
            got = self.client.got()
            self.assertEqual([first for first, _ in got], [FIN | 8], frames)
            self.assertEqual(got[0][1][:2], code.to_bytes(2, "big"))
            self.assertEqual(self.server.got(), [close(1001, "the other side is gone")])
            self.client.send(close(code))
            self.assertEqual(self.client.ended, ["lose"])
            self.server.send(close(1001))
            self.server.lose()
            self.assertEqual(self.summary(), ("failed", "downstream", code))

    def test_faults_from_upstream(self) -> None:
        for frames, code in self.faults:
            self.setUp()
            self.relay(max_message=1000)
            self.server.send(*frames)
            self.assertEqual(self.server.got()[0][1][:2], code.to_bytes(2, "big"), frames)
            self.assertEqual(self.client.got(), [close(1011, "the other side is gone")])
            self.client.send(close(1011))
            self.server.send(close(code))
            self.finish()
            self.assertEqual(self.summary(), ("failed", "upstream", code))

    def test_a_frame_may_be_limited_further(self) -> None:
        self.relay(max_message=1000, max_frame=100)
        self.client.send(binary(b"x" * 100, False), more(b"y" * 100, True))
        self.assertEqual(self.server.got(), [binary(b"x" * 100 + b"y" * 100)])
        self.client.send(binary(b"x" * 101))
        self.assertEqual(self.client.got()[0][1][:2], b"\x03\xf1")

    def test_rate(self) -> None:
        """A second's worth passes, more is 1008; what the upstream sends is not counted."""
        self.relay(rate="4/s")
        self.client.send(*[text(str(at)) for at in range(4)])
        self.server.send(*[text("x")] * 20)
        self.assertEqual((len(self.server.got()), len(self.client.got())), (4, 20))
        self.wait(0.3)
        self.client.send(text("in time"), text("too soon"), text("and on"))
        self.assertEqual(self.server.got(), [text("in time"), close(1001, "the other side is gone")])
        self.assertEqual(self.client.got(), [close(1008, "too many messages")])

    def test_pings_count_for_the_rate(self) -> None:
        self.relay(rate="4/s")
        self.client.send(*[ping()] * 5)
        self.assertEqual(self.client.got(), [pong()] * 4 + [close(1008, "too many messages")])


class KeepaliveTests(PairCase):
    def test_each_silent_side_is_pinged_and_lives_by_its_pong(self) -> None:
        self.relay(idle=0)
        for _ in range(5):
            self.wait(20.2)
            self.assertEqual((self.client.got(), self.server.got()), ([ping()], [ping()]))
            self.client.send(pong())
            self.server.send(pong())
        self.assertEqual(self.outcomes, [])

    def test_who_talks_is_not_pinged(self) -> None:
        self.relay(idle=0)
        for _ in range(5):
            self.wait(15)
            self.client.send(text("x"))
            self.wait(6)
            self.client.send(text("x"))
            self.assertIn(ping(), self.server.got())
            self.server.transport.deliver(b"\x8a")  # Also half a pong.
            self.server.transport.deliver(b"\x00")
        self.assertEqual(self.client.got(), [])

    def test_a_dead_client(self) -> None:
        self.relay()
        self.wait(20.2)
        self.server.send(pong())
        self.wait(9.5)
        self.assertEqual(self.client.ended, [])
        self.wait(1)
        self.assertEqual((self.client.ended, self.client.got()), (["abort"], [ping()]))
        self.assertEqual(self.server.got(), [ping(), close(1001, "the other side is gone")])
        self.server.send(close(1001))
        self.server.lose()
        self.assertEqual(self.summary(), ("silent", "downstream", None))

    def test_a_dead_upstream(self) -> None:
        self.relay(ping="1s", pong_timeout="2s")
        self.wait(1.2)
        self.client.send(pong())
        self.wait(2)
        self.assertEqual(self.server.ended, ["abort"])
        self.assertEqual(self.client.got()[-1], close(1011, "the other side is gone"))

    def test_a_slow_reader_lives_as_long_as_it_takes_something(self) -> None:
        self.relay(idle=0, ping="1s", pong_timeout="1s")
        self.server.send(binary(bytes(5000)))
        self.client.transport.congest(5000)
        for left in (4000, 3000, 2000):
            self.wait(1.1)
            self.client.transport.stuck = left
        self.assertEqual(self.client.ended, [])
        self.wait(4)
        self.assertEqual(self.client.ended, ["abort"])

    def test_who_is_not_listened_to_is_not_taken_for_dead(self) -> None:
        """The upstream's reading rests because the client is slow: its pongs cannot be heard."""
        self.relay(idle=0, ping="1s", pong_timeout="1s")
        self.client.transport.congest(1 << 20)
        self.client.transport.protocol.sent = 1 << 20
        for _ in range(30):
            self.wait(0.5)
            self.client.transport.stuck -= 1
        self.assertEqual((self.server.ended, self.client.ended), ([], []))
        self.assertFalse(self.server.transport.reading)

    def test_no_pings(self) -> None:
        self.relay(ping=0, idle=0)
        self.wait(100)
        self.assertEqual((self.client.got(), self.server.got()), ([], []))

    def test_idle(self) -> None:
        """Messages keep it alive in either direction, pings do not."""
        self.relay(idle="10s")
        self.wait(9)
        self.server.send(text("still here"))
        self.wait(9)
        self.client.send(ping(b"p"), pong())
        self.assertEqual((self.client.got(), self.server.got()), ([text("still here"), pong(b"p")], []))
        self.wait(1.3)
        self.assertEqual((self.client.got(), self.server.got()), ([close(1001, "idle")], [close(1001, "idle")]))
        self.client.send(close(1001))
        self.server.send(close(1001))
        self.finish()
        self.assertEqual(self.summary(), ("idle", "gateway", 1001))

    def test_one_deadline_and_no_timer_of_its_own(self) -> None:
        self.relay()
        self.client.send(text("x"), text("y", False))
        self.server.send(text("x"))
        self.assertEqual((len(self.wheel), len(self.clock.getDelayedCalls())), (1, 1))


class BackpressureTests(PairCase):
    def test_a_slow_side_stops_the_reading_of_the_other(self) -> None:
        self.relay()
        for slow, fast in ((self.server, self.client), (self.client, self.server)):
            slow.transport.congest()
            self.assertFalse(fast.transport.reading)
            fast.send(text("waits"))
            self.assertEqual(slow.got(), [])
            slow.transport.relieve()
            fast.transport.settle()
            self.assertTrue(fast.transport.reading)
            self.assertEqual(slow.got(), [text("waits")])

    def test_the_rest_of_a_read_waits_too(self) -> None:
        """A read may hold many messages: each is passed on only while the other side takes them."""
        self.relay()
        server = self.server.transport
        write, count = server.write, 0

        def filling(data: bytes) -> None:
            nonlocal count
            write(data)
            count += 1
            if count == 3:
                server.congest()

        server.write = filling  # type: ignore[method-assign]
        self.client.send(*[text(str(at)) for at in range(5)], text("half", False))
        self.assertEqual(self.server.got(), [text(str(at)) for at in range(3)])
        server.relieve()
        self.client.send(more(b"!", True))
        self.assertEqual(self.server.got(), [text("3"), text("4"), text("half!")])

    def test_what_comes_in_a_pause_waits(self) -> None:
        self.relay()
        self.server.transport.congest()
        self.client.transport.resumeProducing()  # Somebody else did; one read comes all the same.
        self.client.send(text("a"))
        self.assertFalse(self.client.transport.reading)
        self.assertEqual(self.server.got(), [])
        self.server.transport.relieve()
        self.assertEqual(self.server.got(), [text("a")])

    def test_pongs_do_not_pile_up(self) -> None:
        """Who pings and reads nothing gets the latest pong when it reads again."""
        self.relay()
        self.client.transport.congest()
        self.client.send(*[ping(bytes([at])) for at in range(200)])
        self.assertEqual(self.client.got(), [])
        self.client.transport.relieve()
        self.assertEqual(self.client.got(), [pong(b"\xc7")])

    def test_a_close_gets_through_to_a_side_that_waited(self) -> None:
        """Both stopped each other; a drain lets both be heard again."""
        relay = self.relay()
        self.client.transport.congest()
        self.server.transport.congest()
        relay.drain()
        self.assertTrue(self.client.transport.reading and self.server.transport.reading)


class CompressionTests(PairCase):
    def compressed(self, payload: bytes) -> Frame:
        return (FIN | COMPRESSED | TEXT, Codec(AGREED).compress(payload))

    def test_each_side_on_its_own(self) -> None:
        message = b"to be or not to be, " * 20
        for ours, theirs in ((AGREED, None), (None, AGREED), (AGREED, AGREED)):
            self.setUp()
            self.relay(deflate=(ours, theirs))
            self.client.send(self.compressed(message) if ours else (FIN | TEXT, message))
            first, payload = self.server.got()[0]
            if theirs:
                self.assertEqual(first, FIN | COMPRESSED | TEXT)
                self.assertLess(len(payload), len(message) // 4)
                payload = zlib.decompressobj(-15).decompress(payload + b"\x00\x00\xff\xff")
            self.assertEqual(payload, message)

    def test_small_messages_are_not_compressed(self) -> None:
        self.relay(deflate=(AGREED, AGREED))
        self.client.send(text("small"))
        self.assertEqual(self.server.got(), [text("small")])

    def test_a_bomb(self) -> None:
        self.relay(deflate=(AGREED, None))
        deflator = zlib.compressobj(9, zlib.DEFLATED, -15)
        bomb = deflator.compress(bytes(1 << 20)) + deflator.flush(zlib.Z_SYNC_FLUSH)
        self.client.send((FIN | COMPRESSED | TEXT, bomb[:-4]))
        self.assertEqual(self.client.got(), [close(1009, "a message that inflates to more than 100 times its size")])
        self.assertEqual(self.server.got(), [close(1001, "the other side is gone")])


class FuzzTests(PairCase):
    @settings(max_examples=60, deadline=None)
    @given(
        st.lists(st.tuples(st.booleans(), st.binary(max_size=400), st.booleans()), max_size=10),
        st.integers(1, 100),
        st.booleans(),
    )
    def test_messages_arrive_in_order(self, sent: list[tuple[bool, bytes, bool]], cut: int, compress: bool) -> None:
        """Either way, in any pieces, with congestion between, each side compressed or not."""
        self.setUp()
        self.relay(deflate=(AGREED if compress else None, None))
        for upwards, payload, congested in sent:
            source, goal = (self.client, self.server) if upwards else (self.server, self.client)
            data = source.encoded(binary(payload))
            if congested:
                goal.transport.congest()
            for at in range(0, len(data), cut):
                source.transport.deliver(data[at : at + cut])
            if congested:
                goal.transport.relieve()
                source.transport.settle()
        for goal, upwards in ((self.server, True), (self.client, False)):
            expected = [payload for up, payload, _ in sent if up is upwards]
            self.assertEqual(self.payloads(goal), expected)

    def payloads(self, goal: Peer) -> list[bytes]:
        inflator = zlib.decompressobj(-15)
        return [
            inflator.decompress(payload + b"\x00\x00\xff\xff") if first & COMPRESSED else payload
            for first, payload in goal.got()
        ]

    @settings(max_examples=80, deadline=None)
    @given(st.lists(st.tuples(st.booleans(), st.binary(max_size=60)), max_size=10))
    def test_garbage_ends_it_and_raises_nothing(self, pieces: list[tuple[bool, bytes]]) -> None:
        self.setUp()
        self.relay(max_message=100)
        for upwards, data in pieces:
            (self.client if upwards else self.server).transport.deliver(data)
        self.client.got()
        self.server.got()
        self.client.lose()
        self.server.lose()
        self.wait(0.2)
        self.assertEqual(len(self.outcomes), 1)
        self.assertEqual(len(self.wheel), 0)
