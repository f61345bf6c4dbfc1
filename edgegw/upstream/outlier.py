"""Ejects endpoints that do badly with real exchanges (passive health).

What an attempt ended in is counted in a few places of fixed size, so an observation costs the same with one endpoint and with a
thousand. Whoever is ejected comes back by time, longer each time, or by an active probe that it passes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pydantic import Field

from edgegw.config.model import Settings
from edgegw.config.units import Duration, Percent, StatusRange, StatusRanges
from edgegw.errors import GatewayError, Phase, Retry, Side
from edgegw.upstream.endpoint import Endpoint
from edgegw.upstream.environment import Environment
from edgegw.upstream.standing import Hold
from edgegw.upstream.verdict import Row

SOURCE = "outlier"
"""Who holds and releases, in events."""

_PARTS = 10
"""Of the window; what is older than it leaves it a part at a time."""
_NEVER = float("inf")
# 0.29 * 100 is a little less than 29.
_EPSILON = 1e-9


class LatencySettings(Settings):
    """When an endpoint is too slow."""

    over: Duration = Field(gt=0, description="A response head that takes longer is slow.", examples=["2s"])
    share: Percent = Field(
        default=0.5, gt=0, description="So many of the window's attempts are slow.", examples=["50%"]
    )


class OutlierSettings(Settings):
    """When an endpoint is ejected, and for how long. The last one never is."""

    consecutive: int = Field(default=5, ge=0, le=10000, description="Failures one after the other; 0 is off.")
    statuses: StatusRanges = Field(
        default=(StatusRange(500, 599),),
        description="Answers that are failures; a gRPC call has the status of its grpc-status. No answer, one that breaks off, and "
        "no connection always are.",
    )
    failure_rate: Percent = Field(default=0.5, description="Share of the window's attempts that fail; 0% is off.")
    latency: LatencySettings | None = Field(
        default=None, description="Slow answers eject, too.", examples=[{"over": "2s", "share": "50%"}]
    )
    window: Duration = Field(default=10.0, gt=0, le=3600, description="How far back shares are counted.")
    min_requests: int = Field(default=20, ge=1, description="Attempts in the window below which shares say nothing.")
    eject: Duration = Field(default=30.0, gt=0, description="For how long, times the ejections of late.")
    max_eject: Duration = Field(default=300.0, gt=0, description="The longest ejection.")
    max_ejected: Percent = Field(default=0.5, description="Share of the endpoints that may be ejected, rounded down.")


class Outliers:
    """Observes the endpoints of one upstream.

    Args:
        members: the endpoints of the upstream now, for the share that may be ejected.
    """

    def __init__(
        self, settings: OutlierSettings, environment: Environment, members: Callable[[], Sequence[Endpoint]]
    ) -> None:
        self.settings = settings
        self._wheel = environment.wheel
        self._members = members
        self._bad = frozenset(status for bad in settings.statuses for status in range(bad.low, bad.high + 1))
        self._slow_s = settings.latency.over if settings.latency is not None else _NEVER
        self._rate = settings.failure_rate or _NEVER
        self._part_s = settings.window / _PARTS
        self._records: dict[Endpoint, _Record] = {}
        self._ejected: dict[Endpoint, _Record] = {}
        self._lately: dict[Endpoint, _Record] = {}
        self._count = -1

    # What happens.

    def answered(self, endpoint: Endpoint, status: int, took_s: float, whole: bool = True) -> None:
        """`Observer`."""
        record = self._records.get(endpoint) or self._begin(endpoint)
        if record is None or record.until_s:
            return
        failed, slow = status in self._bad, took_s > self._slow_s
        record.count(int(self._wheel.now_s / self._part_s), 1, failed, slow)
        if failed:
            record.row.bad(torn=False)
        elif record.row.length:
            record.row.good(whole)
        if failed or slow:
            self._judge(endpoint, record, f"status {status}" if failed else "")

    def ended(self, endpoint: Endpoint, began: int, status: int, lasted_s: float) -> None:
        """`Observer`."""
        record = self._records.get(endpoint)
        if record is None or record.until_s or began in self._bad:
            return
        if status in self._bad:
            self._broke(endpoint, record, f"status {status}", lasted_s)
        else:
            record.row.good(whole=True)

    def failed(self, endpoint: Endpoint, error: GatewayError, lasted_s: float = 0.0, began: int = 200) -> None:
        """`Observer`."""
        record = self._records.get(endpoint) or self._begin(endpoint)
        if record is None or record.until_s or error.side is not Side.UPSTREAM or _is_polite(error):
            return
        if error.phase is Phase.RESPONSE_BODY:
            if began not in self._bad:
                self._broke(endpoint, record, error.reason, lasted_s)
            return
        record.count(int(self._wheel.now_s / self._part_s), 1, True, False)
        record.row.bad(torn=False)
        self._judge(endpoint, record, error.reason)

    def _broke(self, endpoint: Endpoint, record: _Record, last: str, lasted_s: float) -> None:
        """An answer whose head was counted as good is bad after all. What had gone well for long is no part of a row."""
        record.count(int(self._wheel.now_s / self._part_s), 0, True, False)
        in_row = lasted_s <= self.settings.window
        if in_row:
            record.row.bad(torn=True)
        self._judge(endpoint, record, last if in_row else "")

    def _begin(self, endpoint: Endpoint) -> _Record | None:
        if Hold.REMOVED in endpoint.standing.reasons:
            # What was in flight when it left is of no interest, and would be remembered for ever.
            return None
        record = self._records[endpoint] = _Record()
        return record

    def _judge(self, endpoint: Endpoint, record: _Record, last: str) -> None:
        said = self.settings
        row = record.row.length
        if last and said.consecutive and row >= said.consecutive:
            self._eject(endpoint, record, f"{row} failures in a row, the last {last}")
            return
        attempts = record.attempts
        if attempts < said.min_requests:
            return
        if record.failures >= self._rate * attempts:
            self._eject(endpoint, record, f"{record.failures} of {attempts} attempts failed")
        elif said.latency is not None and record.slow >= said.latency.share * attempts:
            self._eject(endpoint, record, f"{record.slow} of {attempts} answers took over {said.latency.over:g} s")

    # Ejections.

    @property
    def most(self) -> int:
        """How many may be ejected at a time: of those that nobody's will holds back, as far as the last tick saw."""
        count = self._count if self._count >= 0 else self._recount()
        return min(int(count * self.settings.max_ejected + _EPSILON), max(count - 1, 0))

    def _recount(self) -> int:
        self._count = sum(endpoint.standing.usable for endpoint in self._members())
        return self._count

    def _eject(self, endpoint: Endpoint, record: _Record, reason: str) -> None:
        if len(self._ejected) >= self.most:
            return
        endpoint.ejections += 1
        now_s = self._wheel.now_s
        for_s = min(self.settings.eject * endpoint.ejections, max(self.settings.max_eject, self.settings.eject))
        record.clear()
        record.since_s, record.until_s = now_s, now_s + for_s
        self._ejected[endpoint] = self._lately[endpoint] = record
        endpoint.hold(Hold.EJECTED, f"{reason}; for {for_s:g} s", SOURCE)

    def _return(self, endpoint: Endpoint, source: str) -> None:
        record = self._ejected.pop(endpoint)
        record.since_s, record.until_s = self._wheel.now_s, 0.0
        endpoint.release(Hold.EJECTED, source)

    def readmit(self, endpoint: Endpoint, began_s: float) -> None:
        """It passed an active probe that began then (loop clock).

        Once: where real exchanges fail again behind a probe that passes, time decides.
        """
        record = self._ejected.get(endpoint)
        if record is not None and began_s >= record.since_s and endpoint.ejections <= 1:
            self._return(endpoint, "health")

    def tick(self) -> None:
        """Once a second: whose time is over comes back, and ejections of those that do well are forgotten one by one."""
        now_s = self._wheel.now_s
        for endpoint, record in list(self._ejected.items()):
            if now_s >= record.until_s or Hold.EJECTED not in endpoint.standing.reasons:
                self._return(endpoint, SOURCE)
        self._keep_the_share()
        for endpoint, record in list(self._lately.items()):
            if not record.until_s and now_s - record.since_s >= self.settings.eject:
                record.since_s = now_s
                endpoint.ejections = max(endpoint.ejections - 1, 0)
                if not endpoint.ejections:
                    del self._lately[endpoint]

    def forget(self, endpoint: Endpoint) -> None:
        """It left the upstream."""
        self._records.pop(endpoint, None)
        self._ejected.pop(endpoint, None)
        self._lately.pop(endpoint, None)
        self._keep_the_share()

    def _keep_the_share(self) -> None:
        """Fewer endpoints, fewer may be ejected: who would be back soonest is back now."""
        self._recount()
        while len(self._ejected) > self.most:
            soonest = min(self._ejected, key=lambda endpoint: self._ejected[endpoint].until_s)
            self._return(soonest, SOURCE)

    def take_over(self, old: Outliers) -> None:
        """After a reload: who is ejected stays so for as long as it was told, whatever is observed anew."""
        for endpoint, before in old._lately.items():
            record = self._records[endpoint] = self._lately[endpoint] = _Record()
            record.since_s, record.until_s = before.since_s, before.until_s
            if record.until_s:
                self._ejected[endpoint] = record

    def __repr__(self) -> str:
        return f"<Outliers {len(self._ejected)} of {len(self._members())} ejected, at most {self.most}>"


class _Record:
    """What is known of one endpoint.

    row: failures up to now. attempts, failures, slow: in the window.
    until_s: it is ejected until then, else 0. since_s: of its last ejection or return. Times are of the loop's clock.
    """

    __slots__ = ("_at", "_parts", "attempts", "failures", "row", "since_s", "slow", "until_s")

    def __init__(self) -> None:
        self.since_s = self.until_s = 0.0
        self.row = Row()
        self.clear()

    def clear(self) -> None:
        """Nothing happened yet."""
        self.row.clear()
        self.attempts = self.failures = self.slow = 0
        self._at = 0
        self._parts = [(0, 0, 0)] * _PARTS

    def count(self, at: int, attempts: int, failed: bool, slow: bool) -> None:
        """Something happened in this part of time."""
        if at != self._at:
            self._move(at)
        place = at % _PARTS
        part = self._parts[place]
        self._parts[place] = part[0] + attempts, part[1] + failed, part[2] + slow
        self.attempts += attempts
        self.failures += failed
        self.slow += slow

    def _move(self, at: int) -> None:
        """Time went on: what lies a window back is forgotten."""
        for gone in range(max(self._at + 1, at - _PARTS + 1), at + 1):
            part = self._parts[gone % _PARTS]
            if part[0] or part[1]:
                self.attempts -= part[0]
                self.failures -= part[1]
                self.slow -= part[2]
                self._parts[gone % _PARTS] = (0, 0, 0)
        self._at = at


def _is_polite(error: GatewayError) -> bool:
    """A stream that was refused, as at the orderly end of a connection: nothing of it was looked at, it may go elsewhere."""
    return error.retry is Retry.ALWAYS and error.phase is not Phase.CONNECT
