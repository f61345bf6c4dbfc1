"""What a twisted.web request believes to be its HTTP channel: a head and a body in memory instead of a socket.

Twisted's own names (`writeHeaders`, `requestDone`, ...) are those that `twisted.web.http.Request` calls on its channel.
"""

from __future__ import annotations

import re
from typing import IO, Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure
from twisted.web import http_headers, server

from edgegw.errors import GatewayError, Phase, Side
from edgegw.exchange.body import Body
from edgegw.exchange.model import Exchange, Response
from edgegw.wire.connection import HOP_BY_HOP
from edgegw.wire.headers import Headers

_is_token = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+").fullmatch
_is_hostile = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]").search
_DROPPED = HOP_BY_HOP | {b"content-length"}
_BODILESS = frozenset({204, 304})


class WebRequest(server.Request):
    """A twisted.web request whose framing is left to the gateway.

    Its path is split where the route's `**` begins: `prepath` holds what stands before, as if the resource were a child there.
    """

    def __init__(self, channel: WebChannel, mounted: int) -> None:
        super().__init__(channel)  # type: ignore[no-untyped-call]
        self.mounted = mounted

    @property
    def chunked(self) -> int:
        """Never: chunks are made by the codec."""
        return 0

    @chunked.setter
    def chunked(self, value: int) -> None:
        """Twisted decides for chunks by itself where there is no length."""

    def processingFailed(self, reason: Failure) -> Failure:
        """The resource raised: the gateway's own answer instead of Twisted's page."""
        self._log.failure("", failure=reason)
        channel = getattr(self, "channel", None)
        if channel is not None:
            channel.fail("resource_failed", reason.getErrorMessage())
        return reason


class WebChannel:
    """The channel of one request, its transport, and the source of the response's body.

    Args:
        site: what the resource hangs on. clock: for turns of pull producers.
    """

    factory = None

    def __init__(self, exchange: Exchange, site: server.Site, clock: IReactorTime) -> None:
        self.site = site
        self.transport = self
        self.response: Deferred[Response] = Deferred(lambda _: self.leave())
        self._exchange = exchange
        self._clock = clock
        self._body: Body | None = None
        self._answer: Response | None = None
        self._request: Any = None
        self._producer: Any = None
        self._pulling = False
        self._paused = False
        self._over = False

    def render(self, content: IO[bytes], size: int, mounted: int) -> Deferred[Response]:
        """Render a request.

        Args:
            content: its body, spooled; closed at the end. size: bytes in it. mounted: path segments before the resource.

        Returns:
            what fires with the head of the answer, the body still flowing; cancelling it is the downstream peer leaving.
        """
        asked = self._exchange.request
        request: Any = WebRequest(self, mounted)
        self._request = request
        for lower, name, value in asked.headers.fields:
            if lower not in _DROPPED and lower != b"host":
                request.requestHeaders.addRawHeader(name, value)
        request.requestHeaders.setRawHeaders(b"Host", [asked.authority])
        if size or b"content-length" in asked.headers:
            request.requestHeaders.setRawHeaders(b"Content-Length", [b"%d" % size])
        request.content = content
        request.parseCookies()
        # What a torn exchange leaves behind: the resource is told by `notifyFinish`.
        self._exchange.on_end(lambda *_: self.leave())
        version = self._exchange.head.version
        request.requestReceived(
            asked.method.encode("ascii"), asked.target.encode("ascii"), f"HTTP/{version}".encode("ascii")
        )
        return self.response

    def leave(self) -> None:
        """The downstream peer left."""
        if self._over:
            return
        self._over = True
        producer, self._producer = self._producer, None
        if producer is not None:
            producer.stopProducing()
        # On the next turn, as from a socket: a request does not expect to lose its channel inside its own `write`.
        self._clock.callLater(0, self._lost)

    def _lost(self) -> None:
        if not self._request.finished:
            self._request.connectionLost(Failure(ConnectionLost("the downstream peer left")))

    def fail(self, reason: str, detail: str) -> None:
        """The resource can't go on: an error instead of the answer, or in the middle of it."""
        if self._over:
            return
        self.leave()
        self._end_badly(reason, detail)

    def _end_badly(self, reason: str, detail: str) -> None:
        begun = self.response.called
        phase = Phase.RESPONSE_BODY if begun else Phase.RESPONSE_HEAD
        error = GatewayError(500, reason, side=Side.GATEWAY, phase=phase, detail=detail)
        if not begun:
            self.response.errback(error)
        elif self._body is not None:
            self._body.abort(error)

    # The request's side: its channel.

    def writeHeaders(self, version: bytes, code: bytes, reason: bytes, headers: http_headers.Headers) -> None:
        """The head is complete."""
        if self._over:
            return
        status = int(code)
        fields = Headers()
        for name, values in headers.getAllRawHeaders():
            for value in values:
                if not _is_token(name) or _is_hostile(value):
                    self.fail("resource_bad_header", f"the resource's field {name!r} is not valid")
                    return
                fields.add(name, value)
        if not 200 <= status <= 599:
            self.fail("resource_bad_status", f"the resource's status is {status}")
            return
        length = self._length(fields, status)
        if length is not None and length < 0:
            self.fail("resource_bad_header", "the resource's Content-Length is not a number")
            return
        fields.remove_all(HOP_BY_HOP)
        if fields.get(b"server") == server.version:
            fields.remove(b"server")
        self._body = Body(length, self)
        self._answer = Response(status, fields, self._body, reason=reason)
        # What the resource writes in this turn leaves together with the head.
        self._clock.callLater(0, self._announce)

    def _announce(self) -> None:
        if self._answer is not None and not self.response.called:
            self.response.callback(self._answer)

    def _length(self, fields: Headers, status: int) -> int | None:
        """Bytes of the body that follows; -1 when what the resource says makes no sense."""
        if status in _BODILESS or self._exchange.request.method == "HEAD":
            return 0
        said = fields.get_all(b"content-length")
        if not said:
            return None
        return int(said[0]) if len(said) == 1 and said[0].isdigit() and len(said[0]) < 19 else -1

    def write(self, data: bytes) -> None:
        """Body data."""
        body = self._body
        if self._over or body is None or not data:
            return
        if body.length is not None and body.size + len(data) > body.length:
            self.fail("resource_bad_length", "the resource wrote more than its Content-Length")
            return
        body.write(data)

    def writeSequence(self, pieces: list[bytes]) -> None:
        """Body data in pieces."""
        self.write(b"".join(pieces))

    def requestDone(self, request: Any) -> None:
        """The answer is complete."""
        body = self._body
        if self._over or body is None:
            return
        self._over = True
        if body.length is not None and body.size < body.length:
            self._end_badly("resource_bad_length", "the resource wrote less than its Content-Length")
            return
        body.end()
        self._announce()

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Let the downstream side's pace reach the resource; a pull producer is asked once per turn."""
        if self._over:
            producer.stopProducing()
            return
        self._producer = producer
        self._pulling = not streaming
        if not streaming:
            self._soon()
        elif self._paused:
            producer.pauseProducing()

    def unregisterProducer(self) -> None:
        """Nobody is to be asked any more."""
        self._producer = None

    def _soon(self) -> None:
        self._clock.callLater(0, self._pull)

    def _pull(self) -> None:
        producer = self._producer
        if producer is None or self._over or self._paused or not self._pulling:
            return
        producer.resumeProducing()
        self._soon()

    def loseConnection(self) -> None:
        """The resource hangs up."""
        self.fail("resource_hung_up", "the resource closed the connection")

    abortConnection = loseConnection

    def _respondToBadRequestAndDisconnect(self) -> None:
        """Twisted's name for a form that cannot be parsed."""
        self.leave()
        self.response.errback(GatewayError(400, "bad_form", side=Side.DOWNSTREAM, phase=Phase.BODY))

    def isSecure(self) -> bool:
        """Whether the downstream peer came by TLS."""
        return self._exchange.request.scheme == "https"

    def getPeer(self) -> IPv4Address | IPv6Address:
        """The client's address, as the edge stage found it."""
        kind = IPv6Address if ":" in self._exchange.client else IPv4Address
        return kind("TCP", self._exchange.client, self._exchange.connection.peer_port)

    def getHost(self) -> IPv4Address | IPv6Address:
        """The host that was asked for, and the port it came in by."""
        host = self._exchange.request.host
        return (IPv6Address if ":" in host else IPv4Address)("TCP", host, self._exchange.connection.local_port)

    # The response body's side: BodySource.

    def start(self) -> None:
        """Somebody reads; the resource writes anyway."""

    def pause(self) -> None:
        """The downstream side is slow."""
        self._paused = True
        if self._producer is not None and not self._pulling:
            self._producer.pauseProducing()

    def resume(self) -> None:
        """The downstream side reads again."""
        if not self._paused:
            return
        self._paused = False
        if self._producer is not None:
            if self._pulling:
                self._soon()
            else:
                self._producer.resumeProducing()

    def cancel(self) -> None:
        """Nobody will read the rest."""
        self.leave()
