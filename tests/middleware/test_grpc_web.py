"""Tests of edgegw.middleware.grpc_web."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from twisted.internet.task import Clock

from edgegw.config.problems import Problems
from edgegw.errors import GatewayError
from edgegw.exchange.body import EMPTY, Body
from edgegw.exchange.model import Exchange, Response
from edgegw.middleware.grpc import GRPC_CALLS, GrpcCallSettings
from edgegw.middleware.grpc_web import GRPC_WEB, GrpcSettings, GrpcWebSettings, cors_of
from edgegw.middleware.interfaces import Surroundings
from edgegw.runtime.wheel import Wheel
from edgegw.testing.bodies import Source
from edgegw.testing.exchanges import drain, make_exchange
from edgegw.wire.grpc import frame
from edgegw.wire.grpc_web import trailer_frame
from edgegw.wire.headers import Field, Headers
from tests.middleware.running import Case, Target, sent

APP = b"https://app.example.com"
OK: tuple[Field, ...] = ((b"grpc-status", b"grpc-status", b"0"), (b"x-end", b"x-end", b"1"))
NATIVE = (b"content-type", b"application/grpc")
Fields = Sequence[tuple[bytes, bytes]]


def call(
    kind: bytes = b"application/grpc-web+proto", fields: Fields = (), body: Body | bytes = EMPTY, version: str = "1.1"
) -> Exchange:
    return make_exchange("POST", "/acme.Orders/Get", [(b"Content-Type", kind), *fields], body, version=version)


class WebCase(Case):
    def setUp(self) -> None:
        self.source = Source()
        self.answer = Body(None, self.source)

    def answers(self, _: Exchange) -> Response:
        if self.answer.started:
            self.answer = Body(None, self.source)
        return Response(200, Headers.of([NATIVE, (b"x-begin", b"1")]), self.answer)

    def layer(self, target: Target | None = None, **settings: Any) -> Any:
        made = GrpcWebSettings.model_validate(settings)
        return GRPC_WEB.build(made, None)(target or Target(does=self.answers))  # type: ignore[arg-type]


class RequestTests(WebCase):
    def test_made_a_call(self) -> None:
        metadata = [(b"X-A", b"1"), (b"trace-bin", b"AAEC"), (b"x-a", b"2"), (b"X-Grpc-Web", b"1")]
        body = Body(7)
        exchange = call(fields=[*metadata, (b"Content-Length", b"7"), (b"TE", b"gzip")], body=body)
        self.respond(self.layer(), exchange)
        self.assertEqual(
            list(exchange.request.headers),
            [
                (b"Host", b"example.com"),
                (b"Content-Type", b"application/grpc+proto"),
                *metadata,
                (b"TE", b"trailers"),
            ],
        )
        self.assertIs(exchange.request.body, body)
        self.assertEqual(exchange.head.headers.get(b"content-type"), b"application/grpc-web+proto")

    def test_others_pass_by(self) -> None:
        for kind in (b"application/grpc", b"application/json", b"application/grpc-webs"):
            exchange = call(kind)
            before = exchange.request.headers
            response = self.respond(self.layer(), exchange)
            self.assertIs(exchange.request.headers, before)
            self.assertIs(response.body, self.answer)

    def test_off(self) -> None:
        exchange = call()
        target = Target()
        self.assertIs(GRPC_WEB.build(GrpcWebSettings.model_validate(False), None)(target), target)  # type: ignore[arg-type]
        self.respond(target, exchange)
        self.assertEqual(sent(exchange, b"content-type"), {b"content-type": [b"application/grpc-web+proto"]})

    def test_text(self) -> None:
        """Pieces that were encoded one by one, cut anywhere."""
        body = Body(None)
        exchange = call(b"application/grpc-web-text", body=body)
        self.respond(self.layer(), exchange)
        sink = drain(exchange.request.body)
        text = base64.b64encode(frame(b"a")[:4]) + base64.b64encode(frame(b"a")[4:])
        for at in range(0, len(text), 5):
            body.write(text[at : at + 5])
        body.end()
        self.assertEqual((sink.data, sink.ended), (frame(b"a"), True))

    def test_text_that_is_none(self) -> None:
        for text in (b"AAAA!AAA", b"AAAAA"):
            source = Source()
            body = Body(None, source)
            exchange = call(b"application/grpc-web-text", body=body)
            self.respond(self.layer(), exchange)
            sink = drain(exchange.request.body)
            body.write(text)
            body.end()
            assert sink.error is not None
            self.assertEqual((sink.error.status, sink.error.reason), (400, "grpc_web_bad_text"))


class AnswerTests(WebCase):
    def test_trailers_become_the_last_frame(self) -> None:
        response = self.respond(self.layer(), call())
        self.assertEqual(list(response.headers), [(b"x-begin", b"1"), (b"Content-Type", b"application/grpc-web+proto")])
        self.assertIsNone(response.body.length)
        sink = drain(response.body)
        self.answer.write(frame(b"a"))
        self.assertEqual(sink.chunks, [frame(b"a")])
        self.answer.end(OK)
        self.assertEqual((sink.chunks[1:], sink.ended, sink.trailers), ([trailer_frame(OK)], True, ()))

    def test_text_leaves_message_by_message(self) -> None:
        response = self.respond(self.layer(), call(b"application/grpc-web-text"))
        self.assertEqual(response.headers.get(b"content-type"), b"application/grpc-web-text+proto")
        sink = drain(response.body)
        for message in (frame(b"a"), frame(b"bc"), frame(b"def") + frame(b"")):
            self.answer.write(message)
        self.answer.end(OK)
        parts = [frame(b"a"), frame(b"bc"), frame(b"def"), frame(b""), trailer_frame(OK)]
        texts = [base64.b64encode(part) for part in parts]
        self.assertEqual(sink.chunks, [texts[0], texts[1], texts[2] + texts[3], texts[4]])

    def test_accept_says_which(self) -> None:
        response = self.respond(self.layer(), call(fields=[(b"Accept", b"application/grpc-web-text")]))
        self.assertEqual(response.headers.get(b"content-type"), b"application/grpc-web-text+proto")

    def test_whole_already(self) -> None:
        """What came with the head leaves with it, and its length is known."""
        self.answer.write(frame(b"a"))
        self.answer.end(OK)
        body = self.respond(self.layer(), call()).body
        self.assertEqual((body.ended, body.length), (True, body.size))
        self.assertEqual(body.take_ready(), frame(b"a") + trailer_frame(OK))

    def test_trailers_without_a_message(self) -> None:
        self.answer.end(OK)
        self.assertEqual(self.respond(self.layer(), call()).body.take_ready(), trailer_frame(OK))

    def test_all_in_the_head(self) -> None:
        """As Envoy does: only the content type changes."""
        target = Target(NATIVE, (b"grpc-status", b"5"), (b"grpc-message", b"no"), (b"Content-Length", b"0"))
        response = self.respond(self.layer(target), call(b"application/grpc-web-text"))
        self.assertEqual(response.body, EMPTY)
        self.assertEqual(
            list(response.headers),
            [
                (b"grpc-status", b"5"),
                (b"grpc-message", b"no"),
                (b"Content-Type", b"application/grpc-web-text+proto"),
            ],
        )

    def test_backpressure_and_leaving(self) -> None:
        body = self.respond(self.layer(), call()).body
        drain(body)
        body.pause()
        body.resume()
        body.cancel()
        self.assertEqual(self.source.told, ["start", "pause", "resume", "cancel"])

    def test_suffix_of_the_answer(self) -> None:
        target = Target((b"content-type", b"application/grpc+json"))
        response = self.respond(self.layer(target), call(b"application/grpc-web+json"))
        self.assertEqual(response.headers.get(b"content-type"), b"application/grpc-web+json")

    def test_what_is_not_grpc_stays(self) -> None:
        response = self.respond(self.layer(Target((b"content-type", b"text/html"))), call())
        self.assertEqual(response.headers.get(b"content-type"), b"text/html")


class TogetherTests(WebCase):
    """Around the layer for calls, as the gateway puts them together."""

    def both(self, **settings: Any) -> Any:
        clock = Clock()
        around = Surroundings(clock, Wheel(clock), Path(), Problems())
        calls = GRPC_CALLS.build(GrpcCallSettings.model_validate({"max_message": "10B"}), around)
        made = GrpcWebSettings.model_validate(settings)
        return GRPC_WEB.build(made, around)(calls(Target(does=self.answers)))

    def test_an_upstream_that_breaks_off(self) -> None:
        exchange = call()
        sink = drain(self.respond(self.both(), exchange).body)
        self.answer.write(frame(b"a"))
        self.answer.abort(GatewayError(502, "upstream_reset"))
        last = b"grpc-status:14\r\ngrpc-message:upstream_reset: Bad Gateway\r\n"
        self.assertEqual((sink.data, sink.ended), (frame(b"a") + b"\x80\0\0\0" + bytes([len(last)]) + last, True))
        assert exchange.failure is not None

    def test_a_message_too_large_in_text(self) -> None:
        body = Body(None)
        exchange = call(b"application/grpc-web-text", body=body)
        self.respond(self.both(), exchange)
        sink = drain(exchange.request.body)
        body.write(base64.b64encode(frame(b"x" * 11)))
        assert sink.error is not None
        self.assertEqual(sink.error.reason, "grpc_message_too_large")

    def test_a_page_of_a_proxy(self) -> None:
        self.answers = lambda _: Response(503, Headers.of([(b"content-type", b"text/html")]), Body.of(b"x"))  # type: ignore[method-assign]
        response = self.respond(self.both(origins=[APP.decode()]), call(fields=[(b"Origin", APP)]))
        self.assertEqual((response.status, response.body), (200, EMPTY))
        self.assertEqual(response.headers.get(b"grpc-status"), b"14")
        self.assertEqual(response.headers.get(b"content-type"), b"application/grpc-web+proto")
        self.assertEqual(response.headers.get(b"access-control-allow-origin"), APP)


class CorsTests(WebCase):
    ORIGINS = ("https://app.example.com", "https://*.shop.example")

    def granted(self, origin: bytes | None, *origins: str) -> dict[bytes, bytes]:
        fields = [(b"Origin", origin)] if origin is not None else []
        response = self.respond(self.layer(origins=list(origins or self.ORIGINS)), call(fields=fields))
        return {
            name: value for name, _, value in response.headers.fields if name.startswith(b"access-") or name == b"vary"
        }

    def test_answers(self) -> None:
        for origin in (APP, b"https://a.shop.example", b"https://APP.example.com:443"):
            with self.subTest(origin=origin):
                self.assertEqual(
                    self.granted(origin),
                    {
                        b"access-control-allow-origin": origin,
                        b"access-control-expose-headers": b"grpc-status, grpc-message, grpc-status-details-bin",
                        b"vary": b"Origin",
                    },
                )

    def test_strangers(self) -> None:
        for origin in (
            None,
            b"https://evil.example",
            b"null",
            b"http://app.example.com",
            b"\xff",
            b"https://shop.example",
        ):
            with self.subTest(origin=origin):
                self.assertEqual(self.granted(origin), {b"vary": b"Origin"})

    def test_any(self) -> None:
        self.assertEqual(
            self.granted(b"https://evil.example", "*")[b"access-control-allow-origin"], b"https://evil.example"
        )

    def test_without_origins_it_is_the_upstreams_affair(self) -> None:
        target = Target(NATIVE, (b"Access-Control-Allow-Origin", b"*"))
        response = self.respond(self.layer(target), call(fields=[(b"Origin", APP)]))
        self.assertEqual(response.headers.get_all(b"access-control-allow-origin"), [b"*"])
        self.assertNotIn(b"vary", response.headers)

    def test_what_the_upstream_says_gives_way(self) -> None:
        target = Target(NATIVE, (b"Access-Control-Allow-Origin", b"*"))
        response = self.respond(self.layer(target, origins=self.ORIGINS), call(fields=[(b"Origin", APP)]))
        self.assertEqual(response.headers.get_all(b"access-control-allow-origin"), [APP])

    def test_errors_are_told_too(self) -> None:
        layer = self.layer(Target(does=GatewayError(503, "no_endpoint")), origins=self.ORIGINS)
        error = self.refuse(layer, call(fields=[(b"Origin", APP)]))
        self.assertIn((b"Access-Control-Allow-Origin", APP), error.headers)

    def test_an_error_that_is_raised_again_tells_each_page_its_own(self) -> None:
        trouble = GatewayError(503, "no_endpoint", headers=[(b"Retry-After", b"1")])
        layer = self.layer(Target(does=trouble), origins=self.ORIGINS)
        told = []
        for origin in (APP, b"https://a.shop.example", b"https://evil.example"):
            headers = self.refuse(layer, call(fields=[(b"Origin", origin)])).headers
            told.append([value for name, value in headers if name == b"Access-Control-Allow-Origin"])
            self.assertEqual(sorted({name for name, _ in headers}), sorted(name for name, _ in headers))
        self.assertEqual(told, [[APP], [b"https://a.shop.example"], []])
        self.assertIn((b"Retry-After", b"1"), trouble.headers)

    def test_other_requests_are_not(self) -> None:
        layer = self.layer(Target(), origins=self.ORIGINS)
        response = self.respond(layer, make_exchange("GET", headers=[(b"Origin", APP)]))
        self.assertEqual(len(response.headers), 0)

    def test_settings(self) -> None:
        self.assertEqual(GrpcSettings.model_validate({"web": False}).web.enabled, False)
        self.assertEqual(GrpcSettings.model_validate({"web": True}).web, GrpcWebSettings())
        self.assertEqual(GrpcSettings.model_validate({"web": {"origins": ["https://a"]}}).web.origins, ("https://a",))
        for wrong in ({"origins": ["a.example.com"]}, {"origins": ["https://a/b"]}, {"origins": "https://a"}, "yes", 1):
            with self.subTest(wrong=wrong), self.assertRaises(ValidationError):
                GrpcSettings.model_validate({"web": wrong})

    def test_no_grant_without_origins_or_when_off(self) -> None:
        for settings in ({}, {"enabled": False, "origins": ["https://a"]}):
            self.assertIsNone(cors_of(GrpcWebSettings.model_validate(settings)))


class PreflightTests(WebCase):
    ASKED = b"Content-Type, X-Grpc-Web, x-user-agent,grpc-timeout , authorization"

    def ask(self, origin: bytes | None = APP, method: bytes = b"POST", names: bytes = ASKED) -> Response | None:
        fields = [(b"Access-Control-Request-Method", method), (b"Access-Control-Request-Headers", names)]
        if origin is not None:
            fields.append((b"Origin", origin))
        cors = cors_of(GrpcWebSettings.model_validate({"origins": [APP.decode()]}))
        assert cors is not None
        return cors.preflight(make_exchange("OPTIONS", "/acme.Orders/Get", fields))

    def test_granted(self) -> None:
        response = self.ask()
        assert response is not None
        self.assertEqual((response.status, response.body), (204, EMPTY))
        self.assertEqual(
            list(response.headers),
            [
                (b"Vary", b"Origin, Access-Control-Request-Method, Access-Control-Request-Headers"),
                (b"Access-Control-Allow-Origin", APP),
                (b"Access-Control-Allow-Methods", b"POST"),
                (
                    b"Access-Control-Allow-Headers",
                    b"content-type, x-grpc-web, x-user-agent, grpc-timeout, authorization",
                ),
                (b"Access-Control-Max-Age", b"7200"),
            ],
        )

    def test_refused(self) -> None:
        """Answered here, without a grant."""
        many = b",".join(b"x-%d" % number for number in range(64))
        for origin, names in (
            (b"https://evil.example", self.ASKED),
            (APP, b"x-grpc-web, a b"),
            (APP, b"x-grpc-web," + many),
        ):
            with self.subTest(origin=origin, names=names):
                response = self.ask(origin, names=names)
                assert response is not None
                self.assertEqual((response.status, [name for name, _ in response.headers]), (204, [b"Vary"]))

    def test_not_about_a_call(self) -> None:
        """Of those the target may know more."""
        self.assertIsNone(self.ask(origin=None))
        self.assertIsNone(self.ask(method=b"PUT"))
        self.assertIsNone(self.ask(names=b"content-type"))
