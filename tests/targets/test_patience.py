"""Tests of edgegw.targets.patience: the deadline of one attempt."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError

from edgegw.exchange.body import Body
from edgegw.targets.patience import Patience, Shield
from edgegw.testing.exchanges import make_exchange
from edgegw.testing.origin import Origin, answer
from edgegw.upstream.retry import RetrySettings
from tests.targets.test_proxy import Case, nothing


class PatienceTests(Case):
    def build(self, *scripts: list[Any], on: tuple[str, ...] = ("timeout",), **retry: Any) -> None:
        settings = {"per_try": "1s", "on": on, "backoff": {"base": 0}, **retry}
        self.retry = RetrySettings.model_validate(settings)
        self.proxy(*scripts)

    def test_waiting_for_the_head(self) -> None:
        self.build([nothing], on=())
        answered = self.start(make_exchange())
        self.turn(0.9)
        self.assertNoResult(answered)
        self.turn(0.2)
        error = self.failureResultOf(answered).value
        self.assertEqual((error.status, error.reason, error.side.value), (504, "try_timeout", "upstream"))
        self.assertTrue(self.origins[0].connections[0].aborted)
        self.turn()
        self.assertEqual((self.in_flight(), self.cluster.endpoints[0].pool.leased), ([0], 0))

    def test_waiting_for_a_connection(self) -> None:
        """It was not sent, so it may be sent elsewhere whatever it is."""
        self.build([], [answer()])
        self.origins[0].held = []
        exchange = make_exchange("POST", body=b"abc")
        answered = self.start(exchange)
        self.turn(1.1)
        self.assertEqual(self.successResultOf(answered).status, 200)
        self.assertEqual((self.origins[1].requests[0].body, exchange.attempts), (b"abc", 2))

    def test_each_attempt_has_its_own(self) -> None:
        self.build([nothing], [nothing], [answer()], attempts=2)
        answered = self.start(make_exchange())
        self.turn(1.1)
        self.assertNoResult(answered)
        self.turn(1.1)
        self.assertEqual(self.successResultOf(answered).status, 200)
        self.assertEqual(self.received(), [1, 1, 1])

    def test_only_what_may_be_done_twice(self) -> None:
        self.build([nothing], [answer()])
        answered = self.start(make_exchange("POST"))
        self.turn(1.1)
        self.assertEqual(self.failureResultOf(answered).value.reason, "try_timeout")
        self.assertEqual(self.received(), [1, 0])

    def test_a_body_that_still_comes_goes_to_the_next(self) -> None:
        self.build([], [answer()])
        body = Body(6)
        answered = self.start(make_exchange("PUT", body=body))
        body.write(b"abc")
        self.turn(1.1)
        body.write(b"def")
        body.end()
        self.turn()
        self.assertEqual(self.successResultOf(answered).status, 200)
        self.assertEqual([origin.requests[0].body for origin in self.origins], [b"abc", b"abcdef"])

    def test_an_upstream_that_wants_no_more(self) -> None:
        """It answered without reading; nobody is to send the rest."""
        self.build([])
        body = Body(None)
        answered = self.start(make_exchange("PUT", body=body))
        body.write(b"abc")
        self.origins[0].connections[0].send(answer(b"no", 413))
        self.assertEqual(self.successResultOf(answered).status, 413)
        self.assertEqual(body.error and body.error.reason, "body_cancelled")

    def test_over_with_the_head(self) -> None:
        self.build([b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab"])
        response = self.ask()
        self.assertEqual(len(self.origins[0].wheel), 1, "the connection's own")
        self.turn(3)
        self.assertIsNone(response.body.error)

    def test_who_leaves_is_not_late(self) -> None:
        self.build([nothing], [answer()])
        answered = self.start(make_exchange())
        answered.cancel()
        self.failureResultOf(answered, CancelledError)
        self.turn(2)
        self.assertEqual(self.received(), [1, 0])

    def test_repr(self) -> None:
        made = Patience(Origin().wheel, 1.0)
        self.assertEqual(repr(made), "<Patience <Deadline in 1.0 s>>")
        self.assertIsNone(made.shield(None))
        self.assertIsInstance(made.shield(Body(None)), Shield)
