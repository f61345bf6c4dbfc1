"""Tests of edgegw.middleware.transcode.streams."""

from __future__ import annotations

import orjson
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError
from twisted.trial.unittest import SynchronousTestCase

from edgegw.errors import GatewayError
from edgegw.exchange.body import Body
from edgegw.middleware.transcode.streams import JsonStream, RawBody, RawStream, Single, nothing
from edgegw.testing.exchanges import drain
from edgegw.wire.grpc import frame
from edgegw.wire.headers import Field
from tests.middleware.transcode.apis import fit, message

END: tuple[Field, ...] = ((b"grpc-status", b"grpc-status", b"0"),)


def quoted(encoded: bytes) -> bytes:
    return b'"' + encoded + b'"'


class JsonStreamTests(SynchronousTestCase):
    @given(st.lists(st.binary().map(lambda data: data.hex().encode()), max_size=6), st.integers(1, 40), st.booleans())
    def test_however_they_come(self, messages: list[bytes], step: int, lines: bool) -> None:
        data = b"".join(map(frame, messages))
        stream = JsonStream(quoted, 1000, lines)
        out = b"".join(stream.translate(data[at : at + step]) for at in range(0, len(data), step))
        last, trailers = stream.finish(END)
        self.assertEqual(trailers, END)
        texts = [each.decode() for each in messages]
        if lines:
            self.assertEqual([orjson.loads(line) for line in (out + last).splitlines()], texts)
        else:
            self.assertEqual(orjson.loads(out + last), texts)

    def test_each_leaves_when_it_is_complete(self) -> None:
        stream = JsonStream(quoted, 1000, False)
        self.assertEqual(stream.translate(frame(b"a")), b'["a"')
        self.assertEqual(stream.translate(frame(b"b")[:-1]), b"")
        self.assertEqual(stream.translate(b"b"), b',"b"')
        self.assertEqual(stream.finish(END), (b"]", END))

    def test_nothing(self) -> None:
        self.assertEqual((nothing(False), nothing(True)), (b"[]", b""))
        self.assertEqual(JsonStream(quoted, 9, False).finish(()), (b"[]", ()))
        self.assertEqual(JsonStream(quoted, 9, True).finish(()), (b"", ()))

    def test_the_end_within_a_message(self) -> None:
        stream = JsonStream(quoted, 1000, False)
        stream.translate(b"\x00")
        self.assertRaises(GatewayError, stream.finish, END)


class Source:
    def __init__(self) -> None:
        self.told: list[str] = []

    def __getattr__(self, name: str) -> object:
        return lambda: self.told.append(name)


class RawStreamTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.source = Source()
        self.inner = Body(None, self.source)  # type: ignore[arg-type]
        self.stream = RawStream(fit("GET", "/v1/pieces/a")[0], 1000, self.inner)
        self.out = RawBody(self.inner, self.stream)
        self.out.start()

    def piece(self, data: bytes, content_type: str = "") -> bytes:
        return frame(message("google.api.HttpBody", data=data, content_type=content_type).SerializeToString())

    def test_the_first_one_says_the_type(self) -> None:
        self.assertNoResult(self.stream.content_type)
        self.inner.write(self.piece(b"ab", "a/b"))
        self.assertEqual(self.successResultOf(self.stream.content_type), b"a/b")
        sink = drain(self.out.body)
        self.inner.write(self.piece(b"cd", "c/d") + self.piece(b"ef"))
        self.inner.end(END)
        self.assertEqual((sink.data, sink.ended, sink.trailers), (b"abcdef", True, END))

    def test_no_messages(self) -> None:
        self.inner.end(END)
        self.assertEqual(self.successResultOf(self.stream.content_type), b"")

    def test_it_fails_before_the_first(self) -> None:
        self.inner.write(frame(b"\xff"))
        self.assertEqual(self.failureResultOf(self.stream.content_type, GatewayError).value.reason, "grpc_bad_response")
        self.assertIn("cancel", self.source.told)

    def test_it_ends_within_the_first(self) -> None:
        self.inner.write(b"\x00")
        self.inner.end(END)
        self.failureResultOf(self.stream.content_type, GatewayError)

    def test_it_breaks_off_before_the_first(self) -> None:
        error = GatewayError(502, "upstream_reset")
        self.inner.abort(error)
        self.assertIs(self.failureResultOf(self.stream.content_type, GatewayError).value, error)

    def test_it_breaks_off_after_the_first(self) -> None:
        self.inner.write(self.piece(b"ab", "a/b"))
        self.successResultOf(self.stream.content_type)
        sink = drain(self.out.body)
        error = GatewayError(502, "upstream_reset")
        self.inner.abort(error)
        self.assertEqual((sink.data, sink.ended, sink.error), (b"ab", False, error))

    def test_whoever_waits_leaves(self) -> None:
        self.stream.content_type.cancel()
        self.failureResultOf(self.stream.content_type, CancelledError)
        self.assertIn("cancel", self.source.told)


class SingleTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.source = Source()
        self.body = Body(None, self.source)  # type: ignore[arg-type]
        self.single = Single(self.body, 10)
        self.body.attach(self.single)

    def test_message_and_trailers(self) -> None:
        for byte in frame(b"ab"):
            self.body.write(bytes([byte]))
        self.assertNoResult(self.single.done)
        self.body.end(END)
        self.assertEqual(self.successResultOf(self.single.done), (b"ab", END))

    def test_no_message(self) -> None:
        self.body.end(END)
        self.assertEqual(self.successResultOf(self.single.done), (None, END))

    def refused(self) -> str:
        error: GatewayError = self.failureResultOf(self.single.done, GatewayError).value
        return error.reason

    def test_two_messages(self) -> None:
        self.body.write(frame(b"a") + frame(b"b"))
        self.assertEqual((self.refused(), self.source.told[-1]), ("grpc_bad_response", "cancel"))
        self.body.write(frame(b"c"))
        self.body.end()

    def test_too_large(self) -> None:
        self.body.write(frame(b"a" * 11)[:6])
        self.assertEqual((self.refused(), self.source.told[-1]), ("grpc_response_too_large", "cancel"))

    def test_the_end_within_a_message(self) -> None:
        self.body.write(b"\x00")
        self.body.end(END)
        self.assertEqual(self.refused(), "grpc_bad_response")

    def test_it_breaks_off(self) -> None:
        self.body.abort(GatewayError(502, "upstream_reset"))
        self.assertEqual(self.refused(), "upstream_reset")

    def test_whoever_waits_leaves(self) -> None:
        self.single.done.cancel()
        self.failureResultOf(self.single.done, CancelledError)
        self.assertEqual(self.source.told[-1], "cancel")
