"""Discovery by DNS, with a name server whose records change, stops and dies: drill R7 of reference/trust.md."""

import json
import signal
from typing import Any

from tests.live.control import control, edgegw
from tests.live.discovered import DiscoveryCase, DnsServer
from tests.live.process import wait_until
from tests.live.servers import Gateway


def front(dns: DnsServer, query: str, port: int, more: str = "") -> str:
    """A gateway whose upstream is found by DNS."""
    return f"""
        edgegw: 1
        shutdown: {{lame_duck: 0s, grace: 10s}}
        observe: {{listen: "127.0.0.1:@{{observe}}", access_log: "@{{dir}}/access.log"}}
        listen: [{{port: @{{web}}, interface: 127.0.0.1}}]
        discovery: {{test: {{dns: {{servers: ["127.0.0.1:{port}"], timeout: 500ms}}}}}}
        upstreams:
          u: {{discovery: {{from: test, {query}, allow: [127.0.0.0/8], stale_after: 3s, {more}}}}}
        routes: [{{match: /**, to: u}}]
    """


class DnsCase(DiscoveryCase):
    """A gateway, a name server, and origins on loopback addresses of their own, all on one port."""

    def start(self, query: str = "", more: str = "", **names: Any) -> None:
        self.dns = self.serve(DnsServer(**names))
        self.gateway = self.serve(Gateway(front(self.dns, query, self.dns.port("dns"), more)))


class ChangeTests(DnsCase):
    """Records change, and traffic moves."""

    def test_addresses(self) -> None:
        one = self.origin("one", "127.0.0.2")
        two = self.origin("two", "127.0.0.3", one.port)
        self.start(f"name: u.test, port: {one.port}", **{"u.test": {"A": ["127.0.0.2"]}})
        self.serves("one")
        with self.nothing_lost():
            self.dns.records(**{"u.test": {"A": ["127.0.0.2", "127.0.0.3"]}})
            self.serves("one", "two")
            self.dns.records(**{"u.test": {"A": ["127.0.0.3"]}})
            self.serves("two")
            one.stop()
        self.assertEqual(list(self.endpoints()), [two.url])
        kinds = [event["kind"] for event in control(self.gateway, "events")["events"]]
        self.assertEqual([kinds.count("endpoint_added"), kinds.count("endpoint_removed")], [2, 1])
        updates = "edgegw_discovery_updates_total"
        wait_until(lambda: self.gateway.metric(updates, upstream="u", outcome="ok") >= 3, "the changes are counted")

    def test_services(self) -> None:
        """SRV: ports from DNS; the second priority is used when the first is gone."""
        one, two = self.origin("one", "127.0.0.1"), self.origin("two", "127.0.0.1")
        self.start(
            "name: _http._tcp.u.test, type: SRV",
            **{
                "_http._tcp.u.test": {"SRV": [[10, 1, one.port, "h.u.test"], [20, 1, two.port, "h.u.test"]]},
                "h.u.test": {"A": ["127.0.0.1"]},
            },
        )
        self.serves("one")
        self.assertEqual([each["tier"] for each in self.endpoints().values()], [0, 1])
        self.dns.records(
            **{"_http._tcp.u.test": {"SRV": [[20, 1, two.port, "h.u.test"]]}, "h.u.test": {"A": ["127.0.0.1"]}}
        )
        self.serves("two")

    def test_search_list(self) -> None:
        """A short name is found in the domains of the list, in their order; one with a dot at the end is whole."""
        one = self.origin("one", "127.0.0.2")
        self.origin("two", "127.0.0.3", one.port)
        both = {"u.svc.test": {"A": ["127.0.0.2"]}, "u": {"A": ["127.0.0.3"]}}
        self.dns = self.serve(DnsServer(**both))
        text = front(self.dns, f"name: u, port: {one.port}, empty_after: 0", self.dns.port("dns"))
        text = text.replace("timeout:", "search: [shop.svc.test, svc.test], ndots: 5, timeout:")
        self.gateway = self.serve(Gateway(text))
        self.serves("one")
        with self.nothing_lost():
            self.dns.records(**both, **{"u.shop.svc.test": {"A": ["127.0.0.3"]}})
            self.serves("two")
            self.dns.records(**both, **{"u.shop.svc.test": {"rcode": "SERVFAIL"}})
            self.await_failing("SERVFAIL")
            self.serves("two")
            self.dns.records(**both)
            self.serves("one")
            self.gateway.write(text.replace("name: u,", "name: u.,"))
            self.assertTrue(control(self.gateway, "reload")["ok"])
            self.serves("two")

    def test_many_addresses(self) -> None:
        """More than fit into a datagram: the answer is truncated and comes over TCP."""
        many = [f"127.0.1.{number}" for number in range(1, 101)]
        one = self.origin("one", "127.0.1.1")
        self.start(f"name: u.test, port: {one.port}", **{"u.test": {"A": many}})
        wait_until(lambda: len(self.endpoints()) == 100, "all addresses are found")

    def test_nothing_any_more(self) -> None:
        """NXDOMAIN is believed after a while; SERVFAIL is not an answer."""
        one = self.origin("one", "127.0.0.2")
        self.start(f"name: u.test, port: {one.port}", "empty_after: 2s", **{"u.test": {"A": ["127.0.0.2"]}})
        self.serves("one")
        with self.nothing_lost():
            self.dns.records(**{"u.test": {"rcode": "SERVFAIL"}})
            self.await_state("stale")
        self.dns.records()
        self.serves()
        self.assertEqual(self.endpoints(), {})

    def test_own_listener(self) -> None:
        """Who writes the zone can't make the gateway call itself, not even where loopback is allowed."""
        one = self.origin("one", "127.0.0.2")
        self.dns = self.serve(
            DnsServer(**{"_s.test": {"SRV": [[0, 1, one.port, "a.test"]]}, "a.test": {"A": ["127.0.0.2"]}})
        )
        gateway = Gateway(front(self.dns, "name: _s.test, type: SRV", self.dns.port("dns")))
        self.gateway = self.serve(gateway)
        self.serves("one")
        both = [[0, 1, one.port, "a.test"], [0, 1, gateway.port(), "b.test"], [0, 1, 80, "c.test"]]
        self.dns.records(
            **{
                "_s.test": {"SRV": both},
                "a.test": {"A": ["127.0.0.2"]},
                "b.test": {"A": ["127.0.0.1"]},
                "c.test": {"A": ["169.254.169.254"]},
            }
        )
        wait_until(lambda: self.source()["refused"] == 2, "both are refused")
        self.assertEqual(list(self.endpoints()), [one.url])
        words = " ".join(self.events("source_refused"))
        self.assertIn("this is a listener of the gateway itself", words)
        self.assertIn("a link-local address", words)


class SilenceTests(DnsCase):
    """R7: the name server is gone; last good addresses, the metric ages, nothing is lost."""

    def setUp(self) -> None:
        super().setUp()
        self.one = self.origin("one", "127.0.0.2")
        self.two = self.origin("two", "127.0.0.3", self.one.port)
        self.query = f"name: u.test, port: {self.one.port}"

    def begin(self) -> None:
        self.start(self.query, **{"u.test": {"A": ["127.0.0.2"]}})
        self.serves("one")

    def is_stale(self) -> None:
        super().is_stale()
        self.assertEqual(list(self.endpoints()), [self.one.url])

    def is_back(self) -> None:
        self.dns.records(**{"u.test": {"A": ["127.0.0.3"]}})
        self.serves("two", limit_s=30)
        self.is_fresh()
        self.assertEqual(len(self.events("source_stale")), 1)
        self.assertEqual(len(self.events("source_recovered")), 1)

    def test_stopped(self) -> None:
        self.begin()
        with self.nothing_lost():
            self.dns.signal(signal.SIGSTOP)
            self.await_failing("does not answer")
            self.is_stale()
            shown = json.loads(edgegw(self.gateway, "upstreams", "--json").stdout)[0]["discovery"]
            self.assertEqual((shown["state"], shown["failing"]), ("stale", True))
            self.dns.signal(signal.SIGCONT)
            self.is_back()

    def test_killed(self) -> None:
        self.begin()
        with self.nothing_lost():
            self.dns.kill()
            self.await_failing("connection refused")
            self.is_stale()
            self.dns.start()
            self.is_back()

    def test_starts_without(self) -> None:
        """No name server, nothing on disk: it starts, and answers 503 until there is one."""
        self.dns = self.serve(DnsServer(**{"u.test": {"A": ["127.0.0.2"]}}))
        self.dns.kill()
        self.gateway = self.serve(Gateway(front(self.dns, self.query, self.dns.port("dns"))))
        response, _ = self.get(self.gateway, "/")
        self.assertEqual((response.status, response.getheader("Retry-After")), (503, "1"))
        self.assertEqual(self.state(), "starting")
        self.dns.start()
        self.serves("one", limit_s=30)

    def test_restarts_without(self) -> None:
        """With a snapshot on disk it serves from the first request on."""
        self.begin()
        self.gateway.signal(signal.SIGTERM)
        self.gateway.wait_exit()
        self.dns.kill()
        self.gateway.start()
        with self.nothing_lost():
            self.serves("one")
            self.assertEqual(self.state(), "from_disk")
            self.is_stale()
            self.dns.start()
            self.is_back()
        path = self.gateway.folder / "edgegw-state" / "discovery" / "u.json"
        self.assertEqual(path.stat().st_mode & 0o777, 0o600)
