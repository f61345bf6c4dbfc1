"""Tests of edgegw.targets.proxy: exchanges to origins in memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from edgegw.errors import GatewayError, Phase, Side
from edgegw.exchange.body import Body
from edgegw.exchange.drive import Drive
from edgegw.exchange.model import Exchange, Outcome, Response
from edgegw.observe.metrics import Registry
from edgegw.targets.proxy import Proxy
from edgegw.testing.bodies import Source
from edgegw.testing.exchanges import FakeConnection, drain, make_exchange
from edgegw.testing.origin import Origin, OriginConnection, answer, cluster, refused
from edgegw.upstream.pool import PoolSettings
from edgegw.upstream.settings import UpstreamTimeouts
from tests.wire.tables import OK


def close(wire: OriginConnection) -> None:
    wire.close()


def reset(wire: OriginConnection) -> None:
    wire.reset()


def nothing(wire: OriginConnection) -> None:
    """Says nothing."""


def then_close(data: bytes) -> Callable[[OriginConnection], None]:
    def answers(wire: OriginConnection) -> None:
        wire.send(data)
        wire.close()

    return answers


class Case(SynchronousTestCase):
    """A proxy and its origins, which share a clock. wait_s: how long `ask` and `fails` wait for the end."""

    wait_s = 0.0
    retry: Any = None

    def proxy(
        self, *scripts: list[Any], host: str = "preserve", timeouts: Any = None, balance: Any = None, **pool: Any
    ) -> None:
        first = Origin(*scripts[0])
        others = [Origin(*script, clock=first.clock, wheel=first.wheel) for script in scripts[1:]]
        self.origins = [first, *others]
        timeouts = timeouts or UpstreamTimeouts()
        said = {"balance": balance} if balance is not None else {}
        self.cluster = cluster(*self.origins, pool=PoolSettings(**pool), host=host, timeouts=timeouts, **said)
        self.registry = Registry()
        metrics = self.registry.upstream("shop")
        self.made = Proxy(self.cluster, 5.0, 10.0, first.clock.seconds, metrics, self.retry)

    def start(self, exchange: Exchange) -> Deferred[Response]:
        exchange.started_s = self.origins[0].clock.seconds()
        return Deferred.fromCoroutine(self.made(exchange))

    def turn(self, seconds: float = 0.0) -> None:
        self.origins[0].turn(seconds)

    def ask(self, method: str = "GET", **more: Any) -> Response:
        """The response to one exchange that ends well."""
        self.exchange = make_exchange(method, **more)
        answered = self.start(self.exchange)
        self.turn(self.wait_s)
        return self.successResultOf(answered)

    def fails(self, method: str = "GET", **more: Any) -> GatewayError:
        self.exchange = make_exchange(method, **more)
        answered = self.start(self.exchange)
        self.turn(self.wait_s)
        return self.failureResultOf(answered, GatewayError).value

    def end(self, exchange: Exchange | None = None) -> None:
        (exchange or self.exchange).end(Outcome(200, True, 0, 0, None))

    def in_flight(self) -> list[int]:
        return [endpoint.in_flight for endpoint in self.cluster.endpoints]

    def received(self) -> list[int]:
        return [len(origin.requests) for origin in self.origins]

    def warm(self, method: str = "GET") -> None:
        """Leave one idle connection to the first origin."""
        self.origins[0].script.insert(0, answer())
        self.ask(method)
        self.end()
        self.assertEqual(self.cluster.endpoints[0].pool.idle_count, 1)


class AnswerTests(Case):
    def test_a_whole_exchange(self) -> None:
        self.proxy([answer(b"hello", 201, (b"X-From", b"origin"))])
        response = self.ask(url="/a%20b?x=1&y")
        self.assertEqual((response.status, response.body.take_ready()), (201, b"hello"))
        self.assertEqual(response.headers.get(b"x-from"), b"origin")
        head = self.origins[0].requests[0].head
        self.assertEqual((head.method, head.target), ("GET", "/a%20b?x=1&y"))
        self.assertEqual((self.exchange.upstream, self.exchange.endpoint), ("shop", "http://origin-0:80"))
        self.assertEqual(self.exchange.attempts, 1)

    def test_connections_are_used_again(self) -> None:
        self.proxy([answer(), answer(), answer()])
        for _ in range(3):
            self.ask()
            self.end()
        self.assertEqual(len(self.origins[0].connections), 1)

    def test_endpoints_in_turn(self) -> None:
        self.proxy([answer(), answer()], [answer(), answer()])
        for _ in range(4):
            self.ask()
        self.assertEqual(self.received(), [2, 2])

    def test_times(self) -> None:
        self.proxy([nothing])
        self.origins[0].held = []
        exchange = make_exchange()
        answered = self.start(exchange)
        self.turn(1)
        self.origins[0].held[0].callback(self.origins[0].accept())
        self.turn(2)
        wire = self.origins[0].connections[0]
        wire.send(OK + b"Content-Length: 2\r\n\r\na")
        drain(self.successResultOf(answered).body)
        self.turn(3)
        wire.send(b"b")
        self.assertAlmostEqual(exchange.connect_s, 1.0)
        self.assertAlmostEqual(exchange.upstream_head_s, 3.0)
        self.assertAlmostEqual(exchange.upstream_end_s, 6.0)

    def test_times_of_an_answer_in_one_read(self) -> None:
        self.proxy([answer(b"x")])
        self.ask()
        self.assertEqual(self.exchange.upstream_end_s, self.exchange.upstream_head_s)
        self.assertGreaterEqual(self.exchange.connect_s, 0)

    def test_fields_for_one_hop_stay_here(self) -> None:
        fields = [
            (b"Connection", b"X-Hop, keep-alive, Content-Type"), (b"X-Hop", b"1"), (b"Keep-Alive", b"timeout=5"),
            (b"Proxy-Authenticate", b"Basic"), (b"Content-Type", b"text/plain"), (b"X-End", b"2"),
        ]  # fmt: skip
        self.proxy([answer(b"x", 200, *fields), answer(b"x", 200, (b"Proxy-Authenticate", b"Basic"))])
        names = [name for name, _ in self.ask().headers]
        self.assertEqual(names, [b"Content-Length", b"Content-Type", b"X-End"])
        self.assertNotIn(b"proxy-authenticate", self.ask().headers)

    def test_connection_alone_names_fields_too(self) -> None:
        self.proxy([answer(b"x", 200, (b"Connection", b"X-Hop"), (b"X-Hop", b"1"))])
        self.assertEqual([name for name, _ in self.ask().headers], [b"Content-Length"])

    def test_informational_heads_reach_the_downstream_side(self) -> None:
        self.proxy([b"HTTP/1.1 103 Early\r\nLink: </a>\r\n\r\n" + answer()])
        connection = FakeConnection()
        self.ask(connection=connection)
        self.assertEqual([head.status for head in connection.informational_heads], [103])

    def test_head(self) -> None:
        self.proxy([OK + b"Content-Length: 1000\r\n\r\n"])
        response = self.ask("HEAD")
        self.assertEqual((response.headers.get(b"content-length"), response.body.ended), (b"1000", True))


class UploadTests(Case):
    def test_chunked_stays_chunked_with_trailers(self) -> None:
        self.proxy([answer()])
        body = Body(None)
        exchange = make_exchange("POST", body=body)
        answered = self.start(exchange)
        body.write(b"abc")
        body.end(((b"x-sum", b"X-Sum", b"1"),))
        self.turn()
        self.successResultOf(answered)
        request = self.origins[0].requests[0]
        self.assertIn((b"Transfer-Encoding", b"chunked"), request.fields)
        self.assertEqual((request.body, request.trailers), (b"abc", ((b"x-sum", b"X-Sum", b"1"),)))

    def test_a_body_that_ends_while_we_connect(self) -> None:
        """Framing is decided once: a head that says one thing and a body that is another would be two requests."""
        for method in ("POST", "PUT"):
            self.proxy([answer()])
            self.origins[0].held = []
            body = Body(None)
            answered = self.start(make_exchange(method, body=body))
            body.end()
            self.origins[0].held[0].callback(self.origins[0].accept())
            self.turn()
            self.successResultOf(answered)
            (request,) = self.origins[0].requests
            self.assertTrue(request.complete)
            names = [name for name, _ in request.fields]
            self.assertIn(b"Transfer-Encoding", names)
            self.assertNotIn(b"Content-Length", names)
            self.assertEqual(self.cluster.endpoints[0].pool.idle_count, 1)

    def test_broken_off(self) -> None:
        for method in ("POST", "PUT"):
            self.proxy([nothing], [nothing])
            body = Body(None)
            exchange = make_exchange(method, body=body)
            answered = self.start(exchange)
            body.write(b"a")
            gone = GatewayError(413, "body_too_large", side=Side.DOWNSTREAM)
            body.abort(gone)
            self.assertIs(self.failureResultOf(answered).value, gone)
            self.assertEqual((self.received(), self.in_flight()), ([1, 0], [0, 0]))
            self.assertTrue(self.origins[0].connections[0].aborted)

    def test_nobody_is_asked_for_the_body_before_there_is_a_connection(self) -> None:
        self.proxy([answer()])
        self.origins[0].held = []
        source = Source()
        answered = self.start(make_exchange("POST", body=Body(3, source)))
        self.assertEqual(source.told, [])
        self.origins[0].held[0].errback(refused())
        self.failureResultOf(answered, GatewayError)
        # Never asked for, and told that it is not wanted.
        self.assertEqual(source.told, ["cancel"])


class EndingTests(Case):
    """`in_flight` is exact under every ending, and nothing is left behind."""

    def assert_clean(self) -> None:
        self.assertEqual(self.in_flight(), [0] * len(self.origins))
        self.turn()
        for endpoint in self.cluster.endpoints:
            self.assertEqual((endpoint.pool.leased, endpoint.pool.queued), (0, 0))
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_counts_until_the_exchange_ends(self) -> None:
        self.proxy([answer(b"x")])
        self.ask()
        self.assertEqual(self.in_flight(), [1])
        self.end()
        self.assert_clean()

    def test_torn_at_every_stage(self) -> None:
        for stage in ("connecting", "queued", "waiting"):
            self.proxy([nothing, nothing], max=1)
            if stage == "queued":
                self.start(make_exchange())
            if stage == "connecting":
                self.origins[0].held = []
            exchange = make_exchange("POST", body=b"abc")
            # As the downstream side runs it.
            told: list[Any] = []
            drive = Drive(self.made(exchange), told.append, told.append)  # type: ignore[arg-type]
            drive.start()
            drive.cancel()
            self.assertEqual((told, self.in_flight()), ([], [1 if stage == "queued" else 0]))
            self.assertEqual(self.flushLoggedErrors(), [])
            if stage != "queued":
                self.assert_clean()

    def test_cancelled_is_no_reason_to_try_again(self) -> None:
        self.proxy([nothing], [answer()])
        answered = self.start(make_exchange())
        self.turn()
        answered.cancel()
        self.failureResultOf(answered, CancelledError)
        self.assertEqual(self.received(), [1, 0])
        self.assert_clean()

    def test_interrupted_by_a_deadline(self) -> None:
        self.proxy([nothing], [answer()])
        told: list[Any] = []
        drive = Drive(self.made(make_exchange()), told.append, told.append)  # type: ignore[arg-type]
        drive.start()
        late = GatewayError(504, "total_timeout", phase=Phase.POLICY)
        drive.interrupt(late)
        self.assertEqual(told, [late])
        self.assertTrue(self.origins[0].connections[0].aborted)
        self.assert_clean()

    def test_the_reader_leaves(self) -> None:
        self.proxy([OK + b"Content-Length: 9\r\n\r\nab"])
        response = self.ask()
        drain(response.body)
        response.body.cancel()
        self.end()
        self.assertTrue(self.origins[0].connections[0].aborted)
        self.assert_clean()

    def test_killed_inside_the_body(self) -> None:
        self.proxy([OK + b"Content-Length: 9\r\n\r\nab"])
        response = self.ask()
        sink = drain(response.body)
        self.origins[0].connections[0].reset()
        self.assertEqual((sink.ended, sink.error and sink.error.reason), (False, "upstream_aborted"))
        self.end()
        self.assert_clean()

    def test_what_cannot_be_sent_costs_no_connection(self) -> None:
        self.proxy([])
        self.warm()
        for bad in (b"a\rb", b"a\x00b"):
            exchange = make_exchange()
            exchange.request.headers.add(b"X-Bad", bad)
            error = self.failureResultOf(self.start(exchange), GatewayError).value
            self.assertEqual((error.status, error.reason), (500, "unsafe_head"))
        self.assertEqual(self.cluster.endpoints[0].pool.idle_count, 1)
        self.assert_clean()

    def test_bugs_are_counted_out_too(self) -> None:
        self.proxy([])
        exchange = make_exchange()
        exchange.request.headers = None  # type: ignore[assignment]
        self.failureResultOf(self.start(exchange), AttributeError)
        self.assert_clean()


class MetricsTests(Case):
    def counts(self, family: str) -> dict[tuple[str, ...], float]:
        cells = getattr(self.registry, family)
        return {key: cell.value for key, cell in cells}

    def test_attempts_and_retries(self) -> None:
        self.proxy([reset], [answer()])
        self.ask()
        self.assertEqual(self.counts("upstream_attempts"), {("shop", "2xx"): 1, ("shop", "upstream_reset"): 1})
        self.assertEqual(self.counts("retries"), {("shop", "upstream_reset"): 1})

    def test_cancelled(self) -> None:
        self.proxy([nothing])
        self.start(make_exchange()).addErrback(lambda _: None).cancel()
        self.assertEqual(self.counts("upstream_attempts"), {("shop", "cancelled"): 1})

    def test_repr(self) -> None:
        self.proxy([])
        self.assertEqual(repr(self.made), "<Proxy to shop>")
