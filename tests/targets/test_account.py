"""Tests of edgegw.targets.account."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from edgegw.errors import GatewayError, Phase, Side
from edgegw.exchange.body import Body
from edgegw.exchange.model import Outcome, Response
from edgegw.middleware.grpc_web import _make_web
from edgegw.observe.metrics import Registry
from edgegw.targets.proxy import Proxy
from edgegw.testing.exchanges import drain, make_exchange
from edgegw.testing.origin import answer, cluster, refused
from edgegw.upstream.endpoint import Endpoint
from edgegw.upstream.retry import RetrySettings
from edgegw.upstream.standing import Hold
from tests.net.http2_origin import Http2Origin, Wire
from tests.targets.test_attempts import Toll
from tests.targets.test_proxy import Case, close, nothing, reset
from tests.wire.tables import OK

GRPC = (b"content-type", b"application/grpc")
MESSAGE = b"\0\0\0\0\2hi"
NOT_GRPC = GatewayError(503, "upstream_not_grpc", side=Side.UPSTREAM, phase=Phase.RESPONSE_HEAD)
TORN = GatewayError(502, "upstream_aborted", side=Side.UPSTREAM, phase=Phase.RESPONSE_BODY)
DEADLINE = GatewayError(504, "grpc_deadline", phase=Phase.POLICY)


class Calls(SynchronousTestCase):
    """Calls to one endpoint, and what its breaker and whoever observes it make of them."""

    def setUp(self) -> None:
        self.origin = Http2Origin()
        self.build()

    def build(self, **settings: Any) -> None:
        origin: Any = self.origin
        self.cluster = cluster(origin, **settings)
        self.proxy = Proxy(self.cluster, 5.0, 10.0, self.origin.clock.seconds, Registry().upstream("shop"))
        self.seen: list[Any] = []
        for endpoint in self.cluster.endpoints:
            endpoint.observers = (self,)

    def answered(self, endpoint: Endpoint, status: int, took_s: float, whole: bool = True) -> None:
        self.seen.append((status, "whole" if whole else "flows"))

    def ended(self, endpoint: Endpoint, began: int, status: int, lasted_s: float) -> None:
        self.seen.append((began, status))
        self.lasted_s = lasted_s

    def failed(self, endpoint: Endpoint, error: GatewayError, lasted_s: float = 0.0, began: int = 200) -> None:
        self.seen.append(error.reason)
        self.lasted_s = lasted_s

    def call(self, method: str = "POST") -> None:
        exchange = self.exchange = make_exchange(method, headers=[GRPC])
        exchange.started_s = self.origin.clock.seconds()
        self.asked: Deferred[Response] = Deferred.fromCoroutine(self.proxy(exchange))  # type: ignore[arg-type]
        self.origin.turn()
        self.wire: Wire = self.origin.wires[-1]
        self.sid = max(self.wire.asked)

    def finish(self, error: GatewayError | None = None) -> None:
        """The answer is read to its end, as the downstream side does."""
        drain(self.successResultOf(self.asked).body)
        self.end(error)

    def end(self, error: GatewayError | None = None) -> None:
        self.exchange.end(Outcome(200, error is None, 0, 0, error))

    def trailers_only(self, code: bytes) -> None:
        self.wire.head(self.sid, 200, GRPC, (b"grpc-status", code), end=True)

    def in_one_read(self, code: bytes) -> None:
        with self.wire.one_read():
            self.slowly(code)

    def slowly(self, code: bytes) -> None:
        self.wire.head(self.sid, 200, GRPC)
        self.wire.data(self.sid, MESSAGE)
        self.wire.trailers(self.sid, (b"grpc-status", code))

    def count(self) -> str:
        """What the breaker counted."""
        return repr(self.cluster.breaker).partition("admitting, ")[2].partition(" within")[0]


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

    def answered(self, endpoint: Endpoint, status: int, took_s: float, whole: bool = True) -> None:
        self.seen.append((endpoint.authority.decode(), f"{status} after {took_s:g}"))

    def ended(self, endpoint: Endpoint, began: int, status: int, lasted_s: float) -> None:
        self.seen.append((endpoint.authority.decode(), f"{began} and {status}"))

    def failed(self, endpoint: Endpoint, error: GatewayError, lasted_s: float = 0.0, began: int = 200) -> None:
        self.seen.append((endpoint.authority.decode(), error.reason))

    def test_answers(self) -> None:
        self.build([answer(), answer(b"", 500)])
        self.ask()
        self.ask()
        self.assertEqual((self.toll.told, self.toll.ends), ([(1, True), (2, False)], []))
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
        self.assertEqual((self.toll.ends, self.seen[-1]), ([(1, False)], ("origin-0", "upstream_aborted")))

    def test_the_rest_of_it_comes_later(self) -> None:
        for status, ends in ((200, [(1, True)]), (500, [])):
            self.build([answer(b"ab" * 5, status)[:-5]])
            drain(self.ask().body)
            self.origins[0].connections[0].send(b"babab")
            self.end()
            self.assertEqual((self.toll.told, self.toll.ends), ([(1, status == 200)], ends))
            self.assertEqual(self.seen[1:], [("origin-0", f"{status} and {status}")])

    def test_a_reader_who_leaves_breaks_nothing(self) -> None:
        self.build([OK + b"Content-Length: 9\r\n\r\nab"])
        self.ask().body.cancel()
        self.exchange.end(Outcome(200, False, 0, 2, GatewayError(499, "downstream_left", side=Side.DOWNSTREAM)))
        self.assertEqual((self.toll.ends, len(self.seen)), ([], 1))

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


class CallTests(Calls):
    def test_codes(self) -> None:
        """As Envoy does: what they stand for in HTTP. The breaker has 502 to 504 unless told otherwise."""
        for end in (self.trailers_only, self.in_one_read, self.slowly):
            for code, status, bad in (
                (b"0", 200, 0), (b"1", 499, 0), (b"2", 500, 0), (b"4", 504, 1), (b"5", 404, 0), (b"7", 403, 0),
                (b"8", 429, 0), (b"13", 500, 0), (b"14", 503, 1), (b"15", 500, 0), (b"", 500, 0),
            ):  # fmt: skip
                self.setUp()
                self.call()
                end(code)
                self.finish()
                late = [(200, "flows"), (200, status)]
                self.assertEqual(self.seen, late if end == self.slowly else [(status, "whole")], code)
                self.assertEqual(self.count(), f"{bad} of 1 failed", code)

    def test_in_a_row(self) -> None:
        for end in (self.trailers_only, self.in_one_read, self.slowly):
            self.setUp()
            for _ in range(5):
                self.assertEqual(self.cluster.breaker.state, "admitting")  # type: ignore[union-attr]
                self.call()
                end(b"14")
                self.finish()
            self.assertIn("refusing", repr(self.cluster.breaker))

    def test_in_a_row_however_they_come(self) -> None:
        """Whether trailers come in the read of their head is the network's doing."""
        for ends in ("owsow", "wwwws", "swwww", "sssss", "osoos"):
            self.setUp()
            for each in ends:
                self.assertEqual(self.cluster.breaker.state, "admitting", ends)  # type: ignore[union-attr]
                self.call()
                {"o": self.trailers_only, "w": self.in_one_read, "s": self.slowly}[each](b"14")
                self.finish()
            self.assertIn("refusing", repr(self.cluster.breaker), ends)

    def test_by_outliers(self) -> None:
        for end in (self.trailers_only, self.in_one_read, self.slowly):
            self.origin = Http2Origin()
            self.build(outlier={"consecutive": 4}, breaker=False)
            endpoint = self.cluster.endpoints[0]
            endpoint.observers = (self.cluster.outliers,)  # type: ignore[assignment]
            self.cluster.outliers._count = 2  # type: ignore[union-attr]
            for _ in range(4):
                self.assertEqual(endpoint.ejections, 0)
                self.call()
                end(b"13")
                self.finish()
            self.assertEqual(endpoint.ejections, 1)

    def test_a_good_one_between_them(self) -> None:
        for end in (self.trailers_only, self.in_one_read, self.slowly):
            self.setUp()
            for code in (b"14", b"14", b"14", b"14", b"0", b"14", b"14", b"14", b"14"):
                self.call()
                end(code)
                self.finish()
                self.origin.turn(0.1)
            self.assertEqual(self.cluster.breaker.state, "admitting", end)  # type: ignore[union-attr]

    def test_a_stream_holds_no_probes_place(self) -> None:
        breaker: Any = self.cluster.breaker
        for _ in range(5):
            breaker.settle(breaker.admit(), False)
        self.origin.turn(10.2)
        for _ in range(3):
            self.assertEqual(breaker.state, "probing")
            self.call()
            self.wire.head(self.sid, 200, GRPC)
        self.assertEqual(breaker.state, "admitting")

    def test_a_probe_that_ends_badly(self) -> None:
        for end in (self.trailers_only, self.in_one_read, self.slowly):
            self.setUp()
            breaker: Any = self.cluster.breaker
            for _ in range(5):
                breaker.settle(breaker.admit(), False)
            self.origin.turn(10.2)
            self.call()
            end(b"14")
            self.finish()
            self.assertEqual(breaker.state, "refusing", end)

    def test_what_is_no_call_is_judged_by_its_head(self) -> None:
        self.call("GET")
        self.wire.head(self.sid, 200, (b"grpc-status", b"14"), end=True)
        self.finish()
        self.call()
        self.wire.head(self.sid, 200, (b"content-type", b"text/plain"), (b"grpc-status", b"14"), end=True)
        self.finish()
        self.call()
        self.wire.head(self.sid, 500, GRPC, (b"grpc-status", b"0"), end=True)
        self.finish()
        self.assertEqual(self.seen, [(200, "whole"), (200, "whole"), (500, "whole")])


class EndTests(Calls):
    def flows(self, status: int = 200) -> None:
        self.call()
        self.wire.head(self.sid, status, GRPC)

    def test_the_callers_deadline_blames_nobody(self) -> None:
        """It ends the call with a status of the gateway's own."""
        self.flows()
        self.successResultOf(self.asked).body.end(((b"grpc-status", b"grpc-status", b"4"),))
        self.end(DEADLINE)
        self.assertEqual((self.seen, self.count()), ([(200, "flows")], "0 of 1 failed"))

    def test_torn(self) -> None:
        self.flows()
        self.wire.reset_stream(self.sid)
        self.finish(TORN)
        self.assertEqual((self.seen, self.count()), ([(200, "flows"), "upstream_aborted"], "1 of 1 failed"))

    def test_how_long_it_lasted(self) -> None:
        for error in (None, TORN):
            self.flows()
            self.origin.turn(3)
            if error is None:
                self.wire.trailers(self.sid, (b"grpc-status", b"0"))
            else:
                self.wire.reset_stream(self.sid)
            self.finish(error)
            self.assertAlmostEqual(self.lasted_s, 3.0)

    def test_nobody_waited_for_the_end(self) -> None:
        self.flows()
        self.successResultOf(self.asked).body.cancel()
        self.end()
        self.assertEqual((self.seen, self.cluster.endpoints[0].in_flight), ([(200, "flows")], 0))

    def test_an_error_page_is_counted_once(self) -> None:
        """Its status says all, though it is no gRPC either."""
        self.call()
        self.wire.head(self.sid, 503, (b"content-type", b"text/html"), end=True)
        self.finish(NOT_GRPC)
        self.assertEqual((self.seen, self.count()), ([(503, "whole")], "1 of 1 failed"))
        self.call()
        self.wire.head(self.sid, 200, (b"content-type", b"text/html"), end=True)
        self.finish(NOT_GRPC)
        self.assertEqual((self.seen[1:], self.count()), ([(200, "whole"), "upstream_not_grpc"], "2 of 2 failed"))

    def test_a_bad_head_whose_body_flows_is_counted_once(self) -> None:
        self.flows(503)
        self.wire.trailers(self.sid, (b"grpc-status", b"14"))
        self.finish()
        self.assertEqual((self.seen, self.count()), ([(503, "flows"), (503, 503)], "1 of 1 failed"))

    def test_a_bad_head_whose_body_breaks_off_is_counted_once(self) -> None:
        for outliers, breaker in (("50%", False), (None, None)):
            self.setUp()
            if outliers:
                self.build(outlier={"consecutive": 2}, breaker=breaker)
                self.cluster.endpoints[0].observers = (self.cluster.outliers,)  # type: ignore[assignment]
                self.cluster.outliers._count = 2  # type: ignore[union-attr]
            self.flows(503)
            self.wire.reset_stream(self.sid)
            self.finish(TORN)
            self.assertEqual(self.cluster.endpoints[0].ejections, 0)
            if not outliers:
                self.assertIn("1 of 1 failed within 10 s, 1 in a row", repr(self.cluster.breaker))

    def test_whatever_is_made_of_the_answer(self) -> None:
        """gRPC-Web has the trailers in the body, and another content type."""
        for code, end in ((b"0", (200, 200)), (b"14", (200, 503))):
            self.setUp()
            self.flows()
            made = self.successResultOf(self.asked)
            _make_web(made, text=False)
            self.wire.trailers(self.sid, (b"grpc-status", code))
            drain(made.body)
            self.assertEqual(made.body.trailers, ())
            made.status = 404
            self.end()
            self.assertEqual(self.seen, [(200, "flows"), end])
            self.assertEqual(self.count(), "1 of 1 failed" if code == b"14" else "0 of 1 failed")

    def test_repr(self) -> None:
        self.assertEqual(repr(self.proxy._attempts.means.account), "<Account of shop>")
