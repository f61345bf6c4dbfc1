"""What the proxy adds for gRPC: the time that is left, at every attempt."""

from __future__ import annotations

from typing import Any

from edgegw.exchange.model import Exchange
from edgegw.testing.exchanges import make_exchange
from edgegw.testing.origin import answer, refused
from tests.targets.test_proxy import Case, nothing


class TimeLeftTests(Case):
    def call(self, deadline_s: float | None, timeout: bytes = b"10S") -> Exchange:
        fields = [(b"Content-Type", b"application/grpc"), (b"x-a", b"1"), (b"Grpc-Timeout", timeout), (b"x-b", b"2")]
        exchange = make_exchange("POST", headers=fields)
        exchange.deadline_s = deadline_s
        return exchange

    def timeouts(self) -> list[bytes | None]:
        return [request.head.headers.get(b"grpc-timeout") for origin in self.origins for request in origin.requests]

    def test_reduced_and_in_its_place(self) -> None:
        self.proxy([answer()])
        self.turn(4)
        self.start(self.call(self.origins[0].clock.seconds() + 6.0))
        self.turn()
        self.assertEqual(self.timeouts(), [b"6000000u"])
        names = [name for name, _ in self.origins[0].requests[0].fields]
        self.assertEqual(names[:5], [b"Host", b"Content-Type", b"x-a", b"Grpc-Timeout", b"x-b"])

    def test_each_attempt_has_less(self) -> None:
        self.proxy([refused()], [answer()])
        self.origins[0].held = []
        exchange = self.call(10.0)
        self.start(exchange)
        self.turn(2)
        self.origins[0].held[0].errback(refused())
        self.turn()
        self.assertEqual((exchange.attempts, self.timeouts()), (2, [b"8000000u"]))

    def test_nothing_left(self) -> None:
        self.proxy([answer()])
        self.turn(10.2)
        error = self.failureResultOf(self.start(self.call(10.0))).value
        self.assertEqual((error.status, error.reason, self.timeouts()), (504, "grpc_deadline", []))

    def test_without_a_deadline_it_stays_as_it_is(self) -> None:
        self.proxy([answer()])
        self.start(self.call(None))
        self.turn()
        self.assertEqual(self.timeouts(), [b"10S"])

    def head_after(self, exchange: Exchange, wait_s: float) -> Any:
        answered = self.start(exchange)
        self.turn(wait_s)
        return answered

    def test_the_callers_deadline_is_that_of_the_head(self) -> None:
        """5 s is how long others wait for a head in these tests, 10 s for further bytes."""
        self.proxy([nothing])
        self.assertNoResult(self.head_after(self.call(60.0), 30))
        self.proxy([nothing])
        # Without one it is the time between bytes: the head of a stream comes with its first message.
        answered = self.head_after(self.call(None), 6)
        self.assertNoResult(answered)
        self.turn(5)
        self.assertEqual(self.failureResultOf(answered).value.reason, "upstream_head_timeout")
