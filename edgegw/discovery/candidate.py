"""What a source heard becomes an endpoint, or is refused: hosts that resolvers read in their own ways, ports out of range."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from pydantic import ValidationError

from edgegw.config.problems import quoted
from edgegw.upstream.address import EndpointSettings, Named

_WEIGHTS = 1, 1000
_TIERS = 0, 15
_META_MAX = 32
_TEXT_MAX = 100


class Refused(ValueError):
    """It cannot be an endpoint. what: as it was named, printable and short. reason: in words."""

    def __init__(self, what: str, reason: str) -> None:
        super().__init__(f"{what}: {reason}")
        self.what = what
        self.reason = reason


class Facts(NamedTuple):
    """What is said of an endpoint besides its address; numbers out of range are brought into it, texts cut.

    held: why it should not be chosen, empty if it may be.
    """

    weight: float = 1
    zone: str = ""
    tier: int = 0
    meta: Mapping[str, str] = {}
    held: str = ""


def candidate(scheme: str, host: str, port: int, facts: Facts = Facts()) -> Named:
    """An endpoint from what a registry says.

    Args:
        scheme: http, https, h2c, grpc or grpcs. host: an address or a name, as it was said. facts: everything else.

    Raises:
        Refused: scheme, host or port cannot be.
    """
    bare = host.strip("[]")
    authority = f"[{bare}]" if ":" in bare else bare.rstrip(".")
    url = f"{scheme}://{authority}:{port}"
    meta = [(str(name)[:_TEXT_MAX], str(value)[:_TEXT_MAX]) for name, value in facts.meta.items()]
    try:
        settings = EndpointSettings(
            url=url,
            weight=round(_within(facts.weight, *_WEIGHTS)),
            zone=facts.zone[:_TEXT_MAX],
            tier=round(_within(facts.tier, *_TIERS)),
            meta=dict(sorted(meta)[:_META_MAX]),
        )
    except ValidationError as error:
        reason = str(error.errors()[0]["msg"]).removeprefix("Value error, ")
        raise Refused(quoted(url), reason) from None
    return Named(settings, facts.held[:_TEXT_MAX])


def _within(number: float, low: float, high: float) -> float:
    # A comparison with NaN is false: it becomes the low end.
    return min(number, high) if number > low else low
