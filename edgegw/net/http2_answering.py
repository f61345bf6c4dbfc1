"""The answering half of a downstream HTTP/2 stream: it sends the response of its exchange, then ends both.

It is the sink of the response's body, and what the exchange knows as its connection. `Http2Stream` (`http2_stream`) adds the
reading half. An answer that the peer's windows hold up waits in the codec, and its source is paused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.logger import Logger
from twisted.python.failure import Failure

from edgegw.errors import GatewayError, Phase, Side
from edgegw.exchange.body import Body
from edgegw.exchange.drive import Drive
from edgegw.exchange.model import Exchange, Outcome, Response
from edgegw.exchange.render import render
from edgegw.net.http2_answer import frame_answer
from edgegw.net.http2_takeover import StreamTransport
from edgegw.net.patience import Impatient, Patience
from edgegw.wire.events import ResponseHead
from edgegw.wire.headers import Field
from edgegw.wire.http2_limits import ErrorCode

if TYPE_CHECKING:
    from edgegw.net.http2_downstream import Http2Downstream

_ANY = float("inf")

_log = Logger("edgegw.net.http2_answering")


class StreamAnswering:
    """What is common to both halves, and the answering one.

    Args:
        connection: that carries it. sid: its number.
    """

    __slots__ = (
        "_answer", "_choked", "_codec", "_connection", "_drive", "_due", "_ending", "_exchange", "_lingering", "_patience",
        "_sent", "_taken", "_upload", "_verdict", "sid",
    )  # fmt: skip

    def __init__(self, connection: Http2Downstream, sid: int) -> None:
        self.sid = sid
        self._connection = connection
        self._codec = connection.codec
        self._exchange: Exchange | None = None
        self._upload: Body | None = None
        self._drive: Drive[Response] | None = None
        self._answer: Response | None = None
        self._taken: StreamTransport | None = None
        self._patience: Patience | None = None
        # What was sent and is due; held up by a window; complete but for that; answered before the peer had sent everything;
        # the code of a reset behind the answer.
        self._sent = 0
        self._due = _ANY
        self._choked = self._ending = self._lingering = False
        self._verdict = ErrorCode.NO_ERROR

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

    def patient(self) -> Impatient:
        """Itself, with the deadlines of an upload; for the reading half to say."""
        raise NotImplementedError

    def _hand_over(self, exchange: Exchange, response: Response, fields: list[Field]) -> None:
        """Another protocol takes the stream."""
        raise NotImplementedError

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
            self.choke()
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
            self.choke()

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

    def choke(self) -> None:
        """The peer's windows hold the answer up."""
        if self._exchange is None:
            return
        self._choked = True
        if self._patience is None:
            self._patience = Patience(self.patient(), self.listener, self.listener.wheel)
        self._patience.congested()
        if self._answer is not None:
            self._answer.body.pause()

    def relieved(self) -> None:
        """The windows let everything through that waited."""
        if self._codec.waiting(self.sid):
            # More was written meanwhile, in the same read.
            return
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

    def linger_over(self) -> None:
        """From patience: the peer had time to read its answer."""
        self._part()

    # The end.

    def _all_sent(self) -> None:
        self._connection.flush()
        if self._codec.waiting(self.sid):
            self._ending = True
            if not self._choked:
                self.choke()
        else:
            self._finish()

    def _finish(self) -> None:
        exchange, response, upload = self._exchange, self._answer, self._upload
        self._exchange = self._answer = self._upload = None
        if exchange is None or response is None:
            return
        exchange.end(Outcome(response.status, True, exchange.request_size, self._sent, exchange.failure))
        if upload is not None:
            upload.cancel()
        if response.status < 300 or self._verdict or not self._codec.is_open(self.sid):
            self._part()
        else:
            self._linger()

    def _linger(self) -> None:
        """Let the peer see from the answer that the rest of its upload is not wanted, before a reset says so (RFC 9113 8.1).

        Some clients, curl 7.88 among them, lose an answer that comes in one read with the reset. They go on sending behind one
        that is no refusal, until they are stopped.
        """
        self._lingering = True
        if self._patience is None:
            self._patience = Patience(self.patient(), self.listener, self.listener.wheel)
        self._patience.linger()

    def _part(self) -> None:
        self._lingering = False
        self._codec.reset(self.sid, self._verdict)
        self._connection.flush()
        self._gone()

    def tear(self, error: GatewayError, code: ErrorCode | None, complete: bool = False) -> None:
        """Stop everything the exchange does, and end it.

        Args:
            code: what the peer is told; None if it knows. complete: it ended as it should, in a takeover.
        """
        exchange, response, drive, upload = self._exchange, self._answer, self._drive, self._upload
        if exchange is None:
            if self._lingering:
                self._part()
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
        came, sent = exchange.request_size, self._sent
        if taken is not None and response is not None and response.takeover is not None:
            came, sent = response.takeover.carried
        exchange.end(Outcome(status, complete, came, sent, exchange.failure))
        self._gone()
        self._connection.flush()

    def _gone(self) -> None:
        if self._patience is not None:
            self._patience.over()
            self._patience = None
        self._connection.forget(self.sid)

    def _broken(self, error: BaseException) -> None:
        """The edge stage itself failed, whose rescue should have answered; or its answer could not be sent."""
        _log.failure("an answer failed", failure=Failure(error))
        self.tear(GatewayError(500, "answer_failed", phase=Phase.SEND), ErrorCode.INTERNAL_ERROR)


def _drop(response: Response) -> None:
    """An answer that came when nobody waited for it any more."""
    response.body.cancel()
