"""Objects of the Kubernetes API, as its controllers make them."""

from typing import Any

Thing = dict[str, Any]


def endpoint(address: str, **more: Any) -> Thing:
    """One endpoint of a slice; ready unless `ready`, `serving`, `terminating` say otherwise. zone, node, pod, zones: as named."""
    flags = {name: more[name] for name in ("ready", "serving", "terminating") if name in more}
    thing: Thing = {"addresses": [address], "conditions": {"ready": True, **flags}}
    if "zone" in more:
        thing["zone"] = more["zone"]
    if "node" in more:
        thing["nodeName"] = more["node"]
    if "pod" in more:
        thing["targetRef"] = {"kind": "Pod", "namespace": "shop", "name": more["pod"]}
    if "zones" in more:
        thing["hints"] = {"forZones": [{"name": each} for each in more["zones"]]}
    return thing


def endpoint_slice(name: str, *endpoints: Thing, **more: Any) -> Thing:
    """An EndpointSlice. service, namespace, ports ((name, number[, appProtocol]), ..), family, labels, annotations: as named."""
    ports = [
        dict(zip(("name", "port", "appProtocol"), each, strict=False)) | {"protocol": "TCP"}
        for each in more.get("ports", [("http", 8080)])
    ]
    return {
        "kind": "EndpointSlice",
        "apiVersion": "discovery.k8s.io/v1",
        "metadata": {
            "name": name,
            "namespace": more.get("namespace", "shop"),
            "labels": {"kubernetes.io/service-name": more.get("service", "users"), **more.get("labels", {})},
            "annotations": more.get("annotations", {}),
        },
        "addressType": more.get("family", "IPv4"),
        "endpoints": list(endpoints),
        "ports": ports,
    }


def service(name: str = "users", *ports: tuple[Any, ...], **more: Any) -> Thing:
    """A Service. ports: (name, number[, appProtocol]). spec, labels, annotations, namespace: as named."""
    made = [
        dict(zip(("name", "port", "appProtocol"), each, strict=False)) | {"protocol": "TCP"}
        for each in ports or [("http", 80)]
    ]
    return {
        "kind": "Service",
        "apiVersion": "v1",
        "metadata": {
            "name": name,
            "namespace": more.get("namespace", "shop"),
            "labels": more.get("labels", {}),
            "annotations": more.get("annotations", {}),
        },
        "spec": {"type": "ClusterIP", "ports": made, **more.get("spec", {})},
    }
