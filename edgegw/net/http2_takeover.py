"""One HTTP/2 stream as a transport, for a protocol that took it over (extended CONNECT, RFC 8441)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IHalfCloseableProtocol, IPushProducer, ITransport
from twisted.python.failure import Failure
from zope.interface import implementer

from edgegw.errors import GatewayError
from edgegw.exchange.body import Body
from edgegw.exchange.model import Takeover
from edgegw.wire.headers import Field
from edgegw.wire.http2 import ServerCodec
from edgegw.wire.http2_limits import ErrorCode

if TYPE_CHECKING:
    from edgegw.net.http2_downstream import Http2Downstream
    from edgegw.net.http2_stream import Http2Stream

LAST_WORD_S = 2.0
"""How long a protocol may go on writing when its peer has ended the stream."""


@implementer(ITransport, IPushProducer)
class StreamTransport:
    """What the protocol writes to.

    Args:
        stream: that is taken over. connection, codec: which carry it.
    """

    def __init__(self, stream: Http2Stream, connection: Http2Downstream, codec: ServerCodec) -> None:
        self._stream = stream
        self._connection = connection
        self._codec = codec
        self._protocol: Any = None
        self._producer: Any = None
        self._paused = connection.congested
        self._ended = False
        self._last_word = connection.listener.wheel.deadline(self._end)
        # How it ended, while there is nobody to tell yet.
        self._reason: Exception | None = None
        self.disconnecting = False
        self.disconnected = False
        self.sent = 0

    def open(self, takeover: Takeover, upload: Body) -> None:
        """Let the protocol begin, with what the peer has sent already."""
        self._protocol = takeover.connect(self, b"")
        if self._reason is not None:
            self._tell(self._reason)
        upload.attach(_Incoming(self, self._protocol))

    # What the protocol calls.

    def write(self, data: bytes) -> None:
        """Send bytes; dropped after the end."""
        if self.disconnected or self._ended or not data:
            return
        self.sent += len(data)
        self._codec.send_data(self._stream.sid, data)
        self._connection.flush()
        if self._codec.waiting(self._stream.sid):
            self.hold_on()

    def writeSequence(self, data: Iterable[bytes]) -> None:
        """Send several pieces."""
        self.write(b"".join(data))

    def loseConnection(self) -> None:
        """End the stream when everything was written and no producer is registered any more."""
        self.disconnecting = True
        if self._producer is None:
            self._end()

    def abortConnection(self) -> None:
        """End the stream now."""
        self._leave(ErrorCode.CANCEL, ConnectionLost())

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Whom to pause while the peer's windows are shut. Push producers only, as elsewhere here."""
        self._producer = producer
        if self.disconnected:
            producer.stopProducing()
        elif self._paused:
            producer.pauseProducing()

    def unregisterProducer(self) -> None:
        """No producer any more."""
        self._producer = None
        if self.disconnecting:
            self._end()

    def pauseProducing(self) -> None:
        """Deliver nothing for now: the peer gets no more credit."""
        self._stream.pause()

    def resumeProducing(self) -> None:
        """Deliver again."""
        self._stream.resume()

    def stopProducing(self) -> None:
        """The same as `loseConnection`."""
        self.loseConnection()

    def getPeer(self) -> Any:
        """The connection's other side."""
        return self._connection.transport.getPeer()

    def getHost(self) -> Any:
        """The connection's own side."""
        return self._connection.transport.getHost()

    def unsent_bytes(self) -> int:
        """Bytes that wait for a window."""
        return self._codec.waiting(self._stream.sid)

    # What the stream calls.

    def hold_on(self) -> None:
        """A window is shut, or the connection congested."""
        if not self._paused:
            self._paused = True
            if self._producer is not None:
                self._producer.pauseProducing()

    def relieved(self) -> None:
        """What waited for a window has gone out, or the connection takes something again."""
        if self._codec.waiting(self._stream.sid):
            return
        if self._ended:
            self._leave(ErrorCode.NO_ERROR, ConnectionDone())
        elif self._paused and not self._connection.congested:
            self._paused = False
            if self._producer is not None:
                self._producer.resumeProducing()

    def lost(self, error: GatewayError) -> None:
        """The stream is gone."""
        if not self.disconnected:
            self.disconnected = True
            self._tell(ConnectionLost(error.reason))

    def half_closed(self) -> None:
        """The peer sends nothing more."""
        if self.disconnected:
            return
        half_closeable = IHalfCloseableProtocol(self._protocol, None)
        if half_closeable is not None:
            half_closeable.readConnectionLost()
        else:
            # It may have something to say still, such as the answer to a closing handshake that ended the stream.
            self._last_word.set(LAST_WORD_S)

    def broken_off(self, error: GatewayError) -> None:
        """What the peer sends broke off."""
        self._stream.tear(error, ErrorCode.CANCEL)

    # The inside.

    def _end(self) -> None:
        if self._ended or self.disconnected:
            return
        self._ended = True
        self._codec.send_end(self._stream.sid)
        self._connection.flush()
        if self._codec.waiting(self._stream.sid):
            self._stream.choke()
        else:
            self._leave(ErrorCode.NO_ERROR, ConnectionDone())

    def _leave(self, code: ErrorCode, reason: Exception) -> None:
        if self.disconnected:
            return
        self.disconnected = True
        self._stream.left(code)
        self._connection.flush()
        self._tell(reason)

    def _tell(self, reason: Exception) -> None:
        self._last_word.drop()
        if self._protocol is None:
            self._reason = reason
        else:
            self._protocol.connectionLost(Failure(reason))

    def __repr__(self) -> str:
        return f"<StreamTransport {self._stream.sid} {'gone' if self.disconnected else 'open'} sent={self.sent}>"


class _Incoming:
    """The sink of what the peer sends."""

    __slots__ = ("_protocol", "_transport")

    def __init__(self, transport: StreamTransport, protocol: Any) -> None:
        self._transport = transport
        self._protocol = protocol

    def write(self, data: bytes) -> None:
        if not self._transport.disconnected:
            self._protocol.dataReceived(data)

    def end(self, _: tuple[Field, ...]) -> None:
        self._transport.half_closed()

    def abort(self, error: GatewayError) -> None:
        self._transport.broken_off(error)
