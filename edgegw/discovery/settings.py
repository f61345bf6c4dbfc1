"""`discovery` of an upstream: what is watched, and how far it is believed."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from edgegw.config.model import Settings, ShortForm
from edgegw.config.units import Cidr, Duration, OptionalDuration

Scheme = Literal["http", "https", "h2c", "grpc", "grpcs"]


class DampingSettings(Settings):
    """Endpoints that come and go: `damping: false` is off."""

    changes: int = Field(
        default=5, ge=2, le=1000, description="How often in `window` an endpoint may come back; then it is held back."
    )
    window: Duration = Field(default=60.0, gt=0, description="Time in which comings are counted.")
    quiet: Duration = Field(default=30.0, gt=0, description="Without a change for so long, it may be chosen again.")


class DiscoverySettings(Settings):
    """What finds the endpoints of an upstream. Which keys there may be goes by the kind of source that `from` leads to."""

    # A source needs more than `from`, so there is no short form.
    SHORT: ClassVar[ShortForm | None] = None

    from_: str = Field(
        alias="from",
        description="file, dns, k8s, consul or nats; or the name of a connection in the top-level `discovery`.",
        examples=["k8s"],
    )
    # What is watched.
    service: str | None = Field(
        default=None, min_length=1, description="k8s: NAMESPACE/NAME; consul, nats: the name.", examples=["shop/users"]
    )
    selector: str | None = Field(
        default=None,
        min_length=1,
        description="k8s: labels of the Services instead of one name.",
        examples=["app=users"],
    )
    namespace: str | None = Field(default=None, min_length=1, description="k8s: where; consul: the same of Enterprise.")
    port: int | str | None = Field(
        default=None, description="A number, or for k8s the name of the Service's port.", examples=["http", 9000]
    )
    scheme: Scheme | None = Field(
        default=None,
        description="How endpoints are spoken to; `http` where the source says nothing else.",
        examples=["https"],
    )
    tags: tuple[str, ...] = Field(default=(), description="consul: only instances that have all of them.")
    dc: str | None = Field(default=None, min_length=1, description="consul: another datacenter.")
    passing: bool = Field(
        default=True,
        description="consul: only instances that are well; `false` shows the others too, held back with the reason.",
    )
    subject: str | None = Field(default=None, min_length=1, description="nats: prefix of the announcements' subjects.")
    bucket: str | None = Field(default=None, min_length=1, description="nats: a JetStream KV bucket to watch instead.")
    name: str | None = Field(default=None, min_length=1, max_length=253, description="dns: the name to look up.")
    type: Literal["A", "SRV"] | None = Field(
        default=None,
        description="dns: `A` (the default, with AAAA) needs `port`; `SRV` tells ports, priorities, weights.",
    )
    path: str | None = Field(default=None, min_length=1, description="file: a list of endpoints, JSON or YAML.")
    with_: dict[str, Any] | None = Field(default=None, alias="with", description="Settings of a third party's source.")
    # How far it is believed.
    meta: dict[str, str] = Field(
        default_factory=dict, max_length=16, description="Facts put on every endpoint found; the source's own win."
    )
    zone: str = Field(default="", max_length=100, description="Of endpoints whose source does not tell one.")
    allow: tuple[Literal["unix"] | Cidr, ...] = Field(
        default=(),
        description="Networks that endpoints may be in although it is dangerous: loopback, link-local, metadata services.",
        examples=[["127.0.0.0/8"]],
    )
    stale_after: Duration = Field(default=60.0, gt=0, description="Without an answer for so long, the source is stale.")
    empty_after: OptionalDuration = Field(
        default=10.0,
        description="An answer that names no endpoint, where there were some, is believed after it held for so long; "
        "`none`: never, the last ones stay.",
        examples=["10s", "none"],
    )
    damping: DampingSettings | Literal[False] = Field(
        default=DampingSettings(), description="Holds back endpoints that come and go too often; false is off."
    )


COMMON = frozenset({"from_", "meta", "zone", "allow", "stale_after", "empty_after", "damping"})
"""Keys that every kind of source has."""


def written(key: str) -> str:
    """A field's name as it stands in the configuration."""
    return DiscoverySettings.model_fields[key].alias or key
