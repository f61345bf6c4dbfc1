"""status, reload, rollback, stop: what is asked of the gateway, and how its answer is told."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from edgegw.cli import running
from edgegw.cli.control_client import NotRunning
from edgegw.cli.running import duration, moment
from edgegw.config.diff import Change
from edgegw.config.problems import Position, Problem
from edgegw.gateway.messages import changes_data, problems_data
from tests.cli.case import CliCase, Done

STATUS = {
    "version": "9.9",
    "pid": 42,
    "uptime_s": 61.5,
    "config": "/etc/gw.yaml",
    "number": 4,
    "since": "2026-11-21T12:00:00.123456+00:00",
    "ready": True,
    "not_ready": [],
    "listeners": [{"name": "*:80", "scheme": "http", "connections": 5}],
    "routes": 1,
    "upstreams": 2,
}
CHANGES = changes_data([Change(("a",), "changed", 1, 2)])
WARNING = Problem(("a",), "odd", severity="warning", position=Position("gw.yaml", 1, 1, 1))
ERROR = Problem(("a",), "wrong", position=Position("gw.yaml", 1, 1, 1))


def verdict(*problems: Problem, changes: Any = CHANGES) -> dict[str, Any]:
    ok = all(problem.severity == "warning" for problem in problems)
    sources = {"gw.yaml": "a: 2\n"} if problems else {}
    return {
        "ok": ok,
        "number": 5,
        "problems": problems_data(problems),
        "sources": sources,
        "changes": changes if ok else [],
    }


class TimeTests(SynchronousTestCase):
    def test_duration(self) -> None:
        for seconds, text in (
            (0, "0 s"),
            (0.9, "0 s"),
            (59.9, "59 s"),
            (60, "1 min"),
            (61, "1 min 1 s"),
            (3600, "1 h"),
            (3601, "1 h 1 s"),
            (3661, "1 h 1 min"),
            (93784, "1 d 2 h"),
        ):
            self.assertEqual(duration(seconds), text)

    def test_moment(self) -> None:
        for text in ("2026-11-21T12:00:00.123456+00:00", "2026-11-21T12:00:00+00:00"):
            self.assertEqual(moment(text), "2026-11-21 12:00:00 UTC")


class RunningTests(CliCase):
    def tell(self, line: str, answer: Mapping[str, Any] | Exception) -> Done:
        """Run a command line against a gateway that gives this answer; `self.asked` is what it was asked."""
        self.asked: list[tuple[Any, ...]] = []

        def ask(path: Path, command: str, arguments: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
            self.asked.append((path, command, arguments))
            if isinstance(answer, Exception):
                raise answer
            return answer

        self.patch(running, "ask", ask)
        return self.run_edgegw(f"{line} --state st")

    def test_status(self) -> None:
        done = self.tell("status", STATUS)
        self.assertEqual(self.asked, [(Path("st/control.sock"), "status", None)])
        self.assertEqual(
            done.out.splitlines(),
            [
                "edgegw 9.9  ready  pid 42  up 1 min 1 s",
                "config  /etc/gw.yaml, number 4 since 2026-11-21 12:00:00 UTC: 1 route, 2 upstreams",
                "LISTENER  SCHEME  CONNECTIONS",
                "*:80      http    5",
            ],
        )
        self.assertEqual((done.status, done.err), (0, ""))

    def test_status_is_not_0_until_it_is_ready(self) -> None:
        answer = {**STATUS, "ready": False, "not_ready": ["draining", "no endpoint"]}
        done = self.tell("status", answer)
        self.assertEqual((done.status, "  not ready: draining, no endpoint  " in done.out), (1, True))
        done = self.tell("status --json", answer)
        self.assertEqual((done.status, json.loads(done.out)["ok"]), (1, False))

    def test_status_of_nobody(self) -> None:
        done = self.tell("status", NotRunning("nobody here"))
        self.assertEqual(done, (1, "", "edgegw: nobody here\n"))
        done = self.tell("status --json", NotRunning("nobody here"))
        self.assertEqual(json.loads(done.out), {"ok": False, "running": False, "error": "nobody here"})
        self.assertEqual(done.status, 1)

    def test_reload(self) -> None:
        done = self.tell("reload", verdict())
        self.assertEqual(self.asked[0][1:], ("reload", {"dry_run": False}))
        self.assertEqual(done, (0, "~ a: 1 -> 2\nok: number 5 serves\n", ""))

    def test_dry_run(self) -> None:
        done = self.tell("reload --dry-run", verdict())
        self.assertEqual(self.asked[0][1:], ("reload", {"dry_run": True}))
        self.assertEqual(done.out, "~ a: 1 -> 2\nok: would be accepted; nothing was changed\n")

    def test_a_warning_does_not_stop_it(self) -> None:
        done = self.tell("reload", verdict(WARNING))
        self.assertEqual(done.status, 0)
        self.assertEqual(done.out.splitlines()[0], "gw.yaml:1:1: warning: odd")
        self.assertEqual(done.out.splitlines()[-2:], ["~ a: 1 -> 2", "ok: number 5 serves"])
        self.assertNotIn("1 warning.", done.out)

    def test_an_error_does(self) -> None:
        done = self.tell("reload", verdict(ERROR))
        self.assertEqual(done.status, 1)
        self.assertIn("    1 | a: 2\n", done.out)
        self.assertTrue(done.out.endswith("1 error. The running configuration was not changed.\n"))
        self.assertTrue(self.tell("reload --dry-run", verdict(ERROR)).out.endswith("\n1 error.\n"))

    def test_for_programs(self) -> None:
        done = self.tell("reload --json", verdict(ERROR))
        found = json.loads(done.out)
        self.assertEqual((done.status, found["ok"], found["dry_run"], found["number"]), (1, False, False, 5))
        self.assertNotIn("sources", found)
        self.assertEqual(self.tell("reload --format github", verdict()).out, "")

    def test_rollback(self) -> None:
        done = self.tell("rollback 3", verdict())
        self.assertEqual(self.asked[0][1:], ("rollback", {"number": 3, "dry_run": False}))
        self.assertEqual(done.out, "~ a: 1 -> 2\nok: configuration 3 serves again, as number 5\n")
        self.assertIn("edgegw history 3 > FILE", done.err)

    def test_rollback_advises_only_when_it_was_done(self) -> None:
        for line, answer in (
            ("rollback 3 --dry-run", verdict()),
            ("rollback 3 --json", verdict()),
            ("rollback 3", verdict(ERROR)),
        ):
            self.assertEqual(self.tell(line, answer).err, "", line)
            self.assertEqual(self.asked[0][2], {"number": 3, "dry_run": "--dry-run" in line})

    def test_rollback_needs_a_number(self) -> None:
        for words in ("", "zero", "0"):
            self.assertEqual(self.tell(f"rollback {words}", verdict()).status, 2)
            self.assertEqual(self.asked, [])

    def test_stop(self) -> None:
        answer = {"lame_duck_s": 0.5, "grace_s": 30.0}
        done = self.tell("stop", answer)
        self.assertEqual(self.asked[0][1:], ("stop", None))
        text = "the gateway stops: not ready for 0.5 s, then at most 30 s for what is in flight\n"
        self.assertEqual(done, (0, text, ""))
        self.assertEqual(json.loads(self.tell("stop --json", answer).out), answer)
