"""Tests of edgegw.discovery.policy: the table of reference/trust.md A5, SSRF by discovery."""

from __future__ import annotations

import socket

from twisted.trial.unittest import SynchronousTestCase

from edgegw.discovery.candidate import Refused, candidate
from edgegw.discovery.policy import EndpointPolicy, is_local
from edgegw.upstream.address import EndpointUrl

HOSTILE = {
    "169.254.169.254": "link-local",
    "::ffff:169.254.169.254": "link-local",
    "fe80::1": "link-local",
    "127.0.0.1": "loopback",
    "127.8.8.8": "loopback",
    "::1": "loopback",
    "::ffff:127.0.0.1": "loopback",
    "::ffff:7f00:1": "loopback",
    "64:ff9b::7f00:1": "loopback",
    "2002:7f00:1::": "loopback",
    "::127.0.0.1": "loopback",
    "0.0.0.0": "no address of a server",
    "::": "no address of a server",
    "224.0.0.1": "multicast",
    "ff02::1": "multicast",
    "255.255.255.255": "reserved",
    "100.100.100.200": "metadata",
    "fd00:ec2::254": "metadata",
    "0": "is not an address",
    "2130706433": "is not an address",
    "0x7f.1": "is not an address",
}


class TableTests(SynchronousTestCase):
    """Every one of them, by the way that a source's words take."""

    def test_hostile(self) -> None:
        policy = EndpointPolicy()
        for host, words in HOSTILE.items():
            try:
                url = candidate("http", host, 80).settings.url
            except Refused as error:
                reason: str | None = error.reason
            else:
                reason = policy.refuse_named(EndpointUrl.parse(url))
            self.assertIn(words, reason or "allowed", host)

    def test_harmless(self) -> None:
        policy = EndpointPolicy()
        for url in ("http://10.0.0.1:80", "http://192.168.1.1:80", "http://[fd12::1]:80", "http://8.8.8.8:80"):
            self.assertIsNone(policy.refuse_named(EndpointUrl.parse(url)), url)

    def test_name_that_flips(self) -> None:
        """A name is believed when it is named, and judged by each address that is dialled."""
        policy = EndpointPolicy()
        url = EndpointUrl.parse("http://users.example:80")
        judge = policy.guard()
        self.assertIsNone(policy.refuse_named(url))
        self.assertIsNone(judge(url, "10.0.0.1"))
        self.assertIn("loopback", judge(url, "127.0.0.1") or "")

    def test_written_endpoints_are_not_asked_about(self) -> None:
        url = EndpointUrl.parse("http://localhost:80")
        self.assertIsNone(EndpointPolicy().guard([url])(url, "127.0.0.1"))

    def test_allowed(self) -> None:
        policy = EndpointPolicy(["127.0.0.0/8"])
        self.assertIsNone(policy.refuse("127.0.0.1", 80))
        self.assertIsNotNone(policy.refuse("::1", 80))
        self.assertIsNotNone(policy.refuse("169.254.169.254", 80))

    def test_unix(self) -> None:
        url = EndpointUrl.parse("unix:///run/docker.sock")
        self.assertIn("unix", EndpointPolicy().refuse_named(url) or "")
        self.assertIsNone(EndpointPolicy(["unix"]).refuse_named(url))


class OwnTests(SynchronousTestCase):
    """The gateway's own listeners: a request would come round again."""

    def refused(
        self, *own: tuple[str, int], allow: tuple[str, ...] = (), at: str = "10.0.0.1", port: int = 443
    ) -> bool:
        policy = EndpointPolicy(allow, lambda: own, lambda address: address == "10.0.0.1")
        return policy.refuse(at, port) is not None

    def test_every_address(self) -> None:
        for anywhere in ("", "0.0.0.0", "::"):
            self.assertTrue(self.refused((anywhere, 443)))
        self.assertFalse(self.refused(("", 443), port=80))
        self.assertFalse(self.refused(("", 443), at="10.0.0.2"))

    def test_one_address(self) -> None:
        self.assertTrue(self.refused(("10.0.0.1", 443)))
        self.assertFalse(self.refused(("10.0.0.3", 443)))

    def test_a_network_does_not_allow_it(self) -> None:
        self.assertTrue(self.refused(("", 443), allow=("10.0.0.0/8",)))
        self.assertFalse(self.refused(("", 443), allow=("10.0.0.1",)))

    def test_as_they_are_now(self) -> None:
        own: list[tuple[str, int]] = []
        policy = EndpointPolicy((), lambda: own, lambda _: True)
        self.assertIsNone(policy.refuse("10.0.0.1", 443))
        own.append(("", 443))
        self.assertIsNotNone(policy.refuse("10.0.0.1", 443))

    def test_real_addresses(self) -> None:
        """What the kernel says of this machine."""
        self.assertTrue(is_local("127.0.0.1"))
        self.assertFalse(is_local("192.0.2.1"))
        self.assertFalse(is_local("2001:db8::1"))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.connect(("192.0.2.1", 9))
            except OSError:
                return
            self.assertTrue(is_local(probe.getsockname()[0]))
