"""TLS: the front of what the other `tls_*` and `certificate*` files do, and the wrapping of listeners.

`CertificateStore.load` checks everything before anything listens. A `ServerTls` holds the store that new handshakes use; swapping
it is one assignment, and connections that are there keep the contexts they were made with. Towards upstreams: `UpstreamTls`.
"""

from __future__ import annotations

from typing import NamedTuple

from OpenSSL import SSL
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator, IProtocolFactory, IReactorTime
from twisted.protocols.tls import TLSMemoryBIOProtocol
from zope.interface import implementer

from edgegw.net.certificate_store import CertificateFiles, CertificateStore, ClientCertificates, ListenTls, handshake_of
from edgegw.net.peer_identity import PeerIdentity, identity_of
from edgegw.net.tls_transport import HTTP1, TlsError, TlsFactory, TlsTransport, handle
from edgegw.net.tls_upstream import UpstreamTls, UpstreamTlsSettings, agreed, wrap_client

__all__ = [
    "ListenTls",
    "CertificateFiles",
    "ClientCertificates",
    "CertificateStore",
    "ServerTls",
    "wrap_server",
    "PeerIdentity",
    "peer_identity",
    "selected_server_name",
    "TlsFacts",
    "facts_of",
    "same_certificate",
    "misdirected",
    "UpstreamTlsSettings",
    "UpstreamTls",
    "wrap_client",
    "agreed",
    "TlsError",
    "TlsTransport",
    "HTTP1",
]


@implementer(IOpenSSLServerConnectionCreator)
class ServerTls:
    """Makes the TLS side of accepted connections. `store` may be replaced at any time; new handshakes use the new one.

    Attributes:
        store: the certificates that new handshakes use.
    """

    def __init__(self, store: CertificateStore) -> None:
        self.store = store

    def serverConnectionForTLS(self, tlsProtocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        return self.store.connection()

    def __repr__(self) -> str:
        return f"<ServerTls {self.store!r}>"


def wrap_server(factory: IProtocolFactory, tls: ServerTls, clock: IReactorTime) -> TlsFactory:
    """A factory whose connections speak TLS and carry `factory`'s protocols inside.

    A protocol that provides IHandshakeListener is told when the handshake is done. Until then its owner runs the deadline (10 s)
    and ends it with `transport.abortConnection()`. A handshake that failed reaches `connectionLost` as a TlsError.
    """
    return TlsFactory(tls, False, factory, clock)


def peer_identity(transport: object) -> PeerIdentity | None:
    """The client's certificate; None without TLS, without a certificate, and where none was asked for (so none verified)."""
    connection = handle(transport)
    facts = handshake_of(connection)
    if connection is None or facts is None or facts.store is None or facts.store.client_mode == "off":
        return None
    if facts.identity is None:
        certificate = connection.get_peer_certificate(as_cryptography=True)
        facts.identity = identity_of(certificate) if certificate is not None else None
    return facts.identity


def selected_server_name(transport: object) -> str | None:
    """The server name (SNI) the client sent, lower case; None without TLS and if it sent none."""
    facts = handshake_of(handle(transport))
    return facts.server_name if facts is not None else None


def same_certificate(store: CertificateStore, sni: str | None, host: str) -> bool:
    """Whether Host leads to the certificate that the server name led to; if not, the answer is 421 (config.md).

    A host that no certificate is for would select no other one, so it is no 421: the router decides about it.

    Args:
        host: the name in Host or :authority, without the port.
    """
    wanted = store.select(host)
    return wanted is None or wanted is store.select(sni)


def misdirected(transport: object, host: str) -> bool:
    """Whether a request for `host` belongs on another connection than this one: 421 (RFC 9110 15.5.20)."""
    facts = handshake_of(handle(transport))
    if facts is None or facts.store is None or len(facts.store.entries) == 1:
        return False
    wanted = facts.store.select(host)
    return wanted is not None and wanted is not facts.entry


class TlsFacts(NamedTuple):
    """What a finished handshake told. server_name: SNI or None. identity: the verified client certificate or None."""

    version: str
    cipher: str
    server_name: str | None
    identity: PeerIdentity | None


def facts_of(transport: object) -> TlsFacts | None:
    """What the handshake of this transport told; None without TLS."""
    connection = handle(transport)
    if connection is None:
        return None
    return TlsFacts(
        connection.get_protocol_version_name(),
        connection.get_cipher_name() or "",
        selected_server_name(transport),
        peer_identity(transport),
    )
