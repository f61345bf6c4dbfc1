"""How a Consul agent is reached, and how its answers are wanted."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, SecretStr, field_validator, model_validator

from edgegw.config.model import Settings
from edgegw.config.units import Duration
from edgegw.upstream.address import EndpointUrl

URL = "http://127.0.0.1:8500"
WAIT_MAX_S = 600.0
"""What Consul bounds `wait` to."""


class ConsulSettings(Settings):
    """A Consul agent or server. Without anything: the agent of this machine."""

    url: str = Field(default=URL, description="Of the agent's HTTP API.", examples=["https://consul.internal:8501"])
    token: SecretStr | None = Field(default=None, description="An ACL token; `token_file` is read again, this is not.")
    token_file: str | None = Field(default=None, description="A file with an ACL token, read before each request.")
    dc: str | None = Field(
        default=None, min_length=1, description="The datacenter to ask for; without it that of the agent."
    )
    ca_file: str | None = Field(default=None, description="PEM file with the authorities to trust.")
    cert_file: str | None = Field(default=None, description="PEM file: a client certificate.")
    key_file: str | None = Field(default=None, description="PEM file: its key.")
    server_name: str | None = Field(default=None, description="The name that the agent's certificate must be for.")
    verify: bool = Field(default=True, description="Whether the agent's certificate must be right.")
    consistency: Literal["stale", "default", "consistent"] = Field(
        default="stale",
        description="`stale`: any server may answer, also while there is no leader; `default`: the leader; "
        "`consistent`: the leader, after asking the others.",
    )
    wait: Duration = Field(
        default=15.0,
        le=WAIT_MAX_S,
        description="How long the agent holds a question back while nothing changes, at least 1s; so late a dead agent is noticed.",
    )
    timeout: Duration = Field(
        default=5.0, gt=0, le=60, description="For an answer that is not held back, and beyond `wait` for one that is."
    )

    @field_validator("url")
    @classmethod
    def _is_http(cls, value: str) -> str:
        url = EndpointUrl.parse(value)
        if url.path or url.http2:
            raise ValueError("an agent is reached by http:// or https://")
        return value

    @field_validator("wait")
    @classmethod
    def _is_long(cls, value: float) -> float:
        if value < 1.0:
            raise ValueError("questions are held back for at least 1s; else they would be polling")
        return value

    @model_validator(mode="after")
    def _one_way(self) -> Any:
        if self.token is not None and self.token_file is not None:
            raise ValueError("`token` and `token_file` are two ways to say the same; write one")
        if not EndpointUrl.parse(self.url).secure:
            stray = [key for key in _OF_TLS if getattr(self, key) is not None]
            if stray:
                raise ValueError(f"`{stray[0]}` needs a URL with https://")
        return self


_OF_TLS = ("ca_file", "cert_file", "key_file", "server_name")
