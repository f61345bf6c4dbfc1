"""Service (v1): its ports, where an ExternalName leads, what its annotations say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from edgegw.discovery.api.fields import Malformed, listed, mapping, maps, port_number, text
from edgegw.discovery.kubernetes.identity import Identity

EXTERNAL = "ExternalName"

SCHEMES = {
    "http": "http",
    "https": "https",
    "grpc": "grpc",
    "grpcs": "grpcs",
    "h2c": "h2c",
    "http2": "h2c",
    "kubernetes.io/h2c": "h2c",
    "kubernetes.io/ws": "http",
    "kubernetes.io/wss": "https",
}
"""appProtocol (KEP-3726, and the words that meshes use) as schemes. WebSocket begins as HTTP."""


@dataclass(frozen=True, slots=True)
class ServicePort:
    """One port of a Service, by which its EndpointSlices name theirs."""

    name: str
    number: int
    app_protocol: str


@dataclass(frozen=True, slots=True, eq=False)
class Service:
    """What is used of a Service. family: the address family that it names first: IPv4, IPv6 or empty."""

    key: str
    namespace: str
    name: str
    external_name: str
    family: str
    ports: tuple[ServicePort, ...]
    labels: Mapping[str, str]
    annotations: Mapping[str, str]

    def port(self, wanted: int | str | None) -> ServicePort | None:
        """The port of that name or number; without one the only one there is.

        Raises:
            LookupError: there are several, or others; with what to do, in words.
        """
        names = ", ".join(each.name or str(each.number) for each in self.ports) or "none over TCP"
        if wanted is None:
            if len(self.ports) > 1:
                raise LookupError(f"Service {self.key} has several ports: {names}; say which with `port`")
            return self.ports[0] if self.ports else None
        for each in self.ports:
            if wanted in (each.name, each.number):
                return each
        if isinstance(wanted, str):
            raise LookupError(f'Service {self.key} has no port "{wanted}"; it has {names}')
        return None


def read_service(data: Mapping[str, Any]) -> Service:
    """A Service object of the API. Raises Malformed."""
    who = Identity(data)
    spec = mapping(data, "spec")
    external = text(spec, "externalName") if text(spec, "type") == EXTERNAL else ""
    families = listed(spec, "ipFamilies")
    family = families[0] if families and isinstance(families[0], str) else ""
    ports = tuple(_read_port(each) for each in maps(spec, "ports") if text(each, "protocol") in ("", "TCP"))
    return Service(who.key, who.namespace, who.name, external, family, ports, who.labels, who.annotations)


def _read_port(data: Mapping[str, Any]) -> ServicePort:
    number = port_number(data, "port")
    if number is None:
        raise Malformed("a port has no number")
    return ServicePort(text(data, "name"), number, text(data, "appProtocol"))
