"""The index itself: slots in, the first that fits out, and where it does not look; precedence is in test_tree."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from edgegw.config.problems import Problems
from edgegw.exchange.predicates import Predicate, WhenSettings, compile_when
from edgegw.routing.index import NEVER, HostTree, Index, Node, Search, Slot, bare_path
from edgegw.routing.match import parse_match
from edgegw.routing.segments import DEEP, LITERAL, PARAM, STAR, TYPED, Segment
from edgegw.testing.exchanges import make_exchange


def slot(order: int, text: str, methods: frozenset[str] | None = None, predicate: Predicate | None = None) -> Slot:
    match = parse_match(text, Problems())
    assert match is not None, text
    return Slot(order, match, methods, predicate, text)


def index_of(*texts: str) -> Index:
    """An index in which earlier texts come first."""
    index = Index()
    for order, text in enumerate(texts):
        index.add(slot(order, text))
    return index


def search(index: Index, url: str, method: str = "GET") -> Search:
    return index.search(make_exchange(method, url))


def value(found: Search) -> object:
    return found.slot.value if found.slot is not None else None


class BarePathTests(SynchronousTestCase):
    def test_table(self) -> None:
        for path, wanted in (
            ("/", "/"),
            ("/a/b", "/a/b"),
            ("/a;x", "/a"),
            ("/a;x;y/b", "/a/b"),
            ("/a;x/b;y/", "/a/b/"),
            ("/;x", "/"),
            ("/a;/b", "/a/b"),
        ):
            self.assertEqual(bare_path(path), wanted, path)

    @given(st.text("a;/", max_size=10))
    def test_it_keeps_the_number_of_segments(self, path: str) -> None:
        bare = bare_path(path)
        self.assertEqual(bare.count("/"), path.count("/"))
        self.assertNotIn(";", bare)
        self.assertEqual(bare_path(bare), bare)


class NodeTests(SynchronousTestCase):
    def test_the_same_segment_is_the_same_child(self) -> None:
        node = Node()
        self.assertTrue(node.leaf)
        kinds = (
            Segment(LITERAL, "a"),
            Segment(TYPED, "int", "x"),
            Segment(PARAM, "", "x"),
            Segment(STAR),
            Segment(DEEP),
        )
        children = [node.child(segment) for segment in kinds]
        self.assertEqual(len({id(child) for child in children}), 5)
        self.assertEqual([id(node.child(segment)) for segment in kinds], [id(child) for child in children])
        self.assertIs(node.child(Segment(PARAM, "", "y")), node.param)
        self.assertIsNot(node.child(Segment(LITERAL, "b")), children[0])
        self.assertIsNot(node.child(Segment(TYPED, "[0-9]+", "x")), children[1])
        self.assertFalse(node.leaf)
        self.assertTrue(all(child.leaf for child in children))


class HostTreeTests(SynchronousTestCase):
    def test_literal_paths_need_no_walk(self) -> None:
        tree = HostTree()
        self.assertEqual((tree.best, tree.root.best), (NEVER, NEVER))
        tree.add(slot(3, "/a/b"))
        self.assertEqual((list(tree.static), tree.best, tree.root.best), (["/a/b"], 3, NEVER))
        tree.add(slot(5, "/a/{x}"))
        self.assertEqual((list(tree.static), tree.best, tree.root.best), (["/a/b"], 3, 5))

    def test_each_node_knows_the_best_below(self) -> None:
        tree = HostTree()
        for order, text in ((1, "/a/{x}/b"), (2, "/a/{x}"), (4, "/c/*")):
            tree.add(slot(order, text))
        first = tree.root.literals["a"]
        assert first.param is not None
        self.assertEqual((tree.root.best, first.best, first.param.best), (1, 1, 1))
        self.assertEqual((tree.root.literals["c"].best, [each.order for each in first.param.slots]), (4, [2]))


class SlotTests(SynchronousTestCase):
    def test_what_a_405_names(self) -> None:
        for text, allow in (("/a", ()), ("POST /a", ("POST",)), ("GET|PUT /a", ("GET", "PUT", "HEAD"))):
            self.assertEqual(slot(0, text).allow, allow)


class SearchTests(SynchronousTestCase):
    def test_the_first_in_order_wins_whatever_its_shape(self) -> None:
        texts = ["/**", "/a/*", "/{x}/b", "/a/b", "h/a/b", "*.t/a/b", "**.t/**"]
        for first in texts:
            rest = [text for text in texts if text != first]
            for host in ("h", "a.t"):
                wanted = next(each for each in [first, *rest] if each in texts[:4] or _host_fits(each, host))
                self.assertEqual(value(search(index_of(first, *rest), f"http://{host}/a/b")), wanted, (first, host))

    def test_hosts(self) -> None:
        index = index_of("a.t/x", "*.t/x", "**.t/x", "**.b.t/y", "/z")
        for url, wanted in (
            ("http://a.t/x", "a.t/x"),
            ("http://b.t/x", "*.t/x"),
            ("http://a.b.t/x", "**.t/x"),
            ("http://a.b.t/y", "**.b.t/y"),
            ("http://b.t/y", None),
            ("http://t/x", None),
            ("http://xt/x", None),
            ("http://a.t/z", "/z"),
            ("http://a.t/w", None),
        ):
            self.assertEqual(value(search(index, url)), wanted, url)

    def test_a_worse_find_in_a_better_tree_is_none(self) -> None:
        """That something of a tree would win is no reason to take what else is in it."""
        self.assertEqual(value(search(index_of("/x", "h/a", "/a"), "http://h/a")), "h/a")

    def test_an_empty_label_is_none(self) -> None:
        exchange = make_exchange("GET", "/x")
        exchange.request.host = ".t"
        self.assertIsNone(index_of("*.t/x").search(exchange).slot)

    def test_nothing_found(self) -> None:
        found = search(Index(), "/a")
        self.assertEqual((found.slot, found.order, found.missed), (None, NEVER, None))

    def test_what_fits_but_for_its_method_is_kept(self) -> None:
        index = Index()
        for order, (text, method) in enumerate((("GET /a", "GET"), ("PUT /{x}", "PUT"), ("PUT /b", "PUT"))):
            index.add(slot(order, text, frozenset({method})))
        found = search(index, "/a", "POST")
        self.assertIsNone(found.slot)
        self.assertEqual([each.value for each in found.missed or []], ["GET /a", "PUT /{x}"])
        self.assertEqual(value(search(index, "/a", "PUT")), "PUT /{x}")

    def test_a_predicate_that_fails_lets_the_next_one_try(self) -> None:
        problems = Problems()
        when = compile_when(WhenSettings.model_validate({"header": {"A": "1"}}), problems)
        index = Index()
        index.add(slot(0, "/a", None, when))
        index.add(slot(1, "/a"))
        found = index.search(make_exchange("GET", "/a", [(b"A", b"1")]))
        self.assertEqual((found.order, search(index, "/a").order), (0, 1))

    def test_parameters_of_segments_are_not_compared(self) -> None:
        index = index_of("/a/b", "/{x:int}/**")
        self.assertEqual(value(search(index, "/a;v=1/b;w")), "/a/b")
        self.assertEqual(value(search(index, "/7;v/c")), "/{x:int}/**")

    def test_nodes_that_cannot_win_are_not_looked_at(self) -> None:
        tried: list[str] = []

        def noting(name: str) -> Callable[[str], bool]:
            def fits(text: str) -> bool:
                tried.append(name)
                return True

            return fits

        index = index_of("/**", "/{x:int}")
        tree = index._any
        for key, (_, child) in list(tree.root.typed.items()):
            tree.root.typed[key] = (noting(key), child)
        self.assertEqual(value(search(index, "/7")), "/**")
        # The walk tries narrower nodes first, so the typed one is looked at once; behind a better find it is not.
        self.assertEqual(tried, ["int"])
        tried.clear()
        index.add(slot(-1, "/7"))
        self.assertEqual(value(search(index, "/7")), "/7")
        self.assertEqual(tried, [])


def _host_fits(text: str, host: str) -> bool:
    match = parse_match(text, Problems())
    return match is not None and match.host.fits(host)
