"""Negotiation, bounds, and compressed messages on the wire."""

from __future__ import annotations

import zlib

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from edgegw.errors import GatewayError
from edgegw.net.websocket.deflate import Codec, Deflate, accept_deflate, agree_deflate, allowed, offer_deflate
from edgegw.net.websocket.frames import COMPRESSED, FIN, TEXT
from edgegw.net.websocket.settings import WebSocketSettings
from tests.net.websocket.pair import Frame, more
from tests.net.websocket.test_parser import Finder, encoded

ON, OFF = WebSocketSettings(compress=True), WebSocketSettings()
LARGE = Deflate(True, True, 15, 15)
TAIL = b"\x00\x00\xff\xff"

# Offers, what is agreed, and how it is said (RFC 7692 7.1).
OFFERS: list[tuple[bytes, Deflate | None, bytes]] = [
    (b"permessage-deflate", Deflate(True, True, 12, 15), b"permessage-deflate"),
    (
        b"permessage-deflate; client_max_window_bits",
        Deflate(True, True, 12, 12),
        b"permessage-deflate; client_max_window_bits=12",
    ),
    (
        b"permessage-deflate; client_max_window_bits=10; server_max_window_bits=9",
        Deflate(True, True, 9, 10),
        b"permessage-deflate; server_max_window_bits=9; client_max_window_bits=10",
    ),
    (
        b"permessage-deflate; server_no_context_takeover; client_no_context_takeover",
        Deflate(False, False, 12, 15),
        b"permessage-deflate; server_no_context_takeover; client_no_context_takeover",
    ),
    (b"x-webkit-deflate-frame, permessage-deflate", Deflate(True, True, 12, 15), b"permessage-deflate"),
    (
        b'permessage-deflate; server_max_window_bits="11"',
        Deflate(True, True, 11, 15),
        b"permessage-deflate; server_max_window_bits=11",
    ),
    (
        b"permessage-deflate; server_max_window_bits=7, permessage-deflate; server_no_context_takeover",
        Deflate(False, True, 12, 15),
        b"permessage-deflate; server_no_context_takeover",
    ),
    (b"", None, b""),
    (b"x-webkit-deflate-frame", None, b""),
    (b"permessage-deflate; server_max_window_bits=16", None, b""),
    (b"permessage-deflate; server_max_window_bits=+9", None, b""),
    (b"permessage-deflate; server_max_window_bits=09", None, b""),
    (b"permessage-deflate; server_max_window_bits=1_0", None, b""),
    (b"permessage-deflate; server_max_window_bits", None, b""),
    (b"permessage-deflate; server_no_context_takeover=1", None, b""),
    (b"permessage-deflate; server_no_context_takeover; server_no_context_takeover", None, b""),
    (b"permessage-deflate; turbo", None, b""),
    (b"permessage-deflate; client_max_window_bits=", None, b""),
    (b"\xff;=,;,=\"", None, b""),
]  # fmt: skip

ANSWERS: list[tuple[bytes, Deflate]] = [
    (b"permessage-deflate", Deflate(True, True, 12, 15)),
    (b"permessage-deflate; client_max_window_bits=9; server_max_window_bits=10", Deflate(True, True, 9, 10)),
    (
        b"permessage-deflate; client_no_context_takeover; server_no_context_takeover",
        Deflate(False, False, 12, 15),
    ),
]
BAD_ANSWERS = [
    b"x-webkit-deflate-frame",
    b"permessage-deflate, permessage-deflate",
    b"permessage-deflate; client_max_window_bits",
    b"permessage-deflate; client_max_window_bits=99",
    b"permessage-deflate; turbo",
]


class NegotiationTests(SynchronousTestCase):
    def test_offers(self) -> None:
        for offer, agreed, said in OFFERS:
            self.assertEqual(accept_deflate(ON, offer), (agreed, said) if agreed else None, offer)

    def test_off_is_off(self) -> None:
        self.assertIsNone(accept_deflate(OFF, b"permessage-deflate"))
        self.assertIsNone(offer_deflate(OFF))
        self.assertRaises(GatewayError, agree_deflate, OFF, b"permessage-deflate")

    def test_answers(self) -> None:
        self.assertEqual(offer_deflate(ON), b"permessage-deflate; client_max_window_bits")
        self.assertIsNone(agree_deflate(ON, b""))
        for answer, agreed in ANSWERS:
            self.assertEqual(agree_deflate(ON, answer), agreed, answer)

    def test_answers_that_make_no_sense(self) -> None:
        for answer in BAD_ANSWERS:
            error = self.assertRaises(GatewayError, agree_deflate, ON, answer)
            self.assertEqual((error.status, error.reason), (502, "websocket_bad_accept"), answer)

    @given(st.binary(max_size=80))
    def test_garbage_is_declined(self, offer: bytes) -> None:
        accept_deflate(ON, b"permessage-deflate;" + offer)
        try:
            agree_deflate(ON, b"permessage-deflate;" + offer)
        except GatewayError:
            pass


def deflated(payload: bytes, level: int = 9) -> bytes:
    deflator = zlib.compressobj(level, zlib.DEFLATED, -15)
    return (deflator.compress(payload) + deflator.flush(zlib.Z_SYNC_FLUSH))[: -len(TAIL)]


class CodecTests(SynchronousTestCase):
    @settings(max_examples=40, deadline=None)
    @given(st.lists(st.binary(max_size=500), max_size=5), st.booleans(), st.booleans(), st.integers(9, 15))
    def test_round_trip(self, messages: list[bytes], keeps: bool, peer_keeps: bool, bits: int) -> None:
        """What one side compresses, the other inflates, message after message, whatever was agreed."""
        sender, taker = Codec(Deflate(keeps, peer_keeps, bits, 15)), Codec(Deflate(peer_keeps, keeps, 12, bits))
        for message in messages:
            wire = sender.compress(message)
            taker.start_decompress_message()
            inflated = b"".join(taker.inflate(wire[at : at + 7], 1000) for at in range(0, len(wire), 7))
            taker.end()
            self.assertEqual(inflated, message)

    def test_messages_build_on_each_other_only_if_agreed(self) -> None:
        message = bytes(range(256)) * 2
        for keeps in (True, False):
            codec = Codec(Deflate(keeps, True, 12, 15))
            first, second = len(codec.compress(message)), len(codec.compress(message))
            self.assertEqual(second < first // 2, keeps)

    def test_the_peers_messages_build_on_each_other_only_if_agreed(self) -> None:
        """What is not agreed is forgotten with the message, and its memory given back."""
        message = bytes(range(256)) * 2
        for keeps in (True, False):
            peer, codec = Codec(LARGE), Codec(Deflate(True, keeps, 12, 15))
            for again in (False, True):
                codec.start_decompress_message()
                wire = peer.compress(message)
                if again and not keeps:
                    self.assertRaises(zlib.error, codec.inflate, wire, 1000)
                    break
                self.assertEqual(codec.inflate(wire, 1000), message)
                codec.end()

    def test_a_final_block_is_followed_by_more(self) -> None:
        """RFC 7692 7.2.3.4, and the next message comes through too."""
        deflator = zlib.compressobj(9, zlib.DEFLATED, -15)
        final = deflator.compress(b"Hello") + deflator.flush(zlib.Z_FINISH) + b"\x00"
        codec = Codec(LARGE)
        for wire, expected in ((final, b"Hello"), (deflated(b"next"), b"next")):
            codec.start_decompress_message()
            self.assertEqual(codec.inflate(wire, 100), expected)
            codec.end()

    def test_a_series_of_final_blocks_is_refused(self) -> None:
        """Each would cost a new inflator for two bytes."""
        codec = Codec(LARGE)
        codec.start_decompress_message()
        self.assertRaises(zlib.error, codec.inflate, b"\x03\x00" * 1000, 100)

    def test_inflation_stops_at_the_limit(self) -> None:
        codec = Codec(LARGE)
        codec.start_decompress_message()
        self.assertEqual(len(codec.inflate(deflated(bytes(1 << 20)), 1000)), 1001)

    def test_repr(self) -> None:
        self.assertIn("bits=15", repr(Codec(LARGE)))


class AllowedTests(SynchronousTestCase):
    def test_ratio(self) -> None:
        """64 KiB however small, then a hundred times, never more than a message."""
        for limit, wire, expected in (
            (1 << 20, 1, 65536),
            (1 << 20, 1000, 100000),
            (1 << 20, 1 << 20, 1 << 20),
            (100, 9, 100),
        ):
            self.assertEqual(allowed(limit, wire), expected)


class InflateTests(SynchronousTestCase):
    """In the parser, from the wire."""

    def found(self, *frames: Frame, limit: int = 1 << 20, cut: int = 0) -> list[object]:
        finder = Finder(limit, limit, Codec(LARGE))
        data = encoded(*frames)
        for at in range(0, len(data), cut or len(data)):
            finder.read(data[at : at + (cut or len(data))])
        return finder.found

    def whole(self, payload: bytes) -> Frame:
        return (FIN | COMPRESSED | TEXT, payload)

    def test_messages(self) -> None:
        wire = deflated(b"Hello, hello, hello")
        for cut in (0, 1, 5):
            self.assertEqual(self.found(self.whole(wire), cut=cut), [(TEXT, b"Hello, hello, hello")])
            parts = ((COMPRESSED | TEXT, wire[:4]), more(b""), more(wire[4:], True))
            self.assertEqual(self.found(*parts, (FIN | TEXT, b"plain"), cut=cut)[1:], [(TEXT, b"plain")])

    def test_a_bomb_is_refused(self) -> None:
        """trust.md A5: 1 MiB of zeros is as large as a message may be, and a thousand times its size."""
        bomb = deflated(bytes(1 << 20))
        self.assertLess(len(bomb), 2000)
        for cut in (0, 1, 100):
            self.assertEqual(self.found(self.whole(bomb), cut=cut), [("fault", 1009)])

    def test_a_message_is_measured_inflated(self) -> None:
        payload = b"".join(b"%d," % at for at in range(1000))
        wire = deflated(payload)
        for limit, expected in ((len(payload), [(TEXT, payload)]), (len(payload) - 1, [("fault", 1009)])):
            self.assertEqual(self.found(self.whole(wire), limit=limit), expected)

    def test_faults(self) -> None:
        for payload in (b"\xff\xff\xff", deflated(b"text")[:-3], deflated(b"\xff")):
            self.assertEqual(self.found(self.whole(payload)), [("fault", 1007)], payload)
        compressed_ping: Frame = (FIN | COMPRESSED | 0x9, b"")
        self.assertEqual(self.found(compressed_ping), [("fault", 1002)])
        self.assertEqual(
            self.found((COMPRESSED | TEXT, b""), (FIN | COMPRESSED, b"")),
            [("fault", 1002)],
        )

    @settings(max_examples=100, deadline=None)
    @given(st.binary(max_size=200), st.integers(1, 50))
    def test_garbage_is_no_exception(self, payload: bytes, cut: int) -> None:
        self.found(self.whole(payload), self.whole(payload), cut=cut)
