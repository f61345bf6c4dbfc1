"""What ships, and what strangers bring. The texts for operators are in tests/golden/gateway/middleware.txt."""

import unittest
from typing import get_args

from edgegw.gateway.builtins import BALANCERS, MIDDLEWARE, Parts
from edgegw.middleware.header_rules import HEADER_RULES
from edgegw.testing.exchanges import make_exchange
from edgegw.testing.origin import Origin, cluster
from edgegw.upstream.balance.settings import Algorithm, BalanceSettings
from tests.gateway.foreign import POINTS, STAMP, point


class PartsTests(unittest.TestCase):
    def test_what_ships_has_a_name_each(self) -> None:
        self.assertEqual(len({part.name for part in MIDDLEWARE}), len(MIDDLEWARE))

    def test_every_balancer_that_can_be_said_is_there(self) -> None:
        self.assertEqual(sorted(get_args(Algorithm)), sorted(BALANCERS))

    def test_every_balancer_chooses(self) -> None:
        for by in BALANCERS:
            made = cluster(Origin(), Origin(), balance=BalanceSettings.model_validate(by))
            chosen = {made.selection().choose(make_exchange()) for _ in range(20)}
            self.assertLessEqual(chosen, set(made.endpoints))
            self.assertEqual(len(chosen), 1 if by == "consistent_hash" else 2, by)

    def test_hashing_is_built_as_it_is_said(self) -> None:
        """Each of key, table and factor can be seen in what is chosen."""
        for said, bound in (({"table": "ring"}, 13), ({"table": "ring", "factor": "0%"}, 40), ({}, 40)):
            settings = BalanceSettings.model_validate({"by": "consistent_hash", "key": "header:X-User", **said})
            made = cluster(*[Origin() for _ in range(4)], balance=settings)
            users = [make_exchange(headers=[(b"X-User", b"%d" % user)]) for user in range(50)]
            self.assertEqual(len({made.selection().choose(each) for each in users}), 4)
            for _ in range(40):
                found = made.selection().choose(make_exchange(headers=[(b"X-User", b"ann")]))
                assert found is not None
                found.in_flight += 1
            self.assertEqual(max(each.in_flight for each in made.endpoints), bound)

    def test_names(self) -> None:
        names = Parts(POINTS).names
        self.assertEqual(names, sorted(names))
        self.assertLessEqual({"stamp", "headers", "gone"}, set(names))

    def test_an_entry_point_is_loaded_when_it_is_named(self) -> None:
        parts = Parts([point("stamp", "foreign:STAMP"), point("gone", "no_such_module:PART")])
        self.assertIs(parts.middleware("stamp"), STAMP)
        self.assertIs(parts.middleware("stamp"), STAMP)
        self.assertRaises(ImportError, parts.middleware, "gone")
        self.assertRaises(LookupError, parts.middleware, "other")

    def test_the_names_of_what_ships_are_taken(self) -> None:
        self.assertIs(Parts([point("headers", "foreign:STAMP")]).middleware("headers"), HEADER_RULES)

    def test_found_twice_is_one(self) -> None:
        """Installed, and in the working folder."""
        self.assertIs(Parts([point("stamp", "foreign:STAMP")] * 2).middleware("stamp"), STAMP)

    def test_two_of_one_name(self) -> None:
        with self.assertRaisesRegex(TypeError, "both bring one of this name"):
            Parts([point("stamp", "foreign:STAMP"), point("stamp", "foreign:OTHER")]).middleware("stamp")

    def test_a_lookup_error_of_theirs_is_not_ours(self) -> None:
        """Their KeyError on import must not read as `there is no such middleware`."""

        class Point:
            name, value, dist = "bad", "bad:PART", None

            def load(self) -> None:
                raise KeyError("HOME")

        with self.assertRaisesRegex(ImportError, "KeyError"):
            Parts([Point()]).middleware("bad")  # type: ignore[list-item]
