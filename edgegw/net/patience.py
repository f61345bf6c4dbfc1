"""How long a downstream connection waits for its peer: one deadline for what the peer sends, one for what it takes.

What a connection waits for is one of the phases below; entering one sets its deadline, and what comes when it passes is written in
one table (`_PASSED`). All of it is on the wheel: entering a phase moves a deadline that stays filed, which costs next to nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from typing import Protocol as Contract

from edgegw.exchange.body import Body
from edgegw.net.settings import Caps
from edgegw.net.stall import TAKEN, unsent
from edgegw.runtime.overload import Concessions
from edgegw.runtime.wheel import TICK_S, Wheel
from edgegw.wire.events import Violation

LINGER_S = 2.0
"""How long a peer that may still be sending can read the last answer."""

FRESH_S = 1.0
"""How long a connection that was accepted just before the drain may take for its first request."""

_WATCHES_PER_GAP = 4

HANDSHAKE, IDLE, HEAD, UPLOAD, BUSY, LINGER, PARTING = range(7)
_PHASES = ("handshake", "idle", "head", "upload", "busy", "linger", "parting")


class Capped(Contract):
    """A listener, as far as patience needs it."""

    @property
    def caps(self) -> Caps:
        """The newest ones."""

    @property
    def concessions(self) -> Concessions:
        """What the process gives up at the moment."""


class Impatient(Contract):
    """The connection, as far as its patience moves it."""

    @property
    def transport(self) -> Any:
        """What is written to."""

    def late(self, violation: Violation) -> None:
        """The peer took too long for a head or a body."""

    def idle_over(self) -> None:
        """No request came; close."""

    def linger_over(self) -> None:
        """The peer has the last answer, and had time to read it; close."""

    def give_up(self, reason: str) -> None:
        """The peer takes or sends nothing any more: end the connection now."""


class Patience:
    """The deadlines of one downstream connection.

    Attributes:
        last_read_s: coarse time of the last bytes; the connection writes it for each read.

    Args:
        owner: whom to tell. listener: whose caps hold when a phase begins. wheel: time.
    """

    __slots__ = (
        "_body", "_deadline", "_listener", "_mark", "_moved_s", "_owner", "_paused_s", "_phase", "_since", "_stall",
        "_stuck", "_waived", "_wheel", "last_read_s",
    )  # fmt: skip

    def __init__(self, owner: Impatient, listener: Capped, wheel: Wheel) -> None:
        self._owner = owner
        self._listener = listener
        self._wheel = wheel
        self._deadline = wheel.deadline(self._passed)
        self._stall = wheel.deadline(self._watch)
        self._phase = BUSY
        self.last_read_s = 0.0
        # The upload: its body, (size, time) where the measured stretch began, since when reading is paused, not asked for yet.
        self._body: Body | None = None
        self._since = (0, 0.0)
        self._paused_s: float | None = None
        self._waived = False
        # What was written: whether the transport is congested, how much waited when it last moved, and when that was.
        self._stuck = False
        self._mark: tuple[int, int] | None = TAKEN
        self._moved_s = 0.0

    # What the peer is to send.

    def handshake(self) -> None:
        """A TLS handshake is to come."""
        self._phase = HANDSHAKE
        self._deadline.set(self._listener.caps.handshake)

    def idle(self) -> None:
        """A request may come. Entered again, it goes on from where it was."""
        if self._phase != IDLE:
            self._phase = IDLE
            # As `_idle_s`, without a call of it for every request.
            listener = self._listener
            self._deadline.set(listener.caps.idle * listener.concessions.patience)

    def hurry(self) -> None:
        """The process gives up more than before: who is idle may stay less long."""
        if self._phase == IDLE and self._wheel.seconds() + self._idle_s < self._deadline.due_s:
            self._deadline.set(self._idle_s)

    def head(self) -> None:
        """A head is on its way: absolute, whatever bytes drip in."""
        if self._phase != HEAD:
            self._phase = HEAD
            self._deadline.set(self._listener.caps.head_deadline)

    def upload(self, body: Body, waived: bool) -> None:
        """A request's body is on its way.

        Args:
            waived: the peer waits to be asked for it (`asked`); until then it owes nothing.
        """
        now_s = self.last_read_s = self._wheel.now_s
        self._phase = UPLOAD
        self._body = body
        self._since = (body.size, now_s)
        self._paused_s = None
        self._waived = waived
        self._check_later(now_s)

    def asked(self) -> None:
        """The peer was told to send the body."""
        if self._waived:
            self._waived = False
            self.last_read_s = self._wheel.now_s
            self._restart()

    def busy(self) -> None:
        """It is our turn. The deadline may run out meanwhile; nothing comes of it."""
        self._phase = BUSY
        self._body = None

    def paused(self) -> None:
        """Reading rests, for our sake."""
        if self._phase == UPLOAD:
            self._paused_s = self._wheel.now_s

    def resumed(self) -> None:
        """Reading goes on; the rest counts for nobody."""
        if self._paused_s is not None:
            now_s = self.last_read_s = self._wheel.now_s
            size, since_s = self._since
            self._since = (size, since_s + now_s - self._paused_s)
            self._paused_s = None

    # What the peer is to take.

    def congested(self) -> None:
        """More than the high-water mark waits for the peer."""
        self._stuck = True
        self._watch_from(unsent(self._owner.transport))

    def relieved(self) -> None:
        """The peer took it."""
        self._stuck = False
        self._stall.clear()

    # The end.

    def draining(self) -> None:
        """No request has come yet, and only one that is on its way is still wanted."""
        if self._phase == IDLE:
            self._deadline.set(min(FRESH_S, self._idle_s))

    def linger(self) -> None:
        """The last answer was written; the peer may still be sending."""
        self._phase = LINGER
        self._body = None
        self._deadline.set(LINGER_S)
        self._watch_from(None)

    def parting(self) -> None:
        """The transport closes as soon as the peer has taken everything."""
        self._phase = PARTING
        self._body = None
        self._watch_from(None)

    def taken_over(self) -> None:
        """Another protocol has the connection, and its own ideas about time."""
        self.busy()
        self._stall.clear()

    def over(self) -> None:
        """The connection is gone."""
        self._body = None
        self._deadline.drop()
        self._stall.drop()

    # The inside.

    @property
    def _idle_s(self) -> float:
        return self._listener.caps.idle * self._listener.concessions.patience

    def _passed(self) -> None:
        _PASSED[self._phase](self)

    def _handshake_passed(self) -> None:
        self._owner.give_up("handshake_timeout")

    def _idle_passed(self) -> None:
        if self._stuck:
            # Not idle: the last answer is still on its way.
            self._deadline.set(self._idle_s)
        else:
            self._owner.idle_over()

    def _head_passed(self) -> None:
        self._owner.late(
            Violation(408, "head_timeout", f"no complete head within {self._listener.caps.head_deadline:g} s")
        )

    def _upload_passed(self) -> None:
        """Refuse an upload that stands still or trickles (R.U.D.Y.); time that reading was paused does not count.

        A guarded one is a stream of messages: it says nothing while there is nothing to say.
        """
        body, caps, now_s = self._body, self._listener.caps, self._wheel.now_s
        if body is None:
            return
        size, since_s = self._since
        if self._paused_s is not None or self._waived or body.guard is not None:
            self._restart()
        elif now_s - self.last_read_s >= caps.body_gap + TICK_S:
            self._owner.late(Violation(408, "body_timeout", f"no body data for {caps.body_gap:g} s"))
        elif now_s - since_s < caps.body_rate_after:
            self._check_later(since_s)
        elif body.size - size < caps.body_rate * caps.body_rate_after:
            self._owner.late(Violation(408, "body_too_slow", f"less than {caps.body_rate} bytes/s of body"))
        else:
            self._restart()

    def _restart(self) -> None:
        """Measure from here."""
        now_s = self._wheel.now_s
        if self._body is not None:
            self._since = (self._body.size, now_s)
            if self._paused_s is not None:
                self._paused_s = now_s
            self._check_later(now_s)

    def _check_later(self, since_s: float) -> None:
        caps = self._listener.caps
        # Reads are dated by the tick before them.
        gap_s = self.last_read_s + caps.body_gap + TICK_S
        self._deadline.set_at(min(gap_s, since_s + caps.body_rate_after))

    def _linger_passed(self) -> None:
        if unsent(self._owner.transport) == TAKEN:
            self._owner.linger_over()
        else:
            self._deadline.set(LINGER_S)

    def _watch_from(self, mark: tuple[int, int] | None) -> None:
        self._mark = mark
        self._moved_s = self._wheel.now_s
        self._stall.set(self._listener.caps.write_gap / _WATCHES_PER_GAP)

    def _watch(self) -> None:
        """The send buffer has not emptied; has the peer taken anything at all?"""
        gap_s, now_s = self._listener.caps.write_gap, self._wheel.now_s
        mark = unsent(self._owner.transport)
        if mark != self._mark or (mark == TAKEN and self._phase != PARTING):
            self._mark = mark
            self._moved_s = now_s
        elif now_s - self._moved_s >= gap_s:
            self._owner.give_up("write_timeout")
            return
        self._stall.set_at(min(now_s + gap_s / _WATCHES_PER_GAP, self._moved_s + gap_s))

    def __repr__(self) -> str:
        return f"<Patience {_PHASES[self._phase]} {self._deadline!r}>"


_PASSED: dict[int, Callable[[Patience], None]] = {
    HANDSHAKE: Patience._handshake_passed,
    IDLE: Patience._idle_passed,
    HEAD: Patience._head_passed,
    UPLOAD: Patience._upload_passed,
    LINGER: Patience._linger_passed,
    PARTING: lambda _: None,
    BUSY: lambda _: None,
}
