"""Instances as the agent tells them become endpoints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from edgegw.config.problems import quoted
from edgegw.discovery.api.fields import Malformed, listed, mapping, maps, text, texts
from edgegw.discovery.candidate import Facts, Refused, candidate
from edgegw.upstream.address import Named

INSTANCES_MAX = 10_000
SCHEMES = ("http", "https", "h2c", "grpc", "grpcs")
_META_MAX, _TAGS_MAX = 32, 12
_MAINTENANCE = ("_node_maintenance", "_service_maintenance:")


class Wanted(NamedTuple):
    """tags: an instance has all of them, or it is left out. port: of those that tell none. scheme: empty: as the instance says."""

    tags: tuple[str, ...] = ()
    port: int | None = None
    scheme: str = ""


class Found(NamedTuple):
    """named: in the order of their URLs. faults: what cannot be used, each with the reason."""

    named: tuple[Named, ...] = ()
    faults: tuple[tuple[str, str], ...] = ()


def read_instances(entries: list[Any], wanted: Wanted) -> Found:
    """The endpoints among the entries of an answer.

    Raises:
        LookupError: there are more than `INSTANCES_MAX`.
    """
    if len(entries) > INSTANCES_MAX:
        raise LookupError(f"it names {len(entries)} instances, more than {INSTANCES_MAX}")
    tags = {tag.lower() for tag in wanted.tags}
    best: dict[str, Named] = {}
    faults: dict[tuple[str, str], None] = {}
    for entry in entries:
        try:
            found = _read(entry, wanted, tags)
        except Malformed as error:
            faults[_what(entry), str(error)] = None
        except Refused as error:
            faults[f"{_what(entry)}, {error.what}", error.reason] = None
        else:
            # One address registered twice: it may be chosen if either of them may.
            if found is not None and (found.settings.url not in best or not found.held):
                best[found.settings.url] = found
    return Found(tuple(best[url] for url in sorted(best)), tuple(faults))


def _read(entry: Any, wanted: Wanted, tags: set[str]) -> Named | None:
    if not isinstance(entry, dict):
        raise Malformed("it is not a map")
    node, service = mapping(entry, "Node"), mapping(entry, "Service")
    own = listed(service, "Tags")
    if not all(isinstance(tag, str) for tag in own):
        raise Malformed("Tags is not a list of texts")
    # Consul does not tell capital from small letters in tags.
    if not tags <= {tag.lower() for tag in own}:
        return None
    address = text(service, "Address") or text(node, "Address")
    if not address:
        raise Malformed("it has no address")
    said, around = texts(service, "Meta"), texts(node, "Meta")
    scheme = wanted.scheme or said.get("scheme") or _tagged(own)
    facts = Facts(
        _weight(service),
        zone=said.get("zone") or around.get("zone") or _located(service) or _located(node),
        meta=_meta(node, service, said, own),
        held=_held(entry),
    )
    return candidate(scheme, address, _port(service, wanted), facts)


def _port(service: Mapping[str, Any], wanted: Wanted) -> int:
    port = service.get("Port") or 0
    if isinstance(port, bool) or not isinstance(port, int) or not 0 <= port < 65536:
        raise Malformed("Port is not a port")
    if not port and wanted.port is None:
        raise Malformed("it has no port; say which with `port`")
    return port or wanted.port or 0


def _tagged(tags: list[str]) -> str:
    """The scheme that a tag `scheme=NAME` says: not all that register can write Meta."""
    return next((tag[7:] for tag in tags if tag.startswith("scheme=")), "http")


def _weight(service: Mapping[str, Any]) -> float:
    weight = mapping(service, "Weights").get("Passing", 1)
    if isinstance(weight, bool) or not isinstance(weight, int):
        raise Malformed("Weights.Passing is not a number")
    return weight


def _located(data: Mapping[str, Any]) -> str:
    return text(mapping(data, "Locality"), "Zone")


def _meta(node: Mapping[str, Any], service: Mapping[str, Any], said: Mapping[str, str], tags: list[str]) -> Any:
    """What Consul knows, then tags, then what was registered as Meta, as many as fit."""
    meta = {"id": text(service, "ID"), "node": text(node, "Node"), "dc": text(node, "Datacenter")}
    meta = {name: value for name, value in meta.items() if value}
    meta.update((f"tag:{tag}", "true") for tag in sorted(tags)[:_TAGS_MAX])
    for name, value in sorted(said.items()):
        if len(meta) >= _META_MAX:
            break
        meta.setdefault(name, value)
    return meta


def _held(entry: Mapping[str, Any]) -> str:
    """Why it should not be chosen: maintenance, or the worst of its checks; empty if all of them pass."""
    worst = ""
    for check in maps(entry, "Checks"):
        if text(check, "CheckID").startswith(_MAINTENANCE):
            return "maintenance"
        status = text(check, "Status")
        if status == "warning":
            worst = worst or status
        elif status not in ("passing", ""):
            worst = "critical"
    return worst


def _what(entry: Any) -> str:
    """An entry as people find it in Consul."""
    service = entry.get("Service") if isinstance(entry, dict) else None
    name = service.get("ID") if isinstance(service, dict) else None
    return f"instance {quoted(name)}" if isinstance(name, str) and name else "an instance without ID"
