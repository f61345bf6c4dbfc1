"""Tests of edgegw.targets.hedging: a second attempt beside one that is slow."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from edgegw.exchange.body import Body
from edgegw.exchange.model import Exchange, Response
from edgegw.observe.metrics import Registry
from edgegw.targets.hedging import Hedging
from edgegw.targets.proxy import Proxy
from edgegw.testing.exchanges import make_exchange
from edgegw.testing.origin import answer, cluster
from edgegw.upstream.retry import RetrySettings
from tests.net.http2_origin import Http2Origin
from tests.targets.test_attempts import Toll
from tests.targets.test_proxy import Case, nothing, reset
from tests.wire.tables import OK


class HedgingTests(Case):
    def build(self, *scripts: list[Any], after: str = "200ms", most: int = 1, **retry: Any) -> None:
        self.retry = RetrySettings.model_validate({"hedge": {"after": after, "most": most}, **retry})
        self.proxy(*scripts)
        toll: Any = Toll()
        self.toll = self.cluster.breaker = toll

    def begin(self, method: str = "GET", **more: Any) -> Deferred[Response]:
        self.exchange = make_exchange(method, **more)
        return self.start(self.exchange)

    def hedges(self) -> dict[str, float]:
        return {key[1]: cell.value for key, cell in self.registry.hedges if cell.value}

    def wire(self, number: int) -> Any:
        return self.origins[number].connections[0]

    def test_the_second_wins(self) -> None:
        self.build([nothing], [answer(b"second")])
        answered = self.begin()
        self.turn(0.1)
        self.assertEqual(self.received(), [1, 0])
        self.turn(0.2)
        self.assertEqual(self.successResultOf(answered).body.take_ready(), b"second")
        self.assertEqual((self.received(), self.hedges(), self.exchange.attempts), ([1, 1], {"won": 1}, 2))
        self.assertEqual((self.exchange.endpoint, self.in_flight()), ("http://origin-1:80", [0, 1]))
        self.assertTrue(self.wire(0).aborted, "whoever loses is cancelled")
        self.turn()
        self.assertEqual([endpoint.pool.leased for endpoint in self.cluster.endpoints], [0, 0])
        self.assertEqual(sorted(self.toll.told), [(1, None), (2, True)])
        self.end()
        self.assertEqual(self.in_flight(), [0, 0])

    def test_early_hints_are_heard_once(self) -> None:
        hints = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
        self.build([lambda wire: wire.send(hints)], [lambda wire: wire.send(hints + answer(b"second"))])
        answered = self.begin()
        self.turn(0.4)
        self.assertEqual(self.successResultOf(answered).body.take_ready(), b"second")
        told: Any = self.exchange.connection
        self.assertEqual([head.status for head in told.informational_heads], [103])

    def test_the_first_wins(self) -> None:
        self.build([nothing], [nothing])
        answered = self.begin()
        self.turn(1)
        self.wire(0).send(answer(b"first"))
        self.assertEqual(self.successResultOf(answered).body.take_ready(), b"first")
        self.assertEqual((self.hedges(), self.exchange.endpoint), ({"lost": 1}, "http://origin-0:80"))
        self.assertAlmostEqual(self.exchange.upstream_head_s, 1.0)
        self.assertEqual(self.exchange.connect_s, 0.0, "that of the one which answered")
        self.assertTrue(self.wire(1).aborted)
        self.assertEqual((self.in_flight(), sorted(self.toll.told)), ([1, 0], [(1, True), (2, None)]))

    def test_not_before_its_time(self) -> None:
        self.build([answer()], [answer()])
        self.turn(0.1)
        answered = self.begin()
        self.turn()
        self.successResultOf(answered)
        self.turn(1)
        self.assertEqual((self.received(), self.hedges()), ([1, 0], {}))

    def test_off_by_default(self) -> None:
        self.proxy([nothing], [answer()])
        answered = self.start(make_exchange())
        self.turn(4)
        self.assertNoResult(answered)
        self.assertEqual(self.received(), [1, 0])

    def test_a_first_that_fails_does_not_wait(self) -> None:
        self.build([reset], [answer(b"second")])
        answered = self.begin()
        self.turn()
        self.assertEqual(self.successResultOf(answered).body.take_ready(), b"second")
        self.assertEqual((self.hedges(), self.exchange.attempts), ({}, 2))

    def test_one_that_fails_leaves_it_to_the_other(self) -> None:
        for first, second in ((0, 1), (1, 0)):
            self.build([nothing], [nothing])
            answered = self.begin()
            self.turn(0.3)
            self.wire(first).reset()
            self.assertNoResult(answered)
            self.wire(second).send(answer(b"fine"))
            self.assertEqual(self.successResultOf(answered).body.take_ready(), b"fine")
            self.assertEqual((self.exchange.attempts, sum(self.in_flight())), (2, 1))

    def test_a_bad_answer_does_not_win(self) -> None:
        self.build([nothing], [answer(b"busy", 503)], on=[503])
        answered = self.begin()
        self.turn(0.3)
        self.assertNoResult(answered)
        self.wire(0).send(answer(b"fine"))
        self.assertEqual(self.successResultOf(answered).body.take_ready(), b"fine")
        self.assertEqual(self.in_flight(), [1, 0])

    def test_both_fail(self) -> None:
        """Then another attempt may be made, as always: at an endpoint that had none."""
        self.build([nothing], [nothing], [answer(b"third")])
        answered = self.begin()
        self.turn(0.3)
        self.wire(0).reset()
        self.wire(1).reset()
        self.turn(0.1)
        self.assertEqual(self.successResultOf(answered).body.take_ready(), b"third")
        self.assertEqual((self.in_flight(), len(self.toll.told)), ([0, 0, 1], 3))

    def test_as_many_as_may_be(self) -> None:
        self.build([nothing], [nothing], [nothing], [nothing], most=2)
        answered = self.begin()
        self.turn(2)
        self.assertEqual(self.received(), [1, 1, 1, 0])
        self.wire(2).send(answer())
        self.successResultOf(answered)
        self.assertEqual((self.in_flight(), self.hedges()), ([0, 0, 1, 0], {"won": 1}))

    def test_whom_it_is_for(self) -> None:
        """What may be done twice, and can be sent twice."""
        for method, body, tries in (
            ("GET", b"", 2), ("PUT", b"abc", 2), ("POST", b"", 1), ("POST", b"abc", 1), ("PUT", Body(None), 1),
            ("PUT", b"x" * 70_000, 1),
        ):  # fmt: skip
            self.build([nothing], [nothing])
            answered = self.begin(method, body=body)
            self.turn(1)
            self.assertEqual(sum(self.received()), tries, (method, body))
            answered.cancel()
            self.failureResultOf(answered, CancelledError)

    def test_bodies_go_to_both(self) -> None:
        self.build([nothing], [answer()])
        body = Body(None)
        answered = self.begin("PUT", body=body)
        body.write(b"abc")
        body.end(((b"x-sum", b"X-Sum", b"1"),))
        self.turn(0.3)
        self.successResultOf(answered)
        for origin in self.origins:
            self.assertEqual((origin.requests[0].body, len(origin.requests[0].trailers)), (b"abc", 1))

    def test_within_the_budget(self) -> None:
        self.build([nothing] * 30, [nothing] * 30, budget="0%", budget_floor="1/5s")
        running = [self.begin() for _ in range(5)]
        self.turn(1)
        self.assertEqual((sum(self.received()), self.hedges()), (7, {"refused": 3}))
        for each in running:
            each.addErrback(lambda _: None).cancel()

    def test_not_when_it_could_not_end_in_time(self) -> None:
        for left_s, tries in ((0.1, 1), (1.0, 2)):
            self.build([nothing], [nothing])
            exchange = make_exchange()
            exchange.deadline_s = self.origins[0].clock.seconds() + left_s
            answered = self.start(exchange)
            self.turn(0.5)
            self.assertEqual(sum(self.received()), tries)
            answered.addErrback(lambda _: None).cancel()

    def test_only_at_another_endpoint(self) -> None:
        self.build([nothing])
        answered = self.begin()
        self.turn(1)
        self.assertEqual((self.received(), self.hedges(), self.cluster.retry.budget.added), ([1], {}, 0))
        answered.addErrback(lambda _: None).cancel()

    def test_not_past_the_breaker(self) -> None:
        self.build([nothing], [answer()])
        self.toll.left = 1
        answered = self.begin()
        self.turn(1)
        self.assertEqual((self.received(), self.cluster.retry.budget.added), ([1, 0], 0))
        answered.addErrback(lambda _: None).cancel()

    def test_who_leaves_ends_both(self) -> None:
        self.build([nothing], [nothing])
        answered = self.begin()
        self.turn(0.3)
        answered.cancel()
        self.failureResultOf(answered, CancelledError)
        self.assertEqual((self.wire(0).aborted, self.wire(1).aborted, self.in_flight()), (True, True, [0, 0]))
        self.assertEqual(sorted(self.toll.told), [(1, None), (2, None)])
        self.turn(1)
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_who_leaves_when_a_bad_answer_was_kept(self) -> None:
        self.build([nothing], [OK[:9] + b"503 No\r\nContent-Length: 9\r\n\r\nab"], on=[503])
        answered = self.begin()
        self.turn(0.3)
        answered.cancel()
        self.failureResultOf(answered, CancelledError)
        self.assertEqual(self.in_flight(), [0, 0])
        self.wire(1).send(b"cdefghi")
        self.assertEqual(self.cluster.endpoints[1].pool.idle_count, 1)

    def test_a_defect_is_told(self) -> None:
        self.build([nothing], [nothing])
        exchange = make_exchange()
        exchange.request.headers = None  # type: ignore[assignment]
        self.failureResultOf(self.start(exchange), AttributeError)
        self.turn(1)
        self.assertEqual((self.in_flight(), self.toll.told), ([0, 0], [(1, None)]))

    def test_repr(self) -> None:
        self.build([nothing], [nothing])
        made = Hedging(self.made._attempts, make_exchange(), None)
        done = made.run(self.cluster.endpoints[0], self.toll.admit())
        self.turn(0.3)
        self.assertEqual(repr(made), "<Hedging 2 running, 0 missed of 2>")
        self.wire(0).reset()
        self.assertEqual(repr(made), "<Hedging 1 running, 1 missed of 2>")
        self.wire(1).reset()
        self.assertIs(self.successResultOf(done).endpoint, self.cluster.endpoints[1])
        self.assertEqual(made.tried, (self.cluster.endpoints[0],))


class Http2Tests(SynchronousTestCase):
    def test_the_loser_is_one_stream(self) -> None:
        """Its connection goes on."""
        first = Http2Origin()
        second = Http2Origin(clock=first.clock, wheel=first.wheel)
        origins: Any = [first, second]
        made = cluster(*origins)
        retry = RetrySettings.model_validate({"hedge": "200ms"})
        proxy = Proxy(made, 5.0, 10.0, first.clock.seconds, Registry().upstream("shop"), retry)
        exchange: Exchange = make_exchange()
        answered = Deferred.fromCoroutine(proxy(exchange))  # type: ignore[arg-type]
        first.turn(0.3)
        second.wires[0].answer(1, b"second")
        self.assertEqual(self.successResultOf(answered).body.take_ready(), b"second")
        first.turn()
        wire = first.wires[0]
        self.assertEqual((wire.asked[1].reset, wire.aborted, made.endpoints[0].pool.idle_count), (8, False, 1))
        self.assertEqual([endpoint.in_flight for endpoint in made.endpoints], [0, 1])
