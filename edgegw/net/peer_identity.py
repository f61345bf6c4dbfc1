"""Who the client is, by the certificate it showed: what headers, access rules and logs may say about it."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from edgegw.net.certificates import fingerprint
from edgegw.net.tls_transport import printable


@dataclass(frozen=True)
class PeerIdentity:
    """A verified client certificate. Every text is printable ASCII, fit for a header.

    Attributes:
        subject, issuer: distinguished names (RFC 4514).
        serial: hex.
        dns_names, uris, emails: of subjectAltName.
        fingerprint: SHA-256 of the DER form, hex.
        pem: the certificate as PEM, URL-encoded (as nginx's $ssl_client_escaped_cert).
    """

    subject: str
    issuer: str
    serial: str
    dns_names: tuple[str, ...]
    uris: tuple[str, ...]
    emails: tuple[str, ...]
    fingerprint: str
    pem: str


def identity_of(certificate: x509.Certificate) -> PeerIdentity:
    """The facts of a certificate that was verified."""

    def alternative(kind: type[x509.DNSName | x509.UniformResourceIdentifier | x509.RFC822Name]) -> tuple[str, ...]:
        try:
            names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        except (x509.ExtensionNotFound, ValueError):
            return ()
        return tuple(printable(str(name)) for name in names.get_values_for_type(kind))

    return PeerIdentity(
        subject=printable(certificate.subject.rfc4514_string()),
        issuer=printable(certificate.issuer.rfc4514_string()),
        serial=f"{certificate.serial_number:x}",
        dns_names=alternative(x509.DNSName),
        uris=alternative(x509.UniformResourceIdentifier),
        emails=alternative(x509.RFC822Name),
        fingerprint=fingerprint(certificate),
        pem=quote(certificate.public_bytes(Encoding.PEM).decode(), safe=""),
    )
