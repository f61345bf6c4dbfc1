"""Where the application log goes."""

import os
import tempfile
import unittest
from pathlib import Path

from edgegw.gateway.logplace import LogPlace


class LogPlaceTests(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = Path(folder.name) / "gw.log"

    def test_standard_streams(self) -> None:
        self.assertEqual((LogPlace().fd, LogPlace("stdout").fd), (2, 1))
        LogPlace().reopen()

    def test_a_file_is_appended_to(self) -> None:
        self.path.write_text("a")
        place = LogPlace(str(self.path))
        self.addCleanup(os.close, place.fd)
        os.write(place.fd, b"b")
        self.assertEqual(self.path.read_text(), "ab")

    def test_rotation(self) -> None:
        """The descriptor stays, the file is another; nothing is left open."""
        place = LogPlace(str(self.path))
        self.addCleanup(os.close, place.fd)
        os.write(place.fd, b"old")
        moved = self.path.rename(self.path.with_suffix(".1"))
        before = len(os.listdir("/proc/self/fd"))
        place.reopen()
        os.write(place.fd, b"new")
        self.assertEqual((moved.read_text(), self.path.read_text()), ("old", "new"))
        self.assertEqual(len(os.listdir("/proc/self/fd")), before)
        self.assertFalse(os.get_inheritable(place.fd))

    def test_what_cannot_be_reopened_is_kept(self) -> None:
        place = LogPlace(str(self.path))
        self.addCleanup(os.close, place.fd)
        moved = self.path.rename(self.path.with_suffix(".1"))
        self.path.mkdir()
        self.assertRaises(OSError, place.reopen)
        os.write(place.fd, b"still")
        self.assertEqual(moved.read_text(), "still")

    def test_no_such_folder(self) -> None:
        self.assertRaises(OSError, LogPlace, "/no/such/folder/x.log")
