"""Settings of the connection, and what may be asked for."""

from pydantic import ValidationError
from twisted.trial.unittest import SynchronousTestCase

from edgegw.discovery.kubernetes.settings import (
    KubernetesSettings,
    Query,
    checked_namespace,
    checked_selector,
    split_service,
)


class SettingsTests(SynchronousTestCase):
    """How the API server is reached."""

    def test_nothing_is_a_pod(self) -> None:
        self.assertIsNone(KubernetesSettings().url)

    def test_one_way(self) -> None:
        for given, words in (
            ({"url": "https://a", "kubeconfig": "b"}, "two ways"),
            ({"context": "prod"}, "of a kubeconfig"),
            ({"url": "https://a", "token": "t", "token_file": "f"}, "two ways"),
            ({"token_file": "f"}, "needs `url`"),
            ({"kubeconfig": "k", "ca_file": "ca.pem"}, "needs `url`"),
        ):
            with self.assertRaises(ValidationError) as caught:
                KubernetesSettings(**given)
            self.assertIn(words, str(caught.exception))

    def test_prefix(self) -> None:
        """It ends in a slash, written or not."""
        self.assertEqual(KubernetesSettings(annotation_prefix="gateway.io").annotation_prefix, "gateway.io/")
        self.assertEqual(KubernetesSettings().annotation_prefix, "edgegw.dev/")
        self.assertRaises(ValidationError, KubernetesSettings, annotation_prefix="A B/")

    def test_the_token_is_not_shown(self) -> None:
        self.assertNotIn("hush", repr(KubernetesSettings(url="https://a", token="hush")))


class WordsTests(SynchronousTestCase):
    """Names and selectors."""

    def test_service(self) -> None:
        self.assertEqual(split_service("shop/users"), ("shop", "users"))
        self.assertEqual(split_service("users"), ("", "users"))
        self.assertEqual(split_service("*/users"), ("*", "users"))
        for bad in ("", "shop/", "Shop/Users", "a/b/c", "../x", "a b", "shop/us?rs", "/users?"):
            self.assertRaises(ValueError, split_service, bad)

    def test_namespace(self) -> None:
        self.assertEqual(checked_namespace("*"), "*")
        for bad in ("", "a.b", "a/b", "x" * 64, "-a", "A", "a\n"):
            self.assertRaises(ValueError, checked_namespace, bad)

    def test_selector(self) -> None:
        for good in ("app=users", "app in (a,b),!canary", "tier!=test", "app"):
            self.assertEqual(checked_selector(good), good)
        for bad in ("", "a\nb=c", "é=b", "a=" + "x" * 1000, "=,="):
            self.assertRaises(ValueError, checked_selector, bad)

    def test_title(self) -> None:
        self.assertEqual(Query("shop", "users", "", "http").title, "shop/users:http")
        self.assertEqual(Query("*", "", "app=users").title, "*/[app=users]")
