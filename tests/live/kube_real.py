"""The cases of `kube_cases` against a real kube-apiserver.

    EDGEGW_KUBE_URL=https://127.0.0.1:6443 EDGEGW_KUBE_TOKEN=... python -m tests.live.kube_real

EDGEGW_KUBE_TOKEN may create and delete namespaces, Services and EndpointSlices. EDGEGW_KUBE_CA: a file with the authority of the
server's certificate; without it the certificate is not verified. EDGEGW_KUBE_HOST: the address where the endpoints of the tests
listen; by default that of this machine's first route, because API servers refuse loopback addresses as endpoints. Each test makes
a namespace of its own and deletes it. Controllers that run (a whole cluster) leave these slices alone: the Services have no
selector.

Without an address it says so and ends with status 2: nothing was shown then.
"""

import itertools
import os
import socket
import sys

from twisted.scripts.trial import run

from tests.live import kube_cases
from tests.live.kube_api import KubeApi
from tests.live.process import wait_until

URL = os.environ.get("EDGEGW_KUBE_URL", "")
TOKEN = os.environ.get("EDGEGW_KUBE_TOKEN", "")
CA = os.environ.get("EDGEGW_KUBE_CA", "")
_numbers = itertools.count(1)


def own_address() -> str:
    """An address of this machine that is not loopback; nothing is sent to find it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))
        found: str = probe.getsockname()[0]
        return found


class RealTests(kube_cases.Cases):
    """A real one."""

    def setUp(self) -> None:
        super().setUp()
        self.host = os.environ.get("EDGEGW_KUBE_HOST") or own_address()
        self.namespace = f"edgegw-test-{os.getpid()}-{next(_numbers)}"
        self.api = KubeApi(URL, TOKEN, CA)
        self.more = f', ca_file: "{CA}"' if CA else ", verify: false"
        self.api.put({"kind": "Namespace", "apiVersion": "v1", "metadata": {"name": self.namespace}})
        self.addCleanup(self.api.delete, "Namespace", "", self.namespace)
        self.addCleanup(self._empty)
        wait_until(
            lambda: self.api.request("GET", f"/api/v1/namespaces/{self.namespace}")[0] == 200, "the namespace is there"
        )

    def _empty(self) -> None:
        # Without controllers nobody empties a namespace that is deleted.
        for kind, path in (("EndpointSlice", "/apis/discovery.k8s.io/v1"), ("Service", "/api/v1")):
            resource = "endpointslices" if kind == "EndpointSlice" else "services"
            _, found = self.api.request("GET", f"{path}/namespaces/{self.namespace}/{resource}")
            for thing in found["items"]:
                self.api.delete(kind, self.namespace, thing["metadata"]["name"])


if __name__ == "__main__":
    if not URL or not TOKEN:
        print("EDGEGW_KUBE_URL and EDGEGW_KUBE_TOKEN say which API server; without them nothing was tried")
        sys.exit(2)
    sys.argv[1:] = [*sys.argv[1:], "tests.live.kube_real"]
    run()
