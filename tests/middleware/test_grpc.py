"""Tests of edgegw.middleware.grpc."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import ValidationError
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from edgegw.config.problems import Problems
from edgegw.errors import GatewayError, Side
from edgegw.exchange.body import EMPTY, Body
from edgegw.exchange.model import Exchange, Outcome, Response
from edgegw.middleware.grpc import GRPC_CALLS, GrpcCallSettings, with_time_left
from edgegw.middleware.interfaces import Surroundings
from edgegw.runtime.wheel import Wheel
from edgegw.testing.bodies import Source
from edgegw.testing.exchanges import FakeConnection, drain, make_exchange
from edgegw.wire.grpc import frame
from edgegw.wire.headers import Field, Headers
from tests.middleware.running import Case, Target

CALL = (b"Content-Type", b"application/grpc")
OK: tuple[Field, ...] = ((b"grpc-status", b"grpc-status", b"0"), (b"x-end-bin", b"X-End-Bin", b"AAE="))


def call(
    *fields: tuple[bytes, bytes], body: Body | bytes = EMPTY, connection: Any = None, version: str = "2"
) -> Exchange:
    return make_exchange(
        "POST", "/acme.Orders/Get", [CALL, *fields], body, connection=connection or FakeConnection(), version=version
    )


def status_of(fields: Headers | tuple[Field, ...]) -> bytes | None:
    listed = fields.fields if isinstance(fields, Headers) else fields
    return next((value for lower, _, value in listed if lower == b"grpc-status"), None)


class GrpcCase(Case):
    def setUp(self) -> None:
        self.clock = Clock()
        self.wheel = Wheel(self.clock)
        self.wheel.start()
        self.around = Surroundings(self.clock, self.wheel, Path(), Problems())
        self.source = Source()
        self.answer = Body(None, self.source)

    def layer(self, target: Target | None = None, max_message: str = "10B") -> Any:
        settings = GrpcCallSettings.model_validate({"max_message": max_message})
        return GRPC_CALLS.build(settings, self.around)(target or Target(does=self.answers))

    def answers(self, _: Exchange) -> Response:
        return Response(200, Headers.of([CALL]), self.answer)

    def turn(self, seconds: float) -> None:
        for _ in range(round(seconds * 10)):
            self.clock.advance(0.1)


class PassingTests(GrpcCase):
    def test_a_call_is_untouched(self) -> None:
        """Metadata with all its repetitions, order and spelling, `-bin` ones, messages, trailers."""
        metadata = [(b"X-A", b"1"), (b"trace-bin", b"AAEC/w"), (b"x-a", b"2,3"), (b"trace-bin", b"AAEC")]
        body = Body(None)
        exchange = call(*metadata, body=body)
        target = Target(does=self.answers)
        response = self.respond(self.layer(target), exchange)
        self.assertEqual(list(exchange.request.headers), [(b"Host", b"example.com"), CALL, *metadata])
        self.assertIs(exchange.request.body, body)
        self.assertIs(response.body, self.answer)
        uploaded, sink = drain(body), drain(response.body)
        for chunk in (frame(b"abc"), frame(b"de")[:3], frame(b"de")[3:]):
            body.write(chunk)
            self.answer.write(chunk)
        body.end()
        self.answer.end(OK)
        self.assertEqual(uploaded.chunks, [frame(b"abc"), frame(b"de")[:3], frame(b"de")[3:]])
        self.assertEqual((sink.chunks, sink.trailers), (uploaded.chunks, OK))
        self.assertIsNone(exchange.failure)

    def test_other_requests_pass_by(self) -> None:
        body = Body(None)
        for kind in (b"application/grpc-web", b"application/json"):
            exchange = make_exchange("POST", headers=[(b"Content-Type", kind), (b"grpc-timeout", b"x")], body=body)
            response = self.respond(self.layer(Target(does=lambda _: Response(503))), exchange)
            self.assertEqual((response.status, exchange.deadline_s, body.guard), (503, None, None))

    def test_an_answer_that_says_all_in_its_head(self) -> None:
        target = Target(CALL, (b"grpc-status", b"5"), (b"x-a", b"1"))
        response = self.respond(self.layer(target), call())
        self.assertEqual(list(response.headers), [CALL, (b"grpc-status", b"5"), (b"x-a", b"1")])


class DeadlineTests(GrpcCase):
    def test_from_the_first_byte(self) -> None:
        self.turn(2)
        exchange = call((b"grpc-timeout", b"5S"))
        exchange.started_s = 1.0
        self.respond(self.layer(), exchange)
        self.assertEqual(exchange.deadline_s, 6.0)

    def test_the_earlier_one_holds(self) -> None:
        for before, timeout, deadline in ((3.0, b"5S", 3.0), (9.0, b"5S", 5.0)):
            exchange = call((b"grpc-timeout", timeout))
            exchange.deadline_s = before
            self.respond(self.layer(), exchange)
            self.assertEqual(exchange.deadline_s, deadline)

    def test_none_given(self) -> None:
        exchange = call()
        self.respond(self.layer(), exchange)
        self.assertEqual((exchange.deadline_s, len(self.wheel)), (None, 0))

    def test_malformed(self) -> None:
        for values in ((b"5s",), (b"",), (b"123456789S",), (b"1S", b"2S"), (b"-1S",)):
            with self.subTest(values=values):
                target = Target()
                error = self.refuse(self.layer(target), call(*((b"grpc-timeout", value) for value in values)))
                self.assertEqual((error.status, error.reason), (400, "grpc_bad_timeout"))
                self.assertEqual(target.seen, [])

    def test_passed_already(self) -> None:
        for value in (b"0S", b"100m"):
            exchange = call((b"grpc-timeout", value))
            exchange.started_s = -0.2
            self.assertEqual(self.refuse(self.layer(), exchange).reason, "grpc_deadline")

    def test_before_the_answer(self) -> None:
        connection, waiting = FakeConnection(), Deferred[Response]()
        self.start(self.layer(Target(does=lambda _: waiting)), call((b"grpc-timeout", b"500m"), connection=connection))
        self.turn(0.4)
        self.assertEqual(connection.failures, [])
        self.turn(0.2)
        (error,) = connection.failures
        self.assertEqual((error.status, error.reason), (504, "grpc_deadline"))

    def test_inside_the_answer(self) -> None:
        """The call ends with its status, and the upstream hears that nobody waits."""
        connection = FakeConnection()
        exchange = call((b"grpc-timeout", b"500m"), connection=connection)
        sink = drain(self.respond(self.layer(), exchange).body)
        self.answer.write(frame(b"a"))
        self.turn(0.6)
        self.assertEqual((sink.data, sink.ended, status_of(sink.trailers)), (frame(b"a"), True, b"4"))
        self.assertEqual((self.source.told, connection.failures), (["start", "cancel"], []))
        assert exchange.failure is not None
        self.assertEqual(exchange.failure.reason, "grpc_deadline")

    def test_without_trailers_it_is_torn(self) -> None:
        """An answer that was announced in full cannot end early in order."""
        self.answer.length = 100
        sink = drain(self.respond(self.layer(), call((b"grpc-timeout", b"500m"))).body)
        self.turn(0.6)
        assert sink.error is not None
        self.assertEqual((sink.ended, sink.error.reason), (False, "grpc_deadline"))

    def test_all_of_the_answer_is_here_but_not_taken(self) -> None:
        connection = FakeConnection()
        self.respond(self.layer(), call((b"grpc-timeout", b"500m"), connection=connection))
        self.answer.end(OK)
        self.turn(0.6)
        self.assertEqual([error.reason for error in connection.failures], ["grpc_deadline"])

    def test_over_in_time(self) -> None:
        connection = FakeConnection()
        exchange = call((b"grpc-timeout", b"5S"), connection=connection)
        self.respond(self.layer(), exchange)
        self.assertEqual(len(self.wheel), 1)
        exchange.end(Outcome(200, True, 0, 0, None))
        self.assertEqual(len(self.wheel), 0)
        self.turn(6)
        self.assertEqual((connection.failures, self.answer.ended), ([], False))

    def test_what_is_left(self) -> None:
        exchange = call()
        exchange.deadline_s = 10.0
        fields: list[Field] = [(b"a", b"A", b"1"), (b"grpc-timeout", b"Grpc-Timeout", b"10S"), (b"b", b"B", b"2")]
        made, left_s = with_time_left(exchange, fields, 7.5)
        self.assertEqual((made[1], left_s), ((b"grpc-timeout", b"Grpc-Timeout", b"2500000u"), 2.5))
        self.assertEqual([made[0], made[2]], [fields[0], fields[2]])
        with self.assertRaises(GatewayError):
            with_time_left(exchange, fields, 10.0)


class MessageTests(GrpcCase):
    def test_a_request_message_too_large(self) -> None:
        source = Source()
        body = Body(None, source)
        self.respond(self.layer(), call(body=body))
        sink = drain(body)
        body.write(frame(b"x" * 10) + frame(b"x" * 11))
        assert sink.error is not None
        self.assertEqual((sink.error.status, sink.error.reason), (413, "grpc_message_too_large"))
        self.assertEqual((sink.error.side, sink.data, source.told[-1]), (Side.DOWNSTREAM, frame(b"x" * 10), "cancel"))

    def test_one_that_is_here_already(self) -> None:
        target = Target()
        error = self.refuse(self.layer(target), call(body=frame(b"x" * 11)))
        self.assertEqual((error.reason, target.seen), ("grpc_message_too_large", []))

    def test_many_small_ones(self) -> None:
        body = Body(None)
        self.respond(self.layer(), call(body=body))
        sink = drain(body)
        for _ in range(100):
            body.write(frame(b"x" * 10))
        self.assertEqual((sink.error, len(sink.data)), (None, 1500))

    def test_flags(self) -> None:
        error = self.refuse(self.layer(), call(body=frame(b"", 0x80)))
        self.assertEqual((error.status, error.reason), (400, "grpc_bad_message"))

    def test_a_response_message_too_large(self) -> None:
        exchange = call()
        sink = drain(self.respond(self.layer(), exchange).body)
        self.answer.write(frame(b"ok"))
        self.answer.write(b"\0\0\0")
        self.answer.write(b"\0\x0b" + b"x" * 11)
        self.assertEqual((sink.data, sink.ended, status_of(sink.trailers)), (frame(b"ok") + b"\0\0\0", True, b"8"))
        self.assertEqual(self.source.told, ["start", "cancel"])
        assert exchange.failure is not None
        self.assertEqual((exchange.failure.status, exchange.failure.reason), (502, "grpc_response_too_large"))

    def test_one_that_came_with_the_head(self) -> None:
        self.answer.write(frame(b"x" * 11))
        error = self.refuse(self.layer(), call())
        self.assertEqual((error.reason, self.source.told), ("grpc_response_too_large", ["cancel"]))

    def test_flags_of_a_response(self) -> None:
        sink = drain(self.respond(self.layer(), call()).body)
        self.answer.write(frame(b"", 7))
        self.assertEqual(status_of(sink.trailers), b"13")

    def test_the_upstream_breaks_off(self) -> None:
        exchange = call()
        sink = drain(self.respond(self.layer(), exchange).body)
        self.answer.write(frame(b"a"))
        self.answer.abort(GatewayError(502, "upstream_reset", side=Side.UPSTREAM, detail="10.0.0.7"))
        self.assertEqual((sink.ended, status_of(sink.trailers)), (True, b"14"))
        self.assertIn((b"grpc-message", b"grpc-message", b"upstream_reset: Bad Gateway"), sink.trailers)
        assert exchange.failure is not None
        self.assertEqual(exchange.failure.reason, "upstream_reset")

    def test_http_1_0_has_no_trailers(self) -> None:
        sink = drain(self.respond(self.layer(), call(version="1.0")).body)
        self.answer.abort(GatewayError(502, "upstream_reset"))
        self.assertEqual((sink.ended, sink.error is not None), (False, True))

    def test_settings(self) -> None:
        self.assertEqual(GrpcCallSettings().max_message, 4 * 1024 * 1024)
        with self.assertRaises(ValidationError):
            GrpcCallSettings.model_validate({"max_message": "4GiB"})


class OtherAnswersTests(GrpcCase):
    def settled(self, response: Response) -> tuple[Exchange, Response]:
        exchange = call()
        return exchange, self.respond(self.layer(Target(does=lambda _: response)), exchange)

    def test_a_page_of_a_proxy(self) -> None:
        for status, code in (
            (503, b"14"),
            (429, b"14"),
            (404, b"12"),
            (401, b"16"),
            (403, b"7"),
            (400, b"13"),
            (500, b"2"),
        ):
            with self.subTest(status=status):
                source = Source()
                fields = [
                    (b"Content-Type", b"text/html"),
                    (b"Content-Length", b"9"),
                    (b"Retry-After", b"3"),
                    (b"ETag", b"x"),
                ]
                page = Response(status, Headers.of(fields), Body(9, source))
                exchange, response = self.settled(page)
                self.assertEqual((response.status, response.body), (200, EMPTY))
                self.assertEqual(
                    list(response.headers),
                    [
                        CALL,
                        (b"Retry-After", b"3"),
                        (b"grpc-status", code),
                        (b"grpc-message", b"upstream_not_grpc: HTTP status %d" % status),
                    ],
                )
                self.assertEqual(source.told, ["cancel"])
                assert exchange.failure is not None
                self.assertEqual((exchange.failure.status, exchange.failure.reason), (status, "upstream_not_grpc"))

    def test_200_without_grpc(self) -> None:
        for fields in ([(b"Content-Type", b"text/html")], []):
            exchange, response = self.settled(Response(200, Headers.of(fields), Body.of(b"<html>")))
            self.assertEqual((response.body, status_of(response.headers)), (EMPTY, b"2"))
            assert exchange.failure is not None
            self.assertEqual(exchange.failure.status, 502)

    def test_a_redirect(self) -> None:
        exchange, response = self.settled(Response(302, Headers.of([(b"Location", b"/x")])))
        self.assertEqual((response.status, status_of(response.headers)), (200, b"2"))
        assert exchange.failure is not None
        self.assertEqual(exchange.failure.status, 502)

    def test_a_status_that_was_given_is_kept(self) -> None:
        """The mapping is only for answers without one (doc/http-grpc-status-mapping.md)."""
        fields = [(b"Content-Type", b"text/plain"), (b"grpc-status", b"9"), (b"grpc-message", b"no")]
        exchange, response = self.settled(Response(503, Headers.of(fields), Body.of(b"x")))
        self.assertEqual(list(response.headers), [CALL, (b"grpc-status", b"9"), (b"grpc-message", b"no")])
        self.assertEqual((response.status, response.body, exchange.failure), (200, EMPTY, None))
