"""PEM files -> certificates that are fit for use. Every defect becomes a problem with a place and a hint, never an exception.

A value is a path (relative to the configuration's folder) or the PEM text itself, as `${ENV}` or `file:` may have put it there.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from cryptography.x509.oid import ExtensionOID, NameOID

from edgegw.config.problems import Problems
from edgegw.net.addresses import canonical

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey

_FILE_MAX = 1024 * 1024
_WARN_DAYS = 14
_RSA_BITS_MIN = 2048
_LABEL = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----")
_KEY_TYPES = (rsa.RSAPrivateKey, ec.EllipticCurvePrivateKey, ed25519.Ed25519PrivateKey, ed448.Ed448PrivateKey)


def utc_now() -> datetime.datetime:
    """The wall clock, the default of everything here that asks whether a certificate is in date."""
    return datetime.datetime.now(datetime.UTC)


Now = Callable[[], datetime.datetime]


@dataclass(frozen=True, eq=False)
class Certificate:
    """One certificate with its chain and key, checked.

    Attributes:
        chain: the leaf first, then what leads towards the authority.
        names: the DNS names of the leaf, lower case; wildcards as `*.example.com`.
        label: the path as configured, for people.
        fingerprint: SHA-256 of the leaf's DER, hex.
    """

    chain: tuple[x509.Certificate, ...]
    key: PrivateKey
    names: tuple[str, ...]
    label: str
    fingerprint: str

    @property
    def not_after(self) -> datetime.datetime:
        """The moment when the first certificate of the chain expires, UTC."""
        return min(certificate.not_valid_after_utc for certificate in self.chain)

    def __repr__(self) -> str:
        return f"<Certificate {self.label} for {', '.join(self.names) or 'no names'} until {self.not_after:%Y-%m-%d}>"


def load_certificate(
    cert: str, key: str, problems: Problems, base_dir: Path, *, names_needed: bool = True, now: Now = utc_now
) -> Certificate | None:
    """Reads and checks one pair.

    Args:
        cert, key: path or PEM text; `cert` holds the chain, leaf first.
        problems: a view whose keys `cert` and `key` are the two values.
        names_needed: the certificate is chosen by server name, so it must have some (not so for client certificates).

    Returns: the certificate, or None after reporting at least one error.
    """
    chain = load_chain(cert, problems.under("cert"), base_dir)
    private_key = _load_key(key, problems.under("key"), base_dir)
    if not chain or private_key is None:
        return None
    errors_before = len(problems.errors)
    if _check_pair(chain, private_key, problems):
        _check_chain(chain, problems)
    _check_dates(chain, problems.under("cert"), now())
    if len(problems.errors) > errors_before:
        return None
    names = _names(chain[0], problems.under("cert")) if names_needed else ()
    return Certificate(tuple(chain), private_key, names, _label(cert), fingerprint(chain[0]))


def load_authorities(ca: str, problems: Problems, base_dir: Path, now: Now = utc_now) -> list[x509.Certificate]:
    """Reads a bundle of trusted certificates; empty after reporting an error. Expired ones are warned about."""
    authorities = load_chain(ca, problems, base_dir)
    for authority in authorities:
        if authority.not_valid_after_utc < now():
            problems.warn(
                (), f"{_who(authority)} expired on {authority.not_valid_after_utc:%Y-%m-%d}; it verifies nothing"
            )
    return authorities


def load_chain(value: str, problems: Problems, base_dir: Path) -> list[x509.Certificate]:
    """The certificates in a file, in its order; empty after reporting an error at the view's own place."""
    pem = _read(value, problems, base_dir)
    if pem is None:
        return []
    labels = [label.decode() for label in _LABEL.findall(pem)]
    if "CERTIFICATE" not in labels:
        problems.add((), f"{_label(value)} holds no certificate{_instead(pem, labels)}", _hint(pem, labels))
        return []
    try:
        return list(x509.load_pem_x509_certificates(pem))
    except ValueError as error:
        problems.add((), f"{_label(value)} is damaged: {error}")
        return []


def paths_of(values: Iterable[str | None], base_dir: Path) -> tuple[Path, ...]:
    """The files among configured values, for who watches them; PEM text and what is not configured are left out."""
    files = (value for value in values if value is not None and not _is_pem(value))
    return tuple(dict.fromkeys(base_dir / file for file in files))


def fingerprint(certificate: x509.Certificate) -> str:
    """SHA-256 of the DER form, lower-case hex."""
    return certificate.fingerprint(hashes.SHA256()).hex()


def certificate_names(certificate: x509.Certificate) -> tuple[str, ...]:
    """The DNS names and IP addresses in subjectAltName, DNS names in lower case."""
    try:
        names = certificate.extensions.get_extension_for_oid(ExtensionOID.SUBJECT_ALTERNATIVE_NAME).value
    except (x509.ExtensionNotFound, ValueError):
        return ()
    if not isinstance(names, x509.SubjectAlternativeName):
        return ()
    dns = [name.lower().rstrip(".") for name in names.get_values_for_type(x509.DNSName)]
    return (*dict.fromkeys(dns), *(str(ip) for ip in names.get_values_for_type(x509.IPAddress)))


def _read(value: str, problems: Problems, base_dir: Path) -> bytes | None:
    if _is_pem(value):
        return value.encode()
    path = base_dir / value
    try:
        if not path.exists():
            problems.add((), f"{value} does not exist", None if Path(value).is_absolute() else f"looked in {base_dir}")
        elif not path.is_file():
            problems.add((), f"{value} is not a file")
        elif path.stat().st_size > _FILE_MAX:
            problems.add((), f"{value} is larger than 1 MiB; that is no PEM file")
        else:
            return path.read_bytes()
    except PermissionError:
        problems.add((), f"{value} may not be read by this user")
    except (OSError, ValueError) as error:
        problems.add((), f"{value} cannot be read: {error}")
    return None


def _load_key(value: str, problems: Problems, base_dir: Path) -> PrivateKey | None:
    pem = _read(value, problems, base_dir)
    if pem is None:
        return None
    labels = [label.decode() for label in _LABEL.findall(pem)]
    if not any(label.endswith("PRIVATE KEY") for label in labels):
        problems.add((), f"{_label(value)} holds no private key{_instead(pem, labels)}", _hint(pem, labels))
        return None
    if "ENCRYPTED PRIVATE KEY" in labels or b"Proc-Type: 4,ENCRYPTED" in pem:
        hint = "edgegw asks for no passphrase; decrypt it with: openssl pkey -in OLD -out NEW"
        problems.add((), f"{_label(value)} is encrypted with a passphrase", hint)
        return None
    # Files made by `openssl ecparam -genkey` open with the parameters, and some hold the chain too.
    begin = next(match.start() for match in _LABEL.finditer(pem) if match.group(1).endswith(b"PRIVATE KEY"))
    try:
        key = load_pem_private_key(pem[begin:], password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        problems.add((), f"{_label(value)} is damaged or of an unknown kind: {error}")
        return None
    if not isinstance(key, _KEY_TYPES):
        problems.add((), f"{_label(value)} is a kind of key that TLS does not sign with; use ECDSA P-256 or RSA")
        return None
    if isinstance(key, rsa.RSAPrivateKey) and key.key_size < _RSA_BITS_MIN:
        problems.add(
            (), f"{_label(value)} is an RSA key of {key.key_size} bits; {_RSA_BITS_MIN} is the least that is safe"
        )
        return None
    return key


def _instead(pem: bytes, labels: Sequence[str]) -> str:
    if not pem.strip():
        return " (it is empty)"
    return f" (it holds: {', '.join(dict.fromkeys(labels)).lower()})" if labels else ""


def _hint(pem: bytes, labels: Sequence[str]) -> str | None:
    if pem.startswith(b"\x30"):
        return (
            "this looks like DER; convert it with: openssl x509 -inform der -in OLD -out NEW (openssl pkey for a key)"
        )
    swapped = any(label == "CERTIFICATE" or label.endswith("PRIVATE KEY") for label in labels)
    return 'are "cert" and "key" swapped?' if swapped else None


def _label(value: str) -> str:
    return "the given PEM text" if _is_pem(value) else value


def _is_pem(value: str) -> bool:
    return value.lstrip().startswith("-----BEGIN")


def _public(key: object) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)  # type: ignore[attr-defined, no-any-return]


def _check_pair(chain: Sequence[x509.Certificate], key: PrivateKey, problems: Problems) -> bool:
    wanted = _public(key.public_key())
    for number, certificate in enumerate(chain, start=1):
        if _public(certificate.public_key()) != wanted:
            continue
        if number > 1:
            hint = "put that one first, then what signed it"
            problems.add(("cert",), f"the key belongs to certificate {number} of the file, not to the first", hint)
        return number == 1
    problems.add(("key",), f"this is not the key of the certificate ({_who(chain[0])})")
    return False


def _check_chain(chain: Sequence[x509.Certificate], problems: Problems) -> None:
    for number, (certificate, signer) in enumerate(pairwise(chain), start=2):
        if certificate.issuer != signer.subject:
            message = f"certificate {number} of the file ({_who(signer)}) did not sign the one before it"
            problems.add(
                ("cert",), message, f"wanted there: {_rdn(certificate.issuer)}; the order is leaf, then its signer"
            )
            return


def _check_dates(chain: Sequence[x509.Certificate], problems: Problems, now: datetime.datetime) -> None:
    for certificate in chain:
        ends = certificate.not_valid_after_utc
        if ends < now:
            problems.add((), f"{_who(certificate)} expired on {ends:%Y-%m-%d %H:%M} UTC")
        elif certificate.not_valid_before_utc > now:
            problems.add(
                (), f"{_who(certificate)} is valid only from {certificate.not_valid_before_utc:%Y-%m-%d %H:%M} UTC"
            )
        elif ends < now + datetime.timedelta(days=_WARN_DAYS):
            problems.warn((), f"{_who(certificate)} expires on {ends:%Y-%m-%d %H:%M} UTC, in {(ends - now).days} days")


def _names(leaf: x509.Certificate, problems: Problems) -> tuple[str, ...]:
    """DNS names of the leaf; one that has no subjectAltName at all is known by its common name, and warned about."""
    found = certificate_names(leaf)
    names = tuple(name for name in found if canonical(name) is None)
    if not found:
        names = tuple(text.lower() for text in _common_names(leaf) if canonical(text) is None and " " not in text)
        problems.warn((), f"{_who(leaf)} has no subjectAltName; current clients do not accept it")
    for name in names:
        if "*" in name and (not name.startswith("*.") or "*" in name[1:]):
            problems.warn((), f'the name "{name}" matches nothing: "*" stands for exactly one whole label, at the left')
    return names


def _common_names(certificate: x509.Certificate) -> list[str]:
    return [str(part.value) for part in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]


def _rdn(name: x509.Name) -> str:
    return name.rfc4514_string() or "an empty name"


def _who(certificate: x509.Certificate) -> str:
    names = certificate_names(certificate) or _common_names(certificate)
    return f"the certificate of {names[0]}" if names else f"the certificate {_rdn(certificate.subject)}"
