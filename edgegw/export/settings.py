"""The `observe:` section of the configuration."""

from __future__ import annotations

import ipaddress
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field

from edgegw.config.model import Settings, ShortForm


def parse_listen(value: str) -> tuple[str, int]:
    """`host:port` as (address, port); the host is an IP address, IPv6 in brackets; `:port` is every address.

    Raises:
        ValueError: it is not one.
    """
    host, colon, port = value.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or not 0 <= int(port) <= 65535:
        raise ValueError('must be "address:port", such as "127.0.0.1:9902"')
    if host.startswith("[") and host.endswith("]"):
        return str(ipaddress.IPv6Address(_address(host[1:-1]))), int(port)
    if ":" in host:
        raise ValueError(f'an IPv6 address stands in brackets: "[{host}]:{port}"')
    return (_address(host) if host else "::"), int(port)


def _address(host: str) -> str:
    if host == "localhost":
        return "127.0.0.1"
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        raise ValueError(f'"{host}" is not an IP address of this machine; "0.0.0.0" is all of them') from None


def _check_listen(value: str) -> str:
    parse_listen(value)
    return value


ListenAddress = Annotated[str, AfterValidator(_check_listen)]
"""`address:port`, checked."""


class AccessLogSettings(Settings):
    """Where access records go and what they look like."""

    SHORT: ClassVar[ShortForm | None] = ShortForm(lambda path: {"path": path}, "a path")

    path: str = Field(
        default="stdout",
        min_length=1,
        description="`stdout`, `stderr`, `off`, or a file, which is appended to and reopened on SIGUSR1.",
        examples=["stdout", "off", "/var/log/edgegw/access.log"],
    )
    format: Literal["json", "console"] = Field(
        default="json", description="One JSON object per line, or a line for people.", examples=["json", "console"]
    )


class LogSettings(Settings):
    """The application log: what the gateway says about itself, on standard error."""

    level: Literal["debug", "info", "warn", "error", "critical"] = Field(
        default="info", description="What is less important than this is not logged.", examples=["info", "debug"]
    )
    format: Literal["json", "console"] = Field(
        default="console", description="One JSON object per line, or a line for people.", examples=["json", "console"]
    )


class ObserveSettings(Settings):
    """How the gateway is watched."""

    listen: ListenAddress | None = Field(
        default=None,
        description="Address of the read-only site: `/metrics`, `/livez`, `/readyz` and nothing else. None: there is no site.",
        examples=["0.0.0.0:9902", "127.0.0.1:9902", "[::]:9902"],
    )
    access_log: AccessLogSettings = Field(
        default=AccessLogSettings(), description="Access records: one line per exchange."
    )
    log: LogSettings = Field(default=LogSettings(), description="The application log.")
