"""Tests of edgegw.targets.attempts: what is tried again, where, and what must not be."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError

from edgegw.errors import GatewayError, Phase
from edgegw.exchange.body import Body
from edgegw.targets.course import FAILOVERS
from edgegw.testing.exchanges import make_exchange
from edgegw.testing.origin import answer, refused
from edgegw.upstream.bulkhead import Bulkhead, BulkheadSettings
from tests.targets.test_proxy import Case, close, nothing, reset, then_close
from tests.wire.tables import OK


class RetryTests(Case):
    wait_s = 0.1

    def test_stale_connection_with_one_endpoint(self) -> None:
        for spoil in (close, reset):
            self.proxy([])
            self.warm()
            self.origins[0].script = [spoil, answer(b"fresh")]
            self.assertEqual(self.ask().body.take_ready(), b"fresh")
            self.assertEqual((len(self.origins[0].connections), self.exchange.attempts), (2, 2))
            self.assertEqual(self.in_flight(), [1])

    def test_a_retry_is_on_a_fresh_connection_though_idle_ones_are_there(self) -> None:
        self.proxy([], max=2)
        held = [make_exchange() for _ in range(2)]
        waiting = [self.start(each) for each in held]
        for wire in list(self.origins[0].connections):
            wire.send(answer())
        for each, answered in zip(held, waiting, strict=True):
            self.successResultOf(answered)
            self.end(each)
        self.assertEqual(self.cluster.endpoints[0].pool.idle_count, 2)
        self.origins[0].script = [close, answer(b"fresh")]
        self.assertEqual(self.ask().body.take_ready(), b"fresh")
        self.assertEqual(len(self.origins[0].connections), 3)

    def test_another_endpoint_if_there_is_one(self) -> None:
        for method in ("GET", "HEAD", "OPTIONS", "PUT", "DELETE"):
            self.proxy([reset], [answer()])
            self.assertEqual(self.ask(method).status, 200)
            self.assertEqual(self.received(), [1, 1])
            self.assertEqual((self.exchange.endpoint, self.in_flight()), ("http://origin-1:80", [0, 1]))
            self.end()
            self.assertEqual(self.in_flight(), [0, 0])

    def test_methods_that_change_something_are_sent_once(self) -> None:
        for method in ("POST", "PATCH"):
            for body in (b"", b"abc"):
                self.proxy([reset], [answer()])
                error = self.fails(method, body=body)
                self.assertEqual((error.status, error.reason), (502, "upstream_reset"))
                self.assertEqual((self.received(), self.exchange.attempts), ([1, 0], 1))
                self.assertEqual(self.in_flight(), [0, 0])

    def test_refused_leads_on_whatever_the_method(self) -> None:
        for method, body in (("GET", b""), ("POST", b"abc")):
            self.proxy([], [answer()])
            self.origins[0].faults = [refused()]
            self.assertEqual(self.ask(method, body=body).status, 200)
            self.assertEqual(self.origins[1].requests[0].body, body)

    def test_refused_by_all_of_them(self) -> None:
        self.proxy([], [])
        for origin in self.origins:
            origin.faults = [refused()] * 5
        error = self.fails()
        self.assertEqual((error.status, error.reason), (503, "connect_refused"))
        self.assertEqual([origin.attempts for origin in self.origins], [2, 1])
        self.assertEqual(self.in_flight(), [0, 0])

    def test_one_that_refused_may_be_back_when_the_other_refuses(self) -> None:
        self.proxy([answer(b"back")], [])
        for origin in self.origins:
            origin.faults = [refused()]
        self.assertEqual(self.ask().body.take_ready(), b"back")
        self.assertEqual([origin.attempts for origin in self.origins], [2, 1])

    def test_one_that_refused_may_be_back_when_the_other_is_lost(self) -> None:
        self.proxy([answer(b"back")], [reset])
        self.origins[0].faults = [refused()]
        self.assertEqual(self.ask().body.take_ready(), b"back")
        self.assertEqual([origin.attempts for origin in self.origins], [2, 1])

    def test_one_that_was_lost_is_tried_again_when_the_other_refuses(self) -> None:
        """Endpoints that are restarted in turn: the first is back when the second goes."""
        self.proxy([reset, answer(b"back")], [])
        self.origins[1].faults = [refused()]
        self.assertEqual(self.ask().body.take_ready(), b"back")
        self.assertEqual((self.exchange.attempts, self.exchange.endpoint), (3, "http://origin-0:80"))
        self.assertEqual([origin.attempts for origin in self.origins], [2, 1])
        self.assertEqual(self.in_flight(), [1, 0])

    def test_refused_by_the_only_one(self) -> None:
        self.proxy([])
        self.origins[0].faults = [refused()] * 5
        self.fails()
        self.assertEqual(self.origins[0].attempts, 1)

    def test_attempts_are_bounded(self) -> None:
        self.proxy(*([reset] for _ in range(6)))
        self.assertEqual(self.fails().reason, "upstream_reset")
        self.assertEqual((sum(self.received()), self.exchange.attempts), (2, 2))
        self.proxy(*([] for _ in range(9)))
        for origin in self.origins:
            origin.faults = [refused()]
        self.fails()
        self.assertEqual(sum(origin.attempts for origin in self.origins), 1 + FAILOVERS + 1)

    def test_nothing_is_sent_again_after_the_first_byte(self) -> None:
        for script in (
            then_close(b"H"), then_close(OK), then_close(b"HTTP/1.1 103 Early\r\n\r\n"), b"garbage\r\n",
            OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        ):  # fmt: skip
            self.proxy([script], [answer()])
            self.assertEqual(self.fails().status, 502)
            self.assertEqual(self.received(), [1, 0])
            self.assertEqual(self.in_flight(), [0, 0])

    def test_a_slow_one_is_not_asked_again(self) -> None:
        self.proxy([nothing], [answer()])
        exchange = make_exchange()
        answered = self.start(exchange)
        self.turn(5.3)
        error = self.failureResultOf(answered, GatewayError).value
        self.assertEqual((error.status, error.reason), (504, "upstream_head_timeout"))
        self.assertEqual(self.received(), [1, 0])

    def test_an_answer_of_the_origin_is_never_an_error(self) -> None:
        for status in (500, 502, 503, 504, 429):
            self.proxy([answer(b"", status)], [answer()])
            self.assertEqual(self.ask().status, status)
            self.assertEqual(self.received(), [1, 0])

    def test_bodies_are_replayed(self) -> None:
        for length in (None, 6):
            self.proxy([reset], [answer()])
            body = Body(length)
            exchange = make_exchange("PUT", body=body)
            answered = self.start(exchange)
            body.write(b"abc")
            body.write(b"def")
            body.end(((b"x-sum", b"X-Sum", b"1"),) if length is None else ())
            self.turn()
            self.assertEqual(self.successResultOf(answered).status, 200)
            for origin in self.origins:
                self.assertEqual(origin.requests[0].body, b"abcdef")
                self.assertEqual(len(origin.requests[0].trailers), 1 if length is None else 0)

    def test_a_body_that_still_comes_is_replayed_from_its_beginning(self) -> None:
        self.proxy([], [answer()])
        body = Body(6)
        answered = self.start(make_exchange("PUT", body=body))
        body.write(b"abc")
        self.origins[0].connections[0].reset()
        body.write(b"def")
        body.end()
        self.turn()
        self.assertEqual(self.successResultOf(answered).status, 200)
        self.assertEqual(self.origins[1].requests[0].body, b"abcdef")

    def test_a_body_that_a_slow_connection_held_back_comes_on(self) -> None:
        self.proxy([], [answer()])
        told: list[str] = []

        class Source:
            def start(self) -> None: ...
            def cancel(self) -> None: ...
            def pause(self) -> None:
                told.append("pause")

            def resume(self) -> None:
                told.append("resume")

        body = Body(6, Source())
        answered = self.start(make_exchange("PUT", body=body))
        body.write(b"abc")
        self.origins[0].connections[0].congest()
        self.origins[0].connections[0].reset()
        self.assertEqual(told, ["pause", "resume"])
        body.write(b"def")
        body.end()
        self.turn()
        self.assertEqual(self.successResultOf(answered).status, 200)

    def test_only_so_much_is_kept(self) -> None:
        for size, again in ((65536, True), (65537, False)):
            self.proxy([reset], [answer()])
            exchange = make_exchange("PUT", body=b"x" * size)
            answered = self.start(exchange)
            self.turn()
            if again:
                self.assertEqual(self.successResultOf(answered).status, 200)
            else:
                self.failureResultOf(answered, GatewayError)
            self.assertEqual(self.received(), [1, 1 if again else 0])

    def test_a_full_pool_is_not_another_endpoints_business(self) -> None:
        self.proxy([nothing], [answer()], max=1, queue=0)
        self.start(make_exchange())
        self.ask()
        error = self.fails()
        self.assertEqual((error.status, error.reason), (503, "pool_queue_full"))


class Toll:
    """In place of a breaker: lets `left` attempts through, and writes down what it is told."""

    def __init__(self, left: int = 99) -> None:
        self.left = left
        self.told: list[tuple[int, bool | None]] = []
        self.ends: list[tuple[int, bool]] = []
        self.bad = frozenset(range(500, 600))
        self.given = 0

    def admit(self) -> int:
        if not self.left:
            raise GatewayError(503, "breaker_refuses", phase=Phase.CHOOSE)
        self.left -= 1
        self.given += 1
        return self.given

    def settle(self, token: int, ok: bool | None, whole: bool = True) -> None:
        self.told.append((token, ok))

    def ended(self, token: int, ok: bool, lasted_s: float) -> None:
        self.ends.append((token, ok))


class BulkheadTests(Case):
    def build(self, requests: int, *scripts: list[Any]) -> Bulkhead:
        self.proxy(*scripts)
        settings = BulkheadSettings(requests=requests, queue=1)
        made = self.cluster.bulkhead = Bulkhead(settings, self.cluster.environment)
        return made

    def test_an_exchange_has_its_place_to_its_end(self) -> None:
        bulkhead = self.build(1, [answer(b"x"), answer(b"y")])
        self.ask()
        waiting = make_exchange()
        answered = self.start(waiting)
        self.turn()
        self.assertNoResult(answered)
        self.assertEqual((bulkhead.inside, self.received()), (1, [1]))
        self.assertEqual(self.failureResultOf(self.start(make_exchange()), GatewayError).value.reason, "bulkhead_full")
        self.end()
        self.turn()
        self.assertEqual(self.successResultOf(answered).body.take_ready(), b"y")
        self.end(waiting)
        self.assertEqual(bulkhead.inside, 0)

    def test_who_leaves_the_queue(self) -> None:
        bulkhead = self.build(1, [answer()])
        self.ask()
        answered = self.start(make_exchange())
        answered.cancel()
        self.failureResultOf(answered, CancelledError)
        self.end()
        self.assertEqual((bulkhead.inside, bulkhead.queued, self.received()), (0, 0, [1]))

    def test_failures_leave_too(self) -> None:
        bulkhead = self.build(1, [reset, reset])
        self.wait_s = 0.1
        self.fails()
        self.end()
        self.assertEqual(bulkhead.inside, 0)
