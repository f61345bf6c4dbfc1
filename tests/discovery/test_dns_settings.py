"""Tests of edgegw.discovery.dns_settings."""

from __future__ import annotations

from unittest import mock

from pydantic import ValidationError
from twisted.trial.unittest import SynchronousTestCase

from edgegw.discovery import dns_settings
from edgegw.discovery.dns_settings import DnsSettings, parse_server
from edgegw.discovery.resolv_conf import ResolvConf

FILE = ResolvConf([("10.0.0.1", 53)], ["file.example"], 5)


class NamingTests(SynchronousTestCase):
    """Of the configuration and of the system's file."""

    def naming(self, **settings: object) -> ResolvConf:
        with mock.patch.object(dns_settings, "system", lambda: FILE):
            return DnsSettings.model_validate(settings).naming()

    def test_what_is_left_out_is_the_systems(self) -> None:
        self.assertEqual(self.naming(), FILE)
        self.assertEqual(self.naming(search=["a.b."], ndots=0), ResolvConf(FILE.servers, ("a.b",), 0))
        self.assertEqual(self.naming(search=[]).full_names("u"), ["u"])

    def test_own_servers_have_no_search_list(self) -> None:
        """Unless it is given."""
        own = [("10.0.0.53", 53)]
        self.assertEqual(self.naming(servers=["10.0.0.53"]), ResolvConf(own))
        self.assertEqual(self.naming(servers=["10.0.0.53"], search=["a.b"]), ResolvConf(own, ("a.b",)))
        self.assertEqual(self.naming(servers=["10.0.0.53"], ndots=3).ndots, 3)

    def test_wrong_domains(self) -> None:
        for text in ("", ".", "a b", "a..b", ".a", "x" * 64, "a." * 127 + "a", "a/b"):
            with self.assertRaises(ValidationError, msg=text):
                DnsSettings(search=(text,))
        with self.assertRaises(ValidationError):
            DnsSettings(search=("a.b",) * 33)
        with self.assertRaises(ValidationError):
            DnsSettings(ndots=16)


class ServerTests(SynchronousTestCase):
    def test_servers(self) -> None:
        """With a port or without."""
        right = {
            "10.0.0.53": ("10.0.0.53", 53),
            "10.0.0.53:5353": ("10.0.0.53", 5353),
            "::1": ("::1", 53),
            "[::1]": ("::1", 53),
            "[::1]:5353": ("::1", 5353),
        }
        for text, server in right.items():
            self.assertEqual(parse_server(text), server)
        for text in (
            "",
            "dns.example",
            "10.0.0.53:",
            "10.0.0.53:x",
            "10.0.0.53:0",
            "10.0.0.53:65536",
            "[::1]:",
            "1:2:3",
        ):
            self.assertRaises(ValueError, parse_server, text)
