"""Advice about syntax errors: what to write instead, and the caret on what must change."""

import unittest

from edgegw.config.tree import Unreadable, compose

# text -> line:column of the caret, a part of the message, a part of the hint
TABLE: dict[str, tuple[str, str, str | None]] = {
    "match: *.example.com/x\n": ("1:8", 'starts with "*"', 'put it in quotes: "*.example.com/x"'),
    "match: **/foo # all\n": ("1:8", 'starts with "*"', 'put it in quotes: "**/foo"'),
    "a: {tenant}.example.com/x\n": ("1:4", 'starts with "{"', '"{tenant}.example.com/x"'),
    "- {match: {t}.x.com/**, to: x}\n": ("1:11", 'starts with "{"', '"{t}.x.com/**"'),
    "a: {to: https://x/{path}, b: 2}\n": ("1:9", 'holds "{"', '"https://x/{path}"'),
    "{port: ${PORT}}\n": ("1:8", "${...}", '"${PORT}"'),
    "a: [x, ${PORT}]\n": ("1:8", "${...}", '"${PORT}"'),
    "a: @b\n": ("1:4", 'starts with "@"', '"@b"'),
    "a: `b`\n": ("1:4", 'starts with "`"', '"`b`"'),
    "a: %b\n": ("1:4", 'starts with "%"', '"%b"'),
    "a:\n\t- b\n": ("2:1", "a tab", "spaces, not tabs"),
    "a: b: c\n": ("1:4", 'holds ": "', 'put it in quotes: "b: c"'),
    'a: b: "c"\n': ("1:4", 'holds ": "', "put it in quotes: 'b: \"c\"'"),
    "a: 1\n b: 2\n": ("2:3", "a key stands where none can", "indentation"),
    "a: 'x\nb: 2\n": ("1:4", "quote is never closed", None),
    "a: [1, 2\nb: 3\n": ("1:4", '"[" is never closed', 'closing "]"'),
    "a: {b: 1\nc: 3\n": ("1:4", '"{" is never closed', 'closing "}"'),
    'a: "\\d"\n': ("1:5", '"\\d" means nothing', "single quotes"),
    "a: 1\nb\nc: 2\n": ("2:1", 'there is no ":"', None),
    "a:\n  - b\n - c\n": ("3:2", "not YAML", "indentation"),
}


class AdviceTests(unittest.TestCase):
    def test_table(self) -> None:
        for text, (place, message, hint) in TABLE.items():
            with self.subTest(text=text):
                with self.assertRaises(Unreadable) as caught:
                    compose(text, "x")
                problem = caught.exception.problem
                self.assertEqual(str(problem.position), f"x:{place}")
                self.assertIn(message, problem.message)
                if hint is None:
                    self.assertIsNone(problem.hint)
                else:
                    self.assertIn(hint, problem.hint or "")

    def test_what_is_advised_parses(self) -> None:
        for text in (
            'match: "*.example.com/x"\n',
            '- {match: "{t}.x.com/**", to: x}\n',
            'a: {to: "https://x/{path}", b: 2}\n',
        ):
            compose(text, "x")
