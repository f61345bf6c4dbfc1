"""Tests of edgegw.discovery.parts: what operators are told, and what is built."""

from __future__ import annotations

from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

from pydantic import Field
from twisted.trial.unittest import SynchronousTestCase

from edgegw.config.model import Settings
from edgegw.config.problems import Problems
from edgegw.discovery.connections import ConnectionSettings
from edgegw.discovery.dns import DnsSource
from edgegw.discovery.feed import Feed
from edgegw.discovery.file import FileSource
from edgegw.discovery.interfaces import DiscoveryPart, Surroundings
from edgegw.discovery.parts import Feeds, Kinds
from edgegw.discovery.settings import DiscoverySettings
from tests.discovery.doubles import FakeSource, environment


class ForeignSettings(Settings):
    """`with:` of a third party's source."""

    where: str = Field(description="A place.")


def _build(query: DiscoverySettings, connection: ForeignSettings, around: Surroundings) -> FakeSource:
    if connection.where == "nowhere":
        raise RuntimeError("no such place")
    return FakeSource(f"registry {connection.where}")


REGISTRY = DiscoveryPart("registry", frozenset({"service"}), frozenset(), _build, ForeignSettings)
NO_PART = "a text"


def point(name: str, what: str) -> EntryPoint:
    return EntryPoint(name, f"tests.discovery.test_parts:{what}", "edgegw.discovery")


POINTS = [
    point("registry", "REGISTRY"),
    point("odd", "NO_PART"),
    point("renamed", "REGISTRY"),
    point("gone", "NOT_THERE"),
    point("dns", "REGISTRY"),
]


class Case(SynchronousTestCase):
    """Building, and what is reported."""

    def build(self, connections: dict[str, Any] | None = None, **settings: Any) -> Feed | None:
        self.problems = Problems()
        self.state = Path(self.mktemp())
        feeds = Feeds(environment(), self.state, Path(self.mktemp()), lambda: (), Kinds(POINTS))
        known = {name: ConnectionSettings.model_validate(each) for name, each in (connections or {}).items()}
        query = DiscoverySettings.model_validate(settings)
        return feeds.build("u", query, known, lambda source, named: None, lambda outcome: None, self.problems)

    def refused(self, **settings: Any) -> str:
        self.assertIsNone(self.build(**settings))
        self.assertEqual(len(self.problems.errors), 1, list(self.problems))
        problem = self.problems.errors[0]
        return f"{problem} | {problem.hint}"

    def built(self, **settings: Any) -> Any:
        feed = self.build(**settings)
        self.assertEqual(list(self.problems), [])
        assert feed is not None
        return feed.source


class OwnTests(Case):
    """What ships."""

    def test_file(self) -> None:
        source = self.built(**{"from": "file", "path": "e.json"})
        self.assertIsInstance(source, FileSource)
        self.assertEqual(source.name, "file e.json")

    def test_dns(self) -> None:
        source = self.built(**{"from": "dns", "name": "a.b.", "port": 80})
        self.assertIsInstance(source, DnsSource)
        self.assertEqual(source.name, "dns a.b.:80")

    def test_by_a_connection(self) -> None:
        connections = {"corp": {"dns": {"servers": ["10.0.0.53"]}}}
        source = self.built(connections=connections, **{"from": "corp", "name": "a.b", "port": 80})
        self.assertEqual(list(source._client._servers()), [("10.0.0.53", 53)])

    def test_unknown(self) -> None:
        words = self.refused(**{"from": "dnss"}, connections={"corp": {"dns": {}}})
        self.assertIn("upstreams.u.discovery.from", words)
        self.assertIn('source "dnss" is not known; known: corp, ', words)
        self.assertIn('did you mean "dns"?', words)

    def test_unknown_among_thousands(self) -> None:
        """Each upstream may have such a name: the message and the time for it have a bound."""
        connections: dict[str, Any] = {f"corp-{number}": {"dns": {}} for number in range(2000)}
        words = self.refused(**{"from": "dnss"}, connections=connections)
        self.assertIn('did you mean "dns"?', words)
        self.assertLess(len(words), 2000)

    def test_key_of_another_kind(self) -> None:
        words = self.refused(**{"from": "dns", "name": "a.b", "port": 80, "path": "x"})
        self.assertIn('upstreams.u.discovery.path: error: a dns source has no "path"', words)
        self.assertIn("it is for file; dns has ", words)

    def test_with_is_for_others(self) -> None:
        self.assertIn('no "with"', self.refused(**{"from": "file", "path": "x", "with": {}}))

    def test_key_that_is_needed(self) -> None:
        self.assertIn('a file source needs the key "path"', self.refused(**{"from": "file"}))

    def test_memory(self) -> None:
        feed = self.build(**{"from": "file", "path": "e.json"})
        assert feed is not None and feed._outlet.memory is not None
        self.assertEqual(feed._outlet.memory.path, self.state / "discovery" / "u.json")


class ForeignTests(Case):
    """What third parties bring."""

    def test_built(self) -> None:
        source = self.built(**{"from": "registry", "service": "x", "with": {"where": "here"}})
        self.assertEqual(source.name, "registry here")

    def test_settings(self) -> None:
        for given in ({}, {"where": 1}, {"where": "x", "more": 1}):
            self.assertIn("upstreams.u.discovery.with", self.refused(**{"from": "registry", "with": given}))

    def test_raises(self) -> None:
        words = self.refused(**{"from": "registry", "with": {"where": "nowhere"}})
        self.assertIn('source "registry" cannot be built: RuntimeError: no such place', words)

    def test_no_part(self) -> None:
        for name in ("odd", "renamed", "gone"):
            self.assertIn(f'source "{name}" cannot be used', self.refused(**{"from": name}))

    def test_names_of_ours_are_ours(self) -> None:
        self.assertIsInstance(self.built(**{"from": "dns", "name": "a.b", "port": 80}), DnsSource)
