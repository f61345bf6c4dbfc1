"""The top-level `discovery`: by name, how to reach what upstreams are found by."""

from __future__ import annotations

from typing import Any

from pydantic import Field, model_validator

from edgegw.config.model import Settings
from edgegw.discovery.consul.settings import ConsulSettings
from edgegw.discovery.dns_settings import DnsSettings
from edgegw.discovery.kubernetes.settings import KubernetesSettings
from edgegw.net.nats.settings import NatsSettings

KINDS = ("dns", "k8s", "consul", "nats")
"""Kinds of connections; each is a key of `ConnectionSettings`."""


class ConnectionSettings(Settings):
    """One connection: a map with one key, its kind. `from: NAME` of an upstream's `discovery` uses it."""

    dns: DnsSettings | None = Field(default=None, description="Name servers other than those of /etc/resolv.conf.")
    k8s: KubernetesSettings | None = Field(
        default=None, description="The API server of another cluster than the pod's own."
    )
    consul: ConsulSettings | None = Field(default=None, description="A Consul agent other than that of this machine.")
    nats: NatsSettings | None = Field(default=None, description="NATS servers; `from: nats` alone cannot know them.")

    @model_validator(mode="after")
    def _one_kind(self) -> Any:
        given = [kind for kind in KINDS if getattr(self, kind) is not None]
        if len(given) != 1:
            raise ValueError(
                f"a connection has one of {', '.join(KINDS)}; here: {' and '.join(given) or 'none of them'}"
            )
        return self

    @property
    def kind(self) -> str:
        """Which one it is."""
        return next(kind for kind in KINDS if getattr(self, kind) is not None)

    @property
    def settings(self) -> Settings:
        """The settings of that kind."""
        found: Settings = getattr(self, self.kind)
        return found
