"""Whatever becomes of exchanges, what was taken for them is given back: places, connections, tokens, timers."""

from __future__ import annotations

from collections import Counter
from random import Random
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError
from twisted.trial.unittest import SynchronousTestCase

from edgegw.errors import GatewayError, Phase, Side
from edgegw.exchange.body import EMPTY, Body
from edgegw.exchange.drive import Drive
from edgegw.exchange.model import Outcome, Response
from edgegw.observe.metrics import Registry
from edgegw.targets.fallback import Fallback, FallbackSettings
from edgegw.targets.mirror import Mirror, Mirrors, MirrorSettings
from edgegw.targets.proxy import Proxy
from edgegw.testing.exchanges import drain, make_exchange
from edgegw.testing.origin import Origin, OriginConnection, answer, cluster, refused
from edgegw.upstream.budget import RetryBudget
from edgegw.upstream.cluster import Cluster
from edgegw.upstream.retry import RetrySettings
from edgegw.wire.headers import Field
from tests.targets.test_attempts import Toll
from tests.targets.test_proxy import Case, close, nothing, reset
from tests.wire.tables import OK

HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
FAR = b"Thu, 01 Jan 99999999999999999999 00:00:00 GMT"
LEFT = GatewayError(499, "downstream_left", side=Side.DOWNSTREAM, phase=Phase.BODY)


def torn(wire: OriginConnection) -> None:
    wire.send(OK + b"Content-Length: 9\r\n\r\nab")
    wire.reset()


def until_close(wire: OriginConnection) -> None:
    wire.send(OK + b"\r\nabc")
    wire.close()


def hinted(wire: OriginConnection) -> None:
    wire.send(HINTS + answer(b"hinted"))


WHAT: list[Any] = [
    answer(b"fine"), answer(b"fine"), answer(b""), answer(b"x" * 90_000), answer(b"busy", 503),
    answer(b"", 503, (b"Retry-After", b"0")), answer(b"", 503, (b"Retry-After", FAR)), answer(b"no", 404), torn, reset, close,
    nothing, until_close, hinted, b"garbage\r\n\r\n", OK + b"Content-Length: 9\r\n\r\nab", answer(b"", 204),
    OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n",
]  # fmt: skip


class Client:
    """One exchange and who asked for it. answers: how often it was answered or failed."""

    def __init__(self, storm: Storm, number: int) -> None:
        self.storm = storm
        self.answers = 0
        self.errors: list[BaseException] = []
        self.response: Response | None = None
        self.sent = b""
        chance = storm.chance
        self.method = chance.choice(["GET", "GET", "HEAD", "POST", "PUT"])
        self.body: Body | None = None
        body: Body | bytes = EMPTY
        if self.method in ("POST", "PUT"):
            size = chance.choice([0, 10, 5000, 70_000])
            self.sent = chance.randbytes(size)
            body = self.sent
            if chance.random() < 0.6 and size:
                self.left = self.sent
                body = self.body = Body(chance.choice([None, size]))
        self.exchange = make_exchange(self.method, headers=[(b"X-Number", b"%d" % number)], body=body)
        self.exchange.started_s = storm.clock.seconds()
        if chance.random() < 0.3:
            self.exchange.deadline_s = storm.clock.seconds() + 1.0
        self.drive = Drive(self._run(), self._answered, self._failed)
        self.drive.start()

    async def _run(self) -> Response:
        return await self.storm.responder(self.exchange)

    def _answered(self, response: Response) -> None:
        self.answers += 1
        self.response = response

    def _failed(self, error: BaseException) -> None:
        self.answers += 1
        self.errors.append(error)
        status = error.status if isinstance(error, GatewayError) else 500
        self.end(Outcome(status, True, 0, 0, error if isinstance(error, GatewayError) else None))

    def end(self, outcome: Outcome) -> None:
        if self.body is not None and not self.body.ended:
            self.body.abort(LEFT)
        self.exchange.end(outcome)

    def upload(self) -> None:
        """Some more of the body, or its end; or it breaks off."""
        body = self.body
        if body is None or body.ended or body.error is not None:
            return
        if self.storm.chance.random() < 0.05:
            body.abort(LEFT)
            return
        piece, self.left = self.left[:20_000], self.left[20_000:]
        if piece:
            body.write(piece)
        if not self.left:
            body.end()

    def read(self) -> None:
        """The whole answer, as far as it comes."""
        response = self.response
        if response is None or self.exchange.outcome is not None or response.body.started:
            return
        body = response.body
        sink = drain(body)
        ended, failed = sink.end, sink.abort

        def end(trailers: tuple[Field, ...]) -> None:
            ended(trailers)
            self.end(Outcome(response.status, True, 0, 0, None))

        def abort(error: GatewayError) -> None:
            failed(error)
            self.end(Outcome(response.status, False, 0, 0, error))

        sink.end, sink.abort = end, abort  # type: ignore[method-assign]
        if sink.ended or sink.error is not None:
            self.end(Outcome(response.status, sink.ended, 0, 0, sink.error))

    def leave(self) -> None:
        """The connection is gone."""
        if self.exchange.outcome is None:
            if self.response is None:
                self.drive.cancel(lambda response: response.body.cancel())
            else:
                self.response.body.cancel()
            self.end(Outcome(0, False, 0, 0, LEFT))


class Storm:
    """Three upstreams: `shop`, its fallback, its shadow; clients and origins that do as chance has it."""

    def __init__(self, seed: int) -> None:
        self.chance = chance = Random(seed)
        first = Origin()
        self.clock, wheel = first.clock, first.wheel
        self.origins = [first, *(Origin(clock=self.clock, wheel=wheel) for _ in range(4))]
        retry = {
            "attempts": chance.choice([1, 3]), "on": ["connect", "reset", "timeout", 503], "budget": "100%",
            "hedge": chance.choice([False, "150ms"]), "per_try": chance.choice([None, "400ms"]),
            "methods": chance.choice([(), ("POST",)]),
        }  # fmt: skip
        self.posts_once = not retry["methods"]
        said: dict[str, Any] = {
            "pool": {"max": 3, "idle": 2, "idle_timeout": "2s", "queue": 2, "queue_timeout": "500ms"},
            "bulkhead": {"requests": 6, "queue": 3, "queue_timeout": "500ms"},
            "breaker": {"failures": chance.choice([4, 50]), "refuse": "500ms", "max_refuse": "1s"},
            "outlier": {"consecutive": 4, "eject": "1s"},
            "timeouts": {"head": "1s", "idle": "1s"},
            "retry": retry,
        }
        self.clusters = [
            cluster(*self.origins[:3], **said),
            cluster(self.origins[3], **said),
            cluster(self.origins[4], **said),
        ]
        metrics = Registry().upstream("shop")
        shop, other, shadow = (Proxy(each, 1.0, 1.0, self.clock.seconds, metrics) for each in self.clusters)
        told: Counter[str] = Counter()

        def count(what: str) -> None:
            told[what] += 1

        mirrored = MirrorSettings.model_validate({"to": "shadow", "most": 4, "timeout": "1s"})
        self.mirror = Mirror(shadow, mirrored, self.clock, wheel, chance, count)
        on = ["breaker", "no_endpoint", "bulkhead", "connect", "reset", "timeout", "502-504"]
        fallback = Fallback(shop, other, FallbackSettings.model_validate({"to": "other", "on": on}), count)
        self.responder = Mirrors(fallback, [self.mirror]) if chance.random() < 0.7 else fallback
        self.clients: list[Client] = []

    def run(self, steps: int) -> None:
        chance = self.chance
        for _step in range(steps):
            for origin in self.origins:
                origin.script = [chance.choice(WHAT) for _ in range(4)]
                if chance.random() < 0.1:
                    origin.faults = [refused()] * chance.randrange(3)
                if chance.random() < 0.1:
                    origin.held = [] if origin.held is None else origin.held
            for _ in range(chance.randrange(4)):
                self.clients.append(Client(self, len(self.clients)))
            living = [client for client in self.clients if client.exchange.outcome is None]
            for client in living:
                chance.choice([client.upload, client.upload, client.read, client.read, lambda: None])()
                if chance.random() < 0.03:
                    client.leave()
            for origin in self.origins:
                for waiting in origin.held or []:
                    if not waiting.called:
                        if chance.random() < 0.7:
                            waiting.callback(origin.accept())
                        else:
                            waiting.errback(refused())
                if chance.random() < 0.5:
                    origin.held = None
                for wire in origin.connections[-3:]:
                    if chance.random() < 0.05:
                        chance.choice([wire.reset, wire.close])()
            self.origins[0].turn(chance.choice([0, 0, 0.1, 0.2]))

    def finish(self) -> None:
        """Everybody reads what there is; then all go."""
        for origin in self.origins:
            held, origin.held = origin.held or [], None
            for waiting in held:
                if not waiting.called:
                    waiting.callback(origin.accept())
        for _ in range(30):
            for client in self.clients:
                client.upload()
                client.read()
            self.origins[0].turn(0.1)
        for client in self.clients:
            client.leave()
        self.origins[0].turn(20)


class LateTests(Case):
    wait_s = 0.1

    def build(self, *scripts: list[Any], **retry: Any) -> None:
        self.retry = RetrySettings.model_validate(retry)
        self.proxy(*scripts)

    def test_an_attempt_that_nobody_waited_for_costs_no_budget(self) -> None:
        self.build([reset], backoff={"base": "9s", "most": "9s"})
        answered = self.start(make_exchange())
        self.turn()
        self.assertEqual(repr(self.cluster.retry.budget), "<RetryBudget 1 added to 1 exchanges>")
        answered.cancel()
        self.failureResultOf(answered, CancelledError)
        self.assertEqual(repr(self.cluster.retry.budget), "<RetryBudget 0 added to 1 exchanges>")

    def test_a_date_that_is_none_does_no_harm(self) -> None:
        self.build([answer(b"", 503, (b"Retry-After", FAR))], [answer()], on=[503], backoff={"base": 0})
        self.assertEqual(self.ask().status, 200)
        self.end()
        self.assertEqual(self.in_flight(), [0, 0])

    def test_what_a_fallback_breaks_off_is_its_own_fault(self) -> None:
        self.build([answer(b"busy", 500)])
        toll: Any = Toll()
        self.cluster.breaker = toll
        failures: list[str] = []
        endpoint: Any = self.cluster.endpoints[0]
        endpoint.observers = ()
        self.ask()
        endpoint.observers = (SimpleNamespace(failed=lambda _, error, *__: failures.append(error.reason)),)
        # As another upstream leaves it, which was asked instead.
        self.exchange.upstream = "other"
        torn = GatewayError(502, "upstream_aborted", side=Side.UPSTREAM, phase=Phase.RESPONSE_BODY)
        self.exchange.end(Outcome(200, False, 0, 2, torn))
        self.assertEqual((toll.ends, failures, self.in_flight()), ([], [], [0]))


class StormTests(SynchronousTestCase):
    @settings(deadline=None, max_examples=25)
    @given(st.integers(0, 2**32))
    def test_everything_is_given_back(self, seed: int) -> None:
        storm = Storm(seed)
        storm.run(40)
        storm.finish()
        for made in storm.clusters:
            self._nothing_is_left(made)
        self.assertEqual(storm.mirror.on_way, 0)
        left = [str(call) for call in storm.clock.getDelayedCalls()]
        self.assertEqual(len(left), 1, f"only the wheel turns on: {left}")
        for client in storm.clients:
            self.assertLessEqual(client.answers, 1)
            self.assertEqual([error for error in client.errors if not isinstance(error, GatewayError)], [])
        self._bodies_are_whole(storm)

    def _nothing_is_left(self, made: Cluster) -> None:
        self.assertEqual([each.in_flight for each in made.endpoints], [0] * len(made.endpoints))
        for each in made.endpoints:
            self.assertEqual((each.pool.open, each.pool.leased, each.pool.queued), (0, 0, 0), repr(each))
        self.assertEqual((made.bulkhead.inside, made.bulkhead.queued), (0, 0))  # type: ignore[union-attr]
        self.assertFalse(made.breaker._probes)  # type: ignore[union-attr]
        self.assertEqual(repr(made.retry.budget), "<RetryBudget 0 added to 0 exchanges>")

    def _bodies_are_whole(self, storm: Storm) -> None:
        sent: Counter[int] = Counter()
        for at, origin in enumerate(storm.origins):
            for request in origin.requests:
                number = int(dict(request.fields)[b"X-Number"])
                client = storm.clients[number]
                self.assertTrue(client.sent.startswith(request.body))
                if request.complete:
                    self.assertEqual(request.body, client.sent)
                sent[number] += client.method == "POST" and at < 4
        if storm.posts_once:
            self.assertEqual([number for number, times in sent.items() if times > 1], [], "POST goes out once")


class NobodyChosenTests(Case):
    """A balancer may be the code of others, and raise: the exchange fails, and everything is given back."""

    def build(self, *scripts: list[Any], fails_at: int, **retry: Any) -> None:
        self.retry = RetrySettings.model_validate(retry)
        self.proxy(*scripts)
        toll: Any = Toll()
        self.toll = self.cluster.breaker = toll
        selection = self.cluster.selection()
        choose, asked = selection.choose, iter(range(1, 99))

        def broken(*given: Any) -> Any:
            if next(asked) == fails_at:
                raise RuntimeError("a defect")
            return choose(*given)

        self.patch(selection, "choose", broken)

    def breaks(self, spoil: Any = None, **more: Any) -> None:
        exchange = make_exchange(**more)
        answered = self.start(exchange)
        self.turn(0.5)
        if spoil is not None:
            spoil(self.origins[0].connections[0])
            self.turn(0.5)
        self.assertEqual(str(self.failureResultOf(answered, RuntimeError).value), "a defect")
        self.end(exchange)
        self.turn()
        self.assertEqual(self.in_flight(), [0, 0])
        self.assertEqual([each.pool.leased for each in self.cluster.endpoints], [0, 0])

    def test_for_the_first_attempt(self) -> None:
        self.build([answer(b"well")], [], fails_at=1)
        self.breaks()
        self.assertEqual((self.toll.told, self.received()), ([(1, None)], [0, 0]))
        self.assertEqual(self.ask().body.take_ready(), b"well", "the next one is served")

    def test_for_the_next_attempt_after_an_answer(self) -> None:
        self.build([answer(b"busy", 503)], [], fails_at=2, on=["503"])
        taken: list[int] = []
        self.patch(RetryBudget, "give_back", lambda _: taken.append(1))
        self.breaks()
        self.assertEqual((self.toll.told, self.received(), taken), ([(1, False)], [1, 0], [1]))
        self.assertEqual(self.cluster.endpoints[0].pool.idle_count, 1, "what was answered is read")

    def test_for_the_next_attempt_after_none(self) -> None:
        self.build([], [], fails_at=2)
        source = Mock()
        body = Body(6, source)
        body.write(b"abc")
        self.breaks(reset, method="PUT", body=body)
        self.assertEqual((self.toll.told, source.cancel.call_count), ([(1, False)], 1))

    def test_for_the_first_of_several_beside_each_other(self) -> None:
        self.build([answer(b"well")], [], fails_at=1, hedge={"after": "200ms"})
        self.breaks()
        self.assertEqual((self.toll.told, self.received()), ([(1, None)], [0, 0]))

    def test_for_one_beside_another(self) -> None:
        """The one that runs is answered all the same."""
        self.build([nothing], [], fails_at=2, hedge={"after": "200ms"})
        taken: list[int] = []
        self.patch(RetryBudget, "give_back", lambda _: taken.append(1))
        self.exchange = make_exchange()
        answered = self.start(self.exchange)
        self.turn(0.5)
        self.assertEqual((len(self.flushLoggedErrors(RuntimeError)), taken), (1, [1]))
        self.origins[0].connections[0].send(answer(b"slow"))
        self.assertEqual(self.successResultOf(answered).body.take_ready(), b"slow")
        self.end()
        self.assertEqual((self.in_flight(), self.toll.told), ([0, 0], [(1, True)]))
