"""Tests of edgegw.discovery.kubernetes.exec_plan."""

from __future__ import annotations

import base64
import json
from datetime import date
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from edgegw.discovery.api.errors import CredentialsError
from edgegw.discovery.api.fields import Malformed
from edgegw.discovery.kubernetes.exec_plan import INFO, VERSIONS, ExecPlan, Shown, read_credential, read_exec
from tests.discovery.kubernetes.commands import V1, credential

BETA = VERSIONS[1]


class PlanTests(SynchronousTestCase):
    """`exec` of a kubeconfig."""

    def read(self, cluster: Any = None, folder: Path = Path("/etc/kube"), **more: Any) -> ExecPlan:
        return read_exec({"exec": {"apiVersion": V1, "command": "aws", **more}}, cluster or {}, folder)

    def refused(self, words: str, **more: Any) -> None:
        with self.assertRaises(CredentialsError) as caught:
            self.read(**more)
        self.assertIn(words, str(caught.exception))

    def info(self, plan: ExecPlan) -> Any:
        return json.loads(dict(plan.env)[INFO])

    def test_whole(self) -> None:
        found = self.read(args=["eks", "get-token"], env=[{"name": "AWS_PROFILE", "value": "p"}], installHint="a\n b")
        self.assertEqual(
            (found.command, found.args, found.version, found.hint), ("aws", ("eks", "get-token"), V1, "a b")
        )
        self.assertEqual(dict(found.env)["AWS_PROFILE"], "p")
        self.assertEqual(found.title, 'the exec plugin "aws"')
        told = {"kind": "ExecCredential", "apiVersion": V1, "spec": {"interactive": False}}
        self.assertEqual(self.info(found), told)

    def test_commands(self) -> None:
        """A bare name is found by PATH; one with a slash counts from the kubeconfig."""
        for command, found in (("aws", "aws"), ("./aws", "/etc/kube/aws"), ("/bin/aws", "/bin/aws")):
            self.assertEqual(self.read(command=command).command, found)

    def test_cluster_info(self) -> None:
        """Only if it wants that; the authorities always inline."""
        folder = Path(self.mktemp()).absolute()
        folder.mkdir(parents=True)
        (folder / "ca.pem").write_text("PEM")
        extension = {"name": "client.authentication.k8s.io/exec", "extension": {"audience": "x"}}
        cluster = {
            "server": "https://a",
            "certificate-authority": "ca.pem",
            "tls-server-name": "b",
            "extensions": [{"name": "other", "extension": 1}, extension],
        }
        told = {
            "server": "https://a",
            "tls-server-name": "b",
            "certificate-authority-data": base64.b64encode(b"PEM").decode(),
            "config": {"audience": "x"},
        }
        self.assertEqual(self.info(self.read(cluster, folder, provideClusterInfo=True))["spec"]["cluster"], told)
        self.assertNotIn("cluster", self.info(self.read(cluster, folder))["spec"])
        cluster["certificate-authority-data"] = "UEVN"
        self.assertEqual(self.info(self.read(cluster, folder, provideClusterInfo=True))["spec"]["cluster"], told)

    def test_what_json_has_not(self) -> None:
        """A kubeconfig is YAML, which has times, bytes, and lists that hold themselves."""
        endless: list[Any] = []
        endless.append(endless)
        extension: dict[str, Any] = {"name": "client.authentication.k8s.io/exec", "extension": date(2026, 11, 21)}
        found = self.read({"extensions": [extension]}, provideClusterInfo=True)
        self.assertEqual(self.info(found)["spec"]["cluster"], {"config": "2026-11-21"})
        for odd in (b"x", endless, {("a",): 1}):
            extension["extension"] = odd
            with self.assertRaises(Malformed):
                self.read({"extensions": [extension]}, provideClusterInfo=True)

    def test_versions(self) -> None:
        self.assertEqual(self.info(self.read(apiVersion=BETA))["apiVersion"], BETA)
        self.refused("v1alpha1", apiVersion="client.authentication.k8s.io/v1alpha1")
        self.refused('speaks ""', apiVersion=None)

    def test_people(self) -> None:
        for mode in ("Never", "IfAvailable", None):
            self.read(interactiveMode=mode)
        self.refused("wants to ask a person", interactiveMode="Always")

    def test_malformed(self) -> None:
        self.refused("has no command", command="")
        for more in (
            {"args": [1]},
            {"args": ["\0"]},
            {"env": [{"value": "x"}]},
            {"env": [{"name": "a=b"}]},
            {"env": 1},
        ):
            with self.assertRaises(Malformed):
                self.read(**more)


class CredentialTests(SynchronousTestCase):
    """What the command prints."""

    def read(self, version: str = V1, **status: Any) -> Shown:
        return read_credential(credential(version, **status).encode(), V1)

    def refused(self, words: str, *args: Any, **status: Any) -> None:
        with self.assertRaises(CredentialsError) as caught:
            self.read(*args, **status)
        self.assertIn(words, str(caught.exception))
        self.assertNotIn("secret", str(caught.exception))

    def test_token(self) -> None:
        found = self.read(token="secret", expirationTimestamp="2026-11-21T12:00:00Z")
        self.assertEqual(found, Shown("secret", None, None, 1795262400.0))
        self.assertNotIn("secret", repr(found))
        self.assertIsNone(self.read(token="secret").until)

    def test_times(self) -> None:
        for stamp in ("2026-11-21T13:00:00+01:00", "2026-11-21T12:00:00.000000001Z", "2026-11-21T12:00:00.5Z"):
            self.assertIn(self.read(token="t", expirationTimestamp=stamp).until, (1795262400.0, 1795262400.5))
        for stamp in ("2026-11-21T12:00:00", "soon", "1795262400"):
            self.refused("expirationTimestamp", token="secret", expirationTimestamp=stamp)

    def test_certificate(self) -> None:
        self.assertEqual(self.read(clientCertificateData="C", clientKeyData="K"), Shown("", "C", "K"))
        self.assertEqual(self.read(token="t", clientCertificateData="C", clientKeyData="K").token, "t")
        self.refused("without its key", clientCertificateData="secret")
        self.refused("without its cert", clientKeyData="secret")

    def test_wrong(self) -> None:
        self.refused("neither a token nor a certificate")
        self.refused("a token that is none", token="sec ret\nsecret")
        self.refused("whose token is not a text", token={"a": "secret"})
        self.refused("another version", BETA, token="secret")
        for output, words in ((b"secret", "no JSON"), (b"[]", "no ExecCredential"), (b"[" * 100_000, "no JSON")):
            with self.assertRaises(CredentialsError) as caught:
                read_credential(output, V1)
            self.assertIn(words, str(caught.exception))

    @given(st.binary(max_size=200))
    def test_anything(self, output: bytes) -> None:
        self.assertRaises(CredentialsError, read_credential, output, V1)
