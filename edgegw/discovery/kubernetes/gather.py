"""Slices and Services together: the endpoints of one upstream."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from edgegw.config.problems import quoted
from edgegw.discovery.candidate import Facts, Refused, candidate
from edgegw.discovery.kubernetes.services import SCHEMES, Service
from edgegw.discovery.kubernetes.settings import Query
from edgegw.discovery.kubernetes.slices import NOT_READY, TERMINATING, Slice, SliceEndpoint, SlicePort
from edgegw.net.addresses import canonical
from edgegw.upstream.address import Named
from edgegw.upstream.advice import Advice, is_advice, read_advice

ENDPOINTS_MAX = 10_000
_ANNOTATIONS_MAX, _LABELS_MAX = 16, 8
_RANK = {"": 0, TERMINATING: 1, NOT_READY: 2}
_DEFAULT_PORTS = {"http": 80, "https": 443, "h2c": 80, "grpc": 80, "grpcs": 443}
_MACHINERY = ("kubernetes.io/", "endpointslice.kubernetes.io/", "service.kubernetes.io/")
_ACTING = ("weight", "tier", "scheme")


class Place(NamedTuple):
    """One endpoint of one slice. target: what stands behind it, the same for each of its address families."""

    named: Named
    target: str
    family: str


@dataclass(frozen=True, eq=False)
class Part:
    """What one slice, or one ExternalName, brings. faults: what cannot be used, each with the reason."""

    places: tuple[Place, ...] = ()
    faults: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, eq=False)
class Gathered:
    """All endpoints, in the order of their URLs. advice: what annotations of Services say of the whole upstream. faults, doubts:
    what cannot be used of the endpoints, and of the advice, each with the reason.
    """

    named: tuple[Named, ...] = ()
    faults: tuple[tuple[str, str], ...] = ()
    advice: Advice | None = None
    doubts: tuple[tuple[str, str], ...] = ()


class Gatherer:
    """Puts slices and Services together; what did not change since the last time is not worked out again.

    Args:
        prefix: of annotations.
    """

    def __init__(self, query: Query, prefix: str) -> None:
        self._query = query
        self._prefix = prefix
        self._parts: dict[str, tuple[Slice | Service, Service | None, Part]] = {}
        self._read: dict[str, tuple[Service, Advice | None, tuple[str, ...]]] = {}

    def gather(self, slices: Mapping[str, Slice], services: Mapping[str, Service]) -> Gathered:
        """The endpoints now.

        Raises:
            LookupError: there are more than `ENDPOINTS_MAX`.
        """
        before, self._parts = self._parts, {}
        for key, found in sorted(slices.items()):
            service = services.get(f"{found.namespace}/{found.service}")
            self._keep(f"slice {key}", found, service, before)
        for key, service in sorted(services.items()):
            if service.external_name:
                self._keep(f"service {key}", service, service, before)
        parts = [part for _, _, part in self._parts.values()]
        families = {f"{each.namespace}/{each.name}": each.family for each in services.values()}
        faults = dict.fromkeys(fault for part in parts for fault in part.faults)
        return Gathered(_merged(parts, families), tuple(faults), *self._advice(services))

    def _keep(
        self,
        key: str,
        found: Slice | Service,
        service: Service | None,
        before: Mapping[str, tuple[object, object, Part]],
    ) -> None:
        known = before.get(key)
        if known is not None and known[0] is found and known[1] is service:
            part = known[2]
        else:
            part = self._from_slice(found, service) if isinstance(found, Slice) else self._external(found)
        self._parts[key] = (found, service, part)

    def _from_slice(self, found: Slice, service: Service | None) -> Part:
        if not found.endpoints:
            return Part()
        try:
            port = chosen_port(self._query.port, found, service)
            if port is None:
                # Pods without the named port stand in a slice of their own, without that port.
                return Part()
            annotations = self._annotations(service, found)
            scheme = self._scheme(port.app_protocol, annotations)
            number = _number(port, self._query.port)
        except LookupError as error:
            return Part((), ((f"EndpointSlice {found.key}", str(error.args[0])),))
        places, faults = [], []
        common = self._meta(found.namespace, found.service, port.name, annotations, service or found)
        weight, wrong = _numbers(annotations)
        faults += [(f"annotations of {found.namespace}/{found.service}", each) for each in wrong]
        for each in found.endpoints:
            facts = Facts(weight[0], each.zone, weight[1], {**common, **_own(each)}, each.held)
            try:
                named = candidate(scheme, _address(each, found.family), number, facts)
            except Refused as refused:
                faults.append((refused.what, refused.reason))
            else:
                places.append(Place(named, f"{each.target}:{number}" if each.target else "", found.family))
        return Part(tuple(places), tuple(faults))

    def _external(self, service: Service) -> Part:
        try:
            port = service.port(self._query.port)
            annotations = self._annotations(service, None)
            scheme = self._scheme(port.app_protocol if port else "", annotations)
        except LookupError as error:
            return Part((), ((f"Service {service.key}", str(error.args[0])),))
        number = port.number if port else self._query.port
        weight, wrong = _numbers(annotations)
        meta = self._meta(service.namespace, service.name, port.name if port else "", annotations, service)
        faults = tuple((f"annotations of {service.key}", each) for each in wrong)
        number = number if isinstance(number, int) else _DEFAULT_PORTS[scheme]
        try:
            named = candidate(scheme, service.external_name, number, Facts(weight[0], "", weight[1], meta))
        except Refused as refused:
            return Part((), (*faults, (refused.what, refused.reason)))
        return Part((Place(named, "", "FQDN"),), faults)

    def _annotations(self, service: Service | None, found: Slice | None) -> dict[str, str]:
        """Those of ours that are of endpoints, without the prefix; a slice's own are nearer than its Service's."""
        ours = {**(self._ours(service) if service else {}), **(self._ours(found) if found else {})}
        # Those that act are never too many.
        kept = sorted((name not in _ACTING, name) for name in ours if not is_advice(name))
        return {name: ours[name] for _, name in kept[:_ANNOTATIONS_MAX]}

    def _ours(self, thing: Service | Slice) -> dict[str, str]:
        begin = self._prefix
        return {name.removeprefix(begin): text for name, text in thing.annotations.items() if name.startswith(begin)}

    def _scheme(self, app_protocol: str, annotations: Mapping[str, str]) -> str:
        """What the configuration says, else the annotation, else appProtocol, else http. Raises LookupError."""
        if self._query.scheme:
            return self._query.scheme
        said = annotations.get("scheme")
        if said is None:
            return SCHEMES.get(app_protocol.lower(), "http")
        if said not in _DEFAULT_PORTS:
            raise LookupError(f"annotation {self._prefix}scheme is {quoted(said)}, none of {', '.join(_DEFAULT_PORTS)}")
        return said

    def _meta(
        self, namespace: str, service: str, port: str, annotations: Mapping[str, str], labelled: Service | Slice
    ) -> dict[str, str]:
        meta = {"namespace": namespace, "service": service, "port": port}
        labels = [each for each in sorted(labelled.labels.items()) if not each[0].startswith(_MACHINERY)]
        meta.update((f"label:{name}", value) for name, value in labels[:_LABELS_MAX])
        meta.update((f"annotation:{name}", value) for name, value in annotations.items())
        return {name: value for name, value in meta.items() if value}

    def _advice(self, services: Mapping[str, Service]) -> tuple[Advice | None, tuple[tuple[str, str], ...]]:
        """What the first Service that says something says of the upstream that they are together, and what is wrong."""
        before, self._read = self._read, {}
        holds: tuple[str, Advice] | None = None
        doubts: list[tuple[str, str]] = []
        for key, service in sorted(services.items()):
            read = before.get(key)
            if read is None or read[0] is not service:
                read = (service, *read_advice(self._ours(service)))
            self._read[key] = read
            _, advice, wrong = read
            doubts += [(f"annotations of {key}", each) for each in wrong]
            if advice is None:
                continue
            if holds is None:
                holds = key, advice
            elif advice != holds[1]:
                doubts.append(
                    (f"annotations of {key}", f"those of {holds[0]} say something else of the upstream, and hold")
                )
        return holds[1] if holds is not None else None, tuple(doubts)


def chosen_port(wanted: int | str | None, found: Slice, service: Service | None) -> SlicePort | None:
    """The port of a slice that a Service's port stands for; None: this slice has none.

    A number is the Service's own, as its clients know it; without the Service, or where it has no such port, the number that the
    endpoints listen on.

    Raises:
        LookupError: the configuration does not say which one, or names one that the Service does not have.
    """
    if service is not None and not service.external_name:
        port = service.port(wanted)
        if port is not None:
            return next((each for each in found.ports if each.name == port.name), None)
    if wanted is None:
        if len(found.ports) > 1:
            names = ", ".join(each.name or str(each.number) for each in found.ports)
            raise LookupError(f"it has several ports: {names}; say which with `port`")
        return found.ports[0] if found.ports else None
    return next((each for each in found.ports if wanted in (each.name, each.number)), None)


def _number(port: SlicePort, wanted: int | str | None) -> int:
    if port.number is not None:
        return port.number
    if isinstance(wanted, int):
        return wanted
    raise LookupError("its port has no number, which stands for all of them; say which with `port: NUMBER`")


def _numbers(annotations: Mapping[str, str]) -> tuple[tuple[int, int], list[str]]:
    """Weight and tier of annotations, and what is wrong with them."""
    found, wrong = [], []
    for name, default, low, high in (("weight", 1, 1, 1000), ("tier", 0, 0, 15)):
        said = annotations.get(name)
        if said is None:
            found.append(default)
        elif said.isascii() and said.isdigit() and len(said) <= 4 and low <= int(said) <= high:
            found.append(int(said))
        else:
            found.append(default)
            wrong.append(f"{name} is {quoted(said)}, not a number from {low} to {high}")
    return (found[0], found[1]), wrong


def _own(endpoint: SliceEndpoint) -> dict[str, str]:
    facts = {"pod": endpoint.pod, "node": endpoint.node, "zones": ",".join(endpoint.zones)}
    return {name: value for name, value in facts.items() if value}


def _address(endpoint: SliceEndpoint, family: str) -> str:
    """The address as written; a slice of addresses that holds a name is refused like any other that is not one. Raises Refused."""
    if family == "FQDN":
        return endpoint.address
    address = canonical(endpoint.address)
    if address is None:
        raise Refused(quoted(endpoint.address), f"not an address, and its slice is of {family}")
    return address


def _merged(parts: list[Part], families: Mapping[str, str]) -> tuple[Named, ...]:
    """Each URL once, the readiest of them; of a Pod with addresses of both families the one that its Service prefers."""
    best: dict[str, Place] = {}
    for part in parts:
        for place in part.places:
            url = place.named.settings.url
            known = best.get(url)
            if known is None or _RANK.get(place.named.held, 9) < _RANK.get(known.named.held, 9):
                best[url] = place
    if len({place.family for place in best.values()}) > 1:
        best = _one_family(best, families)
    if len(best) > ENDPOINTS_MAX:
        raise LookupError(f"there are {len(best)} endpoints, more than {ENDPOINTS_MAX}")
    return tuple(best[url].named for url in sorted(best))


def _one_family(best: dict[str, Place], families: Mapping[str, str]) -> dict[str, Place]:
    """Without the second address of what is there in two families: it would count twice in every balance and every ejection."""

    def key(place: Place) -> tuple[str, str, str]:
        meta = place.named.settings.meta
        return meta.get("namespace", ""), meta.get("service", ""), place.target

    there: dict[tuple[str, str, str], set[str]] = {}
    for place in best.values():
        there.setdefault(key(place), set()).add(place.family)

    def stays(place: Place) -> bool:
        at = key(place)
        if not place.target or len(there[at]) == 1:
            return True
        wanted = families.get(f"{at[0]}/{at[1]}") or "IPv4"
        return place.family == (wanted if wanted in there[at] else min(there[at]))

    return {url: place for url, place in best.items() if stays(place)}
