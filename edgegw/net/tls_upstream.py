"""TLS towards upstreams: who the upstream must be, what we show it, and a clear word when it is somebody else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from OpenSSL import SSL
from OpenSSL.crypto import X509
from pydantic import Field
from service_identity.cryptography import extract_patterns
from service_identity.exceptions import CertificateError, VerificationError
from service_identity.hazmat import DNS_ID, IPAddress_ID, verify_service_identity
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator, IProtocolFactory, IReactorTime
from twisted.protocols.tls import TLSMemoryBIOProtocol
from zope.interface import implementer

from edgegw.config.model import Settings
from edgegw.config.problems import Problems
from edgegw.net.addresses import canonical
from edgegw.net.certificates import (
    Certificate,
    Now,
    certificate_names,
    load_authorities,
    load_certificate,
    paths_of,
    utc_now,
)
from edgegw.net.tls_transport import (
    HTTP1,
    TlsConnection,
    TlsError,
    TlsFactory,
    Verdict,
    handle,
    new_context,
    printable,
    refused_certificate,
    trust,
    use_certificate,
)

_NAMES_SHOWN = 4


class UpstreamTlsSettings(Settings):
    """TLS towards the endpoints of an upstream whose URLs are https."""

    server_name: str | None = Field(
        default=None,
        description="The name asked for and verified; without it the host of the endpoint's URL.",
        examples=["orders.internal"],
    )
    ca: str | None = Field(
        default=None,
        description="PEM file with the authorities to trust; without it those of the system.",
        examples=["ca.pem"],
    )
    cert: str | None = Field(
        default=None, description="PEM file: the certificate to show, then what signed it.", examples=["c.pem"]
    )
    key: str | None = Field(
        default=None, description="PEM file: the private key of `cert`, without a passphrase.", examples=["c.key"]
    )
    verify: bool = Field(default=True, description="Whether the upstream's certificate must be right.", examples=[True])

    def paths(self, base_dir: Path) -> tuple[Path, ...]:
        """Every file it names: a change of one of them is a reason to load again."""
        return paths_of((self.ca, self.cert, self.key), base_dir)


@dataclass(slots=True, eq=False)
class _Handshake(Verdict):
    """What is known about one connection to an upstream: who it must turn out to be."""

    expected: UpstreamName | None = None


class UpstreamTls:
    """TLS of one upstream: one context, built once, shared by all its connections.

    Args:
        server_name: verified instead of the host of the endpoint's URL.
        authorities: what is trusted; None for the authorities of the system.
        certificate: what we show if asked.
        verify: False accepts any certificate.

    Raises:
        SSL.Error: OpenSSL does not accept the certificate.
    """

    def __init__(
        self,
        *,
        server_name: str | None = None,
        authorities: Sequence[x509.Certificate] | None = None,
        certificate: Certificate | None = None,
        verify: bool = True,
    ) -> None:
        self._server_name = server_name
        self._verify = verify
        self._names: dict[tuple[str, tuple[bytes, ...]], UpstreamName] = {}
        self.context = new_context(SSL.TLS_CLIENT_METHOD)
        if certificate is not None:
            use_certificate(self.context, certificate)
        if authorities is None:
            self.context.set_default_verify_paths()
        else:
            trust(self.context, authorities)
        if verify:
            self.context.set_verify(SSL.VERIFY_PEER, _check_certificate)

    @classmethod
    def load(
        cls,
        settings: UpstreamTlsSettings,
        problems: Problems,
        base_dir: Path,
        *,
        now: Now = utc_now,
    ) -> UpstreamTls | None:
        """Reads and checks everything an upstream's `tls` names; None after reporting at least one error.

        Args:
            problems: a view whose root is the `tls` mapping.
            base_dir: the folder that relative paths start from.
        """
        errors_before = len(problems.errors)
        authorities = None
        if settings.ca is not None:
            authorities = load_authorities(settings.ca, problems.under("ca"), base_dir, now)
        certificate = _load_own(settings, problems, base_dir, now)
        _check_settings(settings, problems)
        if len(problems.errors) > errors_before:
            return None
        name, verify = settings.server_name, settings.verify
        try:
            return cls(server_name=name, authorities=authorities, certificate=certificate, verify=verify)
        except SSL.Error as error:
            problems.add((), f"OpenSSL refuses these certificates: {error}")
            return None

    def creator(self, host: str, alpn: tuple[bytes, ...] = HTTP1) -> UpstreamName:
        """What makes the TLS side of connections to one host (a name, or an address with or without brackets).

        Args:
            alpn: the application protocols it may choose from, most wanted first.

        Raises:
            ValueError: the host is neither.
        """
        wanted = self._server_name or host
        found = self._names.get((wanted, alpn))
        if found is None:
            # Bounded by the endpoints there are; discovery may bring many names over the years.
            if len(self._names) >= 1024:
                self._names.clear()
            found = self._names[wanted, alpn] = UpstreamName(self.context, wanted, alpn)
        return found

    def __repr__(self) -> str:
        return f"<UpstreamTls {self._server_name or 'by host'}{'' if self._verify else ', not verified'}>"


@implementer(IOpenSSLClientConnectionCreator)
class UpstreamName:
    """Makes connections that must turn out to be one named upstream.

    Args:
        context: of the UpstreamTls.
        name: the DNS name or address that the certificate must be for. alpn: the application protocols offered.

    Raises:
        ValueError: the name is neither.
    """

    def __init__(self, context: SSL.Context, name: str, alpn: Sequence[bytes] = HTTP1) -> None:
        address = canonical(name.strip("[]"))
        self.name = address or name.rstrip(".").lower()
        self._context = context
        self._alpn = list(alpn)
        self.identity = IPAddress_ID(address) if address else DNS_ID(self.name)
        # An address is never sent as server name (RFC 6066 section 3).
        self._sent = None if address else _ascii(self.name)

    def clientConnectionForTLS(self, tlsProtocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        connection = TlsConnection(self._context, _Handshake(expected=self))
        if self._sent is not None:
            connection.set_tlsext_host_name(self._sent)
        if self._alpn:
            connection.set_alpn_protos(self._alpn)
        connection.set_connect_state()
        return connection

    def __repr__(self) -> str:
        return f"<UpstreamName {self.name}>"


def wrap_client(
    factory: IProtocolFactory, tls: UpstreamTls, host: str, clock: IReactorTime, alpn: tuple[bytes, ...] = HTTP1
) -> TlsFactory:
    """A client factory whose connections speak TLS with `host`.

    The endpoint's `connect` fires before the handshake is done: a protocol that provides IHandshakeListener is told when it is.
    A wrong certificate reaches its `connectionLost` as a TlsError; with TLS 1.3 a refusal of *our* certificate comes only after
    the handshake, as TlsError too.
    """
    return TlsFactory(tls.creator(host, alpn), True, factory, clock)


def agreed(transport: object, alpn: Sequence[bytes]) -> bytes:
    """The application protocol that a handshake ended in: one of those offered. A peer that says nothing speaks HTTP/1.1.

    Raises:
        TlsError: `no_shared_protocol`.
    """
    connection = handle(transport)
    said = connection.get_alpn_proto_negotiated() if connection is not None else b""
    chosen = said or HTTP1[0]
    if chosen not in alpn:
        wanted = " or ".join(each.decode("ascii") for each in alpn)
        words = f"chose {printable(said.decode('latin-1'))}" if said else "chose no application protocol"
        raise TlsError("no_shared_protocol", f"we offered {wanted}, the endpoint {words} (ALPN)")
    return chosen


def _check_certificate(connection: SSL.Connection, certificate: X509, number: int, depth: int, ok: int) -> bool:
    """OpenSSL's verify callback, once per certificate of the chain, the leaf (depth 0) last."""
    handshake = connection.verdict if isinstance(connection, TlsConnection) else None
    if not isinstance(handshake, _Handshake):
        return False
    if not ok:
        handshake.error = refused_certificate("upstream", certificate.to_cryptography(), number)
        return False
    if depth == 0 and handshake.expected is not None:
        handshake.error = _name_error(certificate.to_cryptography(), handshake.expected)
    return handshake.error is None


def _name_error(leaf: x509.Certificate, expected: UpstreamName) -> TlsError | None:
    try:
        verify_service_identity(extract_patterns(leaf), [expected.identity], [])
    except (VerificationError, CertificateError):
        names = certificate_names(leaf)
        shown = ", ".join(names[:_NAMES_SHOWN]) + (" ..." if len(names) > _NAMES_SHOWN else "")
        detail = f"the certificate is for {printable(shown) or 'no name at all'}, not for {expected.name}"
        return TlsError("upstream_certificate_wrong_name", detail)
    except ValueError as error:
        return TlsError("upstream_certificate_invalid", f"the certificate's names cannot be read: {error}")
    return None


def _ascii(name: str) -> bytes:
    try:
        return name.encode("ascii")
    except UnicodeEncodeError:
        return name.encode("idna")


def _load_own(settings: UpstreamTlsSettings, problems: Problems, base_dir: Path, now: Now) -> Certificate | None:
    if settings.cert is not None and settings.key is not None:
        return load_certificate(settings.cert, settings.key, problems, base_dir, names_needed=False, now=now)
    if settings.cert is not None:
        problems.add(("cert",), "a certificate needs its key", 'add "key: FILE"', absent=("key",))
    if settings.key is not None:
        problems.add(("key",), "a key needs its certificate", 'add "cert: FILE"', absent=("cert",))
    return None


def _check_settings(settings: UpstreamTlsSettings, problems: Problems) -> None:
    if not settings.verify:
        problems.warn(
            ("verify",), "anybody who can answer at an endpoint's address can read and change what is sent to it"
        )
    if settings.server_name is None:
        return
    try:
        UpstreamName(new_context(SSL.TLS_CLIENT_METHOD), settings.server_name)
    except (ValueError, UnicodeError):
        problems.add(("server_name",), f'"{settings.server_name}" is neither a host name nor an address')
