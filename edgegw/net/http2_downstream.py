"""Drives an HTTP/2 codec on one downstream connection and emits exchanges, many at once; each is a stream (`http2_stream`).

What the connection itself does: it reads and writes for all streams (one write for what one read led to), holds new requests back
while the peer does not take its answers, finds out whether a silent peer is still there, and ends gracefully: a first GOAWAY that
refuses nothing, a round trip later the second one, which names the last stream that is served (RFC 9113 6.8).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.interfaces import IPushProducer
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from edgegw.errors import GatewayError, Phase, Side
from edgegw.net.answering import fault_of
from edgegw.net.http2_stream import Http2Stream
from edgegw.net.patience import Patience
from edgegw.net.proxied import Placed
from edgegw.wire.events import End, GoAway, Pong, Relieved, RequestHead, Reset, StreamEvent, Violation
from edgegw.wire.headers import Headers
from edgegw.wire.http2 import ServerCodec
from edgegw.wire.http2_limits import ErrorCode

if TYPE_CHECKING:
    from edgegw.net.listener import Listener
    from edgegw.net.tls import TlsFacts

PING_AFTER_S = 30.0
"""A peer with open streams that was silent for so long is asked whether it is there."""
PING_WAIT_S = 15.0
"""How long it has to say anything."""
LAST_CALL_S = 1.0
"""How long the second GOAWAY waits at most for the answer to a PING."""

_ANY_STREAM = 2**31 - 1
_DISCARD = 256 * 1024

_log = Logger("edgegw.net.http2_downstream")


@implementer(IPushProducer)
class Http2Downstream(Placed, Protocol):
    """One downstream connection.

    Args:
        listener: whom it came in by. peer, peer_port, local_port: of the socket, or as PROXY protocol said. tls: what the
        handshake told, else None.
    """

    transport: Any

    def __init__(
        self, listener: Listener, peer: str, peer_port: int, local_port: int, tls: TlsFacts | None = None
    ) -> None:
        self.listener = listener
        self.peer = peer
        self.peer_port = peer_port
        self.local_port = local_port
        self.tls = tls
        self.codec = ServerCodec(listener.http2, listener.limits, listener.secure)
        self.congested = False
        """The peer's socket takes nothing at the moment."""
        self.now_s = listener.wheel.now_s
        """Coarse time of the last read."""
        self._wheel = listener.wheel
        self._patience = Patience(self, listener, listener.wheel)
        self._probe = listener.wheel.deadline(self._silent)
        self._pinged = False
        self._streams: dict[int, Http2Stream] = {}
        self._held: dict[int, Http2Stream] = {}
        self._served = 0
        self._batch = False
        self.draining = False
        """The gateway drains: who took a stream over is asked to end."""
        # No further requests are wanted, but those on their way are served; none but those that came; nothing is read.
        self._retiring = self._final = self._deaf = False
        self._linger_left = _DISCARD

    # The connection's life.

    def connectionMade(self) -> None:
        """Twisted: accepted, and TLS, if there is any, established."""
        self.transport.registerProducer(self, True)
        self._patience.head()
        self.listener.opened(self)
        self.flush()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Twisted: gone. Whatever the exchanges wait for is cancelled."""
        self._patience.over()
        self._probe.drop()
        self._deaf = self._batch = True
        self._held.clear()
        try:
            for stream in list(self._streams.values()):
                stream.lost()
        finally:
            self.listener.closed(self)

    def drain(self) -> None:
        """Finish what is in flight or on its way, then close."""
        if self.draining or self._deaf:
            return
        self.draining = True
        for stream in list(self._streams.values()):
            stream.drain()
        self._retire()

    def _retire(self) -> None:
        """Begin to end: what is in flight or on its way is served."""
        if self._retiring:
            return
        self._retiring = True
        # In this order, because some clients read nothing behind a GOAWAY.
        self.codec.ping()
        self.codec.go_away(ErrorCode.NO_ERROR, _ANY_STREAM)
        self._probe.set(LAST_CALL_S)
        self.flush()

    def _last_call(self) -> None:
        """Whatever was on its way has arrived: no further stream is served."""
        if self._retiring and not self._final:
            self._final = True
            self._probe.set(PING_AFTER_S)
            self.codec.go_away(ErrorCode.NO_ERROR)
            self._part()
            self.flush()

    def _part(self) -> None:
        """Close when all is served that was asked; more may come in the rest of a read."""
        if self._final and not (self._streams or self._batch or self._deaf):
            self._close()

    def abort_now(self) -> None:
        """End the connection, whatever it carries."""
        self._batch = self._deaf = True
        self._tear_all(GatewayError(503, "gateway_stopped", phase=Phase.RESPONSE_BODY))
        self._abort()

    # Reading.

    def dataReceived(self, data: bytes) -> None:
        """Twisted: bytes came."""
        if self._deaf:
            self._linger_left -= len(data)
            if self._linger_left < 0:
                # It has had its chance to read why; not to read on would mean not to notice when it goes.
                self._abort()
            return
        now_s = self.now_s = self._wheel.now_s
        self._patience.last_read_s = now_s
        events = self.codec.receive(data, now_s)
        if not events:
            self.flush()
            return
        self._batch = True
        try:
            self._handle(events)
        finally:
            self._batch = False
        if not self._deaf:
            self._part()
            self.flush()

    def _handle(self, events: list[tuple[int, StreamEvent]]) -> None:
        streams = self._streams
        started: list[Http2Stream] = []
        for sid, event in events:
            if self._deaf:
                return
            kind = event.__class__
            stream = streams.get(sid)
            if kind is RequestHead:
                started.append(self._begin(sid, event))  # type: ignore[arg-type]
            elif stream is None:
                started += self._without_stream(sid, event)
            elif kind is bytes:
                stream.received(event)  # type: ignore[arg-type]
            elif kind is End:
                stream.ended(event.trailers)  # type: ignore[union-attr]
            elif kind is Relieved:
                stream.relieved()
            elif kind is Reset:
                stream.lost()
            elif kind is Violation:
                stream.spoilt(event, _verdict(event))  # type: ignore[arg-type]
        for stream in started:
            if not self.congested:
                stream.run()
            elif stream.sid in streams:
                self._held[stream.sid] = stream

    def _without_stream(self, sid: int, event: StreamEvent) -> list[Http2Stream]:
        """An event of the connection, or of a stream whose request could not be read; returns the exchange it becomes."""
        kind = event.__class__
        if kind is Violation and sid:
            # Not of one that ended in the middle of this read.
            return [self._refuse(sid, event)] if self.codec.is_open(sid) else []  # type: ignore[arg-type]
        if kind is Violation:
            self._break(event)  # type: ignore[arg-type]
        elif kind is Pong:
            self._last_call()
        elif kind is GoAway:
            self._retiring = self._final = True
        elif not self._served and not self._streams and not self._retiring:
            # Its settings came: it is one of us.
            self._patience.idle()
        return []

    def _begin(self, sid: int, head: RequestHead) -> Http2Stream:
        listener = self.listener
        if not self._streams:
            self._patience.busy()
            if not self._retiring:
                self._pinged = False
                self._probe.set(PING_AFTER_S)
        stream = self._streams[sid] = Http2Stream(self, sid, head)
        self._served += 1
        if self._served >= listener.http2.requests or not listener.concessions.keep_alive:
            self._retire()
        if self.tls is not None and listener.misdirected(self.transport, head.host):
            stream.refuse(GatewayError(421, "misdirected_request", side=Side.DOWNSTREAM, phase=Phase.ROUTE))
        return stream

    def _refuse(self, sid: int, violation: Violation) -> Http2Stream:
        """A head that cannot be read becomes an exchange too; the router answers it."""
        head = RequestHead(
            violation.method or "-", violation.target, "", None, b"", "", None, "2", Headers(), 0, keep_alive=True
        )
        stream = self._begin(sid, head)
        stream.refuse(fault_of(violation, Phase.HEAD), _verdict(violation))
        return stream

    def _break(self, violation: Violation) -> None:
        """The peer broke the rules for the whole connection."""
        _log.info(
            "HTTP/2 with {peer} ended: {reason}: {detail}",
            peer=self.peer, reason=violation.reason, detail=violation.detail,
        )  # fmt: skip
        self.listener.broke(violation.reason)
        self._deaf = True
        self._tear_all(fault_of(violation, Phase.BODY))
        self._batch = False
        self.flush()
        self._linger()

    # For the streams.

    def flush(self) -> None:
        """Write what the codec has to say; in the middle of a read, at its end."""
        if not self._batch:
            data = self.codec.take()
            if data:
                self.transport.write(data)

    def forget(self, sid: int) -> None:
        """From a stream: it is over."""
        self._streams.pop(sid, None)
        self._held.pop(sid, None)
        if self._streams or self._deaf:
            return
        if self._final:
            self._part()
        elif not self._retiring:
            self._probe.clear()
            self._patience.idle()

    def _tear_all(self, error: GatewayError) -> None:
        self._held.clear()
        for stream in list(self._streams.values()):
            stream.tear(error, None)

    # Deadlines.

    def _silent(self) -> None:
        """Streams are open, and the peer may have gone without a word."""
        if self._retiring and not self._final:
            self._last_call()
            return
        quiet_s = self._wheel.now_s - self.now_s
        if quiet_s < PING_AFTER_S:
            self._pinged = False
            self._probe.set(PING_AFTER_S - quiet_s + 0.1)
        elif self._pinged:
            self.give_up("h2_ping_timeout")
        else:
            self._pinged = True
            self.codec.ping()
            self.flush()
            self._probe.set(PING_WAIT_S)

    def late(self, _: Violation) -> None:
        """From patience: no preface, or nothing behind it."""
        self._close()

    def idle_over(self) -> None:
        """From patience: no request came."""
        self.codec.go_away(ErrorCode.NO_ERROR)
        self._close()

    def linger_over(self) -> None:
        """From patience: the peer had time to read the last GOAWAY."""
        self._patience.parting()
        self.transport.loseConnection()

    def give_up(self, reason: str) -> None:
        """From patience: the peer takes or sends nothing any more."""
        self._batch = self._deaf = True
        self._tear_all(GatewayError(408, reason, side=Side.DOWNSTREAM, phase=Phase.RESPONSE_BODY))
        self._abort()

    # Backpressure of the peer.

    def pauseProducing(self) -> None:
        """Twisted: the peer reads slowly."""
        self.congested = True
        self._patience.congested()
        for stream in list(self._streams.values()):
            stream.hold_on()

    def resumeProducing(self) -> None:
        """Twisted: the peer took what waited."""
        self.congested = False
        self._patience.relieved()
        held = self._held
        while held and not self.congested:
            held.pop(next(iter(held))).run()
        for stream in list(self._streams.values()):
            stream.go_on()

    def stopProducing(self) -> None:
        """Twisted: the transport is going; `connectionLost` follows."""

    # The end of the connection.

    def _close(self) -> None:
        self._batch = False
        self.flush()
        self._deaf = True
        self._probe.drop()
        self._patience.parting()
        self.transport.unregisterProducer()
        self.transport.loseConnection()

    def _linger(self) -> None:
        """Close so that the peer can read the GOAWAY though it is still sending: a reset would take it away."""
        self._deaf = True
        self._probe.drop()
        self._patience.linger()
        self.transport.unregisterProducer()
        half_close = getattr(self.transport, "loseWriteConnection", None)
        if self.tls is None and half_close is not None:
            half_close()

    def _abort(self) -> None:
        self._probe.drop()
        self.transport.unregisterProducer()
        self.transport.abortConnection()

    def __repr__(self) -> str:
        state = "closing" if self._deaf else "draining" if self._retiring else "open"
        return f"<Http2Downstream {self.peer}:{self.peer_port} {state}, {len(self._streams)} streams, {self._served} served>"


def _verdict(violation: Violation) -> ErrorCode:
    return ErrorCode.PROTOCOL_ERROR if violation.malformed else ErrorCode.NO_ERROR
