"""Tests of edgegw.targets.proxy towards HTTP/2 origins: conversions, and what is tried again."""

from __future__ import annotations

from typing import Any

from h2.errors import ErrorCodes
from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from edgegw.errors import GatewayError
from edgegw.exchange.body import Body
from edgegw.exchange.model import Exchange, Outcome, Response
from edgegw.observe.metrics import Registry
from edgegw.targets.proxy import Proxy
from edgegw.testing.exchanges import FakeConnection, drain, make_exchange
from edgegw.testing.origin import Origin, answer, cluster
from edgegw.upstream.pool import PoolSettings
from tests.net.http2_origin import Http2Origin, Wire


def hello(wire: Wire, sid: int) -> None:
    wire.answer(sid, b"hello")


def refuse(wire: Wire, sid: int) -> None:
    wire.reset_stream(sid, ErrorCodes.REFUSED_STREAM)


def fail(wire: Wire, sid: int) -> None:
    wire.reset_stream(sid, ErrorCodes.INTERNAL_ERROR)


def leave(wire: Wire, sid: int) -> None:
    """GOAWAY that says: none of yours."""
    wire.go_away(0)


class Case(SynchronousTestCase):
    """A proxy and its origins, which share a clock. wait_s: how long `ask` and `fails` wait for the end."""

    wait_s = 0.0

    def proxy(self, *scripts: list[Any], host: str = "preserve", **pool: Any) -> None:
        first = Http2Origin(*scripts[0])
        others = [Http2Origin(*script, clock=first.clock, wheel=first.wheel) for script in scripts[1:]]
        self.origins = [first, *others]
        made: Any = self.origins
        self.cluster = cluster(*made, pool=PoolSettings(**pool), host=host)
        self.made = Proxy(self.cluster, 5.0, 10.0, first.clock.seconds, Registry().upstream("shop"))

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

    def asked(self) -> list[int]:
        return [len(origin.asked) for origin in self.origins]


class FieldTests(Case):
    def sent(self, method: str = "GET", host: str = "preserve", **more: Any) -> list[tuple[bytes, bytes]]:
        self.proxy([hello], host=host)
        self.ask(method, **more)
        return self.origins[0].asked[0].fields

    def test_a_request_of_http1(self) -> None:
        """Host becomes :authority, fields for one hop stay here, names are lower-case. (`h2` puts cookies last.)"""
        sent = self.sent(
            url="http://Example.com:8080/a%20b?x=1&y",
            headers=[
                (b"Connection", b"keep-alive, X-Hop, TE"), (b"X-Hop", b"1"), (b"Keep-Alive", b"5"), (b"Upgrade", b"h2c"),
                (b"HTTP2-Settings", b"AAM"), (b"Proxy-Connection", b"keep-alive"), (b"TE", b"trailers"),
                (b"Expect", b"100-continue"), (b"X-End", b"2"), (b"Cookie", b"a=b; c=d"),
            ],
        )  # fmt: skip
        self.assertEqual(
            sent,
            [
                (b":method", b"GET"), (b":scheme", b"http"), (b":authority", b"Example.com:8080"),
                (b":path", b"/a%20b?x=1&y"), (b"te", b"trailers"), (b"x-end", b"2"), (b"via", b"1.1 edgegw"),
                (b"cookie", b"a=b; c=d"),
            ],
        )  # fmt: skip

    def test_a_request_of_http2(self) -> None:
        sent = self.sent(version="2", headers=[(b"te", b"trailers")])
        self.assertEqual(sent[-2:], [(b"te", b"trailers"), (b"via", b"2 edgegw")])

    def test_te_says_trailers_or_nothing(self) -> None:
        self.assertEqual(dict(self.sent(headers=[(b"TE", b"trailers")]))[b"te"], b"trailers")
        self.assertNotIn(b"te", dict(self.sent(headers=[(b"TE", b"gzip, trailers")])))

    def test_host_rules(self) -> None:
        for rule, wanted in (("preserve", b"Example.com"), ("upstream", b"origin-0"), ("in.side:1", b"in.side:1")):
            self.assertEqual(dict(self.sent(host=rule, url="http://Example.com/"))[b":authority"], wanted)

    def test_lengths(self) -> None:
        known = dict(self.sent("POST", body=b"abc"))
        self.assertEqual(known[b"content-length"], b"3")
        body = Body(None)
        body.write(b"abc")
        body.end()
        unknown = dict(self.sent("POST", body=body))
        self.assertNotIn(b"content-length", unknown)
        self.assertNotIn(b"transfer-encoding", unknown)
        self.assertEqual(self.origins[0].asked[0].body, b"abc")
        self.assertEqual(dict(self.sent("POST"))[b"content-length"], b"0")

    def test_the_response(self) -> None:
        def answers(wire: Wire, sid: int) -> None:
            wire.head(sid, 103, (b"link", b"</a>"))
            with wire.one_read():
                wire.head(sid, 201, (b"set-cookie", b"a=1"), (b"set-cookie", b"b=2"))
                wire.data(sid, b"hello")
                wire.trailers(sid, (b"grpc-status", b"0"))

        self.proxy([answers])
        connection = FakeConnection()
        response = self.ask(connection=connection)
        self.assertEqual([head.status for head in connection.informational_heads], [103])
        self.assertEqual((response.status, response.headers.get_all(b"set-cookie")), (201, [b"a=1", b"b=2"]))
        sink = drain(response.body)
        self.assertEqual((sink.data, sink.trailers), (b"hello", ((b"grpc-status", b"grpc-status", b"0"),)))
        self.assertEqual(self.exchange.upstream_end_s, self.exchange.upstream_head_s)

    def test_from_http2_to_an_http1_origin(self) -> None:
        """What came without a length goes in chunks."""
        origin = Origin(answer())
        made = Proxy(cluster(origin), 5.0, 10.0, origin.clock.seconds, Registry().upstream("shop"))
        body = Body(None)
        body.write(b"abc")
        body.end()
        Deferred.fromCoroutine(made(make_exchange("POST", body=body, version="2", headers=[(b"te", b"trailers")])))
        request = origin.requests[0]
        fields = dict(request.fields)
        self.assertEqual(
            (request.body, fields[b"Transfer-Encoding"], fields[b"Via"]), (b"abc", b"chunked", b"2 edgegw")
        )
        self.assertEqual((fields[b"te"], fields[b"Connection"], fields[b"Host"]), (b"trailers", b"TE", b"example.com"))


class RetryTests(Case):
    wait_s = 0.1

    def test_a_refused_stream_is_tried_again_whatever_it_is(self) -> None:
        for refusal in (refuse, leave):
            for method, body in (("GET", b""), ("POST", b"abc"), ("PATCH", b"abc")):
                self.proxy([refusal], [hello])
                response = self.ask(method, body=body)
                self.assertEqual((response.status, self.exchange.attempts), (200, 2))
                self.assertEqual(self.asked(), [1, 1])
                self.assertEqual(self.origins[1].asked[0].body, body)

    def test_at_the_only_endpoint_too(self) -> None:
        for refusal in (refuse, leave):
            self.proxy([refusal, hello])
            self.assertEqual(self.ask("POST", body=b"abc").status, 200)
            self.assertEqual([each.body for each in self.origins[0].asked], [b"abc", b"abc"])

    def test_not_for_ever(self) -> None:
        self.proxy([refuse] * 9)
        error = self.fails()
        self.assertEqual((error.status, error.reason, self.exchange.attempts), (503, "upstream_refused_stream", 2))
        self.assertEqual(sum(endpoint.in_flight for endpoint in self.cluster.endpoints), 0)

    def test_a_body_that_is_on_its_way_is_sent_from_its_beginning(self) -> None:
        self.proxy([])
        body = Body(None)
        answered = self.start(make_exchange("POST", body=body))
        body.write(b"abc")
        first = self.origins[0].wires[0]
        first.go_away(0)
        body.write(b"def")
        body.end()
        self.turn(0.1)
        second = self.origins[0].wires[1]
        self.assertEqual((second.asked[1].body, second.asked[1].complete), (b"abcdef", True))
        second.answer(1)
        self.assertEqual(self.successResultOf(answered).status, 200)

    def test_a_body_too_long_to_be_kept_is_not(self) -> None:
        self.proxy([])
        body = Body(None)
        answered = self.start(make_exchange("POST", body=body))
        for _ in range(5):
            body.write(b"x" * 16384)
            self.turn()
        self.origins[0].wires[0].go_away(0)
        self.assertEqual(self.failureResultOf(answered, GatewayError).value.reason, "upstream_refused_stream")

    def test_what_is_kept_goes_with_the_answer(self) -> None:
        """A stream both ways holds no copy of what was sent (and no detour is left)."""
        self.proxy([])
        body = Body(None)
        answered = self.start(make_exchange("POST", body=body))
        body.write(b"abc")
        wire = self.origins[0].wires[0]
        wire.head(1)
        drain(self.successResultOf(answered).body)
        sink: Any = body._sink
        self.assertEqual(type(sink).__name__, "UpstreamStream")
        body.write(b"def")
        self.assertEqual(wire.asked[1].body, b"abcdef")

    def test_another_reset_only_for_idempotent_methods(self) -> None:
        self.proxy([fail, hello])
        self.assertEqual(self.ask().status, 200)
        self.proxy([fail, hello])
        self.assertEqual(self.fails("POST").reason, "upstream_reset")

    def test_goaway_in_the_middle_of_many(self) -> None:
        """Those above the last are tried again, those below finish where they are."""
        self.proxy([])
        answered = [self.start(make_exchange("POST", body=b"%d" % number)) for number in range(6)]
        self.turn()
        origin = self.origins[0]
        old = origin.wires[0]
        origin.held = []
        old.go_away(5)
        self.turn()
        self.assertEqual(len(origin.held), 1, "one connection for all of them")
        origin.held[0].callback(origin.accept())
        new = origin.wires[1]
        self.assertEqual(sorted(new.asked), [1, 3, 5])
        for sid in (1, 3, 5):
            old.answer(sid, b"old")
            new.answer(sid, b"new")
        bodies = [self.successResultOf(each).body.take_ready() for each in answered]
        self.assertEqual(bodies, [b"old"] * 3 + [b"new"] * 3)
        self.assertTrue(old.closed)

    def test_a_lost_connection_with_many(self) -> None:
        self.proxy([])
        answered = [self.start(make_exchange()) for _ in range(4)]
        self.turn()
        origin = self.origins[0]
        origin.held = []
        origin.wires[0].reset()
        self.turn(0.1)
        origin.held[0].callback(origin.accept())
        new = origin.wires[1]
        self.assertEqual((len(origin.held), len(new.asked)), (1, 4))
        for sid in list(new.asked):
            new.answer(sid)
        self.assertEqual([self.successResultOf(each).status for each in answered], [200] * 4)


class CancelTests(Case):
    def test_one_of_many(self) -> None:
        self.proxy([])
        first, second = self.start(make_exchange()), self.start(make_exchange())
        self.turn()
        wire = self.origins[0].wires[0]
        first.cancel()
        self.failureResultOf(first, CancelledError)
        self.assertEqual(wire.asked[1].reset, ErrorCodes.CANCEL)
        wire.answer(3)
        self.assertEqual(self.successResultOf(second).status, 200)
        self.assertEqual(self.cluster.endpoints[0].pool.idle_count, 1)

    def test_in_the_queue(self) -> None:
        self.proxy([], max=1)
        self.origins[0].streams = 1
        first, second = self.start(make_exchange()), self.start(make_exchange())
        self.turn()
        second.cancel()
        self.failureResultOf(second, CancelledError)
        self.origins[0].wires[0].answer(1)
        self.successResultOf(first)
        self.assertEqual(self.asked(), [1])

    def test_exchanges_are_counted_out(self) -> None:
        self.proxy([hello])
        self.ask()
        self.assertEqual(self.cluster.endpoints[0].in_flight, 1)
        self.exchange.end(Outcome(200, True, 0, 0, None))
        self.assertEqual(self.cluster.endpoints[0].in_flight, 0)
        self.assertIn("<Pool 0 leased (0 with room), 1 idle, 0 queued>", repr(self.cluster))
