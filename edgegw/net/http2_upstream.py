"""Sends exchanges on one upstream connection, HTTP/2: many at once, each a stream (`http2_upstream_stream`).

What the connection itself does: it reads and writes for all streams (one write for what one read led to), tells its owner whether
there is room for another, takes no new ones once either side said GOAWAY, and finds out whether a silent peer is still there. One
exchange that is torn is one RST_STREAM; the connection ends with the last stream after GOAWAY, or when its protocol is broken.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from twisted.internet.defer import Deferred, fail
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IPushProducer
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from edgegw.errors import GatewayError, Phase, Retry, Side
from edgegw.exchange.model import Response
from edgegw.net.call import Call, Owner
from edgegw.net.http2_upstream_stream import UpstreamStream, error_name
from edgegw.net.tls_transport import TlsError
from edgegw.runtime.wheel import Wheel
from edgegw.wire.events import GoAway, Pong, Settled, StreamEvent, Violation
from edgegw.wire.http2 import ClientCodec
from edgegw.wire.http2_limits import CLIENT_LIMITS, Http2Limits

STREAMS = 100
"""Exchanges on one connection at most, whatever the peer allows: the loss of a connection must not take everything along."""

UPSTREAM_LIMITS = replace(CLIENT_LIMITS, connection_window=2 * STREAMS * CLIENT_LIMITS.window)
"""The window of the connection is that of all its streams together, so that responses nobody reads never stop the others: it is the
windows of the streams that bound what waits. Twice that, because credit is given back when half a window is owed."""

PING_AFTER_S = 20.0
"""A peer with open streams that was silent for so long is asked whether it is there."""
PING_AGAIN_S = 310.0
"""When it is asked again if it only answered that. gRPC servers end connections that ask oftener than every five minutes."""
PING_WAIT_S = 10.0
"""How long it has to say anything."""
LINGER_S = 2.0
"""How long the end of a connection that carries nothing may take before it is cut."""


@implementer(IPushProducer)
class Http2Upstream(Protocol):
    """One connection to one endpoint.

    Args:
        wheel: for its deadlines. secure: below it is TLS. limits: of the codec.
    """

    transport: Any

    def __init__(self, wheel: Wheel, secure: bool, limits: Http2Limits = UPSTREAM_LIMITS) -> None:
        self.codec = ClientCodec(limits)
        self.wheel = wheel
        self.congested = False
        """The peer's socket takes nothing at the moment."""
        self.heard_s = wheel.now_s
        """Coarse time of the last read."""
        self.owner: Owner | None = None
        self.served = 0
        self.lost = False
        self.away = ""
        """What the peer's GOAWAY gave as its reason."""
        self._scheme = "https" if secure else "http"
        self._deadline = wheel.deadline(self._expired)
        self._streams: dict[int, UpstreamStream] = {}
        self._promise: Deferred[Http2Upstream] | None = None
        self._outcome: GatewayError | None = None
        # The owner has it at hand: it need not be told that there is room.
        self._offered = False
        self._batch = False
        self._pinged = self._answered = False
        self._settled = self._closing = self._parting = False

    # The connection's life.

    def connectionMade(self) -> None:
        """Twisted: connected, and TLS, if there is any, established."""
        self.transport.registerProducer(self, True)
        self.flush()

    def ready(self) -> Deferred[Http2Upstream]:
        """Fires when the peer has shown that it speaks HTTP/2 and how many streams it allows, that is, with its SETTINGS.

        Raises (through the Deferred):
            GatewayError: 502 with what came instead. Nothing was sent, so all may be tried elsewhere.
        """
        promise: Deferred[Http2Upstream] = Deferred(self._unwanted)
        self._promise = promise
        self._settle()
        return promise

    def _unwanted(self, _: Deferred[Http2Upstream]) -> None:
        self._promise = None
        self.close()

    def _settle(self) -> None:
        if self._promise is None or not (self._settled or self._outcome):
            return
        promise, self._promise = self._promise, None
        if self._outcome is None:
            promise.callback(self)
        else:
            promise.errback(self._outcome)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Twisted: gone, and with it everything that it carried."""
        self.lost = self._batch = True
        self._leave()
        self._deadline.drop()
        clean = reason.check(ConnectionDone) is not None
        name = "upstream_closed" if clean else "upstream_tls" if reason.check(TlsError) else "upstream_reset"
        detail = reason.getErrorMessage()
        if not self._settled and self._outcome is None:
            self._outcome = _no_http2(name, f"the connection ended before the endpoint's SETTINGS: {detail}")
            self._settle()
        for stream in list(self._streams.values()):
            stream.lost(name, detail)

    def _leave(self) -> None:
        """It can carry no further exchange: its owner forgets it now, not when the loop gets round to closing it."""
        self._closing = True
        owner, self.owner = self.owner, None
        if owner is not None:
            owner.closed(self)

    def close(self) -> None:
        """Cut the connection; what it carries hears of the loss."""
        self._leave()
        self._deadline.drop()
        if self.transport is not None and not self.lost:
            self.transport.unregisterProducer()
            self.transport.abortConnection()

    def retire(self) -> None:
        """Carry no further exchange, finish those that are on it, then end in an orderly way."""
        self._leave()
        if not self._streams:
            self._part()

    def _part(self) -> None:
        """Nothing is on it any more: say so and end it."""
        if self._parting or self.lost or self.transport is None:
            return
        self._parting = True
        self.codec.go_away()
        self._write()
        self._deadline.set(LINGER_S)
        self.transport.unregisterProducer()
        self.transport.loseConnection()

    @property
    def busy(self) -> bool:
        """Whether an exchange is on it."""
        return bool(self._streams)

    @property
    def room(self) -> int:
        """How many more exchanges it can carry at this moment."""
        return 0 if self._closing else min(self.codec.capacity, STREAMS - len(self._streams))

    def rest(self, idle_timeout_s: float) -> None:
        """Wait for the next exchange at most so long; for the pool."""
        if not self._pinged:
            self._deadline.set(idle_timeout_s)

    # Sending.

    def send(self, call: Call) -> Deferred[Response]:
        """Put a request on the wire; there may be others already.

        Returns:
            fires with the response when its head is here, its body still flowing; fails with `GatewayError`.

        Raises:
            GatewayError: 500 `unsafe_head`; nothing was sent then.
        """
        self._offered = False
        room = self.room
        if room < 1:
            return fail(self._no_room())
        authority = b""
        for field in call.fields:
            if field[0] == b"host":
                authority = field[2]
                break
        try:
            sid = self.codec.open(call.method, self._scheme, authority, call.target, call.fields, call.body is None)
        except GatewayError:
            self._give_back()
            raise
        if not self._streams:
            self._answered = False
            if not self._pinged:
                self._deadline.set(PING_AFTER_S)
            self.heard_s = self.wheel.now_s
        self.served += 1
        stream = self._streams[sid] = UpstreamStream(self, sid, call)
        answer: Deferred[Response] = Deferred(stream.cancelled)
        batch, self._batch = self._batch, True
        try:
            stream.begin(answer)
        finally:
            self._batch = batch
        self.flush()
        if room > 1 and not self._offered and self.owner is not None:
            self._offered = True
            self.owner.has_room(self)
        return answer

    def _no_room(self) -> GatewayError:
        """It was full or going when its borrower came to use it."""
        if not self._streams and not self._closing:
            self.retire()
        return GatewayError(
            503, "upstream_refused_stream", side=Side.UPSTREAM, phase=Phase.SEND, retry=Retry.ALWAYS,
            detail="the connection takes no further stream", headers=[(b"Retry-After", b"1")],
        )  # fmt: skip

    def _offer(self) -> None:
        """Let the owner know that there is room for another, unless it does."""
        if self.owner is not None and not self._offered and self.room > 0:
            self._offered = True
            self.owner.has_room(self)

    def _resettle(self) -> None:
        """The peer changed its limit."""
        if self.owner is None:
            return
        if not self._streams and self.room < 1:
            self.retire()
        elif self._offered and self.room < 1:
            self._offered = False
            self.owner.full(self)
        elif self._streams:
            self._offer()

    def _give_back(self) -> None:
        """To the owner, in whatever state it is."""
        if self._streams:
            self._offer()
        elif self._closing:
            self._part()
        elif self.room < 1:
            # No stream is open and none may be: the numbers are used up, or the peer allows none at all.
            self.retire()
        elif self.owner is not None:
            self._offered = True
            self.owner.idle(self)

    # For the streams.

    def flush(self) -> None:
        """Write what the codec has to say; in the middle of a read, at its end."""
        if not self._batch:
            self._write()

    def _write(self) -> None:
        data = self.codec.take()
        if data:
            self.transport.write(data)

    def forget(self, sid: int) -> None:
        """From a stream: it is over. The owner has the room before anybody is told: what follows may need it at once."""
        if self._streams.pop(sid, None) is not None and not self.lost:
            self._give_back()

    def doubt(self) -> None:
        """From a stream: nothing came since it was opened, of whatever stream. Is anybody there?"""
        if not self._pinged and not self._parting:
            self._pinged = True
            self.codec.ping()
            self._deadline.set(PING_WAIT_S)
            self.flush()

    # Receiving.

    def dataReceived(self, data: bytes) -> None:
        """Twisted: bytes came."""
        if self._parting:
            return
        now_s = self.heard_s = self.wheel.now_s
        self._pinged = False
        events = self.codec.receive(data, now_s)
        if events:
            self._batch = True
            try:
                self._handle(events)
            finally:
                self._batch = self.lost
        self.flush()

    def _handle(self, events: list[tuple[int, StreamEvent]]) -> None:
        streams = self._streams
        answered: list[UpstreamStream] = []
        for sid, event in events:
            stream = streams.get(sid)
            if stream is None:
                if not sid:
                    self._about_connection(event)
            elif event.__class__ is bytes:
                stream.received(event)
            elif stream.told(event):
                answered.append(stream)
        if self._answered and events[-1][0]:
            self._answered = False
            self._deadline.set(PING_AFTER_S)
        # With everything of their bodies that came along, so that they leave together.
        for stream in answered:
            stream.answer()

    def _about_connection(self, event: StreamEvent) -> None:
        kind = event.__class__
        if kind is Violation:
            self._break(event)  # type: ignore[arg-type]
        elif kind is GoAway:
            self.away = error_name(event.code)  # type: ignore[union-attr]
            self._leave()
            if not self._settled:
                self._outcome = _no_http2("upstream_closed", f"the endpoint is going: {self.away}")
                self._settle()
            if not self._streams:
                self._part()
        elif kind is Pong:
            self._answered = True
        elif kind is Settled:
            self._settled = True
            self._settle()
            self._resettle()

    def _break(self, violation: Violation) -> None:
        """The peer broke the rules for the whole connection."""
        self._leave()
        if not self._settled:
            what = f"the endpoint does not speak HTTP/2 ({violation.reason}: {violation.detail})"
            self._outcome = _no_http2("upstream_not_http2", what)
            self._settle()
        for stream in list(self._streams.values()):
            stream.broken(violation)
        self._part()

    # Deadlines.

    def _expired(self) -> None:
        if self._parting:
            self.close()
        elif self._pinged:
            self._leave()
            self._parting = True
            for stream in list(self._streams.values()):
                stream.vanished(f"no answer to a PING within {PING_WAIT_S:g} s")
            self.close()
        elif not self._streams:
            self.retire()
        else:
            after_s = PING_AGAIN_S if self._answered else PING_AFTER_S
            quiet_s = self.wheel.now_s - self.heard_s
            if quiet_s < after_s:
                self._deadline.set(after_s - quiet_s)
            else:
                self.doubt()

    # Backpressure of the peer.

    def pauseProducing(self) -> None:
        """Twisted: the upstream peer reads slowly."""
        self.congested = True
        for stream in list(self._streams.values()):
            stream.hold_on()

    def resumeProducing(self) -> None:
        """Twisted: it reads again."""
        self.congested = False
        for stream in list(self._streams.values()):
            stream.go_on()

    def stopProducing(self) -> None:
        """Twisted: the transport is going; `connectionLost` follows."""

    def __repr__(self) -> str:
        state = "lost" if self.lost else "closing" if self._closing else "busy" if self._streams else "idle"
        return f"<Http2Upstream {state} streams={len(self._streams)} room={self.room} served={self.served}>"


def _no_http2(reason: str, detail: str) -> GatewayError:
    return GatewayError(502, reason, side=Side.UPSTREAM, phase=Phase.CONNECT, retry=Retry.ALWAYS, detail=detail)
