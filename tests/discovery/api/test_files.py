"""Files that credentials are in."""

from __future__ import annotations

import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from edgegw.discovery.api.errors import CredentialsError
from edgegw.discovery.api.files import read_text, signature


class FileTests(SynchronousTestCase):
    """In a folder of their own."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir(parents=True)
        self.path = self.folder / "token"

    def test_read(self) -> None:
        self.path.write_bytes("é\n".encode())
        self.assertEqual(read_text(self.path), "é\n")
        self.path.write_bytes(b"x" * 1024 * 1024)
        self.assertEqual(len(read_text(self.path)), 1024 * 1024)

    def test_of_no_use(self) -> None:
        for content, words in ((b"x" * (1024 * 1024 + 1), "larger than 1 MiB"), (b"\xff", "it is not text")):
            self.path.write_bytes(content)
            self.assertIn(words, str(self.assertRaises(CredentialsError, read_text, self.path)))
        self.path.unlink()
        self.assertIn("No such file", str(self.assertRaises(CredentialsError, read_text, self.path)))

    def test_signature(self) -> None:
        """Another one for other content, another file, and none; the same one otherwise."""
        seen = [signature([self.path])]
        self.path.write_text("one")
        os.utime(self.path, ns=(1, 1))
        seen.append(signature([self.path]))
        self.assertEqual(signature([self.path]), seen[-1])
        os.utime(self.path, ns=(2, 2))
        seen.append(signature([self.path]))
        other = self.folder / "other"
        other.write_text("two")
        os.utime(other, ns=(2, 2))
        os.replace(other, self.path)
        seen.append(signature([self.path]))
        self.assertEqual(len(set(seen)), 4)
        self.assertEqual(signature([]), ())
