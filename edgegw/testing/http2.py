"""A downstream HTTP/2 connection in memory, with the `h2` library as its peer and a scripted responder behind it.

desk = Http2Desk(Response.of(200, b"hello"))
stream = desk.asks("/x")
desk.answer(stream)  # Answer(status=200, ..., body=b"hello", ended=True)
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import h2.config
import h2.connection
import h2.events

from edgegw.net.http2_downstream import Http2Downstream
from edgegw.testing.downstream import Desk, Step
from edgegw.testing.memory import MemoryTransport


@dataclass
class Answer:
    """What came back on one stream. informational: statuses of 1xx heads. reset: the code of a RST_STREAM, else None."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    trailers: dict[str, str] | None = None
    ended: bool = False
    reset: int | None = None
    informational: list[int] = field(default_factory=list)


class Http2Desk(Desk):
    """A desk whose first connection speaks HTTP/2.

    Attributes:
        peer: the client. answers: by stream. events: of the connection (GOAWAY, PING, settings). autopump: what the peer has to
        say is delivered by itself. credit: the peer gives credit for what it gets.
    """

    def __init__(self, *steps: Step, credit: bool = True, window: int | None = None, **terms: Any) -> None:
        self.credit = credit
        self.answers: dict[int, Answer] = {}
        self.events: list[Any] = []
        self.goaways_heard: list[tuple[int, int]] = []
        config = h2.config.H2Configuration(
            client_side=True, header_encoding="utf-8", validate_outbound_headers=False, normalize_outbound_headers=False
        )
        self.peer = h2.connection.H2Connection(config)
        super().__init__(*steps, **terms)
        self._read = 0
        self.peer.initiate_connection()
        if window is not None:
            self.peer.update_settings({4: window})
        self.pump()

    def connect(self, peer: str = "192.0.2.1") -> tuple[Any, MemoryTransport]:
        """Another connection; the transcript stays with the first."""
        connection = Http2Downstream(self.listener, peer, 50000, 80)
        transport = MemoryTransport(connection, peer)
        transport.connect()
        return connection, transport

    def pump(self) -> Http2Desk:
        """Carry bytes both ways until neither side has any."""
        while True:
            self.transport.settle()
            data = self.transport.written[self._read :]
            self._read += len(data)
            if data:
                self._note(self.peer.receive_data(self._without_goaways(data)))
            said = self.peer.data_to_send()
            if said:
                self.transport.deliver(said)
            elif not data:
                return self

    def asks(self, path: str = "/", method: str = "GET", *fields: tuple[str, str], end: bool = True) -> int:
        """The peer sends a head; returns its stream."""
        stream = self.peer.get_next_available_stream_id()
        pseudo = [(":method", method), (":scheme", "http"), (":authority", "a"), (":path", path)]
        self.peer.send_headers(stream, [*pseudo, *fields], end_stream=end)
        self.pump()
        return stream

    def sends(self, stream: int, data: bytes, end: bool = False) -> Http2Desk:
        """The peer sends body data."""
        self.peer.send_data(stream, data, end_stream=end)
        return self.pump()

    def frame(self, raw: bytes) -> Http2Desk:
        """The peer sends these very bytes."""
        self.transport.deliver(raw)
        return self.pump()

    def answer(self, stream: int) -> Answer:
        """What has come back so far."""
        self.pump()
        return self.answers.setdefault(stream, Answer())

    def goaways(self) -> list[tuple[int, int]]:
        """(last stream, code) of every GOAWAY."""
        self.pump()
        return self.goaways_heard

    def _without_goaways(self, data: bytes) -> bytes:
        """What the peer reads: `h2` takes a GOAWAY for the end of everything, which a graceful one is not, so it gets none."""
        kept = b""
        while data:
            stop = 9 + int.from_bytes(data[:3], "big")
            frame, data = data[:stop], data[stop:]
            if frame[3] == 3:
                # Nor does it tell of a reset behind the end.
                self.answers.setdefault(int.from_bytes(frame[5:9], "big"), Answer()).reset = frame[12]
            if frame[3] == 7:
                self.goaways_heard.append((int.from_bytes(frame[9:13], "big"), int.from_bytes(frame[13:17], "big")))
            else:
                kept += frame
        return kept

    def _note(self, events: list[Any]) -> None:
        for event in events:
            stream = getattr(event, "stream_id", None)
            if not stream:
                self.events.append(event)
                continue
            answer = self.answers.setdefault(stream, Answer())
            if isinstance(event, h2.events.InformationalResponseReceived):
                answer.informational.append(int(_read(event.headers)[":status"]))
            elif isinstance(event, h2.events.ResponseReceived):
                answer.headers = _read(event.headers)
                answer.status = int(answer.headers.pop(":status"))
            elif isinstance(event, h2.events.DataReceived):
                answer.body += event.data
                if self.credit and event.flow_controlled_length:
                    self.peer.acknowledge_received_data(event.flow_controlled_length, stream)
            elif isinstance(event, h2.events.TrailersReceived):
                answer.trailers = _read(event.headers)
            elif isinstance(event, h2.events.StreamEnded):
                answer.ended = True


def _read(headers: Any) -> dict[str, str]:
    return {str(name): str(value) for name, value in headers}
