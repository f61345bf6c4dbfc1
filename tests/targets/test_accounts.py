"""Whatever becomes of exchanges, what was taken for them is given back: places, connections, tokens, timers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError
from twisted.trial.unittest import SynchronousTestCase

from edgegw.errors import GatewayError, Phase, Retry, Side
from edgegw.exchange.body import EMPTY, Body
from edgegw.exchange.drive import Drive
from edgegw.exchange.model import Exchange, Outcome, Response
from edgegw.observe.metrics import Registry
from edgegw.targets.fallback import Fallback, FallbackSettings
from edgegw.targets.mirror import Mirror, Mirrors, MirrorSettings
from edgegw.targets.proxy import Proxy
from edgegw.testing.exchanges import drain, make_exchange
from edgegw.testing.origin import Origin, OriginConnection, answer, cluster, refused
from edgegw.upstream.breaker import BreakerSettings
from edgegw.upstream.bulkhead import BulkheadSettings
from edgegw.upstream.cluster import Cluster
from edgegw.upstream.outlier import OutlierSettings
from edgegw.upstream.pool import PoolSettings
from edgegw.upstream.retry import RetrySettings
from edgegw.upstream.settings import UpstreamTimeouts
from tests.targets.test_attempts import Toll
from tests.targets.test_proxy import Case, nothing, reset
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


def closes(wire: OriginConnection) -> None:
    wire.close()


WHAT: list[Any] = [
    answer(b"fine"), answer(b"fine"), answer(b""), answer(b"x" * 90_000), answer(b"busy", 503),
    answer(b"", 503, (b"Retry-After", b"0")), answer(b"", 503, (b"Retry-After", FAR)), answer(b"no", 404), torn, reset, closes,
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
        sink.end = lambda trailers: (ended(trailers), self.end(Outcome(response.status, True, 0, 0, None)))[0]  # type: ignore[method-assign]
        sink.abort = lambda error: (failed(error), self.end(Outcome(response.status, False, 0, 0, error)))[0]  # type: ignore[method-assign]
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
            "pool": PoolSettings(max=3, idle=2, idle_timeout="2.0s", queue=2, queue_timeout="0.5s"),
            "bulkhead": BulkheadSettings(requests=6, queue=3, queue_timeout="0.5s"),
            "breaker": BreakerSettings(failures=chance.choice([4, 50]), refuse="0.5s", max_refuse="1.0s"),
            "outlier": OutlierSettings(consecutive=4, eject="1.0s"),
            "timeouts": UpstreamTimeouts(head="1.0s", idle="1.0s"),
            "retry": RetrySettings.model_validate(retry),
        }
        self.clusters = [
            cluster(*self.origins[:3], **said),
            cluster(self.origins[3], **said),
            cluster(self.origins[4], **said),
        ]
        metrics = Registry().upstream("shop")
        shop, other, shadow = (Proxy(each, 1.0, 1.0, self.clock.seconds, metrics) for each in self.clusters)
        told: Counter[str] = Counter()
        self.mirror = Mirror(
            shadow, MirrorSettings(to="shadow", most=4, timeout="1.0s"), self.clock, wheel, chance, lambda outcome: told.update([outcome])
        )
        on: Any = {"to": "other", "on": ["breaker", "no_endpoint", "bulkhead", "connect", "reset", "timeout", "502-504"]}
        fallback = Fallback(shop, other, FallbackSettings.model_validate(on), lambda reason: told.update([reason]))
        self.responder = Mirrors(fallback, [self.mirror]) if chance.random() < 0.7 else fallback
        self.clients: list[Client] = []

    def run(self, steps: int) -> None:
        chance = self.chance
        for step in range(steps):
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
                        waiting.callback(origin.accept()) if chance.random() < 0.7 else waiting.errback(refused())
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


class StormTests(SynchronousTestCase):
    @settings(deadline=None, max_examples=25)
    @given(st.integers(0, 2**32))
    def test_everything_is_given_back(self, seed: int) -> None:
        storm = Storm(seed)
        storm.run(40)
        storm.finish()
        self.flushLoggedErrors()
        for made in storm.clusters:
            self._nothing_is_left(made)
        self.assertEqual(storm.mirror.on_way, 0)
        left = [str(call) for call in storm.clock.getDelayedCalls()]
        self.assertEqual(len(left), 1, f"only the wheel turns on: {left}")
        for client in storm.clients:
            self.assertLessEqual(client.answers, 1)
            self.assertEqual([error for error in client.errors if not isinstance(error, (GatewayError, CancelledError))], [])
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
