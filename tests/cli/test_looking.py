"""routes, match: of the file, and of the gateway that runs."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgegw.cli import looking
from tests.cli.case import CliCase, Done
from tests.gateway.fakes import SHOP


class LookingCase(CliCase):
    def setUp(self) -> None:
        super().setUp()
        Path("edgegw.yaml").write_text(SHOP)
        self.asked: list[tuple[Any, ...]] = []

    def tell(self, line: str, answer: Mapping[str, Any]) -> Done:
        """Run a command line against a gateway that gives this answer."""

        def ask(path: Path, command: str, arguments: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
            self.asked.append((path, command, arguments))
            return answer

        self.patch(looking, "ask", ask)
        return self.run_edgegw(f"{line} --state st")


class RoutesTests(LookingCase):
    def test_of_the_file(self) -> None:
        done = self.tell("routes", {})
        self.assertEqual(self.asked, [])
        rows = [line.split("  ")[0] for line in done.out.splitlines()]
        self.assertEqual(rows, ["MATCH", "api.example.com/users/{id}/**", "GET /hello", "/** when ..."])
        self.assertEqual(
            [each["when"] for each in json.loads(self.run_edgegw("routes --json").out)], [False, False, True]
        )

    def test_of_the_gateway(self) -> None:
        route = {"match": "/x", "when": False, "target": "to y", "name": "z", "place": "gw.yaml:1:1"}
        done = self.tell("routes --running", {"routes": [route]})
        self.assertEqual(self.asked, [(Path("st/control.sock"), "routes", None)])
        self.assertEqual(done.out, "MATCH  GOES  NAME  PLACE\n/x     to y  z     gw.yaml:1:1\n")


class MatchTests(LookingCase):
    def match(self, words: str) -> tuple[int, Any]:
        done = self.run_edgegw(f"match {words} --json")
        return done.status, json.loads(done.out)

    def test_header_fields_count(self) -> None:
        status, found = self.match("/elsewhere")
        self.assertEqual((status, found["route"], found["status"]), (1, None, 404))
        status, found = self.match("/elsewhere -H 'X-Beta:  1 '")
        self.assertEqual((status, found["route"]["name"]), (0, "/**"))

    def test_host_by_field_or_url(self) -> None:
        for words in ("/users/7/a -H 'Host: api.example.com'", "http://api.example.com/users/7/a"):
            status, found = self.match(words)
            self.assertEqual((status, found["route"]["name"], found["params"]["id"]), (0, "users", "7"))

    def test_told(self) -> None:
        lines = self.run_edgegw("match http://api.example.com/users/7/a").out.splitlines()
        self.assertEqual(lines[0], "GET http://api.example.com/users/7/a  on 127.0.0.1:8080")
        self.assertIn("  params  id=7, path=a", lines)
        self.assertIn("  place   edgegw.yaml:7:5", lines)
        self.assertIn("fits host and path, but is not chosen:", lines)

    def test_told_if_none_takes_it(self) -> None:
        done = self.run_edgegw("match 'POST /hello'")
        self.assertEqual(done.status, 1)
        self.assertIn("  answer  405: ", done.out)

    def test_asked_of_the_gateway(self) -> None:
        answer = {
            "request": "GET /\x1b",
            "listener": "*:80",
            "route": {"name": "r", "match": "/**", "target": "to u", "middleware": ["a", "b"], "place": "gw.yaml:1:1"},
            "params": {},
            "candidates": [],
        }
        done = self.tell("match / -H 'A: b' --client 10.0.0.7 --running", answer)
        path, command, arguments = self.asked[0]
        self.assertEqual((path, command), (Path("st/control.sock"), "match"))
        self.assertEqual(arguments, {"request": "/", "headers": [("A", "b")], "client": "10.0.0.7"})
        self.assertEqual(done.status, 0)
        self.assertEqual(
            done.out,
            "GET /   on *:80\n  route   r\n  match   /**\n  goes    to u\n  uses    a, b\n  place   gw.yaml:1:1\n",
        )

    def test_bad_questions_are_bad_usage_and_not_asked(self) -> None:
        for words in ("ftp://x/", "/ -H nonsense", "/ -H ': x'"):
            done = self.tell(f"match {words} --running", {})
            self.assertEqual((done.status, self.asked), (2, []), words)
            self.assertIn("Usage: edgegw match REQUEST", done.err)
