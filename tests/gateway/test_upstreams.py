"""Clusters from settings: what a reload takes over, and what it closes."""

import shutil
import tempfile
from collections.abc import Container, Sequence
from pathlib import Path
from unittest.mock import Mock

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from edgegw.config.problems import Problem, Problems
from edgegw.config.source import loads
from edgegw.discovery.policy import EndpointPolicy
from edgegw.errors import GatewayError, Phase, Side
from edgegw.exchange.model import Exchange
from edgegw.gateway.builtins import BALANCERS
from edgegw.gateway.loading import accept
from edgegw.gateway.upstream_view import upstreams
from edgegw.gateway.upstreams import Upstreams, begin, files_digest
from edgegw.net.resolver import Resolver
from edgegw.runtime.wheel import Wheel
from edgegw.testing.exchanges import make_exchange
from edgegw.upstream.address import EndpointSettings, EndpointUrl, Named
from edgegw.upstream.cluster import Cluster
from edgegw.upstream.endpoint import Endpoint
from edgegw.upstream.environment import Environment
from tests.certs import Authority

Clusters = dict[str, Cluster]


class UpstreamsCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="edgegw-up-"))
        self.addCleanup(shutil.rmtree, self.folder)
        Authority("one").write(self.folder)
        clock = Clock()
        wheel = Wheel(clock)
        resolver = Resolver(clock, lambda name: None)  # type: ignore[arg-type, return-value]
        self.upstreams = Upstreams(Environment(clock, wheel, resolver), BALANCERS)

    def build(self, text: str, old: Clusters | None = None, more: str = "") -> Clusters:
        document = loads(f"edgegw: 1\nlisten: [80]\nupstreams: {{{text}}}\n{more}", environ={})
        problems = Problems()
        made = self.upstreams.build(accept(document, self.folder).settings, {}, self.folder, problems, old)
        self.assertEqual(list(problems), [])
        begin(made, old or {})
        return made

    def problems(self, text: str, more: str = "") -> list[Problem]:
        document = loads(f"edgegw: 1\nlisten: [80]\nupstreams: {{{text}}}\n{more}", environ={})
        problems = Problems()
        self.upstreams.build(accept(document, self.folder).settings, {}, self.folder, problems)
        return list(problems)

    def one(self, endpoints: str, old: Clusters | None = None, more: str = "") -> Clusters:
        return self.build(f"u: {{endpoints: [{endpoints}]{more}}}", old)


class TakeOverTests(UpstreamsCase):
    def test_the_same_is_the_same(self) -> None:
        old = self.one('"http://a", "http://b"')
        self.assertIs(self.one('"http://a", "http://b"', old)["u"], old["u"])

    def test_another_of_the_same_name_is_another(self) -> None:
        old = self.one('"http://a"')
        new = self.one('"http://b"', old)
        self.assertIsNot(new["u"].endpoints[0].pool, old["u"].endpoints[0].pool)

    def test_endpoints_that_stay_are_the_same_objects(self) -> None:
        old = self.one('"http://a", "http://b", "http://c"')
        new = self.one('"http://c", "http://d", "http://a"', old)
        a, _, c = old["u"].endpoints
        self.assertEqual([new["u"].endpoints[0], new["u"].endpoints[2]], [c, a])

    def test_what_pools_do_not_depend_on_keeps_them(self) -> None:
        old = self.one('"http://a"')
        for more in (", host: upstream", ", timeouts: {head: 1s}", ", balance: round_robin"):
            new = self.one('"http://a"', old, more)
            self.assertIsNot(new["u"], old["u"])
            self.assertIs(new["u"].endpoints[0], old["u"].endpoints[0], more)

    def test_what_they_depend_on_makes_new_ones(self) -> None:
        old = self.one('"http://a"')
        for more in (", pool: {max: 2}", ", timeouts: {connect: 1s}", ", tls: {ca: ca.pem}", ", protocol: http2"):
            self.assertIsNot(self.one('"http://a"', old, more)["u"].endpoints[0].pool, old["u"].endpoints[0].pool, more)

    def test_connections_do_not_outlive_what_discovery_was_allowed(self) -> None:
        said = 'u: {{endpoints: ["http://a"], discovery: {{from: file, path: x{}}}}}'
        old = self.build(said.format(", allow: [127.0.0.0/8]"))
        new = self.build(said.format(""), old)
        self.assertIsNot(new["u"].endpoints[0].pool, old["u"].endpoints[0].pool)
        self.assertIn("closed", repr(old["u"].endpoints[0].pool))
        again = self.build(said.format(", stale_after: 5s"), new)
        self.assertIs(again["u"].endpoints[0].pool, new["u"].endpoints[0].pool)

    def test_protocols_that_the_scheme_excludes(self) -> None:
        for text, index, advice in (
            ('"grpc://a:1"', 0, "http://"), ('"http://a", "grpcs://b"', 1, "https://"), ('"h2c://a"', 0, "http://"),
        ):  # fmt: skip
            problems = self.problems(f"u: {{endpoints: [{text}], protocol: http1}}")
            self.assertEqual([each.loc for each in problems], [("upstreams", "u", "endpoints", index)])
            self.assertIn("HTTP/2", problems[0].message)
            self.assertIn(advice, problems[0].hint or "")
        self.assertEqual(self.problems('u: {endpoints: ["http://a", "https://b"], protocol: http1}'), [])
        self.assertEqual(self.problems('u: {endpoints: ["http://a", "grpcs://b"], protocol: http2}'), [])

    def test_protocols_from_the_defaults_count(self) -> None:
        problems = self.problems('u: {endpoints: ["grpc://a:1"]}', "defaults: {upstream: {protocol: http1}}\n")
        self.assertEqual(len(problems), 1)

    def test_weights_alone_keep_the_pool(self) -> None:
        old = self.one('{url: "http://a", weight: 2}, "http://b"')
        new = self.one('{url: "http://a", weight: 5}, "http://b"', old)
        before, after = old["u"].endpoints[0], new["u"].endpoints[0]
        self.assertIs(after, before)
        self.assertEqual(after.weight, 5)
        self.assertIs(new["u"].endpoints[1], old["u"].endpoints[1])
        self.assertFalse(after.pool._closed)

    def test_the_same_url_twice(self) -> None:
        problems = self.problems('u: {endpoints: ["http://a", "http://b", "http://a"]}')
        self.assertEqual([each.loc for each in problems], [("upstreams", "u", "endpoints", 2)])
        self.assertIn("in this list already", problems[0].message)

    def test_building_changes_nothing_that_serves(self) -> None:
        """What is built may be thrown away: another reload, a dry run."""
        old = self.one('"http://a", "http://b"')
        before = old["u"].endpoints
        document = loads('edgegw: 1\nlisten: [80]\nupstreams: {u: {endpoints: ["http://b"]}}\n', environ={})
        self.upstreams.build(accept(document, self.folder).settings, {}, self.folder, Problems(), old)
        self.assertEqual(old["u"].endpoints, before)
        self.assertTrue(all(each.owner is old["u"] and each.standing.free for each in before))

    def test_the_first_https_endpoint_gets_tls(self) -> None:
        """Ways to connect that never needed TLS do not know how to."""
        old = self.one('"http://a"')
        new = self.one('"http://a", "https://b"', old)
        self.assertIsNone(old["u"].connector._tls)
        self.assertIsNotNone(new["u"].connector._tls)

    def test_files_that_change(self) -> None:
        text = 'u: {endpoints: ["https://a"], tls: {ca: ca.pem}}'
        old = self.build(text)
        self.assertIs(self.build(text, old)["u"], old["u"])
        Authority("two").write(self.folder)
        new = self.build(text, old)
        self.assertIsNot(new["u"].endpoints[0].pool, old["u"].endpoints[0].pool)

    def test_defaults_count(self) -> None:
        old = self.build('u: {endpoints: ["http://a"]}')
        same = self.build('u: {endpoints: ["http://a"]}', old, "defaults: {upstream: {pool: {max: 256}}}\n")
        self.assertIs(same["u"].endpoints[0], old["u"].endpoints[0])
        new = self.build('u: {endpoints: ["http://a"]}', old, "defaults: {upstream: {pool: {max: 2}}}\n")
        self.assertIsNot(new["u"].endpoints[0].pool, old["u"].endpoints[0].pool)


class BeginTests(UpstreamsCase):
    def test_only_what_nobody_holds_is_closed(self) -> None:
        old = self.build('u: {endpoints: ["http://a", "http://b"]}, v: {endpoints: ["http://c"]}')
        new = self.build('u: {endpoints: ["http://a"]}', old)
        self.assertEqual(list(new), ["u"])
        closed = [each.pool._closed for cluster in old.values() for each in cluster.endpoints]
        self.assertEqual(closed, [False, True, True])


class DigestTests(UpstreamsCase):
    def test_contents_and_absence(self) -> None:
        one, two = self.folder / "one", self.folder / "two"
        missing = files_digest([one, two])
        one.write_bytes(b"ab")
        two.write_bytes(b"c")
        first = files_digest([one, two])
        one.write_bytes(b"a")
        two.write_bytes(b"bc")
        self.assertEqual(len({missing, first, files_digest([one, two]), files_digest([two, one])}), 4)


class Fine:
    """A probe that always passes."""

    async def probe(self, endpoint: Endpoint, timeout_s: float) -> str:
        return "fine"


class ChecksTests(UpstreamsCase):
    def test_what_probes_say_is_counted_and_ends_ejections(self) -> None:
        made = self.one('"http://a", "http://b"', more=", health: /healthz")["u"]
        assert made.checks is not None and made.outliers is not None
        made.checks._probe = Fine()
        first, clock = made.endpoints[0], made.environment.reactor
        for _ in range(made.outliers.settings.consecutive):
            first.failed(GatewayError(502, "upstream_reset", side=Side.UPSTREAM, phase=Phase.RESPONSE_HEAD))
        self.assertEqual(first.standing.state, "ejected")
        clock.advance(1)
        made.checks.startService()
        self.addCleanup(made.checks.stopService)
        made.checks.roster(made.endpoints)
        for _ in range(10):
            clock.advance(0.1)
        self.assertEqual(self.upstreams._registry.health_checks.child(upstream="u", outcome="passed").value, 2)
        self.assertEqual(first.standing.state, "ready")


class PartsTests(UpstreamsCase):
    def test_places_of_clients(self) -> None:
        more = ", balance: {tiers: {geo: {networks: {10.0.0.0/8: [eu]}}}}"
        self.assertIsNotNone(self.one('"http://a"', more=more)["u"].geography)
        self.assertIsNone(self.one('"http://a"')["u"].geography)

    def test_what_discovery_names_may_not_lead_everywhere(self) -> None:
        found = "endpoints: ['http://127.0.0.1'], discovery: {from: dns, name: a, port: 80}"
        text = f"edgegw: 1\nlisten: [80]\nupstreams: {{u: {{{found}}}}}"
        settings = accept(loads(text, environ={}), self.folder).settings
        feed = Mock(policy=EndpointPolicy())
        made = self.upstreams.build(settings, {"u": feed}, self.folder, Problems())
        begin(made, {})
        guard = made["u"].connector.guard
        assert guard is not None
        self.assertIsNone(guard(EndpointUrl.parse("http://127.0.0.1"), "127.0.0.1"), "as it is written")
        self.assertIsNotNone(guard(EndpointUrl.parse("http://evil"), "127.0.0.1"))


class Last:
    """A balancer of a third party."""

    def __init__(self, members: list[Endpoint], environment: Environment, most: int = 2) -> None:
        if len(members) > most:
            raise ValueError(f"more than {most}")
        self.eligible: Sequence[Endpoint] = ()

    def allow(self, eligible: Sequence[Endpoint]) -> None:
        self.eligible = eligible

    def reweigh(self, endpoint: Endpoint) -> None:
        """Whatever it weighs."""

    def choose(self, exchange: Exchange, tried: Container[Endpoint]) -> Endpoint:
        return self.eligible[-1]


class BalancerTests(UpstreamsCase):
    """`balance: {custom: ...}`."""

    LAST = 'balance: {custom: "tests.gateway.test_upstreams:Last"'

    def test_it_chooses(self) -> None:
        made = self.one('"http://a", "http://b"', more=f", {self.LAST}}}")["u"]
        self.assertEqual([made.selection().choose(make_exchange()) for _ in range(3)], [made.endpoints[1]] * 3)
        self.assertIn("tests.gateway.test_upstreams:Last", str(upstreams([made], {})[0]["balance"]))

    def test_others_still_do(self) -> None:
        made = self.one('"http://a", "http://b"', more=", balance: round_robin")["u"]
        self.assertEqual(len({made.selection().choose(make_exchange()) for _ in range(2)}), 2)

    def test_what_cannot_be_used(self) -> None:
        for said, place, words in (
            ("balance: {custom: nobodys}", ("custom",), "is not known"),
            (f"{self.LAST}, with: {{mots: 1}}}}", ("with", "mots"), "unknown key"),
            (
                f"{self.LAST}, with: {{most: 1}}}}",
                ("custom",),
                "cannot be built for 2 endpoints: ValueError: more than 1",
            ),
        ):
            (problem,) = self.problems(f'u: {{endpoints: ["http://a", "http://b"], {said}}}')
            self.assertEqual(problem.loc, ("upstreams", "u", "balance", *place))
            self.assertIn(words, problem.message)

    def test_for_what_discovery_found(self) -> None:
        found = "discovery: {from: file, path: x}"
        old = self.build(f"u: {{{found}}}")
        old["u"].update("file", [Named(EndpointSettings(url=f"http://{name}")) for name in "abc"])
        document = loads(f"edgegw: 1\nlisten: [80]\nupstreams: {{u: {{{found}, {self.LAST}}}}}}}\n", environ={})
        problems = Problems()
        self.upstreams.build(accept(document, self.folder).settings, {}, self.folder, problems, old)
        self.assertIn("cannot be built for 3 endpoints", next(iter(problems)).message)

    def test_with_what_the_defaults_say(self) -> None:
        more = "defaults: {upstream: {balance: random}}\n"
        (problem,) = self.problems(f'u: {{endpoints: ["http://a"], {self.LAST}}}}}', more)
        self.assertEqual(problem.loc, ("upstreams", "u", "balance"))
        self.assertIn("defaults.upstream.balance", problem.hint or "")
        more = f"defaults: {{upstream: {{{self.LAST}}}}}}}\n"
        made = self.build('u: {endpoints: ["http://a", "http://b"]}', more=more)["u"]
        self.assertIs(made.selection().choose(make_exchange()), made.endpoints[1])
