"""Tests of edgegw.net.peer_identity."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from edgegw.net.peer_identity import identity_of
from tests.net.tlspair import AUTHORITY


class IdentityTests(SynchronousTestCase):
    def test_nothing_in_a_name_gets_into_a_header(self) -> None:
        identity = identity_of(AUTHORITY.issue("a\r\nX-Auth-User: admin", client=True).cert)
        self.assertEqual(identity.subject, "CN=a\\0D\\0AX-Auth-User: admin")
        self.assertEqual(identity.dns_names, ("a\\0D\\0AX-Auth-User: admin",))
        for text in (identity.subject, identity.issuer, identity.pem, *identity.dns_names):
            self.assertTrue(text.isascii() and text.isprintable(), text)

    def test_addresses_are_no_dns_names(self) -> None:
        identity = identity_of(AUTHORITY.issue("alice.example.com", "192.0.2.1").cert)
        self.assertEqual((identity.dns_names, identity.uris, identity.emails), (("alice.example.com",), (), ()))
