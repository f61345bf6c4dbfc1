"""Tests of edgegw.middleware.transcode.transcode."""

from __future__ import annotations

from base64 import b64encode
from pathlib import Path
from typing import Any, cast

import orjson
from google.rpc import status_pb2

from edgegw.config.problems import Problems
from edgegw.errors import GatewayError, Side
from edgegw.exchange.body import Body
from edgegw.exchange.interfaces import Responder
from edgegw.exchange.model import Exchange, Response
from edgegw.middleware.interfaces import Surroundings
from edgegw.middleware.transcode.transcode import TRANSCODE, TranscodeStepSettings
from edgegw.testing.bodies import Source
from edgegw.testing.exchanges import drain, make_exchange
from edgegw.wire.grpc import frame
from edgegw.wire.headers import Headers
from tests.middleware.running import Case, Target, sent
from tests.middleware.transcode.apis import DESCRIPTORS, SERVICES, message, order

GRPC = (b"content-type", b"application/grpc")


def ends(status: int = 0, text: bytes = b"", *more: tuple[bytes, bytes]) -> list[tuple[bytes, bytes]]:
    """The fields that end a call."""
    return [(b"grpc-status", b"%d" % status), (b"grpc-message", text), *more]


def answers(*messages: Any, ending: list[tuple[bytes, bytes]] | None = None, body: Body | None = None) -> Target:
    """A gRPC server that sends these messages, and says at the end how it ended."""
    body = body or Body()
    for each in messages:
        body.write(frame(each if isinstance(each, bytes) else each.SerializeToString()))
    if ending is not None:
        body.end(tuple(Headers.of(ending).fields))
    head = Headers.of(
        [(b"content-type", b"application/grpc+proto"), (b"x-first", b"one"), (b"grpc-accept-encoding", b"gzip")]
    )
    return Target(does=lambda _: Response(200, head, body))


class Transcoding(Case):
    def layer(self, target: Target, **settings: Any) -> Responder:
        problems = Problems()
        around = Surroundings(cast(Any, None), cast(Any, None), DESCRIPTORS.parent, problems)
        said = {"descriptors": DESCRIPTORS.name, "services": SERVICES, **settings}
        middleware = TRANSCODE.build(TranscodeStepSettings.model_validate(said), around)
        self.assertEqual(problems.errors, ())
        return middleware(target)

    def ask(self, target: Target, method: str, url: str, body: bytes = b"", **settings: Any) -> Response:
        return self.respond(self.layer(target, **settings), make_exchange(method, url, body=body))

    def json(self, response: Response) -> Any:
        sink = drain(response.body)
        self.assertTrue(sink.ended)
        return orjson.loads(sink.data)


class CallTests(Transcoding):
    def seen(self, exchange: Exchange) -> Exchange:
        target = answers(order(), ending=ends())
        self.respond(self.layer(target), exchange)
        return target.seen[0]

    def test_what_goes_on(self) -> None:
        exchange = self.seen(
            make_exchange(
                "POST",
                "/v1/orders/a:cancel?big=2",
                [(b"Content-Type", b"application/json"), (b"Content-Length", b"11"), (b"X-Own", b"1"), (b"TE", b"gzip"),
                 (b"grpc-timeout", b"1S"), (b"grpc-encoding", b"gzip"), (b"grpc-accept-encoding", b"gzip")],
                b'{"small":3}',
            )
        )  # fmt: skip
        request = exchange.request
        self.assertEqual((request.method, request.target), ("POST", "/acme.Orders/Cancel"))
        self.assertEqual(drain(request.body).data, frame(order(text="a", small=3, big=2).SerializeToString()))
        self.assertEqual(
            sent(exchange),
            {b"host": [b"example.com"], b"x-own": [b"1"], b"content-type": [b"application/grpc"], b"te": [b"trailers"]},
        )

    def test_what_came_is_kept(self) -> None:
        """Errors are rendered for who asked, and records say what was asked."""
        exchange = self.seen(make_exchange("POST", "/v1/orders", [(b"Content-Type", b"application/json")], b"{}"))
        self.assertEqual(exchange.head.headers.get(b"content-type"), b"application/json")
        self.assertEqual((exchange.head.method, exchange.head.path), ("POST", "/v1/orders"))

    def test_a_message_without_content_has_a_frame(self) -> None:
        self.assertEqual(drain(self.seen(make_exchange("GET", "/v1/orders")).request.body).data, b"\0\0\0\0\0")

    def test_a_body_that_comes_in_pieces(self) -> None:
        source, target = Source(), answers(order(), ending=ends())
        body = Body(None, source)
        waiting = self.start(self.layer(target), make_exchange("POST", "/v1/orders", body=body))
        for piece in (b'{"sm', b'all":3', b"}"):
            body.write(piece)
        self.assertEqual((target.seen, source.told), ([], ["start"]))
        body.end()
        self.successResultOf(waiting)
        expected = order(child=order(small=3)).SerializeToString()
        self.assertEqual(drain(target.seen[0].request.body).data, frame(expected))

    def test_the_cap_of_the_route(self) -> None:
        source, target = Source(), Target()
        body = Body(None, source)
        body.cap(4)
        waiting = self.start(self.layer(target), make_exchange("POST", "/v1/orders", body=body))
        body.write(b"12345")
        error = self.failureResultOf(waiting, GatewayError).value
        self.assertEqual((error.status, target.seen, source.told[-1]), (413, [], "cancel"))

    def test_a_cap_of_its_own(self) -> None:
        body = Body(None, Source())
        waiting = self.start(self.layer(Target()), make_exchange("POST", "/v1/orders", body=body))
        for _ in range(11):
            body.write(b" " * 1024 * 1024)
        self.assertEqual(self.failureResultOf(waiting, GatewayError).value.status, 413)


class PassingTests(Transcoding):
    def passes(self, exchange: Exchange, answer: Response | None = None) -> Response:
        target = Target(does=lambda _: answer)
        before = (exchange.request.method, exchange.request.path, exchange.request.headers, exchange.request.body)
        response = self.respond(self.layer(target), exchange)
        request = target.seen[0].request
        self.assertEqual((request.method, request.path, request.headers, request.body), before)
        return response

    def test_what_fits_no_rule(self) -> None:
        for method, url in (
            ("GET", "/nowhere"),
            ("PUT", "/v1/orders"),
            ("HEAD", "/v1/orders/x"),
            ("POST", "/acme.Orders/Get"),
        ):
            with self.subTest(method=method, url=url):
                self.passes(make_exchange(method, url))

    def test_calls_that_are_grpc_already(self) -> None:
        for kind in (
            b"application/grpc",
            b"application/grpc+json",
            b"Application/gRPC-Web",
            b"application/grpc-web-text",
        ):
            with self.subTest(kind=kind):
                self.passes(make_exchange("POST", "/v1/orders", [(b"content-type", kind)], b"{}"))

    def test_an_answer_that_is_not_grpc(self) -> None:
        for answer in (Response.of(503, b"busy"), Response.of(200, b"<html>"), Response(502, Headers.of([GRPC]))):
            with self.subTest(answer=answer):
                target = Target(does=lambda _, answer=answer: answer)  # type: ignore[misc]
                self.assertIs(self.ask(target, "GET", "/v1/orders"), answer)

    def test_errors_of_the_target(self) -> None:
        target = Target(does=GatewayError(503, "connect_refused", side=Side.UPSTREAM))
        error = self.refuse(self.layer(target), make_exchange("GET", "/v1/orders"))
        self.assertEqual(error.reason, "connect_refused")


class UnaryTests(Transcoding):
    def test_an_answer(self) -> None:
        target = answers(order(text="x"), ending=ends(0, b"", (b"x-last", b"two")))
        response = self.ask(target, "GET", "/v1/orders/x")
        self.assertEqual((response.status, response.body.length), (200, 12))
        self.assertEqual(self.json(response), {"text": "x"})
        self.assertEqual(
            sorted((lower, value) for lower, _, value in response.headers.fields),
            [(b"content-type", b"application/json"), (b"grpc-message", b""), (b"grpc-status", b"0"), (b"x-first", b"one")],
        )  # fmt: skip

    def test_it_waits_for_all_of_it(self) -> None:
        body = Body(None, Source())
        waiting = self.start(self.layer(answers(order(), body=body)), make_exchange("GET", "/v1/orders"))
        self.assertNoResult(waiting)
        body.end(tuple(Headers.of(ends()).fields))
        self.assertEqual(self.successResultOf(waiting).status, 200)

    def test_whoever_asked_leaves(self) -> None:
        source = Source()
        waiting = self.start(self.layer(answers(body=Body(None, source))), make_exchange("GET", "/v1/orders"))
        waiting.cancel()
        self.failureResultOf(waiting)
        self.assertEqual(source.told[-1], "cancel")

    def test_failures(self) -> None:
        """The HTTP status says it, the fields say it exactly; there is no body unless the server sent a message."""
        for messages, content in (((), b""), ((order(text="x"),), b'{"text":"x"}')):
            response = self.ask(answers(*messages, ending=ends(5, b"no%20such")), "GET", "/v1/orders")
            self.assertEqual((response.status, response.headers.get(b"grpc-status")), (404, b"5"))
            self.assertEqual(response.headers.get(b"grpc-message"), b"no%20such")
            self.assertEqual(drain(response.body).data, content)

    def test_a_failure_in_the_head(self) -> None:
        source = Source()
        head = Headers.of([GRPC, *ends(16, b"who"), (b"x-first", b"one")])
        target = Target(does=lambda _: Response(200, head, Body(None, source)))
        response = self.ask(target, "GET", "/v1/orders")
        self.assertEqual((response.status, response.body.empty, source.told), (401, True, ["cancel"]))
        self.assertEqual(
            [response.headers.get(name) for name in (b"content-type", b"grpc-status", b"grpc-message", b"x-first")],
            [b"application/json", b"16", b"who", b"one"],
        )

    def test_a_failure_as_a_document(self) -> None:
        status = status_pb2.Status(code=5, message="rich")
        status.details.add().Pack(message("acme.Failure", code=7))
        details = (b"grpc-status-details-bin", b64encode(status.SerializeToString()))
        expected = {"code": 5, "message": "rich", "details": [{"@type": "type.googleapis.com/acme.Failure", "code": 7}]}
        in_head = Target(does=lambda _: Response(200, Headers.of([GRPC, *ends(5, b"poor", details)])))
        for target in (answers(ending=ends(5, b"poor", details)), in_head):
            response = self.ask(target, "GET", "/v1/orders", convert_grpc_status=True)
            self.assertEqual((response.status, self.json(response)), (404, expected))
            names = {lower for lower, _, _ in response.headers.fields}
            self.assertEqual(names & {b"grpc-status", b"grpc-message", b"grpc-status-details-bin"}, set())
        response = self.ask(answers(ending=ends(5, b"poor%20one")), "GET", "/v1/orders", convert_grpc_status=True)
        self.assertEqual(self.json(response), {"code": 5, "message": "poor one"})

    def test_details_of_a_type_that_nobody_knows(self) -> None:
        status = status_pb2.Status(code=5, message="rich")
        status.details.add(type_url="type.googleapis.com/no.Such", value=b"x")
        details = (b"grpc-status-details-bin", b64encode(status.SerializeToString()))
        response = self.ask(answers(ending=ends(5, b"poor", details)), "GET", "/v1/orders", convert_grpc_status=True)
        self.assertEqual((response.status, response.headers.get(b"grpc-message")), (404, b"poor"))
        self.assertEqual(drain(response.body).data, b"")

    def test_answers_that_are_none(self) -> None:
        for target in (
            answers(ending=ends()),
            answers(order(), order(), ending=ends()),
            answers(order(), ending=[(b"x", b"y")]),
            answers(b"\xff", ending=ends()),
            Target(does=lambda _: Response(200, Headers.of([GRPC, *ends()]))),
        ):
            error = self.refuse(self.layer(target), make_exchange("GET", "/v1/orders"))
            self.assertEqual((error.status, error.reason, error.side), (502, "grpc_bad_response", Side.UPSTREAM))

    def test_a_message_that_is_too_large(self) -> None:
        layer = self.layer(answers(order(text="x" * 20), ending=ends()), max_message="10B")
        error = self.refuse(layer, make_exchange("GET", "/v1/orders"))
        self.assertEqual((error.status, error.reason), (502, "grpc_response_too_large"))

    def test_a_stream_of_requests(self) -> None:
        error = self.refuse(self.layer(Target()), make_exchange("POST", "/v1/collect", body=b"[]"))
        self.assertEqual((error.status, error.reason), (501, "transcode_client_stream"))

    def test_bytes_of_a_type_of_their_own(self) -> None:
        body = message("google.api.HttpBody", content_type="a/b", data=b"\xff\x00")
        response = self.ask(answers(body, ending=ends()), "GET", "/v1/files/a")
        self.assertEqual((response.headers.get_all(b"content-type"), response.body.length), ([b"a/b"], 2))
        self.assertEqual(drain(response.body).data, b"\xff\x00")


class StreamTests(Transcoding):
    def test_one_by_one(self) -> None:
        source = Source()
        body = Body(None, source)
        response = self.ask(answers(body=body), "GET", "/v1/orders:watch")
        self.assertEqual((response.status, response.headers.get(b"content-type")), (200, b"application/json"))
        self.assertIsNone(response.body.length)
        sink = drain(response.body)
        for number in (1, 2):
            body.write(frame(order(small=number).SerializeToString()))
        self.assertEqual(sink.chunks, [b'[{"small":1}', b',{"small":2}'])
        trailers = Headers.of(ends(0, b"", (b"x-last", b"two")))
        body.end(tuple(trailers.fields))
        self.assertEqual((sink.data, list(sink.trailers)), (b'[{"small":1},{"small":2}]', trailers.fields))

    def test_a_slow_reader_stops_the_server(self) -> None:
        source = Source()
        body = Body(None, source)
        response = self.ask(answers(body=body), "GET", "/v1/orders:watch")
        drain(response.body)
        response.body.pause()
        response.body.resume()
        response.body.cancel()
        self.assertEqual(source.told, ["start", "pause", "resume", "cancel"])

    def test_nobody_reads(self) -> None:
        source = Source()
        body = Body(None, source)
        self.ask(answers(body=body), "GET", "/v1/orders:watch")
        body.write(frame(order(text="x" * 70_000).SerializeToString()))
        self.assertEqual(source.told, ["start", "pause"])

    def test_a_line_each(self) -> None:
        response = self.ask(
            answers(order(small=1), order(small=2), ending=ends()),
            "GET",
            "/v1/orders:watch",
            stream_newline_delimited=True,
        )
        self.assertEqual(drain(response.body).data, b'{"small":1}\n{"small":2}\n')

    def test_parts(self) -> None:
        response = self.ask(answers(order(tags=["a"]), order(), ending=ends()), "GET", "/v1/watch/tags")
        self.assertEqual(self.json(response), [["a"], []])

    def test_a_failure_on_the_way(self) -> None:
        """The head is gone; the trailers say it to those who read them."""
        response = self.ask(answers(order(small=1), ending=ends(3, b"late")), "GET", "/v1/fail/3/later")
        sink = drain(response.body)
        self.assertEqual((response.status, sink.data), (200, b'[{"small":1}]'))
        self.assertEqual([value for _, _, value in sink.trailers], [b"3", b"late"])

    def test_a_failure_in_the_head(self) -> None:
        def target() -> Target:
            return Target(does=lambda _: Response(200, Headers.of([GRPC, *ends(3, b"late")])))

        response = self.ask(target(), "GET", "/v1/fail/3/later")
        self.assertEqual((response.status, drain(response.body).data), (400, b"[]"))
        self.assertEqual(response.headers.get(b"grpc-status"), b"3")
        response = self.ask(target(), "GET", "/v1/fail/3/later", stream_newline_delimited=True)
        self.assertEqual((response.status, drain(response.body).data), (400, b""))
        response = self.ask(target(), "GET", "/v1/fail/3/later", convert_grpc_status=True)
        self.assertEqual((response.status, self.json(response)), (400, {"code": 3, "message": "late"}))

    def test_no_messages(self) -> None:
        in_head = Target(does=lambda _: Response(200, Headers.of([GRPC, *ends()])))
        for target in (in_head, answers(ending=ends())):
            response = self.ask(target, "GET", "/v1/orders:watch")
            self.assertEqual((response.status, self.json(response)), (200, []))
        in_head = Target(does=lambda _: Response(200, Headers.of([GRPC, *ends()])))
        self.assertTrue(self.ask(in_head, "GET", "/v1/pieces/a").body.empty)

    def test_a_message_that_is_none_tears_it(self) -> None:
        source = Source()
        body = Body(None, source)
        sink = drain(self.ask(answers(order(small=1), body=body), "GET", "/v1/orders:watch").body)
        body.write(frame(b"\xff"))
        assert sink.error is not None
        self.assertEqual((sink.data, sink.ended, sink.error.reason), (b'[{"small":1}', False, "grpc_bad_response"))
        self.assertEqual(source.told[-1], "cancel")

    def test_bytes_of_a_type_of_their_own(self) -> None:
        body = Body(None, Source())
        waiting = self.start(self.layer(answers(body=body)), make_exchange("GET", "/v1/pieces/a"))
        self.assertNoResult(waiting)
        for data in (b"ab", b"cd"):
            body.write(frame(message("google.api.HttpBody", content_type="a/b", data=data).SerializeToString()))
        response = self.successResultOf(waiting)
        self.assertEqual((response.status, response.headers.get_all(b"content-type")), (200, [b"a/b"]))
        body.end(tuple(Headers.of(ends()).fields))
        self.assertEqual(drain(response.body).data, b"abcd")


class BuildTests(Case):
    def test_problems_are_all_told_and_requests_pass(self) -> None:
        problems = Problems()
        around = Surroundings(cast(Any, None), cast(Any, None), Path("/no"), problems.under("grpc", "transcode"))
        target = Target()
        layer = TRANSCODE.build(TranscodeStepSettings(descriptors="such.pb"), around)(target)
        self.assertEqual([problem.loc for problem in problems], [("grpc", "transcode", "descriptors")])
        self.assertEqual(self.respond(layer, make_exchange("GET", "/v1/orders")).status, 200)
