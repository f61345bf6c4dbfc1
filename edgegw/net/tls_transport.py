"""What both sides of TLS share: contexts, the transport, and why a handshake failed.

pyOpenSSL on memory BIOs over whatever transport carries the bytes. Session tickets and resumption are off: pyOpenSSL has no call
for ticket keys, so they could be neither shared between workers nor rotated, and a full P-256 handshake is about a millisecond.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from cryptography import x509
from OpenSSL import SSL
from OpenSSL.crypto import X509, X509StoreFlags
from twisted.internet.protocol import connectionDone
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol
from twisted.python.failure import Failure

from edgegw.net.certificates import Certificate

CIPHERS = b"ECDHE+AESGCM:ECDHE+CHACHA20"
"""TLS 1.2: forward secrecy and authenticated encryption only. TLS 1.3 has nothing else."""

HTTP1 = (b"http/1.1",)
"""What ALPN offers until HTTP/2 is there."""

MinVersion = Literal["1.2", "1.3"]
_VERSIONS = {"1.2": SSL.TLS1_2_VERSION, "1.3": SSL.TLS1_3_VERSION}
_OPTIONS = SSL.OP_NO_COMPRESSION | SSL.OP_NO_TICKET | SSL.OP_NO_RENEGOTIATION | SSL.OP_CIPHER_SERVER_PREFERENCE


class TlsError(Exception):
    """TLS ended a connection.

    Args:
        reason: a short stable name in snake_case, for metrics and logs.
        detail: one sentence for operators.
        queue: OpenSSL's own words, where it had some.
    """

    def __init__(self, reason: str, detail: str, queue: str = "") -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail
        self.queue = queue

    def __str__(self) -> str:
        return f"{self.detail} ({self.queue})" if self.queue else self.detail


@dataclass(slots=True, eq=False)
class Verdict:
    """What our callbacks found out during one handshake."""

    error: TlsError | None = None


class TlsConnection(SSL.Connection):
    """A connection that carries what is known of its handshake. (Its app data are Twisted's: it puts the transport there.)"""

    def __init__(self, context: SSL.Context, verdict: Verdict) -> None:
        super().__init__(context)
        self.verdict = verdict


def new_context(method: int, min_version: MinVersion = "1.2") -> SSL.Context:
    """A context with everything that is the same on both sides."""
    context = SSL.Context(method)
    context.set_min_proto_version(_VERSIONS[min_version])
    context.set_cipher_list(CIPHERS)
    context.set_options(_OPTIONS)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    # An idle connection needs 31 instead of 55 KB.
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)
    return context


def use_certificate(context: SSL.Context, certificate: Certificate) -> None:
    """Presents a certificate. Raises SSL.Error if OpenSSL does not like it."""
    context.use_certificate(certificate.chain[0])
    for signer in certificate.chain[1:]:
        context.add_extra_chain_cert(signer)
    context.use_privatekey(certificate.key)
    context.check_privatekey()


def trust(context: SSL.Context, authorities: Iterable[x509.Certificate]) -> None:
    """Trusts exactly these, also where one of them is not a root."""
    store = context.get_cert_store()
    if store is None:
        raise SSL.Error([("", "", "the context has no certificate store")])
    for authority in authorities:
        store.add_cert(X509.from_cryptography(authority))
    store.set_flags(X509StoreFlags.PARTIAL_CHAIN)


class TlsTransport(TLSMemoryBIOProtocol):
    """The TLS side of a connection: what a protocol sees as its transport.

    Against the stock one: writes are not held back for a reactor turn (our codecs join theirs already); after our close alert the
    connection closes without waiting for a peer's, which a hostile one would never send (RFC 8446 6.1 allows it); and a connection
    that TLS ended is lost with a TlsError instead of OpenSSL's error queue.
    """

    # The base class is named instead of super(), because only so mypy knows that the untyped method is Twisted's.

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        own, connection = self._reason, handle(self)
        if own is not None and connection is not None:
            self._reason = Failure(_translated(own.value, connection))
        TLSMemoryBIOProtocol.connectionLost(self, reason)

    def loseConnection(self) -> None:
        TLSMemoryBIOProtocol.loseConnection(self)
        self._close_if_said()

    def unregisterProducer(self) -> None:
        TLSMemoryBIOProtocol.unregisterProducer(self)
        if self.disconnecting:
            self._close_if_said()

    def _tlsShutdownFinished(self, reason: Failure | None) -> None:
        # TLS is over and nothing more can be written: a producer that is still registered would only hold up the close below.
        if self._producer is not None and self.transport is not None:
            self._producer = None
            self.transport.unregisterProducer()  # type: ignore[attr-defined]
        TLSMemoryBIOProtocol._tlsShutdownFinished(self, reason)

    def _close_if_said(self) -> None:
        connection = handle(self)
        if connection is not None and connection.get_shutdown() & SSL.SENT_SHUTDOWN and self.transport is not None:
            self.transport.loseConnection()


class TlsFactory(TLSMemoryBIOFactory):
    """Puts a TlsTransport under each protocol of another factory."""

    protocol = TlsTransport


def handle(transport: object) -> SSL.Connection | None:
    """The OpenSSL connection under a transport; None for one without TLS and for one that is closed."""
    if not isinstance(transport, TLSMemoryBIOProtocol):
        return None
    connection = getattr(transport, "_tlsConnection", None)  # getHandle() raises before makeConnection.
    return connection if isinstance(connection, SSL.Connection) else None


_WORDS: tuple[tuple[str, str, str], ...] = (
    ("peer did not return a certificate", "client_certificate_missing", "the client sent no certificate"),
    ("no shared cipher", "no_shared_cipher", "the peer offers none of our cipher suites"),
    ("no suitable signature algorithm", "no_shared_cipher", "the peer accepts no signature that our key can make"),
    ("no suitable key share", "no_shared_group", "the peer offers none of our key exchange groups"),
    ("no shared group", "no_shared_group", "the peer offers none of our key exchange groups"),
    ("unsupported protocol", "unsupported_version", "the peer speaks no version of TLS that is allowed here"),
    ("version too low", "unsupported_version", "the peer speaks no version of TLS that is allowed here"),
    ("alert protocol version", "unsupported_version", "the peer speaks no version of TLS that is allowed here"),
    ("http request", "not_tls", "the peer speaks plain HTTP"),
    ("https proxy request", "not_tls", "the peer speaks plain HTTP"),
    ("wrong version number", "not_tls", "the peer does not speak TLS"),
    ("packet length too long", "not_tls", "the peer does not speak TLS"),
    ("unrecognized name", "alert_unrecognized_name", "the peer has no certificate for the server name we asked for"),
    ("certificate required", "alert_certificate_required", "the peer wants a certificate from us"),
    ("alert unknown ca", "alert_unknown_ca", "the peer does not trust the authority of our certificate"),
    ("alert bad certificate", "alert_bad_certificate", "the peer does not accept our certificate"),
    ("alert certificate unknown", "alert_certificate_unknown", "the peer does not accept our certificate"),
    ("alert certificate expired", "alert_certificate_expired", "the peer says that our certificate has expired"),
    ("no application protocol", "no_shared_protocol", "the peer offers none of our application protocols"),
    ("handshake failure", "alert_handshake_failure", "the peer found nothing that both sides support"),
)


def _translated(error: BaseException, connection: SSL.Connection) -> BaseException:
    """The TlsError behind an error of OpenSSL's; anything else (a lost connection) stays what it is."""
    if not isinstance(error, SSL.Error):
        return error
    if isinstance(connection, TlsConnection) and connection.verdict.error is not None:
        return connection.verdict.error
    words = _queue_words(error)
    for part, reason, detail in _WORDS:
        if part in words:
            return TlsError(reason, detail, words)
    return TlsError("tls_error", "the TLS connection failed", words)


def _queue_words(error: SSL.Error) -> str:
    queue = error.args[0] if error.args else ()
    if isinstance(queue, list):
        return "; ".join(str(entry[-1]) for entry in queue).lower()
    return ", ".join(map(str, error.args)).lower()


_VERIFY = {
    9: ("not_yet_valid", "is not valid yet"),
    10: ("expired", "has expired"),
    18: ("untrusted", "is self-signed and not in the trusted bundle"),
    19: ("untrusted", "leads to a root that is not in the trusted bundle"),
    2: ("untrusted", "was signed by an authority that is not in the trusted bundle"),
    20: ("untrusted", "was signed by an authority that is not in the trusted bundle"),
    21: ("untrusted", "cannot be verified: the authorities between it and a trusted one are missing"),
    23: ("revoked", "was revoked"),
    24: ("untrusted", "was signed by a certificate that is no authority"),
    26: ("wrong_purpose", "was not made for this purpose (extended key usage)"),
    79: ("untrusted", "was signed by a certificate that is no authority"),
}


def refused_certificate(whose: str, certificate: x509.Certificate, number: int) -> TlsError:
    """OpenSSL's verify error as ours.

    Args:
        whose: `client` or `upstream`; opens the reason (`upstream_certificate_expired`).
        number: X509_V_ERR_*, see openssl-verification-options.
    """
    kind, words = _VERIFY.get(number, ("invalid", f"is not acceptable (OpenSSL verify error {number})"))
    subject = certificate.subject.rfc4514_string() or "without a subject"
    return TlsError(f"{whose}_certificate_{kind}", f"the certificate {printable(subject)} {words}")


def printable(text: str) -> str:
    """A text out of a certificate, safe in a header and a log line: other than printable ASCII as \\XX (RFC 4514 2.4)."""
    return "".join(char if " " <= char <= "~" else "".join(f"\\{byte:02X}" for byte in char.encode()) for char in text)
