"""What is found in the bytes of one direction. The quick way past autobahn's parser is held against that parser itself."""

from __future__ import annotations

import tracemalloc
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from edgegw.net.websocket.frames import BINARY, CLOSE, COMPRESSED, FIN, TEXT, frame
from edgegw.net.websocket.parser import CLOSED, CLOSING, FrameParser
from tests.net.websocket.pair import KEYS, Frame, binary, close, more, ping, pong, text


class Finder(FrameParser):
    """Writes down what is found."""

    factory = SimpleNamespace(isServer=True)
    masked = True

    def __init__(self, message_limit: int = 1 << 20, frame_limit: int = 1 << 20, deflate: Any = None) -> None:
        super().__init__(message_limit, frame_limit, deflate)
        self.found: list[Any] = []

    def found_message(self, opcode: int, payload: bytes) -> None:
        self.found.append((opcode, payload))

    def found_ping(self, payload: bytes) -> None:
        self.found.append(("ping", payload))

    def found_close(self, code: int | None, reason: bytes) -> None:
        self.found.append(("close", code, reason))

    def found_fault(self, code: int, reason: str, *, final: bool) -> None:
        self.found.append(("fault", code))
        if not final:
            self.state = CLOSING


class FromServer(Finder):
    factory = SimpleNamespace(isServer=False)
    masked = False


class Slow(Finder):
    """Autobahn alone."""

    def _take_whole(self, data: bytes, offset: int, size: int) -> int:
        return offset


def encoded(*frames: Frame, masks: bool = True) -> bytes:
    return b"".join(frame(first, payload, KEYS if masks else None) for first, payload in frames)


def found(data: bytes, cut: int = 0, kind: type[Finder] = Finder, **limits: int) -> list[Any]:
    """Fed whole, or in pieces of `cut` bytes."""
    finder = kind(**limits)
    for at in range(0, len(data), cut or len(data) or 1):
        finder.read(data[at : at + (cut or len(data))])
    return finder.found


# Frames, and what is found: after RFC 6455 and the families of the Autobahn Testsuite.
FOUND: dict[str, tuple[list[Frame], list[Any]]] = {
    "text": ([text("héllo")], [(TEXT, "héllo".encode())]),
    "nothing in it": ([text(""), binary(b"")], [(TEXT, b""), (BINARY, b"")]),
    "long": ([binary(b"x" * 126), binary(b"y" * 65536)], [(BINARY, b"x" * 126), (BINARY, b"y" * 65536)]),
    "fragments": ([text("a", False), more(b"b"), more(b"c", True)], [(TEXT, b"abc")]),
    "empty fragments": ([text("", False), more(b""), more(b"", True)], [(TEXT, b"")]),
    "a character in two frames": ([(TEXT, b"\xc3"), more(b"\xa9", True)], [(TEXT, b"\xc3\xa9")]),
    "ping between": ([binary(b"a", False), ping(b"p"), more(b"b", True)], [("ping", b"p"), (BINARY, b"ab")]),
    "pongs are not reported": ([pong(b"who asked"), text("a")], [(TEXT, b"a")]),
    "close": ([close(1000, "bye"), text("late")], [("close", 1000, b"bye")]),
    "close without a code": ([close()], [("close", None, b"")]),
    "close between": ([text("a", False), close(1001)], [("close", 1001, b"")]),
    "invalid utf-8": ([(FIN | TEXT, b"a\xff")], [("fault", 1007)]),
    "surrogate": ([(FIN | TEXT, b"\xed\xa0\x80")], [("fault", 1007)]),
    "overlong": ([(FIN | TEXT, b"\xc0\xaf")], [("fault", 1007)]),
    "invalid utf-8 in a fragment": ([(TEXT, b"a\xff"), more(b"b", True)], [("fault", 1007)]),
    "cut off within a character": ([(TEXT, b"a"), more(b"\xc3", True)], [("fault", 1007)]),
    "binary may hold anything": ([binary(b"\xff\xfe")], [(BINARY, b"\xff\xfe")]),
    "continuation of nothing": ([more(b"a", True)], [("fault", 1002)]),
    "message within a message": ([text("a", False), text("b")], [("fault", 1002)]),
    "reserved bit": ([(FIN | 0x20 | TEXT, b"a")], [("fault", 1002)]),
    "compressed, not agreed": ([(FIN | COMPRESSED | TEXT, b"a")], [("fault", 1002)]),
    "reserved opcode": ([(FIN | 3, b"a")], [("fault", 1002)]),
    "reserved control opcode": ([(FIN | 0xB, b"a")], [("fault", 1002)]),
    "fragmented ping": ([(0x9, b"")], [("fault", 1002)]),
    "long ping": ([ping(b"x" * 126)], [("fault", 1002)]),
    "close of one byte": ([(FIN | CLOSE, b"\x03")], [("fault", 1002), ("close", None, b"")]),
    "close code 1005": ([(FIN | CLOSE, b"\x03\xed")], [("fault", 1002)]),
    "close code 1014": ([close(1014)], [("close", 1014, b"")]),
    "close reason": ([(FIN | CLOSE, b"\x03\xe8\xff")], [("fault", 1007)]),
    "nothing counts behind a fault but Close": (
        [more(b"a", True), text("b"), ping(), close(1002)],
        [("fault", 1002), ("close", 1002, b"")],
    ),
    "one frame may break several rules": (
        [(0x70 | 0xB, b"x"), close(1002)],
        [("fault", 1002), ("close", 1002, b"")],
    ),
    "a second fault is the last": (
        [(FIN | 3, b""), (FIN | 4, b""), close(1002)],
        [("fault", 1002), ("fault", 1002)],
    ),
}  # fmt: skip


class FoundTests(SynchronousTestCase):
    def test_table(self) -> None:
        """Whole, byte by byte and in pieces, from clients and from servers, with the quick way and without."""
        for name, (frames, expected) in FOUND.items():
            data, plain = encoded(*frames), encoded(*frames, masks=False)
            for cut in (0, 1, 3, 7) if len(data) < 1000 else (0, 1000):
                self.assertEqual(found(data, cut), expected, (name, cut))
                self.assertEqual(found(data, cut, Slow), expected, (name, cut))
                self.assertEqual(found(plain, cut, FromServer), expected, (name, cut))

    def test_masks_are_asked_of_clients_and_refused_from_servers(self) -> None:
        self.assertEqual(found(encoded(text("a"), masks=False)), [("fault", 1002)])
        self.assertEqual(found(encoded(text("a")), 0, FromServer), [("fault", 1002)])

    def test_lengths_must_be_the_shortest(self) -> None:
        for header in ("827e0005", "827f0000000000000005", "827f000000000000ffff", "827f8000000000000000"):
            self.assertEqual(found(bytes.fromhex(header) + b"hello", 0, FromServer)[0], ("fault", 1002), header)

    def test_limits(self) -> None:
        limits = {"message_limit": 200, "frame_limit": 150}
        for frames, expected in (
            ([binary(b"x" * 150)], [(BINARY, b"x" * 150)]),
            ([binary(b"x" * 151)], [("fault", 1009)]),
            ([text("x" * 151)], [("fault", 1009)]),
            ([binary(b"x" * 100, False), more(b"y" * 100, True)], [(BINARY, b"x" * 100 + b"y" * 100)]),
            ([binary(b"x" * 100, False), more(b"y" * 101, True)], [("fault", 1009)]),
            ([binary(b"x" * 150, False), more(b"y" * 150), close(1009)], [("fault", 1009), ("close", 1009, b"")]),
        ):
            for cut in (0, 1):
                self.assertEqual(found(encoded(*frames), cut, **limits), expected, frames)

    def test_a_limit_is_enforced_by_the_header(self) -> None:
        """Nothing of a message that will be too large is waited for."""
        finder = Finder(message_limit=1000, frame_limit=1000)
        finder.read(encoded(binary(bytes(2000)))[:8])
        self.assertEqual(finder.found, [("fault", 1009)])

    def test_text_fails_at_the_first_wrong_byte(self) -> None:
        """Testsuite 6.4: also in the midst of a frame."""
        finder = Finder()
        finder.read(encoded((FIN | TEXT, b"abc\xff" + b"d" * 1000))[:12])
        self.assertEqual(finder.found, [("fault", 1007)])

    def test_what_comes_in_a_halt_is_kept(self) -> None:
        class Halting(Finder):
            def found_message(self, opcode: int, payload: bytes) -> None:
                super().found_message(opcode, payload)
                self.halted = True

        finder = Halting()
        finder.read(encoded(text("a"), text("b"), text("c", False)))
        finder.read(encoded(more(b"d", True)))
        self.assertEqual(finder.found, [(TEXT, b"a")])
        for expected in (b"b", b"cd"):
            finder.halted = False
            finder.read(finder.take_held())
            self.assertEqual(finder.found[-1], (TEXT, expected))
        self.assertEqual(finder.take_held(), b"")

    def test_forgotten_is_forgotten(self) -> None:
        finder = Finder()
        finder.halted = True
        finder.read(b"\x81")
        finder.forget()
        finder.halted = False
        finder.read(encoded(text("a")))
        self.assertEqual((finder.state, finder.take_held(), finder.found), (CLOSED, b"", []))


messages = st.tuples(st.booleans(), st.text(max_size=300), st.lists(st.integers(0, 300), max_size=4))


class FuzzTests(SynchronousTestCase):
    @settings(max_examples=60, deadline=None)
    @given(st.lists(messages, max_size=8), st.integers(1, 90))
    def test_messages_arrive_equal_however_they_are_cut(self, sent: list[Any], cut: int) -> None:
        frames: list[Frame] = []
        for is_text, content, cuts in sent:
            payload = content.encode()
            edges = sorted({min(at, len(payload)) for at in cuts} | {0, len(payload)})
            pieces = [payload[a:b] for a, b in pairwise(edges)] or [b""]
            for at, piece in enumerate(pieces):
                opcode = (TEXT if is_text else BINARY) if at == 0 else 0
                frames += [(opcode | FIN * (at == len(pieces) - 1), piece), ping(b"!")]
        expected = [(TEXT if is_text else BINARY, content.encode()) for is_text, content, _ in sent]
        for size in (0, cut):
            self.assertEqual([each for each in found(encoded(*frames), size) if each[0] != "ping"], expected)

    @settings(max_examples=150, deadline=None)
    @given(st.lists(st.binary(max_size=40), max_size=12), st.integers(1, 60))
    def test_garbage_is_no_exception_and_the_same_however_it_is_cut(self, pieces: list[bytes], cut: int) -> None:
        data = b"".join(pieces)
        for kind in (Finder, FromServer):
            whole = found(data, 0, kind, message_limit=64, frame_limit=64)
            self.assertEqual(found(data, cut, kind, message_limit=64, frame_limit=64), whole)
            self.assertLessEqual(sum(each[0] == "fault" for each in whole), 2)

    @settings(max_examples=150, deadline=None)
    @given(st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=140)), max_size=6), st.integers(1, 60))
    def test_the_quick_way_finds_what_autobahn_finds(self, frames: list[Frame], cut: int) -> None:
        data = encoded(*frames)
        for size in (0, cut):
            self.assertEqual(found(data, size, message_limit=200), found(data, size, Slow, message_limit=200))


class MemoryTests(SynchronousTestCase):
    def test_tiny_and_empty_frames_do_not_pile_up(self) -> None:
        """Not the fragments of a message, and not the body of a control frame that says it has 2^62 bytes."""
        endless = b"\x89\xff\x40" + bytes(7) + b"mask"
        for start, flood in ((encoded(text("a", False)), encoded(more(b"")) * 4000), (endless, bytes(24000))):
            finder = Finder()
            finder.read(start)
            finder.read(flood)
            tracemalloc.start()
            try:
                for _ in range(10):
                    finder.read(flood)
                self.assertLess(tracemalloc.get_traced_memory()[0], 20000)
            finally:
                tracemalloc.stop()

    def test_many_frames_in_one_read_are_not_quadratic(self) -> None:
        """Autobahn would copy the rest of the read twice for each of them: here it sees no more than a frame."""
        sizes: list[int] = []

        class Watched(Finder):
            def consumeData(self) -> None:
                sizes.append(len(self.data))
                super().consumeData()

        finder = Watched()
        finder.read(encoded(ping(b"x")) * 3000)
        self.assertEqual((len(finder.found), max(sizes)), (3000, 7))
