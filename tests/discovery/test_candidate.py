"""Tests of edgegw.discovery.candidate: what registries say, hostile things included."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from edgegw.discovery.candidate import Facts, Refused, candidate
from edgegw.upstream.address import EndpointUrl

URLS = {
    ("http", "10.0.0.1", 80): "http://10.0.0.1:80",
    ("https", "2001:db8::1", 443): "https://[2001:db8::1]:443",
    ("grpc", "[2001:db8::1]", 50051): "grpc://[2001:db8::1]:50051",
    ("http", "users.shop.svc.", 8080): "http://users.shop.svc:8080",
}

REFUSED = {
    "0": "is not an address",
    "2130706433": "is not an address",
    "127.1": "is not an address",
    "0x7f000001": "is not an address",
    "1.2.3.4.5": "is not an address",
    "": "is not an address",
    "a b": "is not an address",
    "a/b": "without a path",
    "a@b": "is not an address",
    "a\r\nHost: b": "is not an address",
    "a:b": "is not an address",
    "unix": None,
    "fe80::1%eth0": "is not an address",
    "ämter.example": "is not an address",
}


class CandidateTests(SynchronousTestCase):
    """Endpoints from what was heard."""

    def test_urls(self) -> None:
        for said, url in URLS.items():
            self.assertEqual(candidate(*said).settings.url, url)

    def test_refused(self) -> None:
        for host, words in REFUSED.items():
            if words is None:
                continue
            error = self.assertRaises(Refused, candidate, "http", host, 80)
            self.assertIn(words, error.reason, host)
            self.assertTrue(error.what.isprintable(), host)

    def test_ports(self) -> None:
        for port in (0, -1, 65536, 10**9):
            self.assertRaises(Refused, candidate, "http", "10.0.0.1", port)

    def test_schemes(self) -> None:
        for scheme in ("unix", "ftp", "file", "", "javascript"):
            self.assertRaises(Refused, candidate, scheme, "10.0.0.1", 80)

    def test_mapped_address(self) -> None:
        """An IPv4 address in IPv6 clothes is kept as it was said; the policy judges what it means."""
        url = candidate("http", "::ffff:127.0.0.1", 80).settings.url
        self.assertEqual(EndpointUrl.parse(url).host, "127.0.0.1")

    def test_facts_brought_into_range(self) -> None:
        facts = Facts(0, "z" * 500, 99, {f"{number:03}": "v" * 500 for number in range(99)}, "critical")
        found = candidate("http", "10.0.0.1", 80, facts)
        self.assertEqual((found.settings.weight, found.settings.tier, found.held), (1, 15, "critical"))
        self.assertEqual((len(found.settings.zone), len(found.settings.meta)), (100, 32))
        self.assertEqual(set(map(len, found.settings.meta.values())), {100})
        self.assertEqual(candidate("http", "10.0.0.1", 80, Facts(10**9)).settings.weight, 1000)
        self.assertEqual(candidate("http", "10.0.0.1", 80, Facts(float("nan"))).settings.weight, 1)

    @given(st.text(max_size=40), st.integers(), st.floats(), st.integers(), st.dictionaries(st.text(), st.text()))
    def test_anything(self, host: str, port: int, weight: float, tier: int, meta: dict[str, str]) -> None:
        """Whatever is said, it is an endpoint or refused."""
        try:
            found = candidate("http", host, port, Facts(weight, host, tier, meta, host))
        except Refused:
            return
        EndpointUrl.parse(found.settings.url)
