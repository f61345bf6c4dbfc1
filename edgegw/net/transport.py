"""The loop's own transports, worn by Twisted protocols.

`LoopTransport` is an `asyncio.Protocol` below and a Twisted transport above (`ITCPTransport`, `IConsumer`,
`IPushProducer`). What the loop calls with a chunk is the protocol's bound `dataReceived`; what is written is gathered
and sent at the end of the turn (`edgegw.net.turn`). What can be seen from a protocol is what Twisted's stock TCP
transport shows; tests/net/test_transport.py runs each behaviour on both. The differences that are meant:

- Writes after `loseConnection`, `loseWriteConnection` or the loss are dropped and counted (`dropped_writes`). Stock
  drops those after the loss only.
- `loseConnection` waits for any registered producer, as ITransport says; stock waits for a paused or a pull one only.
- A push producer that registers while the buffer is full is paused at once, not at the next write.
- A protocol that replaces its `dataReceived` while connected must call `transport.rebind()`.
- A peer on a dual-stack socket shows its IPv4 address, not `::ffff:` and the address.
- An exception in `connectionMade` drops the connection.

TLS is not started here: wrap the factory in a `TLSMemoryBIOFactory`.
"""

import asyncio
import contextvars
import socket
import struct
import traceback
from collections.abc import Callable
from typing import Any, cast

from twisted.internet.address import UNIXAddress
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IConsumer, IHalfCloseableProtocol, IProtocol, IPushProducer, ITCPTransport
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from edgegw.net.consumer import HIGH_WATER, LoopConsumer
from edgegw.net.sockets import Address, address_of, name_of

_log = Logger()
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


@implementer(ITCPTransport, IConsumer, IPushProducer)
class LoopTransport(LoopConsumer):
    """One connection: what the loop drives, and what the Twisted protocol holds as its transport.

    `build` makes the protocol when the connection stands, from the peer's address; None or an exception drops the
    connection. `on_open` is called after the protocol's `connectionMade`, `on_lost` after its `connectionLost`, and
    also when there never was a protocol. `peer` is the other side's address where the caller knows it. `high_water` is
    the number of unsent bytes above which a producer is paused; it is resumed at a quarter of that.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        build: Callable[[Address], IProtocol | None],
        *,
        peer: Address | None = None,
        on_open: Callable[[IProtocol], None] | None = None,
        on_lost: Callable[[], None] | None = None,
        high_water: int = HIGH_WATER,
    ) -> None:
        super().__init__(loop)
        self._build = build
        self._on_open = on_open
        self._on_lost = on_lost
        self._high_water = high_water
        self._protocol: IProtocol | None = None
        self._peer = peer
        self._host: Address | None = None
        self._paused = self._write_closed = self._aborted = False
        self._held: list[bytes] | None = None
        self._held_eof = False
        self._cause: Failure | None = None
        self.disconnected = False
        self._set_receiver(self._ignore)

    def __repr__(self) -> str:
        names = ("lost", self.disconnected), ("closing", self.disconnecting), ("open", self.connected), ("new", True)
        state = next(name for name, holds in names if holds)
        unsent = self._wire.get_write_buffer_size() if self.connected else 0
        return f"<LoopTransport {name_of(self._peer)} {state} unsent={unsent} protocol={self._protocol!r}>"

    # What the loop calls. `data_received` is the protocol's own `dataReceived`.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection stands: make the protocol and hand it this transport."""
        self._wire = cast(asyncio.Transport, transport)
        self._wire.set_write_buffer_limits(high=self._high_water)
        if not self._take_addresses() or not self._take_protocol():
            _cleanly(self._wire.abort)
            return
        assert self._protocol is not None
        self.connected = True
        self._start_writing()
        self.rebind()
        try:
            self._protocol.makeConnection(self)
        except BaseException:
            self._fail("connectionMade")
            return
        if self._paused:
            self._hold()
        if self._on_open is not None:
            self._on_open(self._protocol)

    def connection_lost(self, exc: BaseException | None) -> None:
        """The connection is gone: tell the producer, then the protocol, each in its own guard."""
        protocol, producer = self._protocol, self._producer
        reason = self._reason(exc)
        self._protocol = self._producer = self._held = None
        self.connected = False
        self.disconnected = True
        self._set_receiver(self._ignore)
        self._stop_writing()
        if producer is not None:
            _guarded("stopProducing", producer.stopProducing)
        if protocol is not None:
            _guarded("connectionLost", protocol.connectionLost, reason)
        if self._on_lost is not None:
            _guarded("on_lost", self._on_lost)

    def eof_received(self) -> bool:
        """The peer sent its last byte. True keeps our side open, which only half-closeable protocols ask for."""
        if self._held is not None:
            self._held_eof = True
            return True
        half_closeable = IHalfCloseableProtocol(self._protocol, None)
        if half_closeable is None:
            # Stock drops what is unsent here; a soft close would wait for a peer that may never read it.
            _cleanly(self._wire.abort)
            return False
        try:
            half_closeable.readConnectionLost()
        except BaseException:
            self._fail("readConnectionLost")
        return True

    def resume_writing(self) -> None:
        """Few enough unsent bytes again; after a half-close, none."""
        super().resume_writing()
        if self._write_closed:
            self._soon(self._say_write_closed)

    def broken_by(self, exc: BaseException) -> None:
        """The protocol's `dataReceived` raised `exc`; the loop is dropping the connection. Log it, once."""
        if self._cause is None:
            self._cause = Failure(exc, type(exc), exc.__traceback__)
            _log.failure("dataReceived of {protocol!r} failed", self._cause, protocol=self._protocol)

    # What the protocol calls: ITCPTransport. `write` and `writeSequence` are the loop transport's own.

    @property
    def protocol(self) -> IProtocol | None:
        """Who receives the bytes; None before and after the connection. Setting it hands the connection over."""
        return self._protocol

    @protocol.setter
    def protocol(self, protocol: IProtocol) -> None:
        self._protocol = protocol
        self.rebind()

    def rebind(self) -> None:
        """Look `dataReceived` up again. To be called by a protocol that replaced its own while connected."""
        if self.connected and self._held is None and self._protocol is not None:
            self._set_receiver(self._protocol.dataReceived)
            self._wire.set_protocol(self)

    def getPeer(self) -> Any:
        """The address of the other side: IPv4Address, IPv6Address or UNIXAddress."""
        return self._peer

    def getHost(self) -> Any:
        """The address of this side: IPv4Address, IPv6Address or UNIXAddress."""
        return self._host

    def getHandle(self) -> Any:
        """The socket; None before and after the connection."""
        return self._socket() if self.connected else None

    def unsent_bytes(self) -> int:
        """What was written and waits in this process, not with the kernel yet."""
        return self._wire.get_write_buffer_size() if self.connected else 0

    def loseConnection(self) -> None:
        """Close when everything written has left and no producer is registered any more. Reading stops now."""
        if not self.connected or self.disconnecting:
            return
        self.disconnecting = self._paused = True
        self._held = None
        self._wire.pause_reading()
        if self._producer is None:
            self._close()

    def abortConnection(self) -> None:
        """Close now with a reset; what is unsent is lost."""
        if not self.connected or self._aborted:
            return
        self._aborted = self.disconnecting = True
        self._stop_writing()
        try:
            self._socket().setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        except OSError:  # The peer was faster.
            pass
        _cleanly(self._wire.abort)

    def loseWriteConnection(self) -> None:
        """Send what is written, then close our direction only. A half-closeable protocol is told when it is done."""
        if not self.connected or self.disconnecting or self._write_closed:
            return
        self._write_closed = True
        self._turn.flush()
        self._stop_writing()
        self._wire.write_eof()
        if self._wire.get_write_buffer_size():
            # A limit of nothing turns `resume_writing` into the news that the last byte has left.
            self._wire.set_write_buffer_limits(high=0)
        else:
            self._soon(self._say_write_closed)

    def getTcpNoDelay(self) -> bool:
        """Whether small writes leave at once (TCP_NODELAY)."""
        return bool(self._socket().getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))

    def setTcpNoDelay(self, enabled: bool) -> None:
        """Set TCP_NODELAY; a UNIX socket, which has no such thing, is left as it is."""
        if not isinstance(self._peer, UNIXAddress):
            self._socket().setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, bool(enabled))

    def getTcpKeepAlive(self) -> bool:
        """Whether the kernel probes an idle connection (SO_KEEPALIVE)."""
        return bool(self._socket().getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE))

    def setTcpKeepAlive(self, enabled: bool) -> None:
        """Set SO_KEEPALIVE."""
        self._socket().setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, bool(enabled))

    # What the protocol calls: IPushProducer.

    def pauseProducing(self) -> None:
        """Stop reading; at most one chunk that was on its way still arrives."""
        if self.connected and not self._paused:
            self._paused = True
            self._wire.pause_reading()

    def resumeProducing(self) -> None:
        """Read again."""
        if not self.connected or not self._paused or self.disconnecting:
            return
        self._paused = False
        if self._held is not None:
            self._soon(self._release)
        else:
            _cleanly(self._wire.resume_reading)

    def stopProducing(self) -> None:
        """The same as `loseConnection`."""
        self.loseConnection()

    # The inside.

    def _take_addresses(self) -> bool:
        """Learn both addresses; False if the connection is gone already and the kernel has forgotten them."""
        try:
            self._host = address_of(self._wire.get_extra_info("sockname"))
            if self._peer is None:
                raw = self._wire.get_extra_info("peername")
                if raw is None and self._socket().family != socket.AF_UNIX:
                    return False
                self._peer = address_of(raw)
        except OSError:
            return False
        return True

    def _take_protocol(self) -> bool:
        assert self._peer is not None
        try:
            self._protocol = self._build(self._peer)
        except BaseException:
            _log.failure("No protocol could be made for a connection from {peer}", peer=self._peer)
        return self._protocol is not None

    def _set_receiver(self, receive: Callable[[bytes], None]) -> None:
        # Stored on the instance, so that the loop finds the protocol's own method and not one of ours.
        self.data_received = receive  # type: ignore[method-assign, assignment]

    def _ignore(self, data: bytes) -> None:
        """Receives while nobody listens."""

    def _socket(self) -> Any:
        return self._wire.get_extra_info("socket")

    def _soon(self, call: Callable[[], None]) -> None:
        self._loop.call_soon(call, context=contextvars.Context())

    def _hold(self) -> None:
        # uvloop starts to read after `connection_made`, whatever was said in it. What it reads before the pause takes
        # hold waits here.
        self._held = []
        self._set_receiver(self._held.append)
        self._wire.set_protocol(self)
        self._soon(self._pause_wire)

    def _pause_wire(self) -> None:
        if self.connected and self._paused:
            self._wire.pause_reading()

    def _release(self) -> None:
        if self._held is None or self._paused or self._protocol is None:
            return
        data = b"".join(self._held)
        self._held = None
        self.rebind()
        if data:
            try:
                self._protocol.dataReceived(data)
            except BaseException as exc:
                self.broken_by(exc)
                _cleanly(self._wire.abort)
        if not self.connected or self.disconnecting or self._cause is not None:
            return
        if self._paused:
            self._hold()
        elif self._held_eof:
            self._held_eof = False
            self.eof_received()
        else:
            _cleanly(self._wire.resume_reading)

    def _can_write(self) -> bool:
        return self.connected and not self._write_closed and not self._aborted and self._cause is None

    def _close(self) -> None:
        self._turn.flush()
        self._stop_writing()
        _cleanly(self._wire.close)

    def _say_write_closed(self) -> None:
        half_closeable = IHalfCloseableProtocol(self._protocol, None)
        if half_closeable is None:
            return
        try:
            half_closeable.writeConnectionLost()
        except BaseException:
            self._fail("writeConnectionLost")

    def _fail(self, what: str) -> None:
        """A call into the protocol or the producer raised: log it and drop the connection for that reason."""
        self._cause = Failure()
        _log.failure("{what} of {protocol!r} failed", self._cause, what=what, protocol=self._protocol)
        self._stop_writing()
        _cleanly(self._wire.abort)

    def _reason(self, exc: BaseException | None) -> Failure:
        if exc is not None and _comes_from_protocol(exc):
            self.broken_by(exc)
        if self._cause is not None:
            return self._cause
        if self._aborted:
            return Failure(ConnectionAborted())
        if exc is None:
            return Failure(ConnectionDone())
        return Failure(ConnectionLost(exc))


def _comes_from_protocol(exc: BaseException) -> bool:
    """Whether `exc` was raised by a protocol rather than by the socket under it."""
    if not isinstance(exc, OSError):
        return True
    modules = (str(frame.f_globals.get("__name__")) for frame, _ in traceback.walk_tb(exc.__traceback__))
    return any(module.partition(".")[0] not in ("asyncio", "uvloop") for module in modules)


def _cleanly(call: Callable[[], None]) -> None:
    """Run `call` in a context of its own: what the stdlib loop starts in it later calls the protocol in that context."""
    contextvars.Context().run(call)


def _guarded(what: str, call: Callable[..., object], *args: object) -> None:
    try:
        call(*args)
    except BaseException:
        _log.failure("{what} failed", what=what)
