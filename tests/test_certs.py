"""The certificates that other tests trust: they verify, name what they should, and expire when told to."""

import datetime
import ssl
from pathlib import Path

from cryptography.x509 import DNSName
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError
from twisted.trial.unittest import SynchronousTestCase

from tests.certs import Authority

NOW = datetime.datetime(2026, 11, 21, tzinfo=datetime.UTC)


class CertificateTests(SynchronousTestCase):
    """`Authority.issue` against cryptography's own verifier and OpenSSL's loader."""

    def setUp(self) -> None:
        self.authority = Authority(now=NOW)
        builder = PolicyBuilder().store(Store([self.authority.cert])).time(NOW)
        self.verify = builder.build_server_verifier(DNSName("shop.example.com")).verify

    def test_named(self) -> None:
        """A leaf for the name, or a wildcard over it, verifies."""
        for name in ("shop.example.com", "*.example.com"):
            chain = self.verify(self.authority.issue(name).cert, [])
            self.assertEqual(chain[-1], self.authority.cert)

    def test_other_name_expired_and_client(self) -> None:
        """Another name, a date in the past, another authority or a client's certificate do not."""
        for leaf in (
            self.authority.issue("other.example.com"),
            self.authority.issue("shop.example.com", ends_days=-1),
            self.authority.issue("shop.example.com", client=True),
            Authority(now=NOW).issue("shop.example.com"),
        ):
            self.assertRaises(VerificationError, self.verify, leaf.cert, [])

    def test_written_files_load(self) -> None:
        """The files are what a server loads: chain and matching key."""
        folder = Path(self.mktemp())
        folder.mkdir()
        paths = self.authority.issue("shop.example.com", "127.0.0.1").write(folder, "shop")
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(paths.cert, paths.key)
        self.assertEqual(paths.key.stat().st_mode & 0o777, 0o600)
        self.assertEqual(paths.cert.read_bytes().count(b"BEGIN CERTIFICATE"), 2)
