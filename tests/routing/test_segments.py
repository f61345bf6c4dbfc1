"""One path pattern cut into segments; what people are told when it is wrong is in test_match."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from edgegw.config.problems import Problems
from edgegw.routing.segments import (
    DEEP,
    END,
    LITERAL,
    MAX_INT_DIGITS,
    MAX_SEGMENTS,
    PARAM,
    STAR,
    TYPED,
    Segment,
    parse_path,
    split_outside_braces,
)
from edgegw.wire.path import PathError, normalise


def cut(text: str) -> list[tuple[int, str, str]] | None:
    """(kind, key, name) of each segment, or None after exactly one problem."""
    problems = Problems()
    segments = parse_path(text, problems, ("match", "path"))
    assert [problem.loc for problem in problems] == ([("match", "path")] if segments is None else []), text
    return None if segments is None else [(each.kind, each.key, each.name) for each in segments]


class ParseTests(SynchronousTestCase):
    def test_segments(self) -> None:
        for text, wanted in (
            ("/", [(LITERAL, "", "")]),
            ("/a", [(LITERAL, "a", "")]),
            ("/a/", [(LITERAL, "a", ""), (LITERAL, "", "")]),
            ("/%7ea/%c3%a9", [(LITERAL, "~a", ""), (LITERAL, "%C3%A9", "")]),
            ("/\u00e9", [(LITERAL, "%C3%A9", "")]),
            ("/a%2fb", [(LITERAL, "a%2Fb", "")]),
            ("/*/**", [(STAR, "", ""), (DEEP, "", "")]),
            ("/{a}/{b:int}", [(PARAM, "", "a"), (TYPED, "int", "b")]),
            ("/{_x1:[a-z]{2}}", [(TYPED, "[a-z]{2}", "_x1")]),
            ("/{a:\\}}", [(TYPED, "\\}", "a")]),
            ("/{a:(int)}", [(TYPED, "(int)", "a")]),
            ("/**/a/**", [(DEEP, "", ""), (LITERAL, "a", ""), (DEEP, "", "")]),
            ("/{path}/*", [(PARAM, "", "path"), (STAR, "", "")]),
        ):
            self.assertEqual(cut(text), wanted, text)

    def test_refused(self) -> None:
        for text in ("//", "/a//b", "/**/**", "/{a}/{a}", "/{path}/**", "/{a", "/a}", "/{a}b", "/{a}{b}", "/{:int}", "/{a:word}",
                     "/{a:}", "/{a:b/c}", "/{a:[}", "/a*", "/***", "/.", "/%2e%2E/a", "/a?b", "/a;b", "/a#b", "/%zz"):  # fmt: skip
            self.assertIsNone(cut(text), text)

    def test_most_segments(self) -> None:
        self.assertEqual(len(cut("/a" * MAX_SEGMENTS) or []), MAX_SEGMENTS)
        self.assertIsNone(cut("/a" * (MAX_SEGMENTS + 1)))

    @given(st.text("ab.%2eE1~\u00e9 -", min_size=1, max_size=8))
    def test_a_literal_is_what_a_request_path_has_there(self, text: str) -> None:
        """Whatever way a segment is spelt, the pattern has the form that requests are brought into."""
        segments = cut("/" + text)
        if segments is not None:
            key = segments[0][1]
            self.assertEqual(normalise("/" + key, "keep").path, "/" + key)
            try:
                self.assertEqual(normalise("/" + text, "keep").path, "/" + key)
            except PathError as error:
                self.assertIn(error.reason, ("non_ascii_target", "control_in_target"))


class FitTests(SynchronousTestCase):
    def fits(self, pattern: str, text: str) -> bool:
        segments = parse_path(pattern, Problems(), ())
        assert segments is not None
        return segments[0].fits(text)

    def test_typed(self) -> None:
        for pattern, text, wanted in (
            ("/{a:int}", "0", True),
            ("/{a:int}", "007", True),
            ("/{a:int}", "9" * MAX_INT_DIGITS, True),
            ("/{a:int}", "9" * (MAX_INT_DIGITS + 1), False),
            ("/{a:int}", "", False),
            ("/{a:int}", "-1", False),
            ("/{a:int}", "1a", False),
            ("/{a:[a-z]{2}}", "ab", True),
            ("/{a:[a-z]{2}}", "abc", False),
            ("/{a:a|b}", "ab", False),
            ("/{a:(?i)x}", "X", True),
        ):
            self.assertEqual(self.fits(pattern, text), wanted, (pattern, text))


class SegmentTests(SynchronousTestCase):
    def test_order_of_precedence(self) -> None:
        self.assertEqual(sorted([DEEP, END, STAR, PARAM, TYPED, LITERAL]), [LITERAL, TYPED, PARAM, STAR, END, DEEP])

    def test_a_name_makes_no_difference(self) -> None:
        self.assertEqual(Segment(PARAM, "", "a"), Segment(PARAM, "", "b"))
        self.assertEqual(hash(Segment(TYPED, "int", "a")), hash(Segment(TYPED, "int", "b", str.isdigit)))
        self.assertNotEqual(Segment(TYPED, "int", "a"), Segment(TYPED, "[0-9]+", "a"))
        self.assertNotEqual(Segment(PARAM), Segment(STAR))

    def test_text_is_what_was_written(self) -> None:
        for text in ("a", "{a}", "{a:int}", "{a:[0-9]{2}}", "*", "**"):
            segments = parse_path("/" + text, Problems(), ())
            assert segments is not None
            self.assertEqual(str(segments[0]), text)


class SplitTests(SynchronousTestCase):
    def test_only_outside_braces(self) -> None:
        for text, wanted in (
            ("", [""]),
            ("a", ["a"]),
            ("a/b", ["a", "b"]),
            ("/a/", ["", "a", ""]),
            ("{a/b}/c", ["{a/b}", "c"]),
            ("{a{b/}c/}/d", ["{a{b/}c/}", "d"]),
            ("\\{/a", ["\\{", "a"]),
            ("{\\}/}/a", ["{\\}/}", "a"]),
            ("\\/a", ["\\/a"]),
            ("{", None),
            ("}", None),
            ("}{", None),
            ("{a}}", None),
            ("{\\}", None),
        ):
            self.assertEqual(split_outside_braces(text, "/"), wanted, text)

    @given(st.text("a/{}\\", max_size=12))
    def test_nothing_is_lost(self, text: str) -> None:
        pieces = split_outside_braces(text, "/")
        if pieces is not None:
            self.assertEqual("/".join(pieces), text)
