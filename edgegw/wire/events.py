"""The events every codec speaks, whatever the protocol version.

A codec's `receive(data)` returns a list of events: a head, then body data as plain non-empty `bytes`, then `End`; a `Violation` is
always the last event of a connection (HTTP/1.1) or stream (HTTP/2). HTTP/2 codecs return `(stream, event)` pairs, and the events at
the end of this file beside those that both versions have. Objects are immutable by convention (frozen dataclasses cost
ten times as much to build on the hot path); nobody writes to them after the codec has.
"""

from __future__ import annotations

from edgegw.wire.headers import Field, Headers

UNTIL_CLOSE = -1
"""The `length` of a response body that ends with the connection."""


class RequestHead:
    """A validated request head.

    method: upper-case token. target: the request target as it came (ASCII), for logs only. path: the normalised path
    (`edgegw.wire.path`), always starting with `/`, or `*` for `OPTIONS *`. query: what follows the first `?`, or None.
    authority: the Host value as it came (empty for HTTP/1.0 without one). host: lower-case, without port and trailing dot.
    port: the Host's port or None. version: `1.0`, `1.1` or `2`. length: body bytes; 0 is no body, None is unknown (chunked).
    keep_alive: the downstream peer lets the connection live. expect_continue: it waits for a 100. upgrade: the lower-case
    Upgrade tokens when Connection names them, else empty. redirect: set when the path policy wants a 307 to this path instead.
    """

    __slots__ = (
        "authority", "expect_continue", "headers", "host", "keep_alive", "length", "method", "path", "port", "query",
        "redirect", "target", "upgrade", "version",
    )  # fmt: skip

    def __init__(  # noqa: PLR0913 - the parts of a request head.
        self,
        method: str,
        target: str,
        path: str,
        query: str | None,
        authority: bytes,
        host: str,
        port: int | None,
        version: str,
        headers: Headers,
        length: int | None,
        keep_alive: bool,
        expect_continue: bool = False,
        upgrade: tuple[bytes, ...] = (),
        redirect: str | None = None,
    ) -> None:
        self.method = method
        self.target = target
        self.path = path
        self.query = query
        self.authority = authority
        self.host = host
        self.port = port
        self.version = version
        self.headers = headers
        self.length = length
        self.keep_alive = keep_alive
        self.expect_continue = expect_continue
        self.upgrade = upgrade
        self.redirect = redirect

    def __repr__(self) -> str:
        return f"<RequestHead {self.method} {self.authority.decode('latin-1')} {self.target} HTTP/{self.version}>"


class ResponseHead:
    """A validated response head, or an informational one (status below 200, no body and no `End` follow).

    reason: the reason phrase. version: `1.0`, `1.1` or `2`. length: body bytes; 0 is no body, None is chunked, `UNTIL_CLOSE` ends
    with the connection. keep_alive: the upstream peer lets the connection live.
    """

    __slots__ = ("headers", "keep_alive", "length", "reason", "status", "version")

    def __init__(
        self, status: int, reason: bytes, version: str, headers: Headers, length: int | None, keep_alive: bool
    ) -> None:
        self.status = status
        self.reason = reason
        self.version = version
        self.headers = headers
        self.length = length
        self.keep_alive = keep_alive

    def __repr__(self) -> str:
        return f"<ResponseHead {self.status} HTTP/{self.version} length={self.length}>"


class End:
    """The message is complete. trailers: fields after a chunked body, already filtered by the codec's allow-list."""

    __slots__ = ("trailers",)

    def __init__(self, trailers: tuple[Field, ...] = ()) -> None:
        self.trailers = trailers

    def __repr__(self) -> str:
        return f"<End trailers={len(self.trailers)}>"


END = End()
"""The end of a message without trailers."""


class Violation:
    """The peer broke the protocol; the codec reads nothing more.

    status: what a request's sender is answered (a response's violation is always a 502). reason: a stable snake_case name for
    logs and metrics. detail: a sentence for the log. method, target: what was understood of the request line, for the access
    record. malformed: HTTP/2 calls the message so (RFC 9113 8.1.1); its stream is reset, whatever is answered before.
    """

    __slots__ = ("detail", "malformed", "method", "reason", "status", "target")

    def __init__(
        self, status: int, reason: str, detail: str = "", method: str = "", target: str = "", malformed: bool = False
    ) -> None:
        self.status = status
        self.reason = reason
        self.detail = detail
        self.method = method
        self.target = target
        self.malformed = malformed

    def __repr__(self) -> str:
        return f"<Violation {self.status} {self.reason}: {self.detail}>"


class Reset:
    """The peer ended a stream (RST_STREAM), or its GOAWAY says that it never looked at it.

    code: RFC 9113 7. unprocessed: the peer did nothing with the request (REFUSED_STREAM, or behind the last stream of a GOAWAY).
    """

    __slots__ = ("code", "unprocessed")

    def __init__(self, code: int, unprocessed: bool = False) -> None:
        self.code = code
        self.unprocessed = unprocessed

    def __repr__(self) -> str:
        return f"<Reset {self.code}{' unprocessed' if self.unprocessed else ''}>"


class Relieved:
    """Everything that waited for a stream's window has been framed; more may be sent."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "<Relieved>"


RELIEVED = Relieved()
"""The one there is."""


class GoAway:
    """The peer takes no new streams on this connection (stream 0). code: 0 is an orderly end. last: the last one it looks at."""

    __slots__ = ("code", "last")

    def __init__(self, last: int, code: int) -> None:
        self.last = last
        self.code = code

    def __repr__(self) -> str:
        return f"<GoAway last={self.last} code={self.code}>"


class Settled:
    """The peer's SETTINGS took effect (stream 0): how many streams may be open, and whether extended CONNECT may be used."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "<Settled>"


class Pong:
    """The answer to our PING came (stream 0)."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "<Pong>"


Event = RequestHead | ResponseHead | bytes | End | Violation
StreamEvent = Event | Reset | Relieved | GoAway | Settled | Pong
