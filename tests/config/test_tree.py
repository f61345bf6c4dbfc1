"""YAML text to nodes: positions, and what is refused before it can hurt."""

import unittest

from edgegw.config.tree import MAX_DEPTH, Node, Unreadable, compose, line_and_column


def root(text: str) -> Node:
    node, _ = compose(text, "x")
    assert node is not None
    return node


class ComposeTests(unittest.TestCase):
    def test_positions_of_keys_and_values(self) -> None:
        (key, value), (_, flow) = root("é: 'xy'\nb: {c: [1, 2]}\n").pairs or []
        self.assertEqual((key.position.line, key.position.column, key.position.width), (1, 1, 1))
        self.assertEqual((value.position.line, value.position.column, value.position.width), (1, 4, 4))
        self.assertEqual((flow.position.line, flow.position.column, flow.position.width), (2, 4, 11))

    def test_a_value_over_many_lines_gets_one_caret(self) -> None:
        self.assertEqual(root("a: 1\nb: 2\n").position.width, 1)

    def test_quoted_and_tagged_scalars_are_not_plain(self) -> None:
        pairs = root("a: 5\nb: '5'\nc: \"5\"\nd: !!str 5\ne: |\n  5\n").pairs or []
        self.assertEqual([value.plain for _, value in pairs], [True, False, False, False, False])
        self.assertEqual(pairs[3][1].tag, "str")

    def test_an_alias_is_the_node_itself_and_counts_once(self) -> None:
        node, count = compose("a: &x [1]\nb: *x\n", "x")
        pairs = (node.pairs if node else None) or []
        self.assertIs(pairs[0][1], pairs[1][1])
        self.assertEqual(count, 5)

    def test_empty_text_has_no_root(self) -> None:
        self.assertEqual(compose("# nothing\n", "x"), (None, 0))

    def test_deep_nesting_is_refused_and_does_not_end_the_process(self) -> None:
        for text in ("[" * 200_000, "{a: " * 5000, "- " * 5000):
            with self.assertRaises(Unreadable) as caught:
                compose(text, "x")
            self.assertIn(f"deeper than {MAX_DEPTH} levels", str(caught.exception))
        compose("[" * MAX_DEPTH + "]" * MAX_DEPTH, "x")

    def test_refusals_say_where(self) -> None:
        table = {
            "a: 1\n---\nb: 2\n": ("x:2:1:", "second document"),
            "a: *foo\n": ("x:1:4:", "anchor that is not defined"),
            "a: 1\nb: \x07\n": ("x:2:4:", "U+0007"),
            "a: [1\n": ("x:1:4:", "never closed"),
        }
        for text, (place, words) in table.items():
            with self.subTest(text=text), self.assertRaises(Unreadable) as caught:
                compose(text, "x")
            self.assertTrue(str(caught.exception).startswith(place), str(caught.exception))
            self.assertIn(words, str(caught.exception))

    def test_line_and_column(self) -> None:
        self.assertEqual(line_and_column("ab\r\ncd\re", 7), (2, 0))
