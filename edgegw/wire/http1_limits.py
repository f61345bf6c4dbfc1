"""What a listener or an upstream connection accepts of HTTP/1.x."""

from __future__ import annotations

from dataclasses import dataclass

from edgegw.wire.path import EscapedSlashes

METHODS = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY"})
"""Methods a listener takes unless told otherwise."""

TRAILERS_FORBIDDEN = frozenset(
    {
        b"age", b"authorization", b"cache-control", b"connection", b"content-encoding", b"content-length",
        b"content-range", b"content-type", b"cookie", b"date", b"expect", b"expires", b"forwarded", b"host",
        b"http2-settings", b"if-match", b"if-modified-since", b"if-none-match", b"if-range", b"if-unmodified-since",
        b"keep-alive", b"location", b"max-forwards", b"pragma", b"proxy-authenticate", b"proxy-authorization",
        b"proxy-connection", b"range", b"retry-after", b"set-cookie", b"te", b"trailer", b"transfer-encoding",
        b"upgrade", b"vary", b"via", b"warning", b"www-authenticate", b"x-real-ip", b"x-request-id",
    }
)  # fmt: skip
"""Fields that frame, route or authenticate (RFC 9110 6.5.1): dropped from every trailer section, whatever is allowed."""

_SLACK = 64  # A request line beyond its target: method, two spaces, version.


@dataclass(frozen=True, slots=True)
class Http1Limits:
    """Caps of one side of HTTP/1.x, in bytes unless said otherwise.

    head: the whole message head. target: the request target. fields: their number. field: one header line. chunk_overhead: chunk
    extensions per body. trailer: a trailer section. informational: 1xx responses before a final one (a number). held: bytes kept
    behind a request to switch protocols until it is answered. methods: accepted methods; CONNECT and TRACE only if named here.
    trailers_allowed: lower-case names of trailers that are passed on; None is all but `TRAILERS_FORBIDDEN`.
    protected: lower-case names, beside the built-in ones, that a Connection field may not name.
    """

    head: int = 16384
    target: int = 8192
    fields: int = 100
    field: int = 8192
    chunk_overhead: int = 4096
    trailer: int = 8192
    informational: int = 8
    held: int = 65536
    methods: frozenset[str] = METHODS
    escaped_slashes: EscapedSlashes = "reject"
    trailers_allowed: frozenset[bytes] | None = frozenset()
    protected: frozenset[bytes] = frozenset()

    @property
    def start_line(self) -> int:
        """The longest start line."""
        return self.target + _SLACK


RESPONSE_LIMITS = Http1Limits(head=32768, fields=200, field=16384, trailers_allowed=None, held=1 << 20)
"""What an upstream may send (trust.md A3.3); right behind its 101, as much as one read of any loop brings along."""
