"""Tests of edgegw.targets.course: on what another attempt is made, how soon, and what keeps it from being made."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError

from edgegw.exchange.body import Body
from edgegw.testing.bodies import Source
from edgegw.testing.exchanges import make_exchange
from edgegw.testing.origin import answer, refused
from edgegw.upstream.balance.settings import BalanceSettings
from edgegw.upstream.retry import RetrySettings
from edgegw.upstream.standing import Hold
from tests.targets.test_proxy import Case, close, nothing, reset
from tests.wire.tables import OK


class OnTests(Case):
    """What is tried again because the settings say so, and how soon."""

    def build(self, *scripts: list[Any], **retry: Any) -> None:
        self.retry = RetrySettings.model_validate({"attempts": 2, **retry})
        self.proxy(*scripts)

    def waited(self, *scripts: list[Any], **retry: Any) -> float:
        """Seconds until the answer."""
        self.build(*scripts, backoff={"base": "800ms", "most": "800ms"}, **retry)
        answered = self.start(make_exchange())
        self.turn()
        for tick in range(99):
            if answered.called:
                return tick / 10
            self.turn(0.1)
        raise AssertionError("no answer")

    def test_a_status_that_is_named(self) -> None:
        for on, body in (([503], b""), (["5xx"], b"busy"), (["gateway_error"], b"x" * 70_000)):
            self.build([answer(body, 503)], [answer(b"fine")], on=on, backoff={"base": 0})
            self.assertEqual(self.ask().body.take_ready(), b"fine")
            self.assertEqual((self.exchange.attempts, self.in_flight()), (2, [0, 1]))
            self.turn()
            self.assertEqual(self.cluster.endpoints[0].pool.leased, 0)
            self.assertEqual(self.count("retries"), {"status_503": 1})

    def test_the_rest_of_an_answer_that_is_not_passed_on(self) -> None:
        """A little of it is read, so that the connection can be used again; not more."""
        for size, idle in ((1000, 1), (200_000, 0)):
            self.build(
                [OK[:9] + b"503 No\r\nContent-Length: %d\r\n\r\n" % size], [answer()], on=[503], backoff={"base": 0}
            )
            self.ask()
            wire = self.origins[0].connections[0]
            for _ in range(size // 1000):
                wire.send(bytes(1000))
            self.turn()
            self.assertEqual((self.cluster.endpoints[0].pool.idle_count, wire.aborted), (idle, not idle))
            self.assertEqual(self.cluster.endpoints[0].pool.leased, 0)

    def test_an_answer_is_passed_on_when_nothing_else_can_be_done(self) -> None:
        for retry, why in (
            ({"attempts": 1}, "attempts"),
            ({"attempts": 5, "budget": "0%", "budget_floor": "1/h"}, "budget"),
        ):
            self.build([answer(b"busy", 503)] * 9, on=[503], backoff={"base": 0}, **retry)
            response = self.ask()
            self.assertEqual((response.status, response.body.take_ready()), (503, b"busy"))
            self.assertEqual(self.count("retries_refused"), {why: 1})
            self.assertEqual(self.in_flight(), [1])
            self.end()
            self.assertEqual(self.in_flight(), [0])

    def test_another_endpoint_though_the_key_leads_back(self) -> None:
        attempts = []
        for scripts in (([reset, reset], [answer()]), ([answer()], [reset, reset])):
            self.proxy(*scripts, balance=BalanceSettings(by="consistent_hash"))
            self.assertEqual(self.ask().status, 200)
            attempts.append(self.exchange.attempts)
        self.assertEqual(sorted(attempts), [1, 2])

    def test_not_behind_a_103(self) -> None:
        early = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
        self.build([early + answer(b"", 503)], [answer(b"fine")], on=[503], backoff={"base": 0})
        self.assertEqual((self.ask().status, self.exchange.attempts), (503, 1))
        self.assertEqual(self.count("retries_refused"), {"answered": 1})

    def test_methods(self) -> None:
        for method, named, tries in (("POST", [], 1), ("POST", ["POST"], 2), ("PATCH", ["POST"], 1), ("PUT", [], 2)):
            for script in (reset, answer(b"", 503)):
                self.build([script], [answer()], on=["reset", 503], methods=named, backoff={"base": 0})
                answered = self.start(make_exchange(method, body=b"abc"))
                self.turn()
                answered.addErrback(lambda _: None)
                self.assertEqual(sum(self.received()), tries, (method, named, script))

    def test_grpc_codes(self) -> None:
        """Whatever the method; not when a message came, which a status alone does not say."""
        status = (b"grpc-status", b"14")
        for script, tries in ((answer(b"", 200, status), 2), (answer(b"x", 200, status), 1), (answer(b"", 200), 1)):
            self.build([script], [answer()], on=["unavailable"], backoff={"base": 0})
            self.ask("POST", body=b"abc")
            self.assertEqual(sum(self.received()), tries)

    def test_timeouts_and_garbage_when_they_are_named(self) -> None:
        for script, word, seconds in ((nothing, "timeout", 5.2), (b"garbage\r\n\r\n", "garbage", 0.1)):
            for on, tries in (([word], 2), (["connect", "reset", "refused_stream"], 1)):
                self.build([script], [answer()], on=on, backoff={"base": 0})
                answered = self.start(make_exchange())
                self.turn(seconds)
                self.assertEqual((sum(self.received()), answered.called), (tries, True), (word, on))
                answered.addErrback(lambda _: None)

    def test_the_body_limit(self) -> None:
        for limit, tries in ((3, 2), (2, 1), (0, 1)):
            self.build([reset], [answer()], body=limit)
            answered = self.start(make_exchange("PUT", body=b"abc"))
            self.turn()
            answered.addErrback(lambda _: None)
            self.assertEqual(sum(self.received()), tries, limit)
        self.assertEqual(self.count("retries_refused"), {"body": 1})

    def test_no_attempts_is_off(self) -> None:
        self.build([], [answer()], attempts=0)
        self.origins[0].faults = [refused()]
        self.assertEqual(self.fails().reason, "connect_refused")

    def test_how_soon(self) -> None:
        """At once where another endpoint is free of blame, or the connection was all that was wrong; else after a while."""
        self.assertEqual(self.waited([reset], [answer()]), 0)
        self.assertGreater(self.waited([reset, answer()]), 0)
        self.assertGreater(self.waited([answer(b"", 503)], [answer()], on=[503]), 0)
        self.build([answer(), close, answer()], backoff={"base": "800ms", "most": "800ms"})
        self.ask()
        self.end()
        self.assertEqual(self.ask().status, 200)

    def test_retry_after_is_honoured(self) -> None:
        def busy(said: bytes) -> bytes:
            return answer(b"", 503, (b"Retry-After", said))

        self.assertEqual(self.waited([busy(b"2")], [answer()], on=[503]), 2)
        self.assertEqual(self.waited([busy(b"6")], [answer()], on=[503]), 0)
        self.assertEqual((self.received(), self.count("retries_refused")), ([1, 0], {"deadline": 1}))

    def test_no_attempt_that_cannot_end_in_time(self) -> None:
        for deadline_s, tries in ((1.5, 1), (3.0, 2)):
            self.build([answer(b"", 503, (b"Retry-After", b"2"))], [answer()], on=[503])
            exchange = make_exchange()
            exchange.deadline_s = self.origins[0].clock.seconds() + deadline_s
            answered = self.start(exchange)
            self.turn(2.1)
            self.successResultOf(answered)
            self.assertEqual(sum(self.received()), tries)

    def test_the_wait_ends_with_the_exchange(self) -> None:
        for script in (reset, answer(b"busy", 503)):
            self.build([script, answer()], on=["reset", 503], backoff={"base": "5s", "most": "5s"})
            body = Body(3)
            answered = self.start(make_exchange("PUT", body=body))
            body.write(b"abc")
            body.end()
            self.turn()
            answered.cancel()
            self.failureResultOf(answered, CancelledError)
            self.turn(6)
            self.assertEqual((self.received(), self.in_flight()), ([1], [0]))
            self.assertEqual(self.cluster.endpoints[0].pool.leased, 0)

    def test_who_goes_during_the_wait_is_not_asked(self) -> None:
        self.build([answer(b"", 503)], [], [answer(b"third")], on=[503], backoff={"base": "5s", "most": "5s"})
        answered = self.start(make_exchange())
        self.turn()
        self.cluster.endpoints[1].hold(Hold.DRAINED, "test")
        self.turn(5)
        self.assertEqual(self.successResultOf(answered).body.take_ready(), b"third")

    def test_no_more_of_a_body_is_taken_while_nobody_reads_it(self) -> None:
        self.build([], backoff={"base": "5s", "most": "5s"})
        source = Source()
        body = Body(None, source)
        answered = self.start(make_exchange("PUT", body=body))
        body.write(b"abc")
        self.origins[0].connections[0].reset()
        self.assertEqual(source.told, ["start", "pause"])
        self.turn(5)
        self.assertEqual((source.told[1:], self.origins[0].requests[1].body), (["pause", "resume"], b"abc"))
        answered.cancel()
        self.failureResultOf(answered, CancelledError)

    def count(self, family: str) -> dict[str, float]:
        return {key[1]: cell.value for key, cell in getattr(self.registry, family) if cell.value}


class StickyTests(Case):
    def test_whoever_answers_is_remembered(self) -> None:
        """The endpoint of the last attempt, not that of the first."""
        wanted = None
        for script in ([reset], [answer()]):
            self.proxy(
                script, [answer()], balance=BalanceSettings.model_validate({"by": "round_robin", "sticky": "node"})
            )
            response = self.ask()
            cookie = response.headers.get(b"set-cookie") or b""
            self.assertTrue(cookie.startswith(b"node="), cookie)
            self.assertNotEqual(cookie, wanted)
            wanted = cookie
