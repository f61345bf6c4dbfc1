"""How endpoints are probed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from edgegw.config.model import Settings, ShortForm
from edgegw.config.units import Duration, StatusRange, StatusRanges

HEX = "hex:"
"""How a text begins that stands for bytes in hexadecimal digits."""

SHORTEST_S = 0.1
"""From probe to probe at least."""

_OF_HTTP = ("path", "method", "headers", "host", "expect")
_OTHERS = ("tcp", "grpc", "custom")
_is_token = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+").fullmatch
_FRAMING = frozenset({
    "connection", "content-length", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade",
})  # fmt: skip


def as_bytes(text: str) -> bytes:
    """The bytes that a text of the configuration stands for. Raises ValueError."""
    if not text.startswith(HEX):
        return text.encode("utf-8")
    try:
        return bytes.fromhex(text.removeprefix(HEX))
    except ValueError:
        raise ValueError(f'behind "{HEX}" stand pairs of hexadecimal digits, such as hex:0d0a') from None


def _path(text: str) -> Mapping[str, Any]:
    if text in _OTHERS:
        raise ValueError(
            f"write {{{text}: {'name' if text == 'custom' else '{}'}}}: a word alone is the path of an HTTP probe"
        )
    return {"path": text}


class BodyTestSettings(Settings):
    """What the first 64 KiB of a body must hold; the short form is a text."""

    SHORT: ClassVar[ShortForm | None] = ShortForm(lambda text: {"contains": text}, "a text that it must contain")

    contains: str | None = Field(default=None, min_length=1, description="A text that stands somewhere in it.")
    regex: str | None = Field(default=None, description="An RE2 expression that matches somewhere in it.")

    @model_validator(mode="after")
    def _one(self) -> BodyTestSettings:
        if (self.contains is None) == (self.regex is None):
            raise ValueError("must have either contains or regex")
        return self


class ExpectSettings(Settings):
    """What the answer to an HTTP probe must be; the short form is its status."""

    SHORT: ClassVar[ShortForm | None] = ShortForm(
        lambda status: {"status": status}, "status codes", (str, int), {"type": ["string", "integer"]}
    )

    status: StatusRanges = Field(
        default=(StatusRange(200, 299),), description="Its status. Redirects are not followed."
    )
    body: BodyTestSettings | None = Field(
        default=None,
        description="What its body must hold; not read without it.",
        examples=["ready", {"regex": "ok|up"}],
    )


class TcpProbeSettings(Settings):
    """Connect (with TLS if the endpoint's URL says so), say something, hear something; empty: connecting is enough."""

    send: str = Field(
        default="",
        description='What is sent. Line ends in double quotes ("PING\\r\\n"); bytes as `hex:` and their digits.',
        examples=["PING\r\n", "hex:00000001"],
    )
    expect: str = Field(
        default="",
        description="What must come, somewhere in the first 64 KiB; written like `send`.",
        examples=["+PONG"],
    )

    @field_validator("send", "expect")
    @classmethod
    def _readable(cls, value: str) -> str:
        as_bytes(value)
        return value


class GrpcProbeSettings(Settings):
    """Ask `grpc.health.v1.Health/Check`; the short form is the service."""

    SHORT: ClassVar[ShortForm | None] = ShortForm(lambda text: {"service": text}, "the name of a service")

    service: str = Field(
        default="",
        max_length=256,
        description="The service that must be SERVING; empty is the server as a whole.",
        examples=["acme.Orders"],
    )


class HealthSettings(Settings):
    """Active probes of every endpoint, over HTTP if nothing else is said; the short form is the path."""

    SHORT: ClassVar[ShortForm | None] = ShortForm(_path, "the path of an HTTP probe")

    path: str = Field(
        default="/",
        pattern=r"^/[\x21\x22\x24-\x7e]*$",
        description="What is asked for; a query may follow.",
        examples=["/healthz"],
    )
    method: Literal["GET", "HEAD", "OPTIONS"] = Field(default="GET", description="How it is asked for.")
    headers: dict[str, str] = Field(
        default_factory=dict,
        max_length=32,
        description="Further header fields of the request.",
        examples=[{"X-Probe": "1"}],
    )
    host: str = Field(
        default="upstream",
        description="The Host that is sent: `upstream` is the endpoint's own, else a literal.",
        examples=["upstream", "shop.internal"],
        pattern=r"^[A-Za-z0-9.\-:\[\]_]+$",
    )
    expect: ExpectSettings = Field(default=ExpectSettings(), description="What the answer must be.")
    tcp: TcpProbeSettings | None = Field(
        default=None,
        description="Probe with a connection instead.",
        examples=[{}, {"send": "PING\r\n", "expect": "+PONG"}],
    )
    grpc: GrpcProbeSettings | None = Field(
        default=None, description="Probe by gRPC's health protocol instead.", examples=[{"service": "acme.Orders"}]
    )
    custom: str | None = Field(
        default=None,
        min_length=1,
        description="Probe with Python code instead: an entry point of `edgegw.health_probes`, or `package.module:factory`.",
        examples=["disk", "shop.probes:Disk"],
    )
    with_: dict[str, Any] = Field(
        default_factory=dict, alias="with", description="What the code of `custom` is built with."
    )
    every: Duration = Field(default=5.0, description="From probe to probe; up to a tenth is added by chance.")
    unhealthy_every: Duration | None = Field(
        default=None, description="From probe to probe while the endpoint fails; `every` without it."
    )
    timeout: Duration = Field(default=2.0, gt=0, description="For all of a probe, connecting included.")
    fall: int = Field(default=3, ge=1, le=100, description="Probes in a row that must fail to take it out.")
    rise: int = Field(default=2, ge=1, le=100, description="Probes in a row that must pass to bring it back.")

    @field_validator("every", "unhealthy_every")
    @classmethod
    def _bearable(cls, value: float | None) -> float | None:
        if value is not None and value < SHORTEST_S:
            raise ValueError(f"must be at least {SHORTEST_S * 1000:.0f}ms")
        return value

    @field_validator("headers")
    @classmethod
    def _sendable(cls, value: dict[str, str]) -> dict[str, str]:
        for name, text in value.items():
            if name.lower() == "host":
                raise ValueError("has Host: write it as `host`, next to `path`")
            if not _is_token(name) or name.lower() in _FRAMING:
                raise ValueError(f'must not have "{name}": that is no field that a probe may set')
            if not text.isprintable() or text != text.strip():
                raise ValueError(f"must have printable values without spaces around them; {name} has not")
        return value

    @model_validator(mode="after")
    def _one_kind(self) -> HealthSettings:
        wrong = self.contradiction()
        if wrong is not None:
            raise ValueError(wrong)
        return self

    def contradiction(self) -> str | None:
        """What does not go together, in words; what was taken over from the defaults of upstreams counts like what is written."""
        given = self.model_fields_set
        kinds = [kind for kind in _OTHERS if getattr(self, kind) is not None]
        said = [f'"{name}"' for name in _OF_HTTP if name in given] if kinds else []
        if len(kinds) > 1 or said:
            named = " and ".join([f'"{kind}"' for kind in kinds] + said[:1])
            return f"has {named}: one kind of probe at a time"
        if self.with_ and self.custom is None:
            return 'has "with", which is for custom probes only'
        if self.method == "HEAD" and self.expect.body is not None:
            return "expects a body, and answers to HEAD have none"
        return None
