"""Drives an HTTP/1.x codec on one downstream connection and emits exchanges, one at a time and in order.

The connection is the source of the request's body and the sink of the response's. What it carries in one moment:

    between requests -> head arriving -> exchange running (upload perhaps still coming) -> answer sent -> between requests

Requests that were pipelined behind a running exchange wait as events, with reading paused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.interfaces import IHandshakeListener, IPushProducer
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from edgegw.errors import GatewayError, Phase, Side
from edgegw.exchange.body import EMPTY, Body
from edgegw.exchange.drive import Drive
from edgegw.exchange.model import Exchange, Outcome, Request, Response
from edgegw.net.answer import frame_answer
from edgegw.net.stall import unsent
from edgegw.wire.events import End, Event, RequestHead, ResponseHead, Violation
from edgegw.wire.headers import Field, Headers
from edgegw.wire.http1 import RequestCodec
from edgegw.wire.http1_encode import CONTINUE, encode_chunk, encode_informational, encode_last_chunk

if TYPE_CHECKING:
    from edgegw.net.listener import Listener

UPLOAD_CHECK_S = 5.0
LINGER_S = 2.0
DISCARD = 256 * 1024
"""Bytes of an unwanted upload that are read and thrown away, so that the connection can live on or the answer be read."""

_log = Logger("edgegw.net.downstream")


@implementer(IPushProducer, IHandshakeListener)
class Http1Downstream(Protocol):
    """One downstream connection.

    Args:
        listener: whom it came in by. peer, peer_port, local_port: of the socket, or as PROXY protocol said.
    """

    def __init__(self, listener: Listener, peer: str, peer_port: int, local_port: int) -> None:
        self.listener = listener
        self.peer = peer
        self.peer_port = peer_port
        self.local_port = local_port
        self.tls: Any = None
        self._codec = RequestCodec(listener.limits, secure=listener.secure)
        self._deadline = listener.wheel.deadline(self._expired)
        self._stall = listener.wheel.deadline(self._stalled)
        self._stall_mark: tuple[int, int] = (0, 0)
        self._queue: list[Event] = []
        self._exchange: Exchange | None = None
        self._upload: Body | None = None
        self._drive: Drive[Response] | None = None
        self._answer: Response | None = None
        self._taken: Any = None
        self._read_paused = False
        self._handshaking = listener.secure
        self._head_pending = False
        self._lingering = False
        self._pumping = False
        self._closing = False
        self._keep = True
        self._chunked = False
        self._sent = 0
        self._requests = 0
        self._upload_mark = (0, 0.0)
        self._last_read_s = 0.0
        self._discard_limit = 0
        self._linger_left = DISCARD

    # The connection's life.

    def connectionMade(self) -> None:
        """Twisted: accepted; below TLS the handshake is still to come."""
        assert self.transport is not None
        self.transport.registerProducer(self, True)
        caps = self.listener.caps
        self._deadline.set(caps.handshake if self._handshaking else caps.idle)
        self.listener.opened(self)

    def handshakeCompleted(self) -> None:
        """Twisted: the TLS handshake is done."""
        self._handshaking = False
        self.tls = self.listener.tls_facts(self.transport)
        self._deadline.set(self.listener.caps.idle)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Twisted: gone. Whatever the exchange waits for is cancelled."""
        self._deadline.drop()
        self._stall.drop()
        self._queue.clear()
        self.listener.closed(self, reason, self._handshaking)
        if self._taken is not None:
            self._taken.connectionLost(reason)
        if self._exchange is not None:
            gone = GatewayError(499, "downstream_left", side=Side.DOWNSTREAM, phase=Phase.RESPONSE_BODY)
            self._tear(self._exchange, self._exchange.failure or gone, complete=self._taken is not None)

    def drain(self) -> None:
        """Finish what is in flight, then close; at once when nothing is."""
        self._closing = True
        if self._exchange is None and self._upload is None and not self._lingering:
            self._close()

    def abort_now(self) -> None:
        """End the connection, whatever it carries."""
        if self.transport is not None:
            self.transport.unregisterProducer()
            self.transport.abortConnection()

    def _close(self) -> None:
        self._deadline.set(LINGER_S)
        if self.transport is not None:
            self.transport.unregisterProducer()
            self.transport.loseConnection()

    def _linger(self) -> None:
        """Close so that the peer can read the answer though it is still sending: a reset would take it away."""
        half_close = getattr(self.transport, "loseWriteConnection", None)
        if self.listener.secure or half_close is None or self.transport is None:
            self._close()
            return
        self._lingering = True
        self._deadline.set(LINGER_S)
        self.resume()
        self.transport.unregisterProducer()
        half_close()

    # Reading: the source of the request's body.

    def dataReceived(self, data: bytes) -> None:
        """Twisted: bytes came."""
        if self._lingering:
            self._linger_left -= len(data)
            if self._linger_left < 0:
                self.abort_now()
            return
        self._last_read_s = self.listener.wheel.now_s
        self._handle(self._codec.receive(data))

    def _handle(self, events: list[Event]) -> None:
        started: Exchange | None = None
        upload = self._upload
        for at, event in enumerate(events):
            kind = event.__class__
            if kind is bytes:
                if upload is not None:
                    upload.write(event)  # type: ignore[arg-type]
                    if upload.error is not None and upload.size > self._discard_limit:
                        self._too_much(upload)
            elif kind is End:
                upload = self._end_upload(upload, event)  # type: ignore[arg-type]
            elif self._exchange is not None and not (kind is Violation and upload is not None):
                self._queue.extend(events[at:])
                self.pause()
                break
            elif kind is RequestHead:
                started = self._begin(event)  # type: ignore[arg-type]
                upload = self._upload
            else:
                started = self._refuse(event, upload) or started  # type: ignore[arg-type]
                upload = None
        if started is not None:
            self._run(started)
        elif self._exchange is None and self._upload is None:
            self._between()

    def _between(self) -> None:
        """No exchange runs: the next head is awaited, or on its way."""
        if self._queue:
            self._pump()
            return
        if self._codec.head_bytes_pending:
            if not self._head_pending:
                self._head_pending = True
                self._deadline.set(self.listener.caps.head_deadline)
        elif self._closing and not self._lingering:
            self._close()

    def _begin(self, head: RequestHead) -> Exchange:
        self._head_pending = False
        listener = self.listener
        body = EMPTY if head.length == 0 else Body(head.length, self)
        request = Request(head, listener.scheme, body)
        exchange = Exchange(head, request, self, listener.current.snapshot, listener.clock())
        self._exchange = exchange
        self._sent = 0
        if body is EMPTY:
            self._deadline.clear()
        else:
            self._upload = body
            self._upload_mark = (0, self.listener.wheel.now_s)
            self._deadline.set(UPLOAD_CHECK_S)
        if self.tls is not None and listener.misdirected(self.transport, head.host):
            exchange.refused = GatewayError(421, "misdirected_request", side=Side.DOWNSTREAM, phase=Phase.ROUTE)
        return exchange

    def _refuse(self, violation: Violation, upload: Body | None) -> Exchange | None:
        """The peer broke the protocol. Inside an upload the exchange hears of it; else the head becomes an exchange."""
        error = GatewayError(
            violation.status, violation.reason, side=Side.DOWNSTREAM, phase=Phase.HEAD, detail=violation.detail, close=True
        )
        self._keep = False
        self._closing = True
        if upload is not None:
            self._upload = None
            error.phase = Phase.BODY
            upload.abort(error)
            if self._exchange is None:
                self._linger()
            return None
        head = RequestHead(
            violation.method or "-", violation.target, "", None, b"", "", None, "1.1", Headers(), 0, keep_alive=False
        )
        exchange = self._begin(head)
        exchange.refused = error
        return exchange

    def _end_upload(self, upload: Body | None, event: End) -> Body | None:
        if upload is not None:
            self._upload = None
            self._deadline.clear()
            upload.end(event.trailers)
            if self._exchange is None:
                self._deadline.set(self.listener.caps.idle)
        return None

    def _too_much(self, upload: Body) -> None:
        """More of an unwanted upload came than is worth throwing away."""
        if self._exchange is None:
            self._linger()
        else:
            self.pause()

    def _run(self, exchange: Exchange) -> None:
        self._drive = drive = Drive(self.listener.responder(exchange), self._respond, self._broken)
        drive.start()

    def _pump(self) -> None:
        """Begin the next of the requests that waited."""
        if self._pumping:
            return
        self._pumping = True
        try:
            while self._queue and self._exchange is None and self._upload is None:
                events, self._queue = self._queue, []
                self._handle(events)
        finally:
            self._pumping = False
        if not self._queue and self._upload is None:
            self.resume()

    def start(self) -> None:
        """Somebody reads the request's body: only now is a waiting peer told to send it (RFC 9110 10.1.1)."""
        exchange = self._exchange
        if exchange is not None and exchange.head.expect_continue and self._answer is None and self.transport is not None:
            self.transport.write(CONTINUE)

    def pause(self) -> None:
        """Read no more for now."""
        if not self._read_paused and self.transport is not None:
            self._read_paused = True
            self.transport.pauseProducing()

    def resume(self) -> None:
        """Read again."""
        if self._read_paused and self.transport is not None:
            self._read_paused = False
            self._last_read_s = self.listener.wheel.now_s
            self.transport.resumeProducing()

    def cancel(self) -> None:
        """Nobody reads the rest of the upload; a little of it is still taken off the wire."""
        if self._upload is not None:
            self._discard_limit = self._upload.size + DISCARD
        self.resume()

    # Writing: the sink of the response's body.

    def _respond(self, response: Response) -> None:
        exchange = self._exchange
        self._drive = None
        if exchange is None or self.transport is None:
            response.body.cancel()
            return
        self._answer = response
        self._requests += 1
        keep = self._keep and not self._closing and self._requests < self.listener.caps.requests
        framed = frame_answer(exchange, response, keep and self._can_outlive(exchange), self.listener.date)
        self._keep = framed.keep
        self._chunked = framed.chunked
        if response.takeover is not None:
            self._hand_over(exchange, response, framed.head)
            return
        body = response.body
        if framed.bodiless:
            self.transport.write(framed.head)
            body.cancel()
            self._finish(exchange, response)
            return
        data = body.take_ready()
        self._sent = len(data)
        if framed.chunked:
            data = encode_chunk(data) if data else b""
            if body.ended:
                data += encode_last_chunk(body.trailers)
        self.transport.write(framed.head + data)
        if body.ended:
            self._finish(exchange, response)
        else:
            body.attach(self)

    def _can_outlive(self, exchange: Exchange) -> bool:
        """Whether the connection may serve on after this answer, as far as the upload is concerned."""
        upload = self._upload
        if upload is None or upload.error is None and upload.started:
            return True
        # A peer that waits for 100 may send the body or not: nobody can tell which bytes come next.
        return not exchange.head.expect_continue and (upload.length or DISCARD + 1) - upload.size <= DISCARD

    def write(self, data: bytes) -> None:
        """Response body data."""
        self._sent += len(data)
        self.transport.write(encode_chunk(data) if self._chunked else data)  # type: ignore[union-attr]

    def end(self, trailers: tuple[Field, ...]) -> None:
        """The response's body is complete."""
        exchange, response = self._exchange, self._answer
        if exchange is None or response is None or self.transport is None:
            return
        if self._chunked:
            self.transport.write(encode_last_chunk(trailers))
        elif response.body.length is not None and response.body.length != self._sent:
            self.abort(GatewayError(500, "response_length_mismatch", phase=Phase.RESPONSE_BODY))
            return
        self._finish(exchange, response)

    def abort(self, error: GatewayError) -> None:
        """The response broke off: the peer must not take it for complete."""
        exchange = self._exchange
        if exchange is not None:
            self.fail(exchange, error)

    def fail(self, exchange: Exchange, error: GatewayError) -> None:
        """End an exchange by an error from outside its pipeline: answered if nothing was sent yet, else torn."""
        if exchange is not self._exchange:
            return
        if self._answer is None:
            if self._drive is not None:
                self._drive.interrupt(error)
            return
        delimited_by_close = not self._chunked and self._answer.body.length is None
        self._tear(exchange, error, complete=False)
        if delimited_by_close:
            self.abort_now()
        else:
            self._close()

    def _finish(self, exchange: Exchange, response: Response) -> None:
        self._exchange = self._answer = None
        upload = self._upload
        exchange.end(Outcome(response.status, True, exchange.request_size, self._sent, exchange.failure))
        if upload is not None and upload.error is None:
            upload.cancel()
        if not self._keep:
            if upload is not None or exchange.refused is not None:
                self._linger()
            else:
                self._close()
            return
        if upload is None:
            self._deadline.set(self.listener.caps.idle)
        if exchange.head.upgrade:
            self._queue[:0] = self._codec.decline_upgrade()
        if self._queue:
            self._pump()
        elif self._closing and upload is None:
            self._close()

    def _tear(self, exchange: Exchange, error: GatewayError, complete: bool) -> None:
        """Stop everything an exchange does, and end it."""
        response, drive, upload = self._answer, self._drive, self._upload
        self._exchange = self._answer = self._drive = self._upload = None
        self._closing = True
        exchange.failure = exchange.failure or error
        if drive is not None:
            drive.cancel()
        if upload is not None:
            upload.abort(error)
        if response is not None:
            response.body.cancel()
        status = response.status if response is not None else 0
        exchange.end(Outcome(status, complete, exchange.request_size, self._sent, exchange.failure))

    def _broken(self, error: BaseException) -> None:
        """The edge stage itself failed; its rescue should have answered."""
        _log.failure("the edge stage failed", failure=Failure(error))
        if self._exchange is not None:
            self._tear(self._exchange, GatewayError(500, "edge_stage_failed"), complete=False)
        self.abort_now()

    def informational(self, exchange: Exchange, head: ResponseHead) -> None:
        """Forward a 1xx head (RFC 9110 15.2); HTTP/1.0 peers know none."""
        if exchange is self._exchange and self._answer is None and exchange.head.version == "1.1" and self.transport:
            self.transport.write(encode_informational(head.status, head.headers.fields))

    def _hand_over(self, exchange: Exchange, response: Response, head: bytes) -> None:
        assert self.transport is not None and response.takeover is not None
        self._deadline.clear()
        self.transport.write(head)
        self.transport.unregisterProducer()
        self._taken = taken = response.takeover.connect(self.transport, self._codec.release())
        self.dataReceived = taken.dataReceived  # type: ignore[method-assign]
        rebind = getattr(self.transport, "rebind", None)
        if rebind is not None:
            rebind()

    # Backpressure and deadlines.

    def pauseProducing(self) -> None:
        """Twisted: the peer reads slowly."""
        self._stall_mark = unsent(self.transport)
        self._stall.set(self.listener.caps.write_gap)
        if self._answer is not None:
            self._answer.body.pause()

    def resumeProducing(self) -> None:
        """Twisted: the peer took what waited."""
        self._stall.clear()
        if self._answer is not None:
            self._answer.body.resume()

    def stopProducing(self) -> None:
        """Twisted: the transport is going; `connectionLost` follows."""

    def _stalled(self) -> None:
        """The peer took too little for the send buffer to empty; has it taken anything at all?"""
        mark = unsent(self.transport)
        if mark != self._stall_mark:
            self._stall_mark = mark
            self._stall.set(self.listener.caps.write_gap)
            return
        if self._exchange is not None:
            slow = GatewayError(408, "write_timeout", side=Side.DOWNSTREAM, phase=Phase.RESPONSE_BODY)
            self._tear(self._exchange, slow, complete=False)
        self.abort_now()

    def _expired(self) -> None:
        if self._upload is not None and not self._lingering:
            self._check_upload(self._upload)
        elif self._head_pending and self._exchange is None:
            violation = Violation(408, "head_timeout", f"no complete head within {self.listener.caps.head_deadline:g} s")
            self._handle([violation])
        elif self._handshaking or self._lingering or self._closing:
            self.abort_now()
        elif self._exchange is None:
            self._close()

    def _check_upload(self, upload: Body) -> None:
        """Refuse an upload that stands still or trickles (R.U.D.Y.); time that reading was paused does not count."""
        now, caps = self.listener.wheel.now_s, self.listener.caps
        size, since = self._upload_mark
        if self._read_paused:
            self._upload_mark = (upload.size, now)
        elif now - self._last_read_s >= caps.body_gap and now - since >= caps.body_gap:
            self._handle([Violation(408, "body_timeout", f"no body data for {caps.body_gap:g} s")])
            return
        elif now - since >= caps.body_rate_after:
            if (upload.size - size) < caps.body_rate * (now - since):
                self._handle([Violation(408, "body_too_slow", f"less than {caps.body_rate} bytes/s of body")])
                return
            self._upload_mark = (upload.size, now)
        self._deadline.set(UPLOAD_CHECK_S)

    def __repr__(self) -> str:
        state = repr(self._exchange) if self._exchange else "closing" if self._closing else "between requests"
        return f"<Http1Downstream {self.peer}:{self.peer_port} {state}, {self._requests} answered>"
