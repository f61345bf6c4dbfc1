"""Tests of edgegw.net.answer: the framing of a response (RFC 9112 6), as a table."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from edgegw.errors import GatewayError
from edgegw.exchange.body import Body
from edgegw.exchange.model import Response
from edgegw.net.answer import Framed, frame_answer, frame_informational
from edgegw.testing.exchanges import make_exchange
from edgegw.wire.events import ResponseHead
from edgegw.wire.headers import Headers

DATE = (b"date", b"Date", b"today")
LENGTH_7 = (b"Content-Length", b"7")


def body_of(length: int | None, content: bytes = b"", ended: bool = False) -> Body:
    body = Body(length)
    if content:
        body.write(content)
    if ended:
        body.end()
    return body


class FramingTests(SynchronousTestCase):
    def frame(
        self, response: Response, method: str = "GET", version: str = "1.1", may_keep: bool = True
    ) -> tuple[Framed, list[bytes]]:
        framed = frame_answer(make_exchange(method, version=version), response, may_keep, lambda: DATE)
        lines = framed.head.split(b"\r\n")
        self.assertEqual(lines[-2:], [b"", b""])
        self.assertEqual(lines.count(b"Date: today"), 1)
        return framed, [line for line in lines[1:-2] if line != b"Date: today"]

    def check(
        self, response: Response, lines: list[bytes], keep: bool, chunked: bool, bodiless: bool, **options: Any
    ) -> None:
        framed, found = self.frame(response, **options)
        self.assertEqual(found, lines)
        self.assertEqual((framed.keep, framed.chunked, framed.bodiless), (keep, chunked, bodiless))

    def test_known_length(self) -> None:
        self.check(Response(200, body=body_of(7)), [b"Content-Length: 7"], True, False, False)
        self.check(Response(200), [b"Content-Length: 0"], True, False, False)

    def test_length_the_headers_say_already(self) -> None:
        self.check(Response(200, Headers.of([LENGTH_7]), body_of(7)), [b"Content-Length: 7"], True, False, False)

    def test_length_the_headers_get_wrong(self) -> None:
        for wrong in ([(b"Content-Length", b"8")], [LENGTH_7, LENGTH_7], [LENGTH_7, (b"Content-Length", b"8")]):
            self.check(Response(200, Headers.of(wrong), body_of(7)), [b"Content-Length: 7"], True, False, False)

    def test_unknown_length(self) -> None:
        self.check(
            Response(200, Headers.of([LENGTH_7]), body_of(None)), [b"Transfer-Encoding: chunked"], True, True, False
        )

    def test_unknown_length_to_http10(self) -> None:
        self.check(Response(200, body=body_of(None)), [b"Connection: close"], False, False, False, version="1.0")

    def test_http10_that_keeps_the_connection(self) -> None:
        self.check(
            Response(200, body=body_of(7)),
            [b"Content-Length: 7", b"Connection: keep-alive"],
            True,
            False,
            False,
            version="1.0",
        )

    def test_head(self) -> None:
        self.check(Response(200, body=Body.of(b"1234567")), [b"Content-Length: 7"], True, False, True, method="HEAD")
        self.check(
            Response(200, Headers.of([LENGTH_7]), body_of(0)), [b"Content-Length: 7"], True, False, True, method="HEAD"
        )
        self.check(Response(200, body=body_of(None)), [], True, False, True, method="HEAD")
        # An upstream's answer to HEAD has no body, which says nothing about what GET would get.
        self.check(Response(200, body=body_of(0, ended=True)), [], True, False, True, method="HEAD")

    def test_204_never_has_a_length(self) -> None:
        self.check(Response(204, Headers.of([LENGTH_7]), body_of(7)), [], True, False, True)

    def test_304_keeps_the_length_it_was_given(self) -> None:
        self.check(Response(304, Headers.of([LENGTH_7])), [b"Content-Length: 7"], True, False, True)
        self.check(Response(304, body=body_of(7)), [], True, False, True)

    def test_close(self) -> None:
        self.check(Response(200, close=True), [b"Content-Length: 0", b"Connection: close"], False, False, False)
        self.check(Response(200), [b"Content-Length: 0", b"Connection: close"], False, False, False, may_keep=False)

    def test_the_hops_own_fields_are_dropped(self) -> None:
        own = [
            (b"Connection", b"close"), (b"Keep-Alive", b"timeout=5"), (b"Proxy-Connection", b"x"), (b"TE", b"trailers"),
            (b"Upgrade", b"h2c"), (b"Transfer-Encoding", b"gzip"), (b"Trailer", b"X"), (b"X-Kept", b"1"),
        ]  # fmt: skip
        self.check(Response(200, Headers.of(own)), [b"X-Kept: 1", b"Content-Length: 0"], True, False, False)

    def test_date_of_the_response_stays(self) -> None:
        response = Response(200, Headers.of([(b"Date", b"today")]))
        framed = frame_answer(make_exchange(), response, True, lambda: (b"date", b"Date", b"tomorrow"))
        self.assertNotIn(b"tomorrow", framed.head)

    def test_refused(self) -> None:
        for status in (100, 103, 199):
            self.refuse("informational_answer", Response(status))
        self.refuse("unsafe_head", Response(600))
        self.refuse("unsafe_head", Response(200, Headers.of([(b"X", b"a\nb")])))
        self.refuse("unsafe_head", Response(200, reason=b"OK\r\nX: y"))
        self.refuse("response_length_mismatch", Response(200, body=body_of(7, b"abc", ended=True)))
        self.refuse("response_length_mismatch", Response(200, body=body_of(2, b"abc")))

    def refuse(self, reason: str, response: Response) -> None:
        error = self.assertRaises(GatewayError, frame_answer, make_exchange(), response, True, lambda: DATE)
        self.assertEqual((error.status, error.reason), (500, reason))

    def test_takeover(self) -> None:
        taker: Any = object()
        headers = Headers.of([(b"Upgrade", b"websocket"), (b"Connection", b"x"), LENGTH_7])
        self.check(
            Response(101, headers, takeover=taker), [b"Upgrade: websocket", b"Connection: Upgrade"], True, False, True
        )
        self.check(Response(200, takeover=taker), [], True, False, True, method="CONNECT")


class InformationalTests(SynchronousTestCase):
    def test_end_to_end_fields_only(self) -> None:
        fields = Headers.of([(b"Link", b"</a>"), (b"Connection", b"close"), (b"Transfer-Encoding", b"chunked")])
        head = ResponseHead(103, b"", "1.1", fields, 0, True)
        self.assertEqual(frame_informational(head), b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
