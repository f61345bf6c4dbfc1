"""A kubeconfig whose exec plugin tells the token: a real script, run by a real gateway, for a double of the API server."""

import json
import sys

from tests.live import kube_cases
from tests.live.control import edgegw
from tests.live.kube_api import KubeDouble
from tests.live.kube_objects import service
from tests.live.servers import Gateway

FRONT = """
    edgegw: 1
    shutdown: {lame_duck: 0s, grace: 10s}
    listen: [{port: @{web}, interface: 127.0.0.1}]
    discovery: {prod: {k8s: {kubeconfig: kube/config}}}
    upstreams:
      users: {discovery: {from: prod, service: shop/users, port: http, allow: [127.0.0.0/8], stale_after: 3s}}
      again: {discovery: {from: prod, service: shop/users, port: http, allow: [127.0.0.0/8], stale_after: 3s}}
    routes: [{match: /again, to: again}, {match: /**, to: users}]
"""

SCRIPT = f"""#!{sys.executable}
import json, os, pathlib, sys
folder = pathlib.Path(__file__).parent
info = json.loads(os.environ["KUBERNETES_EXEC_INFO"])
with open(folder / "runs", "a") as file:
    file.write(json.dumps([sys.argv[1:], info["spec"]["cluster"]["server"]]) + "\\n")
token = (folder / "says").read_text()
if not token:
    sys.exit("please log in")
print(json.dumps({{"kind": "ExecCredential", "apiVersion": info["apiVersion"], "status": {{"token": token}}}}))
"""


class ExecTests(kube_cases.Watching):
    """The token is told by a command."""

    before: tuple[str, ...] = ()

    def setUp(self) -> None:
        super().setUp()
        self.double = self.serve(KubeDouble())
        self.double.tell(bookmarks=1, tokens=["tk-7f3a", "ours"])
        self.api = self.double.api
        self.api.token = "ours"
        self.api.put(service(namespace="shop"))

    def kubeconfig(self) -> str:
        plugin = {
            "apiVersion": "client.authentication.k8s.io/v1",
            "command": "./tell",
            "args": ["get-token"],
            "interactiveMode": "IfAvailable",
            "provideClusterInfo": True,
        }
        return json.dumps(
            {
                "current-context": "c",
                "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
                "clusters": [{"name": "c", "cluster": {"server": self.url}}],
                "users": [{"name": "u", "user": {"exec": plugin}}],
            }
        )

    def says(self, token: str) -> None:
        (self.gateway.folder / "kube" / "says").write_text(token)

    def runs(self) -> list[object]:
        return [json.loads(line) for line in (self.gateway.folder / "kube" / "runs").read_text().splitlines()]

    def test_exec_plugin(self) -> None:
        """Run once for both upstreams; again when its token is not accepted any more, which is told while it fails."""
        files = {"kube/config": self.kubeconfig(), "kube/tell": SCRIPT, "kube/says": "tk-7f3a"}
        self.gateway = Gateway(FRONT, before=self.before, files=files)
        (self.gateway.folder / "kube" / "tell").chmod(0o755)
        self.serve(self.gateway)
        self.put(self.origin("one"))
        self.serves("one", upstream="users")
        self.serves("one", upstream="again")
        self.assertEqual(self.runs(), [[["get-token"], self.url]])
        with self.nothing_lost():
            self.says("")
            self.double.tell(tokens=["tk-91bc", "ours"], end=True)
            self.await_failing("please log in")
            self.await_state("stale", 30)
            self.says("tk-91bc")
            self.await_state("fresh", 40)
            self.put(self.origin("two"))
            self.serves("one", "two", upstream="users")
        words = self.gateway.log() + edgegw(self.gateway, "upstreams", "--json").stdout
        self.assertNotRegex(words, "tk-7f3a|tk-91bc")


class EpollExecTests(ExecTests):
    """The same on the stock reactor."""

    before = ("--reactor", "epoll")
