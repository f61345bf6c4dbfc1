"""The answering half of a downstream connection: it sends the response of the running exchange, then says what becomes of both.

It is the sink of the response's body. `Http1Downstream` (`downstream`) adds the reading half.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.protocol import Protocol
from twisted.logger import Logger
from twisted.python.failure import Failure

from edgegw.errors import GatewayError, Phase, Side
from edgegw.exchange.body import Body
from edgegw.exchange.drive import Drive
from edgegw.exchange.model import Exchange, Outcome, Response, Takeover
from edgegw.exchange.render import render
from edgegw.net.answer import Framed, frame_answer, frame_informational
from edgegw.net.patience import Patience
from edgegw.net.proxied import Placed
from edgegw.wire.events import Event, ResponseHead, Violation
from edgegw.wire.headers import Field
from edgegw.wire.http1 import RequestCodec
from edgegw.wire.http1_encode import encode_chunk, encode_last_chunk

if TYPE_CHECKING:
    from edgegw.net.listener import Listener

DISCARD = 256 * 1024
"""Bytes of an unwanted upload that are read and thrown away, so that the connection can live on or the answer be read."""

_ANY = float("inf")

_log = Logger("edgegw.net.answering")


class Answering(Placed, Protocol):
    """What is common to both halves, and the answering one.

    Args:
        listener: whom the connection came in by.
    """

    transport: Any

    def __init__(self, listener: Listener) -> None:
        self.listener = listener
        self.tls: Any = None
        # Fixed for the connection's life, whatever a reload makes of the listener.
        self._secure = listener.secure
        self._scheme = listener.scheme
        self._wheel = listener.wheel
        self._codec = RequestCodec(listener.limits, secure=listener.secure)
        self._patience = Patience(self, listener, listener.wheel)  # type: ignore[arg-type]
        # The exchange: being run by the drive, or being answered, or handed over. The upload may outlive it.
        self._exchange: Exchange | None = None
        self._drive: Drive[Response] | None = None
        self._answer: Response | None = None
        self._upload: Body | None = None
        self._discard_limit = 0
        self._taken: Any = None
        # What came behind it. Held: bytes are not parsed now. Deaf: nor ever again.
        self._queue: list[Event] = []
        self._raw: list[bytes] = []
        self._held = self._deaf = False
        self._linger_left = DISCARD
        # Why reading rests: for what is held, for the body's reader, for a switch of protocols. Then whether it does.
        self._held_back = self._body_paused = self._read_paused = False
        self._write_paused = False
        # Keep: the connection may serve on. Closing: not for long. Pushy: the peer may be sending more than was answered.
        self._keep = True
        self._closing = self._pushy = False
        self._chunked = False
        self._due = _ANY
        self._sent = 0
        self._requests = 0

    def _next(self) -> None:
        """No exchange runs: the next one begins, or its head is awaited."""
        raise NotImplementedError

    # The answer.

    def _respond(self, response: Response) -> None:
        exchange = self._exchange
        self._drive = None
        if exchange is None:
            response.body.cancel()
            return
        try:
            framed = self._frame(exchange, response)
            if framed is None:
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
                data = encode_chunk(data)
                if body.ended:
                    data += encode_last_chunk(body.trailers)
            self.transport.write(framed.head + data)
            if body.ended:
                self._finish(exchange, response)
                return
            if self._write_paused:
                # The transport says so once, and that may have been before this answer.
                body.pause()
            body.attach(self)
        except Exception as error:
            if self._answer is None and isinstance(error, GatewayError):
                self._respond_instead(exchange, response, error)
            else:
                self._broken(error)

    def _frame(self, exchange: Exchange, response: Response) -> Framed | None:
        """How the response goes out; None if it took the connection over.

        Raises:
            GatewayError: it cannot go out, and nothing was sent.
        """
        body, upload, listener = response.body, self._upload, self.listener
        if body.error is not None:
            raise body.error
        keep = self._keep and not self._closing and self._requests + 1 < listener.caps.requests
        keep = keep and listener.concessions.keep_alive
        if upload is not None and not self._can_outlive(exchange, upload):
            keep = False
        framed = frame_answer(exchange, response, keep, listener.date)
        if response.takeover is not None and not self._codec.held:
            behind = self._queue[0] if self._queue else None
            if isinstance(behind, Violation):
                # It was asked for, and more came behind the request than can wait for the switch.
                raise fault_of(behind, Phase.HEAD)
            raise GatewayError(500, "takeover_not_asked_for", phase=Phase.SEND)
        self._requests += 1
        self._answer = response
        if response.takeover is not None:
            self._hand_over(response.takeover, framed.head)
            return None
        self._keep = framed.keep
        self._chunked = framed.chunked
        self._due = _ANY if body.length is None else body.length
        return framed

    def _respond_instead(self, exchange: Exchange, response: Response, error: GatewayError) -> None:
        """Answer with the error: what was to be sent cannot be, and nothing was."""
        if exchange.failure is not None and exchange.failure.reason == error.reason:
            self._broken(error)
            return
        response.body.cancel()
        exchange.failure = error
        self._respond(render(error, exchange))

    def _can_outlive(self, exchange: Exchange, upload: Body) -> bool:
        """Whether the connection may serve on after this answer, as far as the upload is concerned."""
        if upload.error is None and upload.started:
            return True
        # A peer that waits for 100 may send the body or not: nobody can tell which bytes come next.
        return not exchange.head.expect_continue and upload.length is not None and not self._glut(upload)

    def _glut(self, upload: Body) -> bool:
        """More of an unwanted upload is known to come than is worth throwing away."""
        return upload.length is not None and upload.length - upload.size > DISCARD

    def write(self, data: bytes) -> None:
        """Response body data."""
        self._sent += len(data)
        if self._chunked:
            data = encode_chunk(data)
        elif self._sent > self._due:
            self._mismatch()
            return
        self.transport.write(data)

    def end(self, trailers: tuple[Field, ...]) -> None:
        """The response's body is complete."""
        exchange, response = self._exchange, self._answer
        if exchange is None or response is None:
            return
        if self._chunked:
            try:
                self.transport.write(encode_last_chunk(trailers))
            except GatewayError as unsafe:
                self.fail(exchange, unsafe)
                return
        elif self._sent != self._due and response.body.length is not None:
            self._mismatch()
            return
        self._finish(exchange, response)

    def abort(self, error: GatewayError) -> None:
        """The response broke off: the peer must not take it for complete."""
        if self._exchange is not None:
            self.fail(self._exchange, error)

    def _mismatch(self) -> None:
        """More bytes than announced would be taken for the next answer, fewer would make the peer wait."""
        self.abort(GatewayError(500, "response_length_mismatch", phase=Phase.RESPONSE_BODY))

    def fail(self, exchange: Exchange, error: GatewayError) -> None:
        """End an exchange by an error from outside its pipeline: answered if nothing was sent yet, else torn."""
        if exchange is not self._exchange:
            return
        answer = self._answer
        if answer is None:
            if self._drive is not None:
                self._drive.interrupt(error)
            else:
                exchange.refused = error
            return
        delimited_by_close = not self._chunked and answer.body.length is None
        self._tear(error, complete=False)
        if delimited_by_close:
            self._abort()
        else:
            self._close()

    def informational(self, exchange: Exchange, head: ResponseHead) -> None:
        """Forward a 1xx head (RFC 9110 15.2); HTTP/1.0 peers know none, and 100 and 101 are this connection's own to say."""
        if exchange is not self._exchange or self._answer is not None or exchange.head.version != "1.1":
            return
        if head.status in (100, 101):
            return
        try:
            self.transport.write(frame_informational(head))
        except GatewayError as unsafe:
            _log.warn("a {status} is not passed on: {error}", status=head.status, error=str(unsafe))

    def _hand_over(self, takeover: Takeover, head: bytes) -> None:
        transport = self.transport
        self._patience.taken_over()
        transport.write(head)
        transport.unregisterProducer()
        self._taken = taken = takeover.connect(transport, self._codec.release())
        self.dataReceived = taken.dataReceived  # type: ignore[method-assign]
        rebind = getattr(transport, "rebind", None)
        if rebind is not None:
            rebind()
        if self._read_paused:
            transport.resumeProducing()
        if self._closing and self._exchange is not None:
            takeover.drain()

    # The end of an exchange.

    def _finish(self, exchange: Exchange, response: Response) -> None:
        self._exchange = self._answer = None
        exchange.end(Outcome(response.status, True, exchange.request_size, self._sent, exchange.failure))
        if self._deaf:
            return
        upload = self._upload
        if upload is not None:
            upload.cancel()
            if self._glut(upload) or upload.size > self._discard_limit:
                self._keep = False
        if self._keep:
            self._next()
        elif upload is not None or self._pushy:
            self._linger()
        else:
            self._close()

    def _tear(self, error: GatewayError, complete: bool) -> None:
        """Stop everything an exchange does, and end it. complete: it ended as it should, in a takeover."""
        exchange, response, drive, upload = self._exchange, self._answer, self._drive, self._upload
        if exchange is None:
            return
        self._exchange = self._answer = self._drive = self._upload = None
        self._stop_listening()
        if not complete:
            exchange.failure = exchange.failure or error
        try:
            if drive is not None:
                drive.cancel(_drop)
            if upload is not None:
                upload.abort(error)
            if response is not None:
                response.body.cancel()
        except Exception:
            _log.failure("request {request_id} could not be stopped", request_id=exchange.id)
        status = response.status if response is not None else 0
        came, sent = exchange.request_size, self._sent
        if response is not None and response.takeover is not None:
            came, sent = response.takeover.carried
        exchange.end(Outcome(status, complete, came, sent, exchange.failure))

    def _broken(self, error: BaseException) -> None:
        """The edge stage itself failed, whose rescue should have answered; or its answer could not be sent."""
        _log.failure("an answer failed", failure=Failure(error))
        self._tear(GatewayError(500, "answer_failed", phase=Phase.SEND), complete=False)
        self._abort()

    # The end of the connection.

    def _stop_listening(self) -> None:
        self._deaf = self._held = self._closing = True
        self._linger_left = 0
        self._queue.clear()
        self._raw.clear()

    def _close(self) -> None:
        """Close when the peer has taken everything."""
        self._stop_listening()
        self._patience.parting()
        self.transport.unregisterProducer()
        self.transport.loseConnection()

    def _abort(self) -> None:
        self._stop_listening()
        self.transport.unregisterProducer()
        self.transport.abortConnection()

    def _linger(self) -> None:
        """Close so that the peer can read the answer though it is still sending: a reset would take it away.

        Over TLS nothing is closed yet: the answer says `close` and its length, and the peer does it.
        """
        self._stop_listening()
        self._linger_left = DISCARD
        self._body_paused = self._held_back = False
        self._patience.linger()
        self.transport.unregisterProducer()
        if self._read_paused:
            self._read_paused = False
            self.transport.resumeProducing()
        half_close = getattr(self.transport, "loseWriteConnection", None)
        if not self._secure and half_close is not None:
            half_close()

    def _turn_reading(self) -> None:
        """Read unless there is a reason not to."""
        rest = self._body_paused or self._held_back or bool(self._queue or self._raw)
        if rest == self._read_paused or self._deaf:
            return
        self._read_paused = rest
        if rest:
            self._patience.paused()
            self.transport.pauseProducing()
        else:
            self._patience.resumed()
            self.transport.resumeProducing()


def fault_of(violation: Violation, phase: Phase) -> GatewayError:
    """What the peer is answered that broke the protocol."""
    return GatewayError(
        violation.status, violation.reason, side=Side.DOWNSTREAM, phase=phase, detail=violation.detail, close=True
    )


def _drop(response: Response) -> None:
    """An answer that came when nobody waited for it any more."""
    response.body.cancel()
