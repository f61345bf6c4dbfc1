"""Tests of edgegw.discovery.dns, on a clock, with answers made by hand."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.names import dns
from twisted.trial.unittest import SynchronousTestCase

from edgegw.config.problems import Problems
from edgegw.discovery.dns import DnsSource, build_dns
from edgegw.discovery.dns_client import Answer, NoAnswer
from edgegw.discovery.dns_settings import DnsSettings
from edgegw.discovery.interfaces import Surroundings
from edgegw.discovery.resolv_conf import ResolvConf
from edgegw.discovery.settings import DiscoverySettings
from tests.discovery.doubles import Heard, environment

NXDOMAIN = Answer(False, (), ())
NODATA = Answer(True, (), ())


def record(name: str, payload: Any, ttl: int = 30) -> dns.RRHeader:
    return dns.RRHeader(name, payload.TYPE, dns.IN, ttl, payload)


def a(*addresses: str, name: str = "u.example", ttl: int = 30) -> Answer:
    return Answer(True, [record(name, dns.Record_A(each), ttl) for each in addresses], ())


def aaaa(*addresses: str, name: str = "u.example", ttl: int = 30) -> Answer:
    return Answer(True, [record(name, dns.Record_AAAA(each), ttl) for each in addresses], ())


def srv(*records: tuple[int, int, int, str], additional: tuple[dns.RRHeader, ...] = (), ttl: int = 30) -> Answer:
    return Answer(True, [record("s.example", dns.Record_SRV(*each), ttl) for each in records], additional)


class Zone:
    """Answers questions, and writes them down. answers: by name and type; an exception is raised."""

    def __init__(self) -> None:
        self.answers: dict[tuple[str, int], Answer | Exception | Deferred[Answer]] = {}
        self.asked: list[tuple[str, int]] = []

    async def ask(self, name: str, kind: int) -> Answer:
        self.asked.append((name, kind))
        found = self.answers.get((name, kind), NXDOMAIN)
        if isinstance(found, Exception):
            raise found
        return await found if isinstance(found, Deferred) else found


class Case(SynchronousTestCase):
    """A source over a zone."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.zone = Zone()
        self.heard = Heard()

    conf = ResolvConf(())

    def watch(self, start: bool = True, **settings: Any) -> DnsSource:
        query = DiscoverySettings.model_validate({"from": "dns", "name": "u.example", "port": 80, **settings})
        source = DnsSource(query, self.zone, environment(self.clock), lambda name: self.conf.full_names(name))
        self.addCleanup(self.ended, source)
        if start:
            source.start(self.heard)
        return source

    def ended(self, source: DnsSource) -> None:
        source.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def wait(self, seconds: float) -> None:
        self.clock.pump([0.25] * int(seconds * 4))

    def say(self, four: Answer | Exception, six: Answer | Exception = NODATA) -> None:
        self.zone.answers["u.example", dns.A] = four
        self.zone.answers["u.example", dns.AAAA] = six

    @property
    def rounds(self) -> int:
        return self.zone.asked.count(("u.example", dns.A))


class AddressTests(Case):
    """A and AAAA."""

    def test_both_families(self) -> None:
        self.say(a("10.0.0.2", "10.0.0.1"), aaaa("2001:db8::1"))
        self.watch(scheme="https", port=443)
        self.assertEqual(self.heard.urls, ["https://10.0.0.1:443", "https://10.0.0.2:443", "https://[2001:db8::1]:443"])

    def test_order_is_stable(self) -> None:
        """Name servers rotate their answers."""
        self.say(a("10.0.0.1", "10.0.0.2", "10.0.0.3"))
        self.watch()
        self.say(a("10.0.0.3", "10.0.0.1", "10.0.0.2"))
        self.wait(40)
        self.assertEqual(len(self.heard.found_), 2)
        self.assertEqual(self.heard.found_[0], self.heard.found_[1])

    def test_changes_with_the_ttl(self) -> None:
        self.say(a("10.0.0.1", ttl=20))
        self.watch()
        self.say(a("10.0.0.2", ttl=20))
        self.wait(19.5)
        self.assertEqual(self.heard.urls, ["http://10.0.0.1:80"])
        self.wait(3)
        self.assertEqual(self.heard.urls, ["http://10.0.0.2:80"])

    def test_shortest_ttl_counts(self) -> None:
        """That of the alias on the way too."""
        answers = [record("u.example", dns.Record_CNAME("v.example"), 5), *a("10.0.0.1", ttl=300).answers]
        self.say(Answer(True, answers, ()))
        self.watch()
        self.assertEqual(self.heard.urls, ["http://10.0.0.1:80"])
        self.wait(6)
        self.assertEqual(self.rounds, 2)

    def test_ttl_is_bounded(self) -> None:
        self.say(a("10.0.0.1", ttl=0))
        self.watch()
        self.wait(10)
        self.assertLessEqual(self.rounds, 11)
        self.say(a("10.0.0.1", ttl=10**6))
        self.wait(2)
        before = self.rounds
        self.wait(3590)
        self.assertEqual(self.rounds, before)
        self.wait(400)
        self.assertEqual(self.rounds, before + 1)

    def test_confirms_while_the_ttl_lasts(self) -> None:
        self.say(a("10.0.0.1", ttl=3600))
        self.watch()
        self.wait(100)
        self.assertEqual((self.rounds, self.heard.confirmations), (1, 10))

    def test_jitter(self) -> None:
        """Gateways that began together do not ask together."""
        moments = set()
        for seed in range(20):
            self.setUp()
            self.say(a("10.0.0.1", ttl=8))
            source = self.watch(start=False)
            source._chance.seed(seed)
            source.start(self.heard)
            moments.add(round(self.clock.getDelayedCalls()[0].getTime(), 2))
            source.stop()
        self.assertGreater(len(moments), 10)
        self.assertTrue(all(8 <= moment <= 8.8 for moment in moments))


class FailureTests(Case):
    """Nothing said is not "nothing"."""

    def test_nxdomain(self) -> None:
        self.say(a("10.0.0.1", ttl=2))
        self.watch()
        self.say(NXDOMAIN, NXDOMAIN)
        self.wait(3)
        self.assertEqual((self.heard.found_[-1], self.heard.failures), ([], []))
        self.say(a("10.0.0.2"))
        self.wait(6)
        self.assertEqual(self.heard.urls, ["http://10.0.0.2:80"])

    def test_silence(self) -> None:
        self.say(a("10.0.0.1", ttl=2))
        self.watch()
        silent = NoAnswer("name server 10.0.0.53:53 does not answer")
        self.say(silent, silent)
        self.wait(3)
        self.assertEqual(len(self.heard.found_), 1)
        self.assertEqual(self.heard.failures, ["u.example: name server 10.0.0.53:53 does not answer"])

    def test_tries_again_ever_slower(self) -> None:
        self.say(NoAnswer("x"), NoAnswer("x"))
        self.watch()
        self.wait(600)
        # 1, 2, 4, 8 and then 10 s apart, with up to a fifth added.
        self.assertTrue(4 + 47 <= self.rounds <= 6 + 60, self.rounds)
        self.say(a("10.0.0.1"))
        self.wait(36)
        self.assertEqual(self.heard.urls, ["http://10.0.0.1:80"])

    def test_one_family_is_silent(self) -> None:
        """What is known of it holds; the other one is believed."""
        self.say(a("10.0.0.1", ttl=300), aaaa("2001:db8::1", ttl=2))
        self.watch()
        self.say(a("10.0.0.2", ttl=300), NoAnswer("SERVFAIL"))
        self.wait(3)
        self.assertEqual(self.heard.urls, ["http://10.0.0.2:80", "http://[2001:db8::1]:80"])
        # It is asked for soon again.
        self.say(a("10.0.0.2", ttl=300), NODATA)
        self.wait(6)
        self.assertEqual(self.heard.urls, ["http://10.0.0.2:80"])

    def test_code_that_breaks(self) -> None:
        """Not the network: it is logged, and goes on."""
        self.say(ValueError("odd"), NODATA)
        self.watch()
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
        self.assertEqual(len(self.heard.failures), 1)
        self.say(a("10.0.0.1"))
        self.wait(3)
        self.assertEqual(self.heard.urls, ["http://10.0.0.1:80"])

    def test_stopped_while_asking(self) -> None:
        cancelled: list[object] = []
        waiting: Deferred[Answer] = Deferred(cancelled.append)
        self.zone.answers["u.example", dns.A] = waiting
        source = self.watch()
        source.stop()
        self.assertEqual((cancelled, self.heard.found_, self.heard.failures), ([waiting], [], []))


class ServiceTests(Case):
    """SRV (RFC 2782)."""

    def watch_srv(self) -> DnsSource:
        query = DiscoverySettings.model_validate({"from": "dns", "name": "s.example", "type": "SRV"})
        source = DnsSource(query, self.zone, environment(self.clock))
        self.addCleanup(self.ended, source)
        source.start(self.heard)
        return source

    def facts(self) -> list[tuple[str, int, int]]:
        return [(each.settings.url, each.settings.tier, each.settings.weight) for each in self.heard.found_[-1]]

    def test_priorities_and_weights(self) -> None:
        self.zone.answers["s.example", dns.SRV] = srv(
            (20, 0, 8001, "b.example"), (10, 60, 8000, "a.example"), (10, 65535, 8002, "a.example")
        )
        self.zone.answers["a.example", dns.A] = a("10.0.0.1", name="a.example")
        self.zone.answers["b.example", dns.A] = a("10.0.0.2", name="b.example")
        self.watch_srv()
        self.assertEqual(
            self.facts(),
            [("http://10.0.0.1:8000", 0, 60), ("http://10.0.0.1:8002", 0, 1000), ("http://10.0.0.2:8001", 1, 1)],
        )
        self.assertEqual(self.heard.found_[-1][0].settings.meta, {"target": "a.example"})
        self.assertEqual(self.zone.asked.count(("a.example", dns.A)), 1)

    def test_additional_records(self) -> None:
        """What the answer brings along is not asked for."""
        extra = (record("A.example", dns.Record_A("10.0.0.1")), record("a.example", dns.Record_AAAA("2001:db8::1")))
        self.zone.answers["s.example", dns.SRV] = srv((1, 1, 80, "a.EXAMPLE"), additional=extra)
        self.watch_srv()
        self.assertEqual(self.heard.urls, ["http://10.0.0.1:80", "http://[2001:db8::1]:80"])
        self.assertEqual(self.zone.asked, [("s.example", dns.SRV)])

    def test_not_offered(self) -> None:
        self.zone.answers["s.example", dns.SRV] = srv((0, 0, 0, ""))
        self.watch_srv()
        self.assertEqual(self.heard.found_, [[]])

    def test_target_without_addresses(self) -> None:
        self.zone.answers["s.example", dns.SRV] = srv((1, 1, 80, "a.example"), (1, 1, 80, "gone.example"))
        self.zone.answers["a.example", dns.A] = a("10.0.0.1")
        self.watch_srv()
        self.assertEqual(self.heard.urls, ["http://10.0.0.1:80"])

    def test_silent_target(self) -> None:
        """Half of an answer is none."""
        self.zone.answers["s.example", dns.SRV] = srv((1, 1, 80, "a.example"), (1, 1, 80, "b.example"), ttl=2)
        self.zone.answers["a.example", dns.A] = a("10.0.0.1")
        self.zone.answers["b.example", dns.A] = a("10.0.0.2")
        self.watch_srv()
        self.zone.answers["b.example", dns.A] = self.zone.answers["b.example", dns.AAAA] = NoAnswer("SERVFAIL")
        self.wait(3)
        self.assertEqual((len(self.heard.found_), self.heard.failures), (1, ["s.example: SERVFAIL"]))

    def test_port_zero(self) -> None:
        extra = (record("a.example", dns.Record_A("10.0.0.1")),)
        self.zone.answers["s.example", dns.SRV] = srv((1, 1, 0, "a.example"), additional=extra)
        self.watch_srv()
        self.assertEqual((self.heard.found_[-1], len(self.heard.refusals)), ([], 1))

    @given(st.lists(st.tuples(st.integers(0, 65535), st.integers(0, 65535), st.integers(0, 65535)), max_size=40))
    def test_any_records(self, records: list[tuple[int, int, int]]) -> None:
        """A lower priority is never in a higher tier."""
        self.setUp()
        self.zone.answers["s.example", dns.SRV] = srv(
            *((*each, "a.example") for each in records), additional=(record("a.example", dns.Record_A("10.0.0.1")),)
        )
        self.watch_srv().stop()
        tiers = {each.settings.url: each.settings.tier for each in reversed(self.heard.found_[-1])}
        for priority, _, port in records:
            for other, _, another in records:
                if port and another and port != another and priority < other:
                    lowest = min(p for p, _, q in records if q == port)
                    if lowest < min(p for p, _, q in records if q == another):
                        self.assertLessEqual(tiers[f"http://10.0.0.1:{port}"], tiers[f"http://10.0.0.1:{another}"])


class BuildTests(SynchronousTestCase):
    """What the configuration may say."""

    def problem(self, **settings: Any) -> str:
        problems = Problems()
        query = DiscoverySettings.model_validate({"from": "dns", **settings})
        self.assertIsNone(build_dns(query, DnsSettings(), Surroundings(environment(), None, problems, problems)))  # type: ignore[arg-type]
        return f"{problems.errors[0]} {problems.errors[0].hint}"

    def test_problems(self) -> None:
        self.assertIn("write type: SRV if the port is in DNS", self.problem(name="a.b"))
        self.assertIn("a number from 1 to 65535", self.problem(name="a.b", port="http"))
        self.assertIn("a number from 1 to 65535", self.problem(name="a.b", port=70000))
        self.assertIn("SRV records tell the port", self.problem(name="a.b", type="SRV", port=80))
        self.assertIn("is an address, not a name", self.problem(name="10.0.0.1", port=80))
