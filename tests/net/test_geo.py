"""Tests of edgegw.net.geo."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable
from pathlib import Path
from threading import get_ident
from typing import Any, cast
from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st
from mmdb_writer import MMDBWriter
from netaddr import IPSet
from twisted.internet.interfaces import IReactorThreads
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from edgegw.net import geo
from edgegw.net.geo import LOOK_S, NOWHERE, GeoDatabase, GeoDatabases, GeoUnreadable, Place, place_of, read

FRANKFURT = {
    "country": {"iso_code": "DE", "names": {"en": "Germany"}},
    "location": {"latitude": 50.1, "longitude": 8.7, "time_zone": "Europe/Berlin"},
}
ROWS = {
    "81.2.69.0/24": {"country": {"iso_code": "GB"}},
    "2.125.160.0/20": FRANKFURT,
    "203.0.113.0/24": {"registered_country": {"iso_code": "US"}},
    "198.51.100.0/24": {"country_code": "JP", "latitude": 35.7, "longitude": 139.7},
    "2001:db8::/32": {"country": {"iso_code": "SE"}},
}


def build(path: Path, rows: dict[str, Any] = ROWS, version: int = 6) -> bytes:
    """Write a database."""
    writer = MMDBWriter(version, "Test-City", ipv4_compatible=version == 6, float_type="f64")
    for network, record in rows.items():
        writer.insert_network(IPSet([network]), record)
    writer.to_db_file(str(path))
    return path.read_bytes()


@implementer(IReactorThreads)
class Threaded(Clock):
    """A clock whose threads are run by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.work: list[Callable[[], object]] = []

    def getThreadPool(self) -> Any:
        return self

    def callInThreadWithCallback(self, told: Any, work: Any, *args: Any) -> None:
        def run() -> None:
            try:
                told(True, work(*args))
            except Exception:
                from twisted.python.failure import Failure

                told(False, Failure())

        self.work.append(run)

    def callFromThread(self, call: Any, *args: Any) -> None:
        call(*args)


class GeoCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.path = Path(self.mktemp())
        self.data = build(self.path)
        self.looked = 0

    def rewrite(self, data: bytes) -> None:
        """In place, as `cp` does; the time is another one for sure."""
        self.path.write_bytes(data)
        self.looked += 1
        os.utime(self.path, (self.looked, self.looked))

    def later(self, database: GeoDatabase, looks: int = 3) -> None:
        for _ in range(looks):
            self.clock.advance(LOOK_S)
            database.tick()


class PlaceTests(GeoCase):
    def test_every_shape_of_a_record(self) -> None:
        database = GeoDatabase(self.path, self.clock)
        rows = {
            "81.2.69.142": Place("GB"),
            "2.125.160.216": Place("DE", 50.1, 8.7),
            "203.0.113.9": Place("US"),
            "198.51.100.1": Place("JP", 35.7, 139.7),
            "2001:db8::1": Place("SE"),
        }
        for address, place in rows.items():
            self.assertEqual(database.place(address), place, address)

    def test_nowhere(self) -> None:
        database = GeoDatabase(self.path, self.clock)
        for address in ("127.0.0.1", "10.0.0.1", "::1", "2001:db9::1", "unix", "", "1.2.3", "8.8.8.8\n", "a" * 5000):
            self.assertEqual(database.place(address), NOWHERE, address)

    def test_an_address_of_the_other_family(self) -> None:
        build(self.path, {"81.2.69.0/24": {"country": {"iso_code": "GB"}}}, version=4)
        database = GeoDatabase(self.path, self.clock)
        self.assertEqual(database.place("81.2.69.1"), Place("GB"))
        self.assertEqual(database.place("2001:db8::1"), NOWHERE)

    def test_records_that_say_nothing(self) -> None:
        for record in (
            {},
            {"country": {}},
            {"country": {"iso_code": 5}},
            {"country": {"iso_code": "Germany"}},
            {"country": ["DE"]},
            {"location": {"latitude": 91.0, "longitude": 0.0}},
            {"location": {"latitude": 50.0}},
            {"latitude": "50", "longitude": "8"},
            {"latitude": float("nan"), "longitude": 0.0},
        ):
            self.assertEqual(place_of(cast(Any, record)), NOWHERE, str(record))

    def test_answers_are_remembered_and_bounded(self) -> None:
        database = GeoDatabase(self.path, self.clock)
        with patch.object(geo, "place_of", side_effect=place_of) as asked:
            for _ in range(3):
                database.place("81.2.69.1")
        self.assertEqual(asked.call_count, 1)
        self.assertEqual(cast(Any, database.place).cache_info().maxsize, geo.MEMO)


class DamageTests(GeoCase):
    def test_what_cannot_be_read(self) -> None:
        folder = Path(self.mktemp())
        folder.mkdir()
        for path, words in ((folder / "none.mmdb", "No such file"), (folder, "directory")):
            error = self.assertRaises(GeoUnreadable, read, path)
            self.assertIn(words, str(error))
        for data in (b"", b"junk" * 1000, self.data[: len(self.data) // 2], self.data[len(self.data) // 2 :]):
            self.rewrite(data)
            error = self.assertRaises(GeoUnreadable, GeoDatabase, self.path, self.clock)
            self.assertIn("MaxMind format", str(error))
            self.assertNotIn("/proc", str(error))

    def test_a_tree_that_leads_nowhere(self) -> None:
        """Its metadata is whole."""
        self.rewrite(b"\xff" * 200 + self.data[200:])
        self.assertRaises(GeoUnreadable, GeoDatabase, self.path, self.clock)

    def test_too_large(self) -> None:
        with patch.object(geo, "LARGEST", 10):
            self.assertIn("larger", str(self.assertRaises(GeoUnreadable, read, self.path)))

    @settings(max_examples=300, deadline=None)
    @given(st.integers(0, 10_000), st.binary(min_size=1, max_size=64))
    def test_damage_never_raises_anything_else(self, at: int, junk: bytes) -> None:
        at %= len(self.data)
        path = self.path.with_suffix(".damaged")
        path.write_bytes(self.data[:at] + junk + self.data[at + len(junk) :])
        try:
            database = GeoDatabase(path, self.clock)
        except GeoUnreadable:
            return
        for address in ("81.2.69.142", "2.125.160.216", "198.51.100.1", "2001:db8::1", "9.9.9.9"):
            self.assertIsInstance(database.place(address), Place)


class ReloadTests(GeoCase):
    def test_a_change_is_read(self) -> None:
        database = GeoDatabase(self.path, self.clock)
        self.assertEqual(database.place("81.2.69.1").country, "GB")
        build(self.path, {"81.2.69.0/24": {"country": {"iso_code": "FR"}}})
        self.rewrite(self.path.read_bytes())
        self.later(database)
        self.assertEqual(database.place("81.2.69.1").country, "FR")

    def test_a_damaged_one_keeps_the_old_one(self) -> None:
        database = GeoDatabase(self.path, self.clock)
        self.rewrite(self.data[:100])
        with patch.object(geo._log, "warn") as warned:
            self.later(database, 10)
        self.assertEqual(warned.call_count, 1)
        self.assertEqual(database.place("81.2.69.1").country, "GB")
        self.assertIn("MaxMind format", database.failure)
        self.assertIn("out of date", repr(database))
        self.path.unlink()
        self.later(database)
        self.assertEqual(database.place("81.2.69.1").country, "GB")
        self.assertIn("No such file", database.failure)
        self.rewrite(self.data)
        self.later(database)
        self.assertEqual((database.failure, database.place("81.2.69.1").country), ("", "GB"))

    def test_it_is_not_read_while_it_is_written(self) -> None:
        database = GeoDatabase(self.path, self.clock)
        for size in range(10, 100, 10):
            self.rewrite(self.data[:size])
            self.later(database, 1)
            self.assertEqual(database.failure, "")
        self.rewrite(self.data)
        self.later(database, 1)
        self.assertEqual(database.failure, "")
        self.later(database, 1)
        self.assertEqual(database.failure, "")

    def test_nothing_is_read_when_nothing_changed(self) -> None:
        database = GeoDatabase(self.path, self.clock)
        with patch.object(geo, "read", side_effect=AssertionError) as asked:
            self.later(database, 20)
        self.assertEqual(asked.call_count, 0)

    def test_it_looks_now_and_then(self) -> None:
        database = GeoDatabase(self.path, self.clock)
        with patch.object(geo, "_signature", side_effect=geo._signature) as looked:
            for _ in range(100):
                self.clock.advance(0.1)
                database.tick()
        self.assertLessEqual(looked.call_count, 10 / LOOK_S + 1)

    def test_it_is_read_in_a_thread(self) -> None:
        self.clock = Threaded()
        database = GeoDatabase(self.path, self.clock)
        build(self.path, {"81.2.69.0/24": {"country": {"iso_code": "FR"}}})
        self.rewrite(self.path.read_bytes())
        self.later(database, 5)
        self.assertEqual(database.place("81.2.69.1").country, "GB")
        self.assertEqual(len(self.clock.work), 1, get_ident())
        self.clock.work.pop()()
        self.assertEqual(database.place("81.2.69.1").country, "FR")

    def test_a_fault_in_the_thread_does_not_end_it(self) -> None:
        self.clock = Threaded()
        database = GeoDatabase(self.path, self.clock)
        for data in (b"junk", self.data):
            self.rewrite(data)
            self.later(database, 3)
            self.clock.work.pop()()
        self.assertEqual(database.failure, "")


class GeoDatabasesTests(GeoCase):
    def test_each_file_once(self) -> None:
        databases = GeoDatabases(self.clock)
        database = databases.open(self.path)
        self.rewrite(b"junk")
        self.assertIs(databases.open(self.path), database)
        self.assertIn("Test-City", repr(databases))
        del database
        gc.collect()
        self.assertRaises(GeoUnreadable, databases.open, self.path)
