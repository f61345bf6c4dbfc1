"""What answers in a target's place, when it may, and when it must not."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError
from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from edgegw.config.problems import Problems
from edgegw.errors import GatewayError, Phase, Retry, Side
from edgegw.exchange.body import Body
from edgegw.exchange.interfaces import Responder
from edgegw.exchange.model import Exchange, Outcome, Response
from edgegw.observe.metrics import Registry
from edgegw.targets.fallback import KEPT, Fallback, FallbackSettings, Kept, trouble
from edgegw.targets.proxy import Proxy
from edgegw.targets.respond import Respond
from edgegw.testing.exchanges import drain, make_exchange
from edgegw.testing.origin import Origin, OriginConnection, answer, cluster, refused
from edgegw.upstream.retry import RetrySettings

REFUSES = GatewayError(503, "breaker_refuses", phase=Phase.CHOOSE)
ANY = ["breaker", "no_endpoint", "bulkhead", "connect", "reset", "timeout"]


def reset(wire: OriginConnection) -> None:
    wire.reset()


def nothing(wire: OriginConnection) -> None:
    """Says nothing."""


def proxy(origin: Origin) -> Proxy:
    """One attempt, so that the fallback is what comes next."""
    once = RetrySettings(attempts=0)
    return Proxy(cluster(origin), 5.0, 10.0, origin.clock.seconds, Registry().upstream("shop"), once)


class Case(SynchronousTestCase):
    """A route to an origin; if that cannot answer, to another one or to a fixed answer."""

    def route(
        self,
        *script: Any,
        other: tuple[Any, ...] = (answer(b"other"),),
        target: Responder | None = None,
        **settings: Any,
    ) -> None:
        self.origin = Origin(*script)
        self.other = Origin(*other, clock=self.origin.clock, wheel=self.origin.wheel)
        self.counted: list[str] = []
        said = FallbackSettings.model_validate(settings or {"to": "other"})
        fixed = Respond.compile(said.respond, Problems()) if said.respond is not None else None
        self.made = Fallback(target or proxy(self.origin), fixed or proxy(self.other), said, self.counted.append)

    def start(self, exchange: Exchange) -> Deferred[Response]:
        exchange.started_s = self.origin.clock.seconds()
        return Deferred.fromCoroutine(self.made(exchange))

    def get(self, exchange: Exchange, wait_s: float = 0.0) -> tuple[int, bytes]:
        deferred = self.start(exchange)
        self.origin.turn(wait_s)
        response = self.successResultOf(deferred)
        data = drain(response.body).data
        exchange.end(Outcome(response.status, True, 0, len(data), None))
        return response.status, data

    def reason(self, exchange: Exchange, wait_s: float = 0.0) -> str:
        deferred = self.start(exchange)
        self.origin.turn(wait_s)
        error = self.failureResultOf(deferred, GatewayError).value
        assert isinstance(error, GatewayError)
        return error.reason


def fails(error: BaseException) -> Responder:
    async def target(exchange: Exchange) -> Response:
        raise error

    return target


class WhenTests(Case):
    def test_kinds_of_trouble(self) -> None:
        up = {"side": Side.UPSTREAM}
        for error, expected in (
            (REFUSES, "breaker"),
            (GatewayError(503, "no_endpoint", phase=Phase.CHOOSE), "no_endpoint"),
            (GatewayError(503, "bulkhead_full"), "bulkhead"),
            (GatewayError(503, "pool_queue_timeout"), "bulkhead"),
            (refused(), "connect"),
            (GatewayError(503, "upstream_refused_stream", retry=Retry.ALWAYS, **up), "connect"),
            (GatewayError(502, "upstream_reset", phase=Phase.RESPONSE_HEAD, **up), "reset"),
            (GatewayError(504, "upstream_head_timeout", phase=Phase.RESPONSE_HEAD, **up), "timeout"),
            (GatewayError(504, "try_timeout"), "timeout"),
            (GatewayError(502, "bad_status_line", phase=Phase.RESPONSE_HEAD, **up), "reset"),
            (GatewayError(502, "upstream_http2_only", phase=Phase.CONNECT, **up), "reset"),
            (GatewayError(408, "body_timeout", side=Side.DOWNSTREAM), None),
            (GatewayError(508, "loop_detected"), None),
            (GatewayError(504, "total_timeout"), None),
        ):
            self.assertEqual(trouble(error), expected, error)

    def test_default(self) -> None:
        """Nothing that may have been processed already."""
        for error, helped in (
            (REFUSES, True),
            (refused(), True),
            (GatewayError(503, "no_endpoint"), True),
            (GatewayError(503, "bulkhead_timeout"), True),
            (GatewayError(502, "upstream_reset", side=Side.UPSTREAM), False),
            (GatewayError(504, "upstream_head_timeout", side=Side.UPSTREAM), False),
            (GatewayError(413, "body_too_large", side=Side.DOWNSTREAM), False),
        ):
            self.route(target=fails(error))
            exchange = make_exchange()
            if helped:
                self.assertEqual(self.get(exchange), (200, b"other"))
                self.assertEqual((self.counted, exchange.flag), ([error.reason], f"fallback:{error.reason}"))
            else:
                self.assertEqual((self.reason(exchange), self.counted, exchange.flag), (error.reason, [], ""))

    def test_without_it(self) -> None:
        """What a client gets with the fallback switched off."""
        self.route(target=fails(REFUSES), to="other", on=["connect"])
        self.assertEqual(self.reason(make_exchange()), "breaker_refuses")

    def test_an_answer_is_an_answer(self) -> None:
        self.route(answer(b"mine", 503))
        exchange = make_exchange()
        self.assertEqual(self.get(exchange), (503, b"mine"))
        self.assertEqual((exchange.flag, self.other.attempts), ("", 0))

    def test_defects_and_cancelled_exchanges(self) -> None:
        for error in (ZeroDivisionError(), CancelledError()):
            self.route(target=fails(error), to="other", on=ANY)
            body = Body(None)
            self.failureResultOf(self.start(make_exchange("POST", body=body)), type(error))
            self.assertEqual((self.other.attempts, body.error and body.error.reason), (0, "body_cancelled"))

    def test_only_idempotent_requests_are_done_twice(self) -> None:
        for method, expected in (("GET", 200), ("PUT", 200), ("POST", 502), ("PATCH", 502)):
            self.route(*[reset] * 5, to="other", on=["reset"])
            exchange = make_exchange(method, body=b"x" if method != "GET" else b"")
            if expected == 200:
                self.assertEqual(self.get(exchange), (200, b"other"), method)
            else:
                self.assertEqual(self.reason(exchange), "upstream_reset", method)
                self.assertEqual(self.other.attempts, 0)

    def test_timeouts(self) -> None:
        self.route(*[nothing] * 5, to="other", on=["timeout"])
        self.assertEqual(self.get(make_exchange(), 12), (200, b"other"))

    def test_the_other_fails_as_well(self) -> None:
        self.route(target=fails(REFUSES))
        self.other.faults = [refused() for _ in range(9)]
        exchange = make_exchange()
        self.assertEqual(self.reason(exchange), "connect_refused")
        exchange.end(Outcome(503, True, 0, 0, refused()))
        self.assertEqual((self.counted, exchange.flag), (["breaker_refuses"], ""), "its own reason is the record's")


class StatusTests(Case):
    def test_of_an_answer(self) -> None:
        self.route(answer(b"mine", 502), to="other", on=["502-504"])
        exchange = make_exchange()
        self.assertEqual(self.get(exchange), (200, b"other"))
        self.assertEqual((self.counted, exchange.flag), (["status_502"], "fallback:status_502"))
        self.route(answer(b"mine", 500), to="other", on=["502-504"])
        self.assertEqual(self.get(make_exchange()), (500, b"mine"))

    def test_with_a_body(self) -> None:
        self.route(answer(b"", 503), to="other", on=[503])
        self.assertEqual(self.get(make_exchange("PUT", body=b"content")), (200, b"other"))
        self.assertEqual([each.body for each in (*self.origin.requests, *self.other.requests)], [b"content"] * 2)

    def test_while_the_body_still_comes(self) -> None:
        """The first one answers early; the other one gets all of it."""
        self.route(to="other", on=[503])
        body = Body(None)
        exchange = make_exchange("PUT", body=body)
        deferred = self.start(exchange)
        body.write(b"abc")
        self.origin.connections[0].send(b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n")
        self.origin.turn()
        body.write(b"def")
        body.end()
        self.origin.turn()
        self.assertEqual(drain(self.successResultOf(deferred).body).data, b"other")
        self.assertEqual(self.other.requests[0].body, b"abcdef")

    def test_a_post_is_not_done_twice_but_may_be_answered(self) -> None:
        self.route(answer(b"mine", 503), to="other", on=[503])
        self.assertEqual(self.get(make_exchange("POST", body=b"x")), (503, b"mine"))
        self.route(answer(b"mine", 503), respond={"status": 503, "body": "sorry"}, on=[503])
        self.assertEqual(self.get(make_exchange("POST", body=b"x")), (503, b"sorry"))

    def test_the_answer_that_is_not_wanted_is_let_go(self) -> None:
        self.route(nothing, to="other", on=[503])
        exchange = make_exchange()
        deferred = self.start(exchange)
        self.origin.connections[0].send(b"HTTP/1.1 503 No\r\nContent-Length: 100\r\n\r\nabc")
        self.origin.turn()
        self.assertEqual(self.successResultOf(deferred).status, 200)
        wire = self.origin.connections[0]
        self.assertTrue(wire.aborted or wire.closed)


class BodyTests(Case):
    """A body can be sent as long as all of it is here."""

    def refused(self, body: Body) -> Exchange:
        self.route(to="other", on=ANY)
        self.origin.faults = [refused() for _ in range(9)]
        return make_exchange("POST", body=body)

    def test_complete(self) -> None:
        exchange = self.refused(Body.of(b"content"))
        self.assertEqual(self.get(exchange), (200, b"other"))
        self.assertEqual(self.other.requests[0].body, b"content")

    def test_still_coming(self) -> None:
        body = Body(10)
        exchange = self.refused(body)
        body.write(b"01234")
        deferred = self.start(exchange)
        self.origin.turn()
        body.write(b"56789")
        body.end()
        self.origin.turn()
        self.assertEqual(self.successResultOf(deferred).status, 200)
        self.assertEqual(self.other.requests[0].body, b"0123456789")
        self.assertIn((b"Content-Length", b"10"), self.other.requests[0].fields)

    def broken(self, content: bytes) -> tuple[Exchange, Deferred[Response]]:
        """The first one breaks off when it has read this much of a PUT; the pool's own attempts are over."""
        self.route(to="other", on=ANY)
        body = Body(None)
        exchange = make_exchange("PUT", body=body)
        deferred = self.start(exchange)
        for at in range(0, len(content), 8192):
            body.write(content[at : at + 8192])
        for _ in range(9):
            if self.other.attempts or self.origin.connections[-1]._lost:
                break
            self.origin.connections[-1].reset()
            self.origin.turn()
        body.end()
        self.origin.turn()
        return exchange, deferred

    def test_partly_read(self) -> None:
        _, deferred = self.broken(b"x" * 20_000)
        self.assertEqual(self.successResultOf(deferred).status, 200)
        self.assertEqual(self.other.requests[0].body, b"x" * 20_000)

    def test_more_is_gone_than_was_kept(self) -> None:
        _, deferred = self.broken(b"x" * (KEPT + 8192))
        self.assertEqual(self.failureResultOf(deferred, GatewayError).value.reason, "upstream_reset")  # type: ignore[attr-defined]
        self.assertEqual((self.other.attempts, self.counted), (0, []))

    def test_a_client_that_broke_off_is_not_served(self) -> None:
        body = Body(None)
        exchange = self.refused(body)
        self.origin.faults, self.origin.held = [], []
        deferred = self.start(exchange)
        body.abort(GatewayError(408, "body_timeout", side=Side.DOWNSTREAM))
        for waiting in self.origin.held:
            waiting.errback(refused())
        self.origin.turn()
        self.origin.held = None
        self.origin.turn(5)
        self.failureResultOf(deferred, GatewayError)
        self.assertEqual(self.other.attempts, 0)

    def test_nothing_is_kept_behind_an_answer(self) -> None:
        body = Body(None)
        self.route(nothing)
        exchange = make_exchange("PUT", body=body)
        deferred = self.start(exchange)
        body.write(b"abc")
        self.origin.connections[0].send(b"HTTP/1.1 200 Fine\r\nContent-Length: 3\r\n\r\nok")
        self.origin.turn()
        self.successResultOf(deferred)
        body.write(b"def")
        body.end()
        self.assertEqual(self.origin.requests[0].body, b"abcdef")

    def test_the_rest_is_not_wanted_when_a_fixed_answer_is_given(self) -> None:
        body = Body(None)
        self.route(target=fails(REFUSES), respond="sorry")
        self.assertEqual(self.get(make_exchange("POST", body=body)), (200, b"sorry"))
        self.assertEqual(body.error and body.error.reason, "body_cancelled")


class KeptTests(SynchronousTestCase):
    def test_the_pace_of_the_second_reader(self) -> None:
        told: list[str] = []

        class Source:
            def __getattr__(self, name: str) -> Any:
                return lambda: told.append(name)

        inner = Body(None, Source())
        kept = Kept(inner)
        first = drain(kept.body)
        inner.write(b"abc")
        kept.body.cancel()
        self.assertEqual(told, ["start", "pause"], "it waits for another reader")
        inner.write(b"def")
        second = drain(kept.again())
        inner.write(b"ghi")
        inner.end()
        self.assertEqual((first.data, second.data, second.ended), (b"abc", b"abcdefghi", True))
        self.assertEqual(told, ["start", "pause", "resume"])

    def test_who_leaves_last_ends_it(self) -> None:
        for leave in (Kept.settle, Kept.give_up):
            inner = Body(None)
            kept = Kept(inner)
            drain(kept.body)
            kept.body.cancel()
            self.assertIsNone(inner.error)
            leave(kept)
            self.assertEqual(inner.error and inner.error.reason, "body_cancelled")

    def test_one_that_is_read_late(self) -> None:
        """The target answered first."""
        inner = Body(None)
        kept = Kept(inner)
        kept.settle()
        sink = drain(kept.body)
        inner.write(b"abc")
        inner.end()
        self.assertEqual((sink.data, sink.ended), (b"abc", True))


class FixedTests(Case):
    def test_fixed_answers(self) -> None:
        for on, script in ((ANY, [reset] * 5), (["breaker"], [])):
            target = fails(REFUSES) if not script else None
            self.route(*script, target=target, respond={"status": 503, "body": "back soon"}, on=on)
            self.assertEqual(self.get(make_exchange("POST", body=b"x")), (503, b"back soon"))

    def test_grpc_calls_get_the_error(self) -> None:
        """It becomes a grpc-status; a page would be nothing to them."""
        self.route(target=fails(REFUSES), respond={"body": "back soon"})
        call = make_exchange("POST", headers=[(b"Content-Type", b"application/grpc")], body=b"\0\0\0\0\0")
        self.assertEqual(self.reason(call), "breaker_refuses")
        self.route(target=fails(REFUSES))
        call = make_exchange("POST", headers=[(b"Content-Type", b"application/grpc")], body=b"\0\0\0\0\0")
        self.assertEqual(self.get(call)[0], 200)

    def test_handshakes_end_their_connection(self) -> None:
        fields = [(b"Connection", b"upgrade"), (b"Upgrade", b"websocket")]
        self.route(target=fails(REFUSES), respond={"status": 503})
        for version, close in (("1.1", True), ("2", False)):
            response = self.successResultOf(self.start(make_exchange(headers=fields, version=version)))
            self.assertEqual(response.close, close)
        self.assertFalse(self.successResultOf(self.start(make_exchange())).close)


class SettingsTests(SynchronousTestCase):
    def test_forms(self) -> None:
        made = FallbackSettings.model_validate("other")
        self.assertEqual(
            (made.to, made.respond, made.on), ("other", None, ("breaker", "no_endpoint", "bulkhead", "connect"))
        )
        for wrong in ({}, {"to": "a", "respond": 200}, {"respond": 200, "meta": {"a": "b"}}, {"to": "a", "on": []}):
            self.assertRaises(ValidationError, FallbackSettings.model_validate, wrong)
