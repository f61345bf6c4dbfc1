"""What one pattern captures, and how it is laid over a path; against a reference that tries everything."""

from __future__ import annotations

from itertools import combinations_with_replacement

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from edgegw.config.problems import Problems
from edgegw.routing.captures import Captures, align
from edgegw.routing.match import Match, parse_match
from edgegw.routing.segments import DEEP, Segment, parse_path


def match_of(text: str) -> Match:
    match = parse_match(text, Problems())
    assert match is not None, text
    return match


def segments_of(path: str) -> tuple[Segment, ...]:
    segments = parse_path(path, Problems(), ())
    assert segments is not None, path
    return segments


class CaptureTests(SynchronousTestCase):
    def test_values(self) -> None:
        for text, host, path, wanted in (
            ("/a", "h", "/a", {}),
            ("/{x}", "h", "/a%20b", {"x": "a%20b"}),
            ("/{x}/", "h", "/a/", {"x": "a"}),
            ("/*/{x:int}", "h", "/a/7", {"x": "7"}),
            ("{t}.b.c/", "a.b.c", "/", {"t": "a"}),
            ("{t}.b.c/{x}/**", "a.b.c", "/1/2/3", {"t": "a", "x": "1", "path": "2/3"}),
            ("*.b.c/{x}", "a.b.c", "/1", {"x": "1"}),
            ("/**", "h", "/", {"path": ""}),
            ("/a/**", "h", "/a", {"path": ""}),
            ("/a/**", "h", "/a/", {"path": ""}),
            ("/a/**", "h", "/a/b/", {"path": "b/"}),
            ("/**/{x}", "h", "/a/b/c", {"path": "a/b", "x": "c"}),
            ("/**/{x}", "h", "/c", {"path": "", "x": "c"}),
            ("/{x}/**/z/{y}", "h", "/1/z/z/2", {"x": "1", "path": "z", "y": "2"}),
        ):
            self.assertEqual(Captures(match_of(text))(host, path), wanted, (text, path))

    def test_parameters_of_segments_stay_with_the_rest_only(self) -> None:
        for text, path, wanted in (
            ("/{x}", "/a;v=1", {"x": "a"}),
            ("/**", "/a;v=1/b", {"path": "a;v=1/b"}),
            ("/{x}/**", "/a;v/b;w", {"x": "a", "path": "b;w"}),
            ("/**/{x}", "/a;v/b;w", {"path": "a;v", "x": "b"}),
        ):
            self.assertEqual(Captures(match_of(text))("h", path), wanted, (text, path))

    def test_of_two_rests_the_last_is_captured(self) -> None:
        self.assertEqual(Captures(match_of("/**/m/**"))("h", "/a/m/b/m/c"), {"path": "b/m/c"})

    def test_the_names_are_those_that_the_match_promises(self) -> None:
        for text, path in (("{t}.b/{x}/{y:int}/**", "/1/2"), ("/**/{x}/z", "/1/z"), ("/a", "/a")):
            match = match_of(text)
            self.assertEqual(frozenset(Captures(match)("a.b", path)), match.parameters)


class AlignTests(SynchronousTestCase):
    def test_table(self) -> None:
        for pattern, path, wanted in (
            ("/", "/", [0]),
            ("/a", "/a", [0]),
            ("/a", "/b", None),
            ("/a", "/a/", None),
            ("/a/", "/a", None),
            ("/*", "/", None),
            ("/{x}", "/", None),
            ("/{x:int}", "/", None),
            ("/{x:int}/b", "/7/b", [0, 1]),
            ("/{x:int}/b", "/x/b", None),
            ("/**", "/", [0]),
            ("/**", "/a/b", [0]),
            ("/a/**", "/a", [0, 1]),
            ("/a/**/b", "/a/b", [0, 1, 1]),
            ("/a/**/b", "/a/b/b", [0, 1, 2]),
            ("/a/**/b", "/a/b/c", None),
            ("/a/**/", "/a/b/", [0, 1, 2]),
            ("/**/a/**/b", "/x/a/y/a/b", [0, 1, 2, 4]),
            ("/**/*", "/", None),
        ):
            self.assertEqual(align(segments_of(pattern), path.split("/")[1:]), wanted, (pattern, path))

    @given(
        st.lists(st.sampled_from(["a", "b", "{x}", "{x:int}", "*", "**", ""]), min_size=1, max_size=6),
        st.lists(st.sampled_from(["a", "b", "7", ""]), min_size=1, max_size=6),
    )
    def test_against_every_way_there_is(self, pieces: list[str], cut: list[str]) -> None:
        text = "/" + "/".join(piece.replace("x", f"x{number}") for number, piece in enumerate(pieces))
        segments = parse_path(text, Problems(), ())
        if segments is None:
            return
        begins = align(segments, cut)
        fitting = [way for way in ways(segments, cut) if lies_on(segments, cut, way)]
        self.assertEqual(begins is not None, bool(fitting), (text, cut))
        if begins is not None:
            self.assertIn(tuple(begins), fitting)

    def test_time_is_the_product_of_both_lengths(self) -> None:
        tried = 0

        def fits(text: str) -> bool:
            nonlocal tried
            tried += 1
            return text == "a"

        step = Segment(1, "a", "", fits)
        pattern = (Segment(DEEP), step, Segment(DEEP), step, step, Segment(DEEP), step, Segment(0, "end"))
        self.assertIsNone(align(pattern, ["a"] * 500))
        self.assertLessEqual(tried, len(pattern) * 500)


def ways(segments: tuple[Segment, ...], cut: list[str]) -> list[tuple[int, ...]]:
    """Every non-decreasing row of beginnings that starts at the first segment of the path."""
    rows = combinations_with_replacement(range(len(cut) + 1), len(segments))
    return [row for row in rows if row[0] == 0]


def lies_on(segments: tuple[Segment, ...], cut: list[str], begins: tuple[int, ...]) -> bool:
    for index, segment in enumerate(segments):
        end = begins[index + 1] if index + 1 < len(segments) else len(cut)
        piece = cut[begins[index] : end]
        if segment.kind == DEEP:
            continue
        if len(piece) != 1:
            return False
        one = piece[0]
        if segment.kind == 0 and one != segment.key:
            return False
        if segment.kind and (not one or (segment.key == "int" and one != "7")):
            return False
    return True
