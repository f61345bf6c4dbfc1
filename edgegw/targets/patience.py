"""How long one attempt may take to the head of its answer, whatever it waits for: `retry.per_try`."""

from __future__ import annotations

from typing import TypeVar

from twisted.internet.defer import CancelledError, Deferred

from edgegw.errors import GatewayError, Phase, Retry, Side
from edgegw.exchange.interfaces import BodySink
from edgegw.net.call import Upload
from edgegw.runtime.wheel import Wheel

T = TypeVar("T")


class Patience:
    """Of one attempt.

    Args:
        most_s: from now to the head of an answer; up to 100 ms more, as with all deadlines of the wheel.
    """

    __slots__ = ("_deadline", "_most_s", "_sent", "_waiting", "expired")

    def __init__(self, wheel: Wheel, most_s: float) -> None:
        self._most_s = most_s
        self._sent = False
        self._waiting: Deferred[object] | None = None
        self.expired = False
        self._deadline = wheel.deadline(self._expire)
        self._deadline.set(most_s)

    def connecting(self, waiting: Deferred[T]) -> Deferred[T]:
        """This is what it waits for; nothing was sent so far."""
        self._waiting = waiting  # type: ignore[assignment]
        return waiting

    def sent(self, waiting: Deferred[T]) -> Deferred[T]:
        """This is what it waits for, now that the request is on its way."""
        self._sent = True
        self._waiting = waiting  # type: ignore[assignment]
        return waiting

    def shield(self, upload: Upload | None) -> Upload | None:
        """The body for this attempt: it stays there for another one when this one's time is over."""
        return Shield(upload, self) if upload is not None else None

    def end(self) -> None:
        """The attempt is over."""
        self._waiting = None
        self._deadline.drop()

    def meant(self, error: BaseException) -> BaseException:
        """The attempt ended in this error: the same, or what it means."""
        self.end()
        if not self.expired or not isinstance(error, CancelledError):
            return error
        # What was not sent was not done.
        phase, retry = (Phase.RESPONSE_HEAD, Retry.IF_IDEMPOTENT) if self._sent else (Phase.CONNECT, Retry.ALWAYS)
        detail = f"no response head within {self._most_s:g} s of the attempt's beginning"
        return GatewayError(504, "try_timeout", side=Side.UPSTREAM, phase=phase, retry=retry, detail=detail)

    def _expire(self) -> None:
        waiting = self._waiting
        if waiting is not None:
            self.expired = True
            waiting.cancel()

    def __repr__(self) -> str:
        return f"<Patience {'over' if self.expired else self._deadline!r}>"


class Shield:
    """A body whose connection is given up for another one, which will want to read it."""

    __slots__ = ("_patience", "_upload")

    def __init__(self, upload: Upload, patience: Patience) -> None:
        self._upload = upload
        self._patience = patience

    def attach(self, sink: BodySink) -> None:
        """Feed the sink."""
        self._upload.attach(sink)

    def pause(self) -> None:
        """The upstream peer is slow."""
        self._upload.pause()

    def resume(self) -> None:
        """The upstream peer reads again."""
        self._upload.resume()

    def cancel(self) -> None:
        """The upstream peer wants no more, unless it is we who gave it up."""
        if not self._patience.expired:
            self._upload.cancel()
