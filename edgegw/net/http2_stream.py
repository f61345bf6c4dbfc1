"""One exchange on a downstream HTTP/2 connection.

A stream is the source of the request's body, the sink of the response's (`http2_answering`), and what the exchange knows as its
connection. Credit is the backpressure of an upload: the peer gets it back for what somebody took, never for what waits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgegw.errors import GatewayError, Phase, Side
from edgegw.exchange.body import EMPTY, Body
from edgegw.exchange.drive import Drive
from edgegw.exchange.model import Exchange, Request, Response
from edgegw.net.answering import fault_of
from edgegw.net.http2_answering import StreamAnswering
from edgegw.net.http2_takeover import StreamTransport
from edgegw.net.patience import Impatient, Patience
from edgegw.wire.events import RequestHead, Violation
from edgegw.wire.headers import Field
from edgegw.wire.http2_limits import ErrorCode

if TYPE_CHECKING:
    from edgegw.net.http2_downstream import Http2Downstream

DISCARD = 256 * 1024
"""Bytes of an unwanted upload that are still given credit for, so that its peer gets to the answer."""

_ANY = float("inf")


class Http2Stream(StreamAnswering):
    """One stream.

    Args:
        connection: that carries it. sid: its number. head: what was asked.
    """

    __slots__ = ("_credit", "_discard", "_hold", "_paused")

    def __init__(self, connection: Http2Downstream, sid: int, head: RequestHead) -> None:
        super().__init__(connection, sid)
        # Bytes that came and were not credited, whether credit is held back, whether the reader asked for that, and how much
        # more may be thrown away.
        self._credit = 0
        self._hold = True
        self._paused = False
        self._discard = _ANY
        body = EMPTY
        listener = connection.listener
        if head.length != 0:
            body = self._upload = Body(head.length, self)
            self._patience = Patience(self, listener, listener.wheel)
            # Before somebody reads it gets one window's worth of credit, so it owes nothing until then.
            self._patience.upload(body, waived=True)
        request = Request(head, listener.scheme, body)
        self._exchange = Exchange(head, request, self, listener.current.snapshot, listener.clock())

    def patient(self) -> Impatient:
        """Itself."""
        return self

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
        if self._patience is not None:
            self._patience.last_read_s = self._connection.now_s
        self._credit += len(data)
        if upload is not None:
            upload.write(data)
        if not self._hold:
            self._settle()

    def _settle(self) -> None:
        """Give credit for what was taken; of an unwanted upload only for a little more."""
        size, self._credit = self._credit, 0
        self._discard -= size
        if size and self._discard >= 0:
            self._codec.consumed(self.sid, size)
        elif size and self._lingering:
            # Who sends so much behind the answer has it.
            self._part()

    def ended(self, trailers: tuple[Field, ...]) -> None:
        """The request is complete."""
        upload, self._upload = self._upload, None
        if upload is not None:
            if self._patience is not None:
                self._patience.busy()
            # Nobody resumes a body that has ended; the connection must not miss its credit.
            self._settle()
            upload.end(trailers)
        elif self._lingering:
            self._part()

    def spoilt(self, violation: Violation, verdict: ErrorCode) -> None:
        """The peer broke the protocol inside the upload, or was too slow with it."""
        exchange, upload = self._exchange, self._upload
        error = fault_of(violation, Phase.BODY)
        self._upload = None
        self._verdict = verdict
        if self._lingering:
            self._part()
        if exchange is None or upload is None:
            return
        self.cancel()
        if self._patience is not None:
            self._patience.busy()
        answered, wanted = self._answer is not None, upload.error is None
        upload.abort(error)
        if wanted and (answered or self._answer is None):
            self.fail(exchange, error)

    def late(self, violation: Violation) -> None:
        """From patience: the peer took too long for its body."""
        # An answer that follows is a valid one.
        self.spoilt(violation, ErrorCode.NO_ERROR if self._answer is None else ErrorCode.CANCEL)
        self._connection.flush()

    def start(self) -> None:
        """Somebody reads the request's body: credit flows, and only now is a waiting peer told to send it (RFC 9110 10.1.1)."""
        exchange, upload = self._exchange, self._upload
        if self._patience is not None:
            self._patience.asked()
        if exchange is not None and exchange.head.expect_continue and self._answer is None and upload is not None:
            if not upload.size:
                self._codec.send_informational(self.sid, 100, ())
        if not self._paused:
            self._flow()

    def pause(self) -> None:
        """The body's reader is slow."""
        self._hold = self._paused = True
        if self._patience is not None:
            self._patience.paused()

    def resume(self) -> None:
        """The body's reader goes on."""
        self._paused = False
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

    # Another protocol (RFC 8441).

    def _hand_over(self, exchange: Exchange, response: Response, fields: list[Field]) -> None:
        upload = self._upload
        if exchange.head.upgrade and upload is None:
            detail = "the peer ended its stream before the WebSocket was open"
            raise GatewayError(400, "websocket_bad_request", side=Side.DOWNSTREAM, phase=Phase.SEND, detail=detail)
        if response.takeover is None or upload is None or not exchange.head.upgrade:
            raise GatewayError(500, "takeover_not_asked_for", phase=Phase.SEND)
        self._codec.send_head(self.sid, 200 if response.status == 101 else response.status, fields)
        self._answer = response
        if self._patience is not None:
            self._patience.busy()
        self._connection.flush()
        self._taken = StreamTransport(self, self._connection, self._codec)
        self._taken.open(response.takeover, upload)
        if self._connection.draining:
            response.takeover.drain()

    def drain(self) -> None:
        """The gateway drains; an exchange ends on its own, a protocol that took the stream over is asked to."""
        answer = self._answer
        if self._taken is not None and answer is not None and answer.takeover is not None:
            answer.takeover.drain()

    def left(self, code: ErrorCode) -> None:
        """From the protocol that took the stream over: it is done. code: of the reset, if it has to be one."""
        self.tear(_gone(), code, complete=True)

    def lost(self) -> None:
        """From the connection: the peer reset the stream, or is gone. One that was taken over ends in no other way."""
        self.tear(_gone(), None, complete=self._taken is not None)

    def __repr__(self) -> str:
        return f"<Http2Stream {self.sid} {self._exchange!r}>"


def _gone() -> GatewayError:
    return GatewayError(499, "downstream_left", side=Side.DOWNSTREAM, phase=Phase.RESPONSE_BODY)
