"""The way to the API server, and how it stays current."""

from __future__ import annotations

import base64
import os
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from edgegw.discovery.api.access import Access
from edgegw.discovery.api.errors import CredentialsError
from edgegw.discovery.kubernetes.credentials import Credentials
from edgegw.discovery.kubernetes.settings import KubernetesSettings
from tests.certs import Authority
from tests.discovery.kubernetes.commands import V1, runs, saying, script
from tests.discovery.kubernetes.test_kubeconfig import kubeconfig

POD = {"KUBERNETES_SERVICE_HOST": "10.96.0.1", "KUBERNETES_SERVICE_PORT": "443"}


class CredentialsCase(SynchronousTestCase):
    """A folder as a pod has it."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir(parents=True)
        self.authority = Authority()
        (self.folder / "ca.crt").write_bytes(self.authority.cert_pem)
        (self.folder / "token").write_text("first\n")
        (self.folder / "namespace").write_text("edge")

    def credentials(self, environ: Any = POD, **settings: Any) -> Credentials:
        return Credentials(KubernetesSettings(**settings), self.folder, environ, self.folder)

    def refused(self, words: str, made: Credentials) -> None:
        with self.assertRaises(CredentialsError) as caught:
            made.access()
        self.assertIn(words, str(caught.exception))


class PodTests(CredentialsCase):
    """In a cluster, without any settings."""

    def test_whole(self) -> None:
        access = self.credentials().access()
        self.assertEqual((access.origin, access.namespace, access.token), ("https://10.96.0.1:443", "edge", "first"))
        self.assertIsNotNone(access.tls)
        self.assertNotIn("first", repr(access))

    def test_ipv6(self) -> None:
        environ = {"KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "443"}
        access = self.credentials(environ).access()
        self.assertEqual((access.origin, access.host), ("https://[fd00::1]:443", "fd00::1"))

    def test_the_settings_namespace_wins(self) -> None:
        self.assertEqual(self.credentials(namespace="shop").access().namespace, "shop")

    def test_no_pod(self) -> None:
        self.refused("does not run in a pod", self.credentials({}))

    def test_without_its_files(self) -> None:
        (self.folder / "token").unlink()
        self.refused("cannot be read: No such file", self.credentials())


class CurrentTests(CredentialsCase):
    """Files change."""

    def replace(self, name: str, content: str | bytes) -> None:
        fresh = self.folder / "fresh"
        fresh.write_bytes(content if isinstance(content, bytes) else content.encode())
        os.replace(fresh, self.folder / name)

    def test_a_new_token(self) -> None:
        """It is used for the next request."""
        made = self.credentials()
        made.access()
        self.assertEqual(made.access().token, "first")
        self.replace("token", "second")
        self.assertEqual(made.access().token, "second")

    def test_nothing_new(self) -> None:
        """What did not change is not read again: the same object, with its TLS context."""
        made = self.credentials()
        made.access()
        access = made.access()
        self.assertIs(made.access(), access)

    def test_reload(self) -> None:
        """Asked for, it reads whatever the files look like."""
        made = self.credentials()
        made.access()
        access = made.access()
        self.assertIsNot(made.reload(), access)

    def test_a_file_is_gone_for_a_moment(self) -> None:
        """What was read stays; the next good one is used."""
        made = self.credentials()
        made.access()
        (self.folder / "token").unlink()
        self.assertEqual(made.access().token, "first")
        for broken in ("", "to ken", b"\xff"):
            self.replace("token", broken)
            self.assertEqual(made.access().token, "first")
        self.replace("token", "third")
        self.assertEqual(made.access().token, "third")

    def test_a_new_authority(self) -> None:
        made = self.credentials()
        made.access()
        before = made.access().tls
        self.replace("ca.crt", Authority().cert_pem)
        self.assertIsNot(made.access().tls, before)
        self.replace("ca.crt", "no pem")
        self.assertIsNotNone(made.access().tls)

    def test_a_new_kubeconfig(self) -> None:
        (self.folder / "config").write_text(kubeconfig())
        made = self.credentials(kubeconfig="config")
        self.assertEqual(made.access().token, "t")
        self.replace("config", kubeconfig(user={"token": "other"}))
        self.assertEqual(made.access().token, "other")

    def test_swapped_links(self) -> None:
        """As Kubernetes does it: `token` leads through `..data` to a folder that is swapped."""
        for name in ("one", "two"):
            (self.folder / name).mkdir()
            (self.folder / name / "token").write_text(name)
        (self.folder / "..data").symlink_to("one")
        (self.folder / "token").unlink()
        (self.folder / "token").symlink_to("..data/token")
        made = self.credentials()
        made.access()
        self.assertEqual(made.access().token, "one")
        (self.folder / "..next").symlink_to("two")
        os.replace(self.folder / "..next", self.folder / "..data")
        self.assertEqual(made.access().token, "two")


class UrlTests(CredentialsCase):
    """`url` and what goes with it."""

    def test_urls(self) -> None:
        for url, origin in (
            ("https://api.example.com", "https://api.example.com:443"),
            ("http://127.0.0.1:8001/", "http://127.0.0.1:8001"),
            ("https://[fd00::1]:6443", "https://[fd00::1]:6443"),
            ("https://rancher.example.com/k8s/clusters/c-1", "https://rancher.example.com:443/k8s/clusters/c-1"),
        ):
            self.assertEqual(self.credentials(url=url).access().origin, origin)
        for url in (
            "api.example.com",
            "ftp://a",
            "https://a:0",
            "https://a:99999",
            "https://a/b?c",
            "https://a b",
            "https://u@a",
        ):
            self.assertRaises(CredentialsError, self.credentials(url=url).access)

    def test_token_and_certificates(self) -> None:
        self.authority.issue("edgegw", client=True).write(self.folder, "me")
        access = self.credentials(
            url="https://a", token_file="token", ca_file="ca.crt", cert_file="me.pem", key_file="me.key"
        ).access()
        self.assertEqual(access.token, "first")
        self.assertEqual(self.credentials(url="https://a", token="plain").access().token, "plain")

    def test_files_that_cannot_be_used(self) -> None:
        self.refused("ca.pem does not exist", self.credentials(url="https://a", ca_file="ca.pem"))
        self.refused("needs its key", self.credentials(url="https://a", cert_file="ca.crt"))
        (self.folder / "big").write_bytes(b"x" * (1024 * 1024 + 1))
        self.refused("larger than 1 MiB", self.credentials(url="https://a", token_file="big"))
        (self.folder / "bytes").write_bytes(b"\xff\xfe")
        self.refused("it is not text", self.credentials(url="https://a", token_file="bytes"))
        (self.folder / "spaces").write_text("two words")
        self.refused("holds no bearer token", self.credentials(url="https://a", token_file="spaces"))

    def test_kubeconfig_with_certificates(self) -> None:
        """Inline ones, as kubeadm writes them."""
        leaf = self.authority.issue("admin", client=True)
        inline = [base64.b64encode(pem).decode() for pem in (self.authority.cert_pem, leaf.cert_pem, leaf.key_pem)]
        content = kubeconfig(
            {"certificate-authority-data": inline[0]},
            {"client-certificate-data": inline[1], "client-key-data": inline[2]},
        )
        (self.folder / "config").write_text(content)
        access = self.credentials(kubeconfig="config").access()
        self.assertEqual((access.origin, access.namespace, access.token), ("https://10.0.0.1:6443", "shop", ""))


class PluginTests(CredentialsCase):
    """A kubeconfig with an exec plugin."""

    def setUp(self) -> None:
        super().setUp()
        self.now = 0.0

    def made(self, body: str, **user: Any) -> Credentials:
        self.tell(body)
        ca = base64.b64encode(self.authority.cert_pem).decode()
        user = {"exec": {"apiVersion": V1, "command": "./tell"}, **user}
        (self.folder / "config").write_text(kubeconfig({"certificate-authority-data": ca}, user))
        settings = KubernetesSettings(kubeconfig="config")
        return Credentials(settings, self.folder, os.environ, self.folder, reactor=Clock(), wall=lambda: self.now)

    def tell(self, body: str) -> None:
        script(self.folder, body)

    def current(self, made: Credentials) -> Access:
        return self.successResultOf(Deferred.fromCoroutine(made.current()))

    def renewed(self, made: Credentials, refused: Access) -> Access | None:
        return self.successResultOf(Deferred.fromCoroutine(made.renewed(refused)))

    def test_not_run_when_it_is_only_looked_at(self) -> None:
        made = self.made(saying(token="one"))
        self.assertFalse(made.has_token)
        self.assertEqual((made.access().token, made.access().namespace, runs(self.folder)), ("", "shop", 0))
        self.assertTrue(made.has_token)

    def test_token(self) -> None:
        made = self.made(saying(token="s3cret"))
        self.current(made)
        access = self.current(made)
        self.assertEqual((access.token, access.origin), ("s3cret", "https://10.0.0.1:6443"))
        self.assertIs(self.current(made), access)
        self.assertNotIn("s3cret", repr(access) + repr(made))

    def test_certificate(self) -> None:
        """A new one is used with a TLS context of its own."""
        leaves = [self.authority.issue("edgegw", client=True) for _ in range(2)]
        status = [
            {"clientCertificateData": each.cert_pem.decode(), "clientKeyData": each.key_pem.decode()} for each in leaves
        ]
        made = self.made(saying(**status[0]))
        one = self.current(made)
        self.assertIsNot(one.tls, made.access().tls)
        self.assertIsNone(self.renewed(made, one))
        self.tell(saying(**status[1]))
        two = self.renewed(made, self.current(made))
        assert two is not None
        self.assertIsNot(two.tls, one.tls)
        self.tell(saying(clientCertificateData="x", clientKeyData="y"))
        self.failureResultOf(Deferred.fromCoroutine(made.renewed(two)), CredentialsError)

    def test_a_token_of_the_kubeconfig_goes_first(self) -> None:
        self.assertEqual(self.current(self.made(saying(token="one"), token="mine")).token, "mine")

    def test_renewed_by_somebody_else(self) -> None:
        """Two requests were refused with the same: it is run once."""
        made = self.made(saying(token="one"))
        one = self.current(made)
        self.tell(saying(token="two"))
        for _ in range(2):
            fresh = self.renewed(made, one)
            assert fresh is not None
            self.assertEqual(fresh.token, "two")
        self.assertEqual(runs(self.folder), 2)

    def test_a_new_kubeconfig(self) -> None:
        """Another command is run; the same one is not run again."""
        made = self.made(saying(token="one"))
        self.current(made)
        text = (self.folder / "config").read_text()
        (self.folder / "config").write_text(text + "# more\n")
        self.assertEqual((self.current(made).token, runs(self.folder)), ("one", 1))
        script(self.folder, saying(token="two"), "other")
        (self.folder / "config").write_text(text.replace("./tell", "./other"))
        self.assertEqual((self.current(made).token, runs(self.folder)), ("two", 2))
        (self.folder / "config").write_text(kubeconfig(user={"token": "three"}))
        self.assertEqual(self.current(made).token, "three")

    def test_files_have_no_plugin(self) -> None:
        made = self.credentials()
        access = self.current(made)
        self.assertIsNone(self.renewed(made, access))
        (self.folder / "token").write_text("second")
        fresh = self.renewed(made, access)
        assert fresh is not None
        self.assertEqual(fresh.token, "second")

    def test_no_command(self) -> None:
        made = self.made("")
        (self.folder / "tell").unlink()
        self.refused('the exec plugin "tell" is not there', made)
