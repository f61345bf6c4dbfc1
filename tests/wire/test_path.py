"""The path normaliser against the rows of trust.md A3.4 and against what lenient servers make of a path."""

from __future__ import annotations

import posixpath
from urllib.parse import unquote

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from edgegw.wire.path import (
    EscapedSlashes,
    NormalPath,
    PathError,
    check_query,
    is_plain,
    normalise,
    routing_segment,
    split_plain,
)
from edgegw.wire.reasons import REASONS
from tests.wire.tables import PATHS

PIECES = st.sampled_from(
    ["/", "/", "/", ".", "..", "a", "content", "blockedz", "%2e", "%2E", "%2f", "%5c", "%25", "%00", "%c0%ae", "%c3%a9",
     ";", ";x=1", "%3b", "%61", "~", "[", "%7e", "\\", "%", "%zz", " ", "#", "?", "\u00e9", "%0a", ":", "@", "%20"]
)  # fmt: skip
TARGETS = st.lists(PIECES, max_size=12).map(lambda pieces: "/" + "".join(pieces))
MODES: tuple[EscapedSlashes, ...] = ("reject", "redirect", "keep")


def outcome(raw: str, mode: EscapedSlashes = "reject") -> NormalPath | str:
    try:
        return normalise(raw, mode)
    except PathError as error:
        return error.reason


class RowTests(SynchronousTestCase):
    """The table."""

    def test_rows(self) -> None:
        for raw, normal, reason in PATHS:
            self.assertEqual(outcome(raw), reason or NormalPath(normal, None), raw)

    def test_reasons_are_explained(self) -> None:
        for _, _, reason in PATHS:
            if reason:
                self.assertIn(reason, REASONS)

    def test_bytes_are_read_as_latin_1(self) -> None:
        self.assertEqual(normalise(b"/a/../b").path, "/b")
        self.assertRaises(PathError, normalise, b"/\xc3\xa9")

    def test_escaped_slash_redirect(self) -> None:
        self.assertEqual(outcome("/a%2Fb", "redirect"), NormalPath("/a/b", "/a/b"))
        self.assertEqual(outcome("/public%2f..%2fadmin", "redirect"), NormalPath("/admin", "/admin"))
        self.assertEqual(outcome("/%2f%2fevil.example", "redirect"), NormalPath("/evil.example", "/evil.example"))
        self.assertEqual(outcome("/%2f..%2f..", "redirect"), "path_escapes_root")
        self.assertEqual(outcome("/a/b", "redirect"), NormalPath("/a/b", None))

    def test_escaped_slash_keep(self) -> None:
        self.assertEqual(outcome("/a%2fb", "keep"), NormalPath("/a%2Fb", None))
        self.assertEqual(outcome("/public%2f..%2fadmin", "keep"), "escaped_dot_segment")
        self.assertEqual(outcome("/public/x%2f%2e%2e", "keep"), "escaped_dot_segment")
        self.assertEqual(outcome("/public/x%2f..;y", "keep"), "escaped_dot_segment")

    def test_query(self) -> None:
        self.assertEqual(check_query("a[]=1&b=%zz|{}\"'<>\\^`?/"), "a[]=1&b=%zz|{}\"'<>\\^`?/")
        for query, reason in (
            ("a b", "bad_query"),
            ("a\x00", "bad_query"),
            ("\u00e9", "bad_query"),
            ("a#b", "fragment_in_target"),
        ):
            with self.assertRaises(PathError) as caught:
                check_query(query)
            self.assertEqual(caught.exception.reason, reason)

    def test_routing_segment(self) -> None:
        self.assertEqual([routing_segment(text) for text in ("a;x=1;y", "a", ";x", "")], ["a", "a", "", ""])

    def test_long_paths_take_linear_time(self) -> None:
        # A regex that backtracked would not return from these.
        for raw in ("/" + "a" * 8000 + "%", "/a" * 4000 + "\\", "/." * 4000, "/a/.." * 1600, "/" * 8000):
            outcome(raw)


class PropertyTests(SynchronousTestCase):
    """What holds for every path."""

    @given(TARGETS, st.sampled_from(MODES))
    @settings(max_examples=600, deadline=None)
    def test_idempotent(self, raw: str, mode: EscapedSlashes) -> None:
        first = outcome(raw, mode)
        if isinstance(first, NormalPath):
            self.assertEqual(outcome(first.path, mode), NormalPath(first.path, None))

    @given(TARGETS, st.sampled_from(MODES))
    @settings(max_examples=600, deadline=None)
    def test_normal_form(self, raw: str, mode: EscapedSlashes) -> None:
        normal = outcome(raw, mode)
        if not isinstance(normal, NormalPath):
            self.assertIn(normal, REASONS)
            return
        self.assertRegex(normal.path, r"\A/[!-~]*\Z")
        self.assertNotIn("//", normal.path)
        self.assertNotIn("\\", unquote(normal.path))
        self.assertNotIn("\x00", unquote(normal.path))
        for reading in (normal.path, unquote(normal.path)):
            for segment in reading.split("/"):
                self.assertNotIn(segment.split(";")[0], (".", ".."))

    @given(TARGETS)
    @settings(max_examples=600, deadline=None)
    def test_never_more_permissive(self, raw: str) -> None:
        """The form that is forwarded names the very place a lenient server finds under the raw form."""
        normal = outcome(raw)
        if isinstance(normal, NormalPath):
            lenient = posixpath.normpath("/" + unquote(raw).lstrip("/"))
            self.assertEqual(posixpath.normpath(unquote(normal.path)), lenient)

    @given(st.lists(PIECES, max_size=8).map("".join))
    @settings(max_examples=600, deadline=None)
    def test_treasure(self, tail: str) -> None:
        """Whatever is let into /content/ stays there, however the upstream reads it."""
        for mode in MODES:
            normal = outcome("/content/" + tail, mode)
            if isinstance(normal, NormalPath) and normal.path.startswith("/content/"):
                for reading in (normal.path, unquote(normal.path), unquote(normal.path).replace("\\", "/")):
                    bare = "/".join(segment.split(";")[0] for segment in reading.split("/"))
                    self.assertTrue(posixpath.normpath(bare).startswith("/content"), (tail, normal))

    @given(TARGETS)
    @settings(max_examples=400, deadline=None)
    def test_fast_path_agrees(self, raw: str) -> None:
        if is_plain(raw):
            self.assertEqual(normalise(raw), NormalPath(raw, None))
        path, mark, query = raw.partition("?")
        found = split_plain(raw)
        if found is not None:
            self.assertEqual(found.groups(), (path, query if mark else None))
            self.assertEqual(outcome(path), NormalPath(path, None))
            check_query(query)
