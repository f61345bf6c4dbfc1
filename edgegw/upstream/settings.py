"""The configuration of one upstream."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from edgegw.config.model import Settings
from edgegw.config.units import Duration
from edgegw.net.tls import UpstreamTlsSettings
from edgegw.upstream.address import EndpointSettings, Protocol
from edgegw.upstream.balance.settings import BalanceSettings
from edgegw.upstream.breaker import BreakerSettings
from edgegw.upstream.bulkhead import BulkheadSettings
from edgegw.upstream.health.settings import HealthSettings
from edgegw.upstream.introduction import ProxyVersion
from edgegw.upstream.outlier import OutlierSettings
from edgegw.upstream.pool import PoolSettings
from edgegw.upstream.retry import RetrySettings


class UpstreamTimeouts(Settings):
    """How long an endpoint may take; a route's own `timeout` wins."""

    connect: Duration = Field(
        default=3.0, gt=0, description="Until a connection stands, name look-up and TLS included."
    )
    head: Duration = Field(default=15.0, gt=0, description="From the request's last byte to the response's head.")
    idle: Duration = Field(default=60.0, gt=0, description="Between bytes of a response.")
    send: Duration = Field(
        default=15.0,
        gt=0,
        description="How long an endpoint may take nothing of a request's body that is being sent to it.",
    )
    deadline_header: str | None = Field(
        default=None,
        description="A field that tells the endpoint, in whole milliseconds, how long this attempt may still take: what is left "
        "of the route's `timeout.total`, or `retry.per_try` if that is less. One that came is replaced, unless there is neither.",
        examples=["X-Request-Timeout-Ms"],
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$",
    )


class UpstreamDefaults(Settings):
    """What an upstream may say about itself, and what `defaults.upstream` may say for all of them."""

    protocol: Protocol = Field(
        default="auto",
        description="The version of HTTP it is spoken to in. `auto`: http:// and unix:// HTTP/1.1, https:// what the endpoint "
        "chooses, HTTP/2 first. `http2` on http:// and unix:// begins without asking.",
        examples=["http2"],
    )
    host: str = Field(
        default="preserve",
        description="The Host sent on: `preserve` what came, `upstream` the endpoint's own, or a literal.",
        examples=["preserve", "upstream", "shop.internal"],
        pattern=r"^[A-Za-z0-9.\-:\[\]_]+$",
    )
    proxy_protocol: ProxyVersion | None = Field(
        default=None,
        description="Begin connections with a PROXY header, before TLS, that tells whom the downstream connection belongs to. "
        "Each then carries one exchange only, over HTTP/1.1: none is kept for another client.",
        examples=["v2"],
    )
    tls: UpstreamTlsSettings = Field(
        default=UpstreamTlsSettings(), description="How https endpoints are verified and what is shown to them."
    )
    balance: BalanceSettings = Field(default=BalanceSettings(), description="Which endpoint gets the next exchange.")
    health: HealthSettings | None = Field(default=None, description="Active probes; none without it.")
    outlier: OutlierSettings | Literal[False] = Field(
        default=OutlierSettings(), description="Ejects endpoints that fail real exchanges; false is off."
    )
    breaker: BreakerSettings | Literal[False] = Field(
        default=BreakerSettings(), description="Refuses exchanges while the whole upstream fails; false is off."
    )
    bulkhead: BulkheadSettings = Field(
        default=BulkheadSettings(), description="Exchanges that the upstream may have at once."
    )
    retry: RetrySettings = Field(default=RetrySettings(), description="Attempts after the first.")
    pool: PoolSettings = Field(default=PoolSettings(), description="Connections kept to each endpoint.")
    timeouts: UpstreamTimeouts = Field(default=UpstreamTimeouts(), description="How long an endpoint may take.")


class UpstreamSettings(UpstreamDefaults):
    """A named set of endpoints."""

    endpoints: tuple[EndpointSettings, ...] = Field(default=(), description="The addresses behind this name.")
