"""How NATS is reached: servers, login, TLS."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from pydantic import Field, SecretStr, field_validator, model_validator

from edgegw.config.model import Settings
from edgegw.config.problems import quoted
from edgegw.config.units import Duration
from edgegw.net.addresses import canonical
from edgegw.net.tls import UpstreamTlsSettings

PORT = 4222
_SERVER = re.compile(
    r"(?:(?P<scheme>nats|tls)://)?(?P<host>\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(?::(?P<port>[0-9]{1,5}))?/?\Z"
)
_MAX_SERVERS = 32


class Server(NamedTuple):
    """host: a name or an address, without brackets. secure: the URL wants TLS."""

    host: str
    port: int
    secure: bool = False

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_server(text: str) -> Server:
    """`nats://HOST:PORT`, `tls://HOST:PORT`, or the same without the scheme or the port.

    Raises:
        ValueError: it is none of them.
    """
    if "@" in text:
        raise ValueError("a server's URL has no login here; write `user` and `password`, or `token`, beside `servers`")
    found = _SERVER.match(text)
    port = int(found["port"] or PORT) if found else 0
    if found is None or not 0 < port < 65536:
        raise ValueError(f"{quoted(text)} is not a NATS server; write nats://HOST:{PORT} or tls://HOST:{PORT}")
    host = found["host"].strip("[]")
    if ":" in host and canonical(host) is None:
        raise ValueError(f"{quoted(text)} has no proper address")
    return Server(host, port, found["scheme"] == "tls")


class NatsSettings(Settings):
    """NATS servers, and who we are there."""

    servers: tuple[str, ...] = Field(
        min_length=1,
        max_length=_MAX_SERVERS,
        description="Of one cluster: any of them will do. `tls://` instead of `nats://` insists on TLS.",
        examples=[["nats://10.0.0.21:4222", "nats://10.0.0.22:4222"]],
    )
    user: str | None = Field(default=None, min_length=1, description="With `password`.", examples=["edgegw"])
    password: SecretStr | None = Field(default=None, description="Of `user`.", examples=["file:/run/secrets/nats"])
    token: SecretStr | None = Field(default=None, description="Instead of user and password.")
    creds: str | None = Field(
        default=None,
        min_length=1,
        description="A .creds file (JWT and seed), or a file with the seed of an nkey alone; read at each connection.",
        examples=["edgegw.creds"],
    )
    tls: UpstreamTlsSettings | None = Field(
        default=None,
        description="Insists on TLS. Without it TLS is spoken where the server wants it, and the system's authorities are trusted.",
    )
    name: str = Field(default="edgegw", max_length=100, description="Of the connection, as operators of NATS see it.")
    cluster: bool = Field(default=False, description="Whether servers that a server tells of are used too.")
    timeout: Duration = Field(
        default=5.0, ge=0.1, le=60, description="For a connection with login, and for the answer to a request."
    )
    ping: Duration = Field(
        default=10.0,
        ge=0.1,
        le=120,
        description="How often the server must show that it is there; twice without is gone.",
    )
    answer: bool = Field(
        default=False,
        description="Whether questions on SUBJECT.discover are answered with the instances that the upstream knows.",
    )

    @field_validator("servers")
    @classmethod
    def _are_servers(cls, servers: tuple[str, ...]) -> tuple[str, ...]:
        for text in servers:
            parse_server(text)
        return servers

    @model_validator(mode="after")
    def _one_login(self) -> Any:
        if (self.user is None) != (self.password is None):
            raise ValueError("`user` and `password` go together")
        ways = [key for key in ("user", "token", "creds") if getattr(self, key) is not None]
        if len(ways) > 1:
            raise ValueError(f"`{ways[0]}` and `{ways[1]}` are two ways to log in; write one")
        return self
