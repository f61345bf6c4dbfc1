"""check, show, schema, explain: what needs a file at most."""

import json
from pathlib import Path

from pydantic import BaseModel

from edgegw.cli import offline
from edgegw.gateway.builtins import Parts
from tests.certs import Authority
from tests.cli.case import CliCase

GOOD = "edgegw: 1\nlisten: [{unix: x.sock}]\nroutes: [{match: /, respond: {status: 200}}]\n"
WARNED = "edgegw: 1\nlisten: [{unix: x.sock, redirect: https}]\n"


class CheckTests(CliCase):
    """What `check` finds beyond the text."""

    def test_a_certificate_that_ends_soon_is_a_warning(self) -> None:
        Authority().issue("shop.example.com", ends_days=3).write(self.folder, "site")
        Path("edgegw.yaml").write_text("edgegw: 1\nlisten:\n  - {port: 8443, tls: {cert: site.pem, key: site.key}}\n")
        done = self.run_edgegw("check")
        self.assertEqual(done.status, 0)
        self.assertIn("warning: ", done.out)
        self.assertIn("expires on", done.out)
        self.assertEqual(self.run_edgegw("check --strict").status, 1)

    def test_counts_and_warnings(self) -> None:
        Path("edgegw.yaml").write_text(GOOD)
        self.assertEqual(self.run_edgegw("check"), (0, "edgegw.yaml: ok (1 route, 0 upstreams, 1 listener)\n", ""))
        Path("edgegw.yaml").write_text(WARNED)
        last = self.run_edgegw("check").out.splitlines()[-1]
        self.assertEqual(last, "edgegw.yaml: ok (0 routes, 0 upstreams, 1 listener; 1 warning)")

    def test_strict_takes_warnings_for_errors(self) -> None:
        Path("edgegw.yaml").write_text(WARNED)
        for words, ok in (("", True), (" --strict", False)):
            done = self.run_edgegw(f"check --json{words}")
            found = json.loads(done.out)
            self.assertEqual((done.status == 0, found["ok"], found["errors"], found["warnings"]), (ok, ok, 0, 1))
            self.assertEqual(found["listeners"], 1)

    def test_what_cannot_be_built_is_an_error(self) -> None:
        Path("edgegw.yaml").write_text(
            'edgegw: 1\nlisten: [{unix: x.sock}]\nroutes: [{match: "/{a}/{a}", respond: {status: 200}}]\n'
        )
        self.assertEqual(self.run_edgegw("check").status, 1)
        Path("edgegw.yaml").write_text("edgegw: 1\nlisten: [{unix: nowhere/x.sock}]\n")
        self.assertIn("cannot listen on", self.run_edgegw("check").out)


class ShowTests(CliCase):
    def test_show_marks_defaults(self) -> None:
        Path("edgegw.yaml").write_text(GOOD)
        found = self.run_edgegw("show").out
        self.assertIn("  grace: 30s  # default\n", found)
        self.assertIn("edgegw: 1\n", found)
        self.assertNotIn("# default", self.run_edgegw("show --written").out)

    def test_for_programs(self) -> None:
        Path("edgegw.yaml").write_text(GOOD)
        found = json.loads(self.run_edgegw("show --json").out)
        self.assertEqual(found["routes"][0]["respond"]["status"], 200)
        self.assertEqual(found["shutdown"]["grace"], "30s")


class SchemaTests(CliCase):
    def test_it_is_one(self) -> None:
        done = self.run_edgegw("schema")
        found = json.loads(done.out)
        self.assertEqual((done.status, found["title"]), (0, "edgegw configuration"))
        self.assertLessEqual({"listen", "routes", "upstreams"}, set(found["properties"]))


class ExplainTests(CliCase):
    def facts(self, key: str) -> dict[str, object]:
        found: dict[str, object] = json.loads(self.run_edgegw(f"explain {key} --json").out)
        return found

    def test_a_key(self) -> None:
        found = self.facts("shutdown.grace")
        self.assertEqual((found["key"], found["type"], found["default"]), ("shutdown.grace", "duration", "30s"))
        self.assertEqual(found["keys"], {})

    def test_what_is_below_and_what_of_it_is_required(self) -> None:
        keys = self.facts("routes")["keys"]
        assert isinstance(keys, dict)
        self.assertEqual([name for name, each in keys.items() if each["required"]], ["match"])
        self.assertEqual(self.facts("")["key"], "")

    def test_indexes_make_no_difference(self) -> None:
        self.assertEqual(self.facts("routes[0].timeout")["keys"], self.facts("routes.timeout")["keys"])

    def test_unknown(self) -> None:
        done = self.run_edgegw("explain shutdown.grce")
        self.assertEqual((done.status, done.out), (1, ""))
        self.assertIn('did you mean "shutdown.grace"?', done.err)

    def test_middleware_is_called_by_its_whole_key(self) -> None:
        out = self.run_edgegw("explain middleware.timeout").out
        self.assertIn("KEY      middleware.timeout\n", out)
        self.assertIn("more: edgegw explain middleware.timeout.KEY", out)
        self.assertEqual(self.facts("middleware.timeout.total")["key"], "middleware.timeout.total")

    def test_list_of_middleware(self) -> None:
        found = json.loads(self.run_edgegw("explain middleware --json").out)
        self.assertEqual([each["name"] for each in found], list(Parts().names))
        self.assertTrue(all(each["description"] for each in found))

    def test_middleware_that_cannot_be_imported_does_not_hide_the_others(self) -> None:
        class Broken(Parts):
            def middleware(self, name: str) -> object:  # type: ignore[override]
                if name == "timeout":
                    raise ImportError("no module named gone")
                return super().middleware(name)

        self.patch(offline, "Parts", Broken)
        out = self.run_edgegw("explain middleware").out
        self.assertIn('middleware "timeout" cannot be imported: ImportError: no module named gone', out)
        self.assertIn("body_limit", out)
        self.assertEqual(self.run_edgegw("explain middleware.timeout").status, 1)

    def test_part(self) -> None:
        self.assertTrue(issubclass(offline._part("headers"), BaseModel))
