"""Tests of edgegw.targets.attempts: what is tried again, where, and what must not be."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError

from edgegw.errors import GatewayError, Phase, Side
from edgegw.exchange.body import Body
from edgegw.exchange.model import Outcome
from edgegw.targets.course import FAILOVERS
from edgegw.testing.exchanges import drain, make_exchange
from edgegw.testing.origin import answer, refused
from edgegw.upstream.bulkhead import Bulkhead, BulkheadSettings
from edgegw.upstream.endpoint import Endpoint
from edgegw.upstream.retry import RetrySettings
from edgegw.upstream.standing import Hold
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
        self.broken: list[int] = []
        self.given = 0

    def admit(self) -> int:
        if not self.left:
            raise GatewayError(503, "breaker_refuses", phase=Phase.CHOOSE)
        self.left -= 1
        self.given += 1
        return self.given

    def settle(self, token: int, ok: bool | None) -> None:
        self.told.append((token, ok))

    def judge(self, status: int) -> bool:
        return status < 500

    def broke(self, token: int) -> None:
        self.broken.append(token)


class AccountTests(Case):
    """Each attempt is told of once, to the breaker and to those who watch the endpoint."""

    wait_s = 0.1

    def build(self, *scripts: list[Any], **retry: Any) -> None:
        self.retry = RetrySettings.model_validate(retry)
        self.proxy(*scripts)
        self.toll = Toll()
        made: Any = self.toll
        self.cluster.breaker = made
        self.seen: list[tuple[str, str]] = []
        for endpoint in self.cluster.endpoints:
            endpoint.observers = (self,)

    def answered(self, endpoint: Endpoint, status: int, took_s: float) -> None:
        self.seen.append((endpoint.authority.decode(), f"{status} after {took_s:g}"))

    def failed(self, endpoint: Endpoint, error: GatewayError) -> None:
        self.seen.append((endpoint.authority.decode(), error.reason))

    def test_answers(self) -> None:
        self.build([answer(), answer(b"", 500)])
        self.ask()
        self.ask()
        self.assertEqual((self.toll.told, self.toll.broken), ([(1, True), (2, False)], []))
        self.assertEqual(self.seen, [("origin-0", "200 after 0"), ("origin-0", "500 after 0")])

    def test_each_attempt(self) -> None:
        self.build([reset], [answer()])
        self.ask()
        self.assertEqual(self.toll.told, [(1, False), (2, True)])
        self.assertEqual(self.seen, [("origin-0", "upstream_reset"), ("origin-1", "200 after 0")])

    def test_refused_says_nothing_to_the_breaker(self) -> None:
        self.build([], [answer()])
        self.origins[0].faults = [refused()]
        self.ask()
        self.assertEqual(self.toll.told, [(1, None), (2, True)])
        self.assertEqual(self.seen[0], ("origin-0", "connect_refused"))

    def test_a_connection_that_had_been_closed_blames_nobody(self) -> None:
        for spoil in (close, reset):
            self.build([answer(), spoil, answer()])
            self.ask()
            self.end()
            self.ask()
            self.assertEqual(self.toll.told, [(1, True), (2, None), (3, True)])
            self.assertEqual([what for _, what in self.seen], ["200 after 0"] * 2)

    def test_but_one_that_breaks_off_later_does(self) -> None:
        self.build([answer(), nothing], [answer()])
        self.ask()
        self.end()
        self.ask()
        self.end()
        answered = self.start(make_exchange())
        self.turn(1.5)
        self.origins[0].connections[0].reset()
        self.assertEqual(self.toll.told[2], (3, False))
        self.assertEqual(self.seen[-1], ("origin-0", "upstream_reset"))
        answered.cancel()
        self.failureResultOf(answered, CancelledError)

    def test_what_others_did_says_nothing(self) -> None:
        def leaves(answered: Any, body: Body) -> None:
            answered.cancel()

        def breaks_off(answered: Any, body: Body) -> None:
            body.abort(GatewayError(413, "body_too_large", side=Side.DOWNSTREAM, phase=Phase.BODY))

        for act in (leaves, breaks_off):
            self.build([nothing])
            body = Body(None)
            answered = self.start(make_exchange("PUT", body=body))
            body.write(b"a")
            act(answered, body)
            answered.addErrback(lambda _: None)
            self.assertEqual((self.toll.told, self.seen), ([(1, None)], []))

    def test_torn_behind_a_good_head(self) -> None:
        self.build([OK + b"Content-Length: 9\r\n\r\nab"])
        drain(self.ask().body)
        self.assertEqual(self.toll.told, [(1, True)])
        torn = GatewayError(502, "upstream_aborted", side=Side.UPSTREAM, phase=Phase.RESPONSE_BODY)
        self.exchange.end(Outcome(200, False, 0, 2, torn))
        self.assertEqual((self.toll.broken, self.seen[-1]), ([1], ("origin-0", "upstream_aborted")))

    def test_a_reader_who_leaves_breaks_nothing(self) -> None:
        self.build([OK + b"Content-Length: 9\r\n\r\nab"])
        self.ask().body.cancel()
        self.exchange.end(Outcome(200, False, 0, 2, GatewayError(499, "downstream_left", side=Side.DOWNSTREAM)))
        self.assertEqual((self.toll.broken, len(self.seen)), ([], 1))

    def test_refused_by_the_breaker(self) -> None:
        self.build([answer()])
        self.toll.left = 0
        self.assertEqual(self.fails().reason, "breaker_refuses")
        self.assertEqual((self.received(), self.toll.told, self.exchange.attempts), ([0], [], 0))

    def test_what_came_says_more_than_a_refusal(self) -> None:
        self.build([reset], [answer()])
        self.toll.left = 1
        self.assertEqual(self.fails().reason, "upstream_reset")
        self.build([answer(b"busy", 503)], [answer()], on=[503])
        self.toll.left = 1
        self.assertEqual(self.ask().body.take_ready(), b"busy")
        self.assertEqual((self.in_flight(), self.cluster.retry.budget.added), ([1, 0], 0))

    def test_no_endpoint(self) -> None:
        self.build([answer()])
        self.cluster.endpoints[0].hold(Hold.DRAINED, "test")
        error = self.fails()
        self.assertEqual((error.reason, dict(error.headers)[b"Retry-After"]), ("no_endpoint", b"1"))
        self.assertEqual((self.toll.told, self.in_flight()), ([(1, None)], [0]))


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
