"""Sends one exchange after another on one upstream connection, HTTP/1.1.

The connection is the sink of the request's body and the source of the response's; backpressure on either side reaches the other
through `Body`. What it owes its owner (the pool) are two calls: `idle` when it may carry the next exchange, `closed` once at its end.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol as Contract

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IPushProducer
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from edgegw.errors import GatewayError, Phase, Retry, Side
from edgegw.exchange.body import Body
from edgegw.exchange.interfaces import BodySink
from edgegw.exchange.model import Response
from edgegw.runtime.wheel import Wheel
from edgegw.wire.events import UNTIL_CLOSE, End, Event, ResponseHead, Violation
from edgegw.wire.headers import Field
from edgegw.wire.http1 import Http1Limits, ResponseCodec
from edgegw.wire.http1_encode import encode_chunk, encode_last_chunk, encode_request_head


class Owner(Contract):
    """Who lends the connection out."""

    def idle(self, connection: Http1Upstream) -> None:
        """The exchange is over and the connection may carry another."""

    def closed(self, connection: Http1Upstream) -> None:
        """The connection is gone, whatever state it was in."""


class Upload(Contract):
    """A request body as the connection reads it: `Body` or `Replay`."""

    def attach(self, sink: BodySink) -> None:
        """Feed the sink."""

    def pause(self) -> None:
        """The upstream peer is slow."""

    def resume(self) -> None:
        """The upstream peer reads again."""

    def cancel(self) -> None:
        """The upstream peer wants no more."""


class Call:
    """One request on its way to an endpoint.

    method, target: as sent. fields: header triples as sent, framing included. body: what follows, or None. chunked: how it is
    framed. head_timeout_s, idle_timeout_s: until the response's head, and between its bytes. informational: gets 1xx heads.
    """

    __slots__ = ("body", "chunked", "fields", "head_timeout_s", "idle_timeout_s", "informational", "method", "target")

    def __init__(
        self,
        method: str,
        target: str,
        fields: list[Field],
        body: Upload | None,
        chunked: bool,
        head_timeout_s: float,
        idle_timeout_s: float,
        informational: Callable[[ResponseHead], None],
    ) -> None:
        self.method = method
        self.target = target
        self.fields = fields
        self.body = body
        self.chunked = chunked
        self.head_timeout_s = head_timeout_s
        self.idle_timeout_s = idle_timeout_s
        self.informational = informational


@implementer(IPushProducer)
class Http1Upstream(Protocol):
    """One connection to one endpoint.

    Args:
        wheel: for its deadlines. limits: of the response codec.
    """

    def __init__(self, wheel: Wheel, limits: Http1Limits) -> None:
        self._codec = ResponseCodec(limits)
        self._deadline = wheel.deadline(self._expired)
        self._call: Call | None = None
        self._answer: Deferred[Response] | None = None
        self._body: Body | None = None
        self._head = b""
        self._sending = False
        self._paused = False
        self._received = False
        self.owner: Owner | None = None
        self.served = 0
        self.lost = False

    # The connection's life.

    def connectionMade(self) -> None:
        """Twisted: connected (and, below TLS, encrypted)."""
        assert self.transport is not None
        self.transport.registerProducer(self, True)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Twisted: gone. Ends what it carried, in the way its framing allows."""
        self.lost = True
        self._deadline.drop()
        if self._call is not None:
            self._deliver(self._codec.receive_eof())
        if self._call is not None:
            name = "upstream_closed" if reason.check(ConnectionDone) else "upstream_reset"
            name = name if self._body is None else "upstream_aborted"
            retry = Retry.NEVER if self._received else Retry.IF_IDEMPOTENT
            self._fail(502, name, reason.getErrorMessage(), retry)
        if self.owner is not None:
            self.owner.closed(self)

    def close(self) -> None:
        """End the connection; nothing it carried is waited for."""
        self._deadline.drop()
        if self.transport is not None and not self.lost:
            self.transport.unregisterProducer()
            self.transport.abortConnection()

    @property
    def busy(self) -> bool:
        """Whether an exchange is on it."""
        return self._call is not None

    def rest(self, idle_timeout_s: float) -> None:
        """Wait for the next exchange at most so long; for the pool."""
        self._deadline.set(idle_timeout_s)

    # Sending: the sink of the request's body.

    def send(self, call: Call) -> Deferred[Response]:
        """Put a request on the wire.

        Returns:
            fires with the response when its head is here, its body still flowing; fails with `GatewayError`.
        """
        assert self.transport is not None and self._call is None
        self._call = call
        self.served += 1
        self._received = False
        self._codec.expect(call.method)
        self._answer = answer = Deferred(self._cancelled)
        head = encode_request_head(call.method, call.target, call.fields)
        self._deadline.set(call.head_timeout_s)
        if call.body is None:
            self.transport.write(head)
            return answer
        self._sending = True
        self._head = head
        call.body.attach(self)
        if self._head and self._call is call:
            self.transport.write(self._head)
            self._head = b""
        return answer

    def write(self, data: bytes) -> None:
        """Request body data; the first of it leaves together with the head."""
        call = self._call
        if call is None or not self._sending or self.transport is None:
            return
        if call.chunked:
            data = encode_chunk(data)
        if self._head:
            data = self._head + data
            self._head = b""
        self.transport.write(data)
        if self._body is None:
            self._deadline.set(call.head_timeout_s)

    def end(self, trailers: tuple[Field, ...]) -> None:
        """The request's body is complete."""
        call = self._call
        if call is None or not self._sending or self.transport is None:
            return
        self._sending = False
        last = encode_last_chunk(trailers) if call.chunked else b""
        if self._head or last:
            self.transport.write(self._head + last)
            self._head = b""

    def abort(self, error: GatewayError) -> None:
        """The request's body broke off: the upstream peer must not take it for complete."""
        if self._call is None or not self._sending:
            return
        self._sending = False
        self._finish(error)
        self.close()

    def pauseProducing(self) -> None:
        """Twisted: the upstream peer reads slowly."""
        if self._call is not None and self._sending and self._call.body is not None:
            self._call.body.pause()

    def resumeProducing(self) -> None:
        """Twisted: it reads again."""
        if self._call is not None and self._sending and self._call.body is not None:
            self._call.body.resume()

    def stopProducing(self) -> None:
        """Twisted: the transport is going; `connectionLost` follows."""

    # Receiving: the source of the response's body.

    def dataReceived(self, data: bytes) -> None:
        """Twisted: bytes came."""
        self._received = True
        if self._body is not None and self._call is not None:
            self._deadline.set(self._call.idle_timeout_s)
        self._deliver(self._codec.receive(data))

    def _deliver(self, events: list[Event]) -> None:
        body = self._body
        response: Response | None = None
        answer: Deferred[Response] | None = None
        finished = False
        for event in events:
            kind = event.__class__
            if kind is bytes:
                assert body is not None
                body.write(event)  # type: ignore[arg-type]
            elif kind is End:
                finished = self._complete(event.trailers)  # type: ignore[union-attr]
            elif kind is Violation:
                finished = False
                self._violated(event)  # type: ignore[arg-type]
                break
            elif self._call is not None:
                response = self._begin(event, self._call)  # type: ignore[arg-type]
                if response is not None:
                    body = response.body
                    answer, self._answer = self._answer, None
        # Back to the pool before the answer is told: what follows may need a connection at once.
        if finished and self.owner is not None:
            self.owner.idle(self)
        if response is not None and answer is not None:
            answer.callback(response)

    def _begin(self, head: ResponseHead, call: Call) -> Response | None:
        if head.status < 200:
            if head.status != 100:
                call.informational(head)
            return None
        length = head.length
        self._body = body = Body(None if length == UNTIL_CLOSE else length, self)
        self._deadline.set(call.idle_timeout_s)
        return Response(head.status, head.headers, body, reason=head.reason)

    def _complete(self, trailers: tuple[Field, ...]) -> bool:
        """The response is whole. Returns whether the connection may carry another exchange."""
        body, call = self._body, self._call
        if body is None or call is None:
            return False
        upload = call.body if self._sending else None
        reusable = self._codec.reusable and upload is None and not self.lost
        self._call = self._body = None
        self._sending = False
        if self._paused:
            self._paused = False
            if reusable and self.transport is not None:
                self.transport.resumeProducing()
        if not reusable:
            self.close()
        body.end(trailers)
        if upload is not None:
            upload.cancel()
        return reusable

    def _violated(self, violation: Violation) -> None:
        if self._call is not None:
            self._fail(502, violation.reason, violation.detail)
        self.close()

    # Endings.

    def _fail(self, status: int, reason: str, detail: str, retry: Retry = Retry.NEVER) -> None:
        phase = Phase.RESPONSE_HEAD if self._body is None else Phase.RESPONSE_BODY
        self._finish(GatewayError(status, reason, side=Side.UPSTREAM, phase=phase, retry=retry, detail=detail))

    def _finish(self, error: GatewayError) -> None:
        """Tell whoever waits: the caller before the head, the body's reader after it."""
        call, body, answer = self._call, self._body, self._answer
        self._call = self._body = self._answer = None
        upload = call.body if call is not None and self._sending else None
        self._sending = False
        if body is not None:
            body.abort(error)
        if answer is not None:
            answer.errback(error)
        elif upload is not None:
            upload.cancel()

    def _expired(self) -> None:
        call = self._call
        if call is None:
            self.close()
        elif self._body is None:
            self._fail(504, "upstream_head_timeout", f"no response head within {call.head_timeout_s:g} s")
            self.close()
        elif self._paused:
            self._deadline.set(call.idle_timeout_s)
        else:
            self._fail(504, "upstream_idle_timeout", f"no response data for {call.idle_timeout_s:g} s")
            self.close()

    def _cancelled(self, _: Deferred[Response]) -> None:
        """The exchange is torn; what the endpoint does for it is not wanted any more."""
        self._answer = None
        self.cancel()

    def start(self) -> None:
        """The response's body has a reader; it flows already."""

    def pause(self) -> None:
        """The response's reader is slow."""
        if not self._paused and self.transport is not None:
            self._paused = True
            self.transport.pauseProducing()

    def resume(self) -> None:
        """The response's reader goes on."""
        if self._paused and self.transport is not None:
            self._paused = False
            self.transport.resumeProducing()

    def cancel(self) -> None:
        """Nobody reads the response any more."""
        call = self._call
        upload = call.body if call is not None and self._sending else None
        self._call = self._body = None
        self._sending = False
        self.close()
        if upload is not None:
            upload.cancel()

    def __repr__(self) -> str:
        state = "lost" if self.lost else "busy" if self._call else "idle"
        return f"<Http1Upstream {state} served={self.served}>"
