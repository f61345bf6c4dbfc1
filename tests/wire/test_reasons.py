"""The reasons table and the code that refuses: neither knows a name that the other does not."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from edgegw.wire import reasons
from edgegw.wire.reasons import REASONS

WIRE = Path(reasons.__file__).parent
RAISERS = {"ConnectionFault", "GatewayError", "Malformed", "PathError", "Refused", "StreamFault", "Violation"}
POSITION = {"PathError": 0}
"""Where the reason stands among the arguments; second unless said otherwise."""

_is_reason = re.compile(r"[a-z0-9]+(?:_[a-z0-9]+)*").fullmatch


def texts_of(node: ast.expr) -> set[str]:
    """Every text an expression can come to: a constant, both sides of a choice, the values of a table and its default."""
    if isinstance(node, ast.IfExp):
        return texts_of(node.body) | texts_of(node.orelse)
    return {each.value for each in ast.walk(node) if isinstance(each, ast.Constant) and isinstance(each.value, str)}


def raised(source: str) -> tuple[set[str], set[str]]:
    """(reasons that a module's text raises by name, names of variables it hands on as one)."""
    tree = ast.parse(source)
    tables = {
        target.id: texts_of(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name) and target.id == "reason"
    }
    found: set[str] = set()
    handed_on: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in RAISERS:
            place = POSITION.get(node.func.id, 1)
            argument = node.args[place]
            if isinstance(argument, ast.Name):
                found |= tables.get(argument.id, set())
            elif isinstance(argument, ast.Attribute):
                handed_on.add(ast.unparse(argument))
            else:
                found |= texts_of(argument)
    return found, handed_on


class ReasonTests(SynchronousTestCase):
    """Both directions."""

    def test_every_reason_of_the_code_is_a_row_and_the_other_way_round(self) -> None:
        found: set[str] = set()
        for path in sorted(WIRE.glob("*.py")):
            named, handed_on = raised(path.read_text())
            self.assertLessEqual(handed_on, {"error.reason"}, path.name)
            found |= named
        self.assertEqual(found - set(REASONS), set(), "raised, but not explained")
        self.assertEqual(set(REASONS) - found, set(), "explained, but never raised")

    def test_the_reader_of_the_code_sees_each_way_of_writing_it(self) -> None:
        text = (
            "raise Refused(400, 'one', 'detail')\n"
            "reason = {1: 'two'}.get(x, 'three')\n"
            "raise Refused(400, reason, f'{x}')\n"
            "raise PathError('four', 'detail')\n"
            "raise Refused(400, 'five' if '#' in x else 'six')\n"
            "return Violation(error.status, error.reason)\n"
        )
        self.assertEqual(raised(text), ({"one", "two", "three", "four", "five", "six"}, {"error.reason"}))

    def test_each_is_a_label_and_one_sentence_of_its_own(self) -> None:
        for name, text in REASONS.items():
            self.assertTrue(_is_reason(name), name)
            self.assertRegex(text, r"\A[A-Z0-9`%].+\.\Z|\Achunked .+\.\Z", name)
            self.assertNotIn("\n", text)
        self.assertEqual(len(set(REASONS.values())), len(REASONS))
