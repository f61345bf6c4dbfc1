"""What a listener lets a connection hold and how long it waits: settings, and the deadlines trust.md A2 and A5 set."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from edgegw.config.model import Settings
from edgegw.config.units import Duration, Size


class Caps(Settings):
    """What one listener may hold, and how long it waits for slow peers."""

    connections: Literal["auto"] | int = Field(
        "auto", description="Connections at once; `auto` is half of what the file limit leaves.", examples=["auto", 10000]
    )
    per_client: int = Field(
        0, ge=0, description="Connections at once from one address, trusted proxies excepted; 0 is no cap."
    )
    head: Size = Field(16384, ge=1024, le=1048576, description="Bytes of a request's head; more is a 431.")
    target: Size = Field(8192, ge=256, le=1048576, description="Bytes of a request's target; more is a 414.")
    fields: int = Field(100, ge=8, le=1000, description="Header fields of a request; more is a 431.")
    head_deadline: Duration = Field(10.0, gt=0, description="From the first byte of a head to its last; then a 408.")
    handshake: Duration = Field(10.0, gt=0, description="For a TLS handshake.")
    idle: Duration = Field(75.0, gt=0, description="How long a connection may wait between requests.")
    requests: int = Field(1000, ge=1, description="Requests on one connection; the last answer closes it.")
    body_gap: Duration = Field(30.0, gt=0, description="Between bytes of a request's body; then a 408.")
    body_rate: Size = Field(240, ge=0, description="Bytes per second of a request's body, at least; less is a 408.")
    body_rate_after: Duration = Field(10.0, gt=0, description="How long a body may be slower than `body_rate`.")
    write_gap: Duration = Field(60.0, gt=0, description="How long a peer may take nothing of its response.")
