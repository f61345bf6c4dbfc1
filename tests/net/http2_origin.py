"""A scripted HTTP/2 origin in memory, over the `h2` library: an implementation that is not ours judges what ours sends.

origin = Http2Origin()
connection = origin.accept()          # settled already
wire = origin.wires[0]
wire.answer(1, b"hello")              # head, data and end of stream 1 in one read
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    PingAckReceived,
    PingReceived,
    RequestReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
    WindowUpdated,
)
from h2.settings import SettingCodes, Settings
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IConsumer, IPushProducer, ITransport
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from zope.interface import implementer

from edgegw.errors import GatewayError
from edgegw.net.http2_upstream import Http2Upstream
from edgegw.runtime.wheel import Wheel

Pairs = list[tuple[bytes, bytes]]


class Asked:
    """One request as the origin read it. reset: the code it was taken back with."""

    def __init__(self, sid: int, fields: Pairs) -> None:
        self.sid = sid
        self.fields = fields
        self.body = b""
        self.trailers: Pairs = []
        self.complete = False
        self.reset: int | None = None

    def __getitem__(self, name: bytes) -> bytes:
        return dict(self.fields)[name]


@implementer(ITransport, IConsumer, IPushProducer)
class Wire:
    """One connection: the gateway's transport on one side, the test's handle on the other.

    asked: the requests by stream. pings: that came. away: code of the GOAWAY that came. writes: what the gateway wrote.
    """

    def __init__(self, origin: Http2Origin, protocol: Http2Upstream, greet: bool = True) -> None:
        self._origin = origin
        self.h2 = H2Connection(H2Configuration(client_side=False, header_encoding=None))
        self.protocol = protocol
        self.producer: Any = None
        self.asked: dict[int, Asked] = {}
        self.writes: list[bytes] = []
        self.pings = self.pongs = 0
        self.away: int | None = None
        self.credit = True
        self.deaf = self.aborted = self.closed = self.lost = False
        self._holding = self.greeted = False
        protocol.makeConnection(self)  # type: ignore[no-untyped-call]
        if greet:
            self.greet()

    # The test's side.

    def greet(self) -> None:
        """Say what we allow: the server's preface."""
        said = {SettingCodes.INITIAL_WINDOW_SIZE: self._origin.window}
        if self._origin.streams is not None:
            said[SettingCodes.MAX_CONCURRENT_STREAMS] = self._origin.streams
        self.h2.local_settings = Settings(client=False, initial_values=said)
        self.h2.initiate_connection()
        self.greeted = True
        for data in self.writes:
            self._read(data)
        self.flush()

    @contextmanager
    def one_read(self) -> Iterator[None]:
        """What is said inside reaches the gateway in one read."""
        holding, self._holding = self._holding, True
        yield
        self._holding = holding
        self.flush()

    def flush(self) -> None:
        """Let the gateway read what was said."""
        if not self._holding and not self.deaf:
            self.raw(self.h2.data_to_send())

    def raw(self, data: bytes) -> None:
        """Bytes as they are."""
        if data and not self.lost and not self.aborted and not self.closed:
            self.protocol.dataReceived(data)

    def head(self, sid: int, status: int = 200, *fields: tuple[bytes, bytes], end: bool = False) -> None:
        self.h2.send_headers(sid, [(b":status", b"%d" % status), *fields], end_stream=end)
        self.flush()

    def data(self, sid: int, data: bytes, end: bool = False) -> None:
        self.h2.send_data(sid, data, end_stream=end)
        self.flush()

    def trailers(self, sid: int, *fields: tuple[bytes, bytes]) -> None:
        self.h2.send_headers(sid, list(fields), end_stream=True)
        self.flush()

    def answer(self, sid: int, body: bytes = b"", status: int = 200, *fields: tuple[bytes, bytes]) -> None:
        """A whole response."""
        with self.one_read():
            self.head(sid, status, *fields, end=not body)
            if body:
                self.data(sid, body, end=True)

    def reset_stream(self, sid: int, code: int = ErrorCodes.INTERNAL_ERROR) -> None:
        self.h2.reset_stream(sid, code)
        self.flush()

    def go_away(self, last: int, code: int = 0) -> None:
        """GOAWAY as a frame of its own: `h2` would refuse to say anything after it."""
        self.raw(b"\0\0\x08\x07\0\0\0\0\0" + last.to_bytes(4, "big") + code.to_bytes(4, "big"))

    def allow(self, streams: int) -> None:
        """Change the number of streams."""
        self.h2.update_settings({SettingCodes.MAX_CONCURRENT_STREAMS: streams})
        self.flush()

    def window(self, sid: int) -> int:
        """What the gateway gives us credit for."""
        return int(self.h2.local_flow_control_window(sid))

    def take(self, sid: int, size: int) -> None:
        """Give the gateway credit."""
        self.h2.acknowledge_received_data(size, sid)
        self.flush()

    def close(self) -> None:
        self._lose(ConnectionDone())

    def reset(self) -> None:
        self._lose(ConnectionLost())

    def congest(self) -> None:
        self.producer.pauseProducing()

    def relieve(self) -> None:
        self.producer.resumeProducing()

    def _lose(self, reason: Exception) -> None:
        if not self.lost:
            self.lost = True
            self.protocol.connectionLost(Failure(reason))

    # The gateway's side: camelCase is Twisted's.

    def write(self, data: bytes) -> None:
        if self.lost or self.aborted or self.closed:
            return
        self.writes.append(data)
        if self.greeted:
            self._read(data)
            self._origin.clock.callLater(0, self.flush)

    def _read(self, data: bytes) -> None:
        for event in self.h2.receive_data(data):
            self._event(event)

    def _event(self, event: Any) -> None:
        asked = self.asked.get(getattr(event, "stream_id", None) or 0)
        if isinstance(event, RequestReceived):
            self.asked[event.stream_id] = Asked(event.stream_id, list(event.headers))
        elif isinstance(event, ConnectionTerminated):
            self.away = int(event.error_code)
        elif isinstance(event, PingReceived):
            self.pings += 1
        elif isinstance(event, PingAckReceived):
            self.pongs += 1
        elif asked is not None and isinstance(event, DataReceived):
            asked.body += event.data
            if self.credit and event.flow_controlled_length:
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif asked is not None and isinstance(event, TrailersReceived):
            asked.trailers = list(event.headers)
        elif asked is not None and isinstance(event, StreamReset):
            asked.reset = int(event.error_code)
        elif asked is not None and isinstance(event, StreamEnded):
            asked.complete = True
            self._origin.came(self, asked)
        elif not isinstance(event, WindowUpdated):
            self._origin.others.append(event)

    def writeSequence(self, chunks: Iterable[bytes]) -> None:
        self.write(b"".join(chunks))

    def loseConnection(self) -> None:
        self.closed = True
        self._origin.clock.callLater(0, self._lose, ConnectionDone())

    def abortConnection(self) -> None:
        self.aborted = True
        self._origin.clock.callLater(0, self._lose, ConnectionAborted())

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        self.producer = producer

    def unregisterProducer(self) -> None:
        self.producer = None

    def pauseProducing(self) -> None:
        raise AssertionError("one slow reader must not stop the connection")

    def resumeProducing(self) -> None:
        raise AssertionError("one slow reader must not stop the connection")

    def stopProducing(self) -> None:
        self.loseConnection()

    def getPeer(self) -> Any:
        return None

    def getHost(self) -> Any:
        return None


class Http2Origin:
    """What listens at one endpoint; in place of `Connector` for a pool.

    streams, window: of the SETTINGS. script: what the next whole requests are answered by, in the next turn. held: when a list,
    attempts to connect wait in it. faults: what the next attempts end in.
    """

    def __init__(
        self,
        *script: Callable[[Wire, int], None],
        clock: Clock | None = None,
        wheel: Wheel | None = None,
        streams: int | None = None,
        window: int = 65535,
    ) -> None:
        self.clock = clock or Clock()
        self.wheel = wheel or Wheel(self.clock)
        self.wheel.start()
        self.streams = streams
        self.window = window
        self.script = list(script)
        self.wires: list[Wire] = []
        self.others: list[Any] = []
        self.held: list[Deferred[Any]] | None = None
        self.faults: list[GatewayError] = []
        self.attempts = 0

    def expected_room(self, url: object) -> int:
        """In place of `Connector.expected_room`."""
        return 100

    def connect(self, url: object = None) -> Deferred[Any]:
        """In place of `Connector.connect`."""
        self.attempts += 1
        if self.faults:
            return fail(self.faults.pop(0))
        if self.held is not None:
            waiting: Deferred[Any] = Deferred()
            self.held.append(waiting)
            return waiting
        return succeed(self.accept())

    def accept(self, greet: bool = True) -> Http2Upstream:
        """Make a connection."""
        connection = Http2Upstream(self.wheel, secure=False)
        self.wires.append(Wire(self, connection, greet))
        return connection

    def came(self, wire: Wire, asked: Asked) -> None:
        """A request is complete."""
        if self.script:
            self.clock.callLater(0, self.script.pop(0), wire, asked.sid)

    @property
    def asked(self) -> list[Asked]:
        """Every request, of all connections."""
        return [each for wire in self.wires for each in wire.asked.values()]

    def turn(self, seconds: float = 0.0) -> None:
        """Let time pass, tick by tick, and everything happen that is due."""
        self.clock.advance(0)
        for _ in range(round(seconds * 10)):
            self.clock.advance(0.1)
        for _ in range(4):
            self.clock.advance(0)
