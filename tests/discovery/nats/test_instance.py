"""Tests of edgegw.discovery.nats.instance."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from edgegw.discovery.candidate import Refused
from edgegw.discovery.nats.instance import identified, read_instance, read_json, read_status, written


class ReadTests(SynchronousTestCase):
    """Objects that are right."""

    def test_everything(self) -> None:
        found = read_instance(
            {
                "id": "u1",
                "service": "users",
                "address": "10.0.0.1",
                "port": 9000,
                "scheme": "https",
                "weight": 7,
                "zone": "a",
                "metadata": {"version": 2, "canary": True, "deep": {}},
                "status": "Healthy",
                "ttl": 5,
                "age": 2.5,
            },
            "http",
            "x",
        )
        settings = found.named.settings
        self.assertEqual(
            (found.id, found.service, found.status, found.ttl_s, found.age_s), ("u1", "users", "healthy", 5, 2.5)
        )
        self.assertEqual((settings.url, settings.weight, settings.zone), ("https://10.0.0.1:9000", 7, "a"))
        self.assertEqual((settings.meta, found.named.held), ({"canary": "true", "id": "u1", "version": "2"}, ""))

    def test_little(self) -> None:
        found = read_instance({"address": "10.0.0.1", "port": 80}, "grpc", "x")
        self.assertEqual((found.id, found.service, found.ttl_s), ("10.0.0.1:80", "", 30.0))
        self.assertEqual(found.named.settings.url, "grpc://10.0.0.1:80")

    def test_spellings(self) -> None:
        """Of several kinds of registries."""
        for data, url in (
            ({"host": "a.example", "port": "80"}, "http://a.example:80"),
            ({"ip": "10.0.0.1", "port": 80, "protocol": "HTTPS"}, "https://10.0.0.1:80"),
            ({"address": "10.0.0.1:81"}, "http://10.0.0.1:81"),
            ({"address": "https://10.0.0.1:81/"}, "https://10.0.0.1:81"),
            ({"address": "::1", "port": 80}, "http://[::1]:80"),
            ({"address": "[::1]:82"}, "http://[::1]:82"),
        ):
            self.assertEqual(read_instance(data, "http", "x").named.settings.url, url)
        for key in ("service", "name", "service_name"):
            self.assertEqual(read_instance({"address": "a:1", key: "users"}, "http", "x").service, "users")
        self.assertEqual(
            read_instance({"address": "a:1", "metadata": {"zone": "z"}}, "http", "x").named.settings.zone, "z"
        )

    def test_known_otherwise(self) -> None:
        """A key of a bucket says more than its value."""
        found = read_instance({"address": "a:1", "id": "other", "service": "other"}, "http", "x", "u1", "users")
        self.assertEqual((found.id, found.service, found.named.settings.meta), ("u1", "users", {"id": "u1"}))

    def test_times(self) -> None:
        for said, ttl_s in (
            (0, 1.0),
            (9e9, 3600.0),
            ("2m", 120.0),
            ("soon", 30.0),
            (True, 30.0),
            (None, 30.0),
            (10**400, 30.0),
        ):
            self.assertEqual(read_instance({"address": "a:1", "ttl": said}, "http", "x").ttl_s, ttl_s, said)
        self.assertEqual(read_instance({"address": "a:1", "age": -5}, "http", "x").age_s, 0.0)

    def test_many_facts(self) -> None:
        """The id is never among those that are left out."""
        meta = {f"a{number}": "x" for number in range(100)}
        found = read_instance({"id": "u1", "address": "a:1", "metadata": meta}, "http", "x")
        self.assertEqual((len(found.named.settings.meta), found.named.settings.meta["id"]), (32, "u1"))

    def test_wrong(self) -> None:
        for data, words in (
            ([], "x: it is not an object"),
            ({"port": 1}, "x: it has no address"),
            ({"id": "u1", "address": "a"}, "u1: it has no port"),
            ({"id": "u1", "address": "a", "port": 1.5}, 'u1: it has no port: "1.5"'),
            ({"id": "u1", "address": "a", "port": True}, "it has no port"),
            ({"id": "u" * 201, "address": "a", "port": 1}, "more than 200 characters"),
            ({"address": "a b", "port": 1}, "http://a b:1"),
            ({"address": "a", "port": 0}, "http://a:0"),
            ({"address": "a", "port": 1, "scheme": "ftp"}, "ftp://a:1"),
        ):
            self.assertIn(words, str(self.assertRaises(Refused, read_instance, data, "http", "x")))

    def test_json(self) -> None:
        for payload, words in (
            (b"{", "not JSON"),
            (b"[" * 9999, "not JSON"),
            (b"\xff", "not JSON"),
            (b" " * 20_000, "16 KiB"),
        ):
            self.assertIn(words, str(self.assertRaises(Refused, read_json, payload, "x")))

    def test_status(self) -> None:
        for data, status in (
            ("Unhealthy", "unhealthy"),
            ({"status": "up"}, "up"),
            ({"health": {"status": "down"}}, "down"),
            ({"healthy": False}, "unhealthy"),
            (True, "healthy"),
            ({"status": {"status": {"status": "up"}}}, ""),
            (7, ""),
            ({}, ""),
        ):
            self.assertEqual(read_status(data), status, data)

    def test_identified(self) -> None:
        for data, id_ in (
            ("u1", "u1"),
            ({"id": "u1"}, "u1"),
            ({"id": 7}, "7"),
            ({"address": "a", "port": 1}, "a:1"),
            ({"address": "a"}, ""),
            ([], ""),
            (7, ""),
        ):
            self.assertEqual(identified(data), id_)

    def test_written(self) -> None:
        """What we tell others, they read as it was; as old as it is."""
        data = {
            "id": "u1",
            "service": "users",
            "address": "::1",
            "port": 1,
            "weight": 3,
            "zone": "a",
            "metadata": {"x": "y"},
        }
        first = read_instance(data, "h2c", "x")
        again = read_instance(json.loads(json.dumps(written(first, 4.0))), "http", "x")
        self.assertEqual((again.named, again.id, again.service, again.age_s), (first.named, "u1", "users", 4.0))


KEYS = st.sampled_from(
    ["id", "service", "name", "address", "host", "port", "scheme", "weight", "zone", "metadata", "status", "ttl", "age"]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=6),
    max_leaves=12,
)


class AnythingTests(SynchronousTestCase):
    """Whatever somebody writes is an instance, or refused."""

    @settings(max_examples=500, deadline=None)
    @given(JSON | st.dictionaries(KEYS, JSON, max_size=10))
    def test_any(self, data: Any) -> None:
        identified(data)
        read_status(data)
        try:
            found = read_instance(data, "http", "x")
        except Refused:
            return
        self.assertTrue(1 <= found.ttl_s <= 3600 and found.age_s >= 0 and 1 <= found.named.settings.weight <= 1000)
