"""Typed strings: durations, sizes, rates, shares, status ranges, address ranges.

Each is a pydantic `Annotated` type: it reads the text of the configuration, keeps a plain number or a small frozen value, and is
written back as text (`model_dump(mode="json")`). Its JSON schema carries `x-edgegw-type`, the word that people read for it.
"""

import ipaddress
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, TypeGuard

from pydantic import BeforeValidator, GetCoreSchemaHandler, GetJsonSchemaHandler, PlainSerializer, WithJsonSchema
from pydantic_core import CoreSchema, core_schema

from edgegw.config.problems import kind_of, quoted

TYPE_KEY = "x-edgegw-type"
"""The JSON-schema key that names one of our types."""

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?(B|kB|KB|MB|GB|TB|KiB|MiB|GiB|TiB)")
_BYTES = {
    "B": 1,
    "kB": 10**3,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
    "TiB": 2**40,
}
_RATE = re.compile(r"([0-9]+)\s*/\s*([0-9]*)(ms|s|m|h|d)")
_PERCENT = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*%")
_STATUS = re.compile(r"([1-9][0-9]{2})(?:-([1-9][0-9]{2}))?")


@dataclass(frozen=True, slots=True)
class Rate:
    """`count` events in every `per_s` seconds."""

    count: int
    per_s: float

    def __str__(self) -> str:
        return format_rate(self)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Lets a settings field be declared as `rate: Rate`."""
        written = core_schema.plain_serializer_function_ser_schema(format_rate, when_used="json")
        return core_schema.no_info_plain_validator_function(parse_rate, serialization=written)

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return _json_schema("rate", r"([0-9]+\s*/\s*[0-9]*(ms|s|m|h|d))", ["100/s", "5000/h"])


@dataclass(frozen=True, slots=True)
class StatusRange:
    """HTTP status codes from `low` to `high`, both included. `status in range` asks for one."""

    low: int
    high: int

    def __contains__(self, status: object) -> bool:
        return isinstance(status, int) and self.low <= status <= self.high

    def __str__(self) -> str:
        return str(self.low) if self.low == self.high else f"{self.low}-{self.high}"


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def parse_duration(value: object) -> object:
    """`250ms`, `5s`, `2m`, `1h`, `1d` or 0 as seconds. Raises ValueError."""
    if isinstance(value, str):
        text = value.strip()
        found = _DURATION.fullmatch(text)
        if found:
            seconds = float(found[1]) * _SECONDS[found[2]]
            if not math.isfinite(seconds):
                raise ValueError(f"{quoted(text)} is too long a duration")
            return round(seconds, 6)
        if text == "0":
            return 0.0
        if re.fullmatch(r"[0-9]+(\.[0-9]+)?", text):
            raise ValueError(f"write {text}s, not {text}: a duration needs its unit (ms, s, m, h, d)")
        raise ValueError(f"must be a duration such as 250ms, 5s, 2m, 1h or 1d, not {quoted(value)}")
    if _is_number(value):
        if value == 0:
            return 0.0
        raise ValueError(f"write {value}s, not {value}: a duration needs its unit (ms, s, m, h, d)")
    raise ValueError(f"must be a duration such as 5s, not {kind_of(value)}")


def parse_optional_duration(value: object) -> object:
    """A duration, or `none` as None. Raises ValueError."""
    if value is None or value == "none":
        return None
    try:
        return parse_duration(value)
    except ValueError as error:
        text = str(error)
        raise ValueError(
            text.replace("1h or 1d", "1h, 1d or none") if "1h or 1d" in text else f"{text}; or write none"
        ) from None


def parse_size(value: object) -> object:
    """`64KiB`, `10MiB`, `5MB` or a number of bytes as bytes. Raises ValueError."""
    if isinstance(value, str):
        text = value.strip()
        found = _SIZE.fullmatch(text)
        if found and len(text) <= 40:
            size = float(found[1]) * _BYTES[found[2]] if "." in found[1] else int(found[1]) * _BYTES[found[2]]
            if size != int(size):
                raise ValueError(f"{quoted(text)} is not a whole number of bytes")
            return int(size)
        if re.fullmatch(r"[0-9]{1,20}", text):
            return int(text)
        raise ValueError(f"must be a size such as 512B, 64KiB, 10MiB or 1GiB, not {quoted(value)}")
    if _is_number(value):
        if isinstance(value, int) and value >= 0:
            return value
        raise ValueError(f"must be a whole number of bytes or a size such as 64KiB, not {value}")
    raise ValueError(f"must be a size such as 64KiB, not {kind_of(value)}")


def parse_rate(value: object) -> Rate:
    """`100/s`, `5000/h`, `10/5m` as a `Rate`. Raises ValueError."""
    if isinstance(value, Rate):
        return value
    if isinstance(value, str):
        found = _RATE.fullmatch(value.strip())
        if found and len(value) <= 40:
            count, per_s = int(found[1]), int(found[2] or 1) * _SECONDS[found[3]]
            if count == 0 or per_s == 0:
                raise ValueError(f"{quoted(value)} lets nothing through; a rate is at least 1 in some time")
            return Rate(count, per_s)
        raise ValueError(f"must be a rate such as 100/s, 600/m or 5000/h, not {quoted(value)}")
    if _is_number(value):
        raise ValueError(f"write {value}/s, not {value}: a rate says per what (s, m, h, d)")
    raise ValueError(f"must be a rate such as 100/s, not {kind_of(value)}")


def parse_percent(value: object) -> object:
    """`50%` as 0.5, from 0% to 100%. Raises ValueError."""
    if isinstance(value, str):
        found = _PERCENT.fullmatch(value.strip())
        if found and len(value) <= 40:
            if float(found[1]) > 100:
                raise ValueError(f"must be from 0% to 100%, not {quoted(value)}")
            return round(float(found[1]) / 100, 9)
        raise ValueError(f"must be a share such as 50%, not {quoted(value)}")
    if _is_number(value):
        right = f"{value * 100:g}%" if isinstance(value, float) and 0 < value < 1 else f"{value}%"
        raise ValueError(f"write {right}, not {value}: a share is written with %")
    raise ValueError(f"must be a share such as 50%, not {kind_of(value)}")


def parse_status_ranges(value: object) -> object:
    """`200`, `200-299`, `"200-204, 404"` or a list of them as a tuple of `StatusRange`. Raises ValueError."""
    if isinstance(value, (str, int)) and not isinstance(value, bool):
        value = [part.strip() for part in str(value).split(",")]
    if not isinstance(value, (list, tuple)) or not value:
        raise ValueError(f"must be status codes such as 200-299 or [200, 404], not {kind_of(value)}")
    return tuple(_status_range(part) for part in value)


def _status_range(part: object) -> StatusRange:
    if isinstance(part, StatusRange):
        return part
    found = _STATUS.fullmatch(str(part).strip())
    if not found or isinstance(part, bool):
        raise ValueError(f"must be status codes such as 200-299, not {quoted(str(part))}")
    low, high = int(found[1]), int(found[2] or found[1])
    if low > high:
        raise ValueError(f"write {high}-{low}, not {low}-{high}: the lower status comes first")
    return StatusRange(low, high)


def parse_cidr(value: object) -> object:
    """`10.0.0.0/8`, `2001:db8::/32`, or a bare address (/32 or /128) as a network. Raises ValueError."""
    if isinstance(value, (ipaddress.IPv4Network, ipaddress.IPv6Network)):
        return value
    if not isinstance(value, str):
        raise ValueError(f"must be an address range such as 10.0.0.0/8, not {kind_of(value)}")
    text = value.strip()
    try:
        return ipaddress.ip_network(text)
    except ValueError:
        pass
    try:
        wider = ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise ValueError(f"must be an address range such as 10.0.0.0/8 or 2001:db8::/32, not {quoted(value)}") from None
    raise ValueError(f"write {wider}, not {text}: bits behind the prefix are set")


def format_duration(seconds: float | None) -> str | int:
    """Seconds in the largest unit that keeps them whole: `90s`, `1h`, `250ms`; 0 is 0 and None is `none`."""
    if seconds is None:
        return "none"
    if seconds == 0:
        return 0
    for unit in ("d", "h", "m", "s"):
        # 90 s is easier to read than 1.5m, and 60s than 1m: minutes only from two on.
        if seconds >= _SECONDS[unit] * (2 if unit == "m" else 1) and seconds % _SECONDS[unit] == 0:
            return f"{seconds / _SECONDS[unit]:.0f}{unit}"
    return (
        f"{seconds * 1000:.6f}".rstrip("0").rstrip(".") + "ms"
        if seconds < 1
        else f"{seconds:.6f}".rstrip("0").rstrip(".") + "s"
    )


def format_size(size: int) -> str | int:
    """Bytes in the largest binary unit that keeps them whole: `64KiB`; below 1 KiB, or uneven, a number of bytes."""
    for unit in ("TiB", "GiB", "MiB", "KiB"):
        if size and size % _BYTES[unit] == 0:
            return f"{size // _BYTES[unit]}{unit}"
    return size


def format_rate(rate: Rate) -> str:
    """`100/s`, `5000/h`, `10/300s`."""
    for unit, seconds in _SECONDS.items():
        if rate.per_s == seconds and unit != "ms":
            return f"{rate.count}/{unit}"
    whole = rate.per_s == int(rate.per_s)
    return f"{rate.count}/{rate.per_s:.0f}s" if whole else f"{rate.count}/{rate.per_s * 1000:.0f}ms"


def format_percent(share: float) -> str:
    """0.5 as `50%`."""
    return f"{share * 100:.7f}".rstrip("0").rstrip(".") + "%"


def format_status_ranges(ranges: tuple[StatusRange, ...]) -> str:
    """`200-299, 404`."""
    return ", ".join(str(each) for each in ranges)


FORMATS: dict[str, Callable[[Any], str | int]] = {
    "duration": format_duration,
    "duration or none": format_duration,
    "size": format_size,
    "rate": format_rate,
    "percent": format_percent,
    "status codes": format_status_ranges,
    "address range": str,
}
"""By the name under `x-edgegw-type`: the text of a value."""


def _json_schema(name: str, pattern: str, examples: list[str], *others: dict[str, Any]) -> dict[str, Any]:
    text: dict[str, Any] = {"type": "string", "pattern": f"^{pattern}$"}
    shape: dict[str, Any] = {"anyOf": [text, *others]} if others else text
    return {**shape, TYPE_KEY: name, "examples": examples}


def _schema(name: str, pattern: str, examples: list[str], *others: dict[str, Any]) -> WithJsonSchema:
    return WithJsonSchema(_json_schema(name, pattern, examples, *others))


_TIME = r"[0-9]+(\.[0-9]+)?(ms|s|m|h|d)"
_ZERO = {"type": "integer", "const": 0}
_CODES = r"[1-9][0-9]{2}(-[1-9][0-9]{2})?"

Duration = Annotated[
    float,
    BeforeValidator(parse_duration),
    PlainSerializer(format_duration, when_used="json"),
    _schema("duration", f"({_TIME}|0)", ["250ms", "5s", "2m"], _ZERO),
]
"""Float seconds, from `5s`."""

OptionalDuration = Annotated[
    float | None,
    BeforeValidator(parse_optional_duration),
    PlainSerializer(format_duration, when_used="json"),
    _schema("duration or none", f"({_TIME}|0|none)", ["5s", "none"], _ZERO, {"type": "null"}),
]
"""Float seconds, or None from `none`."""

Size = Annotated[
    int,
    BeforeValidator(parse_size),
    PlainSerializer(format_size, when_used="json"),
    _schema(
        "size",
        r"([0-9]+(\.[0-9]+)? ?(B|[kKMGT]B|[KMGT]iB)|[0-9]+)",
        ["64KiB", "10MiB"],
        {"type": "integer", "minimum": 0},
    ),
]
"""Bytes, from `64KiB`."""

Percent = Annotated[
    float,
    BeforeValidator(parse_percent),
    PlainSerializer(format_percent, when_used="json"),
    _schema("percent", r"([0-9]+(\.[0-9]+)?\s*%)", ["50%"]),
]
"""0.0 to 1.0, from `50%`."""

StatusRanges = Annotated[
    tuple[StatusRange, ...],
    BeforeValidator(parse_status_ranges),
    PlainSerializer(format_status_ranges, when_used="json"),
    _schema(
        "status codes",
        rf"({_CODES}(\s*,\s*{_CODES})*)",
        ["200-299", "200, 404"],
        {"type": "integer", "minimum": 100, "maximum": 999},
        {"type": "array", "items": {"type": ["integer", "string"]}, "minItems": 1},
    ),
]
"""A tuple of `StatusRange`, from `200-299`."""

Cidr = Annotated[
    Network,
    BeforeValidator(parse_cidr),
    PlainSerializer(str, when_used="json"),
    _schema(
        "address range",
        r"([0-9.]+(/[0-9]{1,2})?|[0-9a-fA-F:.]*:[0-9a-fA-F:.]*(/[0-9]{1,3})?)",
        ["10.0.0.0/8"],
    ),
]
"""An `ipaddress` network, from `10.0.0.0/8` or a bare address."""
