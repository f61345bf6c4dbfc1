"""Tests of edgegw.discovery.snapshots."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.trial.unittest import SynchronousTestCase

from edgegw.discovery.snapshots import KEPT_S, Snapshot, SnapshotFile
from edgegw.upstream.advice import Advice
from tests.discovery.doubles import WALL_S, a, named

FULL = (*a(1), *named("https://h:1", weight=7, zone="z", tier=2, meta={"a": "b"}, held="critical"))

BROKEN = {
    "nothing": b"",
    "half": b'{"version":1,"source":"s","confirmed_at":',
    "no map": b"[]",
    "another version": b'{"version":2,"source":"s","confirmed_at":0,"endpoints":[]}',
    "no endpoints": b'{"version":1,"source":"s","confirmed_at":0}',
    "odd endpoints": b'{"version":1,"source":"s","confirmed_at":0,"endpoints":[1]}',
    "odd advice": b'{"version":1,"source":"s","confirmed_at":0,"endpoints":[],"advice":7}',
    "odd time": b'{"version":1,"source":"s","confirmed_at":"x","endpoints":[]}',
    "endless time": b'{"version":1,"source":"s","confirmed_at":1' + b"0" * 400 + b',"endpoints":[]}',
    "no text": b"\xff\xfe",
    "deep": b"[" * 100_000,
}


class SnapshotTests(SynchronousTestCase):
    """Written and read."""

    def setUp(self) -> None:
        self.file = SnapshotFile(Path(self.mktemp()) / "discovery", "u")

    def save(self, confirmed_at: float = WALL_S) -> None:
        self.successResultOf(self.file.save(Snapshot("s", confirmed_at, FULL)))

    def test_round_trip(self) -> None:
        self.save()
        self.assertEqual(self.file.load("s", WALL_S), Snapshot("s", WALL_S, FULL))

    def test_advice(self) -> None:
        """What this version does not understand is left out."""
        advice = Advice(balance_by="random", health_every="2s")
        self.successResultOf(self.file.save(Snapshot("s", WALL_S, FULL, advice)))
        self.assertEqual(self.file.load("s", WALL_S), Snapshot("s", WALL_S, FULL, advice))
        data = json.loads(self.file.path.read_bytes())
        data["advice"] |= {"health-every": "1ms", "later": 1}
        self.file.path.write_text(json.dumps(data))
        self.assertEqual(self.file.load("s", WALL_S), Snapshot("s", WALL_S, FULL, Advice(balance_by="random")))
        del data["advice"]
        self.file.path.write_text(json.dumps(data))
        self.assertEqual(self.file.load("s", WALL_S), Snapshot("s", WALL_S, FULL))

    def test_modes(self) -> None:
        self.addCleanup(os.umask, os.umask(0))
        self.save()
        self.assertEqual(stat.S_IMODE(self.file.path.stat().st_mode), 0o600)
        self.assertEqual(stat.S_IMODE(self.file.path.parent.stat().st_mode), 0o700)
        self.assertEqual(os.listdir(self.file.path.parent), ["u.json"])

    def test_replaces(self) -> None:
        """Also what a killed process left half written."""
        self.save()
        self.file.path.with_name(".u.json.new").write_bytes(b"half")
        self.save(WALL_S + 1)
        found = self.file.load("s", WALL_S)
        assert found is not None
        self.assertEqual(found.confirmed_at, WALL_S + 1)

    def test_another_source(self) -> None:
        self.save()
        self.assertIsNone(self.file.load("t", WALL_S))

    def test_too_old(self) -> None:
        self.save()
        self.assertIsNotNone(self.file.load("s", WALL_S + KEPT_S))
        self.assertIsNone(self.file.load("s", WALL_S + KEPT_S + 1))

    def test_none(self) -> None:
        self.assertIsNone(self.file.load("s", WALL_S))

    def test_broken(self) -> None:
        self.save()
        for what, content in BROKEN.items():
            self.file.path.write_bytes(content)
            self.assertIsNone(self.file.load("s", WALL_S), what)

    def test_what_is_not_understood_is_left_out(self) -> None:
        """Of another version of the gateway, which had other keys."""
        self.save()
        data = json.loads(self.file.path.read_bytes())
        data["endpoints"][0]["later"] = 1
        self.file.path.write_text(json.dumps(data))
        found = self.file.load("s", WALL_S)
        assert found is not None
        self.assertEqual(found.named, FULL[1:])

    def test_disk_that_fails(self) -> None:
        self.file.path.parent.parent.write_text("a file, not a folder")
        self.save()
        self.save()
        self.assertIsNone(self.file.load("s", WALL_S))

    def test_in_a_thread(self) -> None:
        """Nothing is written before the thread runs."""
        later: list[tuple[object, Deferred[None]]] = []

        def in_thread(blocking: object) -> Deferred[None]:
            later.append((blocking, Deferred()))
            return later[-1][1]

        file = SnapshotFile(self.file.path.parent, "u", in_thread)
        saved = file.save(Snapshot("s", WALL_S, FULL))
        self.assertNoResult(saved)
        self.assertFalse(self.file.path.exists())
        blocking, done = later[0]
        maybeDeferred(blocking).chainDeferred(done)  # type: ignore[arg-type]
        self.successResultOf(saved)
        self.assertTrue(self.file.path.exists())
