"""What the target sees, and how its answer follows; nothing that a peer sends can make a rewrite go elsewhere."""

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from edgegw.config.problems import Problems
from edgegw.errors import GatewayError
from edgegw.exchange.model import Exchange, Response
from edgegw.routing.rewrite import Rewrite, RewriteSettings
from edgegw.testing.exchanges import make_exchange
from edgegw.wire.headers import Headers
from edgegw.wire.path import normalise

Fields = list[tuple[bytes, bytes]]
TO_B = {"regex": {"from": "^/a/(.*)$", "to": "/b/\\1"}}


class Case(SynchronousTestCase):
    def through(self, raw: object, url: str, answer: Fields = [], fields: Fields = []) -> tuple[Exchange, Fields]:  # noqa: B006
        """The exchange as the target saw it, and the fields of the answer."""
        problems = Problems()
        middleware = Rewrite.compile(RewriteSettings.model_validate(raw), problems)
        assert middleware is not None, list(problems)
        seen: list[tuple[str, bytes]] = []

        async def target(exchange: Exchange) -> Response:
            seen.append((exchange.request.path, exchange.request.authority))
            return Response(200, Headers.of(answer))

        exchange = make_exchange("GET", url, fields)
        response = self.successResultOf(Deferred.fromCoroutine(middleware(target)(exchange)))  # type: ignore[arg-type]
        self.assertEqual(seen, [(exchange.request.path, exchange.request.authority)])
        return exchange, list(response.headers)


class Requests(Case):
    # rewrite, path, what the target sees, X-Forwarded-Prefix
    PATHS: list[tuple[object, str, str, bytes | None]] = [
        ({"strip_prefix": "/users"}, "/users/7/x", "/7/x", b"/users"),
        ({"strip_prefix": "/users"}, "/users", "/", b"/users"),
        ({"strip_prefix": "/users"}, "/users/", "/", b"/users"),
        ({"strip_prefix": "/users/"}, "/users/7", "/7", b"/users"),
        ({"strip_prefix": "/users"}, "/users-old/7", "/users-old/7", None),
        ({"strip_prefix": "/users"}, "/other/7", "/other/7", None),
        ({"strip_prefix": "/users"}, "/users;v=1/7;w", "/7;w", b"/users"),
        ({"strip_prefix": "/a"}, "/a/a/b", "/a/b", b"/a"),
        ({"strip_prefix": "/a/b"}, "/a/b/c", "/c", b"/a/b"),
        ({"prefix": "/v2"}, "/7", "/v2/7", None),
        ({"prefix": "/v2/"}, "/", "/v2/", None),
        ({"strip_prefix": "/users", "prefix": "/v2"}, "/users/7", "/v2/7", b"/users"),
        ({"strip_prefix": "/users", "prefix": "/v2"}, "/users", "/v2", b"/users"),
        ({"strip_prefix": "/users", "prefix": "/v2"}, "/users/", "/v2/", b"/users"),
        (TO_B, "/a/x/y", "/b/x/y", None),
        (TO_B, "/c/x", "/c/x", None),
        ({"strip_prefix": "/s", **TO_B, "prefix": "/p"}, "/s/a/x", "/p/b/x", b"/s"),
        ({"regex": {"from": "/([0-9]+)-([a-z]+)", "to": "/\\2/\\1"}}, "/x/7-a/8-b", "/x/a/7/8-b", None),
        ({"host": "x.internal:81"}, "/a", "/a", None),
        (TO_B, "/a/x%20y", "/b/x%20y", None),
    ]

    def test_paths(self) -> None:
        for raw, path, wanted, prefix in self.PATHS:
            with self.subTest(rewrite=raw, path=path):
                exchange, _ = self.through(raw, path)
                self.assertEqual(exchange.request.path, wanted)
                self.assertEqual(exchange.request.headers.get(b"x-forwarded-prefix"), prefix)
                self.assertEqual(exchange.head.path, path)

    def test_query_stays(self) -> None:
        exchange, _ = self.through({"strip_prefix": "/a"}, "/a/b?x=/a/b&y=%2F")
        self.assertEqual(exchange.request.target, "/b?x=/a/b&y=%2F")

    def test_host(self) -> None:
        exchange, _ = self.through({"host": "x.internal:81"}, "http://shop.example/a")
        self.assertEqual((exchange.request.authority, exchange.request.host), (b"x.internal:81", "shop.example"))

    def test_prefix_of_a_trusted_proxy_is_kept(self) -> None:
        exchange, _ = self.through({"strip_prefix": "/b"}, "/b/c", fields=[(b"X-Forwarded-Prefix", b"/a/")])
        self.assertEqual(exchange.request.headers.get_all(b"x-forwarded-prefix"), [b"/a/b"])


class Hostile(Case):
    def refused(self, raw: object, path: str) -> GatewayError:
        middleware = Rewrite.compile(RewriteSettings.model_validate(raw), Problems())
        assert middleware is not None

        async def target(exchange: Exchange) -> Response:
            raise AssertionError(f"the target saw {exchange.request.path}")

        exchange = make_exchange("GET", "/")
        exchange.request.path = path
        return self.failureResultOf(Deferred.fromCoroutine(middleware(target)(exchange)), GatewayError).value  # type: ignore[arg-type]

    def test_traversal_and_control_characters(self) -> None:
        for raw, path, status, reason in (
            ({"regex": {"from": "^/a/(.*)$", "to": "/.\\1/x"}}, "/a/.", 400, "path_escapes_root"),
            ({"regex": {"from": "-", "to": "/"}}, "/a-../../etc/passwd", 400, "path_escapes_root"),
            ({"regex": {"from": "25", "to": ""}}, "/x%250d%250aSet-Cookie:a", 400, "encoded_control"),
            ({"regex": {"from": "25", "to": ""}}, "/a/%2500", 400, "encoded_nul"),
            ({"regex": {"from": "25", "to": ""}}, "/a/%25", 400, "bad_escape"),
            ({"regex": {"from": "25", "to": ""}}, "/a/%255c..", 400, "backslash"),
            ({"regex": {"from": "x", "to": ""}}, "/a/..x;y/z", 400, "dot_segment_parameter"),
            ({"regex": {"from": "^/", "to": ""}}, "/a", 500, "bad_rewrite"),
        ):
            with self.subTest(rewrite=raw, path=path):
                error = self.refused(raw, path)
                self.assertEqual((error.status, error.reason), (status, reason))

    def test_escaped_line_break_stays_escaped(self) -> None:
        """A peer can't send `%0d` at all; a rewrite doesn't decode anything either."""
        exchange, _ = self.through({"strip_prefix": "/a"}, "/a/%2520%253a")
        self.assertEqual(exchange.request.path, "/%2520%253a")

    @settings(max_examples=300, deadline=None)
    @given(
        st.lists(st.sampled_from(["a", "b", ".", "..", "...", "x;y", "%20", "%25", ".%2e", "0d", "%2e"]), max_size=6),
        st.sampled_from(
            [
                {"strip_prefix": "/a"},
                {"strip_prefix": "/a", "prefix": "/p"},
                {"regex": {"from": "/a", "to": "/."}},
                {"regex": {"from": "/a/?(.*)", "to": "/b\\1"}},
                {"regex": {"from": "25", "to": ""}},
            ]
        ),
    )
    def test_what_comes_out_is_normal(self, pieces: list[str], raw: dict[str, object]) -> None:
        try:
            path = normalise("/" + "/".join(pieces)).path
        except ValueError:
            return
        middleware = Rewrite.compile(RewriteSettings.model_validate(raw), Problems())
        assert middleware is not None
        seen: list[str] = []

        async def target(exchange: Exchange) -> Response:
            seen.append(exchange.request.path)
            return Response(200)

        exchange = make_exchange("GET", "/")
        exchange.request.path = path
        waiting = Deferred.fromCoroutine(middleware(target)(exchange))  # type: ignore[arg-type]
        waiting.addErrback(lambda failure: failure.trap(GatewayError) and None)
        self.assertEqual([normalise(one, "keep").path for one in seen], seen)


class Answers(Case):
    BOTH = {"strip_prefix": "/users", "prefix": "/v2", "host": "u.internal:81"}
    # rewrite, URL, Location, Location as it leaves
    LOCATIONS: list[tuple[object, str, bytes, bytes]] = [
        (BOTH, "https://shop.example/users/7", b"/v2/8?x=1#y", b"/users/8?x=1#y"),
        (BOTH, "https://shop.example/users/7", b"/v2", b"/users"),
        (BOTH, "https://shop.example/users/7", b"/v2?x", b"/users?x"),
        (BOTH, "https://shop.example/users/7", b"/v20/8", b"/v20/8"),
        (BOTH, "https://shop.example/users/7", b"/login", b"/login"),
        (BOTH, "https://shop.example/users/7", b"next", b"next"),
        (BOTH, "https://shop.example:8443/users/7", b"http://U.internal:81/v2/8", b"https://shop.example:8443/users/8"),
        (BOTH, "https://shop.example/users/7", b"//u.internal:81/v2/8", b"//shop.example/users/8"),
        (BOTH, "https://shop.example/users/7", b"https://shop.example/v2/8", b"https://shop.example/users/8"),
        (BOTH, "https://shop.example/users/7", b"https://other.example/v2/8", b"https://other.example/v2/8"),
        (BOTH, "https://shop.example/users/7", b"https://u.internal/v2/8", b"https://u.internal/v2/8"),
        (BOTH, "https://shop.example/users/7", b"mailto:a@u.internal", b"mailto:a@u.internal"),
        ({"strip_prefix": "/users"}, "/users/7", b"/8", b"/users/8"),
        ({"strip_prefix": "/users"}, "/users/7", b"/", b"/users/"),
        ({"strip_prefix": "/users"}, "/other/7", b"/8", b"/8"),
        ({"prefix": "/v2"}, "/7", b"/v2/8", b"/8"),
        ({"prefix": "/v2"}, "/7", b"/v2?x", b"/?x"),
        ({"prefix": "/v2"}, "/7", b"/v2", b"/"),
        (TO_B, "/a/x/y", b"/b/z", b"/a/z"),
        (TO_B, "/a/x/y", b"/c/z", b"/c/z"),
        (TO_B, "/q/x", b"/b/z", b"/b/z"),
        ({"regex": {"from": "^/item-([0-9]+)$", "to": "/items/\\1"}}, "/item-7", b"/items/7/edit", b"/item-7/edit"),
    ]

    def test_locations(self) -> None:
        for raw, url, location, wanted in self.LOCATIONS:
            for name in (b"Location", b"content-location"):
                with self.subTest(rewrite=raw, url=url, location=location):
                    _, fields = self.through(raw, url, [(b"A", b"/v2/"), (name, location)])
                    self.assertEqual(fields, [(b"A", b"/v2/"), (name, wanted)])

    COOKIES: list[tuple[object, bytes, bytes]] = [
        (BOTH, b"a=/v2; Path=/v2/x; HttpOnly", b"a=/v2; Path=/users/x; HttpOnly"),
        (BOTH, b"a=1; path=/v2", b"a=1; path=/users"),
        (BOTH, b"a=1; Path=/", b"a=1; Path=/"),
        (BOTH, b"a=1;Domain=u.internal;Secure", b"a=1;Domain=shop.example;Secure"),
        (BOTH, b"a=1; Domain=.Internal", b"a=1; Domain=shop.example"),
        (BOTH, b"a=1; Domain=shop.example", b"a=1; Domain=shop.example"),
        (BOTH, b"a=1; Domain=other.example", b"a=1; Domain=other.example"),
        (BOTH, b"__Host-a=1; Path=/v2; Secure", b"__Host-a=1; Path=/v2; Secure"),
        (BOTH, b"a=1", b"a=1"),
        ({"strip_prefix": "/users"}, b"a=1; Path=/", b"a=1; Path=/users"),
        ({"strip_prefix": "/users"}, b"a=1; Path=/x", b"a=1; Path=/users/x"),
        ({"strip_prefix": "/users"}, b"a=1; Path=x", b"a=1; Path=x"),
        (TO_B, b"a=1; Path=/b", b"a=1; Path=/b"),
    ]

    def test_cookies(self) -> None:
        for raw, cookie, wanted in self.COOKIES:
            with self.subTest(rewrite=raw, cookie=cookie):
                _, fields = self.through(
                    raw, "https://shop.example/users/7", [(b"Set-Cookie", cookie), (b"Set-Cookie", b"z=1")]
                )
                self.assertEqual(fields, [(b"Set-Cookie", wanted), (b"Set-Cookie", b"z=1")])

    def test_domain_is_left_out_where_browsers_would_refuse_it(self) -> None:
        for url in ("http://10.0.0.1/users/7", "http://localhost/users/7", "http://[::1]/users/7"):
            _, fields = self.through(self.BOTH, url, [(b"Set-Cookie", b"a=1; Domain=u.internal; Secure")])
            self.assertEqual(fields, [(b"Set-Cookie", b"a=1; Secure")])


class Mistakes(SynchronousTestCase):
    def test_table(self) -> None:
        for raw, loc, message in (
            ({}, (), "changes nothing"),
            ({"strip_prefix": "users"}, ("strip_prefix",), "is not a path"),
            ({"strip_prefix": "/{tenant}"}, ("strip_prefix",), "is not a plain path"),
            ({"prefix": "/a/../.."}, ("prefix",), "is not a path"),
            ({"prefix": "/a?x"}, ("prefix",), "is not a plain path"),
            ({"prefix": "/a\r\nX: y"}, ("prefix",), "is not a path"),
            ({"regex": {"from": "(", "to": "/"}}, ("regex", "from"), "does not compile"),
            ({"regex": {"from": "(a)", "to": "/\\2"}}, ("regex", "to"), "asks for group 2"),
            ({"regex": {"from": "(a)", "to": "/\\x"}}, ("regex", "to"), "holds a"),
            ({"regex": {"from": "(a)", "to": "/b?c=\\1"}}, ("regex", "to"), "holds a"),
            ({"regex": {"from": "(a)", "to": "/\r\n"}}, ("regex", "to"), "cannot stand in a path"),
            ({"regex": {"from": "(a)", "to": "/%\\1"}}, ("regex", "to"), "cannot stand in a path"),
            ({"host": "http://x"}, ("host",), "is not a host"),
            ({"host": "x\r\nA: b"}, ("host",), "is not a host"),
        ):
            with self.subTest(rewrite=raw):
                problems = Problems()
                self.assertIsNone(
                    Rewrite.compile(RewriteSettings.model_validate(raw), problems.under("routes", 1, "rewrite"))
                )
                (problem,) = problems
                self.assertEqual(problem.loc, ("routes", 1, "rewrite", *loc))
                self.assertIn(message, problem.message)
