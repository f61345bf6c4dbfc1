"""Precedence, 404 and 405, HEAD, bounds; and the tree against a reference that knows nothing of trees."""

import re
from itertools import permutations
from timeit import timeit

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from edgegw.config.problems import Problems
from edgegw.exchange.predicates import WhenSettings, compile_when
from edgegw.routing.entries import Entry
from edgegw.routing.match import parse_match
from edgegw.routing.tree import Found, Refused, Tree
from edgegw.testing.exchanges import make_exchange


def entry(text: str, value: object = None, priority: int = 0, when: dict[str, object] | None = None) -> Entry:
    problems = Problems()
    match = parse_match(text, problems)
    assert match is not None, list(problems)
    predicate = compile_when(WhenSettings.model_validate(when), problems) if when else None
    assert not problems, list(problems)
    return Entry(match, predicate, priority, text if value is None else value)


def found(tree: Tree, method: str, url: str, headers: list[tuple[bytes, bytes]] | None = None) -> object:
    """The value found, the Allow of a 405, or None."""
    result = tree.find(make_exchange(method, url, headers or []))
    return result.value if isinstance(result, Found) else result.allow if isinstance(result, Refused) else None


# All of these fit GET http://a.b.example.com/x/7/z; each one is preferred to those behind it.
PRECEDENCE = [
    entry("**.example.com/**", "priority", 1),
    entry("GET a.b.example.com/x/7/z", "host exact, path literal, method named", 0, {"header": {"A": "1"}}),
    entry("a.b.example.com/x/7/z", "method any", 0, {"header": {"A": "1"}, "query": {"q": "1"}}),
    entry("a.b.example.com/x/7/z", "fewer predicates", 0, {"header": {"A": "1"}}),
    entry("a.b.example.com/x/7/z", "file order", 0, {"query": {"q": "1"}}),
    entry("a.b.example.com/x/7/z", "no predicate"),
    entry("a.b.example.com/x/7/{c:[a-z]}", "literal, then typed"),
    entry("a.b.example.com/x/7/{c}", "literal, then plain"),
    entry("a.b.example.com/x/7/*", "literal, then *"),
    entry("a.b.example.com/x/7/**/z", "** with something behind"),
    entry("a.b.example.com/x/7/**", "literal, then **"),
    entry("a.b.example.com/x/{b:int}/z", "typed, then literal"),
    entry("a.b.example.com/x/{b:int}/{c:[a-z]}", "typed twice"),
    entry("a.b.example.com/x/{b}/z", "plain, then literal"),
    entry("a.b.example.com/x/{b}/*", "plain, then *"),
    entry("a.b.example.com/x/*/z", "*, then literal"),
    entry("a.b.example.com/x/**", "**"),
    entry("a.b.example.com/{a}/7/z", "plain first"),
    entry("*.b.example.com/x/7/z", "host *"),
    entry("*.b.example.com/**", "host *, path **"),
    entry("**.b.example.com/x/7/z", "host **, longer"),
    entry("**.example.com/x/7/z", "host **, shorter"),
    entry("GET /x/7/z", "host any"),
    entry("/**", "everything"),
    entry("GET a.b.example.com/x/7/z", "negative priority", -1),
]


class Precedence(SynchronousTestCase):
    def test_each_before_the_next_in_either_order(self) -> None:
        exchange = make_exchange("GET", "http://a.b.example.com/x/7/z?q=1", [(b"A", b"1")])
        for number, better in enumerate(PRECEDENCE):
            for worse in PRECEDENCE[number + 1 :]:
                if {better.value, worse.value} == {"fewer predicates", "file order"}:
                    continue
                for pair in permutations((better, worse)):
                    result = Tree(pair).find(exchange)
                    assert isinstance(result, Found)
                    self.assertEqual(result.value, better.value, f"against {worse.value}")

    def test_file_order_is_the_last_word(self) -> None:
        one, two = entry("/a", 1, 0, {"header": {"A": "1"}}), entry("/a", 2, 0, {"header": {"B": "1"}})
        headers = [(b"A", b"1"), (b"B", b"1")]
        self.assertEqual(found(Tree([one, two]), "GET", "/a", headers), 1)
        self.assertEqual(found(Tree([two, one]), "GET", "/a", headers), 2)

    def test_all_of_them_at_once_by_explain(self) -> None:
        exchange = make_exchange("GET", "http://a.b.example.com/x/7/z?q=1", [(b"A", b"1")])
        for order in (PRECEDENCE, [*PRECEDENCE[10:], *PRECEDENCE[:10]]):
            candidates = Tree(order).explain(exchange)
            self.assertEqual([candidate.value for candidate in candidates], [entry.value for entry in PRECEDENCE])
            self.assertEqual([candidate.lost_because is None for candidate in candidates], [True] + [False] * 24)

    def test_typed_siblings_are_judged_by_what_follows(self) -> None:
        """`{a:int}` and `{a:[0-9]+}` rank alike, so the next segment decides, whatever stands first in the file."""
        pair = [entry("/{a:[0-9]+}/{b}", 1), entry("/{a:int}/z", 2)]
        for order in permutations(pair):
            self.assertEqual(found(Tree(order), "GET", "/7/z"), 2)

    def test_backtracks(self) -> None:
        tree = Tree(
            [
                entry("/a/b/c"),
                entry("/a/{x}/d"),
                entry("/a/**", "rest"),
                entry("GET /a/b/{y}", "get"),
                entry("/{z}/b/e"),
            ]
        )
        self.assertEqual(found(tree, "GET", "/a/b/c"), "/a/b/c")
        self.assertEqual(found(tree, "GET", "/a/b/d"), "get")
        self.assertEqual(found(tree, "POST", "/a/b/d"), "/a/{x}/d")
        self.assertEqual(found(tree, "GET", "/a/q/q"), "rest")
        self.assertEqual(found(tree, "POST", "/a/b/e"), "rest")

    def test_backtracks_from_host_to_host(self) -> None:
        tree = Tree([entry("a.b.c/x", 1), entry("*.b.c/y", 2), entry("**.c/z", 3), entry("/w", 4)])
        self.assertEqual([found(tree, "GET", f"http://a.b.c/{path}") for path in "xyzwv"], [1, 2, 3, 4, None])

    def test_high_priority_is_found_behind_any_node(self) -> None:
        others = [entry(f"/a/{number}", number) for number in range(20)] + [entry("a.example/a/7", "exact")]
        tree = Tree([*others, entry("/**", "all", 5), entry("/a/{n}", "one", 6), entry("/{x}/{n:int}", "int", 4)])
        self.assertEqual(found(tree, "GET", "http://a.example/a/7"), "one")
        self.assertEqual(found(tree, "GET", "http://a.example/b/7"), "all")


class Methods(SynchronousTestCase):
    def test_404_or_405(self) -> None:
        tree = Tree([entry("GET /a"), entry("POST|PUT /a"), entry("DELETE /{x}"), entry("PATCH a.example/a")])
        self.assertEqual(found(tree, "PATCH", "/a"), ("DELETE", "GET", "HEAD", "POST", "PUT"))
        self.assertEqual(found(tree, "TRACE", "http://a.example/a"), ("DELETE", "GET", "HEAD", "PATCH", "POST", "PUT"))
        self.assertEqual(found(tree, "GET", "/b"), ("DELETE",))
        self.assertIsNone(found(tree, "GET", "/b/c"))

    def test_405_only_if_the_method_alone_failed(self) -> None:
        tree = Tree([entry("GET /a", 1, 0, {"header": {"A": "1"}})])
        self.assertIsNone(found(tree, "POST", "/a"))
        self.assertEqual(found(tree, "POST", "/a", [(b"A", b"1")]), ("GET", "HEAD"))
        self.assertIsNone(found(tree, "GET", "/a"))

    def test_another_candidate_beats_405(self) -> None:
        tree = Tree([entry("GET /a"), entry("/**", "all")])
        self.assertEqual(found(tree, "POST", "/a"), "all")

    def test_get_serves_head_unless_head_is_routed(self) -> None:
        tree = Tree(
            [
                entry("GET /a", "get"),
                entry("/a", "any"),
                entry("GET /b", "get b", 0, {"header": {"A": "1"}}),
                entry("HEAD /b", "head"),
            ]
        )
        self.assertEqual(found(tree, "HEAD", "/a"), "get")
        self.assertEqual(found(tree, "HEAD", "/b", [(b"A", b"1")]), "head")
        self.assertEqual(found(tree, "GET", "/b", [(b"A", b"1")]), "get b")

    def test_options_is_an_ordinary_method(self) -> None:
        self.assertEqual(found(Tree([entry("GET /a")]), "OPTIONS", "/a"), ("GET", "HEAD"))
        self.assertEqual(found(Tree([entry("OPTIONS /a", 1), entry("/a", 2)]), "OPTIONS", "/a"), 1)


class Building(SynchronousTestCase):
    def test_conflicts_are_reported(self) -> None:
        """Which pairs conflict is in test_entries."""
        problems = Problems()
        Tree.build([entry("/a"), entry("/b"), entry("/a")], problems)
        self.assertEqual(["never be told apart" in problem.message for problem in problems], [True])


class Bounds(SynchronousTestCase):
    def test_many_deep_wildcards_and_a_long_path(self) -> None:
        """2,000 segments against patterns that a naive search tries 10^9 ways."""
        texts = ["/**/a/**/a/**/a/**/b", "/**/{x}/**/{y}/**/b", "/**/{x:[a]}/**/*/**/a/**/c"]
        tree = Tree([entry(text) for text in texts])
        exchange = make_exchange("GET", "/a" * 2000)
        self.assertIsNone(tree.find(exchange))
        self.assertLess(timeit(lambda: tree.find(exchange), number=1), 1.0)
        hit = tree.find(make_exchange("GET", "/a" * 2000 + "/c"))
        assert isinstance(hit, Found)
        self.assertEqual(hit.value, texts[2])

    def test_lookup_is_flat_from_10_to_10_000_routes(self) -> None:
        def tree(size: int) -> Tree:
            part = size // 5
            entries = [entry(f"/static/part{number}/x", number) for number in range(part)]
            entries += [entry(f"/api/v{number}/users/{{id}}", number) for number in range(part)]
            entries += [entry(f"h{number}.example.com/a/b/c", number) for number in range(part)]
            entries += [entry(f"*.d{number}.example.com/a/**", number, number % 50) for number in range(part)]
            entries += [entry(f"GET /p/{number}/x", number, number) for number in range(part)]
            return Tree(entries)

        probes = [
            make_exchange("GET", url)
            for url in (
                "http://q.test/static/part1/x", "http://q.test/api/v1/users/7", "http://h1.example.com/a/b/c",
                "http://t.d1.example.com/a/b", "http://q.test/p/1/x", "http://q.test/nothing/here", "http://t.d1.example.com/q",
            )
        ]  # fmt: skip
        small, large = tree(10), tree(10_000)
        for probe in probes:
            self.assertEqual(small.find(probe), large.find(probe))
        steps = [self.calls(small, probes), self.calls(large, probes)]
        self.assertLessEqual(steps[1], steps[0] * 1.1)

    def calls(self, tree: Tree, probes: list[object]) -> int:
        """Function calls that the look-ups make: unlike time, the same on every machine."""
        import sys

        count = 0

        def profile(*_: object) -> None:
            nonlocal count
            count += 1

        sys.setprofile(profile)
        try:
            for probe in probes:
                tree.find(probe)  # type: ignore[arg-type]
        finally:
            sys.setprofile(None)
        return count


# The reference: every pattern turned into one regular expression over host and path; the best by a key read from the text alone.

SEGMENTS = ["a", "b", "{x}", "{x:int}", "{x:[a-b0-9]}", "*", "**"]
HOSTS = ["", "a.t", "b.t", "*.t", "**.t", "*.a.t", "**.a.t", "a.a.t"]
KINDS = {"a": 0, "b": 0, "": 0, "{x:int}": 1, "{x:[a-b0-9]}": 1, "{x}": 2, "*": 3, "**": 5}
AS_REGEX = {"{x:int}": "/[0-9]+", "{x:[a-b0-9]}": "/[a-b0-9]", "{x}": "/[^/]+", "*": "/[^/]+", "**": "(?:/[^/]*)*"}


@st.composite
def patterns(draw: st.DrawFn) -> tuple[str, str, str, int, int]:
    """methods, host, path, priority, predicates wanted (bits of A and B)."""
    pieces = draw(st.lists(st.sampled_from(SEGMENTS), min_size=1, max_size=4))
    seen = False
    path = ""
    for position, piece in enumerate(pieces):
        if piece == "**" and path.endswith("/**"):
            continue
        name = f"p{position}"
        path += "/" + piece.replace("x", name, 1) if piece.startswith("{") else "/" + piece
        seen = seen or piece == "**"
    path += draw(st.sampled_from(["", "", "/"]))
    methods = draw(st.sampled_from(["", "GET", "POST", "GET|POST", "HEAD", "GET|HEAD"]))
    return methods, draw(st.sampled_from(HOSTS)), path, draw(st.sampled_from([0, 0, 0, 1, 2])), draw(st.integers(0, 3))


def reference(routes: list[tuple[str, str, str, int, int]], method: str, host: str, path: str, has: int) -> object:
    """An index into `routes`, the Allow of a 405, or None."""
    best: list[tuple[object, ...]] = []
    allow: set[str] = set()
    for number, (methods, pattern, route_path, priority, wants) in enumerate(routes):
        names = methods.split("|") if methods else []
        pieces = [re.sub(r"p[0-9]", "x", piece) for piece in route_path.split("/")[1:]]
        path_regex = "".join(AS_REGEX.get(piece, "/" + piece) for piece in pieces)
        host_regex = re.escape(pattern).replace(r"\*\*", r".+").replace(r"\*", r"[^.]+") if pattern else ".*"
        if not re.fullmatch(path_regex, path) or not re.fullmatch(host_regex, host) or wants & ~has:
            continue
        serves = not names or method in names or (method == "HEAD" and "GET" in names)
        if not serves:
            allow.update(names, {"HEAD"} if "GET" in names else set())
            continue
        host_rank = 3 if not pattern else 2 if pattern.startswith("**") else 1 if pattern.startswith("*") else 0
        named = 0 if method in names else 1 if names else 2
        ranks = (*(KINDS[piece] for piece in pieces), 4)
        best.append((-priority, host_rank, -len(pattern), ranks, named, -bin(wants).count("1"), number))
    if best:
        return min(best)[-1]
    return tuple(sorted(allow)) or None


class AgainstReference(SynchronousTestCase):
    @settings(max_examples=400, deadline=None)
    @given(
        st.lists(patterns(), max_size=12),
        st.lists(st.sampled_from(["a", "b", "7", "c"]), max_size=5),
        st.booleans(),
        st.sampled_from(["GET", "HEAD", "POST", "PUT"]),
        st.sampled_from(["a.t", "b.t", "c.t", "a.a.t", "c.a.t", "c.b.a.t", "t", "u"]),
        st.integers(0, 3),
    )
    def test_find(
        self,
        routes: list[tuple[str, str, str, int, int]],
        pieces: list[str],
        slash: bool,
        method: str,
        host: str,
        has: int,
    ) -> None:
        path = "/" + "/".join(pieces) + ("/" if slash and pieces else "")
        entries = []
        for number, (methods, pattern, route_path, priority, wants) in enumerate(routes):
            when = {"header": {name: "1" for bit, name in ((1, "A"), (2, "B")) if wants & bit}} if wants else None
            entries.append(entry(f"{methods} {pattern}{route_path}".strip(), number, priority, when))
        headers = [(name, b"1") for bit, name in ((1, b"A"), (2, b"B")) if has & bit]
        tree = Tree(entries)
        got = found(tree, method, f"http://{host}{path}", headers)
        self.assertEqual(got, reference(routes, method, host, path, has))
        winners = [
            c.value for c in tree.explain(make_exchange(method, f"http://{host}{path}", headers)) if not c.lost_because
        ]
        self.assertEqual(winners, [got] if isinstance(got, int) else [])

    @settings(max_examples=200, deadline=None)
    @given(st.lists(patterns(), min_size=2, max_size=2))
    def test_conflicts_are_symmetric(self, routes: list[tuple[str, str, str, int, int]]) -> None:
        one, two = [
            entry(f"{methods} {host}{path}".strip(), 0, priority) for methods, host, path, priority, _ in routes
        ]
        reported = []
        for pair in ((one, two), (two, one)):
            problems = Problems()
            Tree.build(pair, problems)
            reported.append(len(list(problems)))
        self.assertEqual(reported[0], reported[1])

    @settings(max_examples=300, deadline=None)
    @given(patterns(), st.lists(st.sampled_from(["a", "b", "7", "c;v=1"]), max_size=6))
    def test_captures_put_together_are_the_path(self, route: tuple[str, str, str, int, int], pieces: list[str]) -> None:
        """Substituting what was captured into the pattern gives a path that the same pattern captures alike."""
        path = "/" + "/".join(pieces)
        tree = Tree([entry(route[2])])
        first = tree.find(make_exchange("GET", path))
        if isinstance(first, Found) and route[2].count("**") <= 1 and "/*" not in route[2].replace("**", ""):
            params = dict(first.params)
            rest = params.pop("path", None)
            rebuilt = route[2] if rest is None else route[2].replace("/**", "/" + rest if rest else "")
            for name, value in params.items():
                rebuilt = re.sub(r"\{" + name + r"[^}]*\}", value, rebuilt)
            again = tree.find(make_exchange("GET", rebuilt or "/"))
            assert isinstance(again, Found), (route[2], path, rebuilt)
            self.assertEqual(again.params, first.params)
