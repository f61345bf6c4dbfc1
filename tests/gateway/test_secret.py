"""The secret in the state folder."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from edgegw.gateway.secret import NAME, SIZE, kept_secret


class SecretTests(SynchronousTestCase):
    def setUp(self) -> None:
        folder = Path(tempfile.mkdtemp(prefix="edgegw-secret-"))
        self.addCleanup(shutil.rmtree, folder)
        self.state = folder / "state"

    def test_outlives_the_process(self) -> None:
        made = kept_secret(self.state)
        self.assertEqual(len(made), SIZE)
        self.assertEqual(kept_secret(self.state), made)
        self.assertEqual((self.state / NAME).stat().st_mode & 0o777, 0o600)
        self.assertEqual(self.state.stat().st_mode & 0o777, 0o700)

    def test_one_that_is_too_short_is_replaced(self) -> None:
        kept_secret(self.state)
        (self.state / NAME).write_bytes(b"short")
        made = kept_secret(self.state)
        self.assertEqual((len(made), (self.state / NAME).read_bytes()), (SIZE, made))

    def test_a_place_that_will_not_do(self) -> None:
        self.state.parent.joinpath("state").write_text("a file")
        self.assertEqual(len(kept_secret(self.state)), SIZE)
        self.assertNotEqual(kept_secret(self.state), kept_secret(self.state))

    def test_another_process_is_faster(self) -> None:
        self.state.mkdir(mode=0o700)
        theirs = b"t" * SIZE

        def slow(size: int) -> bytes:
            (self.state / NAME).write_bytes(theirs)
            return os.urandom(size)

        self.assertEqual(kept_secret(self.state, slow), theirs)
