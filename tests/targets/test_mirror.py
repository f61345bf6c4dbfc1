"""Copies: what they carry, what they cost, and that nobody notices them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any

from pydantic import ValidationError
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from edgegw.errors import GatewayError
from edgegw.exchange.body import Body
from edgegw.exchange.model import Exchange, Outcome, Response
from edgegw.observe.metrics import Registry
from edgegw.targets.mirror import READ_ON, Mirror, Mirrors, MirrorSettings
from edgegw.targets.proxy import Proxy
from edgegw.testing.exchanges import drain, make_exchange
from edgegw.testing.origin import Origin, OriginConnection, answer, cluster, refused
from edgegw.upstream.retry import RetrySettings


def nothing(wire: OriginConnection) -> None:
    """Says nothing."""


class Case(SynchronousTestCase):
    """A route to an origin, and another that gets copies."""

    def route(self, *script: Any, shadow: tuple[Any, ...] = (), chance: Random | None = None, **settings: Any) -> None:
        self.origin = Origin(*script)
        clock, wheel = self.origin.clock, self.origin.wheel
        self.shadow = Origin(*shadow, clock=clock, wheel=wheel)
        self.counted: Counter[str] = Counter()
        self.registry = Registry()
        self.clusters = [cluster(self.origin), cluster(self.shadow)]
        once, metrics = RetrySettings(attempts=0), self.registry.upstream("shop")
        target, copies = (Proxy(each, 5.0, 10.0, clock.seconds, metrics, once) for each in self.clusters)
        said = MirrorSettings.model_validate({"to": "shadow", **settings})
        self.mirror = Mirror(copies, said, clock, wheel, chance or Random(1), self._count)
        self.made = Mirrors(target, [self.mirror])

    def _count(self, outcome: str) -> None:
        self.counted[outcome] += 1

    def start(self, *args: Any, **named: Any) -> tuple[Exchange, Deferred[Response]]:
        exchange = make_exchange(*args, **named)
        exchange.started_s = self.origin.clock.seconds()

        async def answers() -> Response:
            return await self.made(exchange)

        return exchange, Deferred.fromCoroutine(answers())

    def get(self, *args: Any, **named: Any) -> Response:
        """One whole exchange."""
        exchange, deferred = self.start(*args, **named)
        self.origin.turn()
        response = self.successResultOf(deferred)
        drain(response.body)
        exchange.end(Outcome(response.status, True, 0, 0, None))
        self.origin.turn()
        return response


class CopyTests(Case):
    def test_what_a_copy_carries(self) -> None:
        self.route(answer(b"yes"), shadow=(answer(b"no"),))
        exchange, deferred = self.start("POST", "/a?b=c", [(b"X-A", b"1"), (b"Connection", b"close")], b"payload")
        exchange.id = "id-1"
        self.origin.turn()
        self.assertEqual(drain(self.successResultOf(deferred).body).data, b"yes")
        (real,), (copy,) = self.origin.requests, self.shadow.requests
        self.assertEqual((copy.head.method, copy.head.target, copy.body), ("POST", "/a?b=c", b"payload"))
        self.assertEqual(copy.fields, real.fields, "the same in every field: nobody has to be told")
        self.assertIn((b"Via", b"1.1 edgegw"), copy.fields)

    def test_without_a_mirror_there_is_none(self) -> None:
        """What the test above would find with mirroring switched off."""
        self.route(answer(b"yes"))
        self.made = Mirrors(self.made._next, [])
        self.get()
        self.assertEqual((len(self.origin.requests), self.shadow.attempts), (1, 0))

    def test_the_answer_goes_nowhere(self) -> None:
        self.route(answer(b"yes"), shadow=(answer(b"no", 500, (b"Set-Cookie", b"a=b")),))
        response = self.get()
        self.assertEqual((response.status, response.headers.get(b"set-cookie")), (200, None))
        self.assertEqual(self.counted, {"sent": 1})
        self.assertEqual((self.mirror.on_way, self.clusters[1].endpoints[0].in_flight), (0, 0))
        self.assertEqual(self.clusters[1].endpoints[0].pool.idle_count, 1, "its connection serves the next copy")

    def test_the_record_is_of_the_original(self) -> None:
        self.route(answer(b"yes"), shadow=(nothing,))
        exchange, _ = self.start()
        self.origin.turn()
        self.assertEqual((exchange.attempts, exchange.endpoint), (1, "http://origin-0:80"))
        self.assertIsNone(exchange.outcome)

    def test_it_comes_after_the_original(self) -> None:
        self.route(answer(b"yes"), shadow=(answer(b"no"),))
        self.start()
        self.assertEqual((len(self.origin.requests), self.shadow.attempts), (1, 0))

    def test_what_the_target_changes_later_is_not_in_it(self) -> None:
        self.route(answer(b"yes"), shadow=(answer(b"no"),))
        exchange, _ = self.start()
        exchange.request.headers.add(b"X-Late", b"1")
        self.origin.turn()
        self.assertNotIn(b"x-late", self.shadow.requests[0].head.headers)

    def test_share(self) -> None:
        """Of 2000 requests a fifth, give or take four standard deviations; a seeded draw."""
        self.route(chance=Random(5), share="20%", most=10_000)
        taken = sum(self.mirror.takes(0) for _ in range(2000))
        self.assertLess(abs(taken - 400), 4 * (2000 * 0.2 * 0.8) ** 0.5)
        self.assertEqual(self.counted, {}, "those that were not drawn are not counted")
        self.route(share="0%")
        self.assertFalse(any(self.mirror.takes(0) for _ in range(100)))

    def test_websockets_are_not_copied(self) -> None:
        self.route(answer(b"yes"), shadow=(answer(b"no"),))
        self.get(headers=[(b"Connection", b"upgrade"), (b"Upgrade", b"websocket")])
        self.assertEqual(self.shadow.attempts, 0)

    def test_several(self) -> None:
        self.route(answer(b"yes"), shadow=(answer(), answer()))
        self.made = Mirrors(self.made._next, [self.mirror, self.mirror])
        self.get("POST", body=b"abc")
        self.assertEqual([each.body for each in self.shadow.requests], [b"abc", b"abc"])
        self.assertEqual(self.counted, {"sent": 2})


class BodyTests(Case):
    def upload(self, *chunks: bytes, length: int | None = None) -> tuple[Exchange, Body]:
        body = Body(length)
        exchange, self.deferred = self.start("POST", body=body)
        for chunk in chunks:
            body.write(chunk)
        self.origin.turn()
        return exchange, body

    def test_sent_when_the_last_byte_has_passed(self) -> None:
        self.route(answer(b"yes"), shadow=(answer(b"no"),))
        _, body = self.upload(b"ab", b"cd")
        self.assertEqual((self.origin.requests[0].body, self.shadow.attempts), (b"abcd", 0))
        body.end()
        self.origin.turn()
        self.assertEqual(self.shadow.requests[0].body, b"abcd")
        self.assertIn((b"Content-Length", b"4"), self.shadow.requests[0].fields)

    def test_too_long_as_announced(self) -> None:
        self.route(answer(b"yes"), body="10B")
        _, body = self.upload(b"12345678901", length=11)
        self.assertEqual((self.counted, self.mirror.on_way), ({"dropped": 1}, 0))
        body.end()
        self.origin.turn()
        self.assertEqual((self.origin.requests[0].body, self.shadow.attempts), (b"12345678901", 0))

    def test_too_long_as_it_turns_out(self) -> None:
        self.route(answer(b"yes"), body="10B")
        _, body = self.upload(b"123456", b"78901")
        self.assertEqual((self.counted, self.mirror.on_way), ({"dropped": 1}, 0))
        body.write(b"!")
        body.end()
        self.origin.turn()
        self.assertEqual((self.origin.requests[0].body, self.shadow.attempts), (b"12345678901!", 0))

    def test_one_mirror_takes_less_than_another(self) -> None:
        self.route(answer(b"yes"), shadow=(answer(b"no"),), body="4B")
        large = Mirror(
            self.mirror.target, MirrorSettings(to="x"), self.origin.clock, self.origin.wheel, Random(1), self._count
        )
        self.made = Mirrors(self.made._next, [self.mirror, large])
        _, body = self.upload(b"12345")
        body.end()
        self.origin.turn()
        self.assertEqual([each.body for each in self.shadow.requests], [b"12345"])
        self.assertEqual(self.counted, {"dropped": 1, "sent": 1})

    def test_a_client_that_leaves(self) -> None:
        self.route(nothing)
        exchange, body = self.upload(b"ab")
        error = GatewayError(499, "downstream_left")
        body.abort(error)
        exchange.end(Outcome(0, False, 2, 0, error))
        self.origin.turn()
        self.assertEqual((self.counted, self.mirror.on_way, self.shadow.attempts), ({"dropped": 1}, 0, 0))
        self.failureResultOf(self.deferred, GatewayError)

    def test_a_target_that_reads_nothing(self) -> None:
        """Its place is free when the exchange ends."""
        self.route()
        self.origin.faults = [refused() for _ in range(9)]
        exchange, _ = self.upload(b"ab")
        self.origin.turn(5)
        self.failureResultOf(self.deferred, GatewayError)
        exchange.end(Outcome(503, True, 0, 0, None))
        self.assertEqual((self.counted, self.mirror.on_way, self.shadow.attempts), ({"dropped": 1}, 0, 0))


class HarmTests(Case):
    """A shadow that is dead, slow or talkative costs the original nothing, and itself not much."""

    def test_dead(self) -> None:
        self.route(*[answer(b"yes")] * 5)
        self.shadow.faults = [refused() for _ in range(50)]
        for _ in range(5):
            self.assertEqual(self.get().status, 200)
        self.origin.turn(6)
        self.assertEqual((self.counted, self.mirror.on_way), ({"failed": 1, "dropped": 4}, 0))
        self.assertEqual(
            self.shadow.attempts, 1, "one in 100 ms: a connection that is refused costs as much as a request"
        )
        self.origin.script = [answer(b"yes")]
        self.shadow.faults = []
        self.shadow.script = [answer()]
        self.get()
        self.origin.turn(1)
        self.assertEqual(self.counted["sent"], 1)
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_slow_and_bounded(self) -> None:
        """No more copies than `most` are on their way; those beyond are dropped; originals go on as ever."""
        self.route(*[answer(b"yes")] * 20, shadow=(nothing,) * 20, most=3)
        for _ in range(20):
            self.assertEqual(self.get("POST", body=b"x" * 1000).status, 200)
        self.assertEqual((self.mirror.on_way, len(self.shadow.requests)), (3, 3))
        self.assertEqual(self.counted, {"dropped": 17})
        self.assertEqual(len(self.origin.connections), 1, "the pool of the original lends no more than before")
        self.origin.turn(5.2)
        self.assertEqual((self.mirror.on_way, self.counted["failed"]), (0, 3))
        self.assertEqual(self.clusters[1].endpoints[0].in_flight, 0)
        self.assertTrue(all(each.aborted or each.closed for each in self.shadow.connections))

    def test_one_that_never_connects(self) -> None:
        self.route(answer(b"yes"), timeout="2s")
        self.shadow.held = []
        self.assertEqual(self.get().status, 200)
        self.assertEqual(self.mirror.on_way, 1)
        self.origin.turn(2.2)
        self.assertEqual((self.mirror.on_way, self.counted), (0, {"failed": 1}))

    def test_an_answer_without_end_is_cut(self) -> None:
        """After its head and a little more; until then nothing of it is kept."""
        self.route(answer(b"yes"), shadow=(nothing,))
        self.get()
        wire = self.shadow.connections[0]
        wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        chunk = b"4000\r\n" + b"x" * 0x4000 + b"\r\n"
        for _ in range(READ_ON // 0x4000):
            wire.send(chunk)
        self.assertEqual((self.mirror.on_way, wire.aborted or wire.closed), (1, False))
        wire.send(chunk)
        self.assertEqual((self.mirror.on_way, self.counted), (0, {"sent": 1}))
        self.assertTrue(wire.aborted or wire.closed)

    def test_an_answer_that_breaks_off(self) -> None:
        self.route(answer(b"yes"), shadow=(nothing,))
        self.get()
        self.shadow.connections[0].send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc")
        self.shadow.connections[0].reset()
        self.assertEqual((self.mirror.on_way, self.counted), (0, {"failed": 1}))

    def test_an_answer_that_is_too_slow(self) -> None:
        self.route(answer(b"yes"), shadow=(nothing,))
        self.get()
        self.shadow.connections[0].send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc")
        self.origin.turn(5.2)
        self.assertEqual((self.mirror.on_way, self.counted), (0, {"failed": 1}))
        self.assertEqual(self.clusters[1].endpoints[0].in_flight, 0)

    def test_a_defect_in_a_copy_is_only_logged(self) -> None:
        self.route(answer(b"yes"))

        async def broken(exchange: Exchange) -> Response:
            raise ZeroDivisionError

        self.mirror.target = broken
        self.assertEqual(self.get().status, 200)
        self.assertEqual((self.mirror.on_way, self.counted), (0, {"failed": 1}))

    def test_nothing_of_the_connection_is_held(self) -> None:
        """A copy outlives its original, whose connection must not wait for it."""
        seen: list[Exchange] = []
        self.route(answer(b"yes"), shadow=(nothing,))
        target: Callable[[Exchange], Any] = self.mirror.target

        def look(exchange: Exchange) -> Any:
            seen.append(exchange)
            return target(exchange)

        self.mirror.target = look
        exchange, _ = self.start()
        self.origin.turn()
        copy = seen[0]
        self.assertIsNot(copy.connection, exchange.connection)
        self.assertEqual((copy.connection.peer, copy.client), ("192.0.2.1", exchange.client))
        self.assertEqual((copy.id, copy.deadline_s), (exchange.id, 5.0))


class SettingsTests(SynchronousTestCase):
    def test_forms(self) -> None:
        made = MirrorSettings.model_validate("shadow")
        self.assertEqual((made.to, made.share, made.body, made.most, made.timeout), ("shadow", 1.0, 65536, 64, 5.0))
        for wrong in ({"body": "2MiB"}, {"most": 0}, {"share": "101%"}, {"timeout": 0}):
            self.assertRaises(ValidationError, MirrorSettings.model_validate, {"to": "x", **wrong})
