"""Tests of edgegw.net.patience: slow heads, slow bodies, slow readers, idle peers; times to the tick."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from edgegw.exchange.body import Body
from edgegw.exchange.model import Exchange, Response
from edgegw.middleware.grpc import Guard
from edgegw.net.settings import Caps
from edgegw.runtime.wheel import TICK_S
from edgegw.testing.downstream import Desk, answer, request
from edgegw.testing.exchanges import drain

OK = answer("200 OK", "Content-Length: 0")


def post(length: int, *fields: str) -> bytes:
    return request("POST / HTTP/1.1", f"Content-Length: {length}", *fields)


class IdleTests(SynchronousTestCase):
    def test_silent_from_the_start(self) -> None:
        desk = Desk().waits(74.8)
        self.assertEqual(desk.ended, [])
        desk.waits(0.4).hears(b"")
        self.assertEqual(desk.ended, ["lose"])

    def test_silent_after_an_answer(self) -> None:
        desk = Desk(Response(200)).waits(50).says(request()).hears(OK).waits(74.8)
        self.assertEqual(desk.ended, [])
        desk.waits(0.4)
        self.assertEqual(desk.ended, ["lose"])

    def test_empty_line_does_not_begin_it_anew(self) -> None:
        desk = Desk().waits(70).says(b"\r\n").waits(5.2)
        self.assertEqual(desk.ended, ["lose"])

    def test_not_while_the_last_answer_is_still_on_its_way(self) -> None:
        desk = Desk().says(request())
        desk.transport.congest(100)
        desk.replies(Response(200))
        for taken in range(99, 50, -1):
            desk.transport.stuck = taken
            desk.waits(5)
        self.assertEqual(desk.ended, [])

    def test_not_while_an_exchange_runs(self) -> None:
        desk = Desk().says(request()).waits(500)
        self.assertEqual(desk.ended, [])
        desk.replies(Response(200)).hears(OK)


class HeadTests(SynchronousTestCase):
    def test_absolute_however_many_bytes_drip_in(self) -> None:
        desk = Desk().says(b"GET / HTTP/1.1\r\nHost: a\r\n")
        for _ in range(9):
            desk.waits(1).says(b"X: a\r\n")
        desk.waits(0.9).says(b"X: b\r\n").hears(b"").waits(0.3)
        heard = desk.heard()
        self.assertTrue(heard.startswith(b"HTTP/1.1 408 Request Timeout\r\n"), heard)
        self.assertIn(b"head_timeout", heard)
        self.assertIn(b"Connection: close", heard)
        self.assertEqual(desk.ended, ["half_close"])
        self.assertEqual(desk.outcomes[0].status, 408)

    def test_second_head_has_its_own(self) -> None:
        desk = Desk(Response(200)).says(b"GET / HT").waits(9).says(request()[8:]).hears(OK).waits(20).says(b"GET")
        desk.waits(9.9).hears(b"").waits(0.3)
        self.assertIn(b"head_timeout", desk.heard())

    def test_setting(self) -> None:
        desk = Desk(caps=Caps(head_deadline="2s")).says(b"GET").waits(2.2)
        self.assertIn(b"408", desk.heard())


class UploadTests(SynchronousTestCase):
    def uploading(self, *fields: str, length: int = 100000, caps: Caps | None = None) -> Desk:
        desk = Desk(caps=caps).says(post(length, *fields))
        drain(desk.exchanges[0].request.body)
        return desk

    def test_gap(self) -> None:
        desk = self.uploading(caps=Caps(body_rate=0)).says(b"abc").waits(29.9).hears(b"").waits(0.5)
        heard = desk.heard()
        self.assertTrue(heard.startswith(b"HTTP/1.1 408"), heard)
        self.assertIn(b"body_timeout", heard)
        self.assertEqual(desk.ended, ["half_close"])
        self.assertEqual(desk.script.cancelled, 1)

    def test_each_byte_moves_the_gap(self) -> None:
        desk = self.uploading(caps=Caps(body_rate=0))
        for _ in range(5):
            desk.waits(29).says(b"a").hears(b"")
        desk.waits(30.3)
        self.assertIn(b"body_timeout", desk.heard())

    def test_rate(self) -> None:
        desk = self.uploading()
        for _ in range(9):
            desk.says(b"a").waits(1).hears(b"")
        desk.waits(1.2)
        self.assertIn(b"body_too_slow", desk.heard())

    def test_a_stream_of_messages_says_nothing_while_there_is_nothing_to_say(self) -> None:
        desk = Desk().says(post(100000))
        exchange = desk.exchanges[0]
        exchange.request.body.watch(Guard(exchange, 1000))
        drain(exchange.request.body)
        desk.waits(100).says(b"\0\0\0\0\1a").waits(300).hears(b"")
        self.assertEqual(desk.ended, [])

    def test_rate_of_every_stretch(self) -> None:
        desk = self.uploading().says(bytes(2400)).waits(10.2).says(bytes(2000)).hears(b"").waits(10.2)
        self.assertIn(b"body_too_slow", desk.heard())

    def test_just_fast_enough(self) -> None:
        desk = self.uploading(length=100000)
        for _ in range(200):
            desk.says(bytes(120)).waits(0.5 - 1e-9).hears(b"")

    def test_rest_while_reading_is_paused_does_not_count(self) -> None:
        desk = self.uploading()
        body = desk.exchanges[0].request.body
        desk.says(bytes(100)).waits(5)
        body.pause()
        desk.waits(500).hears(b"")
        body.resume()
        desk.waits(4).says(bytes(2300)).waits(5).hears(b"").waits(20)
        self.assertIn(b"body_too_slow", desk.heard())

    def test_short_rests_do_not_count_either(self) -> None:
        desk = self.uploading()
        body = desk.exchanges[0].request.body
        for _ in range(60):
            # 100 bytes in each second that somebody reads: too slow for 240, but half of the time nobody does.
            body.pause()
            desk.waits(2)
            body.resume()
            desk.says(bytes(250)).waits(1)
        desk.hears(b"")

    def test_owed_nothing_before_the_100(self) -> None:
        desk = Desk().says(post(1000, "Expect: 100-continue")).waits(100).hears(b"")
        drain(desk.exchanges[0].request.body)
        desk.hears(b"HTTP/1.1 100 Continue\r\n\r\n").waits(9.9).hears(b"").waits(0.3)
        self.assertIn(b"body_too_slow", desk.heard())

    def test_of_an_answered_request(self) -> None:
        desk = Desk(Response(200)).says(post(1000)).hears(OK).waits(10.2).hears(b"")
        self.assertEqual(desk.ended, ["half_close"])

    def test_torn_when_the_answer_began(self) -> None:
        def begin(exchange: Exchange) -> Response:
            drain(exchange.request.body)
            return Response(200, body=Body())

        desk = Desk(begin).says(post(1000)).waits(10.2)
        self.assertEqual(desk.outcomes[0].error.reason, "body_too_slow")
        self.assertEqual(desk.ended, ["lose"])

    def test_ends_with_the_upload(self) -> None:
        desk = self.uploading(length=3).says(b"abc").waits(200).hears(b"").replies(Response(200)).hears(OK)
        self.assertEqual(desk.ended, [])

    def test_a_loop_that_stood_still_blames_nobody(self) -> None:
        desk = self.uploading(caps=Caps(body_rate=0)).says(b"abc").waits(1)
        # The loop blocks for a minute; what came meanwhile is read before the deadline is looked at.
        desk.clock.callLater(60, desk.transport.deliver, b"def")
        desk.clock.rightNow += 60
        desk.clock.advance(0)
        desk.waits(20).hears(b"")


class WriteTests(SynchronousTestCase):
    def streaming(self, caps: Caps | None = None) -> tuple[Desk, Body]:
        body = Body()
        desk = Desk(lambda _: Response(200, body=body), caps=caps).says(request())
        desk.heard()
        return desk, body

    def test_no_progress(self) -> None:
        desk, _ = self.streaming()
        desk.transport.congest(1000)
        desk.waits(59.8)
        self.assertEqual(desk.ended, [])
        desk.waits(0.4)
        self.assertEqual(desk.ended, ["abort"])
        (outcome,) = desk.outcomes
        self.assertEqual((outcome.complete, outcome.error.reason), (False, "write_timeout"))

    def test_slow_progress_is_progress(self) -> None:
        desk, _ = self.streaming()
        desk.transport.congest(1000)
        for taken in range(999, 950, -1):
            desk.transport.stuck = taken
            desk.waits(40)
        self.assertEqual(desk.ended, [])
        desk.waits(80)
        self.assertEqual(desk.ended, ["abort"])

    def test_all_taken_though_the_transport_has_not_said_so(self) -> None:
        desk, _ = self.streaming()
        desk.transport.congest(1000)
        desk.transport.stuck = 0
        desk.waits(200)
        self.assertEqual(desk.ended, [])

    def test_relieved(self) -> None:
        desk, body = self.streaming()
        desk.transport.congest(1000)
        desk.waits(50)
        desk.transport.relieve()
        desk.waits(500)
        body.end()
        self.assertEqual(desk.ended, [])

    def test_setting(self) -> None:
        desk, _ = self.streaming(Caps(write_gap="4s"))
        desk.transport.congest(1000)
        desk.waits(4 + 2 * TICK_S)
        self.assertEqual(desk.ended, ["abort"])

    def test_pipelined_requests_of_a_peer_that_reads_nothing(self) -> None:
        first: Deferred[Response] = Deferred()
        desk = Desk(lambda _: first).says(request())
        desk.transport.congest(1000)
        first.callback(Response(200))
        desk.says(request() * 10).waits(61)
        self.assertEqual(desk.ended, ["abort"])
        self.assertEqual(len(desk.exchanges), 1)


class BookkeepingTests(SynchronousTestCase):
    def test_nothing_is_left_on_the_wheel(self) -> None:
        desk = Desk().says(post(100))
        desk.transport.congest()
        self.assertEqual(len(desk.wheel), 2)
        desk.leaves()
        self.assertEqual(len(desk.wheel), 0)

    def test_repr(self) -> None:
        desk = Desk()
        self.assertIn("idle", repr(desk.connection._patience))
