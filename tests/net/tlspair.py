"""Two TLS connections joined in memory: real handshakes without a socket."""

from __future__ import annotations

import datetime
from dataclasses import dataclass, field
from pathlib import Path

from OpenSSL import SSL
from twisted.internet.interfaces import IHandshakeListener, IOpenSSLClientConnectionCreator, ITransport
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import Clock
from twisted.protocols.tls import TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from twisted.test import iosim
from zope.interface import implementer

from edgegw.config.problems import Problems
from edgegw.net.certificates import Certificate, load_certificate
from edgegw.net.tls import CertificateStore, ServerTls, wrap_server
from edgegw.net.tls_transport import TlsFactory
from tests.certs import Authority, Leaf

AUTHORITY = Authority()
SHOP = AUTHORITY.issue("shop.example.com", "www.shop.example.com")
WILD = AUTHORITY.issue("*.apps.example.com", "one.apps.example.com")
ONE = AUTHORITY.issue("one.apps.example.com")


def certificate(leaf: Leaf) -> Certificate:
    """A leaf as the gateway loads it, at a time when it is valid."""

    def now() -> datetime.datetime:
        return leaf.cert.not_valid_before_utc + datetime.timedelta(hours=1)

    made = load_certificate(leaf.chain_pem.decode(), leaf.key_pem.decode(), Problems(), Path("/nonexistent"), now=now)
    assert made is not None
    return made


def store(*leaves: Leaf, **options: object) -> CertificateStore:
    """A store of three certificates (SHOP is the default), or of the given ones."""
    return CertificateStore([certificate(leaf) for leaf in leaves or (SHOP, ONE, WILD)], **options)  # type: ignore[arg-type]


@implementer(IHandshakeListener)
class Peer(Protocol):
    """Records what a protocol inside TLS sees."""

    transport: ITransport

    def __init__(self) -> None:
        self.received = b""
        self.shook_hands = False
        self.lost: BaseException | None = None

    def handshakeCompleted(self) -> None:
        self.shook_hands = True

    def dataReceived(self, data: bytes) -> None:
        self.received += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lost = reason.value


@implementer(IOpenSSLClientConnectionCreator)
@dataclass
class AnyClient:
    """A client that verifies nothing and can be made to do odd things."""

    sni: bytes | None = None
    alpn: list[bytes] = field(default_factory=list)
    max_version: int = 0
    ciphers: bytes = b""
    cert: object = None
    session: SSL.Session | None = None
    context: SSL.Context | None = None

    def clientConnectionForTLS(self, tlsProtocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        if self.context is None:
            self.context = SSL.Context(SSL.TLS_CLIENT_METHOD)
            if self.max_version:
                self.context.set_min_proto_version(0)
                self.context.set_max_proto_version(self.max_version)
            if self.ciphers:
                self.context.set_cipher_list(self.ciphers)
            if self.alpn:
                self.context.set_alpn_protos(self.alpn)
            if self.cert is not None:
                self.context.use_certificate(self.cert.cert)  # type: ignore[attr-defined]
                self.context.use_privatekey(self.cert.key)  # type: ignore[attr-defined]
        connection = SSL.Connection(self.context)
        if self.sni is not None:
            connection.set_tlsext_host_name(self.sni)
        if self.session is not None:
            connection.set_session(self.session)
        connection.set_connect_state()
        return connection


class Pair:
    """A downstream connection of `tls` and its client, joined; `pump()` moves bytes until nobody has any."""

    def __init__(self, tls: ServerTls, client: object) -> None:
        clock = Clock()
        self.server, self.client = Peer(), Peer()
        server = wrap_server(Factory.forProtocol(lambda: self.server), tls, clock).buildProtocol(None)
        outer = TlsFactory(client, True, Factory.forProtocol(lambda: self.client), clock).buildProtocol(None)
        self.server_io = iosim.FakeTransport(server, isServer=True)
        self.client_io = iosim.FakeTransport(outer, isServer=False)
        self._pump = iosim.connect(server, self.server_io, outer, self.client_io, greet=False)
        self.server_tls, self.client_tls = server, outer
        self.pump()

    def pump(self) -> None:
        self._pump.flush()
