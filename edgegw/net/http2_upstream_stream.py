"""One exchange on an upstream HTTP/2 connection.

A stream is the sink of the request's body and the source of the response's. An upload that the peer's windows or its socket hold
up waits in the codec, and its source is paused; a response that its reader does not take is held up by giving no credit, so that at
most one window of it is on its way. The rules for deadlines and reasons are those of `upstream`, for one stream instead of a
connection.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred

from edgegw.errors import GatewayError, Phase, Retry, Side
from edgegw.exchange.body import Body
from edgegw.exchange.model import Response
from edgegw.net.call import Call
from edgegw.net.stall import unsent
from edgegw.wire.connection import hop_by_hop
from edgegw.wire.events import End, Relieved, Reset, ResponseHead, StreamEvent, Violation
from edgegw.wire.headers import Field
from edgegw.wire.http2_limits import ErrorCode

if TYPE_CHECKING:
    from edgegw.net.http2_upstream import Http2Upstream


class UpstreamStream:
    """One stream, from the head that was just queued to its end.

    Args:
        connection: that carries it. sid: its number. call: what was asked.
    """

    __slots__ = (
        "_answer", "_body", "_call", "_choked", "_codec", "_connection", "_credit", "_deadline", "_heard", "_left",
        "_opened_s", "_over", "_paused", "_response", "_sending", "_unsent", "sid",
    )  # fmt: skip

    def __init__(self, connection: Http2Upstream, sid: int, call: Call) -> None:
        self.sid = sid
        self._connection = connection
        self._codec = connection.codec
        self._call = call
        self._deadline = connection.wheel.deadline(self._expired)
        self._opened_s = connection.wheel.now_s
        self._answer: Deferred[Response] | None = None
        self._response: Response | None = None
        self._body: Body | None = None
        # The upload: it goes on; what is left of its declared size; it waits for a window.
        self._sending = call.body is not None
        self._left = call.length or 0
        self._choked = False
        self._unsent: tuple[int, ...] = ()
        # The response: something of it came; bytes that came since its reader paused.
        self._heard = self._paused = False
        self._credit = 0
        self._over = False

    def begin(self, answer: Deferred[Response]) -> None:
        """Send the body behind the head; the answer goes to `answer`."""
        self._answer = answer
        self._deadline.set(self._call.head_timeout_s)
        if self._call.body is not None:
            self._call.body.attach(self)
            if self._connection.congested:
                self.hold_on()

    # Sending: the sink of the request's body.

    def write(self, data: bytes) -> None:
        """Request body data."""
        if not self._sending:
            return
        call = self._call
        if call.length is not None:
            self._left -= len(data)
            if self._left < 0:
                self._mismatch()
                return
        self._codec.send_data(self.sid, data)
        self._deadline.set(call.head_timeout_s if self._body is None else call.idle_timeout_s)
        self._connection.flush()
        if not self._choked and self._sending and self._codec.waiting(self.sid):
            self._choked = True
            self._watch()
            if not self._connection.congested and call.body is not None:
                call.body.pause()

    def end(self, trailers: tuple[Field, ...]) -> None:
        """The request's body is complete."""
        if not self._sending:
            return
        if self._left:
            self._mismatch()
            return
        try:
            self._codec.send_end(self.sid, trailers)
        except GatewayError as error:
            self._finish(error)
            return
        self._sending = False
        if self._body is None:
            self._deadline.set(self._call.send_timeout_s if self._choked else self._call.head_timeout_s)
        self._connection.flush()

    def abort(self, error: GatewayError) -> None:
        """The request's body broke off: the upstream peer must not take it for complete."""
        if self._sending:
            self._sending = False
            self._finish(error)

    def _mismatch(self) -> None:
        """What somebody put in place of the body is not as long as the head says."""
        self._finish(GatewayError(500, "request_length_mismatch", phase=Phase.SEND))

    def hold_on(self) -> None:
        """From the connection: its socket takes nothing at the moment."""
        if self._sending and not self._choked and self._call.body is not None:
            self._watch()
            self._call.body.pause()

    def _watch(self) -> None:
        """The peer takes no more at the moment: it has `send_timeout_s` to take something."""
        self._unsent = self._untaken()
        if self._body is None:
            self._deadline.set(self._call.send_timeout_s)

    def _untaken(self) -> tuple[int, ...]:
        """What waits for a window, and what for the socket."""
        return (self._codec.waiting(self.sid), *unsent(self._connection.transport))

    def go_on(self) -> None:
        """From the connection: its socket takes something again."""
        if self._sending and not self._choked and self._call.body is not None:
            self._call.body.resume()

    def _relieved(self) -> None:
        """What waited for a window has left."""
        if self._choked:
            self._choked = False
            if self._body is None:
                self._deadline.set(self._call.head_timeout_s)
            if not self._connection.congested:
                self.go_on()

    # Receiving: the source of the response's body.

    def received(self, data: bytes) -> None:
        """From the connection: body data came."""
        body = self._body
        if body is None:
            return
        self._deadline.set(self._call.idle_timeout_s)
        body.write(data)
        if self._paused:
            self._credit += len(data)
        else:
            self._codec.consumed(self.sid, len(data))

    def told(self, event: StreamEvent) -> bool:
        """From the connection: anything but data. Returns whether `answer` is to be called when its read was gone through."""
        kind = event.__class__
        if kind is ResponseHead:
            self._heard = True
            return self._begin(event)  # type: ignore[arg-type]
        if kind is End:
            self._complete(event.trailers)  # type: ignore[union-attr]
        elif kind is Relieved:
            self._relieved()
        elif kind is Reset:
            self._reset(event)  # type: ignore[arg-type]
        elif kind is Violation:
            self.broken(event)  # type: ignore[arg-type]
        return False

    def _begin(self, head: ResponseHead) -> bool:
        call = self._call
        if head.status < 200:
            if head.status != 100:
                head.headers.remove_all(hop_by_hop(head.headers))
                call.informational(head)
            return False
        self._body = body = Body(head.length, self)
        self._deadline.set(call.idle_timeout_s)
        self._response = Response(head.status, head.headers, body, reason=head.reason)
        return True

    def answer(self) -> None:
        """From the connection: everything that came with the head is here."""
        response, answer = self._response, self._answer
        self._response = self._answer = None
        if response is not None and answer is not None:
            answer.callback(response)

    def _complete(self, trailers: tuple[Field, ...]) -> None:
        """The response is whole."""
        body, call = self._body, self._call
        upload = self._end(ErrorCode.NO_ERROR if self._sending else None)
        if call.ended is not None:
            call.ended()
        if body is not None:
            body.end(trailers)
        if upload:
            call.body.cancel()  # type: ignore[union-attr]

    def _reset(self, event: Reset) -> None:
        """The peer wants this stream no more."""
        detail, phase = f"the upstream reset the stream: {error_name(event.code)}", Phase.RESPONSE_HEAD
        if event.unprocessed and self._connection.away:
            # As if there had been no connection.
            phase = Phase.CONNECT
            detail = f"the upstream is going and left the stream unread (GOAWAY: {self._connection.away})"
        if event.unprocessed and not self._heard:
            self._finish(
                GatewayError(
                    503, "upstream_refused_stream", side=Side.UPSTREAM, phase=phase, retry=Retry.ALWAYS,
                    detail=detail, headers=[(b"Retry-After", b"1")],
                )
            )  # fmt: skip
        else:
            self._fail(502, "upstream_reset", detail, self._retry)

    @property
    def _retry(self) -> Retry:
        """Whether another attempt may be made, should this one fail for no fault of the request's."""
        return Retry.NEVER if self._heard else Retry.IF_IDEMPOTENT

    # Endings.

    def broken(self, violation: Violation) -> None:
        """From the connection: the peer broke the protocol."""
        self._fail(502, violation.reason, violation.detail)

    def lost(self, name: str, detail: str) -> None:
        """From the connection: it is gone."""
        if self._body is not None:
            self._fail(502, "upstream_aborted", detail)
        else:
            self._fail(502, name, detail, self._retry)

    def vanished(self, detail: str) -> None:
        """From the connection: nobody is there any more."""
        self._fail(504, "upstream_ping_timeout", detail, self._retry)

    def _fail(self, status: int, reason: str, detail: str, retry: Retry = Retry.NEVER) -> None:
        phase = Phase.RESPONSE_HEAD if self._body is None else Phase.RESPONSE_BODY
        self._finish(GatewayError(status, reason, side=Side.UPSTREAM, phase=phase, retry=retry, detail=detail))

    def _finish(self, error: GatewayError) -> None:
        """End the stream, then tell whoever waits: the caller before the head, the body's reader after it."""
        body, answer = self._body, self._answer
        had_head = self._response is not None
        upload = self._end(ErrorCode.CANCEL)
        if body is not None:
            body.abort(error)
        if answer is not None and not had_head:
            self._answer = None
            answer.errback(error)
        elif upload:
            self._call.body.cancel()  # type: ignore[union-attr]

    def _end(self, code: ErrorCode | None) -> bool:
        """It is over on our side as well. Returns whether an upload was going on."""
        upload, self._sending = self._sending, False
        if not self._over:
            self._over = True
            self._body = None
            self._deadline.drop()
            if code is not None:
                self._codec.reset(self.sid, code)
            self._connection.forget(self.sid)
            self._connection.flush()
        return upload

    def _expired(self) -> None:
        call, body = self._call, self._body
        if body is None:
            if self._sending or self._choked:
                self._judge_upload(call)
                return
            self._late("upstream_head_timeout", f"no response head within {call.head_timeout_s:g} s")
        elif self._paused and body.started:
            self._deadline.set(call.idle_timeout_s)
        else:
            self._late("upstream_idle_timeout", f"no response data for {call.idle_timeout_s:g} s")

    def _judge_upload(self, call: Call) -> None:
        if not self._choked and not self._connection.congested:
            # The request is not complete; the pace of its sender is the downstream side's to judge.
            self._deadline.set(call.head_timeout_s)
            return
        before, self._unsent = self._unsent, self._untaken()
        if self._unsent != before:
            self._deadline.set(call.send_timeout_s)
        else:
            self._late("upstream_send_timeout", f"nothing was taken for {call.send_timeout_s:g} s")

    def _late(self, reason: str, detail: str) -> None:
        self._fail(504, reason, detail)
        if self._connection.heard_s <= self._opened_s:
            self._connection.doubt()

    def cancelled(self, _: Deferred[Response]) -> None:
        """The exchange is torn; what the endpoint does for it is not wanted any more."""
        self._answer = None
        self.cancel()

    def start(self) -> None:
        """The response's body has a reader; it flows already."""

    def pause(self) -> None:
        """The response's reader is slow: it gets no further credit."""
        self._paused = True

    def resume(self) -> None:
        """The response's reader goes on."""
        if not self._paused or self._over:
            return
        self._paused = False
        self._deadline.set(self._call.idle_timeout_s)
        credit, self._credit = self._credit, 0
        if credit:
            self._codec.consumed(self.sid, credit)
            self._connection.flush()

    def cancel(self) -> None:
        """Nobody reads the response any more."""
        if self._over:
            return
        if self._end(ErrorCode.CANCEL) and self._call.body is not None:
            self._call.body.cancel()

    def __repr__(self) -> str:
        state = (
            "over" if self._over else "sending" if self._sending else "waiting" if self._body is None else "receiving"
        )
        return f"<UpstreamStream {self.sid} {state}{' paused' if self._paused else ''}>"


def error_name(code: int) -> str:
    """As RFC 9113 7 calls it."""
    try:
        return ErrorCode(code).name
    except ValueError:
        return f"error {code:#x}"
