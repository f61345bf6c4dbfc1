"""The nouns of the data path: what was asked, what is answered, and the exchange that ties them.

One object each per request, with slots; nothing here is built per request that could be built at assembly.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from twisted.logger import Logger

from edgegw.errors import GatewayError
from edgegw.exchange.body import EMPTY, Body
from edgegw.wire.events import RequestHead, ResponseHead
from edgegw.wire.headers import Headers

_log = Logger("edgegw.exchange.model")


class Request:
    """What the downstream peer asks, as it will be forwarded; `Exchange.head` keeps what came.

    method, path (normalised), query (without `?`, or None), scheme (`http`, `https`), authority (Host as sent on), host (lower-case
    name for decisions), headers (end-to-end fields; hop-by-hop ones are dropped when forwarded), body, and params (what the route
    captured from host and path, all `str`).
    """

    __slots__ = ("authority", "body", "headers", "host", "method", "params", "path", "query", "scheme")

    def __init__(self, head: RequestHead, scheme: str, body: Body) -> None:
        self.method = head.method
        self.path = head.path
        self.query = head.query
        self.scheme = scheme
        self.authority = head.authority
        self.host = head.host
        self.headers = head.headers
        self.body = body
        self.params: dict[str, str] = {}

    @property
    def target(self) -> str:
        """Path and query, as an origin-form request target."""
        return self.path if self.query is None else f"{self.path}?{self.query}"

    def __repr__(self) -> str:
        return f"<Request {self.method} {self.scheme}://{self.authority.decode('latin-1')}{self.target}>"


class Takeover(Protocol):
    """What a response hands the raw connection to, after its head was sent."""

    def connect(self, transport: Any, received: bytes) -> Any:
        """Own the transport from now on.

        Args:
            transport: a twisted `ITransport`; its protocol is what this method returns.
            received: bytes that the downstream peer sent behind its request.

        Returns:
            the `IProtocol` that gets further bytes and `connectionLost`.
        """

    @property
    def carried(self) -> tuple[int, int]:
        """Bytes that came from the downstream peer and were sent to it so far, as the protocol counts them."""

    def drain(self) -> None:
        """The gateway goes: end in the way of the protocol, soon; the transport is cut when the grace is over."""


class Response:
    """What the downstream peer gets: a head, a streaming body with trailers after it, or a takeover of the connection.

    status 200-599 (101 only with `takeover`). close: end the connection after this answer.
    """

    __slots__ = ("body", "close", "headers", "reason", "status", "takeover")

    def __init__(
        self,
        status: int,
        headers: Headers | None = None,
        body: Body = EMPTY,
        *,
        reason: bytes = b"",
        close: bool = False,
        takeover: Takeover | None = None,
    ) -> None:
        self.status = status
        self.headers = headers if headers is not None else Headers()
        self.body = body
        self.reason = reason
        self.close = close
        self.takeover = takeover

    @classmethod
    def of(cls, status: int, content: bytes, content_type: bytes = b"text/plain; charset=utf-8") -> Response:
        """A complete answer made in memory."""
        return cls(status, Headers([(b"content-type", b"Content-Type", content_type)]), Body.of(content))

    def __repr__(self) -> str:
        return f"<Response {self.status} {self.body!r}>"


class Outcome:
    """How an exchange ended.

    status: what was sent (0 when nothing was). complete: the last byte left. bytes_in, bytes_out: body bytes received and sent.
    error: what went wrong, if anything did.
    """

    __slots__ = ("bytes_in", "bytes_out", "complete", "error", "status")

    def __init__(self, status: int, complete: bool, bytes_in: int, bytes_out: int, error: GatewayError | None) -> None:
        self.status = status
        self.complete = complete
        self.bytes_in = bytes_in
        self.bytes_out = bytes_out
        self.error = error

    def __repr__(self) -> str:
        state = "complete" if self.complete else "torn"
        return f"<Outcome {self.status} {state} in={self.bytes_in} out={self.bytes_out} error={self.error}>"


class Connection(Protocol):
    """The downstream connection, as far as an exchange may know it. All attributes are fixed for the connection's life."""

    @property
    def peer(self) -> str:
        """Address of the socket's (or PROXY protocol's) other side, without port; empty for UNIX sockets."""

    @property
    def peer_port(self) -> int:
        """The other side's port."""

    @property
    def local_port(self) -> int:
        """Our port."""

    @property
    def tls(self) -> Any:
        """`edgegw.net.tls.TlsFacts` of a TLS connection, else None."""

    @property
    def listener(self) -> Any:
        """The `edgegw.net.listener.Listener` it came in by: name, settings."""

    @property
    def local_host(self) -> str:
        """Our address on it, or what PROXY protocol said; empty for UNIX sockets."""

    def informational(self, exchange: Exchange, head: ResponseHead) -> None:
        """Send a 1xx head before the response (HTTP/1.1 and later; dropped silently for HTTP/1.0)."""

    def fail(self, exchange: Exchange, error: GatewayError) -> None:
        """End an exchange by an error from outside its pipeline: answered if nothing was sent yet, else torn."""


class Exchange:
    """One request and its answer.

    Attributes:
        head: the request line as it came (its `headers` are the request's, which change). request: what is forwarded; middleware
            may change it.
        snapshot: the configuration this exchange belongs to, from beginning to end.
        id: the request id, set by the edge stage. client: the address decisions are made on, set by the edge stage.
        route: the `Route` found, or None. started_s: loop clock at the request's first byte.
        upstream, endpoint: names of what the last attempt went to. attempts: how many were made.
        connect_s, upstream_head_s, upstream_end_s: seconds from `started_s`, or -1: last attempt got a connection, the response's
        head came, its last byte came.
        flag: one reason for an unusual ending, for the access record.
        deadline_s: the loop clock when all must be over, or None.
        failure: the error that was rendered into the answer, if one was.
        spoke: a 1xx head of an upstream was forwarded.
        refused: why the connection would not read the request any further (a head the codec rejected); the router raises it.
    """

    __slots__ = (
        "_on_end", "_upload", "attempts", "client", "connect_s", "connection", "deadline_s", "endpoint", "failure", "flag",
        "head", "id",
        "outcome", "refused", "request", "route", "snapshot", "spoke", "started_s", "upstream", "upstream_end_s", "upstream_head_s",
    )  # fmt: skip

    def __init__(
        self, head: RequestHead, request: Request, connection: Connection, snapshot: Any, started_s: float
    ) -> None:
        self.head = head
        self.request = request
        self._upload = request.body
        self.connection = connection
        self.snapshot = snapshot
        self.started_s = started_s
        self.id = ""
        self.client = connection.peer
        self.route: Any = None
        self.upstream = ""
        self.endpoint = ""
        self.attempts = 0
        self.connect_s = -1.0
        self.upstream_head_s = -1.0
        self.upstream_end_s = -1.0
        self.flag = ""
        self.deadline_s: float | None = None
        self.failure: GatewayError | None = None
        self.refused: GatewayError | None = None
        self.spoke = False
        self.outcome: Outcome | None = None
        self._on_end: list[Callable[[Exchange, Outcome], None]] = []

    @property
    def request_size(self) -> int:
        """Bytes of request body that came from downstream so far."""
        return self._upload.size

    def on_end(self, callback: Callable[[Exchange, Outcome], None]) -> None:
        """Call back exactly once, when the last byte is gone or the exchange is torn; at once if it already is."""
        if self.outcome is not None:
            callback(self, self.outcome)
        else:
            self._on_end.append(callback)

    def end(self, outcome: Outcome) -> None:
        """Fire every `on_end` callback, latest first; later calls do nothing. For the connection that carries the exchange.

        One that fails is logged and keeps none of the others from being called.
        """
        if self.outcome is not None:
            return
        self.outcome = outcome
        callbacks, self._on_end = self._on_end, []
        for callback in reversed(callbacks):
            try:
                callback(self, outcome)
            except Exception:
                _log.failure("an on_end callback of request {request_id} failed", request_id=self.id)

    def informational(self, head: ResponseHead) -> None:
        """Forward a 1xx head to the downstream peer."""
        if self.outcome is None:
            self.spoke = True
            self.connection.informational(self, head)

    def __repr__(self) -> str:
        state = repr(self.outcome) if self.outcome else "in flight"
        return f"<Exchange {self.id} {self.request.method} {self.request.path} {state}>"
