"""One connection of a relay: what is read goes to the other side, what the other side sends is written."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, Protocol

from twisted.internet.interfaces import IProtocol, IPushProducer
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from edgegw.net.stall import unsent
from edgegw.net.websocket.deflate import WORTHWHILE, Codec
from edgegw.net.websocket.ending import POLICY
from edgegw.net.websocket.frames import CLOSE, COMPRESSED, FIN, KEYS, PING, PONG, MaskKeys, close_payload, frame
from edgegw.net.websocket.parser import CLOSING, OPEN, FrameParser
from edgegw.net.websocket.pulse import Pace, Pulse
from edgegw.net.websocket.settings import WebSocketSettings
from edgegw.runtime.wheel import Wheel

_TOO_FAST = "too many messages"

Verdict = tuple[int | None, bytes]
"""What a Close says: code and reason."""


class Owner(Protocol):
    """The relay, as its sides see it."""

    settings: WebSocketSettings
    wheel: Wheel
    active_s: float

    def closed(self, side: Side, code: int | None, reason: bytes) -> None:
        """A Close came that may be passed on."""

    def failed(self, side: Side, code: int, reason: str) -> None:
        """The peer broke the rules and is to be told so."""

    def lost(self, side: Side) -> None:
        """The connection is gone."""


@implementer(IProtocol, IPushProducer)
class Side(FrameParser):
    """What both sides have in common; `Downstream` and `Upstream` say what sets them apart.

    It is its transport's protocol, and the producer that the transport pauses: what is paused then is the other side's reading.

    Attributes:
        other: the other side. transport: None until there is one. said, heard: a Close was sent, received. told: what the
        received one said. leaving: it was told to close. gone: it is closed. messages, octets: passed on from here; octets of
        payload. sent: bytes written to the transport.
    """

    name: str
    keys: MaskKeys | None = None

    # Kept with the class until they change: an idle connection is to be small.
    other: Side
    transport: Any = None
    halted = True
    said = heard = gone = leaving = _congested = False
    messages = octets = sent = _taken = 0
    told: Verdict | None = None
    _verdict: Verdict | None = None
    _pong: bytes | None = None
    pace: Pace | None = None

    def __init__(self, owner: Owner, deflate: Codec | None) -> None:
        settings = owner.settings
        super().__init__(settings.max_message, settings.frame_limit, deflate)
        self.owner = owner
        self._wheel = owner.wheel
        self.pulse = Pulse(settings.ping, settings.pong_timeout, owner.wheel.now_s)

    # Twisted calls these: IProtocol and IPushProducer.

    def makeConnection(self, transport: Any) -> None:
        """The connection comes by `attach`."""

    def connectionMade(self) -> None:
        """The connection comes by `attach`."""

    def dataReceived(self, data: bytes) -> None:
        """Bytes from the peer. What comes in a pause, at most one read, waits."""
        self.pulse.heard_s = self._wheel.now_s
        self.read(data)
        if self.halted:
            self.transport.pauseProducing()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The connection is gone."""
        if self.gone:
            return
        if self.halted and self.other.transport is not None:
            # What was read before it was lost has been sent.
            self.halted = False
            self.read(self.take_held())
        self.gone = True
        self.forget()
        self.owner.lost(self)

    def pauseProducing(self) -> None:
        """The peer does not take what is written: the other side is to send no more."""
        self._congested = True
        if not self.said:
            self.other.halt()

    def resumeProducing(self) -> None:
        """The peer took it."""
        self._congested = False
        if self._pong is not None:
            payload, self._pong = self._pong, None
            self.found_ping(payload)
        self.other.release()

    def stopProducing(self) -> None:
        """The connection is gone; `connectionLost` follows."""

    # The relay calls these.

    def attach(self, transport: Any, received: bytes) -> None:
        """Take the connection; reading waits for `release`."""
        self.transport = transport
        self._held = received
        self.pulse.heard_s = self._wheel.now_s
        transport.registerProducer(self, True)
        if self._verdict is not None:
            self.close(*self._verdict)

    def halt(self) -> None:
        """Read no more for now."""
        if not self.halted and not self.gone:
            self.halted = True
            self.transport.pauseProducing()

    def release(self) -> None:
        """Read on, beginning with what waits."""
        if not self.halted or self.gone or self.transport is None:
            return
        self.halted = False
        self.pulse.heard_s = self._wheel.now_s
        self.read(self.take_held())
        if not self.halted and not self.gone:
            self.transport.resumeProducing()

    def send(self, opcode: int, payload: bytes) -> None:
        """One message to the peer; dropped behind our Close."""
        if self.said or self.gone:
            return
        first = FIN | opcode
        if self._perMessageCompress is not None and len(payload) >= WORTHWHILE:
            first |= COMPRESSED
            payload = self._perMessageCompress.compress(payload)
        data = frame(first, payload, self.keys)
        self.sent += len(data)
        self.transport.write(data)

    def close(self, code: int | None, reason: bytes) -> None:
        """Say Close, once. What the other side sends from now on goes nowhere, so that nothing need hold it up."""
        if self.said or self.gone:
            return
        if self.transport is None:
            self._verdict = self._verdict or (code, reason)
            return
        self.said = True
        if self.state == OPEN:
            self.state = CLOSING
        self._control(CLOSE, close_payload(code, reason))
        self.other.release()

    def leave(self) -> None:
        """Close the connection when everything has left."""
        if not self.gone and not self.leaving and self.transport is not None:
            self.leaving = True
            self.forget()
            self.transport.unregisterProducer()
            self.transport.loseConnection()

    def cut(self) -> None:
        """Close the connection now."""
        if not self.gone and self.transport is not None:
            self.forget()
            self.transport.unregisterProducer()
            self.transport.abortConnection()

    def ping(self) -> None:
        """Ask for a sign of life."""
        self._control(PING, b"")

    def check(self, now_s: float) -> float:
        """As `Pulse.check`. Who is not listened to is not suspected of being dead."""
        if self.halted:
            self.pulse.heard_s = now_s
        return self.pulse.check(now_s, self)

    def outstanding(self) -> int:
        """Bytes that were written and the peer has not taken, as far as is known."""
        return sum(unsent(self.transport)) + int(getattr(self.transport, "gathered", 0))

    def moves(self) -> bool:
        """Whether the peer took something since this was asked last, and has more to take."""
        outstanding, before = self.outstanding(), self._taken
        self._taken = self.sent - outstanding
        return bool(outstanding) and self._taken > before

    # The parser calls these.

    def found_message(self, opcode: int, payload: bytes) -> None:
        owner = self.owner
        owner.active_s = now_s = self._wheel.now_s
        if self.pace is not None and not self.pace.allows(now_s):
            self._fail_connection(POLICY, _TOO_FAST)
            return
        self.messages += 1
        self.octets += len(payload)
        self.other.send(opcode, payload)

    def found_ping(self, payload: bytes) -> None:
        if self.said:
            return
        if self._congested:
            # Only the latest ping need be answered (RFC 6455 5.5.3): who reads nothing gets no pile of pongs.
            self._pong = payload
        elif self.pace is not None and not self.pace.allows(self._wheel.now_s):
            self._fail_connection(POLICY, _TOO_FAST)
        else:
            self._control(PONG, payload)

    def found_close(self, code: int | None, reason: bytes) -> None:
        self.heard = True
        self.owner.closed(self, code, reason)

    def found_fault(self, code: int, reason: str, *, final: bool) -> None:
        self.heard = self.heard or final
        self.owner.failed(self, code, reason)

    def _control(self, opcode: int, payload: bytes) -> None:
        if not self.gone:
            data = frame(FIN | opcode, payload, self.keys)
            self.sent += len(data)
            self.transport.write(data)

    def __repr__(self) -> str:
        states = (
            ("gone", self.gone),
            ("new", self.transport is None),
            ("closed", self.said and self.heard),
            ("closing", self.said or self.heard),
            ("paused", self.halted),
        )
        state = next((name for name, holds in states if holds), "open")
        return f"<{type(self).__name__} {state} messages={self.messages} bytes={self.octets}>"


class Downstream(Side):
    """The client's side: we are its server, and its frames are masked."""

    factory = SimpleNamespace(isServer=True)
    masked = True
    name = "downstream"


class Upstream(Side):
    """The upstream's side: we are its client, and mask what we send."""

    factory = SimpleNamespace(isServer=False)
    masked = False
    name = "upstream"
    keys = KEYS
