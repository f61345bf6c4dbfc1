"""How an agent is reached."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError
from twisted.trial.unittest import SynchronousTestCase

from edgegw.discovery.consul.settings import ConsulSettings


class SettingsTests(SynchronousTestCase):
    """Settings of the connection."""

    def test_nothing_is_the_agent_of_this_machine(self) -> None:
        settings = ConsulSettings()
        self.assertEqual(settings.url, "http://127.0.0.1:8500")
        self.assertEqual((settings.consistency, settings.wait, settings.timeout), ("stale", 15.0, 5.0))

    def refused(self, words: str, **given: Any) -> None:
        with self.assertRaises(ValidationError) as caught:
            ConsulSettings.model_validate(given)
        self.assertIn(words, str(caught.exception))

    def test_url(self) -> None:
        self.refused("by http:// or https://", url="unix:///run/consul.sock")
        self.refused("by http:// or https://", url="grpc://10.0.0.1:8502")
        self.refused("has no scheme", url="127.0.0.1:8500")
        self.refused("without a path", url="http://10.0.0.1:8500/v1")
        self.refused("is not an address", url="http://2130706433:8500")

    def test_one_token(self) -> None:
        self.refused("two ways", token="t", token_file="f")

    def test_tls_without_tls(self) -> None:
        """A file that would never be read is a mistake."""
        for key in ("ca_file", "cert_file", "key_file", "server_name"):
            self.refused(f"`{key}` needs a URL with https://", **{key: "x"})
        self.assertEqual(ConsulSettings(url="https://c:8501", ca_file="x").ca_file, "x")

    def test_bounds(self) -> None:
        for key, value in (("wait", "500ms"), ("wait", "11m"), ("timeout", "0s"), ("timeout", "2m")):
            self.refused("", **{key: value})
        self.refused("", consistency="strong")

    def test_the_token_is_not_shown(self) -> None:
        self.assertNotIn("hush", repr(ConsulSettings.model_validate({"token": "hush"})))
