"""One exchange on a downstream HTTP/2 connection.

A stream is the source of the request's body, the sink of the response's, and what the exchange knows as its connection. Credit is
the backpressure of an upload: the peer gets it back for what somebody took, never for what waits; an answer that the peer's windows
hold up waits in the codec, and its source is paused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.logger import Logger
from twisted.python.failure import Failure

from edgegw.errors import GatewayError, Phase, Side
from edgegw.exchange.body import EMPTY, Body
from edgegw.exchange.drive import Drive
from edgegw.exchange.model import Exchange, Outcome, Request, Response
from edgegw.exchange.render import render
from edgegw.net.http2_answer import frame_answer
from edgegw.net.http2_takeover import StreamTransport
from edgegw.net.patience import Patience
from edgegw.wire.events import RequestHead, ResponseHead, Violation
from edgegw.wire.headers import Field
from edgegw.wire.http2_limits import ErrorCode

if TYPE_CHECKING:
    from edgegw.net.http2_downstream import Http2Downstream

DISCARD = 256 * 1024
"""Bytes of an unwanted upload that are still given credit for, so that its peer gets to the answer."""

_ANY = float("inf")

_log = Logger("edgegw.net.http2_stream")


class Http2Stream:
    """One stream.

    Args:
        connection: that carries it. sid: its number. head: what was asked.
    """

    __slots__ = (
        "_answer", "_choked", "_codec", "_connection", "_credit", "_discard", "_drive", "_due", "_ending", "_exchange",
        "_hold", "_patience", "_sent", "_taken", "_upload", "_verdict", "sid",
    )  # fmt: skip

    def __init__(self, connection: Http2Downstream, sid: int, head: RequestHead) -> None:
        self.sid = sid
        self._connection = connection
        self._codec = connection.codec
        self._drive: Drive[Response] | None = None
        self._answer: Response | None = None
        self._taken: StreamTransport | None = None
        self._patience: Patience | None = None
        # The upload: bytes that came and were not credited, whether credit is held back, and how much more may be thrown away.
        self._credit = 0
        self._hold = True
        self._discard = _ANY
        # The answer: what was sent and is due; held up by a window; complete but for that; the code of a reset behind it.
        self._sent = 0
        self._due = _ANY
        self._choked = self._ending = False
        self._verdict = ErrorCode.NO_ERROR
        self._upload: Body | None = None
        body = EMPTY
        listener = connection.listener
        if head.length != 0:
            body = self._upload = Body(head.length, self)
            self._patience = Patience(self, listener, listener.wheel)
            # Before somebody reads it gets one window's worth of credit, so it owes nothing until then.
            self._patience.upload(body, waived=True)
        request = Request(head, listener.scheme, body)
        self._exchange: Exchange | None = Exchange(head, request, self, listener.current.snapshot, listener.clock())

    # What an exchange may know of its connection.

    @property
    def peer(self) -> str:
        """Address of the other side."""
        return self._connection.peer

    @property
    def peer_port(self) -> int:
        """Its port."""
        return self._connection.peer_port

    @property
    def local_host(self) -> str:
        """Our address."""
        return self._connection.local_host

    @property
    def local_port(self) -> int:
        """Ours."""
        return self._connection.local_port

    @property
    def tls(self) -> Any:
        """What the handshake told, or None."""
        return self._connection.tls

    @property
    def listener(self) -> Any:
        """Whom the connection came in by."""
        return self._connection.listener

    @property
    def transport(self) -> Any:
        """For patience: what was written and not sent is counted here."""
        return self

    def unsent_bytes(self) -> int:
        """Bytes of the answer that wait for a window."""
        return self._codec.waiting(self.sid)

    # The beginning.

    def refuse(self, error: GatewayError, verdict: ErrorCode = ErrorCode.NO_ERROR) -> None:
        """The router answers it with this error. verdict: the code of the reset behind the answer, if one is due."""
        assert self._exchange is not None
        self._exchange.refused = error
        self._verdict = verdict

    def run(self) -> None:
        """Answer it."""
        exchange = self._exchange
        if exchange is not None:
            drive = self._drive = Drive(self.listener.responder(exchange), self._respond, self._broken)
            drive.start()

    # The request's body.

    def received(self, data: bytes) -> None:
        """Body data came."""
        upload = self._upload
        size = len(data)
        if upload is None:
            self._codec.consumed(self.sid, size)
            return
        if self._patience is not None:
            self._patience.last_read_s = self._connection.now_s
        self._credit += size
        upload.write(data)
        if not self._hold:
            self._settle()

    def _settle(self) -> None:
        """Give credit for what was taken; of an unwanted upload only for a little more."""
        size, self._credit = self._credit, 0
        self._discard -= size
        if size and self._discard >= 0:
            self._codec.consumed(self.sid, size)

    def ended(self, trailers: tuple[Field, ...]) -> None:
        """The request is complete."""
        upload, self._upload = self._upload, None
        if upload is not None:
            if self._patience is not None:
                self._patience.busy()
            self._credit = 0
            upload.end(trailers)

    def spoilt(self, violation: Violation, verdict: ErrorCode) -> None:
        """The peer broke the protocol inside the upload, or was too slow with it."""
        exchange, upload = self._exchange, self._upload
        error = fault_of(violation, Phase.BODY)
        self._upload = None
        self._verdict = verdict
        if exchange is None or upload is None:
            return
        if self._patience is not None:
            self._patience.busy()
        answered, wanted = self._answer is not None, upload.error is None
        upload.abort(error)
        if wanted and (answered or self._answer is None):
            self.fail(exchange, error)

    def late(self, violation: Violation) -> None:
        """From patience: the peer took too long for its body."""
        self.spoilt(violation, ErrorCode.CANCEL)
        self._connection.flush()

    def start(self) -> None:
        """Somebody reads the request's body: credit flows, and only now is a waiting peer told to send it (RFC 9110 10.1.1)."""
        exchange, upload = self._exchange, self._upload
        if self._patience is not None:
            self._patience.asked()
        if exchange is not None and exchange.head.expect_continue and self._answer is None and upload is not None:
            if not upload.size:
                self._codec.send_informational(self.sid, 100, ())
        self._flow()

    def pause(self) -> None:
        """The body's reader is slow."""
        self._hold = True
        if self._patience is not None:
            self._patience.paused()

    def resume(self) -> None:
        """The body's reader goes on."""
        if self._patience is not None:
            self._patience.resumed()
        if self._upload is None or self._upload.started:
            self._flow()

    def _flow(self) -> None:
        self._hold = False
        self._settle()
        self._connection.flush()

    def cancel(self) -> None:
        """Nobody reads the rest of the upload."""
        self._discard = DISCARD
        self._flow()

    # The answer.

    def _respond(self, response: Response) -> None:
        exchange = self._exchange
        self._drive = None
        if exchange is None:
            response.body.cancel()
            return
        try:
            self._send(exchange, response)
        except Exception as error:
            if self._answer is None and isinstance(error, GatewayError):
                self._respond_instead(exchange, response, error)
            else:
                self._broken(error)

    def _send(self, exchange: Exchange, response: Response) -> None:
        body, codec, sid = response.body, self._codec, self.sid
        if body.error is not None:
            raise body.error
        framed = frame_answer(exchange, response, self.listener.date)
        if response.takeover is not None:
            self._hand_over(exchange, response, framed.fields)
            return
        codec.send_head(sid, response.status, framed.fields, framed.bodiless)
        self._answer = response
        if framed.bodiless:
            body.cancel()
            self._all_sent()
            return
        self._due = _ANY if body.length is None else body.length
        data = body.take_ready()
        if data:
            self._sent = len(data)
            codec.send_data(sid, data)
        if body.ended:
            codec.send_end(sid, body.trailers)
            self._all_sent()
            return
        self._connection.flush()
        if codec.waiting(sid):
            self._choke()
        elif self._connection.congested:
            body.pause()
        body.attach(self)

    def _respond_instead(self, exchange: Exchange, response: Response, error: GatewayError) -> None:
        """Answer with the error: what was to be sent cannot be, and nothing was."""
        if exchange.failure is not None and exchange.failure.reason == error.reason:
            self._broken(error)
            return
        response.body.cancel()
        exchange.failure = error
        self._respond(render(error, exchange))

    def write(self, data: bytes) -> None:
        """Response body data."""
        if self._exchange is None:
            return
        self._sent += len(data)
        if self._sent > self._due:
            self._mismatch()
            return
        codec = self._codec
        codec.send_data(self.sid, data)
        self._connection.flush()
        if codec.waiting(self.sid) and not self._choked:
            self._choke()

    def end(self, trailers: tuple[Field, ...]) -> None:
        """The response's body is complete."""
        exchange = self._exchange
        if exchange is None:
            return
        if self._sent != self._due and self._due is not _ANY:
            self._mismatch()
            return
        try:
            self._codec.send_end(self.sid, trailers)
        except GatewayError as unsafe:
            self.fail(exchange, unsafe)
            return
        self._all_sent()

    def abort(self, error: GatewayError) -> None:
        """The response broke off: the peer must not take it for complete."""
        if self._exchange is not None:
            self.fail(self._exchange, error)

    def _mismatch(self) -> None:
        self.abort(GatewayError(500, "response_length_mismatch", phase=Phase.RESPONSE_BODY))

    def fail(self, exchange: Exchange, error: GatewayError) -> None:
        """End the exchange by an error from outside its pipeline: answered if nothing was sent yet, else torn."""
        if exchange is not self._exchange:
            return
        if self._answer is not None:
            self.tear(error, self._verdict or ErrorCode.INTERNAL_ERROR)
        elif self._drive is not None:
            self._drive.interrupt(error)
        else:
            exchange.refused = error

    def informational(self, exchange: Exchange, head: ResponseHead) -> None:
        """Forward a 1xx head (RFC 9113 8.1); 100 and 101 are this side's own to say."""
        if exchange is not self._exchange or self._answer is not None or head.status in (100, 101):
            return
        try:
            self._codec.send_informational(self.sid, head.status, head.headers.fields)
        except GatewayError as unsafe:
            _log.warn("a {status} is not passed on: {error}", status=head.status, error=str(unsafe))
        self._connection.flush()

    # Backpressure of the peer.

    def _choke(self) -> None:
        self._choked = True
        if self._patience is None:
            self._patience = Patience(self, self.listener, self.listener.wheel)
        self._patience.congested()
        if self._answer is not None:
            self._answer.body.pause()

    def relieved(self) -> None:
        """The windows let everything through."""
        if self._choked and self._patience is not None:
            self._patience.relieved()
        self._choked = False
        if self._taken is not None:
            self._taken.relieved()
        elif self._ending:
            self._finish()
        else:
            self.go_on()

    def hold_on(self) -> None:
        """The connection is congested."""
        if self._taken is not None:
            self._taken.hold_on()
        elif self._answer is not None:
            self._answer.body.pause()

    def go_on(self) -> None:
        """It is not, any more."""
        if self._choked or self._connection.congested:
            return
        if self._taken is not None:
            self._taken.relieved()
        elif self._answer is not None:
            self._answer.body.resume()

    def give_up(self, reason: str) -> None:
        """From patience: the peer lets nothing of its answer through."""
        self.tear(GatewayError(408, reason, side=Side.DOWNSTREAM, phase=Phase.RESPONSE_BODY), ErrorCode.CANCEL)

    def idle_over(self) -> None:
        """From patience: not for streams."""

    linger_over = idle_over

    # Another protocol (RFC 8441).

    def _hand_over(self, exchange: Exchange, response: Response, fields: list[Field]) -> None:
        upload = self._upload
        if response.takeover is None or upload is None or not exchange.head.upgrade:
            raise GatewayError(500, "takeover_not_asked_for", phase=Phase.SEND)
        self._codec.send_head(self.sid, 200 if response.status == 101 else response.status, fields)
        self._answer = response
        if self._patience is not None:
            self._patience.busy()
        self._connection.flush()
        self._taken = StreamTransport(self, self._connection, self._codec)
        self._taken.open(response.takeover, upload)

    def drain(self) -> None:
        """The gateway drains; an exchange ends on its own, a protocol that took the stream over is asked to."""
        answer = self._answer
        if self._taken is not None and answer is not None and answer.takeover is not None:
            answer.takeover.drain()

    def left(self, code: ErrorCode | None) -> None:
        """From the protocol that took the stream over: it is done. code: of the reset, if it has to be one."""
        self._sent = self._taken.sent if self._taken is not None else 0
        gone = GatewayError(499, "downstream_left", side=Side.DOWNSTREAM, phase=Phase.RESPONSE_BODY)
        self.tear(gone, code, complete=True)

    # The end.

    def _all_sent(self) -> None:
        self._connection.flush()
        if self._codec.waiting(self.sid):
            self._ending = True
            if not self._choked:
                self._choke()
        else:
            self._finish()

    def _finish(self) -> None:
        exchange, response, upload = self._exchange, self._answer, self._upload
        self._exchange = self._answer = self._upload = None
        if exchange is None or response is None:
            return
        exchange.end(Outcome(response.status, True, exchange.request_size, self._sent, exchange.failure))
        if upload is not None or self._verdict:
            # The rest is not wanted; the answer is complete, and stays valid (RFC 9113 8.1).
            self._codec.reset(self.sid, self._verdict)
            self._connection.flush()
        if upload is not None:
            upload.cancel()
        self._gone()

    def tear(self, error: GatewayError, code: ErrorCode | None, complete: bool = False) -> None:
        """Stop everything the exchange does, and end it.

        Args:
            code: what the peer is told; None if it knows. complete: it ended as it should, in a takeover.
        """
        exchange, response, drive, upload = self._exchange, self._answer, self._drive, self._upload
        if exchange is None:
            return
        self._exchange = self._answer = self._drive = self._upload = None
        if code is not None:
            self._codec.reset(self.sid, code)
        if not complete:
            exchange.failure = exchange.failure or error
        taken = self._taken
        try:
            if drive is not None:
                drive.cancel(_drop)
            if upload is not None:
                upload.abort(error)
            if response is not None:
                response.body.cancel()
            if taken is not None:
                taken.lost(error)
        except Exception:
            _log.failure("request {request_id} could not be stopped", request_id=exchange.id)
        status = response.status if response is not None else 0
        exchange.end(Outcome(status, complete, exchange.request_size, self._sent, exchange.failure))
        self._gone()
        self._connection.flush()

    def _gone(self) -> None:
        if self._patience is not None:
            self._patience.over()
        self._connection.forget(self.sid)

    def _broken(self, error: BaseException) -> None:
        """The edge stage itself failed, whose rescue should have answered; or its answer could not be sent."""
        _log.failure("an answer failed", failure=Failure(error))
        self.tear(GatewayError(500, "answer_failed", phase=Phase.SEND), ErrorCode.INTERNAL_ERROR)

    def __repr__(self) -> str:
        return f"<Http2Stream {self.sid} {self._exchange!r}>"


def fault_of(violation: Violation, phase: Phase) -> GatewayError:
    """A violation as what its exchange ends in."""
    return GatewayError(
        violation.status, violation.reason, side=Side.DOWNSTREAM, phase=phase, detail=violation.detail
    )


def _drop(response: Response) -> None:
    """An answer that came when nobody waited for it any more."""
    response.body.cancel()
