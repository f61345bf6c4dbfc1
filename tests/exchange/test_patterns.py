"""Regular expressions of the configuration: what is refused at load, and that they work on bytes in linear time."""

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from edgegw.config.problems import Problems
from edgegw.exchange.patterns import MAX_PROGRAM, MAX_SOURCE, Pattern, compile_pattern


def compiled(source: str) -> Pattern:
    problems = Problems()
    pattern = compile_pattern(source, problems)
    assert pattern is not None and not problems, list(problems)
    return pattern


class MatchingTests(SynchronousTestCase):
    """`full` and `replace_once`."""

    def test_the_whole_text_must_match(self) -> None:
        for source, data, wanted in (
            ("a+", b"aaa", True),
            ("a+", b"aab", False),
            ("a+", b"baa", False),
            ("a|ab", b"ab", True),
            ("", b"", True),
            ("", b"a", False),
            ("a", b"a\n", False),
            ("a$", b"a\n", False),
            (".", b"\n", False),
            ("\u00e9", "\u00e9".encode(), True),
            ("(?i)get", b"GeT", True),
        ):
            self.assertEqual(compiled(source).full(data), wanted, (source, data))

    def test_the_first_match_is_replaced(self) -> None:
        for source, template, data, wanted in (
            ("a", b"b", b"xaa", b"xba"),
            ("^/v([0-9]+)/(.*)$", rb"/\2/\1", b"/v7/x", b"/x/7"),
            ("(a)(b)?", rb"[\1\2]", b"a", b"[a]"),
            ("a*", b"-", b"b", b"-b"),
            ("a", b"b", b"xyz", None),
        ):
            self.assertEqual(compiled(source).replace_once(template, data), wanted, (source, data))

    def test_the_same_text_in_its_place_is_a_match(self) -> None:
        self.assertEqual(compiled("a").replace_once(b"a", b"a"), b"a")

    def test_what_it_says_of_itself(self) -> None:
        pattern = compiled("(a)(?:b)(?P<c>c)")
        self.assertEqual(
            (pattern.groups, pattern.source, repr(pattern)), (2, "(a)(?:b)(?P<c>c)", "<Pattern (a)(?:b)(?P<c>c)>")
        )

    @given(st.text("ab|()[]*+?\\{}1,^$.", max_size=12), st.binary(max_size=8))
    def test_whatever_is_written_compiles_or_is_reported(self, source: str, data: bytes) -> None:
        problems = Problems()
        pattern = compile_pattern(source, problems, ("at",))
        self.assertEqual([problem.loc for problem in problems], [] if pattern else [("at",)])
        if pattern is not None:
            self.assertIn(pattern.full(data), (True, False))


class MistakeTests(SynchronousTestCase):
    """What is refused, where, and with what advice."""

    def mistake(self, source: str) -> tuple[str, str]:
        problems = Problems()
        self.assertIsNone(compile_pattern(source, problems.under("routes", 1), ("path",)))
        (problem,) = problems
        self.assertEqual(problem.loc, ("routes", 1, "path"))
        return problem.message, problem.hint or ""

    def test_what_does_not_compile(self) -> None:
        for source in ("(", "[z-a]", "*a", "a{2,1}", "\\8", "(?P<a b>c)", "a**"):
            message, hint = self.mistake(source)
            self.assertRegex(message, r"\Athe regex \".*\" does not compile: \S")
            self.assertNotIn("b'", message)
            self.assertIn("google/re2", hint)

    def test_lookaround_is_named(self) -> None:
        for source in ("(?=a)b", "(?!a)b", "(?<=a)b", "(?<!a)b"):
            self.assertIn("no lookahead and no lookbehind", self.mistake(source)[1])

    def test_the_longest(self) -> None:
        self.assertTrue(compiled("a" * MAX_SOURCE).full(b"a" * MAX_SOURCE))
        message, hint = self.mistake("a" * (MAX_SOURCE + 1))
        self.assertIn(f"longer than {MAX_SOURCE} characters", message)
        self.assertNotIn("aaaa", message)
        self.assertTrue(hint)

    def test_the_largest(self) -> None:
        """Short to write, long to run: repetitions are copies."""
        compiled("[a-z]{900}")
        message, hint = self.mistake("(?:[a-z]{900}){2}b{1000}")
        self.assertRegex(message, rf"is too large: \d+ instructions, at most {MAX_PROGRAM}|does not compile")
        self.assertTrue(hint)
        message, hint = self.mistake("(?:abc){800}")
        self.assertIn(f"instructions, at most {MAX_PROGRAM}", message)
        self.assertIn("a thousand times", hint)
