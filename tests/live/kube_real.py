"""The cases of `kube_cases` against a real kube-apiserver.

    EDGEGW_KUBE_URL=https://127.0.0.1:6443 EDGEGW_KUBE_TOKEN=... python -m tests.live.kube_real

EDGEGW_KUBE_TOKEN is an administrator's: it creates namespaces, Services, EndpointSlices, service accounts, Roles and RoleBindings.
The gateway has a token of a service account with the rights of docs/how-to/kubernetes.md. EDGEGW_KUBE_CA: a file with the authority
of the server's certificate; without it the certificate is not verified. EDGEGW_KUBE_HOST: the address where the endpoints of the
tests listen; by default that of this machine's first route, because API servers refuse loopback addresses as endpoints. Each test
makes a namespace of its own and deletes it. Controllers that run (a whole cluster) leave these slices alone: the Services have no
selector.

Without an address it says so and ends with status 2: nothing was shown then. Without a cluster:

    python -m tests.live.kube_server --apiserver PATH --etcd PATH

starts a server and all of this against it, and in addition the cases that stop, kill and restore servers of their own. How to have
the programs stands there. CI has neither; it runs the same cases against `kube_double`.
"""

import itertools
import os
import shutil
import signal
import socket
import sys
from pathlib import Path

from twisted.scripts.trial import run

from tests.live import kube_cases
from tests.live.fault_proxy import FaultProxy
from tests.live.kube_api import KubeApi
from tests.live.kube_objects import service
from tests.live.kube_server import Etcd, KubeApiServer
from tests.live.process import wait_until

URL = os.environ.get("EDGEGW_KUBE_URL", "")
TOKEN = os.environ.get("EDGEGW_KUBE_TOKEN", "")
CA = os.environ.get("EDGEGW_KUBE_CA", "")
APISERVER, ETCD = os.environ.get("EDGEGW_KUBE_APISERVER", ""), os.environ.get("EDGEGW_KUBE_ETCD", "")
_numbers = itertools.count(1)
RIGHTS = "rbac.authorization.k8s.io"
RULES = [
    {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list", "watch"]},
    {"apiGroups": [""], "resources": ["services"], "verbs": ["list", "watch"]},
]


def own_address() -> str:
    """An address of this machine that is not loopback; nothing is sent to find it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))
        found: str = probe.getsockname()[0]
        return found


class Real:
    """What a real one needs: a namespace, and a service account for the gateway. A mixin of `kube_cases.Watching`."""

    api: KubeApi
    namespace: str
    token = ""

    def prepare(self) -> None:
        """The namespace, the service account and its rights; the account's token."""
        name, where = "edgegw", {"namespace": self.namespace}
        self.api.put({"kind": "Namespace", "apiVersion": "v1", "metadata": {"name": self.namespace}})
        wait_until(
            lambda: self.api.request("GET", f"/api/v1/namespaces/{self.namespace}")[0] == 200, "the namespace is there"
        )
        self.api.put({"kind": "ServiceAccount", "apiVersion": "v1", "metadata": {"name": name, **where}})
        role = {"kind": "Role", "apiVersion": f"{RIGHTS}/v1", "metadata": {"name": name, **where}, "rules": RULES}
        self.api.put(role)
        self.permit()
        self.token = self.api.account_token(self.namespace, name)

    def permit(self) -> None:
        subject = {"kind": "ServiceAccount", "name": "edgegw", "namespace": self.namespace}
        role = {"apiGroup": RIGHTS, "kind": "Role", "name": "edgegw"}
        metadata = {"name": "edgegw", "namespace": self.namespace}
        binding = {"kind": "RoleBinding", "apiVersion": f"{RIGHTS}/v1", "metadata": metadata}
        self.api.put({**binding, "roleRef": role, "subjects": [subject]})

    def forbid(self) -> None:
        self.api.delete("RoleBinding", self.namespace, "edgegw")

    def empty(self) -> None:
        """Without controllers nobody empties a namespace that is deleted."""
        for kind in ("EndpointSlice", "Service", "RoleBinding", "Role", "ServiceAccount"):
            for name in self.api.names(kind, self.namespace):
                self.api.delete(kind, self.namespace, name)
        self.api.delete("Namespace", "", self.namespace)


class RealTests(Real, kube_cases.Cases):
    """The one that was named."""

    def setUp(self) -> None:
        super().setUp()
        self.host = os.environ.get("EDGEGW_KUBE_HOST") or own_address()
        self.namespace = f"edgegw-test-{os.getpid()}-{next(_numbers)}"
        self.api = KubeApi(URL, TOKEN, CA)
        self.more = f', ca_file: "{CA}"' if CA else ", verify: false"
        self.addCleanup(self.empty)
        self.prepare()


class OwnTests(Real, kube_cases.Outages):
    """Those that the tests stop, kill and restore. The gateway reaches them through a proxy, by one address."""

    url = ""

    def setUp(self) -> None:
        super().setUp()
        self.host = own_address()
        self.store = self.serve(Etcd(Path(ETCD)))
        self.server = self.serve(KubeApiServer(Path(APISERVER), self.store))
        self.front = self.serve(FaultProxy(self.server.port("api")))
        self.url = f"https://127.0.0.1:{self.front.port()}"
        self.api = self.server.api
        self.more = f', ca_file: "{self.server.ca}"'
        self.prepare()

    def freeze(self) -> None:
        self.server.signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.server.signal(signal.SIGCONT)

    def kill(self) -> None:
        self.server.kill()

    def restore(self) -> None:
        """The token is of an account that is not there any more; the kubelet brings one of the new."""
        self.store.kill()
        shutil.rmtree(self.store.folder / "data")
        self.store.start()
        self.server.start()
        self.prepare()
        self.hand_over(self.token)

    def forget(self) -> None:
        """Another server on the same store, whose memory begins now, and a store that keeps nothing older."""
        slices = f"/apis/discovery.k8s.io/v1/namespaces/{self.namespace}/endpointslices"
        seen = self.api.request("GET", slices)[1]["metadata"]["resourceVersion"]
        self.api.put(service("another", namespace=self.namespace))
        other = self.serve(KubeApiServer(self.server.program, self.store, like=self.server))
        self.store.compact()
        told = other.api.request("GET", f"{slices}?watch=1&resourceVersion={seen}&timeoutSeconds=5")[1]
        self.assertEqual((told["type"], told["object"]["code"]), ("ERROR", 410))
        self.front.set(target=other.port("api"))
        self.front.drop()


if __name__ == "__main__":
    if not URL or not TOKEN:
        print("EDGEGW_KUBE_URL and EDGEGW_KUBE_TOKEN say which API server; without them nothing was tried")
        sys.exit(2)
    if not any(each.startswith("tests.live.") for each in sys.argv[1:]):
        sys.argv += [f"tests.live.kube_real.{each}" for each in (["RealTests", "OwnTests"] if ETCD else ["RealTests"])]
    run()
