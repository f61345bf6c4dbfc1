"""kubeconfig files."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import yaml
from twisted.trial.unittest import SynchronousTestCase

from edgegw.discovery.api.errors import CredentialsError
from edgegw.discovery.kubernetes.kubeconfig import Plan, read_kubeconfig
from tests.discovery.kubernetes.commands import V1

FOLDER = Path("/etc/kube")


def kubeconfig(cluster: Any = None, user: Any = None, **more: Any) -> str:
    """A kubeconfig of one context `prod`."""
    data = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "prod",
        "contexts": [{"name": "prod", "context": {"cluster": "c", "user": "u", "namespace": "shop"}}],
        "clusters": [{"name": "c", "cluster": {"server": "https://10.0.0.1:6443", **(cluster or {})}}],
        "users": [{"name": "u", "user": user if user is not None else {"token": "t"}}],
    }
    return yaml.safe_dump({**data, **more})


def read(*args: Any, **more: Any) -> Plan:
    return read_kubeconfig(kubeconfig(*args, **more), FOLDER)


class ReadTests(SynchronousTestCase):
    """What is understood."""

    def test_token(self) -> None:
        self.assertEqual(read(), Plan("https://10.0.0.1:6443", "shop", token="t"))

    def test_token_file(self) -> None:
        """Relative to the kubeconfig's folder."""
        self.assertEqual(read(user={"tokenFile": "token"}).token_file, "/etc/kube/token")
        self.assertEqual(read(user={"tokenFile": "/run/token"}).token_file, "/run/token")

    def test_certificates(self) -> None:
        """Inline ones before files."""
        pem = "-----BEGIN CERTIFICATE-----\n" + "A" * 100
        inline = base64.b64encode(pem.encode()).decode()
        user = {"client-certificate-data": inline, "client-key-data": inline, "client-key": "ignored"}
        found = read({"certificate-authority-data": inline, "certificate-authority": "ignored"}, user)
        self.assertEqual((found.ca, found.cert, found.key), (pem, pem, pem))
        found = read({"certificate-authority": "ca.pem"}, {"client-certificate": "c.pem", "client-key": "/k.pem"})
        self.assertEqual((found.ca, found.cert, found.key), ("/etc/kube/ca.pem", "/etc/kube/c.pem", "/k.pem"))

    def test_exec_plugin(self) -> None:
        found = read(
            {"server": "https://a"}, {"exec": {"command": "./tell", "apiVersion": V1, "provideClusterInfo": True}}
        )
        assert found.exec is not None
        self.assertEqual(found.exec.command, "/etc/kube/tell")
        self.assertIn("https://a", dict(found.exec.env)["KUBERNETES_EXEC_INFO"])
        self.assertIsNone(read().exec)

    def test_verification(self) -> None:
        self.assertTrue(read().verify)
        found = read({"insecure-skip-tls-verify": True, "tls-server-name": "api.example.com"})
        self.assertEqual((found.verify, found.server_name), (False, "api.example.com"))

    def test_another_context(self) -> None:
        contexts = [{"name": "prod", "context": {}}, {"name": "test", "context": {"cluster": "c", "namespace": "dev"}}]
        found = read_kubeconfig(kubeconfig(contexts=contexts), FOLDER, "test")
        self.assertEqual((found.namespace, found.token), ("dev", ""))


class RefusalTests(SynchronousTestCase):
    """What is not done is said, and never left out in silence."""

    def refused(self, words: str, *args: Any, **more: Any) -> None:
        with self.assertRaises(CredentialsError) as caught:
            read(*args, **more)
        self.assertIn(words, str(caught.exception))

    def test_exec_plugin(self) -> None:
        self.refused("exec plugin of the kubeconfig speaks", user={"exec": {"command": "aws"}})
        self.refused("cannot be read: exec", user={"exec": "aws"})
        self.refused("cannot be read: args", user={"exec": {"command": "aws", "apiVersion": V1, "args": 1}})

    def test_other_ways(self) -> None:
        self.refused("auth-provider", user={"auth-provider": {"name": "gcp"}})
        self.refused("user name and password", user={"username": "a", "password": "b"})
        self.refused("impersonation", user={"token": "t", "as": "admin"})
        self.refused("proxy-url", cluster={"proxy-url": "http://p"})

    def test_what_is_missing(self) -> None:
        self.refused('no context "x"; it has prod', **{"current-context": "x"})
        self.refused("no current-context", **{"current-context": ""})
        self.refused('no cluster "c"; it has none', clusters=[])
        self.refused('no user "u"', users=[])
        self.refused("has no server", cluster={"server": ""})

    def test_garbage(self) -> None:
        for content in ("", "[]", "5", "a: [", "a: &x [*x", "\x00", "- " * 5000):
            self.assertRaises(CredentialsError, read_kubeconfig, content, FOLDER)
        self.refused("cannot be read: clusters", clusters={"a": 1})
        self.refused("cannot be read: token", user={"token": 5})
        self.refused("not base64", user={"client-key-data": "!!"})
