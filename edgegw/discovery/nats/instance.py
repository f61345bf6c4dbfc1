"""What is written of an instance: JSON that nobody has checked becomes an endpoint, or is refused.

`{"id": "u1", "service": "users", "address": "10.0.0.11", "port": 9000, "scheme": "http", "weight": 1, "zone": "a",
"metadata": {...}, "status": "healthy", "ttl": 30}`; all but the address may be missing.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from edgegw.config.problems import quoted
from edgegw.config.units import parse_duration
from edgegw.discovery.candidate import Facts, Refused, candidate
from edgegw.upstream.address import Named

MAX_SIZE = 16 * 1024
"""Bytes of one instance."""
TTL_S = 30.0
_TTLS = 1.0, 3600.0
_ID_MAX = 200
_META_MAX = 31
"""One more is the id."""

GOOD = frozenset({"healthy", "passing", "up", "ok", "serving", "ready"})
BAD = frozenset(
    {"unhealthy", "failing", "critical", "down", "starting", "draining", "maintenance", "not_serving", "out_of_service"}
)
"""Statuses; of others nothing is concluded."""


class Scope(NamedTuple):
    """What is watched. root: the prefix of subjects, or a bucket. service: whose instances; empty: all."""

    root: str
    service: str = ""


@dataclass(frozen=True, slots=True)
class Instance:
    """One instance as it was announced.

    named: never held, `status` says that. status: in lower case, empty if none was told. ttl_s: how long it counts after it was
    heard of. age_s: before this was written.
    """

    id: str
    service: str
    named: Named
    status: str = ""
    ttl_s: float = TTL_S
    age_s: float = 0.0


def read_json(payload: bytes, what: str, limit: int = MAX_SIZE) -> Any:
    """The JSON value of a message.

    Raises:
        Refused: there is none, or it is larger than `limit` bytes. what: as the message is called in that.
    """
    if len(payload) > limit:
        raise Refused(what, f"it is larger than {limit // 1024} KiB")
    try:
        return json.loads(payload)
    except (ValueError, RecursionError):
        raise Refused(what, "it is not JSON") from None


def read_instance(data: Any, scheme: str, what: str, id_: str = "", service: str = "") -> Instance:
    """An instance of an object.

    Args:
        scheme: where none is written. what: what to call it as long as it has no id. id_, service: known otherwise; they win.

    Raises:
        Refused: it cannot be an endpoint.
    """
    if not isinstance(data, dict):
        raise Refused(what, "it is not an object")
    scheme, host, port = _place(data, scheme, id_ or _text(data, "id") or what)
    name = id_ or _text(data, "id") or f"{host}:{port}"
    if len(name) > _ID_MAX:
        raise Refused(what, f"its id has more than {_ID_MAX} characters")
    meta = _meta(data)
    facts = Facts(_weight(data), _text(data, "zone") or meta.get("zone", ""), meta={**meta, "id": name})
    named = candidate(scheme, host, port, facts)
    return Instance(
        name,
        service or _text(data, "service", "service_name", "name"),
        named,
        read_status(data),
        _ttl(data.get("ttl")),
        _age(data.get("age")),
    )


def read_status(data: Any) -> str:
    """The status that a message tells: a word alone, or in an object; empty: none."""
    found = data
    for _ in range(2):
        if isinstance(found, dict):
            found = next((found[key] for key in ("status", "health", "health_status", "healthy") if key in found), "")
    if isinstance(found, bool):
        return "healthy" if found else "unhealthy"
    return found.strip().lower()[:40] if isinstance(found, str) else ""


def identified(data: Any) -> str:
    """The id that a message is about: text alone, `id` of an object, or its address and port; empty: none."""
    if isinstance(data, str):
        return data
    if not isinstance(data, dict):
        return ""
    found = _text(data, "id")
    if found:
        return found
    try:
        _, host, port = _place(data, "", "")
    except Refused:
        return ""
    return f"{host}:{port}"


def written(instance: Instance, age_s: float) -> dict[str, Any]:
    """The same as an object again, so old that who reads it does not believe it longer than we do."""
    settings = instance.named.settings
    scheme, _, authority = settings.url.partition("://")
    host, _, port = authority.rpartition(":")
    return {
        "id": instance.id,
        "service": instance.service,
        "address": host.strip("[]"),
        "port": int(port),
        "scheme": scheme,
        "weight": settings.weight,
        "zone": settings.zone,
        "metadata": {key: value for key, value in settings.meta.items() if key != "id"},
        "status": instance.status,
        "ttl": instance.ttl_s,
        "age": round(age_s, 3),
    }


def _place(data: Mapping[str, Any], scheme: str, what: str) -> tuple[str, str, int]:
    """Scheme, host and port; `address` may hold all of them."""
    host = _text(data, "address", "host", "ip")
    said = (_text(data, "scheme", "protocol") or scheme).lower()
    if "://" in host:
        said, _, host = host.partition("://")
        host = host.rstrip("/")
    port = data.get("port")
    if port is None and (host.count(":") == 1 or "]:" in host):
        host, _, port = host.rpartition(":")
    if isinstance(port, str) and port.isascii() and port.isdigit() and len(port) < 6:
        port = int(port)
    if not host:
        raise Refused(what, "it has no address")
    if not isinstance(port, int) or isinstance(port, bool):
        raise Refused(what, f"it has no port: {quoted(str(port)[:40])}" if port is not None else "it has no port")
    return said, host, port


def _text(data: Mapping[str, Any], *keys: str) -> str:
    for key in keys:
        found = data.get(key)
        if isinstance(found, str) and found:
            return found
        if isinstance(found, int) and not isinstance(found, bool):
            return str(found)
    return ""


def _meta(data: Mapping[str, Any]) -> dict[str, str]:
    found = data.get("metadata", data.get("meta"))
    meta: dict[str, str] = {}
    if isinstance(found, dict):
        for key, value in sorted(found.items())[:_META_MAX]:
            if isinstance(value, bool):
                meta[key] = "true" if value else "false"
            elif isinstance(value, str | int | float):
                meta[key] = str(value)
    return meta


def _weight(data: Mapping[str, Any]) -> float:
    found = data.get("weight", 1)
    return found if isinstance(found, int | float) and not isinstance(found, bool) else 1


def _ttl(said: Any) -> float:
    low, high = _TTLS
    if isinstance(said, str):
        try:
            said = parse_duration(said)
        except ValueError:
            return TTL_S
    return min(max(said, low), high) if _is_time(said) else TTL_S


def _age(said: Any) -> float:
    return max(float(said), 0.0) if _is_time(said) else 0.0


def _is_time(said: Any) -> bool:
    # Whole numbers of JSON may be too large for a float.
    return isinstance(said, int | float) and not isinstance(said, bool) and abs(said) < 1e12 and math.isfinite(said)
