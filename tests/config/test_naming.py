"""What things in lists are called."""

import unittest

from edgegw.config.naming import name_of, singular
from tests.config.sample import Endpoint, Match, Route


class NamingTests(unittest.TestCase):
    def test_plain_data(self) -> None:
        table: list[tuple[object, str | None]] = [
            ({"name": "n", "match": "/x"}, "n"),
            ({"match": "GET /x"}, "GET /x"),
            ({"match": {"host": "h", "path": "/p", "methods": ["GET", "PUT"]}}, "GET|PUT h/p"),
            ({"port": 80}, "80"),
            ({"port": "x"}, None),
            ({"port": True, "match": ["x"]}, None),
            ({"url": "http://a"}, "http://a"),
            ({}, None),
            ("http://a", "http://a"),
            (5, None),
        ]
        for item, name in table:
            with self.subTest(item=item):
                self.assertEqual(name_of(item), name)

    def test_settings(self) -> None:
        self.assertEqual(name_of(Route(match=Match(path="/x", host="h"))), "h/x")
        self.assertEqual(name_of(Endpoint(url="http://a")), "http://a")

    def test_singular(self) -> None:
        self.assertEqual(
            [singular(word) for word in ("routes", "listen", "auth", "access")], ["route", "listener", "auth", "access"]
        )
