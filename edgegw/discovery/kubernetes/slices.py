"""EndpointSlice (discovery.k8s.io/v1): addresses, conditions, ports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from edgegw.discovery.api.fields import Malformed, flag, listed, mapping, maps, port_number, text
from edgegw.discovery.kubernetes.identity import Identity

SERVICE_LABEL = "kubernetes.io/service-name"
FAMILIES = ("IPv4", "IPv6", "FQDN")
TERMINATING, NOT_READY = "terminating", "not ready"
"""Why an endpoint is held back."""


@dataclass(frozen=True, slots=True)
class SlicePort:
    """A port that every endpoint of a slice has. number: None stands for all ports."""

    name: str
    number: int | None
    app_protocol: str


@dataclass(frozen=True, slots=True)
class SliceEndpoint:
    """One endpoint of a slice. held: why it should not be chosen, empty if it may be. zones: whose traffic it is meant for.

    target: kind, namespace and name of what stands behind it, mostly a Pod; empty if that is not said.
    """

    address: str
    held: str
    zone: str
    node: str
    target: str
    pod: str
    zones: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Slice:
    """What is used of an EndpointSlice."""

    key: str
    namespace: str
    service: str
    family: str
    ports: tuple[SlicePort, ...]
    endpoints: tuple[SliceEndpoint, ...]
    labels: Mapping[str, str]
    annotations: Mapping[str, str]


def read_slice(data: Mapping[str, Any]) -> Slice:
    """An EndpointSlice object of the API. Endpoints that serve nothing any more are left out.

    Raises:
        Malformed: the API defines no such object.
    """
    who = Identity(data)
    family = text(data, "addressType")
    if family not in FAMILIES:
        raise Malformed(f"addressType is none of {', '.join(FAMILIES)}")
    ports = tuple(
        SlicePort(text(each, "name"), port_number(each, "port"), text(each, "appProtocol"))
        for each in maps(data, "ports")
        if text(each, "protocol") in ("", "TCP")
    )
    found = [_read_endpoint(each) for each in maps(data, "endpoints")]
    endpoints = tuple(each for each in found if each is not None)
    service = who.labels.get(SERVICE_LABEL, "")
    return Slice(who.key, who.namespace, service, family, ports, endpoints, who.labels, who.annotations)


def _read_endpoint(data: Mapping[str, Any]) -> SliceEndpoint | None:
    held = _held(mapping(data, "conditions"))
    if held is None:
        return None
    addresses = listed(data, "addresses")
    if not addresses or not isinstance(addresses[0], str):
        raise Malformed("an endpoint has no addresses")
    target = mapping(data, "targetRef")
    kind, name = text(target, "kind"), text(target, "name")
    zones = maps(mapping(data, "hints"), "forZones")
    zone = text(data, "zone") or text(mapping(data, "deprecatedTopology"), "topology.kubernetes.io/zone")
    # Only the first address has a meaning (API reference of Endpoint.addresses).
    return SliceEndpoint(
        addresses[0],
        held,
        zone,
        text(data, "nodeName"),
        f"{kind} {text(target, 'namespace')}/{name}" if name else "",
        name if kind == "Pod" else "",
        tuple(text(each, "name") for each in zones),
    )


def _held(conditions: Mapping[str, Any]) -> str | None:
    """Why it should not be chosen; empty: it may be. None: it is on its way out and serves no more.

    What is not said is read as the API reference asks: ready and not terminating.
    """
    ready, serving, terminating = (flag(conditions, name) for name in ("ready", "serving", "terminating"))
    if ready is not False:
        return ""
    if terminating:
        return TERMINATING if serving else None
    return NOT_READY
