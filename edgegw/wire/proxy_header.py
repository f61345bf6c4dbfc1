"""What a PROXY protocol header says, and the names of what can be wrong with one. How it is written: `proxy_protocol`."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, NamedTuple

ALPN, AUTHORITY, CRC32C, NOOP, UNIQUE_ID, SSL, NETNS = 0x01, 0x02, 0x03, 0x04, 0x05, 0x20, 0x30
"""Types of TLVs (section 2.2). 0xE0 to 0xEF are for applications: 0xEA is the endpoint of an AWS VPC, 0xEE Azure's link id."""

SSL_VERSION, SSL_CN, SSL_CIPHER, SSL_SIG_ALG, SSL_KEY_ALG = 0x21, 0x22, 0x23, 0x24, 0x25
"""Types of TLVs inside the one of type SSL (section 2.2.6)."""

CLIENT_SSL, CLIENT_CERT_CONN, CLIENT_CERT_SESS = 0x01, 0x02, 0x04
"""Bits of `ProxySsl.client`."""

NO_TLVS: Mapping[int, bytes] = MappingProxyType({})

PROXY_REASONS: Mapping[str, str] = {
    "proxy_header_missing": "The first bytes of a connection that must begin with a PROXY header are none.",
    "proxy_header_malformed": "A PROXY header breaks its specification.",
    "proxy_header_too_long": "A PROXY header is longer than 107 bytes (version 1) or than the cap (version 2).",
    "proxy_not_stream": "A PROXY header announces datagrams.",
    "proxy_tlv_malformed": "A TLV of a PROXY header is cut off, repeated or not what its type says.",
    "proxy_checksum_wrong": "The CRC-32C in a PROXY header is not that of its bytes.",
}
"""reason -> one sentence. Connections are closed for them before anything can be asked, so no exchange ever carries one."""


class ProxyFault(NamedTuple):
    """Why bytes are no PROXY header. reason: of `PROXY_REASONS`. detail: one sentence for operators."""

    reason: str
    detail: str


class ProxyAddress(NamedTuple):
    """One end of the connection that a proxy speaks for.

    host: the text of an IP address; empty on a UNIX socket. port: 0 to 65535. path: of a UNIX socket, as bytes; may be empty.
    """

    host: str
    port: int
    path: bytes = b""

    def __str__(self) -> str:
        if not self.host:
            return f"unix:{self.path.decode('utf-8', 'backslashreplace')}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class ProxySsl(NamedTuple):
    """What a proxy says about the TLS of the connection that it speaks for (section 2.2.6).

    client: bits `CLIENT_*`. verify: 0 if a certificate was shown and verified. tlvs: by type `SSL_*`, unknown ones too.
    """

    client: int
    verify: int
    tlvs: Mapping[int, bytes] = NO_TLVS

    @property
    def version(self) -> str:
        """`TLSv1.3`; empty if it was not said."""
        return self._text(SSL_VERSION)

    @property
    def cipher(self) -> str:
        """OpenSSL's name of the cipher; empty if it was not said."""
        return self._text(SSL_CIPHER)

    @property
    def common_name(self) -> str:
        """Of the client certificate; empty if it was not said. It is only as good as `verified`."""
        return self._text(SSL_CN)

    @property
    def verified(self) -> bool:
        """Whether a client certificate was shown, now or earlier in the session, and was good."""
        return self.verify == 0 and bool(self.client & (CLIENT_CERT_CONN | CLIENT_CERT_SESS))

    def _text(self, kind: int) -> str:
        return self.tlvs.get(kind, b"").decode("utf-8", "replace")


class ProxyHeader(NamedTuple):
    """One header.

    version: 1 or 2. local: the proxy speaks for itself, as in a health check (version 2). source, destination: the ends of the
    connection it speaks for; both None when `local`, and when it does not tell (UNKNOWN, UNSPEC): then those of the real
    connection hold. tlvs: by type, without CRC32C and NOOP; none where there are no addresses. ssl: what the TLV of that type says.
    """

    version: Literal[1, 2]
    local: bool
    source: ProxyAddress | None
    destination: ProxyAddress | None
    tlvs: Mapping[int, bytes] = NO_TLVS
    ssl: ProxySsl | None = None

    @property
    def authority(self) -> str | None:
        """The host name that the client asked for (SNI), or None."""
        return self.tlvs[AUTHORITY].decode("utf-8") if AUTHORITY in self.tlvs else None

    @property
    def unique_id(self) -> bytes | None:
        """The proxy's name for the connection, or None."""
        return self.tlvs.get(UNIQUE_ID)

    @property
    def alpn(self) -> bytes | None:
        """The protocol that the proxy negotiated with its client, or None."""
        return self.tlvs.get(ALPN)

    def __str__(self) -> str:
        if self.source is None:
            return f"v{self.version} {'LOCAL' if self.local else 'UNKNOWN'}"
        return f"v{self.version} {self.source} -> {self.destination}"
