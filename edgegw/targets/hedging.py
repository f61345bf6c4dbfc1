"""Hedging: an attempt that is slow gets another one beside it, at another endpoint. The first good answer wins.

Only for what may be done twice, within the retry budget, and with a body that is empty or here as a whole. Whoever loses is
cancelled: its connection is cut, or its stream reset.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from edgegw.errors import GatewayError
from edgegw.exchange.model import Exchange
from edgegw.exchange.replay import Replay
from edgegw.net.call import Upload
from edgegw.targets.account import Missed, Result
from edgegw.upstream.endpoint import Endpoint
from edgegw.wire.events import ResponseHead

if TYPE_CHECKING:
    from edgegw.targets.attempts import Attempts

_log = Logger("edgegw.targets.hedging")


class Raced(NamedTuple):
    """An attempt that ended, and the token that admitted it. whole: nothing of its answer was to come any more."""

    endpoint: Endpoint
    token: int
    result: Result
    whole: bool

    @classmethod
    def of(cls, endpoint: Endpoint, token: int, result: Result) -> Raced:
        """In the moment when it ended."""
        return cls(endpoint, token, result, not isinstance(result, Missed) and result.body.ended)


class Hedging:
    """One exchange's first attempt, and those beside it.

    Attributes:
        tried: endpoints whose attempts came to nothing, without that of the result.
    """

    def __init__(self, attempts: Attempts, exchange: Exchange, upload: Replay | None) -> None:
        assert attempts.means.rules.hedge is not None
        self._attempts = attempts
        self._account = attempts.means.account
        self._exchange = exchange
        self._upload = upload
        self._settings = attempts.means.rules.hedge
        self._running: dict[Endpoint, Deferred[Result]] = {}
        self._asked: tuple[Endpoint, ...] = ()
        self._timer: IDelayedCall | None = None
        self._done: Deferred[Raced] = Deferred(lambda _: self._stop())
        self._missed: list[Raced] = []
        self._over = False
        self._speaker: Endpoint | None = None
        self.tried: tuple[Endpoint, ...] = ()

    def run(self, endpoint: Endpoint, token: int) -> Deferred[Raced]:
        """Begin with an attempt that was admitted. Cancelling it cancels all attempts.

        Returns:
            fires with the winner or, when all failed, with the last one.
        """
        self._begin(endpoint, token, self._upload)
        if not self._over:
            self._wait()
        return self._done

    def _wait(self) -> None:
        # Not the wheel: 100 ms more or less are the whole point. Only routes that hedge pay for it.
        reactor = self._attempts.means.cluster.environment.reactor
        self._timer = reactor.callLater(self._settings.after, self._another)

    def _begin(self, endpoint: Endpoint, token: int, upload: Upload | None) -> None:
        self._asked = (*self._asked, endpoint)

        def voice(head: ResponseHead) -> None:
            # Who has something to say before its answer does so for all: the client should not hear it twice.
            self._speaker = self._speaker or endpoint
            if self._speaker is endpoint:
                self._exchange.informational(head)

        running = Deferred.fromCoroutine(self._attempts.attempt(self._exchange, endpoint, token, upload, False, voice))
        self._running[endpoint] = running
        running.addCallbacks(
            lambda result: self._ended(Raced.of(endpoint, token, result)),
            lambda failure: self._broke(endpoint, failure),
        )

    def _another(self) -> None:
        """The time is over: make another attempt, if that is possible."""
        self._timer = None
        means, upload = self._attempts.means, self._upload
        rules, budget = means.rules, means.cluster.retry.budget
        if (upload is not None and not upload.whole) or means.too_late(self._exchange, 0.0):
            return
        if not budget.take(rules.share, rules.floor):
            means.metrics.hedged("refused")
            return
        try:
            endpoint = means.choose(self._exchange, self._asked)
        except Exception:
            # The attempts that run have nothing to do with it.
            _log.failure("nobody could be chosen for an attempt beside another")
            endpoint = None
        token = self._admitted() if endpoint is not None and endpoint not in self._asked else None
        if endpoint is None or token is None:
            budget.give_back()
            return
        self._begin(endpoint, token, upload.copy() if upload is not None else None)
        if not self._over and len(self._asked) <= self._settings.most:
            self._wait()

    def _admitted(self) -> int | None:
        try:
            return self._account.admit()
        except GatewayError:
            return None

    def _ended(self, raced: Raced) -> None:
        """An attempt has a result."""
        self._running.pop(raced.endpoint, None)
        if self._over:
            # It was answered in the moment when it was cancelled.
            self._account.drop(raced.endpoint, raced.result)
            return
        if self._attempts.good(self._exchange, raced.result):
            self._finish(raced)
        elif self._running:
            self._missed.append(raced)
        else:
            self._finish(raced)

    def _broke(self, endpoint: Endpoint, failure: Failure) -> None:
        """An attempt was cancelled, or has a defect."""
        self._running.pop(endpoint, None)
        if self._over and failure.check(CancelledError):
            return
        if not self._over:
            self._stop()
            self._done.errback(failure)

    def _finish(self, raced: Raced) -> None:
        others = len(self._asked) - 1
        self._stop()
        self.tried = tuple(each for each in self._asked if each is not raced.endpoint)
        self._exchange.endpoint = raced.endpoint.name
        if others:
            won = raced.endpoint is not self._asked[0] and self._attempts.good(self._exchange, raced.result)
            self._attempts.means.metrics.hedged("won" if won else "lost")
        self._done.callback(raced)

    def _stop(self) -> None:
        """Nobody waits for those that run any more."""
        self._over = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        running, self._running = self._running, {}
        for each in running.values():
            each.cancel()
        for missed in self._missed:
            self._account.drop(missed.endpoint, missed.result)

    def __repr__(self) -> str:
        return f"<Hedging {len(self._running)} running, {len(self._missed)} missed of {len(self._asked)}>"
