"""Tests of edgegw.discovery.settings, as part of a configuration."""

from __future__ import annotations

from pydantic import ValidationError
from twisted.trial.unittest import SynchronousTestCase

from edgegw.config.problems import ConfigError
from edgegw.config.source import loads
from edgegw.config.validation import validate
from edgegw.discovery.settings import COMMON, DiscoverySettings, written
from edgegw.gateway.settings import GatewaySettings

HEAD = "edgegw: 1\nlisten: [{port: 80}]\nupstreams:\n  u:\n    "


def read(text: str) -> GatewaySettings:
    return validate(GatewaySettings, loads(HEAD + text, environ={}))


class SettingsTests(SynchronousTestCase):
    """What may be written."""

    def problem(self, text: str) -> str:
        error = self.assertRaises(ConfigError, read, text)
        self.assertEqual(len(error.problems), 1, error)
        return f"{error.problems[0]} | {error.problems[0].hint}"

    def test_defaults(self) -> None:
        found = read("discovery: {from: dns, name: a.b, port: 80}").upstreams["u"].discovery
        assert found is not None
        self.assertEqual((found.from_, found.port, found.stale_after, found.empty_after), ("dns", 80, 60.0, 10.0))
        assert found.damping
        self.assertEqual((found.damping.changes, found.damping.window, found.damping.quiet), (5, 60.0, 30.0))

    def test_off(self) -> None:
        text = "discovery: {from: k8s, service: a/b, port: http, damping: false, empty_after: none, allow: [127.0.0.1, unix]}"
        found = read(text).upstreams["u"].discovery
        assert found is not None
        self.assertEqual((found.damping, found.empty_after, found.port), (False, None, "http"))
        self.assertEqual([str(each) for each in found.allow], ["127.0.0.1/32", "unix"])

    def test_both(self) -> None:
        found = read('endpoints: ["http://h:1"]\n    discovery: {from: file, path: x}').upstreams["u"]
        self.assertEqual((len(found.endpoints), found.discovery is not None), (1, True))

    def test_neither(self) -> None:
        self.assertIn("`endpoints`, `discovery` or both; here: none of them", self.problem("balance: round_robin"))

    def test_unknown_key(self) -> None:
        self.assertIn('did you mean "service"?', self.problem("discovery: {from: k8s, servce: a}"))

    def test_no_map(self) -> None:
        self.assertIn("must be a map, not", self.problem("discovery: k8s"))

    def test_from_is_needed(self) -> None:
        self.assertIn('missing key "from"', self.problem("discovery: {service: a}"))

    def test_values(self) -> None:
        for text in ("stale_after: 0", "stale_after: 5", "allow: [10.0.0.1/8]", "type: MX", "scheme: unix", "name: ''"):
            self.assertIn("5:", self.problem(f"discovery: {{from: dns, {text}}}"))

    def test_written(self) -> None:
        self.assertEqual((written("from_"), written("path")), ("from", "path"))
        self.assertEqual(COMMON - set(DiscoverySettings.model_fields), set())

    def test_names_of_fields_are_not_keys(self) -> None:
        self.assertRaises(ValidationError, DiscoverySettings.model_validate, {"from_": "dns"})
