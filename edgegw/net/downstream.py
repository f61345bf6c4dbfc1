"""Drives an HTTP/1.x codec on one downstream connection and emits exchanges, one at a time and in order.

The connection is the source of the request's body and the sink of the response's (`answering`). What it carries in one moment:

    between requests -> head arriving -> exchange running (upload perhaps still coming) -> answer sent -> between requests

Requests that were pipelined behind a running exchange wait, reading being paused: at most `PIPELINED` of them parsed, the rest as
the bytes of the reads that brought them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.internet.interfaces import IPushProducer
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from edgegw.errors import GatewayError, Phase, Side
from edgegw.exchange.body import EMPTY, Body
from edgegw.exchange.drive import Drive
from edgegw.exchange.model import Exchange, Request
from edgegw.net.answering import DISCARD, Answering, fault_of
from edgegw.wire.events import End, Event, RequestHead, Violation
from edgegw.wire.headers import Headers
from edgegw.wire.http1_encode import CONTINUE

if TYPE_CHECKING:
    from edgegw.net.listener import Listener
    from edgegw.net.tls import TlsFacts


@implementer(IPushProducer)
class Http1Downstream(Answering):
    """One downstream connection.

    Args:
        listener: whom it came in by. peer, peer_port, local_port: of the socket, or as PROXY protocol said. tls: what the
        handshake told, else None.
    """

    def __init__(
        self, listener: Listener, peer: str, peer_port: int, local_port: int, tls: TlsFacts | None = None
    ) -> None:
        super().__init__(listener)
        self.peer = peer
        self.peer_port = peer_port
        self.local_port = local_port
        self.tls = tls
        # An upload ended that its answer did not wait for.
        self._ended_late = False
        self._pumping = False

    # The connection's life.

    def connectionMade(self) -> None:
        """Twisted: accepted, and TLS, if there is any, established."""
        self.transport.registerProducer(self, True)
        self._patience.idle()
        self.listener.opened(self)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Twisted: gone. Whatever the exchange waits for is cancelled."""
        self._stop_listening()
        self._patience.over()
        try:
            if self._taken is not None:
                self._taken.connectionLost(reason)
        finally:
            if self._exchange is not None:
                gone = GatewayError(499, "downstream_left", side=Side.DOWNSTREAM, phase=Phase.RESPONSE_BODY)
                self._tear(gone, complete=self._taken is not None)
            self.listener.closed(self)

    def drain(self) -> None:
        """Finish what is in flight or on its way, then close; at once when nothing is."""
        self._closing = True
        if self._taken is not None and self._answer is not None and self._answer.takeover is not None:
            self._answer.takeover.drain()
        if self._held or self._exchange is not None or self._upload is not None:
            return
        if self._codec.head_bytes_pending or not self._requests:
            self._patience.draining()
        else:
            self._close()

    def abort_now(self) -> None:
        """End the connection, whatever it carries."""
        self._tear(GatewayError(503, "gateway_stopped", phase=Phase.RESPONSE_BODY), complete=False)
        self._abort()

    # Reading: the source of the request's body.

    def dataReceived(self, data: bytes) -> None:
        """Twisted: bytes came."""
        if self._held:
            self._set_aside(data)
            return
        self._patience.last_read_s = self._wheel.now_s
        events = self._codec.receive(data)
        upload = self._upload
        # Nearly every read of a big upload is this; nothing else may stand in its way.
        if upload is not None and len(events) == 1 and events[0].__class__ is bytes and upload.error is None:
            upload.write(events[0])
            return
        if not events:
            self._no_event()
            return
        self._handle(events)
        if self._ended_late:
            self._ended_late = False
            self._next()

    def _set_aside(self, data: bytes) -> None:
        """Bytes behind requests that wait; or that nobody will look at, read only so that the peer gets to its answer."""
        if not self._deaf:
            self._raw.append(data)
            return
        self._linger_left -= len(data)
        if self._linger_left < 0 and not self._read_paused:
            self._read_paused = True
            self.transport.pauseProducing()

    def _no_event(self) -> None:
        """A part of a head or of chunk framing, or bytes behind the last request."""
        if self._upload is not None:
            return
        if self._exchange is None:
            self._await_head()
        else:
            self._pushy = True
            if self._codec.held and not self._held_back:
                # For the protocol to come; no more of it than fits while the switch is being decided.
                self._held_back = True
                self._turn_reading()

    def _handle(self, events: list[Event]) -> None:
        started: Exchange | None = None
        for at, event in enumerate(events):
            kind = event.__class__
            if kind is bytes:
                self._upload_data(event)  # type: ignore[arg-type]
            elif kind is End:
                if self._upload is not None:
                    self._end_upload(self._upload, event)  # type: ignore[arg-type]
            elif kind is Violation and self._upload is not None:
                self._spoil(event, self._upload)  # type: ignore[arg-type]
            elif self._exchange is not None or self._write_paused:
                self._queue = events[at:]
                self._pushy = self._held = True
                break
            elif kind is RequestHead:
                started = self._begin(event)  # type: ignore[arg-type]
            else:
                started = self._refuse(event)  # type: ignore[arg-type]
            if self._deaf:
                return
        if self._held:
            self._turn_reading()
        if started is not None:
            self._drive = drive = Drive(self.listener.responder(started), self._respond, self._broken)  # type: ignore[arg-type]
            drive.start()

    def _next(self) -> None:
        """No exchange runs: the next one begins, or its head is awaited."""
        if self._deaf or self._upload is not None or self._exchange is not None:
            return
        if self._queue or self._raw or not self._codec.idle:
            self._pump()
        elif self._closing:
            self._close()
        else:
            self._patience.idle()

    def _await_head(self) -> None:
        if self._codec.head_bytes_pending:
            self._patience.head()
        elif self._closing:
            self._close()
        else:
            self._patience.idle()

    def _pump(self) -> None:
        """Go on with what waited."""
        if self._pumping:
            return
        self._pumping = True
        try:
            while events := self._take_waiting():
                self._handle(events)
        finally:
            self._pumping = False
        if self._deaf:
            return
        self._held = bool(self._queue or self._raw)
        self._held_back = False
        self._turn_reading()
        if self._free:
            self._await_head()

    @property
    def _free(self) -> bool:
        """The next request may begin. Not while the peer leaves the last answer unread: its answers would pile up."""
        return self._exchange is None and self._upload is None and not self._write_paused

    def _take_waiting(self) -> list[Event]:
        """What can be handled now of that which waited."""
        free = self._free
        if self._deaf or (self._queue and not free):
            return []
        if self._queue:
            events, self._queue = self._queue, []
            return events
        if free and self._codec.held and (events := self._codec.decline_upgrade()):
            return events
        if not free and not self._raw:
            return []
        data = b"".join(self._raw)
        self._raw.clear()
        return self._codec.receive(data)

    def _begin(self, head: RequestHead) -> Exchange:
        listener = self.listener
        if head.length == 0:
            body = EMPTY
            self._patience.busy()
        else:
            body = self._upload = Body(head.length, self)
            self._patience.upload(body, head.expect_continue)
        request = Request(head, self._scheme, body)
        self._exchange = exchange = Exchange(head, request, self, listener.current.snapshot, listener.clock())
        self._sent = 0
        if self.tls is not None and listener.misdirected(self.transport, head.host):
            exchange.refused = GatewayError(421, "misdirected_request", side=Side.DOWNSTREAM, phase=Phase.ROUTE)
        return exchange

    def _refuse(self, violation: Violation) -> Exchange:
        """A head that cannot be read becomes an exchange too; the router answers it."""
        self._keep = False
        self._closing = self._pushy = True
        head = RequestHead(
            violation.method or "-", violation.target, "", None, b"", "", None, "1.1", Headers(), 0, keep_alive=False
        )
        exchange = self._begin(head)
        exchange.refused = fault_of(violation, Phase.HEAD)
        return exchange

    def _spoil(self, violation: Violation, upload: Body) -> None:
        """The peer broke the protocol inside an upload: answered if nothing was sent yet, else torn; if it was wanted at all."""
        error = fault_of(violation, Phase.BODY)
        exchange, wanted, answered = self._exchange, upload.error is None, self._answer is not None
        self._upload = None
        self._keep = False
        self._closing = self._pushy = True
        if exchange is None:
            self._linger()
            return
        self._patience.busy()
        # Whoever reads the body may answer or end the exchange at once.
        upload.abort(error)
        if wanted and (answered or self._answer is None):
            self.fail(exchange, error)

    def _upload_data(self, data: bytes) -> None:
        upload = self._upload
        if upload is None:
            return
        upload.write(data)
        if upload.error is not None and upload.size > self._discard_limit and self._upload is upload:
            # More of an unwanted upload came than is worth throwing away.
            self._keep = False
            if self._exchange is None:
                self._linger()
            else:
                self.pause()

    def _end_upload(self, upload: Body, event: End) -> None:
        self._upload = None
        self._patience.busy()
        if self._body_paused:
            self.resume()
        self._ended_late = self._exchange is None
        upload.end(event.trailers)

    def late(self, violation: Violation) -> None:
        """From patience: the peer took too long for a head or a body."""
        self._handle([violation])

    def idle_over(self) -> None:
        """From patience: no request came."""
        self._close()

    def linger_over(self) -> None:
        """From patience: the peer has the last answer, and had time to read it."""
        self._close()

    def give_up(self, reason: str) -> None:
        """From patience: the peer takes or sends nothing any more."""
        self._tear(GatewayError(408, reason, side=Side.DOWNSTREAM, phase=Phase.RESPONSE_BODY), complete=False)
        self._abort()

    def start(self) -> None:
        """Somebody reads the request's body: only now is a waiting peer told to send it (RFC 9110 10.1.1)."""
        exchange, upload = self._exchange, self._upload
        if exchange is None or upload is None or not exchange.head.expect_continue or self._answer is not None:
            return
        self._patience.asked()
        if not upload.size:
            self.transport.write(CONTINUE)

    def pause(self) -> None:
        """The body's reader is slow."""
        self._body_paused = True
        self._turn_reading()

    def resume(self) -> None:
        """The body's reader goes on."""
        self._body_paused = False
        self._turn_reading()

    def cancel(self) -> None:
        """Nobody reads the rest of the upload; a little of it is still taken off the wire."""
        if self._upload is not None:
            self._discard_limit = self._upload.size + DISCARD
        self.resume()

    # Backpressure of the peer.

    def pauseProducing(self) -> None:
        """Twisted: the peer reads slowly."""
        self._write_paused = True
        self._patience.congested()
        if self._answer is not None:
            self._answer.body.pause()

    def resumeProducing(self) -> None:
        """Twisted: the peer took what waited."""
        self._write_paused = False
        self._patience.relieved()
        if self._answer is not None:
            self._answer.body.resume()
        elif self._exchange is None:
            self._next()

    def stopProducing(self) -> None:
        """Twisted: the transport is going; `connectionLost` follows."""

    def __repr__(self) -> str:
        state = repr(self._exchange) if self._exchange else "closing" if self._closing else "between requests"
        return f"<Http1Downstream {self.peer}:{self.peer_port} {state}, {self._requests} answered>"
