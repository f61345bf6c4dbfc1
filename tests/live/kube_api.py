"""An API server as the tests use it: `KubeApi` writes objects to any, `KubeDouble` is the double as a process that can be told."""

import http.client
import json
import ssl
import sys
from typing import Any
from urllib.parse import urlsplit

from tests.live.kube_objects import Thing
from tests.live.process import Server
from tests.live.servers import ROOT

PATHS = {
    "EndpointSlice": "/apis/discovery.k8s.io/v1/namespaces/{}/endpointslices",
    "Service": "/api/v1/namespaces/{}/services",
    "Namespace": "/api/v1/namespaces",
    "ServiceAccount": "/api/v1/namespaces/{}/serviceaccounts",
    "Role": "/apis/rbac.authorization.k8s.io/v1/namespaces/{}/roles",
    "RoleBinding": "/apis/rbac.authorization.k8s.io/v1/namespaces/{}/rolebindings",
}


class KubeApi:
    """Blocking requests to an API server. ca: a file; empty: its certificate is not verified."""

    def __init__(self, url: str, token: str = "", ca: str = "") -> None:
        self.url = url.rstrip("/")
        self.token = token
        self.ca = ca

    def request(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Status and JSON of one request."""
        parts = urlsplit(self.url)
        host, port = parts.hostname or "", parts.port
        if parts.scheme == "https":
            context = ssl.create_default_context(cafile=self.ca or None)
            if not self.ca:
                context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            connection: http.client.HTTPConnection = http.client.HTTPSConnection(
                host, port, timeout=15, context=context
            )
        else:
            connection = http.client.HTTPConnection(host, port, timeout=15)
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        try:
            data = None if body is None else json.dumps(body)
            connection.request(method, parts.path + path, data, headers | {"Content-Type": "application/json"})
            response = connection.getresponse()
            said = response.read()
        finally:
            connection.close()
        # What the API does not have is answered in words.
        is_json = "json" in (response.getheader("content-type") or "")
        return response.status, json.loads(said) if is_json else said.decode()

    def put(self, thing: Thing) -> None:
        """Create the object, or replace it."""
        metadata = thing["metadata"]
        path = PATHS[thing["kind"]].format(metadata.get("namespace"))
        status, said = self.request("POST", path, thing)
        if status == 409:
            status, now = self.request("GET", f"{path}/{metadata['name']}")
            if status == 200:
                # A Service keeps what the API server gave it.
                spec = {**now["spec"], **thing["spec"]} if "spec" in thing else None
                merged = {**thing, "metadata": {**metadata, "resourceVersion": now["metadata"]["resourceVersion"]}}
                thing = {**merged, "spec": spec} if spec is not None else merged
            status, said = self.request("PUT", f"{path}/{metadata['name']}", thing)
        assert status in (200, 201), (status, said)

    def delete(self, kind: str, namespace: str, name: str) -> None:
        """Delete the object, if it is there."""
        status, said = self.request("DELETE", f"{PATHS[kind].format(namespace)}/{name}")
        assert status in (200, 202, 404), (status, said)

    def names(self, kind: str, namespace: str) -> list[str]:
        """Of the objects of a kind."""
        _, found = self.request("GET", PATHS[kind].format(namespace))
        return [each["metadata"]["name"] for each in found["items"]]

    def account_token(self, namespace: str, name: str) -> str:
        """A token of the service account, good for an hour."""
        wanted = {"kind": "TokenRequest", "apiVersion": "authentication.k8s.io/v1", "spec": {"expirationSeconds": 3600}}
        status, said = self.request("POST", f"{PATHS['ServiceAccount'].format(namespace)}/{name}/token", wanted)
        assert status == 201, (status, said)
        token: str = said["status"]["token"]
        return token


class KubeDouble(Server):
    """`tests.live.kube_double` as a process."""

    def __init__(self, *, version: int = 1000, port: int = 0) -> None:
        super().__init__()
        self.version = version
        if port:
            self.ports["web"] = port
        self.port("web")

    def command(self) -> list[str]:
        double = [sys.executable, "-u", "-m", "tests.live.kube_double"]
        return [*double, "--port", str(self.port()), "--version", str(self.version)]

    def start(self) -> "KubeDouble":
        self.env.setdefault("PYTHONPATH", str(ROOT))
        return super().start()

    @property
    def api(self) -> KubeApi:
        return KubeApi(f"http://127.0.0.1:{self.port()}")

    def tell(self, **orders: Any) -> None:
        """Make it behave: see `tests.live.kube_double`."""
        KubeApi(self.api.url).request("POST", "/_control", orders)

    def requests(self) -> list[Thing]:
        """Every request so far."""
        found: list[Thing] = KubeApi(self.api.url).request("GET", "/_requests")[1]
        return [each for each in found if each["method"] == "GET"]
