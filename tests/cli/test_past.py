"""history and diff: with a gateway, and from the state folder alone."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgegw.cli import past
from edgegw.cli.control_client import NotRunning
from edgegw.cli.verbs import CommandFailed, UsageProblem
from edgegw.config.diff import Change
from edgegw.gateway.history import History
from edgegw.gateway.loading import read
from edgegw.gateway.messages import changes_data
from tests.cli.case import CliCase


def text(status: int) -> str:
    return f"edgegw: 1\nlisten: [8080]\nroutes: [{{match: /, respond: {{status: {status}}}}}]\n"


def change(old: int, new: int) -> str:
    return f"~ routes[/].respond.status: {old} -> {new}\n".replace("[/]", '["/"]')


class PastCase(CliCase):
    """Configurations 1 (status 200) and 2 (status 201) were accepted; the file says 202. Nobody runs, unless `answer` is set."""

    def setUp(self) -> None:
        super().setUp()
        self.answer: Mapping[str, Any] | Exception = NotRunning("nobody")
        self.asked: list[tuple[Any, ...]] = []
        self.patch(past, "ask", self.ask)
        for status in (200, 201):
            Path("edgegw.yaml").write_text(text(status))
            History(Path("edgegw-state")).add(read("edgegw.yaml").document, "start")
        Path("edgegw.yaml").write_text(text(202))

    def ask(
        self, path: Path, command: str, arguments: Mapping[str, Any] | None = None, *, timeout_s: float = 60.0
    ) -> Mapping[str, Any]:
        self.asked.append((command, arguments))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class HistoryTests(PastCase):
    def stars(self) -> list[str]:
        return [line[:3] for line in self.run_edgegw("history").out.splitlines()[1:]]

    def test_the_one_that_serves_has_a_star(self) -> None:
        self.assertEqual(self.stars(), ["  1", "  2"])
        self.answer = {"number": 1}
        self.assertEqual(self.stars(), ["* 1", "  2"])
        self.assertEqual(self.asked[-1], ("status", None))

    def test_a_gateway_that_hangs_does_not_hide_the_history(self) -> None:
        self.answer = CommandFailed("it hangs")
        self.assertEqual(self.stars(), ["  1", "  2"])

    def test_for_programs(self) -> None:
        self.answer = {"number": 2}
        found = json.loads(self.run_edgegw("history --json").out)
        self.assertEqual((found["running"], [each["number"] for each in found["entries"]]), (2, [1, 2]))

    def test_the_text_of_one(self) -> None:
        self.assertEqual(self.run_edgegw("history 1"), (0, text(200), ""))
        found = json.loads(self.run_edgegw("history 1 --json").out)
        self.assertEqual((found["number"], list(found["files"].values())), (1, [text(200)]))
        self.assertEqual(self.asked, [])

    def test_the_texts_of_several_files(self) -> None:
        """Each under its name, and a line break after one that has none."""
        self.patch(History, "texts", lambda self, number: {"a.yaml": "a: 1", "b.yaml": "b: 2\n"})
        self.assertEqual(self.run_edgegw("history 1").out, "# --- a.yaml\na: 1\n# --- b.yaml\nb: 2\n")

    def test_no_such_number(self) -> None:
        self.assertEqual(
            self.run_edgegw("history 9"), (1, "", "edgegw: there is no configuration 9; kept are 1 to 2\n")
        )

    def test_nothing_accepted_yet(self) -> None:
        done = self.run_edgegw("history --state nowhere")
        self.assertEqual(done, (0, "", "no configuration was accepted yet (nowhere/history)\n"))

    def test_somebody_elses(self) -> None:
        self.patch(os, "access", lambda path, mode: False)
        done = self.run_edgegw("history")
        self.assertEqual(done.status, 1)
        self.assertIn("may only be read by the user that runs the gateway", done.err)


class SidesTests(CliCase):
    def test_defaults(self) -> None:
        self.assertEqual(past._sides(None, None), ("running", "file"))
        self.assertEqual(past._sides("3", None), (3, "running"))
        self.assertEqual(past._sides("file", "12"), ("file", 12))

    def test_nonsense(self) -> None:
        for word in ("yesterday", "-1", "1.0", "٣", ""):
            self.assertRaises(UsageProblem, past._sides, word, None)


class DiffTests(PastCase):
    def test_the_gateway_is_asked(self) -> None:
        self.answer = {"changes": changes_data([Change(("a",), "changed", 1, 2)])}
        self.assertEqual(self.run_edgegw("diff 1"), (0, "~ a: 1 -> 2\n", ""))
        self.assertEqual(self.asked, [("diff", {"old": 1, "new": "running"})])
        found = json.loads(self.run_edgegw("diff --json").out)
        self.assertEqual(found, [{"loc": ["a"], "kind": "changed", "old": 1, "new": 2}])

    def test_exit_code(self) -> None:
        self.assertEqual(self.run_edgegw("diff 1 2").status, 0)
        self.assertEqual(self.run_edgegw("diff 1 2 --exit-code").status, 1)
        self.assertEqual(self.run_edgegw("diff 1 1 --exit-code"), (0, "no difference\n", ""))

    def test_without_a_gateway_the_newest_takes_its_place(self) -> None:
        done = self.run_edgegw("diff")
        self.assertEqual((done.status, done.out), (0, change(201, 202)))
        self.assertEqual(done.err, "no gateway is running; its place takes number 2, which was accepted last\n")

    def test_without_a_gateway_two_numbers(self) -> None:
        self.assertEqual(self.run_edgegw("diff 2 1"), (0, change(201, 200), ""))
        self.assertEqual(self.run_edgegw("diff 1 file"), (0, change(200, 202), ""))

    def test_without_a_gateway_and_a_history(self) -> None:
        done = self.run_edgegw("diff --state nowhere")
        self.assertEqual((done.status, done.out), (1, ""))
        self.assertIn("none has accepted a configuration yet (nowhere/history)", done.err)

    def test_no_such_number(self) -> None:
        done = self.run_edgegw("diff 9 1")
        self.assertEqual((done.status, done.out), (1, ""))
        self.assertIn("there is no configuration 9", done.err)

    def test_a_gateway_that_refuses_is_not_gone(self) -> None:
        """What the state folder says is not what was asked for then."""
        self.answer = CommandFailed("the gateway did not answer")
        self.assertEqual(self.run_edgegw("diff"), (1, "", "edgegw: the gateway did not answer\n"))
