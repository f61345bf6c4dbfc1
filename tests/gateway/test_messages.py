"""Problems and changes survive the way over the socket."""

import json

from twisted.trial.unittest import SynchronousTestCase

from edgegw.config.diff import Change
from edgegw.config.problems import Position, Problem
from edgegw.config.report import render
from edgegw.gateway.messages import (
    Refusal,
    changes_data,
    changes_from,
    problems_data,
    problems_from,
    verdict_data,
)

PROBLEMS = (
    Problem(("routes", 0, "limt"), "unknown key", "did you mean limit?", at="key", explain="routes.limit",
            position=Position("shop.yaml", 2, 5, 4)),
    Problem((), "odd", severity="warning"),
)  # fmt: skip
SOURCES = {"shop.yaml": "routes:\n  - {limt: 1}\n", "other.yaml": "a: 1\n"}


class MessagesTests(SynchronousTestCase):
    def test_problems_read_the_same_on_the_other_side(self) -> None:
        there = problems_from(json.loads(json.dumps(problems_data(PROBLEMS))))
        for form in ("text", "json", "github"):
            self.assertEqual(render(there, SOURCES, form), render(PROBLEMS, SOURCES, form))  # type: ignore[arg-type]

    def test_changes(self) -> None:
        changes = [Change(("routes", "GET /x", "to"), "changed", "a", "b"), Change(("a",), "added", None, {"b": [1]})]
        self.assertEqual(changes_from(json.loads(json.dumps(changes_data(changes)))), changes)

    def test_a_verdict_takes_only_the_texts_that_are_shown(self) -> None:
        data = verdict_data(Refusal(7, PROBLEMS, SOURCES))
        self.assertEqual((data["ok"], data["number"], list(data["sources"])), (False, 7, ["shop.yaml"]))
