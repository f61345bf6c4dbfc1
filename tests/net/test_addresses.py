"""Tests of edgegw.net.addresses."""

from __future__ import annotations

import ipaddress

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from edgegw.net import addresses
from edgegw.net.addresses import AddressPolicy, CidrSet, canonical, client_address, ends_in_number, hop_address


class CidrSetTests(SynchronousTestCase):
    def test_members(self) -> None:
        networks = CidrSet(["10.0.0.0/8", "192.0.2.7", "2001:db8::/32", "::ffff:172.16.0.0/108", "unix"])
        for inside in (
            "10.255.0.1",
            "192.0.2.7",
            "2001:DB8::1",
            "::ffff:10.1.2.3",
            "172.16.9.9",
            "unix",
            "2001:db8::1%eth0",
        ):
            self.assertIn(inside, networks, inside)
        for outside in ("11.0.0.1", "192.0.2.8", "2001:db9::1", "::1", "", "junk", "10.1", "167772161", "10.0.0.0/8"):
            self.assertNotIn(outside, networks, outside)
        self.assertNotIn("unix", CidrSet(["0.0.0.0/0", "::/0"]))
        self.assertNotIn("10.0.0.1", CidrSet())
        self.assertFalse(CidrSet())

    def test_bad_networks_are_named(self) -> None:
        for text, expected in (
            ("10.0.0.1/8", '"10.0.0.1/8" has bits set behind the prefix; did you mean "10.0.0.0/8"?'),
            ("10.0.0.0/33", '"10.0.0.0/33" is not a network; write it like 10.0.0.0/8 or 2001:db8::/32'),
            ("localhost", '"localhost" is not a network; write it like 10.0.0.0/8 or 2001:db8::/32'),
        ):
            self.assertEqual(str(self.assertRaises(ValueError, CidrSet, [text])), expected)

    def test_the_memo_is_bounded(self) -> None:
        self.patch(addresses, "_MEMO_MAX", 10)
        networks = CidrSet(["10.0.0.0/8"])
        for number in range(100):
            self.assertIn(f"10.0.0.{number}", networks)
            self.assertNotIn("x" * 100 + str(number), networks)
        self.assertLessEqual(len(networks._memo), 10)

    @given(st.lists(st.ip_addresses(), max_size=5), st.integers(0, 32), st.ip_addresses())
    def test_agrees_with_ipaddress(
        self, heads: list[ipaddress.IPv4Address], prefix: int, asked: ipaddress.IPv4Address
    ) -> None:
        networks = [ipaddress.ip_network((head, prefix), strict=False) for head in heads]
        expected = any(asked in network for network in networks if network.version == asked.version)
        mapped = isinstance(asked, ipaddress.IPv6Address) and asked.ipv4_mapped is not None
        if not mapped and not any("::ffff:" in str(network) for network in networks):
            self.assertEqual(str(asked) in CidrSet(map(str, networks)), expected)


class CanonicalTests(SynchronousTestCase):
    def test_texts(self) -> None:
        for text, expected in (
            ("127.0.0.1", "127.0.0.1"),
            ("::FFFF:127.0.0.1", "127.0.0.1"),
            ("2001:DB8:0:0::1", "2001:db8::1"),
            ("fe80::1%eth0", "fe80::1"),
            ("0", None),
            ("2130706433", None),
            ("0x7f.1", None),
            ("127.1", None),
            ("010.0.0.1", None),
            ("localhost", None),
            ("[::1]", None),
            ("", None),
            ("١٢٧.٠.٠.١", None),
        ):
            self.assertEqual(canonical(text), expected, text)

    def test_ends_in_number(self) -> None:
        for host in ("0", "2130706433", "127.1", "0x7f.1", "a.0x", "1.2.3.4", "a.99", "127.1."):
            self.assertTrue(ends_in_number(host), host)
        for host in ("localhost", "a1.example", "1.example", "0x7g", ""):
            self.assertFalse(ends_in_number(host), host)


class HopAddressTests(SynchronousTestCase):
    def test_entries(self) -> None:
        for entry, expected in (
            (b"192.0.2.1", "192.0.2.1"),
            (b" 192.0.2.1:4711 ", "192.0.2.1"),
            (b'"192.0.2.1:4711"', "192.0.2.1"),
            (b"2001:db8::1", "2001:db8::1"),
            (b"[2001:DB8::1]", "2001:db8::1"),
            (b'"[2001:db8::1]:443"', "2001:db8::1"),
            (b"::ffff:192.0.2.1", "192.0.2.1"),
            (b"[::1]:x", None),
            (b"[::1]x", None),
            (b"[::1", None),
            (b"[1.2.3.4]", None),
            (b"1.2.3.4:", None),
            (b"1.2.3.4:99999", None),
            (b"fe80::1%eth0", None),
            (b"unknown", None),
            (b"_hidden", None),
            (b"", None),
            (b'"', None),
            (b"2130706433", None),
            (b"1.2.3.4\x00", None),
            (b"\xff\xfe", None),
            (b"1" * 5000, None),
        ):
            self.assertEqual(hop_address(entry), expected, entry)


class ClientAddressTests(SynchronousTestCase):
    trusted = CidrSet(["10.0.0.0/8", "fd00::/8", "unix"])

    def resolve(self, peer: str, *values: bytes) -> tuple[str, tuple[str, ...]]:
        resolved = client_address(peer, values, self.trusted)
        self.assertEqual(resolved.trusted, peer in self.trusted)
        return resolved.client, resolved.hops

    def test_an_untrusted_peer_is_the_client(self) -> None:
        self.assertEqual(self.resolve("6.6.6.1", b"10.0.0.1"), ("6.6.6.1", ("6.6.6.1",)))
        self.assertEqual(self.resolve("::ffff:6.6.6.1", b"1.1.1.1"), ("6.6.6.1", ("6.6.6.1",)))

    def test_walks_over_trusted_hops_only(self) -> None:
        for values, client, hops in (
            ([], "10.0.0.9", ("10.0.0.9",)),
            ([b"1.1.1.1"], "1.1.1.1", ("1.1.1.1", "10.0.0.9")),
            ([b"6.6.6.6, 1.1.1.1, 10.0.0.2"], "1.1.1.1", ("1.1.1.1", "10.0.0.2", "10.0.0.9")),
            ([b"6.6.6.6", b"1.1.1.1", b"10.0.0.2,fd00::3"], "1.1.1.1", ("1.1.1.1", "10.0.0.2", "fd00::3", "10.0.0.9")),
            ([b"10.0.0.1, 10.0.0.2"], "10.0.0.1", ("10.0.0.1", "10.0.0.2", "10.0.0.9")),
            ([b"6.6.6.6, ::ffff:10.0.0.2"], "6.6.6.6", ("6.6.6.6", "10.0.0.2", "10.0.0.9")),
        ):
            self.assertEqual(self.resolve("10.0.0.9", *values), (client, hops), values)

    def test_junk_ends_the_walk(self) -> None:
        for values, client in (
            ([b", ,"], "10.0.0.9"),
            ([b""], "10.0.0.9"),
            ([b"1.1.1.1, ,"], "1.1.1.1"),
            ([b"1.1.1.1, unknown"], "10.0.0.9"),
            ([b"1.1.1.1, unknown, 10.0.0.2"], "10.0.0.2"),
            ([b"1.1.1.1, [::1]:x, 10.0.0.2"], "10.0.0.2"),
            ([b"1.1.1.1, _hidden"], "10.0.0.9"),
            ([b'"1.1.1.1:80"'], "1.1.1.1"),
            ([b"1.1.1.1;DROP TABLE"], "10.0.0.9"),
        ):
            self.assertEqual(self.resolve("10.0.0.9", *values)[0], client, values)

    def test_unix_peer(self) -> None:
        self.assertEqual(self.resolve("unix", b"1.1.1.1"), ("1.1.1.1", ("1.1.1.1", "unix")))
        self.assertEqual(client_address("unix", [b"1.1.1.1"], CidrSet(["10.0.0.0/8"])).client, "unix")

    def test_bounded(self) -> None:
        many = b"6.6.6.6, " + b", ".join([b"10.0.0.2"] * 500)
        client, hops = self.resolve("10.0.0.9", many)
        self.assertEqual((client, len(hops)), ("10.0.0.2", addresses.MAX_HOPS + 1))
        self.assertEqual(self.resolve("10.0.0.9", b"," * 16000)[0], "10.0.0.9")
        self.assertEqual(self.resolve("10.0.0.9", *[b"10.0.0.3"] * 100)[1].__len__(), addresses.MAX_HOPS + 1)

    @given(st.lists(st.binary(max_size=60), max_size=4))
    def test_any_bytes(self, values: list[bytes]) -> None:
        resolved = client_address("10.0.0.9", values, self.trusted)
        self.assertEqual(resolved.hops[0], resolved.client)
        self.assertEqual(resolved.hops[-1], "10.0.0.9")
        self.assertTrue(all(canonical(hop) == hop for hop in resolved.hops))


class AddressPolicyTests(SynchronousTestCase):
    def test_refused(self) -> None:
        policy = AddressPolicy()
        for address, reason in (
            ("127.0.0.1", "loopback"),
            ("127.255.1.1", "loopback"),
            ("::1", "loopback"),
            ("::ffff:127.0.0.1", "loopback"),
            ("::ffff:7f00:1", "loopback"),
            ("[::ffff:127.0.0.1]", "not_an_address"),
            ("0", "not_an_address"),
            ("2130706433", "not_an_address"),
            ("0x7f000001", "not_an_address"),
            ("0177.0.0.1", "not_an_address"),
            ("localhost", "not_an_address"),
            ("fe80::1%eth0", "not_an_address"),
            ("0.0.0.0", "unspecified"),
            ("::", "unspecified"),
            ("169.254.169.254", "link_local"),
            ("::ffff:169.254.169.254", "link_local"),
            ("64:ff9b::169.254.169.254", "link_local"),
            ("2002:7f00:1::", "loopback"),
            ("::127.0.0.1", "loopback"),
            ("fe80::1", "link_local"),
            ("224.0.0.1", "multicast"),
            ("ff02::1", "multicast"),
            ("255.255.255.255", "reserved"),
            ("fd00:ec2::254", "metadata"),
            ("100.100.100.200", "metadata"),
        ):
            self.assertEqual(policy.refuse(address), reason, address)

    def test_allowed(self) -> None:
        policy = AddressPolicy()
        for address in (
            "10.0.0.1",
            "192.168.1.1",
            "8.8.8.8",
            "2001:db8::1",
            "fd00::1",
            "::ffff:10.0.0.1",
            "64:ff9b::8.8.8.8",
        ):
            self.assertIsNone(policy.refuse(address), address)

    def test_listed(self) -> None:
        policy = AddressPolicy(allow=CidrSet(["127.0.0.0/8"]), deny=CidrSet(["10.0.0.0/8"]))
        self.assertIsNone(policy.refuse("127.0.0.1"))
        self.assertIsNone(policy.refuse("::ffff:127.0.0.1"))
        self.assertEqual(policy.refuse("::1"), "loopback")
        self.assertEqual(policy.refuse("10.0.0.1"), "denied")
