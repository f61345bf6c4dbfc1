"""The certificates of one listener: settings, loading with every problem reported, the choice by server name (SNI) and by ALPN."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal

from cryptography import x509
from OpenSSL import SSL
from OpenSSL.crypto import X509
from pydantic import Field

from edgegw.config.model import Settings
from edgegw.config.problems import Problems
from edgegw.net.addresses import canonical
from edgegw.net.certificates import Certificate, Now, load_authorities, load_certificate, paths_of, utc_now
from edgegw.net.peer_identity import PeerIdentity
from edgegw.net.tls_transport import (
    HTTP1,
    MinVersion,
    TlsConnection,
    TlsError,
    Verdict,
    new_context,
    printable,
    refused_certificate,
    trust,
    use_certificate,
)


class CertificateFiles(Settings):
    """One certificate with its key."""

    cert: str = Field(description="PEM file: the certificate, then what signed it.", examples=["certs/shop.pem"])
    key: str = Field(description="PEM file: the private key, without a passphrase.", examples=["certs/shop.key"])


class ClientCertificates(Settings):
    """Whether clients show certificates, and whose are believed."""

    mode: Literal["off", "request", "require"] = Field(
        default="off",
        description="off: not asked for. request: verified if sent. require: no connection without one.",
        examples=["require"],
    )
    ca: str | None = Field(
        default=None, description="PEM file with the authorities that sign client certificates.", examples=["ca.pem"]
    )


class ListenTls(Settings):
    """TLS of a listener."""

    cert: str | None = Field(
        default=None,
        description="PEM file: the certificate for clients that send no server name, then what signed it.",
        examples=["a.pem"],
    )
    key: str | None = Field(
        default=None, description="PEM file: the private key of `cert`, without a passphrase.", examples=["a.key"]
    )
    certs: tuple[CertificateFiles, ...] = Field(
        default=(),
        description="More certificates; each is chosen by the names in it.",
        examples=[[{"cert": "b.pem", "key": "b.key"}]],
    )
    client: ClientCertificates = Field(
        default=ClientCertificates(), description="Client certificates.", examples=[{"mode": "off"}]
    )
    min_version: MinVersion = Field(
        default="1.2", description="The oldest version of TLS that is spoken.", examples=["1.3"]
    )

    def paths(self, base_dir: Path) -> tuple[Path, ...]:
        """Every file it names: a change of one of them is a reason to load again."""
        more = (value for files in self.certs for value in (files.cert, files.key))
        return paths_of((self.cert, self.key, *more, self.client.ca), base_dir)


@dataclass(frozen=True, eq=False)
class Entry:
    """A certificate with the context that presents it."""

    certificate: Certificate
    context: SSL.Context


@dataclass(slots=True, eq=False)
class Handshake(Verdict):
    """What is known about one downstream connection.

    It holds on to the store: pyOpenSSL's callbacks live as long as the contexts they were set on, also after a reload.
    """

    store: CertificateStore | None = None
    entry: Entry | None = None
    server_name: str | None = None
    identity: PeerIdentity | None = None


class _NoSharedProtocol(SSL.Error):
    """Raised out of the ALPN callback, which makes OpenSSL send `no_application_protocol` (RFC 7301 3.2)."""

    def __init__(self) -> None:
        super().__init__([("", "", "no application protocol")])


class CertificateStore:
    """The certificates of one listener, immutable.

    Args:
        certificates: at least one; the first is for clients that send no server name.
        authorities, client_mode: client certificates.
        alpn: the application protocols, most wanted first.

    Raises:
        SSL.Error: OpenSSL does not accept a certificate.
    """

    def __init__(
        self,
        certificates: Sequence[Certificate],
        *,
        authorities: Sequence[x509.Certificate] = (),
        client_mode: Literal["off", "request", "require"] = "off",
        min_version: MinVersion = "1.2",
        alpn: Sequence[bytes] = HTTP1,
    ) -> None:
        self._alpn = tuple(alpn)
        self.client_mode = client_mode
        entries = []
        for certificate in certificates:
            context = new_context(SSL.TLS_SERVER_METHOD, min_version)
            use_certificate(context, certificate)
            context.set_alpn_select_callback(self._choose_protocol)
            _ask_for_certificates(context, client_mode, authorities)
            entries.append(Entry(certificate, context))
        self.entries = tuple(entries)
        self.default = self.entries[0]
        # Every connection starts with the first context, so only its callback is ever asked.
        self.default.context.set_tlsext_servername_callback(self._choose_entry)
        self._exact: dict[str, Entry] = {}
        self._wildcard: dict[str, Entry] = {}
        for entry in entries:
            for name in entry.certificate.names:
                table, key = (self._wildcard, name[2:]) if name.startswith("*.") else (self._exact, name)
                table.setdefault(key, entry)

    @classmethod
    def load(
        cls,
        settings: ListenTls,
        problems: Problems,
        base_dir: Path,
        *,
        alpn: Sequence[bytes] = HTTP1,
        now: Now = utc_now,
    ) -> CertificateStore | None:
        """Reads and checks everything a listener's `tls` names; None after reporting at least one error.

        Args:
            problems: a view whose root is the `tls` mapping (`problems.under("listen", 0, "tls")`).
            base_dir: the folder that relative paths start from.
        """
        errors_before = len(problems.errors)
        certificates = _load_certificates(settings, problems, base_dir, now)
        authorities = _load_client_authorities(settings.client, problems.under("client"), base_dir, now)
        if len(problems.errors) > errors_before:
            return None
        _warn_of_shadows(certificates, problems)
        client_mode, min_version = settings.client.mode, settings.min_version
        try:
            return cls(
                certificates, authorities=authorities, client_mode=client_mode, min_version=min_version, alpn=alpn
            )
        except SSL.Error as error:
            problems.add((), f"OpenSSL refuses these certificates: {error}")
            return None

    def select(self, name: str | None) -> Entry | None:
        """The entry for a server name, exact before wildcard; the default for none and for an address; None if unknown."""
        if name is None:
            return self.default
        name = name.lower().rstrip(".")
        head, _, parent = name.partition(".")
        found = self._exact.get(name) or (self._wildcard.get(parent) if head else None)
        return self.default if found is None and canonical(name.strip("[]")) is not None else found

    def connection(self) -> SSL.Connection:
        """A new server-side connection on memory BIOs that has chosen nothing yet."""
        connection = TlsConnection(self.default.context, Handshake(store=self, entry=self.default))
        connection.set_accept_state()
        return connection

    def _choose_entry(self, connection: SSL.Connection) -> None:
        raw, handshake = connection.get_servername(), handshake_of(connection)
        if raw is None or handshake is None:
            return
        name = raw.decode("ascii", "backslashreplace").lower().rstrip(".")
        handshake.server_name = name
        entry = self.select(name)
        if entry is None:
            handshake.entry = None
            handshake.error = TlsError("unknown_sni", f'no certificate for the server name "{printable(name)}"')
            _refuse_quietly(handshake.error)
        elif entry is not self.default:
            handshake.entry = entry
            connection.set_context(entry.context)

    def _choose_protocol(self, connection: SSL.Connection, offered: list[bytes]) -> bytes:
        for protocol in self._alpn:
            if protocol in offered:
                return protocol
        shown = ", ".join(printable(protocol.decode("latin-1")) for protocol in offered[:8])
        _note(connection, TlsError("no_shared_protocol", f"the client offers only {shown} (ALPN)"))
        raise _NoSharedProtocol

    def __repr__(self) -> str:
        return f"<CertificateStore {len(self.entries)} certificates, client certificates: {self.client_mode}>"


def handshake_of(connection: SSL.Connection | None) -> Handshake | None:
    """What is known about a downstream connection that a store made; None for any other."""
    verdict = connection.verdict if isinstance(connection, TlsConnection) else None
    return verdict if isinstance(verdict, Handshake) else None


def _note(connection: SSL.Connection, error: TlsError) -> None:
    handshake = handshake_of(connection)
    if handshake is not None:
        handshake.error = error


def _refuse_quietly(error: TlsError) -> None:
    """Raises in a server name callback so that the peer gets a fatal `unrecognized_name` and the log gets nothing.

    pyOpenSSL has no other way to send that alert than an exception, and hands every exception to `sys.excepthook`, which prints
    it. So the hook is taken for this one call: it puts itself back, and passes on whatever is not our error.
    """
    before = sys.excepthook

    def once(kind: type[BaseException], value: BaseException, traceback: TracebackType | None) -> None:
        sys.excepthook = before
        if value is not error:
            before(kind, value, traceback)

    sys.excepthook = once
    raise error


def _ask_for_certificates(context: SSL.Context, mode: str, authorities: Sequence[x509.Certificate]) -> None:
    if mode == "off":
        return
    trust(context, authorities)
    for authority in authorities:
        context.add_client_ca(authority)
    required = SSL.VERIFY_FAIL_IF_NO_PEER_CERT if mode == "require" else 0
    context.set_verify(SSL.VERIFY_PEER | required, _note_client_certificate)


def _note_client_certificate(connection: SSL.Connection, certificate: X509, number: int, depth: int, ok: int) -> bool:
    if not ok:
        _note(connection, refused_certificate("client", certificate.to_cryptography(), number))
    return bool(ok)


def _load_certificates(settings: ListenTls, problems: Problems, base_dir: Path, now: Now) -> list[Certificate]:
    pairs: list[tuple[CertificateFiles, Problems]] = []
    if settings.cert is not None and settings.key is not None:
        pairs.append((CertificateFiles(cert=settings.cert, key=settings.key), problems))
    elif settings.cert is not None:
        problems.add(("cert",), "a certificate needs its key", 'add "key: FILE"', absent=("key",))
    elif settings.key is not None:
        problems.add(("key",), "a key needs its certificate", 'add "cert: FILE"', absent=("cert",))
    elif not settings.certs:
        problems.add((), "TLS needs a certificate", 'add "cert: FILE" and "key: FILE"')
    pairs += [(files, problems.under("certs", number)) for number, files in enumerate(settings.certs)]
    loaded = [load_certificate(files.cert, files.key, view, base_dir, now=now) for files, view in pairs]
    return [certificate for certificate in loaded if certificate is not None]


def _load_client_authorities(
    settings: ClientCertificates, problems: Problems, base_dir: Path, now: Now
) -> list[x509.Certificate]:
    if settings.ca is not None:
        return load_authorities(settings.ca, problems.under("ca"), base_dir, now)
    if settings.mode != "off":
        words = f'"{settings.mode}" needs the authorities that sign client certificates'
        problems.add(("mode",), words, 'add "ca: FILE"', absent=("ca",))
    return []


def _warn_of_shadows(certificates: Sequence[Certificate], problems: Problems) -> None:
    first: dict[str, Certificate] = {}
    for number, certificate in enumerate(certificates):
        for name in certificate.names:
            other = first.setdefault(name, certificate)
            if other is not certificate:
                problems.warn((), f"{name} is in {other.label} and in {certificate.label}; the first is used")
        if number and not certificate.names:
            problems.warn((), f"{certificate.label} has no DNS names, so it is never chosen")
