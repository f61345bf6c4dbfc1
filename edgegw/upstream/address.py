"""What an endpoint is: its address as configured or found, and what is said of it."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import ClassVar, Literal, NamedTuple

from pydantic import Field, field_validator

from edgegw.config.model import Settings, ShortForm
from edgegw.net.addresses import canonical, ends_in_number

Protocol = Literal["auto", "http1", "http2"]
"""Which version of HTTP an upstream is spoken to in; `auto` goes by the URL of each endpoint."""

_SCHEMES = {"http": 80, "https": 443, "h2c": 80, "grpc": 80, "grpcs": 443}
_SECURE = ("https", "grpcs")
_HTTP2 = ("h2c", "grpc", "grpcs")
_URL = re.compile(
    r"(?P<scheme>https?|h2c|grpcs?)://(?P<host>\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(?::(?P<port>[0-9]{1,5}))?/?\Z"
)
_UNIX = re.compile(r"unix://(?P<path>/[^\0]+)\Z")


class EndpointUrl(NamedTuple):
    """Where an endpoint is: host and port, or the path of a UNIX socket. http2: its scheme says that it speaks nothing else."""

    secure: bool
    host: str
    port: int
    path: str
    http2: bool = False

    def versions(self, protocol: Protocol) -> tuple[bytes, ...]:
        """What it may be spoken to in, as ALPN names it, most wanted first. Without TLS it is one: both sides know it before.

        Raises:
            ValueError: HTTP/1.1 is asked for and the scheme says HTTP/2.
        """
        if self.http2 and protocol == "http1":
            raise ValueError("its URL says HTTP/2, and HTTP/1.1 is asked for")
        if self.http2 or protocol == "http2":
            return (b"h2",)
        return (b"h2", b"http/1.1") if self.secure and protocol == "auto" else (b"http/1.1",)

    @property
    def authority(self) -> str:
        """The Host header of requests made to it in its own name."""
        if self.path:
            return "localhost"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.secure else 80) else f"{host}:{self.port}"

    @classmethod
    @lru_cache(maxsize=16_384)  # A reload parses all of them again, thousands where they are discovered.
    def parse(cls, text: str) -> EndpointUrl:
        """Read `http://host:port`, the same with https, h2c, grpc or grpcs, or `unix:///path`.

        Raises:
            ValueError: with what is wrong, in words for an operator.
        """
        if found := _UNIX.match(text):
            return cls(False, "", 0, found["path"])
        found = _URL.match(text)
        if found is None:
            raise ValueError(_complaint(text))
        scheme = found["scheme"]
        port = int(found["port"] or _SCHEMES[scheme])
        if not 0 < port < 65536:
            raise ValueError(f"port {port} is not between 1 and 65535")
        host = found["host"]
        if host.startswith("[") or ends_in_number(host):
            # Resolvers read `127.1` or `2130706433` as addresses, each its own way.
            address = canonical(host.strip("[]"))
            if address is None:
                raise ValueError(f'"{host}" is not an address')
            host = address
        return cls(scheme in _SECURE, host, port, "", scheme in _HTTP2)


def _complaint(text: str) -> str:
    if "://" not in text:
        return f'"{text}" has no scheme; write http://{text} or https://{text}'
    scheme, rest = text.split("://", 1)
    if scheme != "unix" and scheme not in _SCHEMES:
        return f'scheme "{scheme}" is not known here; known: {", ".join(_SCHEMES)}, unix'
    if scheme == "unix":
        return f"a UNIX socket is an absolute path, after three slashes: unix:///{rest.lstrip('/')}"
    if "/" in rest.rstrip("/") or "?" in rest:
        return "an endpoint is an address, without a path; use the route's rewrite for paths"
    return f'"{text}" is not an address; write {scheme}://host:port or unix:///path'


class EndpointSettings(Settings):
    """One address of an upstream; `"http://h:1"` is short for `{url: "http://h:1"}`."""

    SHORT: ClassVar[ShortForm | None] = ShortForm(lambda url: {"url": url}, "a URL")

    url: str = Field(
        description="Where the endpoint listens: http://host:port, https://host:port or unix:///path; h2c:// and grpc:// are "
        "HTTP/2 on clear text, grpcs:// is HTTP/2 over TLS.",
        examples=["http://10.0.0.11:9000", "grpc://10.0.0.12:50051", "unix:///run/app.sock"],
    )
    weight: int = Field(default=1, ge=1, le=1000, description="Share of the exchanges, relative to the others.")
    zone: str = Field(
        default="", max_length=100, description="Where it stands; `balance.tiers` may prefer zones.", examples=["eu-1a"]
    )
    tier: int = Field(
        default=0,
        ge=0,
        le=15,
        description="Group that it belongs to: a tier is used as far as those below it cannot serve.",
    )
    meta: dict[str, str] = Field(
        default_factory=dict,
        max_length=32,
        description="Facts by which a route's `to` may choose a part of the endpoints.",
    )

    @field_validator("url")
    @classmethod
    def _parses(cls, value: str) -> str:
        EndpointUrl.parse(value)
        return value


class Named(NamedTuple):
    """An endpoint as a source names it now. held: why it should not be chosen (`terminating`, `critical`); empty if it may be."""

    settings: EndpointSettings
    held: str = ""
