"""What differs."""

import json
import unittest

from edgegw.config.diff import Change, diff, path_text, render
from edgegw.config.source import Document, loads
from edgegw.config.validation import validate
from tests.config.sample import Config

BASE = """
upstreams: {users: {endpoints: ["http://a:1", "http://b:1"], pool: {max: 10}}}
routes:
  - {match: /a, to: users}
  - {match: GET /b, to: users, limit: 5/s}
  - {name: third, match: /c}
"""


def read(text: str, **environ: str) -> tuple[Config, Document]:
    document = loads(text, environ=environ)
    return validate(Config, document), document


def changes(old: str, new: str) -> list[str]:
    return [str(each) for each in diff(read(old)[0], read(new)[0])]


class DiffTests(unittest.TestCase):
    def test_no_difference(self) -> None:
        self.assertEqual(changes(BASE, BASE), [])
        self.assertEqual(changes(BASE, BASE.replace("max: 10", "max: 10, idle_timeout: 60s")), [])
        self.assertEqual(render([]), "no difference")

    def test_values(self) -> None:
        self.assertEqual(changes(BASE, BASE.replace("max: 10", "max: 20")), ["~ upstreams.users.pool.max: 10 -> 20"])
        self.assertEqual(changes(BASE, BASE + "workers: auto\n"), ["~ workers: 1 -> auto"])
        self.assertEqual(changes(BASE, BASE.replace("5/s", "6/s")), ['~ routes["GET /b"].limit: 5/s -> 6/s'])

    def test_a_route_is_known_by_its_name_not_its_place(self) -> None:
        moved = BASE.replace("  - {match: /a, to: users}\n", "")
        self.assertEqual(
            [(each.loc, each.kind) for each in diff(read(BASE)[0], read(moved)[0])], [(("routes", "/a"), "removed")]
        )
        self.assertEqual(
            [(each.loc, each.kind) for each in diff(read(moved)[0], read(BASE)[0])], [(("routes", "/a"), "added")]
        )

    def test_an_order_that_changed_is_one_change(self) -> None:
        turned = (
            BASE.replace("/a, to", "/t, to")
            .replace("GET /b", "/a")
            .replace("/t, to: users", "GET /b, to: users, limit: 5/s")
        )
        turned = turned.replace("{match: /a, to: users, limit: 5/s}", "{match: /a, to: users}")
        self.assertEqual(
            changes(BASE, turned), ['~ routes.order: [/a, "GET /b"] -> ["GET /b", /a]'.replace('"GET /b"', "GET /b")]
        )

    def test_names_that_come_twice(self) -> None:
        twice = "routes: [{match: /a, limit: 1/s}, {match: /a, limit: 2/s}]\n"
        self.assertEqual(changes(twice, twice.replace("2/s", "3/s")), ['~ routes["/a #2"].limit: 2/s -> 3/s'])

    def test_secrets_are_hidden_and_still_compared(self) -> None:
        text = "admin: {token: '${T}', listen: '${L}'}\nupstreams: {u: {endpoints: ['http://${H}:1']}}\n"
        old, old_document = read(text, T="old-token", L="old-listen", H="old-host")
        new, new_document = read(text, T="new-token", L="new-listen", H="new-host")
        found = diff(old, new, old_document, new_document)
        shown = render(found) + render(found, "json") + repr(found)
        for word in ("token", "listen", "host"):
            self.assertNotIn(f"old-{word}", shown)
            self.assertNotIn(f"new-{word}", shown)
        self.assertIn('~ admin.token: "********" -> "********"', shown)
        self.assertEqual(len(found), 4)
        self.assertNotIn("old-token", render(diff(old, new)), "a secret type needs no document to be hidden")

    def test_json(self) -> None:
        found = diff(read(BASE)[0], read(BASE.replace("max: 10", "max: 20"))[0])
        self.assertEqual(
            json.loads(render(found, "json")),
            [{"loc": ["upstreams", "users", "pool", "max"], "kind": "changed", "old": 10, "new": 20}],
        )

    def test_lines(self) -> None:
        self.assertEqual(str(Change(("a", "x y"), "added", None, {"k": [1]})), '+ a["x y"]: {k: [1]}')
        self.assertEqual(str(Change(("a",), "removed", "v")), "- a: v")
        self.assertEqual(path_text(("a", 1, "b-c")), "a[1].b-c")
