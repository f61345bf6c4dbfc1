"""Walking the keys of the language."""

import unittest

from edgegw.config.keys import Place, keys_of
from tests.config.sample import Config


class KeysTests(unittest.TestCase):
    def setUp(self) -> None:
        self.keys = keys_of(Config)

    def test_place_of_a_loc(self) -> None:
        place = self.keys.place(("upstreams", "users", "pool", "max"))
        self.assertEqual((place.dotted, place.kinds), ("upstreams.pool.max", ("field", "name", "field", "field")))
        place = self.keys.place(("routes", 3, "to", 0, "weight"))
        self.assertEqual((place.dotted, place.kinds), ("routes.to.weight", ("field", "item", "field", "item", "field")))
        self.assertEqual(self.keys.place(("routes", 3, "limt")).kinds[-1], "unknown")

    def test_find(self) -> None:
        table = {
            "upstreams.pool.max": "upstreams.pool.max",
            "upstreams.*.pool.max": "upstreams.pool.max",
            "upstreams.users.pool": "upstreams.pool",
            "upstreams.users": "upstreams",
            "routes.0.match": "routes.match",
            "routes.to.weight": "routes.to.weight",
        }
        for key, path in table.items():
            with self.subTest(key=key):
                found = self.keys.find(key.split("."))
                self.assertEqual(found.dotted if isinstance(found, Place) else found, path)
                self.assertIsInstance(found, Place)

    def test_find_says_what_is_unknown(self) -> None:
        table = {
            "rotes": "rotes",
            "upstreams.pol.max": "upstreams.pol",
            "routes.limt": "routes.limt",
            "workers.x.y": "workers.x",
        }
        for key, unknown in table.items():
            with self.subTest(key=key):
                self.assertEqual(self.keys.find(key.split(".")), unknown)
