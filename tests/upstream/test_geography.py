"""Tests of edgegw.upstream.geography."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from edgegw.config.problems import Problems
from edgegw.exchange.model import Exchange
from edgegw.net.addresses import CidrSet
from edgegw.net.geo import LOOK_S, GeoDatabases
from edgegw.upstream.geography import EARTH_KM, Geography, distance_km
from edgegw.upstream.tiers import GeoSettings
from tests.net.test_geo import build
from tests.upstream.choosing import Choosing, client

PLACES = {"eu": [50.1, 8.7], "us": [39.0, -77.5], "asia": [35.7, 139.7]}
REGIONS = {"GB": ["eu", "us"], "US": ["us", "us"], "JP": ["asia"]}


def behind(address: str, *headers: tuple[bytes, bytes], trusted: bool) -> Exchange:
    """An exchange that came by a proxy."""
    exchange = client(address, *headers)
    networks = ("192.0.2.0/24",) if trusted else ()
    exchange.connection.listener.__dict__.update(SimpleNamespace(trusted=CidrSet(networks)).__dict__)
    return exchange


class GeographyTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        build(self.folder / "geo.mmdb")
        self.databases = GeoDatabases(self.clock)
        self.problems = Problems().under("upstreams", "shop", "balance", "tiers", "geo")

    def _load(self, **said: Any) -> Geography:
        settings = GeoSettings.model_validate({"database": "geo.mmdb", **said})
        made = Geography.load(settings, self.databases, self.problems, self.folder)
        assert made is not None, list(self.problems)
        return made

    def _order(self, geography: Geography, address: str) -> tuple[str, ...]:
        return geography.order(client(address))

    def test_by_country(self) -> None:
        geography = self._load(regions=REGIONS, default=["us"])
        rows = {
            "81.2.69.1": ("eu", "us"),
            "203.0.113.1": ("us",),
            "198.51.100.1": ("asia",),
            # A country without a preference, and addresses of which nothing is known.
            "2.125.160.1": ("us",),
            "10.0.0.1": ("us",),
            "9.9.9.9": ("us",),
            "unix": ("us",),
        }
        for address, order in rows.items():
            self.assertEqual(self._order(geography, address), order, address)
        self.assertEqual(self._order(self._load(regions=REGIONS), "9.9.9.9"), ())

    def test_nearest(self) -> None:
        geography = self._load(regions={"JP": ["us"]}, nearest=True, places=PLACES, default=["asia"])
        rows = {
            # Frankfurt.
            "2.125.160.1": ("eu", "us", "asia"),
            # What `regions` says comes first.
            "198.51.100.1": ("us",),
            # No coordinates.
            "81.2.69.1": ("asia",),
        }
        for address, order in rows.items():
            self.assertEqual(self._order(geography, address), order, address)

    def test_networks_come_first_and_the_longest_wins(self) -> None:
        networks = {"81.2.0.0/16": ["asia"], "81.2.69.0/24": ["us"], "10.0.0.0/8": ["eu"]}
        geography = self._load(regions=REGIONS, networks=networks)
        rows = {"81.2.69.1": ("us",), "81.2.1.1": ("asia",), "10.1.1.1": ("eu",), "198.51.100.1": ("asia",), "unix": ()}
        for address, order in rows.items():
            self.assertEqual(self._order(geography, address), order, address)

    def test_the_header_is_believed_of_a_trusted_proxy_only(self) -> None:
        geography = self._load(regions=REGIONS, header="CF-IPCountry")
        said = (b"CF-IPCountry", b"jp")
        self.assertEqual(geography.order(behind("81.2.69.1", said, trusted=True)), ("asia",))
        self.assertEqual(geography.order(behind("81.2.69.1", said, trusted=False)), ("eu", "us"))
        for value in (b"XX", b"Japan", b"", b"1P", b"\xe4\xe4", b"T1"):
            wrong = (b"CF-IPCountry", value)
            self.assertEqual(geography.order(behind("81.2.69.1", wrong, trusted=True)), ("eu", "us"), str(value))
        both = behind("81.2.69.1", said, (b"CF-IPCountry", b"US"), trusted=True)
        self.assertEqual(geography.order(both), ("eu", "us"))

    def test_a_header_needs_no_database(self) -> None:
        geography = self._load(database=None, header="CF-IPCountry", regions=REGIONS)
        self.assertEqual(geography.order(behind("81.2.69.1", (b"CF-IPCountry", b"JP"), trusted=True)), ("asia",))
        self.assertEqual(geography.order(behind("81.2.69.1", trusted=True)), ())
        geography.tick()

    def test_problems(self) -> None:
        self.assertIsNone(Geography.load(None, self.databases, self.problems, self.folder))
        self.assertEqual(list(self.problems), [])
        (self.folder / "bad.mmdb").write_bytes(b"junk")
        for name, words in (("none.mmdb", "No such file"), ("bad.mmdb", "MaxMind format")):
            problems = Problems().under("upstreams", "shop", "balance", "tiers", "geo")
            settings = GeoSettings.model_validate({"database": name})
            self.assertIsNone(Geography.load(settings, self.databases, problems, self.folder))
            (problem,) = problems
            self.assertEqual(problem.loc, ("upstreams", "shop", "balance", "tiers", "geo", "database"))
            self.assertIn(f"{name} ", problem.message)
            self.assertIn(words, problem.message)
            self.assertTrue(problem.hint)

    def test_a_change_of_the_database_reaches_the_choice_and_damage_does_not(self) -> None:
        geography = self._load(regions=REGIONS, default=["us"])
        choosing = Choosing(geography)
        for zone in PLACES:
            choosing.add(zone, zone=zone)
        path = self.folder / "geo.mmdb"

        def found() -> set[str]:
            return set(choosing.choices(6, lambda: client("81.2.69.1")))

        self.assertEqual(found(), {"eu"})
        path.write_bytes(b"junk")
        self._later(geography)
        self.assertEqual(found(), {"eu"})
        again = self._load(regions=REGIONS)
        self.assertIs(again.database, geography.database)
        (warning,) = self.problems
        self.assertEqual(warning.severity, "warning")
        build(path, {"81.2.69.0/24": {"country": {"iso_code": "JP"}}})
        self._later(geography)
        self.assertEqual(found(), {"asia"})

    def _later(self, geography: Geography) -> None:
        for _ in range(3):
            self.clock.advance(LOOK_S)
            geography.tick()

    def test_repr(self) -> None:
        self.assertIn("3 countries", repr(self._load(regions=REGIONS)))


DEGREES = st.tuples(st.floats(-90, 90), st.floats(-180, 180))


class DistanceTests(SynchronousTestCase):
    def test_known_ones(self) -> None:
        rows = (
            ((50.1, 8.7), (39.0, -77.5), 6530),
            ((51.5, -0.1), (48.9, 2.4), 340),
            # Across the date line.
            ((0.0, 179.5), (0.0, -179.5), 111),
            ((90.0, 0.0), (-90.0, 0.0), 20015),
        )
        for here, there, expected in rows:
            self.assertLess(abs(distance_km(here, there) - expected), expected * 0.01, (here, there))

    @given(DEGREES, DEGREES)
    def test_goes_both_ways_and_not_beyond_the_other_side(
        self, here: tuple[float, float], there: tuple[float, float]
    ) -> None:
        found = distance_km(here, there)
        self.assertAlmostEqual(found, distance_km(there, here), 3)
        self.assertTrue(0 <= found <= EARTH_KM * 3.1416)
        self.assertLess(distance_km(here, here), 1e-3)
