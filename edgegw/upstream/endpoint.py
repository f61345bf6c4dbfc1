"""One address of an upstream."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol
from weakref import ReferenceType, ref

from twisted.internet.defer import Deferred

from edgegw.errors import GatewayError
from edgegw.exchange.model import Exchange
from edgegw.net.call import UpstreamConnection
from edgegw.runtime.wheel import Wheel
from edgegw.upstream.address import EndpointSettings, EndpointUrl
from edgegw.upstream.address import Protocol as UpstreamProtocol
from edgegw.upstream.connect import Connector
from edgegw.upstream.introduction import ProxyVersion, introduction, self_introduction
from edgegw.upstream.pool import Pool, PoolSettings
from edgegw.upstream.standing import Hold, Standing

HISTORY = 32
"""Probes that are remembered of each endpoint."""


class Probed(NamedTuple):
    """One active probe. at_s: Unix time. took_s: seconds. detail: a few words, such as `200` or `connect_refused`."""

    at_s: float
    ok: bool
    took_s: float
    detail: str


class Observer(Protocol):
    """Who learns from exchanges how an endpoint does: outlier detection, breaker, latency. Called for every attempt: be quick."""

    def answered(self, endpoint: Endpoint, status: int, took_s: float, whole: bool = True) -> None:
        """A response head came, so many seconds after the attempt had its connection.

        Args:
            status: that it stands for: see `verdict.status_of`. whole: there is no more of the answer to come; else `ended` or
                `failed` says how it went on, unless the downstream peer left.
        """

    def ended(self, endpoint: Endpoint, began: int, status: int, lasted_s: float) -> None:
        """The rest of an answer came.

        Args:
            began: the status of its head. status: the same, or another one by its trailers. lasted_s: since the head came.
        """

    def failed(self, endpoint: Endpoint, error: GatewayError, lasted_s: float = 0.0, began: int = 200) -> None:
        """None came, or the body behind it broke off after so long, and it was not the downstream peer's doing.

        Args:
            began: the status of its head, if there was one: see `answered`, which told it.
        """


class LoadFollower(Protocol):
    """Who must know at once how busy an endpoint is: balancers that go by it. Called twice for every exchange: be quick."""

    def load_changed(self, endpoint: Endpoint, by: int) -> None:
        """`Endpoint.in_flight` changed by so many."""


class Owner(Protocol):
    """The upstream that the endpoint belongs to."""

    def standing_changed(self, endpoint: Endpoint, hold: Hold, source: str) -> None:
        """A hold began (`hold in endpoint.standing.reasons`) or ended."""

    def share_changed(self, endpoint: Endpoint) -> None:
        """Its weight or its warmth is another one."""


class Endpoint:
    """One address with its pool, its standing and its counts.

    Attributes:
        name: the URL, for logs and metrics; unique in an upstream. authority: what `host: upstream` sends as Host.
        source: who named it: `config`, or a discovery source. zone, tier, meta: for balancing.
        weight: as configured, found or, if `weighed`, set by an operator. warmth: 1, less in slow start.
        share: their product, what balancers go by, relative to the others of its group.
        standing: whether it may be chosen. history: of its active probes, latest last. ejections: how often it was ejected lately.
        streak: active probes in a row that ended alike: above 0 passed, below failed. Kept by `health`.
        ewma_s: peak latency, moving; kept by the balancer that goes by it.
        in_flight: exchanges on it. observers: who is told about attempts. owner: who is told about changes.
    """

    __slots__ = (
        "_connector",
        "_followers",
        "_in_flight",
        "_proxy_protocol",
        "authority",
        "ejections",
        "ewma_s",
        "history",
        "meta",
        "name",
        "observers",
        "owner",
        "pool",
        "share",
        "source",
        "stamp_s",
        "standing",
        "streak",
        "tier",
        "url",
        "warmth",
        "weighed",
        "weight",
        "zone",
    )  # fmt: skip

    def __init__(
        self,
        settings: EndpointSettings,
        pool: PoolSettings,
        connector: Connector,
        wheel: Wheel,
        proxy_protocol: ProxyVersion | None = None,
        source: str = "config",
    ) -> None:
        url = EndpointUrl.parse(settings.url)
        self.name = settings.url
        self.url: EndpointUrl = url
        self._connector = connector
        self._proxy_protocol = proxy_protocol
        self.authority = url.authority.encode("ascii")
        self.source = source
        self.zone = settings.zone
        self.tier = settings.tier
        self.meta: Mapping[str, str] = settings.meta
        self.weight = settings.weight
        self.weighed = False
        self.warmth = 1.0
        self.share = float(settings.weight)
        self.standing = Standing()
        self.history: deque[Probed] = deque(maxlen=HISTORY)
        self.ejections = 0
        self.streak = 0
        self.ewma_s = 0.0
        self.stamp_s = 0.0
        self._in_flight = 0
        self._followers: tuple[ReferenceType[LoadFollower], ...] = ()
        self.observers: tuple[Observer, ...] = ()
        self.owner: Owner | None = None

        def connect() -> Deferred[UpstreamConnection]:
            return connector.connect(url)

        self.pool = Pool(pool, wheel, connect, connector.expected_room(url), shared=proxy_protocol is None)

    # Whether and how much.

    def hold(self, by: Hold, reason: str, source: str = "") -> None:
        """It may not be chosen. reason: in words. source: who says so, for the event."""
        if self.standing.hold(by, reason) and self.owner is not None:
            self.owner.standing_changed(self, by, source)

    def release(self, by: Hold, source: str = "") -> None:
        """That reason is gone; there may be others."""
        if self.standing.release(by) and self.owner is not None:
            self.owner.standing_changed(self, by, source)

    def weigh(self, weight: int | None = None, warmth: float | None = None) -> None:
        """Change its share. weight: 1 to 1000. warmth: above 0, at most 1."""
        if weight is not None:
            self.weight = weight
        if warmth is not None:
            self.warmth = warmth
        share = self.weight * self.warmth
        if share != self.share:
            self.share = share
            if self.owner is not None:
                self.owner.share_changed(self)

    # How busy.

    @property
    def in_flight(self) -> int:
        """Exchanges on it now."""
        return self._in_flight

    @in_flight.setter
    def in_flight(self, count: int) -> None:
        # A property, so that who goes by it need not trust every target to tell.
        by = count - self._in_flight
        self._in_flight = count
        self._tell(by)

    def occupy(self) -> None:
        """`in_flight += 1`, for the path of every request."""
        self._in_flight += 1
        if self._followers:
            self._tell(1)

    def vacate(self) -> None:
        """`in_flight -= 1`, likewise."""
        self._in_flight -= 1
        if self._followers:
            self._tell(-1)

    def _tell(self, by: int) -> None:
        for reference in self._followers:
            follower = reference()
            if follower is not None:
                follower.load_changed(self, by)

    def follow_load(self, follower: LoadFollower) -> None:
        """Tell it whenever `in_flight` changes, as long as others hold on to it: a balancer lives until the next roster."""
        self._followers = (*(each for each in self._followers if each() is not None), ref(follower))

    # What exchanges do with it.

    def connection(self, exchange: Exchange) -> Deferred[UpstreamConnection]:
        """`Pool.connection` for this exchange, which is introduced to the endpoint if it wants that."""
        if self._proxy_protocol is None:
            return self.pool.connection()
        return self.pool.connection(lambda: self.connect_http1(exchange))

    def connect_http1(self, exchange: Exchange) -> Deferred[UpstreamConnection]:
        """A connection of HTTP/1.1 that the pool knows nothing of: for another protocol, which will take it over.

        Raises (through the Deferred):
            GatewayError: what connecting ended in.
        """
        if self._proxy_protocol is None:
            return self._connector.connect(self.url, "http1")
        return self._connector.connect(self.url, "http1", introduction(self._proxy_protocol, exchange))

    def probe_connection(self, protocol: UpstreamProtocol | None = None) -> Deferred[UpstreamConnection]:
        """A connection for an active probe: of its own, never from the pool and never into it.

        Args:
            protocol: instead of what is configured.

        Raises (through the Deferred):
            GatewayError: what connecting ended in.
        """
        if self._proxy_protocol is None:
            return self._connector.connect(self.url, protocol)
        return self._connector.connect(self.url, protocol, self_introduction(self._proxy_protocol))

    def probe_raw(self, build: Callable[[], Any]) -> Deferred[Any]:
        """Put a Twisted protocol on a connection of its own, inside TLS if the URL says so; for an active probe.

        Returns:
            fires with the protocol that `build` made, which has its transport.

        Raises (through the Deferred):
            GatewayError: what connecting ended in.
        """
        preamble = b"" if self._proxy_protocol is None else self_introduction(self._proxy_protocol)
        return self._connector.open_raw(self.url, build, preamble)

    def answered(self, status: int, took_s: float, whole: bool = True) -> None:
        """An attempt got a response head; see `Observer`."""
        for observer in self.observers:
            observer.answered(self, status, took_s, whole)

    def ended(self, began: int, status: int, lasted_s: float) -> None:
        """The answer of an attempt is whole now; see `Observer`."""
        for observer in self.observers:
            observer.ended(self, began, status, lasted_s)

    def failed(self, error: GatewayError, lasted_s: float = 0.0, began: int = 200) -> None:
        """An attempt got none, or not all of it; see `Observer`."""
        for observer in self.observers:
            observer.failed(self, error, lasted_s, began)

    def __repr__(self) -> str:
        state = self.standing.state
        return f"<Endpoint {self.name} {state} weight={self.weight} in_flight={self.in_flight} {self.pool!r}>"
