"""The configuration of a listener: where it listens, its TLS, whom it trusts, and what a connection may hold and wait for."""

from __future__ import annotations

import re
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from edgegw.config.model import Settings, ShortForm
from edgegw.config.units import Cidr, Duration, Size
from edgegw.net.certificate_store import ListenTls
from edgegw.wire.http1_limits import TRAILERS_FORBIDDEN

_is_method = re.compile(r"[A-Z][A-Z0-9_-]{0,31}").fullmatch
_is_name = re.compile(r"[!#$%&'*+.^`|~0-9A-Za-z-]+").fullmatch


class Caps(Settings):
    """What one listener may hold, and how long it waits for slow peers."""

    connections: Literal["auto"] | Annotated[int, Field(ge=1)] = Field(
        default="auto",
        description="Connections at once; `auto` is half of what the file limit leaves.",
        examples=["auto", 10000],
    )
    per_client: int = Field(
        default=0, ge=0, description="Connections at once from one address, trusted proxies excepted; 0 is no cap."
    )
    # `gt`, because `Size` has a `ge` of its own, which would win.
    head: Size = Field(default=16384, gt=1023, le=1048576, description="Bytes of a request's head; more is a 431.")
    target: Size = Field(default=8192, gt=255, le=1048576, description="Bytes of a request's target; more is a 414.")
    fields: int = Field(default=100, ge=8, le=1000, description="Header fields of a request; more is a 431.")
    head_deadline: Duration = Field(
        default=10.0, gt=0, description="From the first byte of a head to its last; then a 408."
    )
    handshake: Duration = Field(default=10.0, gt=0, description="For a PROXY header, and again for a TLS handshake.")
    idle: Duration = Field(default=75.0, gt=0, description="How long a connection may wait between requests.")
    requests: int = Field(
        default=1000,
        ge=1,
        description="Requests on one connection, ten times as many over HTTP/2; the last answer closes it.",
    )
    streams: int = Field(default=100, ge=1, le=65535, description="Requests at once on one HTTP/2 connection.")
    glitches: int = Field(
        default=1000,
        ge=10,
        description="Frames per minute that do nothing for anybody (PING, SETTINGS, empty DATA ...) before HTTP/2 ends.",
    )
    body_gap: Duration = Field(default=30.0, gt=0, description="Between bytes of a request's body; then a 408.")
    body_rate: Size = Field(
        default=240, ge=0, description="Bytes per second of a request's body, at least; less is a 408."
    )
    body_rate_after: Duration = Field(default=10.0, gt=0, description="How long a body may be slower than `body_rate`.")
    write_gap: Duration = Field(default=60.0, gt=0, description="How long a peer may take nothing of its response.")


class ProxyProtocolSettings(Settings):
    """Connections that begin with a PROXY header, version 1 or 2, which tells whom they are made for."""

    trusted: tuple[Literal["unix"] | Cidr, ...] = Field(
        min_length=1,
        description="Peers that must send a header, within `caps.handshake`; all others are served as themselves. `unix` "
        "stands for those on a UNIX socket.",
        examples=[["10.0.0.0/8"]],
    )


class ListenSettings(Settings):
    """One listening socket."""

    SHORT: ClassVar[ShortForm | None] = ShortForm(lambda port: {"port": port}, "a port", (int,), {"type": "integer"})

    port: int | None = Field(default=None, ge=1, le=65535, description="TCP port.", examples=[8080])
    interface: str | None = Field(
        default=None, description="Address to listen on; none is every IPv6 and IPv4 address.", examples=["127.0.0.1"]
    )
    unix: str | None = Field(
        default=None, description="Path of a UNIX socket, instead of a port.", examples=["/run/edgegw.sock"]
    )
    systemd: str | None = Field(
        default=None,
        description="Name of a socket that systemd passes (FileDescriptorName), instead of a port.",
        examples=["web"],
    )
    protocols: tuple[Literal["http1", "http2"], ...] = Field(
        default=("http1", "http2"),
        min_length=1,
        description="What is spoken: by ALPN over TLS, by the first bytes in clear text.",
        examples=[["http1", "http2"]],
    )
    redirect: Literal["https"] | None = Field(
        default=None, description="Answer everything with a redirect to the https URL."
    )
    escaped_slashes: Literal["reject", "redirect", "keep"] = Field(
        default="reject",
        description="What becomes of %2F in a path: a 400, a 307 to the decoded form, or kept as it is.",
    )
    tls: ListenTls | None = Field(default=None, description="Speak TLS.")
    methods: tuple[str, ...] = Field(
        default=(), description="Methods to accept beside the usual ones.", examples=[["PROPFIND", "REPORT"]]
    )
    trailers: tuple[str, ...] = Field(
        default=(),
        description="Trailer fields of requests to pass on; others are dropped.",
        examples=[["X-Checksum"]],
    )
    proxy_protocol: ProxyProtocolSettings | None = Field(
        default=None, description="Take the peer's address from PROXY protocol, before TLS."
    )
    trusted_proxies: tuple[Cidr, ...] = Field(
        default=(), description="Addresses whose X-Forwarded-* and Forwarded are believed.", examples=[["10.0.0.0/8"]]
    )
    caps: Caps = Field(default=Caps(), description="What a connection may hold, and how long it is waited for.")

    @field_validator("methods")
    @classmethod
    def _can_be_served(cls, methods: tuple[str, ...]) -> tuple[str, ...]:
        for method in methods:
            if not _is_method(method):
                raise ValueError(f'"{method}" is not a method; methods are upper-case tokens')
            if method in ("CONNECT", "TRACE"):
                raise ValueError(f"{method} is not served: it opens a tunnel, or shows credentials to scripts")
        return methods

    @field_validator("trailers")
    @classmethod
    def _can_follow(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if not _is_name(name):
                raise ValueError(f'"{name}" is not a field name')
            if name.lower().encode("ascii") in TRAILERS_FORBIDDEN:
                raise ValueError(f'"{name}" frames, routes or authenticates; it cannot come after the body')
        return names

    @model_validator(mode="after")
    def _one_place(self) -> Any:
        given = [name for name in ("port", "unix", "systemd") if getattr(self, name) is not None]
        if len(given) != 1:
            found = " and ".join(given) or "none of them"
            raise ValueError(f"a listener has one of port, unix and systemd; here: {found}")
        if self.interface is not None and self.port is None:
            raise ValueError("interface goes with port")
        if self.redirect is not None and self.tls is not None:
            raise ValueError("a listener with tls is where redirect: https leads to; leave one of them out")
        return self

    @property
    def name(self) -> str:
        """What logs and metrics call it: `*:443`, `127.0.0.1:8080`, `unix:/run/x.sock`, `systemd:web`."""
        if self.unix is not None:
            return f"unix:{self.unix}"
        if self.systemd is not None:
            return f"systemd:{self.systemd}"
        host = self.interface or "*"
        return f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"
