"""What was tried for one exchange, and what may be tried next: which endpoint, how soon, and whether the budget allows it."""

from __future__ import annotations

from collections.abc import Callable

from edgegw.exchange.model import Exchange
from edgegw.exchange.replay import Replay
from edgegw.observe.metrics import UpstreamMetrics
from edgegw.targets.account import Account, Missed, Result
from edgegw.upstream.cluster import Cluster
from edgegw.upstream.conditions import kind_of_error
from edgegw.upstream.endpoint import Endpoint
from edgegw.upstream.retry import RetryRules, retry_after_s
from edgegw.upstream.selection import Selection

FAILOVERS = 3
"""Endpoints that may refuse the connection, one after the other, without counting as attempts."""
LONGEST_WAIT_S = 5.0
"""A Retry-After beyond this is the downstream peer's to wait for; nor may it reach beyond the exchange's own deadline."""

# Nothing of the exchange reached the upstream, which has no work with it.
_NOT_REACHED = frozenset({"connect_refused", "connect_failed", "connect_timeout", "resolve_failed"})
# Whether the endpoint is at fault or only the connection: another endpoint need not be waited for.
_AT_ONCE = frozenset({"connect", "reset", "refused_stream"})


class Means:
    """What decides about the attempts of one target's exchanges; made at assembly.

    account: for what becomes of them. choose: the selection's, among other endpoints than those tried as long as there are any.
    """

    __slots__ = ("account", "clock", "cluster", "metrics", "rules", "selection")

    def __init__(
        self,
        cluster: Cluster,
        selection: Selection,
        rules: RetryRules,
        metrics: UpstreamMetrics,
        clock: Callable[[], float],
    ) -> None:
        self.account = Account(cluster, metrics)
        self.cluster = cluster
        self.selection = selection
        self.rules = rules
        self.metrics = metrics
        self.clock = clock

    def choose(self, exchange: Exchange, tried: tuple[Endpoint, ...]) -> Endpoint | None:
        """Another one than those tried or, when all were, than the last; while it went, the others may have come back."""
        avoided = tried if len(set(tried)) < len(self.cluster.endpoints) else tried[-1:]
        return self.selection.choose(exchange, avoided)

    def too_late(self, exchange: Exchange, wait_s: float) -> bool:
        """An attempt that begins after this wait could not end in time."""
        return exchange.deadline_s is not None and self.clock() + wait_s >= exchange.deadline_s


class Course:
    """Of one exchange, from its first attempt that was not the last.

    Args:
        repeatable: doing it twice does no harm.
        tried: endpoints, the last of them not among them yet. refused: those that did not take the connection.
    """

    __slots__ = ("_by_budget", "_exchange", "_means", "_upload", "count", "refused", "repeatable", "tried")

    def __init__(
        self,
        means: Means,
        exchange: Exchange,
        upload: Replay | None,
        repeatable: bool,
        tried: tuple[Endpoint, ...] = (),
    ) -> None:
        self._means = means
        self._exchange = exchange
        self._upload = upload
        self._by_budget = False
        self.repeatable = repeatable
        self.tried = tried
        self.count = 0
        self.refused: tuple[Endpoint, ...] = ()

    def following(self, endpoint: Endpoint, result: Result) -> tuple[Endpoint, float] | None:
        """Whom to ask next, and after how many seconds, now that this endpoint's attempt ended so; None: it was the last."""
        self.tried = (*self.tried, endpoint)
        self._by_budget = False
        if not self.reason(result) or self._has_spoken() or not self._in_time() or not self._body_is_here(result):
            return None
        found: Endpoint | None = None
        if isinstance(result, Missed) and result.error.reason == "connect_refused":
            self.refused = (*self.refused, endpoint)
            if len(self.refused) <= FAILOVERS and self._means.rules.attempts:
                found = self._means.choose(self._exchange, self.tried)
                if found is not None and found not in self.refused:
                    return found, 0.0
        return self._counted(endpoint, result, found)

    def _counted(self, endpoint: Endpoint, result: Result, found: Endpoint | None) -> tuple[Endpoint, float] | None:
        """One of the attempts that the rules allow."""
        means = self._means
        rules = means.rules
        if self.count >= rules.attempts:
            self._means.metrics.retry_refused("attempts")
            return None
        error = result.error if isinstance(result, Missed) else None
        if error is None or not (result.free or error.reason in _NOT_REACHED):  # type: ignore[union-attr]
            if not means.cluster.retry.budget.take(rules.share, rules.floor):
                self._means.metrics.retry_refused("budget")
                return None
            self._by_budget = True
        found = found or means.choose(self._exchange, self.tried)
        if found is None or (found is endpoint and error is not None and kind_of_error(error) == "connect"):
            # Who could not be connected to cannot be a moment later either.
            self.give_back()
            return None
        self.count += 1
        wait_s = self._wait_s(result, found)
        if not self._in_time(wait_s):
            self.give_back()
            return None
        return found, wait_s

    def _wait_s(self, result: Result, found: Endpoint) -> float:
        rules = self._means.rules
        if isinstance(result, Missed):
            if found not in self.tried and kind_of_error(result.error) in _AT_ONCE:
                return 0.0
            if result.free and self.tried.count(found) == 1:
                return 0.0
            return rules.wait_s(self.count)
        said_s = retry_after_s(result.headers.get(b"retry-after"), self._means.cluster.environment.wall())
        return rules.wait_s(self.count) if said_s is None else said_s

    def reason(self, result: Result) -> str:
        """Why another attempt would be made, for metrics; empty: it would not."""
        conditions = self._means.rules.conditions
        if isinstance(result, Missed):
            return result.error.reason if conditions.of_error(result.error, self.repeatable) else ""
        return conditions.of_answer(result, self.repeatable)

    def _has_spoken(self) -> bool:
        """A 1xx head is a beginning of an answer (as in Envoy): another upstream's would not go with it."""
        if self._exchange.spoke:
            self._means.metrics.retry_refused("answered")
        return self._exchange.spoke

    def _in_time(self, wait_s: float = 0.0) -> bool:
        """Whether an attempt that begins after this wait could end before the exchange's deadline."""
        if wait_s <= LONGEST_WAIT_S and not self._means.too_late(self._exchange, wait_s):
            return True
        self._means.metrics.retry_refused("deadline")
        return False

    def _body_is_here(self, result: Result) -> bool:
        upload = self._upload
        # An answer that came before the whole request did is part of a conversation that goes on.
        if upload is None or (upload.possible if isinstance(result, Missed) else upload.whole):
            return True
        self._means.metrics.retry_refused("body")
        return False

    def give_back(self) -> None:
        """The attempt is not made after all."""
        if self._by_budget:
            self._by_budget = False
            self._means.cluster.retry.budget.give_back()

    def __repr__(self) -> str:
        return f"<Course {self.count} counted, {len(self.refused)} refused, tried {[each.name for each in self.tried]}>"
