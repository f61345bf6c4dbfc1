"""Tests of edgegw.discovery.dns: short names and search lists."""

from __future__ import annotations

from twisted.names import dns

from edgegw.discovery.dns_client import NoAnswer
from edgegw.discovery.resolv_conf import ResolvConf
from tests.discovery.test_dns import NODATA, NXDOMAIN, Case, a, aaaa, srv


class SearchTests(Case):
    """A short name, as in a pod."""

    conf = ResolvConf((), ["shop.test", "test"], 5)

    def has(self, name: str, *addresses: str) -> None:
        self.zone.answers[name, dns.A] = a(*addresses, ttl=2)

    def fails(self, name: str, servfail: bool = True) -> None:
        error = NoAnswer("SERVFAIL" if servfail else "silence", servfail)
        self.zone.answers[name, dns.A] = self.zone.answers[name, dns.AAAA] = error

    @property
    def names(self) -> list[str]:
        return list(dict.fromkeys(name for name, _ in self.zone.asked))

    def test_first_that_has_something(self) -> None:
        self.has("u.test", "10.0.0.1")
        self.has("u", "10.0.0.9")
        self.zone.answers["u.shop.test", dns.AAAA] = NODATA
        self.watch(name="u")
        self.assertEqual((self.heard.urls, self.names), (["http://10.0.0.1:80"], ["u.shop.test", "u.test"]))

    def test_one_family_is_enough(self) -> None:
        self.zone.answers["u.shop.test", dns.AAAA] = aaaa("2001:db8::1")
        self.has("u.test", "10.0.0.1")
        self.watch(name="u")
        self.assertEqual((self.heard.urls, self.names), (["http://[2001:db8::1]:80"], ["u.shop.test"]))

    def test_whole_names(self) -> None:
        self.has("u.test", "10.0.0.1")
        source = self.watch(name="u.")
        self.assertEqual((self.heard.found_, self.names, source.name), ([[]], ["u"], "dns u.:80"))

    def test_nothing_anywhere(self) -> None:
        self.watch(name="u")
        self.assertEqual((self.heard.found_, self.names), ([[]], ["u.shop.test", "u.test", "u"]))

    def test_the_list_is_read_again(self) -> None:
        self.has("u.test", "10.0.0.1")
        self.has("u.new.test", "10.0.0.2")
        self.watch(name="u")
        self.conf = ResolvConf((), ["new.test"])
        self.wait(3)
        self.assertEqual(self.heard.urls, ["http://10.0.0.2:80"])

    def test_servfail_leads_on(self) -> None:
        """As with glibc; but where all the rest has nothing, it is no answer."""
        self.fails("u.shop.test")
        self.watch(name="u")
        self.assertEqual((self.heard.found_, self.heard.failures), ([], ["u: SERVFAIL"]))
        self.has("u.test", "10.0.0.1")
        self.wait(2)
        self.assertEqual(self.heard.urls, ["http://10.0.0.1:80"])

    def test_silence_ends_it(self) -> None:
        self.fails("u.shop.test", servfail=False)
        self.has("u.test", "10.0.0.1")
        self.watch(name="u")
        self.assertEqual((self.heard.found_, self.names), ([], ["u.shop.test"]))

    def test_found_before(self) -> None:
        """Somebody else of that name further on does not get the traffic while the servers fail."""
        self.has("u.shop.test", "10.0.0.1")
        self.has("u.test", "10.0.0.2")
        self.watch(name="u")
        self.fails("u.shop.test")
        self.wait(3)
        self.assertEqual((self.heard.urls, self.heard.failures), (["http://10.0.0.1:80"], ["u: SERVFAIL"]))
        # That it is gone is another thing.
        self.zone.answers["u.shop.test", dns.A] = self.zone.answers["u.shop.test", dns.AAAA] = NXDOMAIN
        self.wait(4)
        self.assertEqual(self.heard.urls, ["http://10.0.0.2:80"])

    def test_half_an_answer(self) -> None:
        """That one family has nothing does not say that there is nothing."""
        self.zone.answers["u.shop.test", dns.A] = NoAnswer("silence")
        self.has("u.test", "10.0.0.1")
        self.watch(name="u")
        self.assertEqual((self.heard.found_, self.heard.failures), ([], ["u: silence"]))

    def test_services(self) -> None:
        """SRV records are looked for; what they name is whole."""
        self.zone.answers["_s._tcp.u.test", dns.SRV] = srv((1, 1, 80, "h"))
        self.has("h", "10.0.0.1")
        self.has("h.shop.test", "10.0.0.2")
        self.watch(name="_s._tcp.u", type="SRV", port=None)
        self.assertEqual(self.heard.urls, ["http://10.0.0.1:80"])
        self.assertEqual(self.names, ["_s._tcp.u.shop.test", "_s._tcp.u.test", "h"])
