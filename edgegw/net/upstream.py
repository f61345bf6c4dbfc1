"""Sends one exchange after another on one upstream connection, HTTP/1.1.

The connection is the sink of the request's body and the source of the response's; backpressure on either side reaches the other
through `Body`. What it owes its owner (the pool) are two calls: `idle` when it may carry the next exchange, `closed` once, in the
moment when it can carry none any more.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IPushProducer
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from edgegw.errors import GatewayError, Phase, Retry, Side
from edgegw.exchange.body import Body
from edgegw.exchange.model import Response
from edgegw.net.call import Call, Owner, Upload
from edgegw.net.stall import TAKEN, unsent
from edgegw.net.tls_transport import TlsError
from edgegw.runtime.wheel import Wheel
from edgegw.wire.connection import hop_by_hop
from edgegw.wire.events import UNTIL_CLOSE, End, Event, ResponseHead, Violation
from edgegw.wire.headers import Field
from edgegw.wire.http1 import Http1Limits, ResponseCodec
from edgegw.wire.http1_encode import encode_chunk, encode_last_chunk, encode_request_head

LINGER_S = 2.0
"""How long the end of an idle connection may take before it is cut."""


@implementer(IPushProducer)
class Http1Upstream(Protocol):
    """One connection to one endpoint. wheel: for its deadlines. limits: of the response codec."""

    transport: Any
    room = 1
    """Exchanges that it can carry at once."""

    def __init__(self, wheel: Wheel, limits: Http1Limits) -> None:
        self._codec = ResponseCodec(limits)
        self._deadline = wheel.deadline(self._expired)
        self._call: Call | None = None
        self._answer: Deferred[Response] | None = None
        self._body: Body | None = None
        self._head, self._left, self._unsent = b"", 0, TAKEN
        self._sending = self._blocked = self._paused = self._received = self._closing = False
        self._taken: Any = None
        self.owner: Owner | None = None
        self.served = 0
        self.lost = False

    # The connection's life.

    def connectionMade(self) -> None:
        """Twisted: connected (and, below TLS, about to shake hands)."""
        self.transport.registerProducer(self, True)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Twisted: gone. Ends what it carried, in the way its framing allows."""
        self.lost = True
        if self._taken is not None:
            self._taken.connectionLost(reason)
            return
        self._leave()
        self._deadline.drop()
        clean = reason.check(ConnectionDone) is not None
        if clean and self._body is not None:
            # Only an orderly end can be that of a body without a length; a reset tore it.
            ended = self._codec.receive_eof()
            if ended and ended[0].__class__ is End:
                self._deliver(ended)
        if self._body is not None:
            self._fail(502, "upstream_aborted", reason.getErrorMessage())
        elif self._call is not None:
            name = "upstream_closed" if clean else "upstream_tls" if reason.check(TlsError) else "upstream_reset"
            retry = Retry.NEVER if self._received else Retry.IF_IDEMPOTENT
            self._fail(502, name, reason.getErrorMessage(), retry)

    def _leave(self) -> None:
        """It can carry no further exchange: its owner forgets it now, not when the loop gets round to closing it."""
        self._closing = True
        owner, self.owner = self.owner, None
        if owner is not None:
            owner.closed(self)

    def close(self) -> None:
        """Cut the connection; nothing it carries is waited for."""
        self._leave()
        self._deadline.drop()
        if self.transport is not None and not self.lost:
            self.transport.unregisterProducer()
            self.transport.abortConnection()

    def retire(self) -> None:
        """End the connection, which carries nothing: in an orderly way, because a reset looks like a fault to the upstream."""
        self._leave()
        if self.transport is not None and not self.lost:
            self._deadline.set(LINGER_S)
            self.transport.unregisterProducer()
            self.transport.loseConnection()

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

        Raises:
            GatewayError: 500 `unsafe_head`; nothing was sent then, and the connection is free again, or ends if nobody owns it.
        """
        assert self._call is None
        try:
            head = encode_request_head(call.method, call.target, call.fields)
        except GatewayError:
            if self.owner is not None:
                self.owner.idle(self)
            else:
                # It was made for this call, and nobody waits to have it back.
                self.retire()
            raise
        self._codec.expect(call.method, upgrade=call.upgrade)
        self._call = call
        self.served += 1
        self._received = False
        answer = self._answer = Deferred(self._cancelled)
        self._deadline.set(call.head_timeout_s)
        if call.body is None:
            self.transport.write(head)
            return answer
        self._sending = True
        self._left = call.length or 0
        self._head = head
        call.body.attach(self)
        if self._head and self._call is call:
            self.transport.write(self._head)
            self._head = b""
        return answer

    def write(self, data: bytes) -> None:
        """Request body data; the first of it leaves together with the head."""
        call = self._call
        if call is None or not self._sending:
            return
        if call.length is None:
            data = encode_chunk(data)
        else:
            self._left -= len(data)
            if self._left < 0:
                self._mismatch()
                return
        if self._head:
            data = self._head + data
            self._head = b""
        self.transport.write(data)
        limit_s = call.send_timeout_s if self._blocked else call.head_timeout_s
        self._deadline.set(limit_s if self._body is None else call.idle_timeout_s)

    def end(self, trailers: tuple[Field, ...]) -> None:
        """The request's body is complete."""
        call = self._call
        if call is None or not self._sending:
            return
        if self._left:
            self._mismatch()
            return
        self._sending = False
        last = encode_last_chunk(trailers) if call.length is None else b""
        if self._head or last:
            self.transport.write(self._head + last)
            self._head = b""
        if self._body is None:
            self._deadline.set(call.send_timeout_s if self._blocked else call.head_timeout_s)

    def abort(self, error: GatewayError) -> None:
        """The request's body broke off: the upstream peer must not take it for complete."""
        if self._sending:
            self._sending = False
            self._finish(error)

    def _mismatch(self) -> None:
        """What somebody put in place of the body is not as long as the head says; the next request would be read out of it."""
        self._finish(GatewayError(500, "request_length_mismatch", phase=Phase.SEND))

    def pauseProducing(self) -> None:
        """Twisted: the upstream peer reads slowly."""
        self._blocked = True
        self._unsent = unsent(self.transport)
        if self._sending and self._call is not None and self._call.body is not None:
            self._call.body.pause()

    def resumeProducing(self) -> None:
        """Twisted: it reads again."""
        self._blocked = False
        if (call := self._call) is not None and self._body is None:
            self._deadline.set(call.head_timeout_s)
        if self._sending and call is not None and call.body is not None:
            call.body.resume()

    def stopProducing(self) -> None:
        """Twisted: the transport is going; `connectionLost` follows."""

    # Receiving: the source of the response's body.

    def dataReceived(self, data: bytes) -> None:
        """Twisted: bytes came."""
        call, body = self._call, self._body
        if call is None:
            # Nobody asked: whatever this is, the next exchange must not take it for its answer.
            self.close()
            return
        self._received = True
        events = self._codec.receive(data)
        if body is not None:
            self._deadline.set(call.idle_timeout_s)
            if len(events) == 1 and events[0].__class__ is bytes:
                body.write(events[0])
                return
        self._deliver(events)

    def _deliver(self, events: list[Event]) -> None:
        response: Response | None = None
        answer: Deferred[Response] | None = None
        for event in events:
            call = self._call
            if call is None:
                break
            kind = event.__class__
            if kind is bytes:
                if self._body is not None:
                    self._body.write(event)  # type: ignore[arg-type]
            elif kind is End:
                self._complete(call, event.trailers)  # type: ignore[union-attr]
                break
            elif kind is Violation:
                self._fail(502, event.reason, event.detail)  # type: ignore[union-attr, arg-type]
                break
            else:
                response = self._begin(event, call, events[-2:])  # type: ignore[arg-type]
                if response is not None:
                    answer, self._answer = self._answer, None
        # With everything of its body that came along, so that they leave together.
        if response is not None and answer is not None:
            answer.callback(response)

    def _begin(self, head: ResponseHead, call: Call, behind: list[Event]) -> Response | None:
        if head.status == 101:
            return Response(101, head.headers)  # It was asked for; the codec holds what comes behind it.
        if head.status < 200:
            if head.status != 100:
                head.headers.remove_all(hop_by_hop(head.headers))
                call.informational(head)
            return None
        length, data = head.length, behind[0]
        if data.__class__ is bytes and len(data) == length:
            # All of it came in this read, as most answers do: nothing has to flow.
            return Response(head.status, head.headers, Body.of(data), reason=head.reason)
        self._body = body = Body(None if length == UNTIL_CLOSE else length, self)
        self._deadline.set(call.idle_timeout_s)
        return Response(head.status, head.headers, body, reason=head.reason)

    def _complete(self, call: Call, trailers: tuple[Field, ...]) -> None:
        """The response is whole. Back to the owner before anybody is told: what follows may need a connection at once."""
        body = self._body
        upload = call.body if self._sending else None
        self._call = self._body = None
        self._sending = False
        if self._paused:
            self._paused = False
            self.transport.resumeProducing()
        if upload is not None or self._blocked:
            self.close()
        elif self.lost or call.upgrade or not self._codec.reusable:
            self.retire()
        elif self.owner is not None:
            self.owner.idle(self)
        if call.ended is not None:
            call.ended()
        if body is not None:
            body.end(trailers)
        if upload is not None:
            upload.cancel()

    def hand_over(self, connect: Callable[[Any, bytes], Any]) -> None:
        """After a 101: leave the pool for good. `connect(transport, bytes behind the 101)` returns the new `IProtocol`.

        Raises:
            GatewayError: 502 `upstream_aborted`: it was lost, or sent more than can wait, since its 101.
        """
        if self._call is None or self.lost:
            raise GatewayError(502, "upstream_aborted", side=Side.UPSTREAM, phase=Phase.RESPONSE_HEAD)
        transport, self._call = self.transport, None
        self._deadline.drop()
        self._leave()
        transport.unregisterProducer()
        self._taken = connect(transport, self._codec.release())
        self.dataReceived = self._taken.dataReceived  # type: ignore[method-assign]
        getattr(transport, "rebind", lambda: None)()

    # Endings.

    def _fail(self, status: int, reason: str, detail: str, retry: Retry = Retry.NEVER) -> None:
        phase = Phase.RESPONSE_HEAD if self._body is None else Phase.RESPONSE_BODY
        self._finish(GatewayError(status, reason, side=Side.UPSTREAM, phase=phase, retry=retry, detail=detail))

    def _finish(self, error: GatewayError) -> None:
        """Cut the connection, then tell whoever waits: the caller before the head, the body's reader after it."""
        body, answer, self._answer = self._body, self._answer, None
        upload = self._let_go()
        if body is not None:
            body.abort(error)
        if answer is not None:
            answer.errback(error)
        elif upload is not None:
            upload.cancel()

    def _let_go(self) -> Upload | None:
        """Cut the connection, with what it carries. Returns: the upload that was under way."""
        upload = self._call.body if self._call is not None and self._sending else None
        self._call = self._body = None
        self._sending = False
        self._head = b""
        self.close()
        return upload

    def _expired(self) -> None:
        call, body = self._call, self._body
        if self._closing:
            self.close()
        elif call is None:
            self.retire()
        elif body is None:
            if self._blocked and not self._moved():
                self._fail(504, "upstream_send_timeout", f"nothing was taken for {call.send_timeout_s:g} s")
            elif self._sending or self._blocked:
                # The request is not complete; the pace of its sender is the downstream side's to judge.
                self._deadline.set(call.send_timeout_s if self._blocked else call.head_timeout_s)
            else:
                self._fail(504, "upstream_head_timeout", f"no response head within {call.head_timeout_s:g} s")
        elif self._paused and body.started:
            self._deadline.set(call.idle_timeout_s)
        else:
            self._fail(504, "upstream_idle_timeout", f"no response data for {call.idle_timeout_s:g} s")

    def _moved(self) -> bool:
        """Whether the peer, which reads slowly, took anything since it was asked last."""
        before, self._unsent = self._unsent, unsent(self.transport)
        return self._unsent != before

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
            if self._call is not None:
                self._deadline.set(self._call.idle_timeout_s)
            self.transport.resumeProducing()

    def cancel(self) -> None:
        """Nobody reads the response any more."""
        if self._call is not None and (upload := self._let_go()) is not None:
            upload.cancel()

    def __repr__(self) -> str:
        states = ("lost", self.lost), ("handed over", self._taken), ("closing", self._closing), ("busy", self._call)
        state = next((name for name, holds in states if holds), "idle")
        return f"<Http1Upstream {state} served={self.served}>"
