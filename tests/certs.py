"""Certificates made on the spot: an authority, leaves for names and addresses, client certificates.

    authority = Authority()
    shop = authority.issue("shop.example.com", "*.shop.example.com")
    paths = shop.write(folder, "shop")            # shop.pem (leaf and authority), shop.key

EC P-256 keys, because making one costs well under a millisecond.
"""

import datetime
import ipaddress
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DAY = datetime.timedelta(days=1)
KEY_USES = (
    "digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
    "key_cert_sign", "crl_sign", "encipher_only", "decipher_only",
)  # fmt: skip


@dataclass(frozen=True)
class Paths:
    """Where a certificate chain and its key were written."""

    cert: Path
    key: Path


@dataclass(frozen=True)
class Leaf:
    """A certificate with its key. cert_pem, key_pem: its own PEM; chain_pem: the leaf, then its authority."""

    cert: x509.Certificate
    key: ec.EllipticCurvePrivateKey
    authority_pem: bytes

    @property
    def cert_pem(self) -> bytes:
        return self.cert.public_bytes(serialization.Encoding.PEM)

    @property
    def chain_pem(self) -> bytes:
        return self.cert_pem + self.authority_pem

    @property
    def key_pem(self) -> bytes:
        return key_pem(self.key)

    def write(self, folder: Path, name: str) -> Paths:
        """Write `NAME.pem` (the chain) and `NAME.key` into the folder."""
        paths = Paths(folder / f"{name}.pem", folder / f"{name}.key")
        paths.cert.write_bytes(self.chain_pem)
        paths.key.write_bytes(self.key_pem)
        paths.key.chmod(0o600)
        return paths


class Authority:
    """A certificate authority of its own: a fresh key, nothing shared with other instances.

    now: the moment that validity counts from (UTC, aware); by default the machine's clock.
    """

    def __init__(self, name: str = "edgegw test authority", now: datetime.datetime | None = None) -> None:
        self.now = now or datetime.datetime.now(datetime.UTC)
        self.key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = self._builder(subject, subject, self.key, -1, 3650)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        builder = builder.add_extension(_key_usage("digital_signature", "key_cert_sign", "crl_sign"), critical=True)
        self.cert = builder.sign(self.key, hashes.SHA256())

    @property
    def cert_pem(self) -> bytes:
        return self.cert.public_bytes(serialization.Encoding.PEM)

    def write(self, folder: Path, name: str = "ca") -> Path:
        """Write `NAME.pem`, the authority's certificate alone."""
        path = folder / f"{name}.pem"
        path.write_bytes(self.cert_pem)
        return path

    def issue(self, *names: str, client: bool = False, starts_days: float = -1, ends_days: float = 90) -> Leaf:
        """A leaf for DNS names and IP addresses, the first of which becomes the common name.

        client: for client authentication instead of a server's. starts_days, ends_days: validity relative to `now`; negative
        `ends_days` makes one that has expired.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:64])])
        use = ExtendedKeyUsageOID.CLIENT_AUTH if client else ExtendedKeyUsageOID.SERVER_AUTH
        builder = self._builder(subject, self.cert.subject, key, min(starts_days, ends_days - 1), ends_days)
        builder = builder.add_extension(
            x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False
        )
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(_key_usage("digital_signature", "key_agreement"), critical=True)
        builder = builder.add_extension(x509.ExtendedKeyUsage([use]), critical=False)
        return Leaf(builder.sign(self.key, hashes.SHA256()), key, self.cert_pem)

    def _builder(
        self, subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, starts: float, ends: float
    ) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(self.now + starts * DAY)
            .not_valid_after(self.now + ends * DAY)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
        )


def key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """The key as unencrypted PKCS#8 PEM."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _key_usage(*uses: str) -> x509.KeyUsage:
    return x509.KeyUsage(**{use: use in uses for use in KEY_USES})
