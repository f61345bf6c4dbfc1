"""Tests of edgegw.upstream.health.http_probe."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from edgegw.config.problems import Problems
from edgegw.errors import GatewayError
from edgegw.testing.origin import Answer, Origin, answer, cluster, refused
from edgegw.upstream.endpoint import Endpoint
from edgegw.upstream.health.build import make_probe
from edgegw.upstream.health.http_probe import LARGEST
from edgegw.upstream.health.interfaces import ProbeFailed
from edgegw.upstream.health.settings import HealthSettings
from edgegw.upstream.pool import PoolSettings


class Case(SynchronousTestCase):
    def setUp(self) -> None:
        self.origin = Origin()

    @property
    def endpoint(self) -> Endpoint:
        return self.cluster.endpoints[0]

    def ask(self, given: Any = "/healthz", *script: Answer, **upstream: Any) -> Deferred[str]:
        self.origin.script = list(script)
        self.cluster = cluster(self.origin, **upstream)
        problems = Problems()
        probe = make_probe(HealthSettings.model_validate(given), self.cluster.environment, problems)
        self.assertEqual(list(problems), [])
        assert probe is not None
        asking = Deferred.fromCoroutine(probe.probe(self.endpoint, 2.0))
        self.origin.turn()
        return asking

    def passes(self, *asked: Any, **upstream: Any) -> str:
        said: str = self.successResultOf(self.ask(*asked, **upstream))
        return said

    def fails(self, *asked: Any, **upstream: Any) -> str:
        reason: str = self.failureResultOf(self.ask(*asked, **upstream), ProbeFailed).value.reason
        return reason

    def all_closed(self) -> bool:
        self.origin.turn(0.1)
        gone = all(each.closed or each.aborted for each in self.origin.connections)
        return gone and all(each.protocol.lost for each in self.origin.connections)


class RequestTests(Case):
    def test_what_is_sent(self) -> None:
        self.assertEqual(self.passes("/healthz?deep=1", answer(b"ok")), "200")
        (request,) = self.origin.requests
        self.assertEqual((request.head.method, request.head.target), ("GET", "/healthz?deep=1"))
        self.assertEqual(
            request.fields, [(b"Host", b"origin-0"), (b"User-Agent", b"edgegw-health"), (b"Accept", b"*/*")]
        )

    def test_what_may_be_said(self) -> None:
        given = {"method": "HEAD", "host": "shop.internal", "headers": {"X-Probe": "1", "user-agent": "mine"}}
        head = b"HTTP/1.1 204 x\r\n\r\n"
        self.assertEqual(self.passes(given, head), "204")
        (request,) = self.origin.requests
        self.assertEqual(request.head.method, "HEAD")
        self.assertEqual(
            request.fields,
            [(b"Host", b"shop.internal"), (b"Accept", b"*/*"), (b"X-Probe", b"1"), (b"user-agent", b"mine")],
        )

    def test_a_connection_of_its_own(self) -> None:
        self.passes("/", answer())
        pool = self.endpoint.pool
        self.assertEqual(repr(pool), "<Pool 0 leased, 0 idle, 0 queued>")
        self.assertTrue(self.all_closed())

    def test_what_exchanges_hold_is_none_of_its_business(self) -> None:
        """Nor does it take a place from them: the pool is full, and the probe passes."""
        self.cluster = cluster(self.origin, pool=PoolSettings(max=1, queue=0))
        leased = self.successResultOf(self.endpoint.pool.connection())
        probe = make_probe(HealthSettings(), self.cluster.environment, Problems())
        assert probe is not None
        self.origin.script = [answer()]
        asking = Deferred.fromCoroutine(probe.probe(self.endpoint, 2.0))
        self.origin.turn()
        self.assertEqual(self.successResultOf(asking), "200")
        self.assertEqual(len(self.origin.connections), 2)
        self.assertFalse(leased.lost)
        self.assertEqual(self.endpoint.pool.open, 1)

    def test_introduces_itself(self) -> None:
        """Where connections begin with a PROXY header, its own does, too."""
        asked: list[bytes] = []
        self.cluster = cluster(self.origin, proxy_protocol="v1")
        connect = self.cluster.connector.connect
        self.cluster.connector.connect = lambda url, protocol=None, preamble=b"": (  # type: ignore[method-assign]
            asked.append(preamble),
            connect(url, protocol, preamble),
        )[1]
        self.endpoint.probe_connection()
        self.assertEqual(asked, [b"PROXY UNKNOWN\r\n"])


class StatusTests(Case):
    def test_expected(self) -> None:
        self.assertEqual(self.passes("/", answer(status=299)), "299")
        self.assertEqual(self.fails("/", answer(status=500)), "status 500")
        self.assertEqual(self.fails({"expect": 204}, answer(status=200)), "status 200")
        self.assertEqual(self.passes({"expect": "200, 401-403"}, answer(status=403)), "403")
        self.assertTrue(self.all_closed())

    def test_redirects_are_not_followed(self) -> None:
        moved = answer(b"", 302, (b"Location", b"http://origin-0/there"))
        self.assertEqual(self.fails("/", moved), "status 302")
        self.assertEqual(len(self.origin.requests), 1)

    def test_informational_heads_are_passed_over(self) -> None:
        self.assertEqual(self.passes("/", b"HTTP/1.1 103 x\r\n\r\n" + answer()), "200")

    def test_an_endless_body_is_not_waited_for(self) -> None:
        endless = b"HTTP/1.1 200 x\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n"
        self.assertEqual(self.passes("/", endless), "200")
        self.assertTrue(self.all_closed())


class BodyTests(Case):
    def test_text(self) -> None:
        given = {"expect": {"body": "all good"}}
        self.assertEqual(self.passes(given, answer(b"it is all good here")), "200")
        self.assertIn("not the body", self.fails(given, answer(b"it is not")))
        self.assertTrue(self.all_closed())

    def test_regex(self) -> None:
        given = {"expect": {"body": {"regex": '"status": *"(ok|up)"'}}}
        self.assertEqual(self.passes(given, answer(b'{"status":  "up"}')), "200")
        self.assertIn("not the body", self.fails(given, answer(b'{"status": "down"}')))

    def test_in_pieces(self) -> None:
        asking = self.ask({"expect": {"body": "all good"}}, answer(b"it is all good")[:-6])
        self.assertNoResult(asking)
        self.origin.connections[0].send(b"l good")
        self.assertEqual(self.successResultOf(asking), "200")

    def test_only_the_first_64_kib_are_read(self) -> None:
        given = {"expect": {"body": "needle"}}
        inside = b"x" * (LARGEST - 6) + b"needle" + b"x" * 1_000_000
        outside = b"x" * (LARGEST - 5) + b"needle" + b"x" * 1_000_000
        self.assertEqual(self.passes(given, answer(inside)), "200")
        self.assertIn("not the body", self.fails(given, answer(outside)))
        endless = b"HTTP/1.1 200 x\r\n\r\n"
        self.assertEqual(self.passes(given, endless + inside), "200")
        self.assertTrue(self.all_closed())

    def test_broken_off(self) -> None:
        asking = self.ask({"expect": {"body": "x"}}, answer(b"it is")[:-2])
        self.origin.connections[0].close()
        self.assertEqual(self.failureResultOf(asking, GatewayError).value.reason, "upstream_aborted")


class EndTests(Case):
    def test_refused(self) -> None:
        self.origin.faults = [refused()]
        self.assertEqual(self.failureResultOf(self.ask(), GatewayError).value.reason, "connect_refused")

    def test_cancelled_anywhere(self) -> None:
        """While connecting, before the head, in the body: nothing stays open."""
        self.origin.held = []
        asking = self.ask()
        asking.cancel()
        self.failureResultOf(asking, CancelledError)
        self.origin.held = None
        for script in ([], [answer(b"it is")[:-2]]):
            asking = self.ask({"expect": {"body": "x"}}, *script)
            asking.cancel()
            self.failureResultOf(asking, CancelledError)
        self.assertEqual(len(self.origin.connections), 2)
        self.assertTrue(self.all_closed())

    def test_no_deadline_is_left_behind(self) -> None:
        self.passes("/", answer(b"ok"))
        self.assertTrue(self.all_closed())
        self.assertEqual(len(self.origin.wheel), 0)
