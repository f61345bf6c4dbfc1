"""The tunnel: bytes from one side go to the other, and nobody looks at them.

Cheapest, and transparent to extensions; there are no limits on messages, no pings, and no Close can be said, because nobody knows
where a frame ends.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IHalfCloseableProtocol, IProtocol, IPushProducer
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from edgegw.net.stall import unsent
from edgegw.net.websocket.ending import CLOSE_S, CUT_S, Cause, RelayOutcome
from edgegw.net.websocket.settings import WebSocketSettings
from edgegw.runtime.wheel import Wheel


@implementer(IProtocol, IHalfCloseableProtocol, IPushProducer)
class End:
    """One side of a tunnel: its transport's protocol, and the producer that the transport pauses.

    Attributes:
        other: the other end. octets: received here and written there. finished: the peer said that it sends no more. gone: the
        connection is.
    """

    __slots__ = ("_held", "_owner", "finished", "gone", "halted", "leaving", "name", "octets", "other", "transport")

    def __init__(self, owner: Tunnel, name: str) -> None:
        self._owner = owner
        self._held = b""
        self.name = name
        self.other: End = self
        self.transport: Any = None
        self.octets = 0
        self.halted = True
        self.finished = self.gone = self.leaving = False

    # Twisted calls these.

    def makeConnection(self, transport: Any) -> None:
        """The connection comes by `attach`."""

    def connectionMade(self) -> None:
        """The connection comes by `attach`."""

    def dataReceived(self, data: bytes) -> None:
        """Bytes from the peer. What comes in a pause, at most one read, waits."""
        if self.halted:
            self._held += data
            self.transport.pauseProducing()
            return
        owner = self._owner
        owner.active_s = owner.wheel.now_s
        self.octets += len(data)
        other = self.other
        if not other.gone:
            other.transport.write(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The connection is gone."""
        if not self.gone:
            self.gone = True
            if self.other.transport is not None:
                self.release()
            self._owner.lost(self, reason.check(ConnectionDone) is not None)

    def readConnectionLost(self) -> None:
        """The peer sends no more; it may still read."""
        self.finished = True
        self._owner.finished(self)

    def writeConnectionLost(self) -> None:
        """The other peer's end was passed on."""

    def pauseProducing(self) -> None:
        """The peer does not take what is written: the other is to send no more."""
        self.other.halt()

    def resumeProducing(self) -> None:
        """The peer took it."""
        self.other.release()

    def stopProducing(self) -> None:
        """The connection is gone; `connectionLost` follows."""

    # The tunnel calls these.

    def attach(self, transport: Any, received: bytes) -> None:
        """Take the connection; reading waits for `release`."""
        self.transport = transport
        self._held = received
        transport.registerProducer(self, True)

    def halt(self) -> None:
        """Read no more for now."""
        if not self.halted and not self.gone:
            self.halted = True
            self.transport.pauseProducing()

    def release(self) -> None:
        """Read on, beginning with what waits."""
        if not self.halted or self.transport is None:
            return
        self.halted = False
        if self._held:
            data, self._held = self._held, b""
            self.dataReceived(data)
        if not self.halted and not self.gone:
            self.transport.resumeProducing()

    def finish(self) -> None:
        """Pass the end of the other's bytes on: half-close, or close where the transport cannot."""
        half_close = getattr(self.transport, "loseWriteConnection", None)
        if half_close is None or self.finished:
            self.leave()
        elif not self.gone:
            self.transport.unregisterProducer()
            half_close()

    def leave(self) -> None:
        """Close the connection when everything has left."""
        if not self.gone and not self.leaving and self.transport is not None:
            self.leaving = True
            self.transport.unregisterProducer()
            self.transport.loseConnection()

    def cut(self) -> None:
        """Close the connection now."""
        if not self.gone and self.transport is not None:
            self.transport.unregisterProducer()
            self.transport.abortConnection()

    def __repr__(self) -> str:
        states = (
            ("gone", self.gone),
            ("new", self.transport is None),
            ("closing", self.leaving),
            ("finished", self.finished),
            ("paused", self.halted),
        )
        state = next((name for name, holds in states if holds), "open")
        return f"<End {self.name} {state} bytes={self.octets}>"


class Tunnel:
    """One connection, as a `Takeover`. First `connect_upstream`, then `connect` or `abandon`.

    Args:
        settings: of the route; `idle` is what counts. wheel: for the only deadline. ended: told once, when both sides are gone.
    """

    __slots__ = (
        "_began_s",
        "_by",
        "_cause",
        "_deadline",
        "_down",
        "_ended",
        "_given_up",
        "_left",
        "_settings",
        "_up",
        "active_s",
        "wheel",
    )

    def __init__(
        self, settings: WebSocketSettings, wheel: Wheel, *, ended: Callable[[RelayOutcome], None] | None = None
    ) -> None:
        self._settings = settings
        self.wheel = wheel
        self._ended = ended
        self._cause: Cause | None = None
        self._by = ""
        self._given_up = False
        self._left = (0, 0)
        self.active_s = self._began_s = wheel.now_s
        self._deadline = wheel.deadline(self._due)
        self._down, self._up = End(self, "downstream"), End(self, "upstream")
        self._down.other, self._up.other = self._up, self._down

    # Who made the handshakes calls these.

    def connect_upstream(self, transport: Any, received: bytes) -> End:
        """Take the upstream connection, as `Relay.connect_upstream`."""
        transport.pauseProducing()
        self._up.attach(transport, received)
        return self._up

    def connect(self, transport: Any, received: bytes) -> End:
        """Take the downstream connection, as `Takeover.connect`, and begin."""
        self._down.attach(transport, received)
        if self._cause is None:
            self.active_s = self.wheel.now_s
            if self._settings.idle:
                self._deadline.set(self._settings.idle)
        self._up.release()
        self._down.release()
        if self._up.gone:
            # Not closed here: until this returns nobody knows whom to tell.
            self._deadline.set(0.0)
        return self._down

    @property
    def carried(self) -> tuple[int, int]:
        """Bytes from the downstream side, and from the upstream side."""
        return self._down.octets, self._up.octets

    def drain(self) -> None:
        """The gateway goes: close both sides after a grace in which they may do it themselves."""
        self._begin(Cause.DRAINED, "gateway")

    def abandon(self) -> None:
        """Nobody will come from downstream: close the upstream side. Does nothing once `connect` was called."""
        down, up = self._down, self._up
        if down.transport is not None or down.gone:
            return
        down.gone = True
        self._begin(Cause.ABANDONED, "downstream")
        if up.transport is None:
            up.gone = True
        if up.gone:
            self._over()
        up.leave()

    # The ends call these.

    def finished(self, end: End) -> None:
        """One side sends no more."""
        if end.other.transport is not None:
            end.other.finish()

    def lost(self, end: End, clean: bool) -> None:
        """One side is gone."""
        self._begin(Cause.CLOSED if clean else Cause.LOST, end.name)
        if end.other.gone:
            self._over()
        else:
            end.other.release()
            end.other.leave()

    # The inside.

    def _begin(self, cause: Cause, by: str) -> None:
        if self._cause is None:
            self._cause, self._by = cause, by
            self._deadline.set(CLOSE_S)

    def _over(self) -> None:
        self._deadline.drop()
        ended, self._ended = self._ended, None
        if ended is not None:
            assert self._cause is not None
            seconds = self.wheel.now_s - self._began_s
            ended(RelayOutcome(self._cause, self._by, None, seconds, 0, self._down.octets, 0, self._up.octets))

    def _due(self) -> None:
        if self._cause is not None:
            self._hasten()
            return
        due_s = self.active_s + self._settings.idle
        if due_s > self.wheel.now_s:
            self._deadline.set_at(due_s)
            return
        self._begin(Cause.IDLE, "gateway")
        for end in (self._up, self._down):
            end.leave()

    def _hasten(self) -> None:
        """The end takes too long: close, then cut. Not while a slow peer still takes what was sent before."""
        ends = [end for end in (self._down, self._up) if not end.gone]
        left, before = sum(sum(unsent(end.transport)) for end in ends if end.transport is not None), self._left[0]
        self._left = (left, 0)
        if self._given_up and 0 < left < before:
            self._deadline.set(CUT_S)
        elif self._given_up:
            for end in ends:
                end.cut()
        else:
            self._given_up = True
            self._deadline.set(CUT_S)
            for end in ends:
                end.leave()

    @property
    def cause(self) -> Cause | None:
        """What began the end; None before."""
        return self._cause

    def __repr__(self) -> str:
        state = f"ending ({self._cause.value} by {self._by})" if self._cause else "open"
        return f"<Tunnel {state} {self._down!r} {self._up!r}>"
