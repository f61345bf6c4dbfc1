"""Exchanges for tests: what a responder is called with, without a socket."""

from __future__ import annotations

from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

from edgegw.errors import GatewayError
from edgegw.exchange.body import EMPTY, Body
from edgegw.exchange.interfaces import BodySink
from edgegw.exchange.model import Exchange, Request
from edgegw.wire.authority import parse_authority
from edgegw.wire.events import RequestHead, ResponseHead
from edgegw.wire.headers import Field, Headers
from edgegw.wire.path import normalise


class FakeConnection:
    """A downstream connection that only remembers. Change its attributes to play another one."""

    def __init__(self, tls: Any = None) -> None:
        self.peer = "192.0.2.1"
        self.peer_port = 50000
        self.local_port = 443 if tls else 80
        self.local_host = "192.0.2.254"
        self.tls = tls
        self.listener: Any = SimpleNamespace(name="test")
        self.informational_heads: list[ResponseHead] = []
        self.failures: list[GatewayError] = []

    def informational(self, exchange: Exchange, head: ResponseHead) -> None:
        self.informational_heads.append(head)

    def fail(self, exchange: Exchange, error: GatewayError) -> None:
        self.failures.append(error)


def make_exchange(
    method: str = "GET",
    url: str = "http://example.com/",
    headers: Iterable[tuple[bytes, bytes]] = (),
    body: Body | bytes = EMPTY,
    *,
    snapshot: Any = None,
    connection: FakeConnection | None = None,
    version: str = "1.1",
) -> Exchange:
    """An exchange as the downstream side would make it.

    Args:
        url: absolute, or an origin-form target for host `example.com`. `https` makes a TLS connection with the host as SNI.
        headers: (name, value) pairs; Host comes from the URL.
        body: what the request carries, whole or as a stream.
    """
    if not url.startswith(("http://", "https://")):
        url = "http://example.com" + url
    parts = urlsplit(url)
    authority = parts.netloc.encode("ascii")
    host, port = parse_authority(authority)
    tls = SimpleNamespace(server_name=host, identity=None) if parts.scheme == "https" else None
    fields = Headers.of([(b"Host", authority), *headers])
    stream = Body.of(body) if isinstance(body, bytes) else body
    path = "*" if parts.path == "/*" and method == "OPTIONS" else normalise(parts.path or "/").path
    query = url.partition("?")[2] if "?" in url else None
    target = path if query is None else f"{path}?{query}"
    upgrade = tuple(value.strip().lower() for value in fields.get_all(b"upgrade"))
    head = RequestHead(
        method, target, path, query, authority, host, port, version, fields, stream.length, True, upgrade=upgrade
    )
    request = Request(head, parts.scheme, stream)
    made = Exchange(head, request, connection or FakeConnection(tls), snapshot, 0.0)
    made.id = "test-request"
    return made


class Gathered:
    """A body sink that keeps everything; `chunks`, `ended`, `trailers`, `error` say what came."""

    def __init__(self) -> None:
        self.chunks: list[bytes] = []
        self.ended = False
        self.trailers: tuple[Field, ...] = ()
        self.error: GatewayError | None = None

    @property
    def data(self) -> bytes:
        """Everything written so far."""
        return b"".join(self.chunks)

    def write(self, data: bytes) -> None:
        self.chunks.append(data)

    def end(self, trailers: tuple[Field, ...]) -> None:
        self.ended = True
        self.trailers = trailers

    def abort(self, error: GatewayError) -> None:
        self.error = error


def drain(body: Body) -> Gathered:
    """Attach a sink that keeps everything."""
    sink = Gathered()
    checked: BodySink = sink
    body.attach(checked)
    return sink
