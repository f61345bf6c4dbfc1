"""Which file a path names, without a request around it; answers with files are in test_files."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from edgegw.targets.folder import MAX_NAME, Folder, IsFolder

MTIME_NS = 1_700_000_000_123_456_789


class Case(SynchronousTestCase):
    def setUp(self) -> None:
        self.top = Path(self.mktemp()).absolute()
        self.root = self.top / "www"
        for name in (
            "www/a.txt", "www/index.html", "www/docs/index.html", "www/docs/b.txt", "www/bare/c", "www/.hidden", "www/.git/config",
            "www/.well-known/x", "www/docs/.well-known/x", "www/.well-known.txt", "www/100%.txt", "outside", "www-twin/d",
        ):  # fmt: skip
            (self.top / name).parent.mkdir(parents=True, exist_ok=True)
            (self.top / name).write_text(name)
        for link, target in (
            ("in", "docs/b.txt"),
            ("out", "../outside"),
            ("twin", "../www-twin"),
            ("up", ".."),
            ("loop", "loop"),
        ):
            os.symlink(target, self.root / link)
        os.symlink("../../outside", self.root / "bare" / "index.html")
        os.mkfifo(self.root / "fifo")
        self.folder = Folder(self.root, "index.html")

    def read(self, path: str, folder: Folder | None = None) -> str | None:
        """What a path names: the text of a file, `folder`, or None. The descriptor is closed."""
        found = (folder or self.folder).open(path)
        if found is None or isinstance(found, IsFolder):
            return found if found is None else "folder"
        try:
            data = os.read(found.descriptor, 1000)
            self.assertEqual(found.size, len(data))
            return data.decode()
        finally:
            os.close(found.descriptor)

    def descriptors(self) -> int:
        return len(os.listdir("/proc/self/fd"))


class FindingTests(Case):
    def test_what_is_there(self) -> None:
        for path, wanted in (
            ("a.txt", "www/a.txt"),
            ("", "www/index.html"),
            ("docs/", "www/docs/index.html"),
            ("docs", "folder"),
            ("bare", "folder"),
            ("%61.txt", "www/a.txt"),
            ("100%25.txt", "www/100%.txt"),
            ("in", "www/docs/b.txt"),
            (".well-known/x", "www/.well-known/x"),
        ):
            self.assertEqual(self.read(path), wanted, path)

    def test_what_is_not(self) -> None:
        before = self.descriptors()
        for path in (
            "none", "none/", "a.txt/", "a.txt/b", "A.TXT", "bare/", "docs//b.txt", "/a.txt", "//", ".hidden", ".git/config", ".git",
            "%2egit/config",
            "docs/.well-known/x", ".well-known.txt", "%2ewell-known/x", ".well-known/.hidden", "..", "../outside", "%2e%2e/outside",
            "docs/../a.txt", "./a.txt", "docs%2fb.txt", "docs%5cb.txt", "docs\\b.txt", "a.txt%00", "a.txt%0a", "a.txt%7f", "fifo",
            "fifo/",
            "out", "twin/d", "twin", "twin/", "up", "up/", "up/outside", "loop", "loop/", "a" * (MAX_NAME + 1), "a/" * 3000, "%ff",
        ):  # fmt: skip
            self.assertIsNone(self.read(path), path)
        self.assertEqual(self.descriptors(), before)

    def test_the_longest_name(self) -> None:
        (self.root / ("n" * MAX_NAME)).write_text("long")
        self.assertEqual(self.read("n" * MAX_NAME), "long")

    def test_names_that_are_not_text(self) -> None:
        Path(os.fsdecode(os.fsencode(self.root) + b"/\xff")).write_text("odd")
        self.assertEqual(self.read("%ff"), "odd")

    @given(
        st.lists(
            st.sampled_from(["..", "%2e%2e", ".", "docs", "up", "out", "twin", "outside", "d", "", "%2f", "a.txt"]),
            max_size=5,
        )
    )
    def test_no_path_leads_out(self, pieces: list[str]) -> None:
        path = "/".join(pieces)
        text = self.read(path)
        self.assertTrue(text is None or text == "folder" or text.startswith("www/"), (path, text))
        if re.search(r"\.\.|%2e|%2f", path):
            self.assertIsNone(text)


class FileTests(Case):
    def test_facts(self) -> None:
        os.utime(self.root / "docs/b.txt", ns=(0, MTIME_NS))
        found = self.folder.open("in")
        assert found is not None and not isinstance(found, IsFolder)
        self.addCleanup(os.close, found.descriptor)
        self.assertEqual((found.size, found.modified_ns, found.name), (len("www/docs/b.txt"), MTIME_NS, "in"))
        self.assertFalse(os.get_inheritable(found.descriptor))

    def test_a_folder_is_named_by_its_index(self) -> None:
        found = self.folder.open("docs/")
        assert found is not None and not isinstance(found, IsFolder)
        os.close(found.descriptor)
        self.assertEqual(found.name, "index.html")

    def test_another_index(self) -> None:
        folder = Folder(self.root, "b.txt")
        self.assertEqual((self.read("docs/", folder), self.read("", folder)), ("www/docs/b.txt", None))

    def test_no_permission_is_not_there(self) -> None:
        def refuse(*_: object) -> int:
            raise PermissionError(13, "no")

        self.patch(os, "open", refuse)
        self.assertIsNone(self.folder.open("a.txt"))


class RootTests(Case):
    def test_a_link_that_moves(self) -> None:
        link = self.top / "current"
        folder = Folder(link, "index.html")
        self.assertIsNone(folder.open(""))
        os.symlink("www/docs", link)
        self.assertEqual(self.read("b.txt", folder), "www/docs/b.txt")
        link.unlink()
        os.symlink("www-twin", link)
        self.assertEqual((self.read("b.txt", folder), self.read("d", folder)), (None, "www-twin/d"))

    def test_the_whole_file_system(self) -> None:
        """`/` has a slash at its end that other roots do not have."""
        # Not below trial's own folder: that may lie under a dotted one, which is never served.
        place = Path(tempfile.mkdtemp(prefix="edgegw-files-"))
        self.addCleanup(shutil.rmtree, place)
        (place / "a.txt").write_text("here")
        self.assertEqual(self.read(str(place / "a.txt").lstrip("/"), Folder(Path("/"), "index.html")), "here")
