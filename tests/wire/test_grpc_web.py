"""Tests of edgegw.wire.grpc_web."""

from __future__ import annotations

import base64
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from edgegw.wire.grpc import frame
from edgegw.wire.grpc_web import (
    BadText,
    TextDecoder,
    TextEncoder,
    answer_type,
    asks_for_web,
    trailer_frame,
    wants_text,
    web_kind,
)
from edgegw.wire.headers import Headers


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({min(cut, len(data)) for cut in cuts} | {0, len(data)})
    return [data[start:end] for start, end in pairwise(places)]


class KindTests(SynchronousTestCase):
    def test_kinds(self) -> None:
        for kind, text, native in (
            (b"application/grpc-web", False, b"application/grpc"),
            (b"application/grpc-web+proto", False, b"application/grpc+proto"),
            (b"application/grpc-web-text", True, b"application/grpc"),
            (b"application/grpc-web-text+proto", True, b"application/grpc+proto"),
            (b"Application/gRPC-Web+JSON; charset=utf-8", False, b"application/grpc+json"),
        ):
            with self.subTest(kind=kind):
                found = web_kind(kind)
                assert found is not None
                self.assertEqual((found.text, found.native), (text, native))

    def test_others(self) -> None:
        for kind in (None, b"", b"application/grpc", b"application/grpc-webs", b"application/grpc-web+", b"text/plain"):
            with self.subTest(kind=kind):
                self.assertIsNone(web_kind(kind))

    def test_form_of_the_answer(self) -> None:
        for asked, accept, text in (
            (b"application/grpc-web", None, False),
            (b"application/grpc-web", b"*/*", False),
            (b"application/grpc-web", b"application/grpc-web-text", True),
            (b"application/grpc-web-text", b"application/grpc-web+proto", False),
            (b"application/grpc-web-text", b"application/grpc-web-text+proto", True),
            (b"application/grpc-web-text", None, True),
        ):
            with self.subTest(asked=asked, accept=accept):
                kind = web_kind(asked)
                assert kind is not None
                self.assertEqual(wants_text(kind, accept), text)

    def test_type_of_the_answer(self) -> None:
        for came, text, made in (
            (b"application/grpc", False, b"application/grpc-web+proto"),
            (b"application/grpc+proto", True, b"application/grpc-web-text+proto"),
            (b"application/grpc+json;x", False, b"application/grpc-web+json"),
            (None, False, b"application/grpc-web+proto"),
        ):
            with self.subTest(came=came):
                self.assertEqual(answer_type(came, text), made)

    def test_preflights(self) -> None:
        for method, names, asks in (
            (b"POST", b"content-type, x-grpc-web", True),
            (b"POST", b"X-Grpc-Web", True),
            (b"POST", b"content-type", False),
            (b"POST", b"x-grpc-web-not", False),
            (b"PUT", b"x-grpc-web", False),
        ):
            with self.subTest(method=method, names=names):
                fields = [(b"Access-Control-Request-Method", method), (b"Access-Control-Request-Headers", names)]
                self.assertEqual(asks_for_web(Headers.of(fields)), asks)
        self.assertFalse(asks_for_web(Headers()))


class TrailerTests(SynchronousTestCase):
    def test_frame(self) -> None:
        trailers = ((b"grpc-status", b"Grpc-Status", b"0"), (b"x-a", b"X-A", b"b, c"), (b"x-a", b"X-A", b"d"))
        block = b"grpc-status:0\r\nx-a:b, c\r\nx-a:d\r\n"
        self.assertEqual(trailer_frame(trailers), b"\x80" + len(block).to_bytes(4, "big") + block)

    def test_none(self) -> None:
        self.assertEqual(trailer_frame(()), b"\x80\0\0\0\0")


class TextDecoderTests(SynchronousTestCase):
    def decode(self, *chunks: bytes) -> bytes:
        decoder = TextDecoder()
        decoded = b"".join(decoder.decode(chunk) for chunk in chunks)
        decoder.finish()
        return decoded

    def test_padding_in_the_middle(self) -> None:
        self.assertEqual(self.decode(b"YQ==YmM=ZGVm"), b"abcdef")
        self.assertEqual(self.decode(b"YQ=", b"=Y", b"mM=Z", b"GVm"), b"abcdef")
        self.assertEqual(self.decode(b""), b"")

    def test_what_is_complete_comes_at_once(self) -> None:
        decoder = TextDecoder()
        self.assertEqual([decoder.decode(b"YWJjZ"), decoder.decode(b"GVm")], [b"abc", b"def"])

    def test_malformed(self) -> None:
        for text in (b"YQ", b"YQ=", b"Y===", b"====", b"YW\nJj", b"YW-_", b"YW J", b"=YWJ", b"YQ=x", b"YWJjY", b"Y!Jj"):
            with self.subTest(text=text), self.assertRaises(BadText):
                self.decode(text)

    @given(st.lists(st.binary(max_size=20), max_size=6), st.lists(st.integers(0, 200), max_size=10))
    def test_any_split(self, parts: list[bytes], cuts: list[int]) -> None:
        """Parts that were encoded one by one, in any pieces."""
        text = b"".join(base64.b64encode(part) for part in parts)
        self.assertEqual(self.decode(*pieces(text, cuts)), b"".join(parts))

    @given(st.binary(max_size=60), st.lists(st.integers(0, 60), max_size=4))
    def test_anything(self, data: bytes, cuts: list[int]) -> None:
        """Whatever comes, however it is cut: the same bytes or the same refusal, and no other exception."""

        def verdict(*chunks: bytes) -> bytes | None:
            try:
                return self.decode(*chunks)
            except BadText:
                return None

        self.assertEqual(verdict(*pieces(data, cuts)), verdict(data))


class TextEncoderTests(SynchronousTestCase):
    def test_each_message_has_its_own_padding(self) -> None:
        """As Envoy does it, so that a reader can take each message on its own."""
        one, two = frame(b"a"), frame(b"bcd")
        self.assertEqual(TextEncoder().encode(one + two), base64.b64encode(one) + base64.b64encode(two))

    def test_a_message_leaves_when_it_is_complete(self) -> None:
        encoder, message = TextEncoder(), frame(b"abcd")
        sent = [encoder.encode(message[at : at + 1]) for at in range(len(message))]
        self.assertEqual(b"".join(sent), base64.b64encode(message))
        self.assertEqual([len(each) for each in sent], [0, 0, 4, 0, 0, 4, 0, 0, 4])

    def test_an_empty_message(self) -> None:
        self.assertEqual(TextEncoder().encode(frame(b"")), base64.b64encode(frame(b"")))

    def test_end_inside_a_message(self) -> None:
        encoder = TextEncoder()
        text = encoder.encode(b"\0\0\0\0") + encoder.finish(b"\x80\0\0\0\0")
        self.assertEqual(text, base64.b64encode(b"\0\0\0\0") + base64.b64encode(b"\x80\0\0\0\0"))

    @given(st.lists(st.binary(max_size=30), max_size=6), st.lists(st.integers(0, 220), max_size=10), st.integers(0, 30))
    def test_any_split(self, payloads: list[bytes], cuts: list[int], lost: int) -> None:
        """The text does not depend on how the bytes came, also of a stream that breaks off; and it can be read in pieces."""
        stream = b"".join(frame(payload) for payload in payloads)
        stream = stream[: max(len(stream) - lost, 0)]
        encoder, decoder = TextEncoder(), TextDecoder()
        sent = [encoder.encode(piece) for piece in pieces(stream, cuts)]
        sent.append(encoder.finish())
        once = TextEncoder()
        self.assertEqual(b"".join(sent), once.encode(stream) + once.finish())
        self.assertEqual(b"".join(decoder.decode(piece) for piece in sent), stream)
        decoder.finish()
