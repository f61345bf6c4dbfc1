"""Tests of edgegw.wire.grpc."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from edgegw.wire.grpc import (
    LARGEST,
    BadMessage,
    Code,
    Messages,
    code_of_answer,
    code_of_error,
    decode_message,
    encode_message,
    format_timeout,
    frame,
    http_status,
    is_grpc,
    parse_timeout,
    read_code,
    status_fields,
)


class KindTests(SynchronousTestCase):
    def test_calls(self) -> None:
        for kind in (
            b"application/grpc",
            b"application/grpc+proto",
            b"application/grpc+json; charset=utf-8",
            b"Application/GRPC",
            b"application/grpc ;x=1",
        ):
            with self.subTest(kind=kind):
                self.assertTrue(is_grpc(kind))

    def test_others(self) -> None:
        for kind in (
            None,
            b"",
            b"application/grpc-web",
            b"application/grpc-web+proto",
            b"application/grpcx",
            b"text/html",
        ):
            with self.subTest(kind=kind):
                self.assertFalse(is_grpc(kind))


class HttpTests(SynchronousTestCase):
    def test_google_rpc_code_proto(self) -> None:
        expected = {
            0: 200, 1: 499, 2: 500, 3: 400, 4: 504, 5: 404, 6: 409, 7: 403, 8: 429, 9: 400, 10: 409, 11: 400, 12: 501,
            13: 500, 14: 503, 15: 500, 16: 401, 17: 500, 99: 500,
        }  # fmt: skip
        self.assertEqual({code: http_status(code) for code in expected}, expected)
        self.assertLessEqual(set(Code), set(expected))

    def test_read(self) -> None:
        for value, code in ((b"0", 0), (b"14", 14), (b"42", 42), (b"", 2), (b"-1", 2), (b"x", 2), (b"1" * 50, 2)):
            self.assertEqual(read_code(value), code, value)


class TimeoutTests(SynchronousTestCase):
    def test_parse(self) -> None:
        for text, seconds in (
            (b"1H", 3600),
            (b"2M", 120),
            (b"3S", 3),
            (b"4m", 0.004),
            (b"5u", 0.000005),
            (b"6n", 0.000000006),
            (b"0S", 0),
            (b"00000001S", 1),
            (b"99999999H", 99999999 * 3600),
        ):
            with self.subTest(text=text):
                self.assertAlmostEqual(parse_timeout(text), seconds, 12)

    def test_malformed(self) -> None:
        for text in (
            b"", b"S", b"1", b"1s", b"1h", b"-1S", b"+1S", b"1.5S", b"1 S", b" 1S", b"1S ", b"1S\n", b"100000000S", b"1SS",
            b"1e3S", b"0x1S", "\u0661S".encode(),
        ):  # fmt: skip
            with self.subTest(text=text), self.assertRaises(ValueError):
                parse_timeout(text)

    def test_format(self) -> None:
        for seconds, text in (
            (0.0, b"0n"),
            (-3.0, b"0n"),
            (0.099999999, b"99999999n"),
            (0.1, b"100000u"),
            (99.999999, b"99999999u"),
            (100.0, b"100000m"),
            (99999.9994, b"99999999m"),
            (100000.0, b"100000S"),
            (99999999.0, b"99999999S"),
            (100000000.0, b"1666666M"),
            (6e9, b"1666666H"),
            (1e15, b"99999999H"),
        ):
            with self.subTest(seconds=seconds):
                self.assertEqual(format_timeout(seconds), text)

    @given(st.floats(min_value=0, max_value=3.6e11))
    def test_never_more_than_was_left_and_hardly_less(self, seconds: float) -> None:
        back = parse_timeout(format_timeout(seconds))
        self.assertLessEqual(back, seconds + 1e-9)
        # Eight digits: what is lost is less than one in the next larger unit's ten million, or a nanosecond.
        self.assertGreaterEqual(back, seconds * (1 - 1e-4) - 2e-9)

    @given(st.integers(0, 99_999_999), st.sampled_from("HMSmun"))
    def test_what_is_written_can_be_read(self, count: int, unit: str) -> None:
        text = f"{count}{unit}".encode()
        seconds = parse_timeout(text)
        back = parse_timeout(format_timeout(seconds))
        self.assertEqual(back, seconds)

    @given(st.binary(max_size=10))
    def test_anything(self, data: bytes) -> None:
        try:
            self.assertGreaterEqual(parse_timeout(data), 0)
        except ValueError:
            pass


class MessageTextTests(SynchronousTestCase):
    def test_encoding(self) -> None:
        for text, encoded in (
            ("plain text, 100", b"plain text, 100"),
            ("100%", b"100%25"),
            ("a\r\nb\x00\x7f", b"a%0D%0Ab%00%7F"),
            ("\u00fc\u2603", b"%C3%BC%E2%98%83"),
            (" ~", b" ~"),
        ):
            with self.subTest(text=text):
                self.assertEqual(encode_message(text), encoded)
                self.assertEqual(decode_message(encoded), text)

    def test_what_was_not_encoded_properly_stays(self) -> None:
        for encoded, text in ((b"100%", "100%"), (b"%zz%2", "%zz%2"), (b"%c3%BC", "\u00fc"), (b"%ff", "\ufffd")):
            with self.subTest(encoded=encoded):
                self.assertEqual(decode_message(encoded), text)

    @given(st.text())
    def test_round_trip(self, text: str) -> None:
        encoded = encode_message(text)
        self.assertRegex(encoded, rb"\A[\x20-\x7e]*\Z")
        self.assertEqual(decode_message(encoded), text.encode("utf-8", "replace").decode("utf-8"))

    def test_fields(self) -> None:
        self.assertEqual(
            status_fields(8, "zu gro\u00df"),
            [
                (b"grpc-status", b"grpc-status", b"8"),
                (b"grpc-message", b"grpc-message", b"zu gro%C3%9F"),
            ],
        )
        self.assertEqual(status_fields(Code.OK), [(b"grpc-status", b"grpc-status", b"0")])


class CodeTests(SynchronousTestCase):
    def test_of_errors(self) -> None:
        """reference/features.md, row gRPC; the rest from doc/http-grpc-status-mapping.md and doc/statuscodes.md."""
        for status, code in (
            (400, 13), (401, 16), (403, 7), (404, 12), (405, 12), (408, 4), (413, 8), (429, 8), (431, 8), (499, 1),
            (500, 13), (501, 12), (502, 14), (503, 14), (504, 4), (508, 13), (418, 2), (599, 2),
        ):  # fmt: skip
            with self.subTest(status=status):
                self.assertEqual(code_of_error(status), code)

    def test_of_reasons(self) -> None:
        self.assertEqual(code_of_error(502, "grpc_response_too_large"), Code.RESOURCE_EXHAUSTED)
        self.assertEqual(code_of_error(502, "grpc_bad_response"), Code.INTERNAL)
        self.assertEqual(code_of_error(502, "upstream_reset"), Code.UNAVAILABLE)

    def test_of_answers(self) -> None:
        """The whole table of doc/http-grpc-status-mapping.md."""
        for status, code in (
            (400, 13), (401, 16), (403, 7), (404, 12), (429, 14), (431, 13), (502, 14), (503, 14), (504, 14), (200, 2),
            (302, 2), (500, 2), (413, 2),
        ):  # fmt: skip
            with self.subTest(status=status):
                self.assertEqual(code_of_answer(status), code)


def shown(messages: Messages, chunks: list[bytes]) -> tuple[int, int]:
    """Show a stream as a body does, leaving out what need not be shown; returns bytes shown and left out."""
    ahead = seen = skipped = 0
    for chunk in chunks:
        if ahead >= len(chunk):
            ahead -= len(chunk)
            skipped += len(chunk)
            continue
        seen += len(chunk)
        ahead = messages.look(chunk, ahead)
    return seen, skipped


class MessagesTests(SynchronousTestCase):
    STREAM = frame(b"") + frame(b"abc") + frame(b"x" * 300, 1) + frame(b"de")

    def test_whole(self) -> None:
        messages = Messages(300)
        self.assertEqual(messages.look(self.STREAM), 0)
        self.assertEqual(messages.count, 4)

    def test_byte_by_byte(self) -> None:
        messages = Messages(300)
        seen, skipped = shown(messages, [self.STREAM[at : at + 1] for at in range(len(self.STREAM))])
        self.assertEqual((messages.count, seen, skipped), (4, 20, 305))

    def test_how_much_need_not_be_shown(self) -> None:
        messages = Messages(LARGEST)
        self.assertEqual(messages.look(b"\0\xff\xff\xff\xffab"), LARGEST - 2)
        self.assertEqual(Messages(10).look(b"\0\0\0\0"), 0)
        self.assertEqual(Messages(10).look(b"\0\0\0\0\x07"), 7)

    def test_too_large(self) -> None:
        for data, at in ((frame(b"abcd"), 0), (frame(b"abc") + frame(b"abcd"), 8)):
            with self.subTest(data=data), self.assertRaises(BadMessage) as caught:
                Messages(3).look(data)
            self.assertEqual((caught.exception.too_large, caught.exception.at), (True, at))

    def test_flags(self) -> None:
        for flags in (2, 0x80, 0xFF):
            with self.subTest(flags=flags), self.assertRaises(BadMessage) as caught:
                Messages(3).look(frame(b"a", flags))
            self.assertFalse(caught.exception.too_large)

    def test_the_rest_of_a_prefix_and_more(self) -> None:
        messages = Messages(3)
        self.assertEqual(messages.look(b"\0\0"), 0)
        self.assertEqual(messages.look(b"\0\0\3abc" + frame(b"de") + b"\0\0\0\0\3a"), 2)
        self.assertEqual(messages.count, 3)

    def test_nothing_is_kept_but_a_prefix(self) -> None:
        messages = Messages(LARGEST)
        messages.look(b"\0\0")
        messages.look(b"\0\x01")
        ahead = messages.look(b"\0")
        self.assertEqual((ahead, messages._part), (256, b""))
        self.assertEqual(repr(messages), "<Messages 1 of at most 4294967295 bytes>")

    @given(st.lists(st.binary(max_size=40), max_size=8), st.lists(st.integers(0, 400), max_size=12), st.integers(0, 40))
    def test_any_split(self, payloads: list[bytes], cuts: list[int], limit: int) -> None:
        """However a stream comes in pieces: the same messages, and the same verdict."""
        stream = b"".join(frame(payload) for payload in payloads)
        places = sorted({min(cut, len(stream)) for cut in cuts} | {0, len(stream)})
        chunks = [stream[start:end] for start, end in pairwise(places)]
        wanted = next((number for number, payload in enumerate(payloads) if len(payload) > limit), None)
        messages = Messages(limit)
        try:
            shown(messages, chunks)
        except BadMessage as bad:
            self.assertTrue(bad.too_large)
            self.assertEqual(messages.count, wanted)
        else:
            self.assertIsNone(wanted)
            self.assertEqual(messages.count, len(payloads))
