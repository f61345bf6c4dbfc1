"""Snapshots: when two are the same, and how one is shown."""

import dataclasses
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from edgegw.gateway.loading import provision, read
from edgegw.gateway.snapshot import Snapshot
from tests.gateway.fakes import SHOP


class SnapshotTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="edgegw-snap-"))
        self.addCleanup(shutil.rmtree, self.folder)

    def made(self, text: str = SHOP) -> Snapshot:
        path = self.folder / "shop.yaml"
        path.write_text(text)
        return provision(read(path))

    def test_same_texts_are_the_same_whenever_they_were_read(self) -> None:
        first, second = self.made(), replace(self.made(), number=7)
        self.assertTrue(first.is_same_as(second))

    def test_each_is_itself(self) -> None:
        """Two of the same configuration serve different exchanges, and can be kept apart in a set."""
        snapshot = self.made()
        self.assertEqual(len({snapshot, replace(snapshot)}), 2)

    def test_another_text_is_another_one(self) -> None:
        self.assertFalse(self.made().is_same_as(self.made(SHOP.replace("weight: 3", "weight: 4"))))

    def test_other_watched_files_are_another_one(self) -> None:
        """The same text may name a certificate that was renewed."""
        snapshot = self.made()
        self.assertFalse(snapshot.is_same_as(replace(snapshot, files_digest=b"renewed")))

    def test_shown(self) -> None:
        snapshot = replace(self.made(), number=3)
        digest = snapshot.document.digest[:12]
        self.assertEqual(repr(snapshot), f"<Snapshot 3 {digest} 3 routes, 1 upstreams, 1 listeners>")

    def test_not_accepted_yet(self) -> None:
        self.assertEqual(self.made().number, 0)

    def test_nobody_changes_one(self) -> None:
        """An exchange under way must not see another configuration."""
        with self.assertRaises(dataclasses.FrozenInstanceError):
            self.made().number = 2  # type: ignore[misc]
