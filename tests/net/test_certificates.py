"""Tests of edgegw.net.certificates: every bad file gives one clear problem, never a traceback."""

from __future__ import annotations

import datetime
import os
import shutil
import tempfile
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from cryptography.x509.oid import NameOID
from twisted.trial.unittest import SynchronousTestCase

from edgegw.config.problems import Problems
from edgegw.net.certificates import Certificate, load_authorities, load_certificate
from tests.certs import Authority

AUTHORITY = Authority()
LEAF = AUTHORITY.issue("shop.example.com", "*.shop.example.com", "192.0.2.1")
ENCRYPTED = LEAF.key.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"secret")
)
ENCRYPTED_OLD = LEAF.key.private_bytes(
    serialization.Encoding.PEM,
    serialization.PrivateFormat.TraditionalOpenSSL,
    serialization.BestAvailableEncryption(b"secret"),
)


def pem_of(key: rsa.RSAPrivateKey | dsa.DSAPrivateKey | ed25519.Ed25519PrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def self_signed(key: rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey, name: str) -> bytes:
    """A certificate without any extension, as old recipes make them."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder(subject, subject, key.public_key(), 1, now, now + datetime.timedelta(days=99))
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return builder.sign(key, algorithm).public_bytes(serialization.Encoding.PEM)


class _Files(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        self.problems = Problems()

    def load(self, cert: bytes | str, key: bytes | str, now: datetime.datetime | None = None) -> Certificate | None:
        names = []
        for name, content in (("a.pem", cert), ("a.key", key)):
            if isinstance(content, bytes):
                (self.folder / name).write_bytes(content)
                content = name
            names.append(content)
        clock = {"now": lambda: now} if now is not None else {}
        return load_certificate(names[0], names[1], self.problems, self.folder, **clock)  # type: ignore[arg-type]

    def texts(self) -> list[str]:
        return [str(problem) + (f" [{problem.hint}]" if problem.hint else "") for problem in self.problems]


class GoodTests(_Files):
    def test_facts(self) -> None:
        loaded = self.load(LEAF.chain_pem, LEAF.key_pem)
        assert loaded is not None
        self.assertEqual(self.texts(), [])
        self.assertEqual(loaded.names, ("shop.example.com", "*.shop.example.com"))
        self.assertEqual(loaded.fingerprint, LEAF.cert.fingerprint(hashes.SHA256()).hex())
        self.assertEqual(len(loaded.chain), 2)
        self.assertEqual(loaded.not_after, LEAF.cert.not_valid_after_utc)
        self.assertIn("<Certificate a.pem for shop.example.com, *.shop.example.com until 2", repr(loaded))

    def test_text_instead_of_a_path(self) -> None:
        self.assertIsNotNone(self.load(LEAF.chain_pem.decode(), LEAF.key_pem.decode()))
        self.assertEqual(self.texts(), [])

    def test_key_with_parameters_in_front_and_words_around(self) -> None:
        parameters = b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
        self.assertIsNotNone(self.load(b"Bag Attributes\n" + LEAF.chain_pem, parameters + LEAF.key_pem))
        self.assertEqual(self.texts(), [])

    def test_one_file_with_everything(self) -> None:
        both = LEAF.chain_pem + LEAF.key_pem
        self.assertIsNotNone(self.load(both, both))

    def test_ed25519_and_common_name_only(self) -> None:
        key = ed25519.Ed25519PrivateKey.generate()
        loaded = self.load(self_signed(key, "Localhost"), pem_of(key))
        assert loaded is not None
        self.assertEqual(loaded.names, ("localhost",))
        expected = "cert: warning: the certificate of Localhost has no subjectAltName; current clients do not accept it"
        self.assertEqual(self.texts(), [expected])

    def test_expires_soon(self) -> None:
        soon = AUTHORITY.issue("soon.example.com", ends_days=3.5)
        self.assertIsNotNone(self.load(soon.chain_pem, soon.key_pem))
        (text,) = self.texts()
        self.assertRegex(text, r"^cert: warning: the certificate of soon.example.com expires on .* UTC, in 3 days$")


class BadTests(_Files):
    def bad(self, cert: bytes | str, key: bytes | str, *expected: str) -> None:
        self.problems = Problems()
        self.assertIsNone(self.load(cert, key), expected)
        self.assertEqual(len(self.texts()), len(expected), self.texts())
        for text, pattern in zip(self.texts(), expected, strict=True):
            self.assertRegex(text, pattern)

    def test_files(self) -> None:
        self.bad("no.pem", LEAF.key_pem, r"^cert: error: no.pem does not exist \[looked in /")
        self.bad("no.pem", "/no.key", "no.pem does not exist", r"^key: error: /no.key does not exist$")
        self.bad(".", LEAF.key_pem, "cert: error: . is not a file")
        self.bad(b"x" * 2_000_000, LEAF.key_pem, "a.pem is larger than 1 MiB; that is no PEM file")
        self.bad("a\x00b", LEAF.key_pem, "cannot be read|does not exist")
        self.bad("x" * 5000, LEAF.key_pem, "cannot be read|does not exist")

    def test_not_readable(self) -> None:
        if os.getuid() == 0:
            self.patch(Path, "read_bytes", lambda path: (_ for _ in ()).throw(PermissionError(13, "no")))
        else:
            (self.folder / "a.pem").write_bytes(b"")
            (self.folder / "a.pem").chmod(0)
        self.bad("a.pem" if os.getuid() else LEAF.cert_pem, "no.key", "a.pem may not be read by this user", "no.key")

    def test_certificate_file(self) -> None:
        der = LEAF.cert.public_bytes(serialization.Encoding.DER)
        for content, expected in (
            (b"", r"a.pem holds no certificate \(it is empty\)$"),
            (b"hello", r"a.pem holds no certificate$"),
            (der, r"a.pem holds no certificate \[this looks like DER"),
            (LEAF.key_pem, r'a.pem holds no certificate \(it holds: private key\) \[are "cert" and "key" swapped\?\]'),
            (LEAF.cert_pem[:300], r"a.pem is damaged: "),
            (LEAF.cert_pem.replace(b"M", b"N", 5), r"a.pem is damaged: "),
        ):
            self.bad(content, LEAF.key_pem, "^cert: error: " + expected)

    def test_key_file(self) -> None:
        der = LEAF.key.private_bytes(
            serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        weak = pem_of(rsa.generate_private_key(65537, 1024))
        for content, expected in (
            (b"", r"a.key holds no private key \(it is empty\)$"),
            (der, r"a.key holds no private key \[this looks like DER"),
            (LEAF.cert_pem, r'a.key holds no private key \(it holds: certificate\) \[are "cert" and "key" swapped\?\]'),
            (
                ENCRYPTED,
                r"a.key is encrypted with a passphrase \[edgegw asks for no passphrase; decrypt it with: openssl",
            ),
            (ENCRYPTED_OLD, r"a.key is encrypted with a passphrase"),
            (LEAF.key_pem[:80], r"a.key is damaged or of an unknown kind"),
            (pem_of(dsa.generate_private_key(1024)), r"a.key is a kind of key that TLS does not sign with"),
            (weak, r"a.key is an RSA key of 1024 bits; 2048 is the least that is safe"),
        ):
            self.bad(LEAF.chain_pem, content, "^key: error: " + expected)

    def test_pair(self) -> None:
        other = AUTHORITY.issue("other.example.com")
        expected = r"^key: error: this is not the key of the certificate \(the certificate of shop.example.com\)$"
        self.bad(LEAF.chain_pem, other.key_pem, expected)

    def test_order_of_the_chain(self) -> None:
        stranger = Authority("a stranger")
        self.bad(
            AUTHORITY.cert_pem + LEAF.cert_pem,
            LEAF.key_pem,
            r"^cert: error: the key belongs to certificate 2 of the file, not to the first \[put that one first",
        )
        self.bad(
            LEAF.cert_pem + stranger.cert_pem + AUTHORITY.cert_pem,
            LEAF.key_pem,
            r"^cert: error: certificate 2 of the file \(.*a stranger\) did not sign the one before it \[wanted there: CN=edgegw",
        )

    def test_dates(self) -> None:
        old, young = (
            AUTHORITY.issue("old.example.com", ends_days=-2),
            AUTHORITY.issue("young.example.com", starts_days=3),
        )
        self.bad(
            old.chain_pem, old.key_pem, r"^cert: error: the certificate of old.example.com expired on 20\d\d-.* UTC$"
        )
        self.bad(
            young.chain_pem, young.key_pem, r"^cert: error: the certificate of young.example.com is valid only from 20"
        )

    def test_an_expired_authority_in_the_chain(self) -> None:
        long_ago = Authority("long ago", now=datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=4000))
        leaf = long_ago.issue("fresh.example.com", starts_days=-1, ends_days=5000)
        self.bad(leaf.chain_pem, leaf.key_pem, r"^cert: error: the certificate .*long ago expired on 20")

    def test_time_is_injected(self) -> None:
        later = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=91)
        self.assertIsNone(self.load(LEAF.chain_pem, LEAF.key_pem, later))
        self.assertIn("expired on", self.texts()[0])

    def test_odd_wildcards_are_warned_about(self) -> None:
        odd = AUTHORITY.issue("a.example.com", "w*.example.com", "*.*.example.com")
        self.assertIsNotNone(self.load(odd.chain_pem, odd.key_pem))
        self.assertEqual([problem.severity for problem in self.problems], ["warning", "warning"])

    def test_every_problem_in_one_run(self) -> None:
        self.bad(b"", b"", "a.pem holds no certificate", "a.key holds no private key")


class AuthoritiesTests(_Files):
    def test_bundle(self) -> None:
        (self.folder / "ca.pem").write_bytes(AUTHORITY.cert_pem + Authority("second").cert_pem)
        self.assertEqual(len(load_authorities("ca.pem", self.problems, self.folder)), 2)
        self.assertEqual(self.texts(), [])

    def test_expired_ones_are_warned_about(self) -> None:
        later = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=4000)
        self.assertEqual(
            len(load_authorities(AUTHORITY.cert_pem.decode(), self.problems, self.folder, lambda: later)), 1
        )
        self.assertRegex(self.texts()[0], "^warning: .*edgegw test authority expired on .*; it verifies nothing$")

    def test_bad_ones(self) -> None:
        for value in ("no.pem", LEAF.key_pem.decode(), "-----BEGIN CERTIFICATE-----\nMII\n-----END CERTIFICATE-----\n"):
            self.problems = Problems()
            self.assertEqual(load_authorities(value, self.problems, self.folder), [])
            self.assertEqual(len(self.problems.errors), 1, value)


class CurveTests(_Files):
    def test_key_of_another_curve_still_pairs(self) -> None:
        key = ec.generate_private_key(ec.SECP384R1())
        self.assertIsNone(self.load(LEAF.chain_pem, pem_of(key)))  # type: ignore[arg-type]
        self.assertIn("this is not the key of the certificate", self.texts()[0])
