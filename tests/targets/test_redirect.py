"""Redirects: placeholders, and that nothing a peer sends leads anywhere else."""

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from edgegw.config.problems import Problems
from edgegw.errors import GatewayError
from edgegw.routing.entries import Entry
from edgegw.routing.match import parse_match
from edgegw.routing.tree import Found, Tree
from edgegw.targets.redirect import Redirect, RedirectSettings
from edgegw.testing.exchanges import make_exchange
from edgegw.wire.path import check_query, normalise

NEW = "https://new.example.com"


class Case(SynchronousTestCase):
    def location(self, match: str, to: str, url: str, status: int = 308) -> str:
        compiled = parse_match(match, Problems())
        problems = Problems()
        assert compiled is not None
        raw = {"to": to, "status": status}
        target = Redirect.compile(RedirectSettings.model_validate(raw), problems, compiled.parameters)
        assert target is not None, list(problems)
        exchange = make_exchange("GET", url)
        found = Tree([Entry(compiled)]).find(exchange)
        assert isinstance(found, Found)
        exchange.request.params = found.params
        waiting = Deferred.fromCoroutine(target(exchange))
        response = self.successResultOf(waiting)
        self.assertEqual(response.status, status)
        return (response.headers.get(b"location") or b"").decode("ascii")


class Redirecting(Case):
    # match, to, URL, Location
    TABLE = [
        ("/old/**", NEW + "/{path}", "/old/a/b", NEW + "/a/b"),
        ("/old/**", NEW + "/{path}", "/old", NEW + "/"),
        ("/old/**", NEW + "/{path}", "/old/a/", NEW + "/a/"),
        ("/old/**", NEW + "/{path}", "/old/a?x=1", NEW + "/a"),
        ("/old/**", NEW + "/{path}?{query}", "/old/a?x=1&y=%2F", NEW + "/a?x=1&y=%2F"),
        ("/old/**", NEW + "/{path}?{query}", "/old/a", NEW + "/a"),
        ("/old", NEW + "/{path}", "/old", NEW + "/old"),
        ("/users/{id:int}", "/people/{id}", "/users/7", "/people/7"),
        ("/users/{id}", "/people?id={id}&x", "/users/a&b=c+d;e", "/people?id=a%26b%3Dc%2Bd&x"),
        ("/users/{id}", "/people?id={id}", "/users/a%20b", "/people?id=a%20b"),
        ("/users/{id}", "/people#{id}", "/users/7", "/people#7"),
        ("/**", "https://{host}/{path}?{query}", "http://Shop.example:8080/a?b", "https://shop.example/a?b"),
        ("/**", "https://{host}:8443/{path}", "http://[2001:db8::1]/a", "https://[2001:db8::1]:8443/a"),
        (
            "{tenant}.example.com/**",
            "https://{tenant}.new.example/{path}",
            "http://acme.example.com/x",
            "https://acme.new.example/x",
        ),
        ("/a", "/{query}", "/a?b/../c", "/b%2F..%2Fc"),
        ("/a", "/{host}", "/a", "/example.com"),
    ]

    def test_table(self) -> None:
        for match, to, url, wanted in self.TABLE:
            with self.subTest(match=match, to=to, url=url):
                self.assertEqual(self.location(match, to, url), wanted)

    def test_status(self) -> None:
        for status in (301, 302, 303, 307, 308):
            self.assertEqual(self.location("/a", "/b", "/a", status), "/b")
        self.assertEqual(RedirectSettings.model_validate({"to": "/b"}).status, 307)


class Hostile(Case):
    def test_a_parameter_in_the_host_is_a_label(self) -> None:
        for value in ("evil.com@x", "a:b", "evil.com;x@y", "%40evil.com"):
            with self.subTest(value=value):
                target = Redirect.compile(RedirectSettings(to="https://{region}.example.com/"), Problems())
                assert target is not None
                exchange = make_exchange("GET", "/")
                exchange.request.params = {"region": value}
                error = self.failureResultOf(Deferred.fromCoroutine(target(exchange)), GatewayError).value
                self.assertEqual((error.status, error.reason), (400, "bad_redirect"))

    def test_an_empty_rest_makes_no_host(self) -> None:
        """`//evil.example` would be another host."""
        self.assertEqual(self.location("/go/**/{x}", "/{path}/{x}", "/go/evil.example"), "/evil.example")

    @settings(max_examples=300, deadline=None)
    @given(
        st.text(alphabet="/.ab\\@:;%0dD2fF5cC?#\r\n\x00\u00e9", max_size=20),
        st.sampled_from(["/{path}", NEW + "/{path}", "/x?{query}&p={path}"]),
    )
    def test_whatever_comes_in(self, text: str, to: str) -> None:
        path, _, query = text.partition("?")
        try:
            normal = normalise("/old/" + path).path
        except ValueError:
            return
        if not normal.startswith("/old/"):
            return
        exchange = make_exchange("GET", normal)
        try:
            exchange.request.query = check_query(query)
        except ValueError:
            return
        exchange.request.params = {"path": normal.removeprefix("/old/")}
        target = Redirect.compile(RedirectSettings(to=to), Problems())
        assert target is not None
        response = self.successResultOf(Deferred.fromCoroutine(target(exchange)))
        location = response.headers.get(b"location") or b""
        self.assertRegex(location, rb"\A[!-~]+\Z")
        self.assertFalse(location.startswith(b"//"))
        self.assertTrue(location.startswith((b"/", NEW.encode() + b"/")))


class Mistakes(SynchronousTestCase):
    def test_table(self) -> None:
        for to, message in (
            ("new.example.com/", "neither a path nor"),
            ("//new.example.com/", "neither a path nor"),
            ("javascript:alert(1)", "neither a path nor"),
            ("/a/{b", "brace"),
            ("/a/{b c}", "brace"),
            ("/a b", "cannot stand in a URL"),
            ("/a\r\nX: y", "cannot stand in a URL"),
            ("/\u00e9", "cannot stand in a URL"),
            ("/{nmae}", "is not a parameter of this route's match; there are host, name, path, query"),
        ):
            with self.subTest(to=to):
                problems = Problems()
                self.assertIsNone(Redirect.compile(RedirectSettings(to=to), problems.under("redirect"), {"name"}))
                self.assertEqual({problem.loc for problem in problems}, {("redirect", "to")})
                self.assertIn(message, " ".join(problem.message for problem in problems))
