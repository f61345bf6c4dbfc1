"""upstreams, upstream, events: asked of a gateway that only answers."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgegw.cli import upstreams
from tests.cli.case import CliCase, Done

ENDPOINT = {
    "name": "http://a",
    "source": "k8s shop/users",
    "state": "failing",
    "holds": {"failing": "connect_refused"},
    "why": "held back",
    "zone": "eu-1a",
    "tier": 0,
    "meta": {},
    "weight": 3,
    "weight_by_operator": True,
    "warmth": 0.1,
    "in_flight": 2,
    "ejections": 0,
    "checks": [
        {"at": 0.0, "ok": True, "took_ms": 1.5, "detail": "200"},
        {"at": 5.0, "ok": False, "took_ms": 0.2, "detail": "connect_refused"},
    ],
    "connections": {"open": 7, "leased": 4, "idle": 3},
    "queued": 5,
}
UPSTREAM = {
    "name": "users",
    "balance": "round_robin",
    "health": None,
    "advice": None,
    "panic": False,
    "breaker": {"state": "admitting", "words": "admitting, 1 of 9 failed within 10 s, 0 in a row"},
    "bulkhead": {"inside": 3, "most": 200, "queued": 1},
    "attempts": {"exchanges": 40, "added": 2, "window_s": 10},
    "discovery": None,
    "endpoints": [ENDPOINT],
}
STALE = {"source": "k8s shop/users", "state": "stale", "failing": True, "age_s": 90.2, "last_error": "503 from the API"}
EVENT = {
    "number": 7,
    "at_s": 60.0,
    "kind": "endpoint_held",
    "upstream": "users",
    "endpoint": "http://a",
    "source": "health",
    "state": "failing",
    "reason": "failing: 500\x1b[2J",
}


class UpstreamsCase(CliCase):
    def setUp(self) -> None:
        super().setUp()
        self.asked: list[tuple[Any, ...]] = []

    def tell(self, line: str, *answers: Mapping[str, Any]) -> Done:
        """Run a command line against a gateway that gives these answers, then is gone."""
        left = list(answers)

        def ask(path: Path, command: str, arguments: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
            self.asked.append((path, command, arguments))
            if not left:
                raise KeyboardInterrupt
            return left.pop(0)

        self.patch(upstreams, "ask", ask)
        return self.run_edgegw(f"{line} --state st")


class ListTests(UpstreamsCase):
    def test_one_row_an_endpoint(self) -> None:
        done = self.tell("upstreams", {"upstreams": [UPSTREAM]})
        self.assertEqual(self.asked, [(Path("st/control.sock"), "upstreams", None)])
        heads, row = done.out.splitlines()
        self.assertEqual(heads.split("  ")[:2], ["UPSTREAM", "ENDPOINT"])
        self.assertEqual(
            row.split("  ")[0:1] + row.split()[1:],
            ["users", "http://a", "failing", "k8s", "shop/users", "eu-1a", "3*", "at", "10%", "2", "4", "3", "5", "+-"],
        )

    def test_for_programs(self) -> None:
        done = self.tell("upstreams --json", {"upstreams": [UPSTREAM]})
        self.assertEqual(json.loads(done.out), [UPSTREAM])

    def test_what_is_wrong_with_the_whole(self) -> None:
        sick = UPSTREAM | {
            "panic": True,
            "breaker": {"state": "refusing", "words": "refusing, 4.0 s left, broken 2 times"},
            "discovery": STALE,
            "endpoints": [],
        }
        lines = self.tell("upstreams", {"upstreams": [sick, UPSTREAM]}).out.splitlines()
        self.assertIn("users: breaker refusing, 4.0 s left, broken 2 times", lines)
        self.assertIn("users: panic: too few endpoints are free, so all are used", lines)
        self.assertIn("users: discovered by k8s shop/users, stale, last heard 90 s ago: 503 from the API", lines)
        self.assertIn("users: no endpoints", lines)

    def test_one_of_them_with_reasons(self) -> None:
        other = UPSTREAM | {"name": "other"}
        lines = self.tell("upstreams users", {"upstreams": [other, UPSTREAM]}).out.splitlines()
        self.assertFalse(any("other" in line for line in lines))
        for line in (
            "http://a: held back",
            "  failing: connect_refused",
            "  1970-01-01 00:00:05 failed in 0.2 ms: connect_refused",
        ):
            self.assertIn(line, lines)

    def test_what_bounds_it(self) -> None:
        again = ENDPOINT | {"ejections": 2}
        lines = self.tell("upstreams users", {"upstreams": [UPSTREAM | {"endpoints": [again]}]}).out.splitlines()
        for line in (
            "users: breaker admitting, 1 of 9 failed within 10 s, 0 in a row",
            "users: bulkhead 3 of 200 inside, 1 waiting",
            "users: 2 attempts added to 40 exchanges within 10 s",
            "  ejected 2 times",
        ):
            self.assertIn(line, lines)
        bare = UPSTREAM | {"breaker": None, "bulkhead": None}
        lines = self.tell("upstreams users", {"upstreams": [bare]}).out.splitlines()
        self.assertIn("users: breaker off", lines)
        self.assertFalse(any("bulkhead" in line or "ejected" in line for line in lines))

    def test_what_discovery_advises(self) -> None:
        found = {"source": "k8s a", "state": "fresh", "failing": False, "refused": 1, "last_refused": "x: not y"}
        said = {"source": "k8s a", "acts": {"health-path": "/up"}, "ignored": {"balance": "the configuration says it"}}
        advised = UPSTREAM | {"advice": said, "health": "GET /up every 5s", "discovery": found}
        lines = self.tell("upstreams users", {"upstreams": [advised]}).out.splitlines()
        for line in (
            "users: balanced by round_robin, probed by GET /up every 5s",
            "  health-path /up: advised by k8s a",
            "  balance advised by k8s a does not act: the configuration says it",
            "users: 1 refused, the last: x: not y",
        ):
            self.assertIn(line, lines)
        self.assertIn("probed by nothing", self.tell("upstreams users", {"upstreams": [UPSTREAM]}).out)

    def test_one_that_is_not_there(self) -> None:
        done = self.tell("upstreams usres", {"upstreams": [UPSTREAM]})
        self.assertEqual(done.status, 1)
        self.assertIn('no upstream "usres"', done.err)


class ChangeTests(UpstreamsCase):
    ANSWER = {"upstream": "users", "endpoint": "http://a", "state": "drained", "weight": 1}

    def test_asked(self) -> None:
        for words, arguments in (
            ("drain users http://a", {"action": "drain", "endpoint": "http://a"}),
            ("ready users http://a", {"action": "ready", "endpoint": "http://a"}),
            ("weight users http://a 5", {"action": "weight", "endpoint": "http://a", "weight": 5}),
        ):
            done = self.tell(f"upstream {words}", self.ANSWER)
            self.assertEqual(self.asked.pop()[1:], ("upstream", {"name": "users"} | arguments))
            self.assertEqual((done.status, done.out), (0, "http://a: drained, weight 1\n"))

    def test_a_breaker(self) -> None:
        done = self.tell("upstream reset users", {"upstream": "users", "breaker": "admitting"})
        self.assertEqual(self.asked[0][2], {"name": "users", "action": "reset"})
        self.assertEqual(done.out, "users: the breaker is admitting\n")

    def test_bad_usage_is_not_asked(self) -> None:
        for words in (
            "drain users",
            "stop users a",
            "weight users a",
            "weight users a 0",
            "weight users a 1001",
            "weight users a x",
        ):
            done = self.tell(f"upstream {words}")
            self.assertEqual((done.status, self.asked), (2, []), words)


class EventsTests(UpstreamsCase):
    def test_a_line_each_and_nothing_that_a_terminal_obeys(self) -> None:
        done = self.tell("events --since 3", {"events": [EVENT], "last": 7})
        self.assertEqual(self.asked[0][1:], ("events", {"since": 3}))
        self.assertEqual(
            done.out,
            "7  1970-01-01 00:01:00  users  http://a  endpoint held  failing  failing: 500 [2J (health)\n",
        )

    def test_followed(self) -> None:
        done = self.tell(
            "events -f --upstream users",
            {"events": [EVENT], "last": 7},
            {"events": [EVENT | {"upstream": "b"}], "last": 9},
        )
        self.assertEqual(
            [each[2] for each in self.asked], [{"since": 0}, {"since": 7, "wait_s": 30.0}, {"since": 9, "wait_s": 30.0}]
        )
        self.assertEqual(len(done.out.splitlines()), 1)

    def test_a_number_that_is_none(self) -> None:
        done = self.tell("events --since x")
        self.assertEqual((done.status, self.asked), (2, []))
        self.assertIn('it is the number of an event, 0 or more, not "x"', done.err)

    def test_for_programs(self) -> None:
        done = self.tell("events --json", {"events": [EVENT, EVENT], "last": 7})
        self.assertEqual([json.loads(line) for line in done.out.splitlines()], [EVENT, EVENT])
