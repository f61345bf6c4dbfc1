"""Drills of reference/trust.md A7, in memory and on an injected clock: upstreams that die, hang, refuse, lie and overload."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from h2.errors import ErrorCodes
from twisted.internet.defer import Deferred

from edgegw.errors import GatewayError, Phase, Retry, Side
from edgegw.exchange.model import Outcome, Response
from edgegw.observe.metrics import Registry
from edgegw.targets.proxy import Proxy
from edgegw.testing.downstream import Desk, request
from edgegw.testing.exchanges import drain, make_exchange
from edgegw.testing.http2 import Http2Desk
from edgegw.testing.origin import Origin, OriginConnection, answer, cluster, refused
from edgegw.upstream.breaker import Breaker
from edgegw.upstream.cluster import Cluster
from edgegw.upstream.retry import RetrySettings
from edgegw.upstream.standing import Hold
from tests.net.http2_origin import Http2Origin
from tests.targets.test_proxy import Case, nothing, reset
from tests.wire.tables import OK, UPSTREAM

Act = Callable[[Any], None] | bytes


class Always(list[Any]):
    """A script without an end: every request is answered by this."""

    def __init__(self, what: Any) -> None:
        super().__init__([what])

    def pop(self, at: Any = 0) -> Any:
        return self[0]


def refuse_stream(wire: Any, sid: int) -> None:
    wire.reset_stream(sid, ErrorCodes.REFUSED_STREAM)


class Drill(Case):
    """An upstream as it is by default, breaker and outlier detection included."""

    wait_s = 0.1

    def build(self, *answers: Any, retry: dict[str, Any] | None = None, http2: bool = False, **settings: Any) -> None:
        kind: Any = Http2Origin if http2 else Origin
        first = kind()
        self.origins = [first, *(kind(clock=first.clock, wheel=first.wheel) for _ in answers[1:])]
        for origin, what in zip(self.origins, answers, strict=True):
            origin.script = Always(what)
        self.registry = Registry()
        said = {"retry": RetrySettings.model_validate(retry or {}), **settings}
        made: Any = self.origins
        self.cluster: Cluster = cluster(*made, **said)
        self.made = Proxy(self.cluster, 5.0, 10.0, first.clock.seconds, self.registry.upstream("shop"))

    def many(self, count: int, method: str = "GET", at_once: int = 10, every_s: float = 0.1) -> dict[str, int]:
        """What so many exchanges came to: statuses and reasons."""
        found: dict[str, int] = {}

        def came(response: Response, exchange: Any) -> None:
            drain(response.body)
            exchange.end(Outcome(response.status, True, 0, 0, None))
            found[str(response.status)] = found.get(str(response.status), 0) + 1

        def failed(failure: Any) -> None:
            error = failure.value
            found[error.reason] = found.get(error.reason, 0) + 1

        for _ in range(count // at_once):
            for _ in range(at_once):
                exchange = make_exchange(method)
                self.start(exchange).addCallback(came, exchange).addErrback(failed)
            self.turn(every_s)
        self.turn(1)
        self.assertEqual((sum(found.values()), sum(self.in_flight())), (count, 0))
        return found

    def load(self) -> int:
        """Requests that reached the upstream."""
        return sum(len(getattr(origin, "asked", None) or getattr(origin, "requests", ())) for origin in self.origins)

    def assert_clean(self) -> None:
        self.turn(1)
        self.assertEqual([endpoint.pool.leased for endpoint in self.cluster.endpoints], [0] * len(self.origins))


class KilledInTheMiddle(Drill):
    """R1: the client never sees a complete message, and breaker and outliers hear of it."""

    PART = OK + b"Content-Length: 1000000\r\n\r\n" + bytes(300_000)

    def through(self, desk: Any) -> Any:
        first = Origin(clock=desk.clock, wheel=desk.wheel)
        self.origins = [first]
        self.cluster = cluster(first)
        proxy = Proxy(self.cluster, 5.0, 10.0, desk.clock.seconds, Registry().upstream("shop"))
        desk.script.steps = [proxy] * 30
        return desk

    def killed(self, transport: Any) -> None:
        wire = self.origins[0].connections[-1]
        wire.send(self.PART)
        transport.settle()
        wire.reset()
        transport.settle()

    def assert_noted(self, desk: Any) -> None:
        (outcome,) = desk.outcomes
        self.assertEqual((outcome.complete, outcome.error.reason), (False, "upstream_aborted"))
        breaker = self.cluster.breaker
        assert breaker is not None
        self.assertIn("1 of 1 failed within 10 s, 1 in a row", repr(breaker))
        self.assertEqual((self.in_flight(), self.cluster.endpoints[0].pool.open), ([0], 0))

    def test_http1(self) -> None:
        desk = self.through(Desk())
        desk.says(request())
        self.killed(desk.transport)
        heard = desk.heard()
        self.assertIn(b"Content-Length: 1000000", heard)
        self.assertLess(len(heard), 1_000_000)
        self.assertNotEqual(desk.ended, [])
        self.assert_noted(desk)

    def test_http1_chunked(self) -> None:
        desk = self.through(Desk())
        desk.says(request())
        self.origins[0].connections[0].send(OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
        self.origins[0].connections[0].reset()
        heard = desk.heard()
        self.assertIn(b"abc", heard)
        self.assertNotIn(b"0\r\n\r\n", heard)
        self.assert_noted(desk)

    def test_http2(self) -> None:
        desk = self.through(Http2Desk(protocols=("http2",)))
        stream = desk.asks()
        desk.pump()
        self.origins[0].connections[-1].send(self.PART)
        desk.pump()
        self.origins[0].connections[-1].reset()
        desk.pump()
        got = desk.answers[stream]
        self.assertEqual((got.status, got.ended, got.reset), (200, False, ErrorCodes.INTERNAL_ERROR))
        self.assert_noted(desk)

    def test_it_breaks_an_upstream_that_always_does(self) -> None:
        desk = self.through(Desk())
        for _ in range(20):
            _, transport = desk.connect()
            transport.deliver(request())
            self.killed(transport)
        assert self.cluster.breaker is not None
        self.assertEqual(self.cluster.breaker.state, "refusing")


class KilledBeforeTheHead(Drill):
    """R2: with two instances no GET fails, and a POST is tried exactly once after its first byte."""

    def test_get(self) -> None:
        self.build(reset, answer(b"fine"))
        self.assertEqual(self.many(1000), {"200": 1000})
        self.assertLess(self.load(), 1010, "one is ejected after a few")
        self.assert_clean()

    def test_post(self) -> None:
        self.build(reset, answer(b"fine"), outlier=False, breaker=False)
        found = self.many(1000, "POST")
        self.assertEqual(found, {"200": 500, "upstream_reset": 500})
        self.assertEqual(self.load(), 1000)


class StaleKeepAlive(Drill):
    """R3: connections that the upstream closes in the moment of their next use."""

    def once(self) -> Callable[[OriginConnection], None]:
        """Every connection carries one exchange, whatever it says."""
        served: set[OriginConnection] = set()

        def serve(wire: OriginConnection) -> None:
            if wire in served:
                wire.close()
            else:
                served.add(wire)
                wire.send(answer(b"fine"))

        return serve

    def test_one_after_the_other(self) -> None:
        self.build(self.once())
        self.assertEqual(self.many(3000, at_once=1), {"200": 3000})

    def test_all_at_once(self) -> None:
        """As when the upstream restarts: no budget, no breaker and no ejection is in the way."""
        self.build(self.once(), self.once())
        self.assertEqual(self.many(10_000, at_once=100, every_s=0.2), {"200": 10_000})
        assert self.cluster.breaker is not None
        self.assertEqual(self.cluster.breaker.state, "admitting")
        self.assertTrue(all(endpoint.standing.free for endpoint in self.cluster.endpoints))
        self.assertEqual(self.cluster.retry.budget.added, 0)


class SlowUpstream(Drill):
    """R4: 504 at its time, the connection closed, the slot free."""

    def test_head(self) -> None:
        self.build(nothing)
        answered = self.start(make_exchange())
        self.turn(4.9)
        self.assertNoResult(answered)
        self.turn(0.3)
        error = self.failureResultOf(answered).value
        self.assertEqual((error.status, error.reason), (504, "upstream_head_timeout"))
        self.assertTrue(self.origins[0].connections[0].aborted)
        self.assertEqual((self.cluster.endpoints[0].pool.open, self.in_flight()), (0, [0]))


class Unreachable(Drill):
    """R5: refused, or swallowed."""

    def test_refused_is_the_next_ones_at_once(self) -> None:
        self.build(answer(b"a"), answer(b"b"), answer(b"c"))
        for count in (1, 2):
            for origin in self.origins[:count]:
                origin.faults = [refused()]
            answered = self.start(make_exchange("POST", body=b"x"))
            # No time passes, but for the turn in which the origin answers.
            self.turn()
            self.assertEqual(self.successResultOf(answered).status, 200)

    def test_a_black_hole(self) -> None:
        self.build(answer(b"a"), answer(b"b"))
        self.origins[0].held = []
        answered = self.start(make_exchange("POST", body=b"x"))
        self.turn(3)
        late = GatewayError(503, "connect_timeout", side=Side.UPSTREAM, phase=Phase.CONNECT, retry=Retry.ALWAYS)
        self.origins[0].held[0].errback(late)
        self.turn()
        self.assertEqual(self.successResultOf(answered).body.take_ready(), b"b")

    def test_none_left(self) -> None:
        self.build(answer(b"a"), answer(b"b"))
        for origin in self.origins:
            origin.faults = [refused()] * 9
        self.assertEqual(self.fails().status, 503)
        for endpoint in self.cluster.endpoints:
            endpoint.hold(Hold.NOT_READY, "test")
        error = self.fails()
        self.assertEqual(
            (error.status, error.reason, dict(error.headers)), (503, "no_endpoint", {b"Retry-After": b"1"})
        )


class Garbage(Drill):
    """R19: whatever is no HTTP is a 502, once, and nothing of it stays in the pool."""

    def test_table(self) -> None:
        for row in UPSTREAM:
            if row.status != 502:
                continue
            self.build(row.data)
            exchange = make_exchange()
            answered = self.start(exchange)
            self.turn(0.1)
            self.assertEqual(self.load(), 1, row.name)
            wire = self.origins[0].connections[0]
            if isinstance(answered.result, Response):
                # It went wrong in the body: the exchange is torn, or it ends with the connection.
                sink = drain(answered.result.body)
                self.assertTrue(sink.error is not None or answered.result.body.ended, row.name)
            else:
                error = self.failureResultOf(answered, GatewayError).value
                self.assertEqual((error.status, error.reason, error.side), (502, row.reason, Side.UPSTREAM), row.name)
                self.assertTrue(wire.aborted, row.name)
            self.assertEqual(self.cluster.endpoints[0].pool.idle_count, 0, row.name)
            self.origins[0].script = Always(answer(b"fine"))
            self.assertEqual(self.ask().body.take_ready(), b"fine", row.name)
            self.assertEqual(len(self.origins[0].connections), 2, row.name)

    def test_bytes_behind_an_answer(self) -> None:
        self.build(answer(b"fine") + b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison")
        for _ in range(3):
            self.assertEqual(self.ask().body.take_ready(), b"fine")
            self.assertEqual(self.cluster.endpoints[0].pool.idle_count, 0)

    def test_it_breaks_the_upstream(self) -> None:
        self.build(b"SSH-2.0-OpenSSH_9.2\r\n")
        self.assertEqual(self.many(20, at_once=1), {"bad_status_line": 5, "breaker_refuses": 15})


class Storm(Drill):
    """R21: when everything fails, the upstream gets at most 1.2 times what was asked."""

    COUNT = 2000
    ALL = ("connect", "reset", "refused_stream", "timeout", "garbage", "5xx")

    def storm(self, what: Any, http2: bool = False, retry: dict[str, Any] | None = None, **settings: Any) -> float:
        self.build(what, what, what, retry={"attempts": 3, **(retry or {})}, http2=http2, **settings)
        self.many(self.COUNT, at_once=20, every_s=0.2)
        return self.load() / self.COUNT

    OFF = {"breaker": False, "outlier": False}

    def test_503_is_not_tried_again(self) -> None:
        self.assertEqual(self.storm(answer(b"", 503), **self.OFF), 1.0)

    def test_what_is_tried_again_keeps_to_the_budget(self) -> None:
        """Without the budget it would be four times."""
        for what, http2 in ((answer(b"", 503), False), (reset, False), (b"garbage\r\n", False), (refuse_stream, True)):
            load = self.storm(what, http2, {"on": self.ALL}, **self.OFF)
            self.assertLessEqual(load, 1.2, what)
            self.assertGreater(load, 1.15, "what the budget allows is used")

    def test_the_breaker_takes_it_off(self) -> None:
        for what, http2 in ((answer(b"", 503), False), (reset, False), (b"garbage\r\n", False)):
            self.assertLess(self.storm(what, http2, {"on": self.ALL}), 0.5, what)

    def test_hedges_keep_to_the_budget(self) -> None:
        self.build(nothing, nothing, retry={"hedge": "200ms"}, **self.OFF)
        running: list[Deferred[Any]] = []
        for _ in range(100):
            running += [self.start(make_exchange()).addErrback(lambda _: None) for _ in range(10)]
            self.turn(0.5)
        self.assertLessEqual(self.load(), 1200)
        self.assertGreater(self.load(), 1100)
        for each in running:
            each.cancel()

    def test_it_recovers(self) -> None:
        self.build(reset, reset)
        breaker = self.cluster.breaker
        assert isinstance(breaker, Breaker)
        self.many(100)
        self.assertEqual(breaker.state, "refusing")
        for origin in self.origins:
            origin.script = Always(answer(b"fine"))
        self.turn(breaker.left_s + 0.2)
        found = self.many(10, at_once=1)
        self.assertEqual((found, breaker.state), ({"200": 10}, "admitting"))
