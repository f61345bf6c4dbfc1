"""Every sentence of design/config.md "Match" that a single match can show, and what people are told when they write it wrong."""

from twisted.trial.unittest import SynchronousTestCase

from edgegw.config.problems import Problems
from edgegw.exchange.model import Exchange
from edgegw.routing.entries import Entry
from edgegw.routing.match import Match, MatchSettings, compile_match, parse_match
from edgegw.routing.tree import Found, Tree
from edgegw.testing.exchanges import make_exchange


def matched(text: str) -> Match:
    problems = Problems()
    match = parse_match(text, problems)
    assert match is not None and not problems, list(problems)
    return match


def captured(text: str, exchange: Exchange) -> dict[str, str] | None:
    """What a tree of this one match captures, or None when it does not match."""
    found = Tree([Entry(matched(text))]).find(exchange)
    return found.params if isinstance(found, Found) else None


# match, method, URL, what is captured (None: no match)
MATCHES: list[tuple[str, str, str, dict[str, str] | None]] = [
    # [METHOD|METHOD ][HOST]/PATH
    ("/", "GET", "/", {}),
    ("/", "GET", "/a", None),
    ("/a", "POST", "http://any.example/a", {}),
    ("GET /a", "GET", "/a", {}),
    ("GET /a", "POST", "/a", None),
    ("GET|POST /a", "POST", "/a", {}),
    ("GET|POST /a", "PUT", "/a", None),
    ("OPTIONS /a", "OPTIONS", "/a", {}),
    ("GET /a", "HEAD", "/a", {}),
    ("POST /a", "HEAD", "/a", None),
    # HOST
    ("api.example.com/a", "GET", "http://api.example.com/a", {}),
    ("api.example.com/a", "GET", "http://example.com/a", None),
    ("api.example.com/a", "GET", "http://x.api.example.com/a", None),
    ("API.Example.COM/a", "GET", "http://Api.EXAMPLE.com/a", {}),
    ("api.example.com/a", "GET", "http://api.example.com:8443/a", {}),
    ("api.example.com:8443/a", "GET", "http://api.example.com/a", {}),
    ("api.example.com/a", "GET", "http://api.example.com./a", {}),
    ("api.example.com./a", "GET", "http://api.example.com/a", {}),
    ("[2001:DB8::1]/a", "GET", "http://[2001:db8:0::1]:80/a", {}),
    ("bücher.example/a", "GET", "http://xn--bcher-kva.example/a", {}),
    ("*.example.com/a", "GET", "http://api.example.com/a", {}),
    ("*.example.com/a", "GET", "http://example.com/a", None),
    ("*.example.com/a", "GET", "http://a.b.example.com/a", None),
    ("*.example.com/a", "GET", "http://badexample.com/a", None),
    ("**.example.com/a", "GET", "http://api.example.com/a", {}),
    ("**.example.com/a", "GET", "http://a.b.c.example.com/a", {}),
    ("**.example.com/a", "GET", "http://example.com/a", None),
    ("**.example.com/a", "GET", "http://badexample.com/a", None),
    ("{tenant}.example.com/a", "GET", "http://acme.example.com/a", {"tenant": "acme"}),
    ("{tenant}.example.com/a", "GET", "http://x.acme.example.com/a", None),
    ("{tenant}.example.com/{id}/**", "GET", "http://acme.example.com/7/x", {"tenant": "acme", "id": "7", "path": "x"}),
    # PATH: literals
    ("/a/b", "GET", "/a/b", {}),
    ("/a/b", "GET", "/a/B", None),
    ("/a/b", "GET", "/a", None),
    ("/a/b", "GET", "/a/b/c", None),
    ("/products", "GET", "/products-for-sale", None),
    ("/caf\u00e9", "GET", "/caf%c3%a9", {}),
    ("/%7Euser", "GET", "/~user", {}),
    # A trailing slash distinguishes paths.
    ("/a", "GET", "/a/", None),
    ("/a/", "GET", "/a", None),
    ("/a/", "GET", "/a/", {}),
    ("/{x}", "GET", "/a/", None),
    ("/{x}/", "GET", "/a/", {"x": "a"}),
    # {name}, {name:int}, {name:regex}
    ("/users/{id}", "GET", "/users/7", {"id": "7"}),
    ("/users/{id}", "GET", "/users/", None),
    ("/users/{id}", "GET", "/users/7/8", None),
    ("/users/{id}", "GET", "/users/a%20b", {"id": "a%20b"}),
    ("/users/{id:int}", "GET", "/users/007", {"id": "007"}),
    ("/users/{id:int}", "GET", "/users/7a", None),
    ("/users/{id:int}", "GET", "/users/-7", None),
    ("/users/{id:int}", "GET", "/users/" + "9" * 20, None),
    ("/users/{id:int}", "GET", "/users/%D9%A1", None),
    ("/v/{v:[a-z]+}", "GET", "/v/abc", {"v": "abc"}),
    ("/v/{v:[a-z]+}", "GET", "/v/abc1", None),
    ("/v/{v:[0-9]{4}-[0-9]{2}}", "GET", "/v/2026-11", {"v": "2026-11"}),
    ("/v/{v:[0-9]{4}-[0-9]{2}}/{w:(?:a{1,2}|b)}", "GET", "/v/2026-11/aa", {"v": "2026-11", "w": "aa"}),
    ("/v/{v:a|b}", "GET", "/v/ab", None),
    ("/v/{v:\\{x\\}}", "GET", "/v/%7Bx%7D", None),  # regexes see the normalised form
    ("/v/{v:%7Bx%7D}", "GET", "/v/{x}", {"v": "%7Bx%7D"}),
    ("/v/{file:[a-z]+\\.json}", "GET", "/v/data.json", {"file": "data.json"}),
    # * is one segment
    ("/a/*/c", "GET", "/a/b/c", {}),
    ("/a/*/c", "GET", "/a/c", None),
    ("/a/*/c", "GET", "/a/b/b/c", None),
    ("/a/*", "GET", "/a/", None),
    # ** is zero or more
    ("/**", "GET", "/", {"path": ""}),
    ("/**", "GET", "/a/b/", {"path": "a/b/"}),
    ("/files/**", "GET", "/files", {"path": ""}),
    ("/files/**", "GET", "/files/", {"path": ""}),
    ("/files/**", "GET", "/files/docs/readme.txt", {"path": "docs/readme.txt"}),
    ("/files/**", "GET", "/filesystem", None),
    ("/a/**/z", "GET", "/a/z", {"path": ""}),
    ("/a/**/z", "GET", "/a/b/c/z", {"path": "b/c"}),
    ("/a/**/z", "GET", "/a/z/z/z", {"path": "z/z"}),
    ("/a/**/z", "GET", "/a/b/c", None),
    ("/a/**/{x}/z", "GET", "/a/b/c/z", {"path": "b", "x": "c"}),
    ("/a/**/z/**", "GET", "/a/b/z/c/z/d", {"path": "c/z/d"}),
    ("/a/**/", "GET", "/a/b/", {"path": "b"}),
    ("/a/**/", "GET", "/a/b", None),
    # Segments are compared without `;parameters`; `**` keeps them for the target.
    ("/admin", "GET", "/admin;x=1", {}),
    ("/admin/{id:int}", "GET", "/admin;x=1/7;y", {"id": "7"}),
    ("/m/**", "GET", "/m/a;v=1/b", {"path": "a;v=1/b"}),
    # gRPC
    ("/acme.Orders/Get", "POST", "/acme.Orders/Get", {}),
]


class Matching(SynchronousTestCase):
    def test_table(self) -> None:
        for text, method, url, wanted in MATCHES:
            with self.subTest(match=text, method=method, url=url):
                self.assertEqual(captured(text, make_exchange(method, url)), wanted)

    def test_long_form_is_the_same_match(self) -> None:
        settings = MatchSettings.model_validate(
            {"host": "api.example.com", "path": "/users/{id}/**", "methods": ["POST", "GET"]}
        )
        short = MatchSettings.model_validate("GET|POST api.example.com/users/{id}/**")
        problems = Problems()
        self.assertEqual(compile_match(settings, problems), compile_match(short, problems))
        self.assertFalse(problems)

    def test_every_key_of_the_long_form_may_be_missing(self) -> None:
        problems = Problems()
        match = compile_match(MatchSettings.model_validate({"host": "a.example"}), problems)
        self.assertEqual(str(match), "a.example/**")

    def test_text_is_the_short_form(self) -> None:
        for text in ("GET|POST **.example.com/a/{b}/{c:int}/{d:[0-9]{2}}/*/**", "/", "{t}.example.com/a/", "*.a.b/x"):
            self.assertEqual(str(matched(text)), text)

    def test_parameters(self) -> None:
        self.assertEqual(matched("{t}.a.b/{x}/{y:int}/**").parameters, frozenset({"t", "x", "y", "path"}))


# What is written, a piece of the message, a piece of the hint
MISTAKES = [
    ("api.example.com", "has no path", 'write "api.example.com/**"'),
    ("GET", "is a method without a path", ""),
    ("get /a", '"get" is not a method', "GET"),
    ("GET| /a", '"" is not a method', "GET|POST"),
    ("users/{id", "do not pair", "{name:regex}"),
    ("/users/id}", "do not pair", "{name:regex}"),
    ("/a//b", "empty segment", "merged"),
    ("/a/../b", "dot segment", ""),
    ("/a/%2e%2e/b", "never matches", ""),
    ("/a/b*", "`*` cannot stand for part", "{name:regex}"),
    ("/a/x{id}", "is not a parameter", "fills its segment"),
    ("/a/{x}{y}", "is not a parameter", "fills its segment"),
    ("/a/{}", "is not a parameter's name", "any segment is `*`"),
    ("/a/{1a}", "is not a parameter's name", "digit"),
    ("/a/{id:integer}", "is not a type", "{id:int}"),
    ("/a/{id:}", "is not a type", "{id}"),
    ("/a/{id:a/b}", "holds a `/`", "`**`"),
    ("/a/{id:[a-}", "does not compile", "RE2"),
    ("/a/{id:(?=x)y}", "does not compile", "no lookahead"),
    ("/a/{id:([a-z]{900}){2}}", "regex", ""),
    ("/a/{id}/{id}", "stands twice", "own name"),
    ("{id}.example.com/{id}", "stands in host and path", "own name"),
    ("/a/{path}/**", "what `**` captures", "own name"),
    ("/a/**/**", "twice in a row", "any number"),
    ("/a?x=1", "`?` cannot stand", "when: {query"),
    ("/a;x", "`;` cannot stand", "parameters"),
    ("/a#b", "never matches", ""),
    ("/a\\b", "never matches", ""),
    ("/a/%zz", "never matches", ""),
    ("/a/%00", "never matches", ""),
    ("*/a", "is not a host pattern", "leave the host out"),
    ("**/a", "is not a host pattern", "leave the host out"),
    ("api.*.com/a", "only the first label", "*.example.com"),
    ("{a:int}.example.com/a", "has no type", "{tenant}"),
    ("{a}/x", "needs a domain", "*.example.com"),
    ("http://a.example/x", "has a scheme", 'write "a.example/x"'),
    ("exa mple.com/x", "is not a", ""),
    ("-bad.com/x", "is not a host", ""),
    ("/" + "/".join("a" * 70), "at most 64 segments", ""),
]


class Mistakes(SynchronousTestCase):
    def test_table(self) -> None:
        for text, message, hint in MISTAKES:
            with self.subTest(match=text):
                problems = Problems()
                self.assertIsNone(parse_match(text, problems))
                (problem,) = problems
                self.assertIn(message, problem.message)
                self.assertIn(hint, (problem.hint or "") + problem.message)

    def test_long_form_names_the_key(self) -> None:
        for raw, loc in (
            ({"host": "a.*.b", "path": "/"}, ("host",)),
            ({"path": "a"}, ("path",)),
            ({"path": "/{x"}, ("path",)),
            ({"methods": ["GET", "post"]}, ("methods", 1)),
        ):
            with self.subTest(raw=raw):
                problems = Problems()
                self.assertIsNone(
                    compile_match(MatchSettings.model_validate(raw), problems.under("routes", 3, "match"))
                )
                self.assertEqual([problem.loc for problem in problems], [("routes", 3, "match", *loc)])
