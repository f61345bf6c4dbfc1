"""The channel that a twisted.web request believes in, called as a request calls it; resources are in test_resource."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from twisted.web import resource, server
from twisted.web.http_headers import Headers as WebHeaders

from edgegw.errors import GatewayError, Phase, Side
from edgegw.exchange.model import Exchange, Response
from edgegw.targets.webchannel import WebChannel, WebRequest
from edgegw.testing.exchanges import FakeConnection, Gathered, drain, make_exchange


class Silent(resource.Resource):
    """A resource that never answers by itself; the test plays it."""

    isLeaf = True

    def render(self, request: Any) -> int:
        return server.NOT_DONE_YET


class Producer:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def resumeProducing(self) -> None:
        self.told.append("resume")

    def pauseProducing(self) -> None:
        self.told.append("pause")

    def stopProducing(self) -> None:
        self.told.append("stop")


class Case(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()

    def begin(self, exchange: Exchange | None = None, size: int = 0) -> WebChannel:
        self.exchange = exchange or make_exchange()
        self.channel = WebChannel(self.exchange, server.Site(Silent()), self.clock)
        self.response: Deferred[Response] = self.channel.render(io.BytesIO(b"x" * size), size, 0)
        return self.channel

    def head(self, code: int = 200, *fields: tuple[bytes, bytes], reason: bytes = b"OK") -> None:
        headers = WebHeaders()
        for name, value in fields:
            headers._rawHeaders.setdefault(name, []).append(value)  # As they are, past Twisted's own checks.
        self.channel.writeHeaders(b"HTTP/1.1", b"%d" % code, reason, headers)

    def answer(self) -> Response:
        self.clock.advance(0)
        return self.successResultOf(self.response)

    def error(self) -> GatewayError:
        self.clock.advance(0)
        error = self.failureResultOf(self.response, GatewayError).value
        assert isinstance(error, GatewayError)
        return error

    def flowing(self, *fields: tuple[bytes, bytes]) -> Gathered:
        """A head that left, with a reader at the body."""
        self.begin()
        self.head(200, *fields)
        return drain(self.answer().body)


class RequestTests(Case):
    """What a request is made of."""

    def test_fields(self) -> None:
        fields = [
            (b"X-A", b"1"),
            (b"x-a", b"2"),
            (b"Connection", b"x-a"),
            (b"TE", b"trailers"),
            (b"Content-Length", b"9"),
        ]
        self.begin(make_exchange("POST", "http://h:81/a?b", fields), size=3)
        headers = self.channel._request.requestHeaders
        self.assertEqual(headers.getRawHeaders(b"X-A"), [b"1", b"2"])
        self.assertEqual(
            (headers.getRawHeaders(b"Host"), headers.getRawHeaders(b"Content-Length")), ([b"h:81"], [b"3"])
        )
        self.assertEqual([headers.hasHeader(name) for name in (b"Connection", b"TE")], [False, False])
        self.assertEqual((self.channel._request.uri, self.channel._request.content.read()), (b"/a?b", b"xxx"))

    def test_no_length_without_a_body(self) -> None:
        self.begin()
        self.assertFalse(self.channel._request.requestHeaders.hasHeader(b"Content-Length"))
        self.begin(make_exchange("POST", "/", [(b"Content-Length", b"0")]))
        self.assertEqual(self.channel._request.requestHeaders.getRawHeaders(b"Content-Length"), [b"0"])

    def test_chunks_are_none_of_its_business(self) -> None:
        request = WebRequest(self.begin(), 2)
        request.chunked = 1
        self.assertEqual((request.chunked, request.mounted), (0, 2))

    def test_addresses(self) -> None:
        exchange = make_exchange("GET", "https://shop.example/", connection=FakeConnection(tls=object()))
        exchange.client = "192.0.2.7"
        channel = self.begin(exchange)
        self.assertEqual(channel.getPeer(), IPv4Address("TCP", "192.0.2.7", 50000))
        self.assertEqual(channel.getHost(), IPv4Address("TCP", "shop.example", 443))
        self.assertTrue(channel.isSecure())
        exchange = make_exchange("GET", "http://[::1]/")
        exchange.client = "2001:db8::1"
        channel = self.begin(exchange)
        self.assertEqual(channel.getPeer(), IPv6Address("TCP", "2001:db8::1", 50000))
        self.assertEqual(channel.getHost(), IPv6Address("TCP", "::1", 80))
        self.assertFalse(channel.isSecure())


class HeadTests(Case):
    """The head of an answer."""

    def test_it_leaves_a_turn_later_with_what_was_written(self) -> None:
        self.begin()
        self.head(201, (b"X-A", b"1"), (b"X-A", b"2"), reason=b"Made")
        self.channel.writeSequence([b"a", b"b"])
        self.assertNoResult(self.response)
        answer = self.answer()
        self.assertEqual((answer.status, answer.reason, answer.headers.get_all(b"x-a")), (201, b"Made", [b"1", b"2"]))
        self.assertEqual((answer.body.take_ready(), answer.body.length), (b"ab", None))

    def test_a_complete_answer_does_not_wait(self) -> None:
        self.begin()
        self.head()
        self.channel.write(b"a")
        self.channel.requestDone(None)
        self.assertTrue(self.successResultOf(self.response).body.complete)

    def test_what_belongs_to_the_connection_is_taken_out(self) -> None:
        self.begin()
        self.head(
            200,
            (b"Connection", b"close"),
            (b"Transfer-Encoding", b"chunked"),
            (b"Server", server.version),
            (b"X", b"1"),
        )
        self.assertEqual([name for name, _, _ in self.answer().headers.fields], [b"x"])
        self.begin()
        self.head(200, (b"Server", b"mine"))
        self.assertEqual(self.answer().headers.get(b"server"), b"mine")

    def test_length(self) -> None:
        for method, code, value, length in (
            ("GET", 200, b"5", 5),
            ("GET", 200, b"0", 0),
            ("HEAD", 200, b"5", 0),
            ("GET", 204, b"5", 0),
            ("GET", 304, b"5", 0),
            ("GET", 200, b"9" * 18, int("9" * 18)),
        ):
            self.begin(make_exchange(method))
            self.head(code, (b"Content-Length", value))
            self.assertEqual(self.answer().body.length, length, (method, code, value))

    def test_refused(self) -> None:
        length = b"Content-Length"
        for code, fields, reason in (
            (199, (), "resource_bad_status"),
            (600, (), "resource_bad_status"),
            (200, ((b"X Y", b"1"),), "resource_bad_header"),
            (200, ((b"", b"1"),), "resource_bad_header"),
            (200, ((b"X\r\nY", b"1"),), "resource_bad_header"),
            (200, ((b"X", b"a\r\nb: c"),), "resource_bad_header"),
            (200, ((b"X", b"\x00"),), "resource_bad_header"),
            (200, ((length, b"-1"),), "resource_bad_header"),
            (200, ((length, b"9" * 19),), "resource_bad_header"),
            (200, ((length, b"1"), (length, b"1")), "resource_bad_header"),
        ):
            self.begin()
            self.head(code, *fields)
            error = self.error()
            self.assertEqual(
                (error.status, error.reason, error.phase), (500, reason, Phase.RESPONSE_HEAD), (code, fields)
            )

    def test_nothing_is_said_twice(self) -> None:
        self.begin()
        self.channel.fail("one", "")
        self.channel.fail("two", "")
        self.head()
        self.channel.write(b"a")
        self.channel.requestDone(None)
        self.assertEqual(self.error().reason, "one")

    def test_a_form_that_cannot_be_read_is_the_peers_fault(self) -> None:
        self.begin()
        self.channel._respondToBadRequestAndDisconnect()
        error = self.error()
        self.assertEqual((error.status, error.reason, error.side), (400, "bad_form", Side.DOWNSTREAM))


class BodyTests(Case):
    """What is written behind the head."""

    def test_more_than_was_said(self) -> None:
        sink = self.flowing((b"Content-Length", b"3"))
        self.channel.write(b"abc")
        self.assertIsNone(sink.error)
        self.channel.write(b"d")
        assert sink.error is not None
        self.assertEqual(
            (sink.data, sink.error.reason, sink.error.phase), (b"abc", "resource_bad_length", Phase.RESPONSE_BODY)
        )

    def test_less_than_was_said(self) -> None:
        sink = self.flowing((b"Content-Length", b"3"))
        self.channel.write(b"ab")
        self.channel.requestDone(None)
        self.assertEqual((sink.ended, sink.error and sink.error.reason), (False, "resource_bad_length"))

    def test_as_much_as_was_said(self) -> None:
        sink = self.flowing((b"Content-Length", b"3"))
        self.channel.write(b"abc")
        self.channel.requestDone(None)
        self.channel.write(b"d")
        self.assertEqual((sink.data, sink.ended, sink.error), (b"abc", True, None))

    def test_hanging_up(self) -> None:
        for hang_up in (WebChannel.loseConnection, WebChannel.abortConnection):
            sink = self.flowing()
            hang_up(self.channel)
            self.assertEqual((sink.ended, sink.error and sink.error.reason), (False, "resource_hung_up"))


class ProducerTests(Case):
    """The reader's pace reaches the resource."""

    def test_a_push_producer_is_paused_and_resumed(self) -> None:
        producer = Producer()
        self.flowing()
        self.channel.registerProducer(producer, True)
        self.channel.pause()
        self.channel.resume()
        self.channel.resume()
        self.assertEqual(producer.told, ["pause", "resume"])
        self.channel.unregisterProducer()
        self.channel.pause()
        self.clock.advance(0)
        self.assertEqual(producer.told, ["pause", "resume"])

    def test_a_push_producer_that_comes_while_paused(self) -> None:
        producer = Producer()
        self.flowing()
        self.channel.pause()
        self.channel.registerProducer(producer, True)
        self.assertEqual(producer.told, ["pause"])

    def test_a_pull_producer_is_asked_once_per_turn_until_it_leaves(self) -> None:
        producer = Producer()
        self.flowing()
        # Not by `Clock.advance`: it runs whatever is due now, and a producer that is asked again is due now for ever.
        due: list[Callable[[], None]] = []
        self.patch(self.clock, "callLater", lambda _, function: due.append(function))
        self.channel.registerProducer(producer, False)
        for count in (1, 2, 3):
            due.pop()()
            self.assertEqual((len(producer.told), len(due)), (count, 1))
        self.channel.pause()
        due.pop()()
        self.assertEqual((producer.told, due), (["resume"] * 3, []))
        self.channel.resume()
        due.pop()()
        self.assertEqual(len(producer.told), 4)
        self.channel.unregisterProducer()
        due.pop()()
        self.assertEqual((len(producer.told), due), (4, []))

    def test_one_that_comes_too_late_is_stopped(self) -> None:
        producer = Producer()
        self.begin()
        self.channel.leave()
        self.channel.registerProducer(producer, False)
        self.clock.advance(0)
        self.assertEqual(producer.told, ["stop"])
        self.response.addErrback(lambda _: None)


class LeavingTests(Case):
    """The downstream peer leaves."""

    def test_the_producer_is_stopped_and_the_request_told_a_turn_later(self) -> None:
        producer = Producer()
        self.flowing()
        self.channel.registerProducer(producer, True)
        lost: list[Any] = []
        self.channel._request.notifyFinish().addErrback(lost.append)
        self.channel.cancel()
        self.assertEqual((producer.told, lost), (["stop"], []))
        self.clock.advance(0)
        self.assertEqual(len(lost), 1)
        self.channel.leave()
        self.clock.advance(0)
        self.assertEqual((producer.told, len(lost)), (["stop"], 1))

    def test_cancelling_the_response_is_leaving(self) -> None:
        self.begin()
        lost: list[Any] = []
        self.channel._request.notifyFinish().addErrback(lost.append)
        self.response.cancel()
        self.clock.advance(0)
        self.assertEqual(len(lost), 1)
        self.failureResultOf(self.response, CancelledError)

    def test_after_the_end_nobody_left(self) -> None:
        self.begin()
        request = self.channel._request
        finished: list[Any] = []
        request.notifyFinish().addBoth(finished.append)
        request.write(b"a")
        request.finish()
        self.channel.leave()
        self.clock.advance(0)
        self.assertEqual(finished, [None])
        self.successResultOf(self.response)
