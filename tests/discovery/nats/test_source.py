"""Tests of edgegw.discovery.nats.source: what is built, and what operators are told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from edgegw.config.problems import Problems
from edgegw.discovery.connections import ConnectionSettings
from edgegw.discovery.nats.announcements import Announcements
from edgegw.discovery.nats.bucket import Bucket
from edgegw.discovery.parts import Feeds, Kinds
from edgegw.discovery.settings import DiscoverySettings
from tests.discovery.doubles import environment

SERVERS = ["nats://10.0.0.1:4222", "tls://10.0.0.2"]


class BuildTests(SynchronousTestCase):
    """`discovery` of an upstream over a named connection."""

    def setUp(self) -> None:
        self.kinds = Kinds([])
        self.folder = Path(self.mktemp())
        self.folder.mkdir()

    def build(self, connection: dict[str, Any] | None = None, **query: Any) -> Any:
        self.problems = Problems()
        feeds = Feeds(environment(), None, self.folder, lambda: (), self.kinds)
        known = {}
        if connection is not None:
            known["c"] = ConnectionSettings.model_validate({"nats": {"servers": SERVERS, **connection}})
        settings = DiscoverySettings.model_validate({"from": "c" if known else "nats", **query})
        feed = feeds.build("u", settings, known, lambda source, named: None, lambda outcome: None, self.problems)
        return feed.source if feed is not None else None

    def refused(self, connection: dict[str, Any] | None = None, **query: Any) -> str:
        self.assertIsNone(self.build(connection, **query))
        (problem,) = self.problems.errors
        return f"{problem} | {problem.hint}"

    def test_announcements(self) -> None:
        for query, name in (
            ({}, "nats gateway.services at 10.0.0.1:4222"),
            ({"service": "users"}, "nats gateway.services/users at 10.0.0.1:4222"),
            ({"subject": "a.b"}, "nats a.b at 10.0.0.1:4222"),
        ):
            source = self.build({}, **query)
            self.assertIsInstance(source, Announcements)
            self.assertEqual((source.name, list(self.problems)), (name, []))

    def test_bucket(self) -> None:
        source = self.build({}, bucket="services", service="users", scheme="h2c")
        self.assertIsInstance(source, Bucket)
        self.assertEqual(source.name, "nats bucket services/users at 10.0.0.1:4222")

    def test_one_connection_for_all(self) -> None:
        """Of one name with the same settings, also when they are read once more."""
        whole = {"token": "t", "tls": {}, "cluster": True}
        one = self.build(dict(whole), service="a")
        same = self.build(dict(whole), service="b"), self.build(dict(whole), bucket="c")
        other = self.build({**whole, "token": "u"}, service="b")
        self.assertEqual([each._client._shared is one._client._shared for each in (*same, other)], [True, True, False])

    def test_without_a_connection(self) -> None:
        words = self.refused(service="users")
        self.assertIn('nats needs a connection with "servers"', words)
        self.assertIn("define one in the top-level `discovery`", words)

    def test_wrong_queries(self) -> None:
        for query, words in (
            ({"subject": "a", "bucket": "b"}, "are two sources"),
            ({"subject": "a.>"}, '"a.>" cannot be the prefix of subjects'),
            ({"subject": "a b"}, "cannot be the prefix"),
            ({"bucket": "a.b"}, '"a.b" cannot be a bucket'),
            ({"bucket": "b", "service": "a.b"}, '"a.b" cannot begin a key'),
            ({"bucket": "b", "service": ">"}, "cannot begin a key"),
            ({"port": 80}, 'a nats source has no "port"'),
        ):
            self.assertIn(words, self.refused({}, **query))

    def test_wrong_files(self) -> None:
        self.assertIn("gone.creds cannot be read", self.refused({"creds": "gone.creds"}))
        self.assertIn("gone.pem", self.refused({"tls": {"ca": "gone.pem"}}))

    def test_secrets_in_the_clear(self) -> None:
        """A warning, not more: the server may ask for TLS. None where nobody can listen."""
        for connection, count in (
            ({"token": "t"}, 1),
            ({"user": "u", "password": "p"}, 1),
            ({"user": "u", "password": "p", "tls": {}}, 0),
            ({"token": "t", "servers": ["tls://10.0.0.1"]}, 0),
            ({"token": "t", "servers": ["127.0.0.1", "localhost:1", "[::1]"]}, 0),
            ({}, 0),
        ):
            self.assertIsNotNone(self.build(connection))
            said = [str(each) for each in self.problems if "in the clear" in str(each)]
            self.assertEqual(len(said), count, connection)
