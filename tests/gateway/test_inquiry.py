"""Questions to a snapshot: what a route look-up answers must be what the gateway would do."""

import shutil
import tempfile
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from edgegw.gateway.inquiry import BadQuestion, Question, match, target_text
from edgegw.gateway.loading import provision, read
from edgegw.gateway.settings import RouteSettings
from edgegw.gateway.snapshot import Snapshot
from tests.certs import Authority

LISTEN = """\
edgegw: 1
listen:
  - {port: 80, redirect: https}
  - {port: 443, tls: {cert: site.pem, key: site.key}}
  - {port: 8080}
  - {port: 8081, escaped_slashes: redirect, caps: {target: 256}}
routes:
  - {match: "/**", respond: {status: 200}, name: all}
  - {match: shop.example.com/secure, respond: {status: 200}, name: tls, when: {sni: shop.example.com}}
  - {match: GET /only, respond: {status: 200}, name: get}
  - {match: "/files/{name}/**", files: {root: .}, name: files}
"""


class QuestionTests(SynchronousTestCase):
    def test_forms(self) -> None:
        for text, expected in (
            ("GET https://h/p?q=1", ("GET", "https", "h", "/p?q=1")),
            ("https://h/p", ("GET", "https", "h", "/p")),
            ("DELETE h:81/p", ("DELETE", "", "h:81", "/p")),
            ("/p", ("GET", "", "", "/p")),
            ("POST /p", ("POST", "", "", "/p")),
            ("http://h", ("GET", "http", "h", "/")),
            ("http://h?", ("GET", "http", "h", "/?")),
            ("http://user:pw@h/p#part", ("GET", "http", "h", "/p")),
            ("/a b/\u00fc?x=\u00fc", ("GET", "", "", "/a%20b/%C3%BC?x=%C3%BC")),
            ("/a%2Fb", ("GET", "", "", "/a%2Fb")),
            ("HTTP://H/p", ("GET", "http", "H", "/p")),
        ):
            with self.subTest(text=text):
                found = Question.parse(text)
                self.assertEqual((found.method, found.scheme, found.authority, found.target), expected)

    def test_what_is_none(self) -> None:
        for text in ("ftp://h/p", "ws://h/p", "http://[h/p"):
            self.assertRaises(BadQuestion, Question.parse, text)
        for header in (("", "x"), ("a", "b\r\nc: d"), ("a\n", "b")):
            self.assertRaises(BadQuestion, Question.parse, "/", [header])


class MatchTests(SynchronousTestCase):
    def setUp(self) -> None:
        folder = Path(tempfile.mkdtemp(prefix="edgegw-inquiry-"))
        self.addCleanup(shutil.rmtree, folder)
        Authority().issue("shop.example.com").write(folder, "site")
        (folder / "edgegw.yaml").write_text(LISTEN)
        self.snapshot: Snapshot = provision(read(folder / "edgegw.yaml"))

    def match(self, text: str, *headers: tuple[str, str], client: str = "") -> dict[str, Any]:
        return match(self.snapshot, Question.parse(text, headers, client))

    def test_listener(self) -> None:
        for text, listener in (
            ("http://h/", "*:80"),
            ("https://h/", "*:443"),
            ("https://h:9999/", "*:443"),
            ("http://h:8080/", "*:8080"),
            ("http://h:8081/", "*:8081"),
            ("http://h:9999/", "*:8080"),
            ("h:443/", "*:443"),
            ("/x", "*:443"),
        ):
            with self.subTest(text=text):
                self.assertEqual(self.match(text)["listener"], listener)

    def test_a_listener_that_redirects(self) -> None:
        found = self.match("http://h/x")
        self.assertEqual((found["status"], found["route"]), (308, None))

    def test_sni_is_the_host(self) -> None:
        self.assertEqual(self.match("https://shop.example.com/secure")["route"]["name"], "tls")
        found = self.match("http://shop.example.com:8080/secure")
        self.assertEqual(found["route"]["name"], "all")
        self.assertEqual(found["candidates"][0]["lost_because"], "when: sni shop.example.com does not hold")

    def test_params(self) -> None:
        found = self.match("http://h:8080/files/a/b/c")
        self.assertEqual((found["route"]["target"], found["params"]), ("files .", {"name": "a", "path": "b/c"}))

    def test_what_the_codec_refuses(self) -> None:
        for text, headers, status, reason in (
            ("http://h:8080/a%2fb", (), 400, "escaped_slash"),
            ("http://h:8081/a%2fb", (), 307, "the path is redirected to /a/b"),
            ("http://h:8081/" + "x" * 300, (), 414, "target_too_long"),
            ("BREW http://h:8080/", (), 501, "unknown_method"),
            ("http://h:8080/", (("Bad Name", "x"),), 400, "bad_field_name"),
            ("http://h:8080/", (("Content-Length", "1"), ("Transfer-Encoding", "chunked")), 400, "both_te_cl"),
            ("http://h:8080/", (("Host", "a b"),), 400, "bad_host"),
            ("http://h:port/", (), 400, "bad_host"),
        ):
            with self.subTest(text=text[:40]):
                found = self.match(text, *headers)
                self.assertEqual(found["status"], status)
                self.assertIn(reason, found["reason"])

    def test_options_of_the_gateway_itself(self) -> None:
        self.assertEqual(self.match("OPTIONS http://h:8080/*")["status"], 204)

    def test_head_takes_the_route_of_get(self) -> None:
        self.assertEqual(self.match("HEAD http://h:8080/only")["route"]["name"], "get")

    def test_a_body_and_an_upgrade_disturb_nothing(self) -> None:
        found = self.match(
            "POST http://h:8080/x", ("Content-Length", "5"), ("Upgrade", "websocket"), ("Connection", "upgrade")
        )
        self.assertEqual(found["route"]["name"], "all")

    def test_targets_in_words(self) -> None:
        texts = [target_text(route) for route in self.snapshot.settings.routes]
        self.assertEqual(texts, ["respond 200", "respond 200", "respond 200", "files ."])
        for to, more, expected in (
            ("a", {}, "to a"),
            ({"upstream": "a", "meta": {"version": "2"}}, {}, "to a (version=2)"),
            ([{"upstream": "a", "weight": 95}, {"upstream": "b", "weight": 5}], {}, "to a 95, b 5"),
            (["a", {"upstream": "b", "when": {"sni": "x"}}], {}, "to a 1, b when it fits"),
            ("a", {"fallback": "b", "mirror": "c"}, "to a; else b; copied to c"),
            ("a", {"fallback": {"respond": 503}, "mirror": ["b", "c"]}, "to a; else a fixed answer; copied to b, c"),
        ):
            route = RouteSettings.model_validate({"match": "/", "to": to, **more})
            self.assertEqual(target_text(route), expected)
