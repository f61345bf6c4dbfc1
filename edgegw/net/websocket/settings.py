"""The `websocket:` key of a route."""

from __future__ import annotations

import re
from typing import ClassVar, Literal

from pydantic import Field, field_validator

from edgegw.config.model import Settings, ShortForm
from edgegw.config.units import Duration, Rate, Size

_LARGEST = 1 << 30
_is_origin = re.compile(
    r"null|[a-z][a-z0-9+.-]*://(?:\*{1,2}\.)?(?:[a-z0-9_-]+(?:\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?"
).fullmatch
_is_token = re.compile(r"[!#$%&'*+.^`|~0-9A-Za-z-]+").fullmatch


class WebSocketSettings(Settings):
    """What becomes of WebSocket connections on a route; the short form is the mode."""

    SHORT: ClassVar[ShortForm | None] = ShortForm(
        lambda mode: {"mode": mode},
        "one of relay, tunnel, off",
        schema={"type": "string", "enum": ["relay", "tunnel", "off"]},
    )

    mode: Literal["relay", "tunnel", "off"] = Field(
        default="relay",
        description="`relay` speaks WebSocket on both sides and enforces what stands below; `tunnel` splices the bytes "
        "and knows `idle`, `origins` and `subprotocols` only; `off` refuses.",
        examples=["relay", "tunnel", "off"],
    )
    max_message: Size = Field(
        default=1 << 20,
        gt=0,
        le=_LARGEST,
        description="Bytes of a message, inflated, either way; more closes with 1009.",
        examples=["1MiB", "64KiB"],
    )
    max_frame: Size | None = Field(
        default=None,
        gt=0,
        le=_LARGEST,
        description="Bytes of one frame; more closes with 1009. None is what `max_message` allows.",
        examples=["64KiB"],
    )
    ping: Duration = Field(
        default=20.0, description="Ping a side that was silent for so long; 0 sends no pings.", examples=["20s", "0"]
    )
    pong_timeout: Duration = Field(
        default=10.0, gt=0, description="A side that is silent for so long after a ping is cut.", examples=["10s"]
    )
    idle: Duration = Field(
        default=300.0,
        description="No message either way for so long closes both sides with 1001; 0 never does. Pings do not count.",
        examples=["300s", "0"],
    )
    origins: tuple[str, ...] = Field(
        default=(),
        description="Origins that may connect; with entries, nobody without Origin may. None lets all. `*.` is one label, "
        "`**.` one or more; `null` is an origin.",
        examples=[["https://shop.example.com", "https://*.example.com"]],
    )
    compress: bool = Field(
        default=False,
        description="Agree to permessage-deflate with the client, and offer it to the upstream; each side on its own.",
    )
    rate: Rate | None = Field(
        default=None,
        description="Messages and pings from a client; more than a second's worth at once closes with 1008.",
        examples=["50/s"],
    )
    subprotocols: tuple[str, ...] | None = Field(
        default=None,
        description="Subprotocols that are passed on to the upstream; None passes all.",
        examples=[["graphql-transport-ws"]],
    )

    @field_validator("origins")
    @classmethod
    def _are_origins(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        for origin in origins:
            if not _is_origin(origin):
                raise ValueError(f'"{origin}" is not an origin; write it as browsers do: https://shop.example.com')
        return origins

    @field_validator("subprotocols")
    @classmethod
    def _are_tokens(cls, names: tuple[str, ...] | None) -> tuple[str, ...] | None:
        for name in names or ():
            if not _is_token(name):
                raise ValueError(f'"{name}" is not the name of a subprotocol')
        return names

    @property
    def frame_limit(self) -> int:
        """Bytes of one frame."""
        return self.max_message if self.max_frame is None else min(self.max_frame, self.max_message)
