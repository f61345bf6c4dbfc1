"""The relay: WebSocket ends on both sides of it, and messages pass in between.

Whole messages are passed on: what one side gets wrong never reaches the other. Pings are answered here, on the side that they came
from, and each side is pinged on its own; what reaches one side of a dead other is its Close. A Close is passed on, and answered
when the other side has answered it, so that nothing that was on its way is lost. `ending` has the table of codes.

Memory: one read and one message per direction, and what the transports' high-water marks let stand. One deadline in all.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from edgegw.net.websocket.deflate import Codec, Deflate
from edgegw.net.websocket.ending import CLOSE_S, CUT_S, GOING_AWAY, INTERNAL, POLICY, Cause, RelayOutcome
from edgegw.net.websocket.pulse import Pace
from edgegw.net.websocket.settings import WebSocketSettings
from edgegw.net.websocket.side import Downstream, Side, Upstream
from edgegw.runtime.wheel import Wheel


class Relay:
    """One connection, as a `Takeover`. First `connect_upstream`, then `connect` or `abandon`.

    Args:
        settings: of the route. wheel: for the only deadline. downstream_deflate, upstream_deflate: what was agreed with each side.
        ended: told once, when both sides are gone.
    """

    __slots__ = (
        "_began_s", "_by", "_cause", "_closing", "_code", "_connecting", "_deadline", "_down", "_ended", "_given_up", "_up",
        "active_s", "settings", "wheel",
    )  # fmt: skip

    def __init__(
        self,
        settings: WebSocketSettings,
        wheel: Wheel,
        *,
        downstream_deflate: Deflate | None = None,
        upstream_deflate: Deflate | None = None,
        ended: Callable[[RelayOutcome], None] | None = None,
    ) -> None:
        self.settings = settings
        self.wheel = wheel
        self._ended = ended
        self._cause: Cause | None = None
        self._by = ""
        self._code: int | None = None
        self._closing = self._connecting = self._given_up = False
        self.active_s = self._began_s = wheel.now_s
        self._deadline = wheel.deadline(self._due)
        self._down = Downstream(self, Codec(downstream_deflate) if downstream_deflate else None)
        self._up = Upstream(self, Codec(upstream_deflate) if upstream_deflate else None)
        self._down.other, self._up.other = self._up, self._down
        if settings.rate is not None:
            self._down.pace = Pace(settings.rate)

    # Who made the handshakes calls these.

    def connect_upstream(self, transport: Any, received: bytes) -> Side:
        """Take the upstream connection; it is not read before `connect`.

        Args:
            transport: its `ITransport`, no producer registered. received: what came behind its 101.

        Returns:
            its `IProtocol` from now on.
        """
        transport.pauseProducing()
        self._up.attach(transport, received)
        return self._up

    def connect(self, transport: Any, received: bytes) -> Side:
        """Take the downstream connection, as `Takeover.connect`, and begin."""
        # Until this returns nobody knows whom to tell that the connection is lost.
        self._connecting = True
        self._down.attach(transport, received)
        if not self._closing:
            self.active_s = self.wheel.now_s
            self._deadline.set(0.0)
        self._up.release()
        self._down.release()
        self._connecting = False
        if self._down.said and self._down.heard:
            self._deadline.set(0.0)
        return self._down

    @property
    def carried(self) -> tuple[int, int]:
        """Payload bytes from the downstream side, and from the upstream side."""
        return self._down.octets, self._up.octets

    def drain(self) -> None:
        """The gateway goes: 1001 to both sides."""
        self._close_both(Cause.DRAINED, b"the gateway is going away")

    def abandon(self) -> None:
        """Nobody will come from downstream: end the upstream side. Does nothing once `connect` was called."""
        down = self._down
        if down.transport is not None or down.gone:
            return
        down.gone = True
        if self._up.transport is None:
            self._up.gone = True
        self._begin(Cause.ABANDONED, "downstream", None)
        self._up.close(GOING_AWAY, b"")
        self._up.release()
        self._settle()

    # The sides call these.

    def closed(self, side: Side, code: int | None, reason: bytes) -> None:
        """A Close came: pass it on, whether it opens the handshake or answers the other's."""
        self._begin(Cause.CLOSED, side.name, code)
        side.told = (code, reason)
        side.other.close(code, reason)
        self._settle()

    def failed(self, side: Side, code: int, reason: str) -> None:
        """The peer broke the rules: tell it, and the other side that it is over."""
        self._begin(Cause.RATE if code == POLICY else Cause.FAILED, side.name, code)
        side.close(code, reason.encode())
        self._end_other(side)

    def lost(self, side: Side) -> None:
        """The connection is gone, as it should be or not."""
        self._begin(Cause.LOST, side.name, None)
        self._end_other(side)

    # The inside.

    def _begin(self, cause: Cause, by: str, code: int | None) -> None:
        """The end begins, if it has not yet."""
        if self._cause is None:
            self._cause, self._by, self._code = cause, by, code
        if not self._closing:
            self._closing = True
            self._deadline.set(CLOSE_S)
            for side in (self._down, self._up):
                # From here on it is measured.
                side.moves()

    def _end_other(self, side: Side) -> None:
        other = side.other
        if other.told is not None:
            other.close(*other.told)
        else:
            other.close(INTERNAL if other is self._down else GOING_AWAY, b"the other side is gone")
        other.release()
        self._settle()

    def _close_both(self, cause: Cause, reason: bytes) -> None:
        if self._closing:
            return
        self._begin(cause, "gateway", GOING_AWAY)
        for side in (self._up, self._down):
            side.close(GOING_AWAY, reason)
        self._settle()

    def _settle(self) -> bool:
        """Close what has nothing left to say, if there is something; whether there was.

        An upstream closes its connection itself, as servers do (RFC 6455 7.1.1).
        """
        down, up = self._down, self._up
        if down.gone and up.gone:
            self._over()
        elif down.said and down.heard and not down.leaving and not self._connecting:
            self._deadline.set(CUT_S)
            down.leave()
            return True
        return False

    def _over(self) -> None:
        self._deadline.drop()
        ended, self._ended = self._ended, None
        if ended is None:
            return
        assert self._cause is not None
        down, up = self._down, self._up
        seconds = self.wheel.now_s - self._began_s
        ended(
            RelayOutcome(self._cause, self._by, self._code, seconds, down.messages, down.octets, up.messages, up.octets)
        )

    def _due(self) -> None:
        if self._closing:
            if not self._settle():
                self._hasten()
            return
        now_s, idle_s = self.wheel.now_s, self.settings.idle
        due_s = self.active_s + idle_s if idle_s else float("inf")
        if due_s <= now_s:
            self._close_both(Cause.IDLE, b"idle")
            return
        for side in (self._down, self._up):
            side_due_s = side.check(now_s)
            if side_due_s < 0:
                self._begin(Cause.SILENT, side.name, None)
                side.cut()
                return
            due_s = min(due_s, side_due_s)
        if due_s != float("inf"):
            self._deadline.set_at(due_s)

    def _hasten(self) -> None:
        """The closing handshake takes too long: close, then cut. Not while a slow peer still takes what was sent before."""
        sides = [side for side in (self._down, self._up) if not side.gone]
        moving = [side for side in sides if side.moves()]
        if moving:
            self._deadline.set(CUT_S)
        elif self._given_up:
            for side in sides:
                side.cut()
        else:
            self._given_up = True
            self._deadline.set(CUT_S)
            for side in sides:
                side.close(*(side.told or (GOING_AWAY, b"")))
                side.leave()

    @property
    def cause(self) -> Cause | None:
        """What began the end; None before."""
        return self._cause

    def __repr__(self) -> str:
        state = f"ending ({self._cause.value} by {self._by})" if self._cause else "open"
        return f"<Relay {state} {self._down!r} {self._up!r}>"
